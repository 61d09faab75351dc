//! What one file was at a look.

use crate::beneath::{Beneath, FileId, Refused, Stamp, Why};
use crate::fingerprint;
use crate::kept_path::KeptPath;
use rustix::fs::{Gid, Uid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The most bytes of one file that are read: what lies behind counts by the time of the file's last change, which only the
/// kernel sets.
pub(super) const READ: u64 = 1 << 20;

/// The most bytes of one file of which the text itself is kept, to be shown and put back.
pub(super) const KEPT: u64 = 64 << 10;

/// What a name was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum State {
    File(Content),
    Link {
        #[serde(with = "crate::kept_path")]
        to: PathBuf,
        behind: Behind,
    },
    Directory,
    /// A fifo, a socket or a device.
    Special,
    /// That it is there and cannot be read is a state too: it can become readable by a change of its mode alone.
    Unread(String),
}

/// What a symlink leads to: tools follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Behind {
    /// A file of the workspace.
    File(Content),
    /// Nothing, a directory, what cannot be read, or what lies outside of the workspace, where the agent cannot change it.
    Other(String),
}

/// What a regular file has in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    pub(super) mode: u32,
    pub(super) size: u64,
    /// The fingerprint of what was read of it.
    pub(super) print: String,
    /// What stands for what was not read.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) rest: Option<(FileId, i64, i64)>,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Owner {
    pub(super) fn of(meta: &Metadata) -> Owner {
        Owner { uid: meta.uid(), gid: meta.gid() }
    }

    /// Gives a file to it, as far as this process may. Says whether it is its own afterwards.
    pub(super) fn give(self, file: &File) -> std::io::Result<bool> {
        let now = Owner::of(&file.metadata()?);
        // The group comes first: who is no root may give a file to a group, but not to another user.
        if now.gid != self.gid {
            let _ = rustix::fs::fchown(file, None, Some(Gid::from_raw(self.gid)));
        }
        if now.uid != self.uid {
            let _ = rustix::fs::fchown(file, Some(Uid::from_raw(self.uid)), None);
        }
        Ok(Owner::of(&file.metadata()?) == self)
    }
}

/// A name as it was found, and when it need not be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) state: State,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) stamp: Option<Stamp>,
    /// Whether the stamp stands for the content: nothing could write when it was read, and that was no part of a second
    /// after its last change.
    pub(super) settled: bool,
    /// Whose it is, or what a symlink leads to in the workspace; that it has another owner alone is no change. Earlier
    /// versions kept none.
    #[serde(default)]
    pub(super) owner: Option<Owner>,
    /// What was read of it, where it can be shown.
    #[serde(skip)]
    pub(super) text: Option<Vec<u8>>,
}

impl Entry {
    pub(super) fn without_text(self) -> Entry {
        Entry { text: None, ..self }
    }

    pub(super) fn of(state: State) -> Entry {
        Entry { state, stamp: None, settled: false, owner: None, text: None }
    }

    /// The content that a tool reads here, of a file or of what a symlink leads to in the workspace.
    pub(super) fn content(&self) -> Option<&Content> {
        match &self.state {
            State::File(content) | State::Link { behind: Behind::File(content), .. } => Some(content),
            State::Link { behind: Behind::Other(_), .. } | State::Directory | State::Special | State::Unread(_) => None,
        }
    }

    /// The most bytes that it takes in the record, with its path: JSON makes six of a byte of a text at most, and the
    /// numbers and the names of the fields take less than the rest.
    pub(super) fn cost(&self, path: &Path) -> usize {
        const OF_A_BYTE: usize = 6;
        const REST: usize = 1024;
        let texts = match &self.state {
            State::File(_) | State::Directory | State::Special => 0,
            State::Link { to, behind: Behind::File(_) } => to.as_os_str().len(),
            State::Link { to, behind: Behind::Other(what) } => to.as_os_str().len() + what.len(),
            State::Unread(why) => why.len(),
        };
        OF_A_BYTE * (path.as_os_str().len() + texts) + REST
    }
}

impl Behind {
    /// What lies outside of the workspace, or is no file. Its name has a bound: it may be an agent's choice.
    pub(super) fn other(what: String) -> Behind {
        const MOST: usize = 300;
        match what.char_indices().nth(MOST) {
            None => Behind::Other(what),
            Some((cut, _)) => {
                let print = fingerprint::of([&what]);
                Behind::Other(format!("{}… ({})", &what[..cut], &print[..print.len().min(16)]))
            }
        }
    }
}

/// Everything that a look has seen.
pub(super) type Entries = BTreeMap<KeptPath, Entry>;

/// How much a look may still read.
pub(super) struct Budget {
    pub(super) bytes: u64,
    /// How many files it was not enough for.
    pub(super) short: usize,
}

/// What was found under a name that is a regular file.
pub(super) struct Found {
    pub(super) state: State,
    pub(super) owner: Option<Owner>,
    /// What was read of it, where it is short enough to be shown.
    pub(super) text: Option<Vec<u8>>,
}

impl From<State> for Found {
    fn from(state: State) -> Found {
        Found { state, owner: None, text: None }
    }
}

/// `None` where nothing is there.
pub(super) fn read(dir: &Beneath, name: &Path, budget: &mut Budget) -> Option<Found> {
    let (file, meta) = match dir.file(name) {
        Ok(found) => found?,
        Err(refused) => return refused_as(refused).map(Found::from),
    };
    let most = READ.min(budget.bytes);
    let mut bytes = Vec::new();
    if let Err(err) = file.take(most).read_to_end(&mut bytes) {
        return Some(State::Unread(err.to_string()).into());
    }
    budget.bytes -= bytes.len() as u64;
    budget.short += usize::from(meta.len() > most && most < READ);
    let rest = (meta.len() > bytes.len() as u64).then(|| (FileId::from(&meta), meta.ctime(), meta.ctime_nsec()));
    let whole = rest.is_none() && bytes.len() as u64 <= KEPT;
    let content = Content { mode: meta.mode() & 0o7777, size: meta.len(), print: fingerprint::of([&bytes]), rest };
    Some(Found { state: State::File(content), owner: Some(Owner::of(&meta)), text: whole.then_some(bytes) })
}

fn refused_as(refused: Refused) -> Option<State> {
    match refused.why {
        Why::NoDirectory => None,
        Why::Directory => Some(State::Directory),
        Why::Fifo | Why::Special => Some(State::Special),
        Why::Failed(err) => Some(State::Unread(err.to_string())),
        Why::Symlink | Why::Outside | Why::TooLarge(_) | Why::NotUtf8 | Why::Moved => {
            Some(State::Unread("it was replaced while it was opened".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn state(dir: &Path, bytes: u64) -> (State, Option<Vec<u8>>, usize) {
        let mut budget = Budget { bytes, short: 0 };
        let found = read(&Beneath::root(dir).unwrap(), Path::new("Makefile"), &mut budget).unwrap();
        (found.state, found.text, budget.short)
    }

    #[test]
    fn a_change_far_behind_in_a_large_file_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Makefile");
        let mut text = vec![b'#'; 2 << 20];
        fs::write(&path, &text).unwrap();
        let before = state(dir.path(), 8 << 20);
        text.pop();
        text.push(b'\n');
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, &text).unwrap();
        let after = state(dir.path(), 8 << 20);
        assert_ne!(before.0, after.0);
        assert_eq!((after.1, after.2), (None, 0), "too large to be kept");
        // Where no more may be read, the same holds for all of it.
        let short = state(dir.path(), 0);
        assert_eq!(short.2, 1);
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, &text).unwrap();
        assert_ne!(short.0, state(dir.path(), 0).0);
    }
}
