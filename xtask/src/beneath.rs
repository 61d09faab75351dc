//! Directory handles that refuse symlinks, for trees that an agent could write to.
//!
//! Every path is resolved by `openat2` with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS` from a directory that is held open,
//! so that no link planted inside leads a read or a write elsewhere. Files are replaced by rename and never written
//! in place, so that a hard link to somebody else's file is cut, not written through. Nothing blocks on a fifo.

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};
use std::time::{Duration, Instant};

/// The most names of temporary files that are tried before giving up.
const TRIES: u32 = 1000;

/// A directory that is held open.
pub struct Dir {
    fd: OwnedFd,
}

/// What lies at a name.
pub enum Entry {
    /// Nothing.
    Missing,
    /// A regular file, read whole.
    File {
        /// Its content.
        bytes: Vec<u8>,
        /// Its permission bits.
        mode: u32,
        /// How many names it has: more than one means that a write in place would change another file.
        links: u64,
    },
    /// Something that is not read, and what it is: `a symlink`, `a fifo`, `a directory`, `too large` …
    Odd(&'static str),
}

impl Dir {
    /// Opens a directory whose parents are trusted; the last component itself may not be a symlink.
    pub fn open_root(path: &Path) -> io::Result<Dir> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Dir { fd })
    }

    /// The same, made first where it is missing; its permission bits become `mode`.
    pub fn make_root(path: &Path, mode: u32) -> io::Result<Dir> {
        if let Some(parent) = path.parent() {
            std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700).create(parent)?;
        }
        match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(err) => return Err(err.into()),
        }
        let dir = Dir::open_root(path)?;
        rustix::fs::fchmod(&dir.fd, Mode::from_raw_mode(mode))?;
        Ok(dir)
    }

    fn openat2(&self, name: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.fd, name, flags | OFlags::CLOEXEC, mode, resolve)
    }

    fn stat(&self, name: &Path) -> Result<Stat, Errno> {
        rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Opens a directory below. `None` where there is nothing, or anything but a directory reached without symlinks.
    pub fn open(&self, name: &Path) -> io::Result<Option<Dir>> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        match self.openat2(name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(Errno::ACCESS) => {
                self.unlock(name)?;
                Ok(Some(Dir { fd: self.openat2(name, flags, Mode::empty())? }))
            }
            found => Ok(Some(Dir { fd: found? })),
        }
    }

    /// Gives a directory of ours the bits 0700, so that it can be entered; no symlink is followed.
    fn unlock(&self, name: &Path) -> io::Result<()> {
        let fd = self.openat2(name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        let open_file = format!("/proc/self/fd/{}", fd.as_raw_fd());
        std::fs::set_permissions(open_file, std::os::unix::fs::PermissionsExt::from_mode(0o700))
    }

    /// Opens a directory below and makes every missing part of the way; what is in the way and no directory is removed.
    pub fn make(&self, path: &Path, mode: u32) -> io::Result<Dir> {
        let mut dir = Dir { fd: self.fd.try_clone()? };
        for part in path.components() {
            let Component::Normal(name) = part else {
                return Err(Errno::INVAL.into());
            };
            let name = Path::new(name);
            let next = match dir.open(name)? {
                Some(next) => next,
                None => {
                    dir.remove(name)?;
                    rustix::fs::mkdirat(&dir.fd, name, Mode::from_raw_mode(mode))?;
                    dir.open(name)?.ok_or(Errno::LOOP)?
                }
            };
            rustix::fs::fchmod(&next.fd, Mode::from_raw_mode(mode))?;
            dir = next;
        }
        Ok(dir)
    }

    /// The names in this directory.
    pub fn names(&self) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let name = entry?.file_name().to_owned();
            if name.to_bytes() != b"." && name.to_bytes() != b".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The names of directories of this file system, and of files with one of these permission bits.
    pub fn with_bits(&self, bits: u32) -> io::Result<(Vec<CString>, Vec<CString>)> {
        let device = rustix::fs::fstat(&self.fd)?.st_dev;
        let (mut dirs, mut files) = (Vec::new(), Vec::new());
        for name in self.names()? {
            let Ok(stat) = self.stat(Path::new(OsStr::from_bytes(name.to_bytes()))) else {
                continue;
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if stat.st_dev == device => dirs.push(name),
                FileType::RegularFile if stat.st_mode & bits != 0 => files.push(name),
                _ => {}
            }
        }
        Ok((dirs, files))
    }

    /// Takes permission bits from a regular file; `false` where it is none, or has none of them any more.
    pub fn take_bits(&self, name: &Path, bits: u32) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let fd = match self.openat2(name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP) => return Ok(false),
            fd => fd?,
        };
        let mode = rustix::fs::fstat(&fd)?.st_mode;
        if FileType::from_raw_mode(mode) != FileType::RegularFile || mode & bits == 0 {
            return Ok(false);
        }
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode & 0o7777 & !bits))?;
        Ok(true)
    }

    /// Reads a regular file of at most `cap` bytes.
    pub fn read(&self, path: &Path, cap: u64) -> io::Result<Entry> {
        // NONBLOCK: a fifo that nobody writes to must not hold us up.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let fd = match self.openat2(path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(Entry::Missing),
            Err(Errno::LOOP) => return Ok(Entry::Odd("a symlink")),
            Err(Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP) => return Ok(Entry::Odd("a socket or a device")),
            Err(Errno::NOTDIR) => return Ok(Entry::Odd("below something that is no directory")),
            Err(err) => return Err(err.into()),
        };
        let stat = rustix::fs::fstat(&fd)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Ok(Entry::Odd(match kind {
                FileType::Directory => "a directory",
                FileType::Fifo => "a fifo",
                _ => "a device",
            }));
        }
        let mut bytes = Vec::new();
        File::from(fd).take(cap + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > cap {
            return Ok(Entry::Odd("too large"));
        }
        Ok(Entry::File { bytes, mode: stat.st_mode & 0o7777, links: stat.st_nlink as u64 })
    }

    /// Replaces whatever lies at `name`, in this very directory, by a new file: written beside it, then renamed.
    pub fn write(&self, name: &OsStr, bytes: &[u8], mode: u32) -> io::Result<()> {
        let (temp, fd) = self.create_temp()?;
        let mut file = File::from(fd);
        let written = (|| {
            file.write_all(bytes)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            if rustix::fs::renameat(&self.fd, &temp, &self.fd, name).is_err() {
                // A directory is in the way.
                self.remove(Path::new(name))?;
                rustix::fs::renameat(&self.fd, &temp, &self.fd, name)?;
            }
            Ok(())
        })();
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.fd, &temp, AtFlags::empty());
        }
        written
    }

    fn create_temp(&self) -> io::Result<(String, OwnedFd)> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        for n in 0..TRIES {
            let name = format!(".new-{}-{n}", std::process::id());
            match self.openat2(Path::new(&name), flags, Mode::from_raw_mode(0o600)) {
                Err(Errno::EXIST) => {}
                fd => return Ok((name, fd?)),
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Removes what lies at `name`, in this very directory: a file, a link, or a whole tree. Missing is fine.
    pub fn remove(&self, name: &Path) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            Err(err) => return Err(err.into()),
        }
        // However deep the tree is, two handles are enough: each directory is moved up before it is emptied.
        let trash_name = format!(".trash-{}", std::process::id());
        match rustix::fs::mkdirat(&self.fd, &trash_name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(err) => return Err(err.into()),
        }
        let trash = self.open(Path::new(&trash_name))?.ok_or(Errno::LOOP)?;
        let mut next = 0;
        self.throw_away(name, &trash, &mut next)?;
        while let Some(name) = trash.names()?.pop() {
            let name = Path::new(OsStr::from_bytes(name.as_bytes()));
            if let Some(dir) = trash.open(name)? {
                for child in dir.names()? {
                    dir.throw_away(Path::new(OsStr::from_bytes(child.as_bytes())), &trash, &mut next)?;
                }
                rustix::fs::unlinkat(&trash.fd, name, AtFlags::REMOVEDIR)?;
            } else {
                rustix::fs::unlinkat(&trash.fd, name, AtFlags::empty())?;
            }
        }
        Ok(rustix::fs::unlinkat(&self.fd, &trash_name, AtFlags::REMOVEDIR)?)
    }

    fn throw_away(&self, name: &Path, trash: &Dir, next: &mut u64) -> io::Result<()> {
        if FileType::from_raw_mode(self.stat(name)?.st_mode) != FileType::Directory {
            return Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?);
        }
        // A directory that its owner may not write cannot be moved to another parent.
        self.unlock(name)?;
        loop {
            *next += 1;
            match rustix::fs::renameat_with(
                &self.fd,
                name,
                &trash.fd,
                next.to_string(),
                rustix::fs::RenameFlags::NOREPLACE,
            ) {
                Err(Errno::EXIST) => {}
                moved => return Ok(moved?),
            }
        }
    }

    /// Takes the exclusive `flock` on a file of this directory, made where it is missing; anything that is no regular
    /// file gives way to one. `None` where another process kept it for all of `wait`.
    pub fn lock(&self, name: &OsStr, wait: Duration) -> io::Result<Option<Lock>> {
        let path = Path::new(name);
        let odd = |stat: Stat| FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile;
        if self.stat(path).is_ok_and(odd) {
            self.remove(path)?;
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        lock_fd(self.openat2(path, flags, Mode::from_raw_mode(0o600))?, wait)
    }
}

/// A held `flock`; dropping it lets go.
pub struct Lock {
    _fd: OwnedFd,
}

/// Takes the exclusive `flock` of an open file, asking again until `wait` is over.
pub fn lock_fd(fd: impl Into<OwnedFd>, wait: Duration) -> io::Result<Option<Lock>> {
    let fd = fd.into();
    let end = Instant::now() + wait;
    loop {
        match rustix::fs::flock(fd.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(Lock { _fd: fd })),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
            Err(err) => return Err(err.into()),
        }
    }
}

#[cfg(test)]
mod tests;
