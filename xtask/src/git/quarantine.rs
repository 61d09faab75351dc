//! The way of objects out of the sandbox's git directory: copied as plain files into a fresh repository of ours, in
//! which git may look at them. Nothing else of that directory is copied: no configuration, no alternates, no index.

use super::prepare::format_text;
use super::refs::{Refs, packed_text};
use super::repository::Repository;
use crate::beneath::Beneath;
use crate::error::failed;
use crate::git::client;
use anyhow::{Context as _, Result};
use std::io::Read as _;
use std::path::Path;
use tempfile::TempDir;

/// How the names of quarantines begin.
pub(super) const PREFIX: &str = "quarantine-";
/// Bounds on what is copied.
const FILES: usize = 500_000;
const BYTES: u64 = 8 << 30;

/// A fresh bare repository with these refs, and the host's shape. `borrow`: it sees the host's objects.
pub(super) fn fresh(repo: &Repository, private: &Path, refs: &Refs, borrow: bool) -> Result<TempDir> {
    let made = || -> std::io::Result<TempDir> {
        let temp = tempfile::Builder::new().prefix(PREFIX).tempdir_in(private)?;
        let dir = temp.path();
        for name in ["objects/info", "objects/pack", "refs/heads"] {
            std::fs::create_dir_all(dir.join(name))?;
        }
        std::fs::write(dir.join("HEAD"), "ref: refs/heads/none\n")?;
        std::fs::write(dir.join("config"), format_text(repo, true))?;
        std::fs::write(dir.join("packed-refs"), packed_text(refs))?;
        match std::fs::copy(repo.common_dir.join("shallow"), dir.join("shallow")) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
        if borrow {
            let lines: String = repo.objects.iter().map(|path| format!("{}\n", path.display())).collect();
            std::fs::write(dir.join("objects/info/alternates"), lines)?;
        }
        Ok(temp)
    };
    made().with_context(|| format!("cannot make a repository in `{}`", private.display()))
}

/// A fresh repository with the objects of the sandbox, seen together with the host's, and what was left out.
pub(super) fn filled(repo: &Repository, private: &Path, tips: &Refs) -> Result<(TempDir, Vec<String>)> {
    let temp = fresh(repo, private, tips, true)?;
    let mut notes = Vec::new();
    let objects = match Beneath::root_if_there(&private.join("git"))? {
        Some(git) => git.open_dir("objects")?,
        None => None,
    };
    if let Some(objects) = objects {
        let mut copy = Copy { to: temp.path().join("objects"), files: 0, bytes: 0 };
        copy.loose(&objects, repo.sha256, &mut notes)?;
        let packs = copy.packs(&objects, &mut notes)?;
        for pack in packs {
            // The index that the agent's git made is not believed: ours is made from the pack.
            let command = client::ours(temp.path(), None).args(["index-pack", &pack.display().to_string()]);
            let output = client::capture(&command)?;
            if !output.ok() {
                notes.push(format!("a pack of the sandbox is damaged: {}", crate::ui::printable(output.stderr.trim())));
                let _ = std::fs::remove_file(&pack);
            }
        }
    }
    Ok((temp, notes))
}

struct Copy {
    to: std::path::PathBuf,
    files: usize,
    bytes: u64,
}

impl Copy {
    fn loose(&mut self, objects: &Beneath, sha256: bool, notes: &mut Vec<String>) -> Result<()> {
        let rest = if sha256 { 62 } else { 38 };
        let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
        for fan in objects.names()?.iter().filter_map(|(name, _)| name.to_str()) {
            if fan.len() != 2 || !hex(fan) {
                continue;
            }
            let dir = match objects.open_dir(fan) {
                Ok(Some(dir)) => dir,
                Ok(None) => continue,
                Err(err) => {
                    notes.push(err.to_string());
                    continue;
                }
            };
            std::fs::create_dir_all(self.to.join(fan))?;
            for name in dir.names()?.iter().filter_map(|(name, _)| name.to_str()) {
                if name.len() == rest && hex(name) {
                    self.one(&dir, name, &format!("{fan}/{name}"), notes)?;
                }
            }
        }
        Ok(())
    }

    fn packs(&mut self, objects: &Beneath, notes: &mut Vec<String>) -> Result<Vec<std::path::PathBuf>> {
        let dir = match objects.open_dir("pack") {
            Ok(Some(dir)) => dir,
            Ok(None) => return Ok(Vec::new()),
            Err(err) => {
                notes.push(err.to_string());
                return Ok(Vec::new());
            }
        };
        let mut packs = Vec::new();
        for name in dir.names()?.iter().filter_map(|(name, _)| name.to_str()) {
            if name.starts_with("pack-") && name.ends_with(".pack") {
                // A name of our own: the agent's can be any text.
                let to = format!("pack/pack-{:040x}.pack", packs.len());
                if self.one(&dir, name, &to, notes)? {
                    packs.push(self.to.join(to));
                }
            }
        }
        Ok(packs)
    }

    fn one(&mut self, dir: &Beneath, name: &str, to: &str, notes: &mut Vec<String>) -> Result<bool> {
        let (file, _) = match dir.file(name) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            Err(err) => {
                notes.push(crate::ui::printable(&err.to_string()));
                return Ok(false);
            }
        };
        let left = BYTES.saturating_sub(self.bytes);
        let mut target = std::fs::File::create(self.to.join(to))?;
        let copied = std::io::copy(&mut file.take(left + 1), &mut target).context("cannot copy git objects")?;
        self.files += 1;
        self.bytes += copied;
        if self.files > FILES || self.bytes > BYTES {
            return Err(failed("the sandbox's git directory holds more new objects than are taken over at once")
                .hint("inside, `git gc --prune=now` drops what is not used")
                .into());
        }
        Ok(true)
    }
}
