//! Brings objects out of the sandbox's git directory: they are copied as plain files into a fresh repository of ours, in
//! which git may read them. Nothing else of that directory is copied: no configuration, no alternates, no index.

use super::effort::{Effort, REMEDY};
use super::refs::{Refs, is_hex, packed_text};
use super::repository::Repository;
use super::{client, first, noted};
use crate::beneath::Beneath;
use crate::error::failed;
use crate::outside;
use crate::scratch::{self, Scratch};
use crate::ui::printable;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// How the names of quarantines begin.
pub(super) const PREFIX: &str = "quarantine-";
/// Bounds on what is copied.
const FILES: usize = 500_000;
const BYTES: u64 = 8 << 30;
/// Bound on the objects of all packs.
const OBJECTS: u64 = 1_000_000;
/// The most bytes of a file in a commit, and of a commit, a tree or a tag, once it is unpacked.
const LARGEST_FILE: u64 = 1 << 30;
const LARGEST_OTHER: u64 = 32 << 20;
/// What is copied between two looks at whether to go on.
const PART: u64 = 64 << 20;

/// Removes the quarantines of calls that were killed.
pub(super) fn sweep(private: &Path) -> Result<()> {
    scratch::sweep(private, PREFIX).map(drop)
}

/// A fresh bare repository with these refs, in the host's format. `borrow`: it borrows the host's objects.
pub(super) fn fresh(repo: &Repository, private: &Path, refs: &Refs, borrow: bool) -> Result<Scratch> {
    let made = || -> std::io::Result<Scratch> {
        let temp = Scratch::make(private, PREFIX)?;
        let dir = temp.path();
        for name in ["objects/info", "objects/pack", "refs/heads"] {
            std::fs::create_dir_all(dir.join(name))?;
        }
        std::fs::write(dir.join("HEAD"), "ref: refs/heads/none\n")?;
        std::fs::write(dir.join("config"), repo.format_text(true))?;
        std::fs::write(dir.join("packed-refs"), packed_text(refs))?;
        match outside::bytes(&repo.common_dir.join("shallow"), outside::STATE) {
            Ok(shallow) => std::fs::write(dir.join("shallow"), shallow)?,
            Err(err) if err.kind() == ErrorKind::NotFound => {}
            Err(err) => return Err(err),
        }
        if borrow {
            lend(repo, dir)?;
        }
        Ok(temp)
    };
    made().with_context(|| format!("cannot make a repository in `{}`", private.display()))
}

/// A fresh repository that has the objects of the sandbox and borrows the host's, and notes on what was left out.
pub(super) fn filled(
    repo: &Repository,
    private: &Path,
    tips: &Refs,
    effort: &Effort<'_>,
) -> Result<(Scratch, Vec<String>)> {
    // It borrows nothing before the sizes are known: git lists those of all objects that it sees.
    let temp = fresh(repo, private, tips, false)?;
    let to = temp.path().join("objects");
    let mut copy = Copy { to, files: 0, bytes: 0, objects: 0, notes: Vec::new(), effort };
    let git = Beneath::root_if_there(&private.join("git"))?;
    if let Some(objects) = git.map_or(Ok(None), |git| git.open_dir("objects"))? {
        copy.loose(&objects, repo.sha256)?;
        let packs = copy.packs(&objects)?;
        let packs = copy.indexed(temp.path(), packs)?;
        copy.without_large(temp.path(), &packs)?;
    }
    let notes = first(copy.notes, "notes");
    lend(repo, temp.path()).with_context(|| format!("cannot write in `{}`", temp.path().display()))?;
    Ok((temp, notes))
}

/// Lets a repository of ours borrow the host's objects.
fn lend(repo: &Repository, dir: &Path) -> std::io::Result<()> {
    let lines: String = repo.objects.iter().map(|path| format!("{}\n", path.display())).collect();
    std::fs::write(dir.join("objects/info/alternates"), lines)
}

struct Copy<'a> {
    to: PathBuf,
    files: usize,
    bytes: u64,
    /// As the heads of the packs say.
    objects: u64,
    notes: Vec<String>,
    effort: &'a Effort<'a>,
}

impl Copy<'_> {
    fn loose(&mut self, objects: &Beneath, sha256: bool) -> Result<()> {
        let rest = if sha256 { 62 } else { 38 };
        for fan in objects.names()?.iter().filter_map(|(name, _)| name.to_str()) {
            if fan.len() != 2 || !is_hex(fan) {
                continue;
            }
            let Some(dir) = noted(objects.open_dir(fan), &mut self.notes) else { continue };
            std::fs::create_dir_all(self.to.join(fan))?;
            for name in dir.names_up_to(FILES + 1)?.iter().filter_map(|(name, _)| name.to_str()) {
                if name.len() == rest && is_hex(name) {
                    self.one(&dir, name, &format!("{fan}/{name}"))?;
                }
            }
        }
        Ok(())
    }

    /// Copies the packs, and returns the copies.
    fn packs(&mut self, objects: &Beneath) -> Result<Vec<PathBuf>> {
        let mut packs = Vec::new();
        let Some(dir) = noted(objects.open_dir("pack"), &mut self.notes) else { return Ok(packs) };
        for name in dir.names_up_to(FILES + 1)?.iter().filter_map(|(name, _)| name.to_str()) {
            if name.starts_with("pack-") && name.ends_with(".pack") {
                // Under a name of our own, because the agent's can be any text.
                let to = format!("pack/pack-{:040x}.pack", packs.len());
                if self.one(&dir, name, &to)? {
                    packs.push(self.to.join(to));
                }
            }
        }
        Ok(packs)
    }

    /// Copies a file. `false` where it cannot be read.
    fn one(&mut self, dir: &Beneath, name: &str, to: &str) -> Result<bool> {
        let Some((file, _)) = noted(dir.file(name), &mut self.notes) else { return Ok(false) };
        let left = BYTES.saturating_sub(self.bytes);
        let mut target = std::fs::File::create(self.to.join(to))?;
        let (mut source, mut copied) = (file.take(left + 1), 0);
        loop {
            self.effort.go_on()?;
            let part =
                std::io::copy(&mut source.by_ref().take(PART), &mut target).context("cannot copy git objects")?;
            copied += part;
            if part == 0 {
                break;
            }
        }
        self.files += 1;
        self.bytes += copied;
        if self.files > FILES || self.bytes > BYTES {
            return Err(failed("the sandbox's git directory has more new objects than can be taken over at once")
                .hint(REMEDY)
                .into());
        }
        Ok(true)
    }

    /// Has git make the indexes of the packs anew, because those that the agent's git made are not trusted. What git does
    /// not take is removed. Returns the others.
    fn indexed(&mut self, dir: &Path, packs: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
        let mut good = Vec::new();
        for pack in packs {
            self.objects = self.objects.saturating_add(objects_of(&pack)?);
            let why = if self.objects > OBJECTS {
                format!("there are more than {OBJECTS} objects in packs: {REMEDY}")
            } else {
                let command = client::ours(dir, None).args(["index-pack", &pack.to_string_lossy()]);
                match self.effort.capture(command) {
                    Ok(output) if output.ok() => {
                        good.push(pack);
                        continue;
                    }
                    Ok(output) => output.stderr.trim().to_owned(),
                    Err(err) if self.effort.stopped() => return Err(err),
                    Err(_) => format!("git was not done with it in the time for it: {REMEDY}"),
                }
            };
            self.notes
                .push(format!("a pack of the sandbox is damaged or too large, and left out: {}", printable(&why)));
            std::fs::remove_file(&pack)?;
        }
        Ok(good)
    }

    /// Takes out what is too large once it is unpacked, before anything unpacks it as a whole: the head of each object
    /// says its size.
    fn without_large(&mut self, dir: &Path, packs: &[PathBuf]) -> Result<()> {
        let format = "--batch-check=%(objectname) %(objecttype) %(objectsize)";
        let command = client::ours(dir, None).args(["cat-file", "--batch-all-objects", "--unordered", format]);
        let output = self.effort.capture(command)?;
        if !output.ok() {
            let said = output.stderr.trim();
            return Err(failed(format!("the sizes of the sandbox's objects cannot be read: {said}"))
                .hint(REMEDY)
                .into());
        }
        let mut large: BTreeSet<&str> = BTreeSet::new();
        let mut said = Vec::new();
        for (id, kind, size) in output.stdout.lines().filter_map(sized) {
            self.effort.go_on()?;
            let limit = if kind == "blob" { LARGEST_FILE } else { LARGEST_OTHER };
            if size <= limit {
                continue;
            }
            said.push(format!(
                "the {kind} {id} has {} MiB, and at most {} are checked: it is left out, and so are the commits that need \
                 it; {REMEDY}",
                size >> 20,
                limit >> 20
            ));
            let (fan, rest) = id.split_at(2);
            let _ = std::fs::remove_file(self.to.join(fan).join(rest));
            large.insert(id);
        }
        self.notes.extend(first(said, "objects"));
        // Each index is read once, however many such objects there are.
        let mut gone: Vec<&PathBuf> = Vec::new();
        for pack in packs.iter().filter(|_| !large.is_empty()) {
            self.effort.go_on()?;
            if has_any(pack, &large) {
                gone.push(pack);
            }
        }
        for pack in gone {
            // One object cannot be taken out of a pack.
            self.notes.push("all that is in one pack with it is left out, too".into());
            std::fs::remove_file(pack.with_extension("idx"))?;
            std::fs::remove_file(pack)?;
        }
        Ok(())
    }
}

/// A line of what git says of its objects.
fn sized(line: &str) -> Option<(&str, &str, u64)> {
    let mut words = line.split(' ');
    Some((words.next()?, words.next()?, words.next()?.parse().ok()?))
}

/// How many objects the head of a pack promises: `PACK`, the version and the number, of four bytes each.
fn objects_of(pack: &Path) -> Result<u64> {
    let head = outside::head(pack, 12)?;
    let number = head.get(8..12).and_then(|bytes| bytes.try_into().ok());
    Ok(number.map_or(0, |bytes| u64::from(u32::from_be_bytes(bytes))))
}

/// Whether a pack has one of these objects, as its index says, in which the ids stand whole. That index is git's own.
fn has_any(pack: &Path, ids: &BTreeSet<&str>) -> bool {
    let Some(len) = ids.first().map(|id| id.len() / 2) else { return false };
    let bytes = |id: &&str| -> Vec<u8> {
        let byte = |at: usize| id.get(2 * at..2 * at + 2).and_then(|text| u8::from_str_radix(text, 16).ok());
        (0..len).filter_map(byte).collect()
    };
    let ids: BTreeSet<Vec<u8>> = ids.iter().map(bytes).collect();
    let index = outside::bytes(&pack.with_extension("idx"), 1 << 30).unwrap_or_default();
    // After eight bytes of head, and the table of how many ids begin with each byte.
    index.get(8 + 4 * 256..).is_some_and(|all| all.chunks_exact(len).any(|id| ids.contains(id)))
}

/// For the fuzzer: what git says of its objects.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    for line in text.lines() {
        assert!(sized(line).is_none_or(|(id, kind, _)| line.starts_with(&format!("{id} {kind} "))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_an_object_is_the_last_of_three_words() {
        assert_eq!(sized("0a blob 12"), Some(("0a", "blob", 12)));
        assert_eq!(sized("0a missing"), None);
    }

    #[test]
    fn a_pack_says_how_many_objects_it_has_and_its_index_which() {
        let dir = tempfile::tempdir().unwrap();
        let git = |words: &[&str], text: &str| {
            let command = client::ours(dir.path(), None).args(words.iter().copied());
            client::stdout(&command.stdin(text)).unwrap().trim().to_owned()
        };
        git(&["init", "-q", "--bare"], "");
        let ids = ["a", "b"].map(|text| git(&["hash-object", "-w", "--stdin"], text));
        let name = git(&["pack-objects", "-q", &dir.path().join("pack").display().to_string()], &ids.join("\n"));
        let pack = dir.path().join(format!("pack-{name}.pack"));
        assert_eq!(objects_of(&pack).unwrap(), 2);
        let none = "0".repeat(40);
        assert!(ids.iter().all(|id| has_any(&pack, &BTreeSet::from([id.as_str(), &none]))));
        assert!(!has_any(&pack, &BTreeSet::from([none.as_str()])) && !has_any(&pack, &BTreeSet::new()));
    }
}
