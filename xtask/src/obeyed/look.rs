//! One look: what the walk through the workspace hands over is compared with the last look and kept. What is there as it
//! was is not read again.

mod keep;
mod links;
mod older;

pub(super) use links::{lead, open};

use super::changes::{self, Change, What};
use super::names::{self, Found};
use super::record::Record;
use super::state::{self, Behind, Budget, Entries, Entry, State, read};
use super::told::Told;
use super::undecided::Undecided;
use super::{Class, Obeyed};
use crate::beneath::{Beneath, Born, Refused, Stamp, Why};
use crate::kept_path::KeptPath;
use rustix::fs::FileType;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most files of each class that are compared, and the most bytes of the path of one. The walk meets those that lie
/// higher first. Those of the last look are compared whatever has come before them.
pub(super) const MOST: usize = 4096;
const LONGEST: usize = 4096;

/// The most bytes that one look reads of what was there at the last one, and of what is new.
pub(super) const READ: u64 = 64 << 20;

/// The most files that are looked at again where nothing is walked.
const MOST_AGAIN: usize = 500;

/// The most names that are looked at in directories behind symlinks.
const MOST_BEHIND: usize = 5000;

/// A change within this time before a look can be followed by another one at the same time by the file system's clock.
const UNSETTLED: Duration = Duration::from_secs(2);

/// The last look could not be read.
pub(crate) struct Unknown(pub(super) String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A look that goes on, or is over.
pub(crate) struct Look {
    pub(super) record: Record,
    /// What was there at the last look; `None` where there was none.
    pub(super) last: Result<Option<Entries>, Unknown>,
    pub(super) now: Entries,
    /// Whether nothing of an agent's can write meanwhile.
    quiet: bool,
    /// A file that was changed before this is settled, in seconds since 1970.
    pub(super) before: i64,
    pub(super) in_memory: Option<bool>,
    /// For what was there at the last look, and for what is new: no number of new files takes from the former.
    pub(super) known: Budget,
    pub(super) fresh: Budget,
    /// What the user has not decided about yet.
    undecided: Undecided,
    /// How many of each class are taken.
    count: [usize; 2],
    over: [usize; 2],
    /// Symlinks that are to be followed once the walk is over.
    links: Vec<PathBuf>,
    ways: Vec<PathBuf>,
    not_followed: usize,
    too_long: usize,
    /// Whether the walk has left something out.
    cut: bool,
    /// When the session began, where nothing of an agent's was alive between the last look and that.
    since: Option<Born>,
    /// What is new, and was there before that.
    older: BTreeSet<KeptPath>,
    /// Whether nothing but what was there is looked at.
    no_walk: bool,
    /// Whether the walk came to its end: what was not met otherwise only was not looked at.
    complete: bool,
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Look {
    /// Begins one. `folder` is where the last one is kept, out of the agent's reach.
    pub(crate) fn begin(folder: &Path, quiet: bool) -> Look {
        let record = Record::at(folder);
        let last = record.read().map_err(Unknown);
        let undecided = Undecided::read(folder);
        Look { last, undecided, ..Look::over(record, quiet) }
    }

    fn over(record: Record, quiet: bool) -> Look {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(UNSETTLED);
        Look {
            record,
            last: Ok(None),
            now: Entries::new(),
            quiet,
            before: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            in_memory: None,
            known: Budget { bytes: READ, short: 0 },
            fresh: Budget { bytes: READ, short: 0 },
            undecided: Undecided::default(),
            count: [0; 2],
            over: [0; 2],
            links: Vec::new(),
            ways: Vec::new(),
            not_followed: 0,
            too_long: 0,
            cut: false,
            since: None,
            older: BTreeSet::new(),
            no_walk: false,
            complete: false,
        }
    }

    /// A look without a walk, where no agent can have run since the last one: at what acts by itself and was there then.
    /// `None` where that is not known or too much. What is undecided is looked at by a walk.
    pub(crate) fn again_at(folder: &Path, root: &Beneath) -> Option<Look> {
        let record = Record::at(folder);
        let last = record.of(Class::ByItself).ok()??;
        let undecided = Undecided::read(folder);
        if last.len() > MOST_AGAIN || undecided.can_be_any() {
            return None;
        }
        let mut look = Look { last: Ok(Some(last)), undecided, no_walk: true, ..Look::over(record, true) };
        look.finish(root, &|| false);
        let Ok(Some(last)) = &look.last else { return None };
        for (path, _) in last.iter().chain(&look.now.clone()).filter(|(path, _)| look.undecided.covers(path)) {
            match last.get(path.deref()) {
                Some(before) => _ = look.now.insert(path.clone(), before.clone()),
                None => _ = look.now.remove(path.deref()),
            }
        }
        Some(look)
    }

    /// Takes what the walk has met.
    pub(crate) fn meet(&mut self, dir: &Beneath, name: &OsStr, path: &Path, found: Found) {
        match found {
            Found::Row(row) => self.take(dir, name, path, row),
            Found::Way(row) => {
                if dir.stat(name).is_ok_and(|node| node.kind == FileType::Symlink) {
                    self.take(dir, name, path, row);
                }
            }
        }
    }

    pub(super) fn take(&mut self, dir: &Beneath, name: &OsStr, path: &Path, row: &'static Obeyed) {
        let of = row.class as usize;
        let is_known = self.now.contains_key(path) || self.before(path).is_some();
        if !is_known && path.as_os_str().len() > LONGEST {
            self.too_long += 1;
        } else if !is_known && self.count[of] >= MOST {
            self.over[of] += 1;
        } else if let Some(entry) = self.entry(dir, name, path, row) {
            self.count[of] += usize::from(self.now.insert(path.into(), entry).is_none());
        }
    }

    /// What was there at the last look.
    fn before(&self, path: &Path) -> Option<&Entry> {
        self.last.as_ref().ok().and_then(Option::as_ref).and_then(|last| last.get(path))
    }

    fn budget(&mut self, path: &Path) -> &mut Budget {
        if self.before(path).is_some() { &mut self.known } else { &mut self.fresh }
    }

    /// `None` where nothing is there, or what is there is no file that a tool would obey.
    fn entry(&mut self, dir: &Beneath, name: &OsStr, path: &Path, row: &Obeyed) -> Option<Entry> {
        let (node, stamp) = match dir.stamp(name) {
            Ok(found) => found,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return None,
            Err(err) => return Some(Entry::of(State::Unread(err.to_string()))),
        };
        match node.kind {
            FileType::RegularFile => self.file(dir, name, path, row, stamp),
            FileType::Symlink => {
                let to = dir.read_link(name).ok()?;
                self.follow(path, false);
                if names::is_way(path) {
                    self.follow(path, true);
                }
                let behind = Behind::Other("it was not followed".to_owned());
                Some(Entry::of(State::Link { to, behind }))
            }
            FileType::Directory => {
                // What lies in it is met by itself.
                let is_file = matches!(row.name, super::Name::File(_) | super::Name::Path(_));
                (is_file && row.class == Class::ByItself).then(|| Entry::of(State::Directory))
            }
            FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
                Some(Entry::of(State::Special))
            }
            FileType::Unknown => Some(Entry::of(State::Unread("its kind is not known".to_owned()))),
        }
    }

    fn file(&mut self, dir: &Beneath, name: &OsStr, path: &Path, row: &Obeyed, stamp: Stamp) -> Option<Entry> {
        if let Some(last) = self.before(path).filter(|last| last.settled && last.stamp == Some(stamp)) {
            return Some(last.clone());
        }
        let in_memory = *self.in_memory.get_or_insert_with(|| dir.is_in_memory());
        let state::Found { state, owner, text } = read(dir, Path::new(name), self.budget(path))?;
        let settled = self.quiet && !in_memory && stamp.changed.0 < self.before;
        let text = text.filter(|_| row.class == Class::ByItself);
        Some(Entry { state, stamp: Some(stamp), settled, owner, text })
    }

    /// Whether what is not in it is not there either.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// To be called when the walk is over: follows the symlinks, and looks for what the walk has not reached. Where `stop`
    /// says that the user wants it to end, the look stays incomplete.
    pub(crate) fn finish(&mut self, root: &Beneath, stop: &dyn Fn() -> bool) {
        self.complete = self.reach(root, stop).is_some();
        self.older = self.since.map(|since| self.made_before(root, since)).unwrap_or_default();
    }

    /// Says when the session began that is over now.
    pub(crate) fn since(self, since: Option<Born>) -> Look {
        Look { since, ..self }
    }

    /// To be called where the walk has left something out.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
    }

    /// Whether there is something in the workspace that was not compared.
    pub(crate) fn has_gaps(&self) -> bool {
        self.cut || self.over.iter().any(|over| *over > 0) || self.not_followed > 0 || self.too_long > 0
    }

    fn reach(&mut self, root: &Beneath, stop: &dyn Fn() -> bool) -> Option<()> {
        let go_on = || (!stop()).then_some(());
        let mut left = MOST_BEHIND;
        for path in std::mem::take(&mut self.ways) {
            go_on()?;
            if let Ok(real) = lead(root, &path) {
                self.directory(root, real, path, &mut left, stop);
            }
        }
        // Those that lie behind a symlink themselves.
        self.not_followed += self.ways.len();
        self.resolve(root, stop);
        let last = self.last.as_ref().ok().and_then(Option::as_ref).into_iter().flat_map(|last| last.keys());
        let missing: Vec<PathBuf> =
            last.filter(|path| !self.now.contains_key(*path)).map(|path| path.to_path_buf()).collect();
        for path in missing {
            go_on()?;
            self.again(root, &path);
        }
        self.resolve(root, stop);
        go_on()
    }

    /// What was there at the last look, and was not met by this one: it is gone, or was not reached.
    pub(super) fn again(&mut self, root: &Beneath, path: &Path) {
        let (Some(row), Some(name), Some(outer)) = (names::row(path), path.file_name(), path.parent()) else { return };
        match open(root, outer) {
            Ok(Some(dir)) => self.take(&dir, name, path, row),
            Ok(None) => {}
            // What lies behind a symlink is looked at by a walk.
            Err(Refused { why: Why::Symlink, .. }) if self.no_walk => {
                let last = self.before(path).cloned();
                self.now.extend(last.map(|last| (path.into(), last)));
            }
            Err(Refused { why: Why::Symlink | Why::NoDirectory, .. }) => {}
            Err(refused) => _ = self.now.insert(path.into(), Entry::of(State::Unread(refused.why.to_string()))),
        }
    }

    /// What has changed since the last look: what acts by itself first, then by how likely somebody runs it.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let Ok(Some(last)) = &self.last else { return Vec::new() };
        let mut changes = Vec::new();
        for (path, now) in &self.now {
            let what = match last.get(path) {
                None => What::New,
                Some(before) if before.state != now.state => What::Changed,
                Some(_) => continue,
            };
            let change = Change::of(path, what, last.get(path), Some(now));
            changes.extend(change.map(|change| Change { older: self.older.contains(path), ..change }));
        }
        // What this tool has set aside was never the user's: that it is gone is no loss, and nothing is to be put back.
        let removed = last.iter().filter(|(path, _)| !self.now.contains_key(*path) && !names::is_set_aside(path));
        changes.extend(removed.filter_map(|(path, before)| Change::of(path, What::Removed, Some(before), None)));
        changes::sort(&mut changes);
        changes
    }

    /// The changes, as the user is told. Where there are more than are shown, all of them are written to a file.
    pub(crate) fn told(&self, changes: &[Change]) -> Told {
        Told::of(changes, &self.record)
    }

    /// What is not known, a line each.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let kinds = ["act by themselves", "act when somebody builds, tests or runs the project"];
        for (over, kind) in self.over.iter().zip(kinds) {
            if *over > 0 {
                lines.push(format!(
                    "more than {MOST} files in the workspace {kind}: the {over} of them that lie deepest are not compared"
                ));
            }
        }
        if self.too_long > 0 {
            lines.push(format!(
                "{} files that tools obey have paths of more than {LONGEST} bytes, and are not compared",
                self.too_long
            ));
        }
        if self.cut {
            lines.push(
                "what was not looked at was not compared with what tools on this host obeyed before, either".to_owned(),
            );
        }
        if self.not_followed > 0 {
            lines.push(format!(
                "too many symlinks take the place of files that tools obey: what is behind {} of them is not compared",
                self.not_followed
            ));
        }
        let short = self.known.short + self.fresh.short;
        if short > 0 {
            lines.push(format!(
                "the files that tools obey have too many bytes: {short} of them are compared by the time of their last change"
            ));
        }
        lines
    }

    /// Why it is not known what has changed.
    pub(crate) fn unknown(&self) -> Option<&Unknown> {
        self.last.as_ref().err()
    }

    /// Whether there was a look before.
    pub(crate) fn has_last(&self) -> bool {
        matches!(self.last, Ok(Some(_)))
    }

    /// What was not decided at the last look.
    pub(crate) fn undecided(&self) -> &Undecided {
        &self.undecided
    }
}
