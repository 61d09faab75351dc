//! What the inside half is asked for, and the command that asks it. Pure.

use super::checks::Extent;
use crate::gpu::arch::Arch;
use serde_json::{Value, json};

/// A file of `docker/` by its name there, which is its name below `/sandbox` too.
macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../docker/", $name)))
    };
}

/// The script and its package: name below `/sandbox`, and text.
pub const FILES: &[(&str, &str)] = &[
    file!("gpu_smoke.py"),
    file!("smoke/__init__.py"),
    file!("smoke/aten.py"),
    file!("smoke/child.py"),
    file!("smoke/clips.py"),
    file!("smoke/compilers.py"),
    file!("smoke/cuda.py"),
    file!("smoke/devices.py"),
    file!("smoke/health.py"),
    file!("smoke/kernel.py"),
    file!("smoke/loading.py"),
    file!("smoke/models.py"),
    file!("smoke/native.py"),
    file!("smoke/nccl.py"),
    file!("smoke/numerics.py"),
    file!("smoke/nvdec.py"),
    file!("smoke/nvml.py"),
    file!("smoke/nvrtc.py"),
    file!("smoke/plan.py"),
    file!("smoke/report.py"),
    file!("smoke/speed.py"),
    file!("smoke/supervise.py"),
    file!("smoke/targets.py"),
    file!("smoke/tensors.py"),
    file!("smoke/torch_server.py"),
    file!("smoke/transfer.py"),
    file!("smoke/video.py"),
];

/// Where the script lies inside.
pub const PATH_INSIDE: &str = "/sandbox/gpu_smoke.py";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmokeRequest {
    /// 24 hex digits that no earlier run has used: the report repeats them, and the kernel computes with them.
    pub nonce: String,
    /// What kernels must be native for.
    pub arch: Arch,
    /// How much is checked.
    pub mode: Extent,
    /// The number of GPUs that must be there; `None` where it is not known.
    pub gpus: Option<usize>,
    /// Whether the checks that need a GPU are run.
    pub gpu: bool,
    /// A data set's directory inside.
    pub dataset: Option<String>,
    /// The bound on all of it, in seconds.
    pub seconds: u64,
    /// The version that torch must have, where it is known here; the image keeps a record of its own.
    pub torch: Option<String>,
}

impl SmokeRequest {
    /// As the inside half reads it.
    pub fn json(&self) -> Value {
        json!({
            "schema": 1,
            "nonce": self.nonce,
            "arch": self.arch.to_string(),
            "mode": self.mode.to_string(),
            "gpus": self.gpus,
            "gpu": self.gpu,
            "dataset": self.dataset,
            "seconds": self.seconds,
            "torch": self.torch,
        })
    }

    /// The program and its arguments.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = ["python3", "-B", PATH_INSIDE].map(str::to_owned).to_vec();
        words.push(self.json().to_string());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_whole_script_is_handed_in_and_nothing_else() {
        let docker = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker");
        let package = std::fs::read_dir(format!("{docker}/smoke")).unwrap();
        let mut there: BTreeSet<String> = package
            .map(|entry| format!("smoke/{}", entry.unwrap().file_name().display()))
            .filter(|name| name.ends_with(".py"))
            .collect();
        there.insert("gpu_smoke.py".into());
        let handed: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(handed, there);
    }

    #[test]
    fn the_request_is_one_argument_of_json() {
        let words = super::super::fixture::request().words();
        assert_eq!(words[..3], ["python3", "-B", "/sandbox/gpu_smoke.py"]);
        assert_eq!(
            words[3],
            r#"{"schema":1,"nonce":"0123456789abcdef01234567","arch":"12.0","mode":"quick","gpus":1,"gpu":true,"dataset":null,"seconds":285,"torch":null}"#
        );
    }
}
