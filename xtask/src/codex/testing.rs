//! What the tests of this module share: fake programs and installations in a temporary directory.

use crate::context::Context;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// The ELF machine number of this machine, and of another.
#[cfg(target_arch = "x86_64")]
pub(super) const OWN_MACHINE: u16 = 62;
#[cfg(target_arch = "x86_64")]
pub(super) const OTHER_MACHINE: u16 = 183;
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OWN_MACHINE: u16 = 183;
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OTHER_MACHINE: u16 = 62;

/// The head of a 64-bit ELF file, with a loader where one is named. It cannot be run.
pub(super) fn elf(machine: u16, interpreter: Option<&str>) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64, 0);
    bytes[16] = 3;
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = u8::from(interpreter.is_some());
    if let Some(text) = interpreter {
        bytes.resize(64 + 56, 0);
        bytes[64] = 3;
        bytes[64 + 8] = 64 + 56;
        bytes[64 + 32] = text.len() as u8 + 1;
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// A temporary directory with what an installation is made of.
pub(super) struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub(super) fn new() -> World {
        World { dir: tempfile::tempdir().unwrap() }
    }

    /// A path in the directory.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    /// Surroundings in which `bin` is searched first, then the host's shell and its tools.
    pub(super) fn cx(&self) -> Context {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        Context {
            root: self.path("repository"),
            cwd: self.path(""),
            env: BTreeMap::from([("PATH".to_owned(), path)]),
            state: self.path("state"),
            home: self.path("home"),
            ..Context::default()
        }
    }

    /// Writes a file with its parents; executable.
    pub(super) fn program(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Writes a program that looks native; another `content` makes it another program.
    pub(super) fn native(&self, path: &str, content: &str) -> PathBuf {
        let mut bytes = elf(OWN_MACHINE, None);
        bytes.extend_from_slice(content.as_bytes());
        self.program(path, bytes)
    }

    /// Makes a symbolic link with its parents; `to` is relative to the link, or absolute.
    pub(super) fn link(&self, path: &str, to: impl AsRef<Path>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, &path).unwrap();
        path
    }

    /// The package of a recent version under `root`. Returns its program.
    pub(super) fn package(&self, root: &str) -> PathBuf {
        self.native(&format!("{root}/bin/codex-code-mode-host"), "host");
        self.native(&format!("{root}/codex-path/rg"), "rg");
        self.native(&format!("{root}/codex-resources/bwrap"), "bwrap");
        self.program(&format!("{root}/codex-resources/voice/lib/libz.so"), "z");
        self.link(&format!("{root}/codex-resources/voice/lib/libz.so.1"), "libz.so");
        fs::write(self.path(&format!("{root}/codex-package.json")), "{\"layoutVersion\": 1}").unwrap();
        self.native(&format!("{root}/bin/codex"), "codex")
    }

    /// The npm package of the launcher under `root` (`…/@openai/codex`).
    pub(super) fn launcher(&self, root: &str) -> PathBuf {
        fs::create_dir_all(self.path(root)).unwrap();
        fs::write(self.path(&format!("{root}/package.json")), "{\"name\": \"@openai/codex\"}").unwrap();
        self.program(&format!("{root}/bin/codex.js"), "#!/usr/bin/env node\n")
    }
}

/// `codex-linux-x64/vendor/x86_64-unknown-linux-musl` on this machine's architecture.
pub(super) fn vendor() -> String {
    let npm = if OWN_MACHINE == 62 { "x64" } else { "arm64" };
    format!("codex-linux-{npm}/vendor/{}-unknown-linux-musl", std::env::consts::ARCH)
}
