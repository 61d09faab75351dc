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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::fixture::spec;

    #[test]
    fn the_file_below_the_mounted_package_is_known_by_what_changes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = spec();
        spec.mounts.iter_mut().filter(|mount| mount.role == Role::CodexPackage).for_each(|mount| {
            mount.source = dir.path().to_owned();
        });
        assert_eq!(CodexFile::of(&spec), None);
        let path = dir.path().join("bin/codex");
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(&path, "elf").unwrap();
        let first = CodexFile::of(&spec).unwrap();
        assert_eq!((first.size, first.id), (3, FileId::from(&fs::metadata(&path).unwrap())));
        fs::write(&path, "other").unwrap();
        assert_ne!(CodexFile::of(&spec), Some(first));
        let file = CodexFile { id: FileId { dev: 1, ino: 2 }, size: 3, changed: (4, 5) };
        assert!(file.to_string().ends_with(", 3 bytes, changed 4.000000005"), "{file}");
    }
}
