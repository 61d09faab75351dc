//! A place of a test's own: a copy of the few repository files that the tool reads, a home, a state folder, programs.
//!
//! The tool takes its repository from `CARGO_MANIFEST_DIR`; with a place per test, no two tests write to one
//! `target/sandbox`, and none writes to the developer's.

use crate::support::proc;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What the tool reads of the repository, apart from itself. The default project is each test's own.
const READ: &[&str] = &[".devcontainer", "docker", "sandbox.yaml"];

/// The repository that the tests were built from.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository")
}

/// A user whom a test runs the tool as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A directory with all that one test needs, removed with all that is in it at the end of the test.
pub(crate) struct Place {
    dir: TempDir,
    /// Whom the place belongs to, where that is not the user who runs the tests.
    pub(crate) owner: Option<User>,
}

impl Place {
    /// A place that belongs to the user who runs the tests.
    pub(crate) fn new() -> Place {
        let dir = tempfile::Builder::new().prefix("codex-sandbox-").tempdir().expect("temp dir");
        let place = Place { dir, owner: None };
        for name in ["xtask", "bin", "home", "state", "repo/workspace"] {
            fs::create_dir_all(place.path(name).as_path()).expect("a directory of the place");
        }
        for name in READ {
            proc::copy(&repository().join(name), &place.root().join(name));
        }
        place
    }

    /// A place that belongs to another user; `give` must be called once it is filled.
    pub(crate) fn of(user: User) -> Place {
        let mut place = Place::new();
        place.owner = Some(user);
        // The tests' own directory may lie where that user cannot look, such as below /root.
        proc::copy(Path::new(env!("CARGO_BIN_EXE_xtask")), &place.path("bin/xtask"));
        place
    }

    /// Gives everything in the place to its owner.
    pub(crate) fn give(&self) {
        if let Some(User { uid, gid }) = self.owner {
            let dir = self.dir.path().display().to_string();
            proc::output("chown", ["-Rh", &format!("{uid}:{gid}"), &dir]);
        }
    }

    /// The copy of the repository.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    /// A path in the place; `xtask` lies in its repository, all else beside it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        match name {
            "xtask" => self.root().join(name),
            _ => self.dir.path().join(name),
        }
    }

    /// The place itself.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The binary under test, where the place's owner can run it.
    pub(crate) fn binary(&self) -> PathBuf {
        match self.owner {
            Some(_) => self.path("bin/xtask"),
            None => PathBuf::from(env!("CARGO_BIN_EXE_xtask")),
        }
    }

    /// Writes a file below the place, with its directories.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.dir.path().join(name);
        fs::create_dir_all(file.parent().expect("a file has a directory")).expect("its directory");
        fs::write(&file, text).expect("a file of the place");
        file
    }

    /// Writes a program into `bin`, which is first on the tool's PATH.
    pub(crate) fn program(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.write(&format!("bin/{name}"), text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("an executable");
        file
    }

    /// Makes a directory below the place.
    pub(crate) fn mkdir(&self, name: &str) -> PathBuf {
        let dir = self.dir.path().join(name);
        fs::create_dir_all(&dir).expect("a directory of the place");
        dir
    }

    /// Reads a file below the place.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        let file = self.dir.path().join(name);
        fs::read_to_string(&file).unwrap_or_else(|err| panic!("cannot read `{}`: {err}", file.display()))
    }
}
