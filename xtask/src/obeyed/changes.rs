//! What has changed between two looks, as the user is told.

use super::record::Record;
use super::state::{Behind, Entry, State};
use super::{Class, Obeyed, diff, names};
use crate::text;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Directories of what others have made, where no name is likely to be the project's own.
const OF_OTHERS: [&str; 6] = ["node_modules", "site-packages", "dist-packages", "vendor", "third_party", "target"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    New,
    Changed,
    Removed,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::New => "is new",
            What::Changed => "changed",
            What::Removed => "was removed",
        })
    }
}

/// One file that tools obey, and that is not what it was.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(super) path: PathBuf,
    pub(super) row: &'static Obeyed,
    pub(super) what: What,
    pub(super) before: Option<Entry>,
    pub(super) now: Option<Entry>,
    /// Whether it was there before the session began: then the session has not made it.
    pub(super) older: bool,
}

impl Change {
    pub(super) fn of(path: &Path, what: What, before: Option<&Entry>, now: Option<&Entry>) -> Option<Change> {
        // A row that is no longer in the table says nothing.
        let (before, now) = (before.cloned(), now.cloned());
        Some(Change { path: path.to_owned(), row: names::row(path)?, what, before, now, older: false })
    }

    fn order(&self) -> (Class, bool, usize, PathBuf) {
        let of_others = self.path.iter().any(|part| OF_OTHERS.iter().any(|other| part == *other));
        (self.row.class, of_others, self.path.components().count(), self.path.clone())
    }

    /// Whether a tool obeys it before anybody builds or runs the project.
    pub(crate) fn acts_by_itself(&self) -> bool {
        self.row.class == Class::ByItself
    }

    pub(crate) fn is_older(&self) -> bool {
        self.older
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn line(&self) -> String {
        let (path, what) = (text::path(&self.path), self.what);
        let now = self.now.as_ref().map(|now| &now.state);
        let kind = match now {
            None | Some(State::File(_)) => String::new(),
            Some(State::Link { to, behind }) => {
                let what_is_there = match behind {
                    Behind::File(_) => "a file of the workspace".to_owned(),
                    Behind::Other(what) => text::printable(what),
                };
                format!(" (a symlink to `{}`: {what_is_there})", text::path(to))
            }
            Some(State::Directory) => " (a directory)".to_owned(),
            Some(State::Special) => " (a fifo, a socket or a device)".to_owned(),
            Some(State::Unread(why)) => format!(" (it cannot be read: {})", text::printable(why)),
        };
        let by = self.row.by;
        let how = match (self.what, self.row.class) {
            (What::Removed, _) => format!("obeyed by {by} before"),
            (What::New | What::Changed, Class::ByItself) => format!("obeyed without a question by {by}"),
            (What::New | What::Changed, Class::WhenRun) => format!("obeyed by {by}, once you run it"),
        };
        let older = if self.older { " (older than this session: you did it)" } else { "" };
        format!("`{path}` {what}{kind}: {how}{older}")
    }

    /// The lines that differ, of a text that is kept: where a symlink leads, and what a tool reads there.
    pub(super) fn shown(&self, record: &Record, most: usize) -> Vec<String> {
        let Some(now) = &self.now else { return Vec::new() };
        let (led, leads) = (self.before.as_ref().and_then(leads), leads(now));
        let mut lines = Vec::new();
        if led != leads {
            lines.extend(led.map(|to| format!("- a symlink to `{}`", text::path(to))));
            lines.extend(leads.map(|to| format!("+ a symlink to `{}`", text::path(to))));
        }
        let text = |entry: Option<&Entry>| match entry {
            None => Some(Vec::new()),
            Some(Entry { text: Some(text), .. }) => Some(text.clone()),
            Some(entry) => entry.content().and_then(|content| record.text(content)),
        };
        if now.content().is_none() {
            return lines;
        }
        let Some(new) = text(Some(now)) else {
            lines.push("it is too large to be shown".to_owned());
            return lines;
        };
        match text(self.before.as_ref()) {
            Some(old) => lines.extend(diff::lines(&old, &new, most)),
            None => lines.push("what it was is not kept, and cannot be shown".to_owned()),
        }
        if lines.is_empty() && self.what == What::Changed {
            lines.push("only its mode, or the end of its last line, changed".to_owned());
        }
        lines
    }
}

/// What a symlink says.
fn leads(entry: &Entry) -> Option<&Path> {
    match &entry.state {
        State::Link { to, .. } => Some(to),
        State::File(_) | State::Directory | State::Special | State::Unread(_) => None,
    }
}

/// What acts by itself comes first. Of what has the same rank, the first of every row comes before the second of any, so that
/// many of one kind do not hide one of another; those that lie higher come first.
pub(super) fn sort(changes: &mut Vec<Change>) {
    changes.sort_by_cached_key(Change::order);
    let mut met: HashMap<(&str, bool), usize> = HashMap::new();
    let mut ranked = Vec::new();
    for change in changes.drain(..) {
        let (class, of_others, ..) = change.order();
        let met = met.entry((change.row.name.text(), of_others)).or_default();
        *met += 1;
        ranked.push(((class, of_others, *met), change));
    }
    // Those of the same rank stay in the order of above.
    ranked.sort_by_key(|(rank, _)| *rank);
    changes.extend(ranked.into_iter().map(|(_, change)| change));
}
