//! What the inside half is asked for, and the command that asks it. Pure.

use super::checks::Extent;
use crate::gpu::arch::Arch;
use crate::spec::inside::SMOKE;
use serde::{Serialize, Serializer};
use std::fmt::Display;

/// The version of the request and of the report.
pub(crate) const SCHEMA: u32 = 1;

/// A file of `docker/` by its name there, which is its name below the guest mount too.
macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../docker/", $name)))
    };
}

/// The script and its package: name below the guest mount, and text.
pub(crate) const FILES: &[(&str, &str)] = &[
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

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SmokeRequest {
    /// 24 hex digits that no earlier run has used: the report repeats them, and the kernel computes with them.
    pub nonce: String,
    /// The architecture that kernels must be native for.
    #[serde(serialize_with = "text")]
    pub arch: Arch,
    /// How much is checked.
    #[serde(serialize_with = "text")]
    pub mode: Extent,
    /// The number of GPUs that must be there; `None` where it is not known.
    pub gpus: Option<usize>,
    /// Whether the checks that need a GPU are run.
    pub gpu: bool,
    /// A data set's directory inside.
    pub dataset: Option<String>,
    /// The time limit of the whole run.
    pub seconds: u64,
    /// The version that torch must have, where it is known here; the image keeps a record of its own.
    pub torch: Option<String>,
}

fn text<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

impl SmokeRequest {
    /// The program and its arguments.
    pub(crate) fn words(&self) -> Vec<String> {
        #[derive(Serialize)]
        struct Versioned<'a> {
            schema: u32,
            #[serde(flatten)]
            request: &'a SmokeRequest,
        }
        let request = serde_json::json!(Versioned { schema: SCHEMA, request: self }).to_string();
        ["python3", "-B", SMOKE, &request].map(str::to_owned).to_vec()
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
