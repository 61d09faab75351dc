//! Every check of the smoke test. What is planned here and is not in a report is a failure. Pure.

use crate::spec::words::display;

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Extent {
    /// All that is required, and what is reported without costing much.
    Quick,
    /// Also what takes minutes.
    Full,
    /// Only that native code runs, which is a claim of the sandbox.
    Native,
}

display!(Extent);

/// One check.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Such as `native.code`.
    pub id: &'static str,
    /// Whether the smoke test fails where this check fails; the others are only reported.
    pub required: bool,
    /// Whether it needs a GPU.
    pub gpu: bool,
    /// Whether it is left out of a quick run.
    pub full: bool,
    /// What it shows, in a line.
    pub what: &'static str,
}

const fn gpu(id: &'static str, what: &'static str) -> Check {
    Check { id, required: true, gpu: true, full: false, what }
}

const fn cpu(id: &'static str, what: &'static str) -> Check {
    Check { gpu: false, ..gpu(id, what) }
}

const fn reported(id: &'static str, what: &'static str) -> Check {
    Check { required: false, ..gpu(id, what) }
}

const fn slow(id: &'static str, what: &'static str) -> Check {
    Check { full: true, ..reported(id, what) }
}

/// Native code runs: the one check whose result the host can compute too.
pub const NATIVE_CODE: &str = "native.code";
/// Allowed to be left out where there is one GPU.
pub(crate) const NCCL: &str = "nccl.all-reduce";
/// Allowed to be left out where no data set is mounted.
pub(crate) const DATASET: &str = "decord.dataset";
/// The number of GPUs, which the host knows too.
pub(crate) const COUNT: &str = "devices.count";

/// All checks, in the order in which they are shown.
pub const CHECKS: &[Check] = &[
    gpu("driver.present", "NVIDIA's driver answers in the container"),
    gpu("driver.version", "the driver knows the CUDA that the image was built with"),
    gpu(COUNT, "the driver and torch see as many GPUs as were asked for"),
    gpu("devices.served", "each GPU's compute capability is served by the architecture and by torch's own list"),
    cpu("versions.torch", "torch can be imported and is the one that the image was built with"),
    gpu("versions.cudnn", "the cuDNN at run time is the one that torch was compiled with"),
    gpu(NATIVE_CODE, "a cubin of the architecture is loaded, launched, and computes what it should"),
    gpu("aten.native", "torch's own kernels run where compiling PTX is switched off"),
    gpu("matmul.fp32", "matrix product in fp32, TF32 off, against fp64"),
    gpu("matmul.tf32", "matrix product in TF32, against fp64"),
    gpu("matmul.fp16", "matrix product in fp16, against fp64"),
    gpu("matmul.bf16", "matrix product in bf16, against fp64"),
    gpu("conv2d.forward", "convolution, against fp64"),
    gpu("conv2d.backward", "gradients of a convolution, against fp64"),
    gpu("attention.default", "attention forward and backward by the default kernel"),
    gpu("transfer.pageable", "to the GPU and back, bit for bit"),
    gpu("transfer.pinned", "the same from pinned memory"),
    cpu("shm.size", "/dev/shm is as large as was asked for"),
    cpu("dataloader.workers", "data loader workers pass more than 64 MB through shared memory"),
    cpu("ffmpeg.present", "ffmpeg can be run, with the encoders that the clips need"),
    cpu("einops.rearrange", "einops rearranges as it should"),
    cpu("timm.cpu", "a timm model runs on the CPU"),
    gpu("timm.gpu", "a timm model runs on the GPU"),
    gpu(NCCL, "all GPUs add up a tensor by NCCL"),
    cpu("decord.owner", "one package owns the module decord"),
    cpu("decord.vp9", "every frame of a VP9 clip is the right one, in sequence and at random"),
    cpu("decord.h264", "the same of an H.264 clip"),
    cpu("decord.corrupt", "a corrupt clip ends in an error or in other frames, not in a hang"),
    cpu(DATASET, "a clip of the mounted data set decodes"),
    reported("attention.flash", "flash attention, forced"),
    reported("health.ecc", "memory errors and remapped rows"),
    reported("health.throttle", "whether the clocks are held down"),
    reported("pcie.link", "generation and width of the PCIe link"),
    reported("speed.matmul", "bf16 matrix product"),
    reported("speed.copy", "copy bandwidth"),
    slow("compile.torch", "torch.compile"),
    slow("extension.nvcc", "a torch extension that nvcc builds for the architecture"),
    slow("decoder.nvdec", "the hardware decoder"),
];

/// What a run of this mode must report, each once.
pub fn planned(mode: Extent) -> impl Iterator<Item = &'static Check> {
    const NATIVE: &[&str] = &["driver.present", "devices.served", NATIVE_CODE];
    CHECKS.iter().filter(move |check| match mode {
        Extent::Quick => !check.full,
        Extent::Full => true,
        Extent::Native => NATIVE.contains(&check.id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_check_has_one_name_and_each_mode_its_own() {
        let ids = |mode| planned(mode).map(|check| check.id).collect::<Vec<_>>();
        let all: BTreeSet<&str> = ids(Extent::Full).into_iter().collect();
        assert_eq!(all.len(), CHECKS.len());
        assert_eq!(ids(Extent::Native), ["driver.present", "devices.served", "native.code"]);
        let left: Vec<&str> = all.iter().filter(|id| !ids(Extent::Quick).contains(id)).copied().collect();
        assert_eq!(left, ["compile.torch", "decoder.nvdec", "extension.nvcc"]);
    }
}
