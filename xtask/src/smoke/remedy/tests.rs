//! Error texts as they were seen, and what they lead to.

use super::*;
use crate::error::Kind;

/// Texts as they were seen, with a word of the remedy that they must lead to.
const SEEN: &[(&str, &str, bool)] = &[
    (
        "NVIDIA RTX PRO 6000 with CUDA capability sm_120 is not compatible with the current PyTorch installation. The \
      current PyTorch install supports CUDA capabilities sm_50 sm_90.",
        "--base REF",
        false,
    ),
    ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "--base REF", false),
    ("cuModuleLoadData: CUDA_ERROR_NO_BINARY_FOR_GPU", "--arch", false),
    ("the provided PTX was compiled with an unsupported toolchain.", "570", false),
    ("CUDA driver version is insufficient for CUDA runtime version", "570.26", false),
    (
        "ERROR: This container was built for NVIDIA Driver Release 570.86 or later, but version 535.54 was detected \
      and compatibility mode is UNAVAILABLE.",
        "570.26",
        false,
    ),
    ("forward compatibility was attempted on non supported HW", "host's driver", false),
    ("Error 803: system has unsupported display driver / cuda driver combination", "reboot", false),
    ("Error 802: system not yet initialized", "fabricmanager", false),
    ("RuntimeError: Found no NVIDIA driver on your system. Please check", "nvidia-smi", false),
    ("OSError: libcuda.so.1: cannot open shared object file: No such file or directory", "nvidia-smi", false),
    ("WARNING: The NVIDIA Driver was not detected.  GPU functionality will not be available.", "nvidia-smi", false),
    ("Failed to initialize NVML: Unknown Error", "cargo xtask down", false),
    ("Failed to initialize NVML: Driver/library version mismatch", "unload", false),
    ("No devices were found", "open kernel modules", false),
    ("NVML sees 2 device(s) and torch sees 1", "MIG", false),
    (
        "rank 1: DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:268, unhandled cuda error\n\
      ncclUnhandledCudaError: Call to CUDA function failed.",
        "NCCL_CUMEM_HOST_ENABLE",
        false,
    ),
    ("RuntimeError: CUDA error: all CUDA-capable devices are busy or unavailable", "-c DEFAULT", false),
    (
        "cuDevicePrimaryCtxRetain: CUDA_ERROR_DEVICE_UNAVAILABLE (46): CUDA-capable device(s) is/are busy or unavailable",
        "-c DEFAULT",
        false,
    ),
    ("ImportError: /tmp/gpu-smoke-x/extension/a.so: failed to map segment from shared object", "TMPDIR", false),
    ("CUDA error: PTX JIT compilation was disabled", "--base REF", false),
    ("ValueError: Unknown CUDA arch (12.0) or GPU not supported", "-gencode", false),
    (
        "RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's \
      workers are out of shared memory.",
        "shm_size",
        false,
    ),
    ("the child was killed by signal 7 (SIGBUS)", "shm_size", false),
    ("ptxas fatal   : Value 'sm_120' is not defined for option 'gpu-name'", "TRITON_PTXAS_PATH", false),
    ("nvrtc: error: invalid value for --gpu-architecture (-arch)", "newer CUDA", false),
    ("Error response from daemon: could not select device driver \"\" with capabilities: [[gpu]]", "toolkit", true),
    ("could not select device driver \"nvidia\" with capabilities: [[gpu]]", "toolkit", true),
    ("could not select device driver \"cdi\" with capabilities: []", "features", true),
    ("CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all", "cdi list", true),
    ("unknown or invalid runtime name: nvidia", "runtime configure", true),
    ("Unknown runtime specified nvidia.", "runtime configure", true),
    (
        "error gathering device information while adding custom device \"nvidia.com/gpu=all\": no such file or \
      directory",
        "docker-compose-plugin",
        true,
    ),
    ("nvidia-container-cli: initialization error: nvml error: driver not loaded", "reinstall", true),
    ("error setting rlimit type 8: operation not permitted", "memlock: engine", true),
    (
        "Error response from daemon: invalid mount config for type \"bind\": stat /home/me/work: permission denied",
        "no_root_squash",
        true,
    ),
    ("ModuleNotFoundError: No module named 'decord'", "image", false),
    ("timed out after 30 s", "--timeout", false),
    ("no video was found among the first 5000 entries of `/datasets/ssv2`", "--dataset NAME=DIR", false),
];

fn all() -> impl Iterator<Item = &'static KnownError> {
    errors::KNOWN.iter().chain(KNOWN)
}

#[test]
fn every_error_text_that_was_seen_leads_to_its_remedy() {
    for (text, word, host) in SEEN {
        let known = find(text).unwrap_or_else(|| panic!("nothing is known of `{text}`"));
        assert!(known.remedy.contains(word), "`{text}` leads to: {}", known.remedy);
        assert_eq!(known.kind == Kind::Host, *host, "`{text}`");
    }
    assert_eq!(find("some other error"), None);
}

#[test]
fn nothing_that_is_known_hides_behind_another() {
    for known in all() {
        for text in known.texts {
            assert_eq!(find(text), Some(known), "`{text}` is taken by an earlier entry");
        }
        assert!(!known.cause.ends_with('.') && !known.remedy.ends_with('.'));
    }
}

#[test]
fn every_entry_was_seen_at_least_in_one_of_its_texts() {
    let unseen: Vec<&str> = all()
        .filter(|known| !SEEN.iter().any(|(text, ..)| find(text) == Some(known)))
        .map(|known| known.texts[0])
        .collect();
    // These two are NVIDIA's and torch's documented texts.
    assert_eq!(unseen, ["uncorrectable ECC error", "CUDA out of memory"]);
}
