//! Error texts of the driver, of torch and of the packages, each with its cause and what to do; those of the engine are
//! in `engine::errors`. Pure.

use crate::engine::errors::{self, KnownError, inside};
use crate::error::Remedy;
use crate::finding::Finding;

const NEWER_IMAGE: &str = "take a base image whose torch is built for this GPU (`--base REF`), or give the GPU's own \
                           capability with `--arch`";

/// What is known. The first that matches counts, so special errors come before general ones.
const KNOWN: &[KnownError] = &[
    // What the driver and torch say.
    inside(
        &["is not compatible with the current PyTorch installation"],
        "torch in this image has no native kernels for this GPU",
        NEWER_IMAGE,
    ),
    inside(
        &["no kernel image is available", "CUDA_ERROR_NO_BINARY_FOR_GPU", "cudaErrorNoKernelImageForDevice"],
        "the code was built for other architectures: nothing in it is native to this GPU",
        NEWER_IMAGE,
    ),
    inside(
        &["PTX was compiled with an unsupported toolchain", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"],
        "the image's CUDA is newer than the driver, which then cannot compile its PTX; an `exec` also skips the entry \
         point that sets up forward compatibility",
        "update the driver to the one of the image's CUDA (570 or later for 12.8), or take an older image",
    ),
    inside(
        &[
            "driver version is insufficient for CUDA runtime version",
            "cudaErrorInsufficientDriver",
            "The NVIDIA driver on your system is too old",
            "compatibility mode is UNAVAILABLE",
        ],
        "the driver is older than the image's CUDA needs",
        "update the driver: 570.26 or later for CUDA 12.8, 580.65 or later for 13.0",
    ),
    inside(
        &["forward compatibility was attempted on non supported HW", "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"],
        "the image brought its own user-mode driver (forward compatibility), which GeForce cards do not support",
        "update the host's driver, or take an image whose CUDA major version is not above the driver's",
    ),
    inside(
        &["unsupported display driver / cuda driver combination", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"],
        "the user-mode driver in the container is not the one of the loaded kernel module",
        "reboot after a driver update, or `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml` again",
    ),
    inside(
        &["system not yet initialized", "CUDA_ERROR_SYSTEM_NOT_READY"],
        "the fabric manager of an NVSwitch machine is not running, or has another version than the driver",
        "`sudo systemctl start nvidia-fabricmanager`, with the driver's own version",
    ),
    inside(
        &["Found no NVIDIA driver", "libcuda.so.1: cannot open", "The NVIDIA Driver was not detected", "no libcuda"],
        "the driver's libraries are not in the container: it did not get a GPU",
        "`nvidia-smi` on the host must answer; then `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`",
    ),
    inside(
        &["No devices were found", "no CUDA-capable device is detected", "CUDA_ERROR_NO_DEVICE"],
        "the driver cannot use the GPU: Blackwell needs the open kernel modules, and Resizable BAR with Above 4G \
         decoding in the firmware",
        "install the open kernel modules (`nvidia-open`); `sudo dmesg | grep -i nvrm` says why",
    ),
    inside(
        &["JIT compilation was disabled", "JIT compilation disabled", "CUDA_ERROR_JIT_COMPILATION_DISABLED"],
        "torch has only PTX for this GPU, no native kernels: the driver would have compiled them",
        NEWER_IMAGE,
    ),
    inside(
        &["Unknown CUDA arch"],
        "this torch's cpp_extension does not know the architecture in TORCH_CUDA_ARCH_LIST: 12.0 came with torch 2.7",
        "give nvcc the flag itself: `-gencode=arch=compute_120,code=sm_120` in extra_cuda_cflags",
    ),
    inside(
        &["is not defined for option 'gpu-name'", "invalid value for --gpu-architecture"],
        "the compiler (ptxas, nvcc or NVRTC) is older than the architecture: sm_120 needs CUDA 12.8, sm_121 and \
         sm_103 need 12.9",
        "take an image with a newer CUDA; set TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas where Triton brings an old one",
    ),
    inside(
        &["bus error", "SIGBUS", "out of shared memory", "No space left on device: '/dev/shm"],
        "/dev/shm is too small for what the data loader's workers pass on",
        "raise `shm_size` in the settings",
    ),
    inside(
        &["device(s) and torch sees"],
        "CUDA_VISIBLE_DEVICES hides GPUs, or they are partitioned (MIG): of several instances a program sees one",
        "unset the variable; of a partitioned GPU give one instance (`--gpus MIG-UUID`)",
    ),
    inside(
        &["devices are busy or unavailable", "device(s) is/are busy or unavailable", "CUDA_ERROR_DEVICE_UNAVAILABLE"],
        "another program holds the GPU, or its compute mode lets in one process at a time: the smoke test has several, \
         as training has",
        "end the other program (`nvidia-smi` shows it), or `sudo nvidia-smi -c DEFAULT`",
    ),
    inside(
        &["failed to map segment from shared object"],
        "/tmp is mounted `noexec`, so what was built there cannot be loaded",
        "set TMPDIR to a directory without `noexec`",
    ),
    inside(
        &["ncclUnhandledCudaError", "ncclSystemError"],
        "NCCL could not connect the GPUs: it lacks shared memory, or memory of a NUMA node that a container may not have",
        "set NCCL_CUMEM_HOST_ENABLE=0 and a larger `shm_size`; NCCL_DEBUG=WARN says more",
    ),
    inside(
        &["uncorrectable ECC error", "CUDA_ERROR_ECC_UNCORRECTABLE"],
        "the GPU's memory is damaged",
        "`nvidia-smi -q -d ECC,ROW_REMAPPER` shows what is damaged; reset the GPU or have it replaced",
    ),
    inside(
        &["CUDA out of memory", "CUDA_ERROR_OUT_OF_MEMORY"],
        "something else uses this GPU's memory",
        "`nvidia-smi` shows what; end it, or choose another GPU with `--gpus`",
    ),
    // What the packages say.
    inside(
        &["No module named"],
        "a package is missing from the image, or was removed from it",
        "remove the damaged image with `docker image rm`; `cargo xtask image` then builds it again",
    ),
    inside(
        &["no video was found among"],
        "a clip of the data set is decoded, and this data set has none where the check looks (.webm, .mp4, .mkv, .avi, .mov)",
        "give one with videos by `--dataset NAME=DIR`, or none by `--dataset NAME=none`: then this check is not run",
    ),
    inside(
        &["timed out after", "passed its bound"],
        "the program hung, or this machine is busy",
        "run it again when the machine is idle, with a larger `--timeout`",
    ),
];

/// What is known of an error's text, whether the engine or a program inside printed it.
pub(crate) fn find(text: &str) -> Option<&'static KnownError> {
    errors::find(text).or_else(|| KNOWN.iter().find(|known| known.is_in(text)))
}

/// The finding, with its cause and remedy where the text of its reason is a known one.
pub(crate) fn explained(finding: Finding) -> Finding {
    match finding.why.as_deref().and_then(find) {
        Some(known) => {
            Finding { cause: Some(known.cause.into()), remedies: vec![Remedy::Do(known.remedy.into())], ..finding }
        }
        None => finding,
    }
}

#[cfg(test)]
mod tests;
