//! Symlinks in git directories and in directories of hooks which lead into the workspace: what the agent writes at their
//! end would be run by git on the host, although the links themselves are out of its reach.

use super::super::layout::{DOT_GIT, SMALL};
use crate::beneath::Beneath;
use crate::context::led_into;
use crate::error::failed;
use crate::text;
use anyhow::Result;
use std::collections::BTreeSet;
use std::fs::{self, FileType};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// The most names that are looked at.
const MOST_NAMES: usize = 20_000;

/// How deep the git directories of submodules may lie in directories of their names.
const DEEPEST: usize = 16;

/// A link that leads into the workspace.
#[derive(Debug)]
pub(super) struct Led {
    pub(super) link: PathBuf,
    /// Where to, below the workspace. It need not be there.
    pub(super) target: PathBuf,
}

/// Looks for them.
pub(super) struct Search {
    workspace: [PathBuf; 1],
    /// What of the workspace the agent cannot write.
    guarded: Vec<PathBuf>,
    seen: BTreeSet<PathBuf>,
    names: usize,
    pub(super) found: Vec<Led>,
    /// The files among them that git runs or obeys.
    pub(super) files: Vec<PathBuf>,
}

/// What git obeys at the top of a git directory; besides these, all hooks and what lies in `info`.
const OBEYED: &[&str] = &["config", "config.worktree", "commondir", "gitdir"];

impl Search {
    /// `guarded` are paths in the workspace that the agent cannot write, besides its own git directory.
    pub(super) fn new(workspace: &Path, mut guarded: Vec<PathBuf>) -> Search {
        guarded.push(workspace.join(DOT_GIT));
        let workspace = [workspace.to_owned()];
        Search { workspace, guarded, seen: BTreeSet::new(), names: 0, found: Vec::new(), files: Vec::new() }
    }

    /// A git directory, the one from which it has its hooks, and those of its submodules.
    pub(super) fn git_dir(&mut self, dir: &Path) -> Result<()> {
        if !self.seen.insert(dir.to_owned()) {
            return Ok(());
        }
        self.links(dir)?;
        self.files.extend(OBEYED.iter().map(|name| dir.join(name)));
        self.directory(&dir.join("hooks"))?;
        self.directory(&dir.join("info"))?;
        self.modules(&dir.join("modules"), 0)?;
        let common = Beneath::root_if_there(dir)?.and_then(|dir| dir.text("commondir", SMALL).ok()?);
        match common.and_then(|text| dir.join(text.trim()).canonicalize().ok()) {
            Some(common) => self.git_dir(&common),
            None => Ok(()),
        }
    }

    /// A directory of hooks, or another one of which git obeys each file.
    pub(super) fn directory(&mut self, dir: &Path) -> Result<()> {
        if let Some(inside) = self.led(dir)? {
            // It is made read-only, and links in it lead on.
            self.guarded.push(inside);
        }
        self.programs(dir)
    }

    /// A directory of hooks that is made read-only anyway, by its path in the workspace.
    pub(super) fn guarded(&mut self, dir: &Path, inside: PathBuf) -> Result<()> {
        self.guarded.push(inside);
        self.programs(dir)
    }

    fn programs(&mut self, dir: &Path) -> Result<()> {
        for (path, kind) in self.entries(dir)? {
            if kind.is_symlink() {
                self.led(&path)?;
            }
            // What git puts into each hooks directory as an example, it does not run.
            if !kind.is_dir() && path.extension().is_none_or(|end| end != "sample") {
                self.files.push(path);
            }
        }
        Ok(())
    }

    /// The git directories of submodules, whose names can have slashes.
    fn modules(&mut self, dir: &Path, depth: usize) -> Result<()> {
        self.links(dir)?;
        for (path, kind) in self.entries(dir)? {
            if !kind.is_dir() {
                continue;
            }
            if path.join("HEAD").symlink_metadata().is_ok() {
                self.git_dir(&path)?;
            } else if depth < DEEPEST {
                self.modules(&path, depth + 1)?;
            } else {
                return Err(too_much(dir));
            }
        }
        Ok(())
    }

    fn links(&mut self, dir: &Path) -> Result<()> {
        for (path, kind) in self.entries(dir)? {
            if kind.is_symlink() {
                self.led(&path)?;
            }
        }
        Ok(())
    }

    fn entries(&mut self, dir: &Path) -> Result<Vec<(PathBuf, FileType)>> {
        let unreadable =
            |err: std::io::Error| failed(format!("cannot look for symlinks in `{}`: {err}", text::path(dir)));
        let entries = match fs::read_dir(dir) {
            Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            self.names += 1;
            if self.names > MOST_NAMES {
                return Err(too_much(dir));
            }
            let entry = entry.map_err(unreadable)?;
            found.push((entry.path(), entry.file_type().map_err(unreadable)?));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// Notes where a path leads, and returns it, where that is in the workspace.
    fn led(&mut self, link: &Path) -> Result<Option<PathBuf>> {
        let Some((workspace, inside)) = led_into(&self.workspace, &self.guarded, link) else { return Ok(None) };
        let target = inside.strip_prefix(workspace)?.to_owned();
        let why = match target.components().next() {
            None => "the top of the workspace",
            Some(_) if target.components().any(|part| part == Component::ParentDir) => {
                "a path with `..` in the workspace"
            }
            Some(_) => {
                self.found.push(Led { link: link.to_owned(), target });
                return Ok(Some(inside));
            }
        };
        let link = text::path(link);
        Err(failed(format!("`{link}` leads to {why}, and git on this host runs or obeys what lies there"))
            .hint("put the file or directory itself in the place of the symlink")
            .into())
    }
}

fn too_much(dir: &Path) -> anyhow::Error {
    failed(format!("`{}` is too large or too deep to look through it for symlinks into the workspace", text::path(dir)))
        .hint("git on this host would run what they lead to: make it smaller")
        .into()
}

impl Led {
    /// What is wrong with a link whose end is not there yet.
    pub(super) fn dangles(&self, workspace: &Path) -> String {
        let [link, target] = [&self.link, &workspace.join(&self.target)].map(|path| text::path(path));
        format!(
            "`{link}` leads to `{target}`, which is not there: the agent could make it, and git on this host would run or \
             obey it"
        )
    }
}
