//! One directory handle for trees that an agent can have written.
//!
//! The kernel walks every path from a directory that is held open (`openat2` with `RESOLVE_BENEATH`,
//! `RESOLVE_NO_SYMLINKS` and `RESOLVE_NO_MAGICLINKS`, Linux 5.6), so that no link inside leads a read or a write
//! elsewhere, not even one that takes the place of a directory meanwhile. Only regular files are read, without waiting
//! for the writer of a fifo, and never past a limit. Files are replaced by rename and never written in place, so that a
//! hard link to another file is cut, not written through.

mod change;
mod held;
mod remove;
mod way;

#[cfg(test)]
pub(crate) use change::lock_fd;
pub(crate) use change::{Lock, lock_at, settled};
#[cfg(test)]
pub(crate) use change::{STAYS, STUCK};
pub(crate) use held::Held;
pub(crate) use way::Way;

use crate::error::{failed, host};
use crate::text;
use anyhow::Result;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, makedev, openat2, statx};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The most entries of a directory that are listed at once: about 200 MB.
const MOST_ENTRIES: usize = 2_000_000;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A device and an inode: the identity of a file or directory on one kernel, as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct FileId {
    /// `st_dev`.
    pub dev: u64,
    /// `st_ino`.
    pub ino: u64,
}

impl From<&Metadata> for FileId {
    fn from(meta: &Metadata) -> FileId {
        FileId { dev: meta.dev(), ino: meta.ino() }
    }
}

impl std::fmt::Display for FileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "device {} inode {}", self.dev, self.ino)
    }
}

/// What the kernel says of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: FileId,
    /// The id of the mount in which it was found, as in `mountinfo`; known since Linux 5.8.
    pub(crate) mount: Option<u64>,
    pub(crate) kind: FileType,
    /// Its permission bits, with setuid, setgid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// When it was made, where the file system keeps that: an inode number is used again, the number with this time is not.
    pub(crate) born: Option<Born>,
}

/// The time at which an inode was made, in seconds and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Born(pub(crate) i64, pub(crate) u32);

/// By what the kernel lets a change of a file be seen without reading it: whoever writes to it moves the last of the times,
/// which nobody can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stamp {
    pub(crate) id: FileId,
    pub(crate) size: u64,
    pub(crate) modified: Born,
    pub(crate) changed: Born,
}

impl Stamp {
    /// Of an open file.
    pub(crate) fn of(file: impl AsFd) -> io::Result<Stamp> {
        let stat = statx(file, "", AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS)?;
        Ok(Stamp::from(&stat))
    }

    /// Whether it is of the same state of the same file. The device does not count, whose number may be another after the host
    /// has started again: to be asked only of one and the same directory, which lies on one device.
    pub(crate) fn is_still(&self, other: &Stamp) -> bool {
        self.is_but_moved(other) && self.changed == other.changed
    }

    /// The same, where a rename may have moved the last of the times, as it does.
    pub(crate) fn is_but_moved(&self, other: &Stamp) -> bool {
        (self.id.ino, self.size, self.modified) == (other.id.ino, other.size, other.modified)
    }
}

impl From<&Statx> for Stamp {
    fn from(stat: &Statx) -> Stamp {
        let (modified, changed) = (stat.stx_mtime, stat.stx_ctime);
        Stamp {
            id: Node::from(stat).id,
            size: stat.stx_size,
            modified: Born(modified.tv_sec, modified.tv_nsec),
            changed: Born(changed.tv_sec, changed.tv_nsec),
        }
    }
}

impl Node {
    /// What has this name in a directory, links not followed; an empty name means the directory itself.
    fn of(dir: impl AsFd, name: &Path) -> Result<Node, Errno> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = statx(dir, name, flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID | StatxFlags::BTIME)?;
        Ok(Node::from(&stat))
    }

    /// Whether both are of one file system. A subvolume of btrfs has a device of its own, and an agent can make one: only
    /// what also lies in another mount is another file system.
    pub(crate) fn shares_file_system(&self, other: &Node) -> bool {
        self.id.dev == other.id.dev || (self.mount.is_some() && self.mount == other.mount)
    }
}

impl From<&Statx> for Node {
    fn from(stat: &Statx) -> Node {
        let mode = u32::from(stat.stx_mode);
        Node {
            id: FileId { dev: makedev(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino },
            mount: (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id),
            kind: FileType::from_raw_mode(mode),
            mode: mode & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            born: (stat.stx_mask & StatxFlags::BTIME.bits() != 0)
                .then_some(Born(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)),
        }
    }
}

/// Why something was not opened or read.
#[derive(Debug)]
pub(crate) struct Refused {
    path: PathBuf,
    pub(crate) why: Why,
}

/// What was found in the place of a directory or a regular file; or the error.
#[derive(Debug)]
pub(crate) enum Why {
    /// A symlink, at the name itself or on the way.
    Symlink,
    /// The way leads out of the directory.
    Outside,
    /// No directory where one was asked for, or on the way.
    NoDirectory,
    Directory,
    Fifo,
    /// A socket or a device.
    Special,
    /// More bytes than this.
    TooLarge(u64),
    NotUtf8,
    /// It was moved or removed while it was opened.
    Moved,
    Failed(io::Error),
}

impl From<Errno> for Why {
    fn from(err: Errno) -> Why {
        match err {
            Errno::LOOP => Why::Symlink,
            Errno::XDEV => Why::Outside,
            Errno::NOTDIR => Why::NoDirectory,
            Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP => Why::Special,
            err => Why::Failed(err.into()),
        }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = text::path(&self.path);
        match &self.why {
            Why::Failed(err) => write!(f, "cannot open or read `{path}`: {err}"),
            why => write!(f, "`{path}` {why}"),
        }
    }
}

/// What is said behind the path.
impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Symlink => write!(f, "is or leads through a symlink"),
            Why::Outside => write!(f, "leads out of its directory"),
            Why::NoDirectory => write!(f, "is not a directory, or does not lie in one"),
            Why::Directory => write!(f, "is a directory and not a plain file"),
            Why::Fifo => write!(f, "is a fifo and not a plain file"),
            Why::Special => write!(f, "is a socket or a device and not a plain file"),
            Why::TooLarge(limit) => write!(f, "has more than {limit} bytes"),
            Why::NotUtf8 => write!(f, "is not UTF-8"),
            Why::Moved => write!(f, "was moved or removed while it was opened"),
            Why::Failed(err) => write!(f, "cannot be opened or read: {err}"),
        }
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// What was to be opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Why something is not read as a plain file.
fn not_plain(kind: FileType) -> Option<Why> {
    match kind {
        FileType::RegularFile => None,
        FileType::Directory => Some(Why::Directory),
        FileType::Fifo => Some(Why::Fifo),
        FileType::Symlink => Some(Why::Symlink),
        FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => Some(Why::Special),
    }
}

/// A directory that is held open, and what was opened.
pub(crate) struct Beneath {
    fd: OwnedFd,
    path: PathBuf,
    node: Node,
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Beneath {
    /// Opens a directory whose parents are trusted. The last part of its path must not be a symlink.
    pub(crate) fn root(path: &Path) -> Result<Beneath> {
        Beneath::root_if_there(path)?.ok_or_else(|| failed(format!("`{}` does not exist", text::path(path))).into())
    }

    /// The same; `None` where it is missing.
    pub(crate) fn root_if_there(path: &Path) -> Result<Option<Beneath>> {
        match openat2(CWD, path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), ResolveFlags::empty()) {
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOSYS) => Err(host("this kernel has no openat2").hint("use Linux 5.6 or later").into()),
            found => Ok(Some(Beneath::held(found, path.to_owned())?)),
        }
    }

    fn held(fd: Result<OwnedFd, Errno>, path: PathBuf) -> Result<Beneath, Refused> {
        match fd.and_then(|fd| Ok((Node::of(&fd, Path::new(""))?, fd))) {
            Ok((node, fd)) => Ok(Beneath { fd, path, node }),
            Err(err) => Err(Refused { path, why: err.into() }),
        }
    }

    /// What was opened. It stays the same when the path is renamed or replaced.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// The path by which it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn refused(&self, rel: &Path, why: impl Into<Why>) -> Refused {
        Refused { path: self.path.join(rel), why: why.into() }
    }

    fn at(&self, rel: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.fd, rel, flags | OFlags::CLOEXEC, mode, resolve)
    }

    /// A directory below. `None` where it is missing.
    pub(crate) fn open_dir(&self, rel: impl AsRef<Path>) -> Result<Option<Beneath>, Refused> {
        let rel = rel.as_ref();
        match self.at(rel, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => Ok(None),
            found => Beneath::held(found, self.path.join(rel)).map(Some),
        }
    }

    /// The same in a tree of ours, which is to be repaired: what is not a directory, or is reached through a link, counts
    /// as missing, and a directory that its owner may not enter gets the bits 0700.
    pub(crate) fn find_dir(&self, rel: impl AsRef<Path>) -> Result<Option<Beneath>, Refused> {
        let rel = rel.as_ref();
        match self.open_dir(rel) {
            Err(Refused { why: Why::Symlink | Why::NoDirectory, .. }) => Ok(None),
            Err(Refused { why: Why::Failed(err), .. }) if err.kind() == io::ErrorKind::PermissionDenied => {
                self.unlock(rel).map_err(|err| self.refused(rel, Why::Failed(err)))?;
                self.open_dir(rel)
            }
            Ok(Some(dir)) => {
                // A directory that can be listed and not entered would hide what lies in it from its owner alone.
                if dir.stat(".").is_err_and(|err| err.kind() == io::ErrorKind::PermissionDenied) {
                    rustix::fs::fchmod(&dir.fd, Mode::from_raw_mode(dir.node.mode | 0o700))
                        .map_err(|err| self.refused(rel, err))?;
                }
                Ok(Some(dir))
            }
            found => found,
        }
    }

    fn unlock(&self, rel: &Path) -> io::Result<()> {
        let fd = self.at(rel, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        std::fs::set_permissions(format!("/proc/self/fd/{}", fd.as_raw_fd()), Permissions::from_mode(0o700))
    }

    /// A regular file below, open for reading. `None` where it is missing.
    pub(crate) fn file(&self, rel: impl AsRef<Path>) -> Result<Option<(File, Metadata)>, Refused> {
        let rel = rel.as_ref();
        // NONBLOCK: a fifo that nobody writes to must not hold us up.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.at(rel, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            fd => File::from(fd.map_err(|err| self.refused(rel, err))?),
        };
        let meta = file.metadata().map_err(|err| self.refused(rel, Why::Failed(err)))?;
        match not_plain(FileType::from_raw_mode(meta.mode())) {
            None => Ok(Some((file, meta))),
            Some(why) => Err(self.refused(rel, why)),
        }
    }

    /// The bytes of a regular file below, which may have at most `limit` of them. `None` where it is missing.
    pub(crate) fn read(&self, rel: impl AsRef<Path>, limit: u64) -> Result<Option<(Vec<u8>, Metadata)>, Refused> {
        let rel = rel.as_ref();
        let Some((file, meta)) = self.file(rel)? else { return Ok(None) };
        let mut bytes = Vec::new();
        // The file can grow while it is read: the limit is on what is read.
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|err| self.refused(rel, Why::Failed(err)))?;
        if bytes.len() as u64 > limit {
            return Err(self.refused(rel, Why::TooLarge(limit)));
        }
        Ok(Some((bytes, meta)))
    }

    /// The same as text.
    pub(crate) fn text(&self, rel: impl AsRef<Path>, limit: u64) -> Result<Option<String>, Refused> {
        let rel = rel.as_ref();
        let found = self.read(rel, limit)?.map(|(bytes, _)| String::from_utf8(bytes));
        found.transpose().map_err(|_| self.refused(rel, Why::NotUtf8))
    }

    /// The names in this directory, sorted.
    ///
    /// # Errors
    /// It cannot be read, or has more of them than fit into memory well.
    pub(crate) fn names(&self) -> Result<Vec<(OsString, FileType)>, Refused> {
        self.names_within(MOST_ENTRIES)
    }

    fn names_within(&self, most: usize) -> Result<Vec<(OsString, FileType)>, Refused> {
        let names = self.names_up_to(most + 1)?;
        if names.len() > most {
            let many = io::Error::other(format!("it has more than {most} entries"));
            return Err(self.refused(Path::new(""), Why::Failed(many)));
        }
        Ok(names)
    }

    /// The same, and no more than `most` of them, in no certain choice.
    pub(crate) fn names_up_to(&self, most: usize) -> Result<Vec<(OsString, FileType)>, Refused> {
        let list = || -> Result<Vec<(OsString, FileType)>, Errno> {
            let mut names = Vec::new();
            for entry in rustix::fs::Dir::read_from(&self.fd)? {
                if names.len() == most {
                    break;
                }
                let entry = entry?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name != "." && name != ".." {
                    names.push((name.to_owned(), entry.file_type()));
                }
            }
            names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            Ok(names)
        };
        list().map_err(|err| self.refused(Path::new(""), err))
    }

    /// What lies at a path below, no link followed: of a file too, which is not opened for reading.
    pub(crate) fn look(&self, rel: impl AsRef<Path>) -> Result<Option<Node>, Refused> {
        let rel = rel.as_ref();
        match self.at(rel, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).and_then(|fd| Node::of(fd, Path::new(""))) {
            Err(Errno::NOENT) => Ok(None),
            found => found.map(Some).map_err(|err| self.refused(rel, err)),
        }
    }

    /// What lies at a name in this very directory.
    pub(crate) fn stat(&self, name: impl AsRef<Path>) -> io::Result<Node> {
        Ok(Node::of(&self.fd, name.as_ref())?)
    }

    /// The same, with its stamp.
    pub(crate) fn stamp(&self, name: impl AsRef<Path>) -> io::Result<(Node, Stamp)> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = statx(&self.fd, name.as_ref(), flags, StatxFlags::BASIC_STATS)?;
        Ok((Node::from(&stat), Stamp::from(&stat)))
    }

    /// Whether the file system is kept in memory: there, writes through a mapping move no time.
    pub(crate) fn is_in_memory(&self) -> bool {
        const TMPFS: i64 = 0x0102_1994;
        const RAMFS: i64 = 0x8584_58f6;
        rustix::fs::fstatfs(&self.fd).is_ok_and(|system| matches!(system.f_type, TMPFS | RAMFS))
    }

    /// What a symlink at a name in this very directory says.
    pub(crate) fn read_link(&self, name: impl AsRef<Path>) -> io::Result<PathBuf> {
        let text = rustix::fs::readlinkat(&self.fd, name.as_ref(), Vec::new())?;
        Ok(OsStr::from_bytes(text.to_bytes()).into())
    }

    /// Removes a name in this very directory: a file, or a link and not what it leads to. No directory.
    pub(crate) fn unlink(&self, name: impl AsRef<Path>) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name.as_ref(), AtFlags::empty())?)
    }
}

#[cfg(test)]
mod tests;
