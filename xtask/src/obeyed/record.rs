//! What the last look saw, in the state folder, which no container reaches: one file for each class, and the texts of what
//! acts by itself, by their fingerprints, so that they can be shown and put back. What is written has a bound, so that it
//! can always be read.

use super::state::{Content, Entries, Entry};
use super::{Class, names};
use crate::exec;
use crate::kept_path::KeptPath;
use crate::outside;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The version of these files.
const SCHEMA: u32 = 1;

/// The most bytes of all texts that are kept. Those that are kept already come first, then those that lie higher.
const TEXTS: u64 = 8 << 20;

/// The most bytes of one of the files that are read, and the most that are written, with what stands around the files.
const MOST: u64 = 64 << 20;
const WRITTEN: usize = 60 << 20;

/// The most files of each class that are kept.
pub(super) const FILES: usize = 8192;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    schema: u32,
    files: Entries,
}

/// What tells one version of a file from the next: each is written beside the last and renamed over it.
type Mark = Option<(u64, i64, i64)>;

/// Where it is written what is not decided.
pub(super) fn undecided_file(folder: &Path) -> PathBuf {
    folder.join("undecided.json")
}

/// The folder.
pub(super) struct Record {
    folder: PathBuf,
    /// The versions of its files that were read or written last by this process.
    marks: Cell<[Mark; 3]>,
}

impl Record {
    pub(super) fn at(folder: &Path) -> Record {
        let record = Record { folder: folder.to_owned(), marks: Cell::new([None; 3]) };
        record.mark();
        record
    }

    fn marks(&self) -> [Mark; 3] {
        let files = [self.file(Class::ByItself), self.file(Class::WhenRun), undecided_file(&self.folder)];
        files.map(|file| file.symlink_metadata().ok().map(|meta| (meta.ino(), meta.ctime(), meta.ctime_nsec())))
    }

    /// To be called when all was written.
    pub(super) fn mark(&self) {
        self.marks.set(self.marks());
    }

    /// Whether another process has written, or removed, what this one has read or written.
    pub(super) fn is_anothers(&self) -> bool {
        self.marks.get() != self.marks()
    }

    fn gaps(&self) -> PathBuf {
        self.folder.join("gaps")
    }

    /// Whether the last look has compared all that it met.
    pub(super) fn has_gaps(&self) -> bool {
        !matches!(self.gaps().try_exists(), Ok(false))
    }

    pub(super) fn note_gaps(&self, any: bool) -> Result<()> {
        match any {
            true => exec::write_file(&self.gaps(), b"", 0o600),
            false => exec::remove(&self.gaps()),
        }
    }

    fn file(&self, class: Class) -> PathBuf {
        self.folder.join(match class {
            Class::ByItself => "by-itself.json",
            Class::WhenRun => "when-run.json",
        })
    }

    /// Where the list of all that changed is written: beside the record, which `down` removes.
    pub(super) fn list(&self) -> PathBuf {
        self.folder.with_file_name("changed.txt")
    }

    fn text_file(&self, content: &Content) -> PathBuf {
        self.folder.join("texts").join(&content.print)
    }

    /// Everything that the last look saw; `None` where there was none. What cannot be understood is no empty look.
    pub(super) fn read(&self) -> Result<Option<Entries>, String> {
        let Some(mut all) = self.of(Class::ByItself)? else { return Ok(None) };
        let Some(mut others) = self.of(Class::WhenRun)? else { return Ok(None) };
        all.append(&mut others);
        Ok(Some(all))
    }

    /// The same of one class.
    pub(super) fn of(&self, class: Class) -> Result<Option<Entries>, String> {
        let path = self.file(class);
        let failed = |err| format!("`{}` cannot be read: {err}", path.display());
        let text = match outside::bytes(&path, MOST) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(failed)?,
        };
        let kept = serde_json::from_slice::<Kept>(&text).ok().filter(|kept| kept.schema == SCHEMA);
        let damaged = || format!("`{}` is damaged, or of another version of this tool", path.display());
        kept.map(|kept| Some(kept.files)).ok_or_else(damaged)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps what was seen, with its texts. `last` is what is kept so far. Says how many files were too much to be kept:
    /// the next look takes them for new.
    pub(super) fn write(&self, last: Option<&Entries>, now: &Entries) -> Result<usize> {
        let class = |path: &Path| names::row(path).map_or(Class::WhenRun, |row| row.class);
        exec::create_dir(&self.folder.join("texts"), 0o700)?;
        self.keep_texts(now.iter().filter(|(path, _)| class(path) == Class::ByItself))?;
        let mut not_kept = 0;
        for of in [Class::ByItself, Class::WhenRun] {
            let part = |all: &Entries| -> Entries {
                let part = all.iter().filter(|(path, _)| class(path) == of);
                part.map(|(path, entry)| (path.clone(), entry.clone().without_text())).collect()
            };
            let (files, more) = bounded(last, part(now));
            not_kept += more;
            if last.map(part).as_ref() != Some(&files) {
                let text = serde_json::to_string(&Kept { schema: SCHEMA, files })?;
                exec::write_file(&self.file(of), text.as_bytes(), 0o600)?;
            }
        }
        Ok(not_kept)
    }

    fn keep_texts<'e>(&self, now: impl Iterator<Item = (&'e KeptPath, &'e Entry)>) -> Result<()> {
        let mut files: Vec<(bool, &Path, &Content, Option<&Vec<u8>>)> = Vec::new();
        for (path, entry) in now {
            let Some(content) = entry.content() else { continue };
            let is_kept = self.text_file(content).exists();
            if entry.text.is_some() || is_kept {
                files.push((!is_kept, path, content, entry.text.as_ref()));
            }
        }
        // What an agent makes takes no room from what was there before.
        files.sort_by_key(|(is_new, path, ..)| (*is_new, path.components().count()));
        let (mut left, mut kept) = (TEXTS, BTreeSet::new());
        for (_, _, content, text) in files {
            if kept.contains(&content.print) {
                continue;
            }
            let Some(rest) = left.checked_sub(content.size) else { continue };
            left = rest;
            kept.insert(content.print.clone());
            let path = self.text_file(content);
            if let Some(text) = text.filter(|_| !path.exists()) {
                exec::write_file(&path, text, 0o600)?;
            }
        }
        for old in std::fs::read_dir(self.folder.join("texts"))?.flatten() {
            if !old.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                let _ = std::fs::remove_file(old.path());
            }
        }
        Ok(())
    }

    /// The text of what was there, where it is kept.
    pub(super) fn text(&self, content: &Content) -> Option<Vec<u8>> {
        let whole =
            |text: &Vec<u8>| text.len() as u64 == content.size && crate::fingerprint::of([text]) == content.print;
        outside::bytes(&self.text_file(content), content.size).ok().filter(whole)
    }
}

/// As much as can be kept: what was there at the last look first, then what lies higher. And how many that leaves out.
fn bounded(last: Option<&Entries>, all: Entries) -> (Entries, usize) {
    let cost: usize = all.iter().map(|(path, entry)| entry.cost(path)).sum();
    if cost <= WRITTEN && all.len() <= FILES {
        return (all, 0);
    }
    let count = all.len();
    let mut files: Vec<(KeptPath, Entry)> = all.into_iter().collect();
    let is_new = |path: &KeptPath| last.is_none_or(|last| !last.contains_key(path));
    files.sort_by_cached_key(|(path, _)| (is_new(path), path.components().count(), path.clone()));
    let (mut left, mut kept) = (WRITTEN, Entries::new());
    for (path, entry) in files.into_iter().take(FILES) {
        if let Some(rest) = left.checked_sub(entry.cost(&path)) {
            left = rest;
            kept.insert(path, entry);
        }
    }
    let more = count - kept.len();
    (kept, more)
}

/// For the fuzzer. What is kept reads back as it was.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(kept) = serde_json::from_slice::<Kept>(bytes) else { return };
    let again = serde_json::to_vec(&kept).and_then(|text| serde_json::from_slice::<Kept>(&text));
    assert_eq!(again.map(|again| again.files).ok(), Some(kept.files));
}
