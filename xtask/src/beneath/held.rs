//! A file or directory that is held open, and the way on which it was found.
//!
//! Between a check by name and a use by name, whoever can write a directory on the way can put something else there. A
//! `Held` is the object itself: it is opened part by part, symlinks are resolved here and not by the kernel, and every
//! directory in which a name was looked up is remembered. What is asked of it later is asked of the open handle.

use super::{Beneath, DIRECTORY, FileId, Node, Refused, Way, Why};
use rustix::fs::{CWD, FileType, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// Only names the object: nothing is read, no device is opened, no fifo waits.
const NAMED: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A file or directory that is held open.
#[derive(Debug)]
pub(crate) struct Held {
    fd: OwnedFd,
    asked: PathBuf,
    real: PathBuf,
    node: Node,
    passed: Vec<Passed>,
    above: Vec<FileId>,
}

/// A directory in which a name was looked up on the way, also for the target of a symlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) path: PathBuf,
    pub(crate) node: Node,
}

/// Where the walk is.
struct At {
    fd: OwnedFd,
    path: PathBuf,
    node: Node,
}

impl At {
    fn open(dir: impl std::os::fd::AsFd, name: &OsStr, path: PathBuf) -> Result<At, Errno> {
        let fd = openat(dir, name, NAMED, Mode::empty())?;
        Ok(At { node: Node::of(&fd, Path::new(""))?, fd, path })
    }

    fn root() -> Result<At, Errno> {
        At::open(CWD, OsStr::new("/"), PathBuf::from("/"))
    }
}

impl Held {
    /// Opens what a path leads to, its symlinks followed.
    pub(crate) fn open(path: &Path) -> Result<Held, Refused> {
        walk(path).map_err(|why| Refused { path: path.to_owned(), why })
    }

    /// What is held.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// The path by which it was asked for.
    pub(crate) fn asked(&self) -> &Path {
        &self.asked
    }

    /// The path by which the kernel knows it, without symlinks.
    pub(crate) fn real(&self) -> &Path {
        &self.real
    }

    /// The directories in which a name was looked up on the way, in this order.
    pub(crate) fn passed(&self) -> &[Passed] {
        &self.passed
    }

    /// The directories around it, the nearest first, up to the root: each is the `..` of the one before.
    pub(crate) fn above(&self) -> &[FileId] {
        &self.above
    }

    fn refused(&self, why: impl Into<Why>) -> Refused {
        Refused { path: self.asked.clone(), why: why.into() }
    }

    /// This very directory, to be read.
    pub(crate) fn dir(&self) -> Result<Beneath, Refused> {
        Beneath::held(openat(&self.fd, ".", DIRECTORY, Mode::empty()), self.asked.clone())
    }

    /// This very regular file, to be read.
    pub(crate) fn file(&self) -> Result<(File, Metadata), Refused> {
        if let Some(why) = super::not_plain(self.node.kind) {
            return Err(self.refused(why));
        }
        let open = || {
            let file = File::open(self.by_handle())?;
            let meta = file.metadata()?;
            Ok((file, meta))
        };
        open().map_err(|err| self.refused(Why::Failed(err)))
    }

    /// A path that leads to this very object as long as it is held, for this process alone.
    pub(crate) fn by_handle(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd()).into()
    }
}

fn walk(path: &Path) -> Result<Held, Why> {
    let mut way = Way::new(path);
    let (mut here, mut around) = (At::root()?, None);
    let mut passed = Vec::new();
    while let Some(name) = way.step() {
        if name == "/" {
            // Each absolute path begins with it.
            if !passed.is_empty() {
                here = At::root()?;
            }
            continue;
        }
        if here.node.kind != FileType::Directory {
            return Err(Why::NoDirectory);
        }
        let place = Passed { path: here.path.clone(), node: here.node };
        if !passed.contains(&place) {
            passed.push(place);
        }
        let next = match name == ".." {
            true => here.path.parent().unwrap_or(Path::new("/")).to_owned(),
            false => here.path.join(&name),
        };
        let next = At::open(&here.fd, &name, next)?;
        if next.node.kind == FileType::Symlink {
            let target = OsString::from_vec(readlinkat(&next.fd, "", Vec::new())?.into_bytes());
            way.link(Path::new(&target)).map_err(|_| Why::Symlink)?;
            continue;
        }
        around = Some(std::mem::replace(&mut here, next));
    }
    let above = above(&here, around.as_ref(), &passed);
    let At { fd, path: walked, node } = here;
    let real = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(Why::Failed)?;
    if real != walked {
        return Err(Why::Moved);
    }
    Ok(Held { fd, asked: path.to_owned(), real, node, passed, above })
}

/// The directories around what was found. A directory tells its parent itself, which also shows what a bind mount lies
/// in; a file, and a directory that we may not enter, has the one in which it was found.
fn above(found: &At, around: Option<&At>, passed: &[Passed]) -> Vec<FileId> {
    let parent = |dir: &OwnedFd| {
        let fd = openat(dir, "..", NAMED | OFlags::DIRECTORY, Mode::empty()).ok()?;
        Some((Node::of(&fd, Path::new("")).ok()?, fd))
    };
    let mut above: Vec<FileId> = Vec::new();
    let mut next = parent(&found.fd).or_else(|| {
        let around = around?;
        above.push(around.node.id);
        parent(&around.fd)
    });
    let mut last = None;
    while let Some((node, fd)) = next {
        // The root is its own parent.
        if last == Some((node.id, node.mount)) {
            return above;
        }
        last = Some((node.id, node.mount));
        above.push(node.id);
        next = parent(&fd);
    }
    above.extend(passed.iter().map(|place| place.node.id));
    above
}

impl Passed {
    /// The path as the kernel writes it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.path.as_os_str().as_bytes()).into_owned()
    }
}

#[cfg(test)]
mod tests;
