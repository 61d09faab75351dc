//! What acts by itself, has changed, and is not decided. It is written down before the user is asked, so that it stays
//! undecided where no answer comes, however the call ends.

use super::changes::{Change, What};
use super::record::undecided_file;
use crate::exec;
use crate::kept_path::KeptPath;
use crate::outside;
use crate::text;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// The version of the file.
const SCHEMA: u32 = 1;

/// The most files that are kept by their names, and the most bytes of these names.
const MOST: usize = 500;
const BYTES: usize = 256 << 10;

/// The most bytes of the file that are read: JSON makes six of a byte at most.
const READ: u64 = 4 << 20;

/// The most that are named one by one.
const NAMED: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undecided {
    schema: u32,
    files: BTreeMap<KeptPath, What>,
    /// How many more there are: then any file can be one of them.
    more: usize,
}

impl Undecided {
    pub(super) fn of(changes: &[&Change]) -> Undecided {
        let mut undecided = Undecided::default();
        undecided.add(changes);
        undecided
    }

    pub(super) fn add(&mut self, changes: &[&Change]) {
        self.schema = SCHEMA;
        let mut left = BYTES.saturating_sub(self.files.keys().map(|path| path.as_os_str().len()).sum());
        for change in changes {
            if self.files.contains_key(change.path.as_path()) {
                continue;
            }
            match left.checked_sub(change.path.as_os_str().len()).filter(|_| self.files.len() < MOST) {
                Some(rest) => {
                    left = rest;
                    self.files.insert(change.path.as_path().into(), change.what);
                }
                None => self.more += 1,
            }
        }
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.files.remove(path);
    }

    /// What the folder of the last look says. A file that cannot be understood says that anything can be undecided.
    pub(crate) fn read(folder: &Path) -> Undecided {
        let any = Undecided { schema: SCHEMA, files: BTreeMap::new(), more: 1 };
        match outside::bytes(&undecided_file(folder), READ) {
            Ok(text) => {
                serde_json::from_slice(&text).ok().filter(|all: &Undecided| all.schema == SCHEMA).unwrap_or(any)
            }
            Err(err) if err.kind() == ErrorKind::NotFound => Undecided::default(),
            Err(_) => any,
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = undecided_file(folder);
        if self.is_empty() {
            return exec::remove(&path);
        }
        exec::write_file(&path, serde_json::to_string(self)?.as_bytes(), 0o600)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.more == 0
    }

    /// Whether nothing is known of which files these are.
    pub(super) fn can_be_any(&self) -> bool {
        self.more > 0
    }

    pub(crate) fn covers(&self, path: &Path) -> bool {
        self.can_be_any() || self.files.contains_key(path)
    }

    /// A line each, and one that says how many more there are.
    pub(crate) fn lines(&self) -> Vec<String> {
        let named = self.files.iter().take(NAMED);
        let mut lines: Vec<String> = named.map(|(path, what)| format!("`{}` {what}", text::path(path))).collect();
        let more = self.files.len() - lines.len() + self.more;
        match lines.is_empty() {
            true if more > 0 => lines.push("what it is could not be kept, or not be read".to_owned()),
            false if more > 0 => lines.push(format!("and {more} more")),
            true | false => {}
        }
        lines
    }
}

/// For the fuzzer. What is kept reads back as it was.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(kept) = serde_json::from_slice::<Undecided>(bytes) else { return };
    let again = serde_json::to_vec(&kept).and_then(|text| serde_json::from_slice::<Undecided>(&text));
    assert!(kept.lines().len() <= NAMED + 1);
    assert_eq!(again.ok(), Some(kept));
}
