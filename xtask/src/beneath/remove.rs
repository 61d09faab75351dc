//! Removing a tree whose size, depth, names and modes an agent chose: in bounded memory, with few open handles, until the
//! user wants it to end, and as far as it can be removed.

use super::{Beneath, DIRECTORY};
use crate::error::{Failure, failed, interrupted};
use crate::nonce::nonce;
use crate::text;
use anyhow::Result;
use rustix::fs::{AtFlags, FileType, Mode, RenameFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

/// How many names of a directory are in memory at once.
const BATCH: usize = if cfg!(test) { 100 } else { 10_000 };

/// How much that cannot be removed is named, and how much of one directory is passed over before all of it is given up.
const MOST_NAMED: usize = 20;
const MOST_STUCK: usize = 10_000;

/// What cannot be removed.
#[derive(Default)]
struct Left {
    named: Vec<String>,
    count: usize,
}

impl Left {
    fn add(&mut self, path: &Path, why: &dyn std::fmt::Display) {
        self.count += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(format!("`{}` ({why})", text::path(path)));
        }
    }

    fn failure(&self, whole: &Path) -> Failure {
        let more = self.count - self.named.len();
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let whole = text::path(whole);
        failed(format!("cannot remove all of `{whole}`: {}{more} stay", self.named.join(", "))).hint(
            "look at what stays with `ls -ld` and `lsattr -d`: what is immutable or another user's, only root can remove",
        )
    }
}

struct Work<'a> {
    stop: &'a dyn Fn() -> bool,
    left: Left,
    /// The number that the next directory gets.
    next: u64,
}

impl Beneath {
    /// Removes what has this name in this very directory: a file, a link, or a whole tree, which is opened to its owner as
    /// it is removed, no link followed. Missing is fine. An agent may have chosen the size of the tree: `stop` says whether
    /// the user wants it to end, and what is left then is found by the next call.
    ///
    /// # Errors
    /// It was ended, or something cannot be removed: then that is named, and everything else is removed all the same.
    pub(crate) fn remove_unless(&self, name: impl AsRef<Path>, stop: &dyn Fn() -> bool) -> Result<()> {
        let name = name.as_ref();
        let mut work = Work { stop, left: Left::default(), next: 0 };
        if let Err(err) = work.tree(self, name) {
            if stop() {
                return Err(interrupted("interrupted").into());
            }
            work.left.add(&self.path.join(name), &format_args!("{err:#}"));
        }
        if work.left.count == 0 { Ok(()) } else { Err(work.left.failure(&self.path.join(name)).into()) }
    }

    /// Moves a directory of this very directory up to `trash`, under a name of ours; anything else is removed.
    fn throw_away(&self, name: &Path, trash: &Beneath, next: &mut u64) -> Result<()> {
        if self.stat(name)?.kind != FileType::Directory {
            return Ok(self.unlink(name)?);
        }
        // A directory that its owner may not write cannot be moved to another parent.
        self.unlock(name)?;
        loop {
            *next += 1;
            let to = next.to_string();
            match rustix::fs::renameat_with(&self.fd, name, &trash.fd, to, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                moved => return Ok(moved?),
            }
        }
    }
}

impl Work<'_> {
    fn go_on(&self) -> Result<()> {
        if (self.stop)() { Err(interrupted("interrupted").into()) } else { Ok(()) }
    }

    fn tree(&mut self, parent: &Beneath, name: &Path) -> Result<()> {
        match parent.unlink(name) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(err) if err.kind() == io::ErrorKind::IsADirectory => {}
            gone => return Ok(gone?),
        }
        // Whoever wrote the tree may have closed it to its owner.
        parent.unlock(name)?;
        let dir = Beneath::held(parent.at(name, DIRECTORY, Mode::empty()), parent.path.join(name))?;
        // However deep the tree is, few handles are enough: each directory is moved up before it is emptied. What is moved
        // stays within the tree, where the next call finds it if this one is ended.
        let trash_name = OsString::from(format!(".trash-{}", nonce()?));
        let trash = self.make_trash(&dir, &trash_name)?;
        self.empty(&dir, &trash, Some(&trash_name))?;
        self.trash(&trash)?;
        if self.left.count == 0 {
            rustix::fs::unlinkat(&dir.fd, &trash_name, AtFlags::REMOVEDIR)?;
            rustix::fs::unlinkat(&parent.fd, name, AtFlags::REMOVEDIR)?;
        }
        Ok(())
    }

    /// Where there is no room for a directory, room is made of what is to be removed anyway.
    fn make_trash(&mut self, dir: &Beneath, name: &OsStr) -> Result<Beneath> {
        loop {
            let err = match dir.make_dir(name, 0o700) {
                Err(err) if is_full(&err) => err,
                made => return made,
            };
            if !self.remove_one(dir)? {
                return Err(err);
            }
        }
    }

    /// Removes one file or empty directory somewhere below; says whether there was one.
    fn remove_one(&mut self, dir: &Beneath) -> Result<bool> {
        let mut at: Option<Beneath> = None;
        loop {
            self.go_on()?;
            let here = at.as_ref().unwrap_or(dir);
            let names: Vec<OsString> = here.names_up_to(BATCH)?.into_iter().map(|(name, _)| name).collect();
            let Some(name) = names.first() else { return Ok(false) };
            if names.iter().any(|name| here.unlink(name).is_ok()) {
                return Ok(true);
            }
            let Some(next) = here.find_dir(name)? else { return Ok(false) };
            // An empty one.
            if rustix::fs::unlinkat(&here.fd, name, AtFlags::REMOVEDIR).is_ok() {
                return Ok(true);
            }
            at = Some(next);
        }
    }

    /// Empties one directory after the other, until none is left but those that have something in them that stays.
    fn trash(&mut self, trash: &Beneath) -> Result<()> {
        let mut stuck = BTreeSet::new();
        loop {
            let names = some_of(trash, None, &stuck)?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                self.go_on()?;
                let before = self.left.count;
                let gone = self.one(trash, &name);
                if let Err(err) = gone {
                    self.go_on()?;
                    // A directory stays because of what was named already.
                    if self.left.count == before {
                        self.left.add(&trash.path.join(&name), &format_args!("{err:#}"));
                    }
                    self.pass_over(trash, &mut stuck, name)?;
                }
            }
        }
    }

    fn one(&mut self, trash: &Beneath, name: &OsStr) -> Result<()> {
        let Some(dir) = trash.find_dir(name)? else { return Ok(trash.unlink(name)?) };
        self.empty(&dir, trash, None)?;
        Ok(rustix::fs::unlinkat(&trash.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes everything from a directory; other directories are moved to the trash.
    fn empty(&mut self, dir: &Beneath, trash: &Beneath, except: Option<&OsStr>) -> Result<()> {
        let mut stuck = BTreeSet::new();
        loop {
            let names = some_of(dir, except, &stuck)?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                self.go_on()?;
                if let Err(err) = dir.throw_away(Path::new(&name), trash, &mut self.next) {
                    self.left.add(&dir.path.join(&name), &format_args!("{err:#}"));
                    self.pass_over(dir, &mut stuck, name)?;
                }
            }
        }
    }

    fn pass_over(&self, dir: &Beneath, stuck: &mut BTreeSet<OsString>, name: OsString) -> Result<()> {
        stuck.insert(name);
        if stuck.len() < MOST_STUCK {
            return Ok(());
        }
        Err(failed(format!("`{}` has more than {MOST_STUCK} entries that cannot be removed", text::path(&dir.path)))
            .into())
    }
}

fn is_full(err: &anyhow::Error) -> bool {
    let full = [Errno::NOSPC, Errno::DQUOT].map(|errno| Some(errno.raw_os_error()));
    let code = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<Errno>() {
        Some(errno) => Some(errno.raw_os_error()),
        None => cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error),
    };
    err.chain().filter_map(code).any(|code| full.contains(&Some(code)))
}

/// Some of what a directory holds, without what is known to stay.
fn some_of(dir: &Beneath, except: Option<&OsStr>, stuck: &BTreeSet<OsString>) -> Result<Vec<OsString>> {
    let names = dir.names_up_to(BATCH + stuck.len() + 1)?.into_iter().map(|(name, _)| name);
    Ok(names.filter(|name| except != Some(name.as_os_str()) && !stuck.contains(name)).collect())
}
