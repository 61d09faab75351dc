//! Directories that a call makes for itself alone and removes at its end, and what becomes of those of calls that were killed.
//!
//! The rule is one for all of them: a call holds a lock on its directory, which the kernel lets go of however the call ends.
//! What nobody holds is removed by the next call that makes one beside it. Between its making and its lock a directory is held
//! by nobody either, so that one of the last ten seconds stays. No clock decides more than that: a copy may take hours, and a
//! call that was stopped (SIGSTOP) goes on.

use crate::{clock, exec};
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Between the making of a directory and its lock.
const YOUNG: Duration = Duration::from_secs(10);

/// How the names of [`Scratch::home`] begin.
const HOME: &str = "codex-sandbox-home-";

/// What this call holds until it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A directory for one call, removed when it is dropped.
pub(crate) struct Scratch {
    temp: TempDir,
    _held: Option<File>,
}

impl Scratch {
    /// One of a name that nobody has, which begins with `prefix`.
    pub(crate) fn make(parent: &Path, prefix: &str) -> io::Result<Scratch> {
        let temp = tempfile::Builder::new().prefix(prefix).tempdir_in(parent)?;
        Ok(Scratch { _held: hold(temp.path()), temp })
    }

    /// One for a program that needs a home, and leaves nothing there that anybody wants. Where users have one directory for
    /// such, those of others are not touched.
    ///
    /// # Errors
    /// There is no directory for temporary files that can be written.
    pub(crate) fn home() -> Result<Scratch> {
        let parent = std::env::temp_dir();
        let _ = sweep(&parent, HOME);
        Scratch::make(&parent, HOME).context("cannot make a temporary directory")
    }

    pub(crate) fn path(&self) -> &Path {
        self.temp.path()
    }

    /// It has got another name, and stays.
    pub(crate) fn keep(self) {
        let _ = self.temp.keep();
    }
}

/// The lock of a directory, unless a call has it, or the file system has no locks. The kernel lets go of it however a call ends.
pub(crate) fn hold(dir: &Path) -> Option<File> {
    let dir = open(dir)?;
    dir.try_lock().is_ok().then_some(dir)
}

/// The same lock, as others may have it at the same time.
pub(crate) fn share(dir: &Path) -> Option<File> {
    open(dir).filter(|dir| dir.try_lock_shared().is_ok())
}

/// This call uses a directory until it ends, as others may: none of them gets its lock.
pub(crate) fn use_to_the_end(dir: &Path) {
    let held = share(dir);
    HELD.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
}

/// As if the call had ended that uses a directory.
#[cfg(test)]
pub(crate) fn let_go(dir: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let inode = dir.metadata().unwrap().ino();
    HELD.lock().unwrap().retain(|held| held.metadata().unwrap().ino() != inode);
}

fn open(dir: &Path) -> Option<File> {
    let flags = rustix::fs::OFlags::DIRECTORY.union(rustix::fs::OFlags::NOFOLLOW).union(rustix::fs::OFlags::CLOEXEC);
    Some(File::from(rustix::fs::open(dir, flags, rustix::fs::Mode::empty()).ok()?))
}

/// Removes the directories of this user's killed calls whose names begin with `prefix`, and returns them. Where the clock was set back, one
/// can lie in the future.
///
/// # Errors
/// One cannot be removed.
pub(crate) fn sweep(parent: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let (now, mut swept) = (SystemTime::now(), Vec::new());
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let own = entry.metadata().ok().filter(|meta| meta.uid() == rustix::process::geteuid().as_raw());
        let Some(made) = own.and_then(|meta| meta.modified().ok()) else { continue };
        if clock::age(made, now) < YOUNG {
            continue;
        }
        if let Some(_held) = hold(&entry.path()) {
            exec::remove(&entry.path())?;
            swept.push(entry.path());
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_call_left_is_removed_and_nothing_of_one_that_goes_on() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let aged = |dir: &Path, time: SystemTime| File::open(dir).unwrap().set_modified(time).unwrap();
        let (hour, now) = (Duration::from_secs(3600), SystemTime::now());
        let live = Scratch::make(parent.path(), "quarantine-").unwrap();
        aged(live.path(), now - hour);
        for (name, time) in [
            ("quarantine-old", now - hour),
            ("quarantine-of-a-clock-that-was-set-back", now + hour),
            ("quarantine-new", now),
            ("other", now - hour),
        ] {
            std::fs::create_dir(at(name)).unwrap();
            aged(&at(name), time);
        }
        std::os::unix::fs::symlink("other", at("quarantine-link")).unwrap();
        sweep(parent.path(), "quarantine-").unwrap();
        assert!(live.path().exists(), "its call goes on");
        assert!(!at("quarantine-old").exists() && !at("quarantine-of-a-clock-that-was-set-back").exists());
        assert!(at("quarantine-new").exists() && at("other").exists());
        let path = live.path().to_owned();
        drop(live);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_call_uses_no_other_one_gets() {
        let dir = tempfile::tempdir().unwrap();
        drop(hold(dir.path()).unwrap());
        use_to_the_end(dir.path());
        use_to_the_end(dir.path());
        assert!(hold(dir.path()).is_none());
        let_go(dir.path());
        assert!(hold(dir.path()).is_some());
        assert!(hold(&dir.path().join("missing")).is_none());
    }
}
