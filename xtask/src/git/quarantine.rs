//! Brings objects out of the sandbox's git directory: they are copied as plain files into a fresh repository of ours, in
//! which git may read them. Nothing else of that directory is copied: no configuration, no alternates, no index.

use super::refs::{Refs, is_hex, packed_text};
use super::repository::Repository;
use super::{client, noted};
use crate::beneath::Beneath;
use crate::error::failed;
use crate::ui::printable;
use anyhow::{Context as _, Result};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How the names of quarantines begin.
pub(super) const PREFIX: &str = "quarantine-";
/// Bounds on what is copied.
const FILES: usize = 500_000;
const BYTES: u64 = 8 << 30;

/// A fresh bare repository with these refs, in the host's format. `borrow`: it borrows the host's objects.
pub(super) fn fresh(repo: &Repository, private: &Path, refs: &Refs, borrow: bool) -> Result<TempDir> {
    let made = || -> std::io::Result<TempDir> {
        let temp = tempfile::Builder::new().prefix(PREFIX).tempdir_in(private)?;
        let dir = temp.path();
        for name in ["objects/info", "objects/pack", "refs/heads"] {
            std::fs::create_dir_all(dir.join(name))?;
        }
        std::fs::write(dir.join("HEAD"), "ref: refs/heads/none\n")?;
        std::fs::write(dir.join("config"), repo.format_text(true))?;
        std::fs::write(dir.join("packed-refs"), packed_text(refs))?;
        match std::fs::copy(repo.common_dir.join("shallow"), dir.join("shallow")) {
            Err(err) if err.kind() != ErrorKind::NotFound => return Err(err),
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

/// A fresh repository that has the objects of the sandbox and borrows the host's, and notes on what was left out.
pub(super) fn filled(repo: &Repository, private: &Path, tips: &Refs) -> Result<(TempDir, Vec<String>)> {
    let temp = fresh(repo, private, tips, true)?;
    let mut copy = Copy { to: temp.path().join("objects"), files: 0, bytes: 0, notes: Vec::new() };
    let git = Beneath::root_if_there(&private.join("git"))?;
    let Some(objects) = git.map_or(Ok(None), |git| git.open_dir("objects"))? else {
        return Ok((temp, copy.notes));
    };
    copy.loose(&objects, repo.sha256)?;
    for pack in copy.packs(&objects)? {
        // The index of the pack that the agent's git made is not trusted: git makes a new one from the pack.
        let output = client::capture(&client::ours(temp.path(), None).args(["index-pack", &pack.to_string_lossy()]))?;
        if !output.ok() {
            copy.notes.push(format!("a pack of the sandbox is damaged: {}", printable(output.stderr.trim())));
            let _ = std::fs::remove_file(&pack);
        }
    }
    Ok((temp, copy.notes))
}

struct Copy {
    to: PathBuf,
    files: usize,
    bytes: u64,
    notes: Vec<String>,
}

impl Copy {
    fn loose(&mut self, objects: &Beneath, sha256: bool) -> Result<()> {
        let rest = if sha256 { 62 } else { 38 };
        for fan in objects.names()?.iter().filter_map(|(name, _)| name.to_str()) {
            if fan.len() != 2 || !is_hex(fan) {
                continue;
            }
            let Some(dir) = noted(objects.open_dir(fan), &mut self.notes) else { continue };
            std::fs::create_dir_all(self.to.join(fan))?;
            for name in dir.names()?.iter().filter_map(|(name, _)| name.to_str()) {
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
        for name in dir.names()?.iter().filter_map(|(name, _)| name.to_str()) {
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
        let copied = std::io::copy(&mut file.take(left + 1), &mut target).context("cannot copy git objects")?;
        self.files += 1;
        self.bytes += copied;
        if self.files > FILES || self.bytes > BYTES {
            return Err(failed("the sandbox's git directory has more new objects than can be taken over at once")
                .hint("inside, `git gc --prune=now` removes those that are not used")
                .into());
        }
        Ok(true)
    }
}
