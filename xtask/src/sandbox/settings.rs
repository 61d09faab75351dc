//! The settings of a sandbox, resolved: flag > environment > `sandbox.local.yaml` > `sandbox.yaml` > default.
//!
//! Everything here is pure: texts and values in, settings out. `load` at the end reads the two files.

pub mod keys;
mod layer;
mod resolve;
pub mod schema;
mod values;

pub use keys::DEFAULT_BASE;
pub use layer::{Layer, parse, with_dataset};
pub use resolve::resolve;
pub use values::{nearest, parse_bytes, parse_gpus};

use crate::cli::Flags;
use crate::context::Context;
use crate::sandbox::codex_home::Mode;
use crate::sandbox::promise::{Gpus, Memlock, Network};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// A data set by name; without a source it is declared but not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// `[a-z0-9][a-z0-9._-]*`
    pub name: String,
    /// The directory on the host, absolute, as the user wrote it otherwise.
    pub source: Option<PathBuf>,
}

/// A resolved setting for `--dry-run`: what, which value, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The key of `sandbox.yaml`.
    pub key: String,
    /// The value as text.
    pub value: String,
    /// `flag`, a variable's name, a file's name, or `default`.
    pub from: String,
}

/// The settings of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The research project, absolute.
    pub workspace: PathBuf,
    /// The data sets, by name.
    pub datasets: Vec<Dataset>,
    /// The base image; `None` means the CPU base that is made from Debian packages.
    pub base: Option<String>,
    /// The value of `TORCH_CUDA_ARCH_LIST` in the image.
    pub arch_list: String,
    /// The GPUs.
    pub gpus: Gpus,
    /// The network.
    pub network: Network,
    /// The host's Codex, where it is not the one on `PATH`.
    pub codex: Option<PathBuf>,
    /// How the host's Codex home reaches the container.
    pub codex_home: Mode,
    /// The host's Codex home: `CODEX_HOME` or `~/.codex`.
    pub host_codex_home: PathBuf,
    /// The size of `/dev/shm`, in bytes.
    pub shm_bytes: u64,
    /// The most processes.
    pub pids_limit: u64,
    /// The memory that a sandbox with GPUs may lock.
    pub memlock: Memlock,
    /// Variables that pass from the user's environment to Codex, by name.
    pub env: Vec<String>,
    /// Where each setting came from.
    pub origins: Vec<Origin>,
}

/// The name of the settings file of this host.
pub const LOCAL_FILE: &str = "sandbox.local.yaml";

/// Reads `sandbox.local.yaml` and `sandbox.yaml` and resolves them with the flags.
///
/// # Errors
/// An unreadable or invalid file, or a wrong value (exit code 2).
pub fn load(cx: &Context, flags: &Flags) -> Result<Settings> {
    let mut layers = Vec::new();
    for name in [LOCAL_FILE, "sandbox.yaml"] {
        let path = cx.root.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => layers.push(parse(name, &cx.root, &text)?),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
            Err(err) => return Err(err).with_context(|| format!("cannot read `{}`", path.display())),
        }
    }
    resolve(cx, flags, &layers)
}

#[cfg(test)]
mod tests;
