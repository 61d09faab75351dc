//! Reads and writes in a directory whose contents an agent can have written: every path is walked by the kernel from
//! a directory handle, never through a symlink, never out of it (`openat2`, Linux 5.6). Only plain files are read,
//! without waiting for them, and never past a bound.

use crate::error::{failed, host};
use anyhow::{Context as _, Result};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2, renameat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// An open directory, and the name that messages give it.
pub(super) struct Tree {
    fd: OwnedFd,
    shown: String,
}

impl Tree {
    /// Opens a directory of the host's; its last part must not be a symlink. `None` where it is missing.
    pub(super) fn open(path: &Path) -> Result<Option<Tree>> {
        let shown = path.display().to_string();
        let resolve = ResolveFlags::NO_MAGICLINKS;
        match openat2(CWD, path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            Ok(fd) => Ok(Some(Tree { fd, shown })),
            Err(Errno::NOENT) => Ok(None),
            Err(err) => Err(refused(&shown, err)),
        }
    }

    fn shown(&self, rel: &str) -> String {
        format!("{}/{rel}", self.shown)
    }

    fn at(&self, rel: &str, flags: OFlags) -> Result<Option<OwnedFd>> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(&self.fd, rel, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => Ok(None),
            Err(err) => Err(refused(&self.shown(rel), err)),
        }
    }

    /// A directory below. `None` where it is missing; a symlink or anything else is an error.
    pub(super) fn sub(&self, rel: &str) -> Result<Option<Tree>> {
        let shown = self.shown(rel);
        Ok(self.at(rel, DIRECTORY)?.map(|fd| Tree { fd, shown }))
    }

    /// A plain file below, open for reading, and its size. Does not wait for the writer of a named pipe.
    pub(super) fn file(&self, rel: &str) -> Result<Option<(File, u64)>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let Some(fd) = self.at(rel, flags)? else {
            return Ok(None);
        };
        let stat = fstat(&fd).with_context(|| format!("cannot look at `{}`", self.shown(rel)))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(failed(format!("`{}` is not a plain file", self.shown(rel))).into());
        }
        Ok(Some((File::from(fd), u64::try_from(stat.st_size).unwrap_or(u64::MAX))))
    }

    /// The bytes of a plain file below, which may have at most `bound` of them.
    pub(super) fn bytes(&self, rel: &str, bound: u64) -> Result<Option<Vec<u8>>> {
        let Some((file, _)) = self.file(rel)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        // The size can grow while it is read: the bound is on what is read.
        file.take(bound + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read `{}`", self.shown(rel)))?;
        if bytes.len() as u64 > bound {
            return Err(failed(format!("`{}` has more than {bound} bytes", self.shown(rel))).into());
        }
        Ok(Some(bytes))
    }

    /// The text of a plain file below, with the same bound. Invalid UTF-8 is an error.
    pub(super) fn text(&self, rel: &str, bound: u64) -> Result<Option<String>> {
        let Some(bytes) = self.bytes(rel, bound)? else {
            return Ok(None);
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(failed(format!("`{}` is not UTF-8", self.shown(rel))).into()),
        }
    }

    /// The names in this directory with their types, sorted, without those that are not UTF-8.
    pub(super) fn names(&self) -> Result<Vec<(String, FileType)>> {
        let read = || -> rustix::io::Result<Vec<(String, FileType)>> {
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.fd)? {
                let entry = entry?;
                if let Ok(name) = entry.file_name().to_str()
                    && name != "."
                    && name != ".."
                {
                    names.push((name.to_owned(), entry.file_type()));
                }
            }
            names.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(names)
        };
        read().with_context(|| format!("cannot list `{}`", self.shown))
    }

    /// Makes a directory here, which must not exist.
    pub(super) fn make_dir(&self, name: &str) -> Result<Tree> {
        mkdirat(&self.fd, name, Mode::from_raw_mode(0o755))
            .with_context(|| format!("cannot make `{}`", self.shown(name)))?;
        self.sub(name)?.ok_or_else(|| failed(format!("`{}` vanished", self.shown(name))).into())
    }

    /// Writes a file here, which must not exist: nothing that an agent put there is followed or kept.
    pub(super) fn create(&self, name: &str) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let fd = openat2(&self.fd, name, flags, Mode::from_raw_mode(0o644), resolve)
            .with_context(|| format!("cannot make `{}`", self.shown(name)))?;
        Ok(File::from(fd))
    }

    /// Writes a whole file here, which must not exist.
    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.create(name)?.write_all(bytes.as_ref()).with_context(|| format!("cannot write `{}`", self.shown(name)))
    }

    /// Replaces what has this name here by a whole file, in one move: there is no moment without the one or the other.
    pub(super) fn replace(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let new = format!("{name}.new");
        self.remove(&new)?;
        self.write(&new, bytes)?;
        if self.sub(name).is_ok_and(|dir| dir.is_some()) {
            self.remove(name)?;
        }
        renameat(&self.fd, &new, &self.fd, name).with_context(|| format!("cannot replace `{}`", self.shown(name)))
    }

    /// Removes what has this name here, whatever it is; missing is fine.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        // The handle's own path: only the last part is the agent's, and that one the standard library never follows.
        let path = self.handle_path().join(name);
        let gone = match path.symlink_metadata() {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(&path),
            _ => std::fs::remove_file(&path),
        };
        gone.map_err(|err| {
            failed(format!("cannot remove `{}`: {err}", self.shown(name)))
                .hint(format!("chmod -R u+rwX {}", shell_words::quote(&self.shown)))
                .into()
        })
    }

    fn handle_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn refused(shown: &str, err: Errno) -> anyhow::Error {
    match err {
        Errno::LOOP | Errno::XDEV => failed(format!("`{shown}` is or leads through a symlink")).into(),
        Errno::NOTDIR => failed(format!("`{shown}` is not a directory")).into(),
        Errno::NOSYS => host("this kernel has no openat2").hint("use Linux 5.6 or later").into(),
        err => failed(format!("cannot open `{shown}`: {}", std::io::Error::from(err))).into(),
    }
}
