//! The file of the mounted Codex, by which it is recognized without being started again.

use crate::beneath::FileId;
use crate::spec::{Role, Spec};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// A file of Codex, by what changes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodexFile {
    pub(crate) id: FileId,
    /// The length in bytes.
    pub(crate) size: u64,
    /// The ctime, which only the kernel sets: seconds and nanoseconds.
    pub(crate) changed: (i64, i64),
}

impl CodexFile {
    /// The file of the mounted Codex as the host sees it now.
    pub(crate) fn of(spec: &Spec) -> Option<CodexFile> {
        let meta = fs::metadata(spec.mount(&Role::CodexPackage)?.source.join("bin/codex")).ok()?;
        Some(CodexFile { id: FileId::from(&meta), size: meta.size(), changed: (meta.ctime(), meta.ctime_nsec()) })
    }
}

impl std::fmt::Display for CodexFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, nanoseconds) = self.changed;
        write!(f, "{}, {} bytes, changed {seconds}.{nanoseconds:09}", self.id, self.size)
    }
}
