//! What is changed beneath a directory that an agent can have written.

use super::{Beneath, DIRECTORY, FileId, Node, Stamp};
use crate::error::failed;
use crate::nonce::nonce;
use crate::text;
use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path};
use std::time::{Duration, Instant};

/// The most names of temporary files that are tried before giving up.
const TRIES: u32 = 1000;

/// The most numbers that are tried for what is renamed. Whoever can write the directory can take all of them in advance:
/// then the name is random.
const NUMBERS: u32 = 8;

impl Beneath {
    /// Opens a directory whose parents are trusted, and makes it where it is missing; its permission bits become `mode`.
    pub(crate) fn make_root(path: &Path, mode: u32) -> Result<Beneath> {
        let make = || -> io::Result<()> {
            path.parent().map_or(Ok(()), |parent| DirBuilder::new().recursive(true).mode(0o700).create(parent))?;
            match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(mode)) {
                Err(Errno::EXIST) => Ok(()),
                made => Ok(made?),
            }
        };
        make().with_context(|| format!("cannot make `{}`", text::path(path)))?;
        let dir = Beneath::root(path)?;
        dir.set_mode(mode)?;
        Ok(dir)
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode))
            .with_context(|| format!("cannot set the mode of `{}`", text::path(&self.path)))
    }

    /// Makes a directory here, which must not exist.
    pub(crate) fn make_dir(&self, name: impl AsRef<Path>, mode: u32) -> Result<Beneath> {
        let name = name.as_ref();
        let shown = self.path.join(name);
        rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode))
            .with_context(|| format!("cannot make `{}`", text::path(&shown)))?;
        let dir = Beneath::held(self.at(name, DIRECTORY, Mode::empty()), shown)?;
        dir.set_mode(mode)?;
        Ok(dir)
    }

    /// Opens a directory below and makes every missing part of the path; anything on the path that is not a directory is
    /// removed first.
    pub(crate) fn make(&self, rel: &Path, mode: u32) -> Result<Beneath> {
        let mut dir = Beneath { fd: self.fd.try_clone()?, path: self.path.clone(), node: self.node };
        for part in rel.components() {
            let Component::Normal(name) = part else {
                return Err(failed(format!("`{}` is no path below a directory", text::path(rel))).into());
            };
            dir = match dir.find_dir(name)? {
                Some(next) => {
                    next.set_mode(mode)?;
                    next
                }
                None => {
                    // A file or a link, which takes no time; what has become a directory meanwhile is refused.
                    match dir.unlink(name) {
                        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err.into()),
                        Ok(()) | Err(_) => dir.make_dir(name, mode)?,
                    }
                }
            };
        }
        Ok(dir)
    }

    /// Makes a file here, which must not exist: nothing that an agent put there is followed or kept.
    pub(crate) fn create(&self, name: impl AsRef<Path>, mode: u32) -> io::Result<File> {
        // It is read again where somebody could have written to it meanwhile.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Ok(File::from(self.at(name.as_ref(), flags, Mode::from_raw_mode(mode))?))
    }

    /// Makes a symlink here, where nothing has that name.
    pub(crate) fn symlink(&self, name: impl AsRef<Path>, target: &Path) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.fd, name.as_ref())?)
    }

    /// Replaces whatever has this name in this very directory by a new file: written beside it, then renamed, so that
    /// there is no moment without the one or the other. Where a directory has the name, how much lies in it may be an
    /// agent's choice: `stop` ends its removal.
    pub(crate) fn write(
        &self,
        name: impl AsRef<Path>,
        bytes: impl AsRef<[u8]>,
        mode: u32,
        stop: &dyn Fn() -> bool,
    ) -> Result<()> {
        self.write_noting(name, bytes, mode, stop, |_| Ok(())).map(drop)
    }

    /// The same; the new file is noted before it takes the place of the old one, and returned afterwards, still open. The
    /// rename moves the last time of its stamp.
    pub(crate) fn write_noting(
        &self,
        name: impl AsRef<Path>,
        bytes: impl AsRef<[u8]>,
        mode: u32,
        stop: &dyn Fn() -> bool,
        note: impl FnOnce(Stamp) -> Result<()>,
    ) -> Result<File> {
        let name = name.as_ref();
        let replace = || -> Result<File> {
            let (temp, mut file) = self.create_temp()?;
            let written = (|| -> Result<()> {
                file.write_all(bytes.as_ref())?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
                note(Stamp::of(&file)?)?;
                if rustix::fs::renameat(&self.fd, &temp, &self.fd, name).is_err() {
                    // A directory has this name, and a rename does not replace it.
                    self.remove_unless(name, stop)?;
                    rustix::fs::renameat(&self.fd, &temp, &self.fd, name)?;
                }
                Ok(())
            })();
            if written.is_err() {
                let _ = self.unlink(&temp);
            }
            written.map(|()| file)
        };
        replace().with_context(|| format!("cannot write `{}`", text::path(&self.path.join(name))))
    }

    fn create_temp(&self) -> io::Result<(String, File)> {
        for n in 0..TRIES {
            let name = format!(".new-{}-{n}", std::process::id());
            match self.create(&name, 0o600) {
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
                file => return Ok((name, file?)),
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Gives what has this name in this very directory the first free name of `NAME.SUFFIX-1`, `NAME.SUFFIX-2`, … or, where
    /// some are taken, one that nobody can have taken, and returns that. A name that is too long for that is cut. Links are
    /// renamed and not followed; nothing is replaced.
    pub(crate) fn rename_aside(&self, name: &OsStr, suffix: &str) -> Result<OsString> {
        self.move_aside(name, name, suffix, self)
    }

    /// What the clock of this file system says now, by a file without a name. `None` where it can make none.
    pub(crate) fn time(&self) -> Option<super::Born> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, ".", flags, Mode::from_raw_mode(0o600)).ok()?;
        Some(Stamp::of(&file).ok()?.changed)
    }

    /// The same in another directory, which this user can write, with the new name made from `new`.
    pub(crate) fn move_aside(&self, name: &OsStr, new: &OsStr, suffix: &str, to_dir: &Beneath) -> Result<OsString> {
        let random = nonce()?;
        if to_dir.node.id != self.node.id && self.stat(name).is_ok_and(|node| node.kind == FileType::Directory) {
            // A directory that its owner may not write cannot be moved to another parent.
            self.unlock(Path::new(name))?;
        }
        let move_to = |to: &OsStr| {
            #[cfg(test)]
            if name == STUCK || (name == STAYS && to_dir.node.id != self.node.id) {
                return Err(Errno::PERM);
            }
            rustix::fs::renameat_with(&self.fd, name, &to_dir.fd, to, RenameFlags::NOREPLACE)
        };
        let rename = || -> Result<OsString, Errno> {
            let numbers = (1..=NUMBERS).map(|n| n.to_string()).chain([random.clone()]);
            let names = numbers.map(|end| aside_name(new, &format!(".{suffix}-{end}")));
            // On a file system with shorter names than usual nothing is left of the own name.
            let short = OsString::from(format!("{suffix}-{random}"));
            for to in names {
                match move_to(&to) {
                    Err(Errno::EXIST) => {}
                    // A file system that cannot promise to replace nothing: nothing has the random name.
                    Err(Errno::INVAL | Errno::NOSYS) => {
                        let to = aside_name(new, &format!(".{suffix}-{random}"));
                        return rustix::fs::renameat(&self.fd, name, &to_dir.fd, &to).map(|()| to);
                    }
                    Err(Errno::NAMETOOLONG) => return move_to(&short).map(|()| short),
                    moved => return moved.map(|()| to),
                }
            }
            Err(Errno::EXIST)
        };
        let renamed = match rename() {
            // Whoever made the name may have closed the directory afterwards.
            Err(Errno::ACCESS | Errno::PERM) if self.set_mode(self.node.mode | 0o700).is_ok() => {
                let again = rename();
                self.set_mode(self.node.mode)?;
                again
            }
            renamed => renamed,
        };
        renamed.with_context(|| format!("cannot rename `{}`", text::path(&self.path.join(name))))
    }

    /// Opens a directory of this user's, whose parents are trusted, to its owner again, where it lacks any of the permission
    /// bits in `needed`. Returns the bits that it had. What is no directory, or another user's, stays as it is.
    pub(crate) fn reopen(path: &Path, needed: u32) -> io::Result<Option<u32>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            fd => fd?,
        };
        let node = Node::of(&fd, Path::new(""))?;
        if node.mode & needed == needed || node.uid != rustix::process::geteuid().as_raw() {
            return Ok(None);
        }
        let open = Permissions::from_mode(node.mode | 0o700);
        std::fs::set_permissions(format!("/proc/self/fd/{}", fd.as_raw_fd()), open)?;
        Ok(Some(node.mode))
    }

    /// Gives a file of this very directory a second name in another one. Nothing is replaced, and a link is not followed.
    pub(crate) fn link(&self, name: impl AsRef<Path>, to: &Beneath, new: impl AsRef<Path>) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.fd, name.as_ref(), &to.fd, new.as_ref(), AtFlags::empty())?)
    }

    /// Moves what has this name in this very directory to another one, where nothing has that name.
    pub(crate) fn move_to(&self, name: &OsStr, to: &Beneath) -> Result<()> {
        let shown = || format!("cannot move `{}` to `{}`", text::path(&self.path.join(name)), text::path(&to.path));
        if self.stat(name).with_context(shown)?.kind == FileType::Directory {
            // A directory that its owner may not write cannot be moved to another parent.
            self.unlock(Path::new(name))?;
        }
        rustix::fs::renameat(&self.fd, name, &to.fd, name).with_context(shown)
    }

    /// Takes permission bits from a regular file of this very directory, also from one that may not be read, and returns
    /// which of them it had. It is changed by its own handle: nothing that takes its place meanwhile is changed.
    pub(crate) fn take_bits(&self, name: impl AsRef<Path>, bits: u32) -> io::Result<u32> {
        let fd = match self.at(name.as_ref(), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(0),
            fd => fd?,
        };
        let node = Node::of(&fd, Path::new(""))?;
        let had = if node.kind == FileType::RegularFile { node.mode & bits } else { 0 };
        if had != 0 {
            std::fs::set_permissions(
                format!("/proc/self/fd/{}", fd.as_raw_fd()),
                Permissions::from_mode(node.mode & !bits),
            )?;
        }
        Ok(had)
    }

    /// Takes the exclusive `flock` on a file of this directory, made where it is missing; anything that is not a
    /// regular file is replaced by one. `None` where another process kept it for all of `wait`.
    pub(crate) fn lock(&self, name: impl AsRef<Path>, wait: Duration) -> Result<Option<Lock>> {
        let name = name.as_ref();
        let odd = |node: Node| node.kind != FileType::RegularFile;
        if self.stat(name).is_ok_and(odd) && self.unlink(name).is_err() {
            // How much lies in a directory may be an agent's choice: it is renamed, and removed with what is around it.
            self.rename_aside(name.as_os_str(), "aside")?;
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK;
        Ok(lock_fd(self.at(name, flags, Mode::from_raw_mode(0o600))?, wait)?)
    }
}

/// A name that cannot be renamed in tests: an ordinary user cannot make a real one on every file system.
#[cfg(test)]
pub(crate) const STUCK: &str = "immutable";

/// One that can be renamed only where it lies.
#[cfg(test)]
pub(crate) const STAYS: &str = "stays";

/// The most bytes of a name on almost every file system.
const LONGEST: usize = 255;

/// A name with another end, cut where both are too long together, and in no character.
fn aside_name(name: &OsStr, end: &str) -> OsString {
    let bytes = name.as_bytes();
    let mut most = bytes.len().min(LONGEST.saturating_sub(end.len()));
    for _ in 0..3 {
        let in_a_character = bytes.get(most).is_some_and(|byte| byte & 0xC0 == 0x80);
        most -= usize::from(in_a_character && most > 0);
    }
    let mut to = OsStr::from_bytes(&bytes[..most]).to_owned();
    to.push(end);
    to
}

/// The kernel's clock of the times of files moves on in steps of at most this.
const CLOCK_STEP: Duration = Duration::from_millis(10);

/// The stamp of a file that was written whole beside a live agent, where it still holds these bytes: from here on each change
/// of them moves the stamp. `None` where somebody has changed it.
pub(crate) fn settled(file: &mut File, bytes: &[u8]) -> io::Result<Option<Stamp>> {
    // What was written through a mapping moves the times only once the page was clean before.
    file.sync_data()?;
    let before = Stamp::of(&*file)?;
    // A change within the same step of the clock would not be seen.
    std::thread::sleep(CLOCK_STEP * 2);
    file.rewind()?;
    let mut found = Vec::new();
    file.take(bytes.len() as u64 + 1).read_to_end(&mut found)?;
    let after = Stamp::of(&*file)?;
    Ok((found == bytes && before == after).then_some(after))
}

/// A held `flock`; dropping it releases the lock.
pub(crate) struct Lock {
    fd: OwnedFd,
}

impl Lock {
    /// The same lock for a process that is started: it is held until that has ended, too.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    /// Whether what was locked is what lies at this path now: who removed it meanwhile made room for another lock.
    pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let locked = FileId::from(&File::from(self.share()?).metadata()?);
        match std::fs::symlink_metadata(path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(false),
            there => there.map(|there| FileId::from(&there) == locked),
        }
    }
}

/// Takes the lock of a file of this tool's own, made where it is missing, until `wait` has passed or `stop` says that nobody
/// wants it any more. Such a file is never removed, but earlier versions of this tool did that: then what was locked is not what
/// the next call locks.
pub(crate) fn lock_at(path: &Path, wait: Duration, stop: impl Fn() -> bool) -> io::Result<Option<Lock>> {
    let end = Instant::now() + wait;
    while Instant::now() < end && !stop() {
        let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if let Some(lock) = lock_fd(file, wait.min(Duration::from_millis(100)))?
            && lock.is_at(path)?
        {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

/// Takes the exclusive `flock` of an open file, asking again until `wait` is over.
pub(crate) fn lock_fd(fd: impl Into<OwnedFd>, wait: Duration) -> io::Result<Option<Lock>> {
    let fd = fd.into();
    let end = Instant::now() + wait;
    loop {
        match rustix::fs::flock(fd.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(Lock { fd })),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
            Err(err) => return Err(err.into()),
        }
    }
}
