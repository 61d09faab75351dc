//! What the inside half is asked for, and the command that asks it. Pure.

use super::arch::Arch;
use super::checks::Mode;
use serde_json::{Value, json};

/// The script and its package: name below `/sandbox`, and text.
pub const FILES: &[(&str, &str)] = &[];

/// Where the script lies inside.
pub const PATH_INSIDE: &str = "/sandbox/gpu_smoke.py";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// 24 hex digits that no earlier run has used: the report repeats them, and the kernel computes with them.
    pub nonce: String,
    /// What kernels must be native for.
    pub arch: Arch,
    /// How much is checked.
    pub mode: Mode,
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

impl Request {
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
