//! What was there before a session began, and is new only because nobody has looked since: it is not the session's work.

use super::super::state::{Entry, State};
use super::{Look, open};
use crate::beneath::{Beneath, Born, Stamp};
use crate::kept_path::KeptPath;
use std::collections::BTreeSet;
use std::path::Path;

impl Look {
    /// What is new, and was there before the session began. The kernel alone sets the time of the last change, and moves it
    /// at each change, also when a file or directory is renamed: so each directory on the way must be as old. What an earlier
    /// look has left out, or is undecided, is none of it.
    pub(super) fn made_before(&self, root: &Beneath, since: Born) -> BTreeSet<KeptPath> {
        if !self.has_last() || self.record.has_gaps() || self.in_memory.unwrap_or_else(|| root.is_in_memory()) {
            return BTreeSet::new();
        }
        let is_older = |path: &Path, entry: &Entry| {
            let is_file = matches!(entry.state, State::File(_));
            let on_the_way = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
            let mut times = on_the_way.map(|dir| Some(Stamp::of(&open(root, dir).ok()??).ok()?.changed));
            is_file
                && entry.stamp.is_some_and(|stamp| stamp.changed < since)
                && times.all(|time| time.is_some_and(|time| time < since))
        };
        let new = self.now.iter().filter(|(path, _)| self.before(path).is_none() && !self.undecided.covers(path));
        new.filter(|(path, entry)| is_older(path, entry)).map(|(path, _)| path.clone()).collect()
    }
}
