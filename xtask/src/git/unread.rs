//! What a start keeps of the sandbox's git directory although it does not understand it: commits may be there that were not
//! found. It is moved beside the new one, out of the agent's reach, with links to all objects, and never deleted but by
//! `cargo xtask down --all`. Also what the host gave, so that what the sandbox got is not taken for its own work.

use super::effort::Effort;
use super::layout::SMALL;
use super::refs::{Refs, packed_text};
use crate::beneath::Beneath;
use crate::exec;
use anyhow::{Context as _, Result};
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// How the names of what was kept begin.
const KEPT: &str = "unread-";
/// The refs that the host gave at the last start.
const GIVEN: &str = "given-refs";
const GIVEN_BYTES: u64 = 64 * SMALL;

/// What was found that is not understood.
pub(super) fn said(why: &str) -> String {
    format!("commits may be in the sandbox's git directory that cannot be read: {why}")
}

/// What was kept so far.
pub(super) fn kept(private: &Path) -> Result<Vec<PathBuf>> {
    let Some(dir) = Beneath::root_if_there(private)? else { return Ok(Vec::new()) };
    let names = dir.names()?.into_iter().map(|(name, _)| name);
    let mut kept: Vec<PathBuf> =
        names.filter(|name| name.to_string_lossy().starts_with(KEPT)).map(|name| private.join(name)).collect();
    kept.sort();
    Ok(kept)
}

/// One that is being kept.
pub(super) struct Aside(Beneath);

impl Aside {
    /// Makes it, with a link to each object, `packed-refs` and HEAD, which are written next. `None` where all is understood.
    pub(super) fn begin(private: &Path, git: &Beneath, why: &[String], effort: &Effort<'_>) -> Result<Option<Aside>> {
        if why.is_empty() {
            return Ok(None);
        }
        let private = Beneath::root(private)?;
        let free = (1..).map(|n| format!("{KEPT}{n}")).find(|name| private.stat(name).is_err());
        let aside = private.make_dir(free.unwrap_or_default(), 0o700)?;
        if let Ok(Some(objects)) = git.find_dir("objects") {
            link_all(objects, aside.make_dir("objects", 0o700)?, effort)?;
        }
        for name in ["packed-refs", "HEAD"] {
            if git.stat(name).is_ok() && git.link(name, &aside, name).is_err() {
                git.move_to(OsStr::new(name), &aside)?;
            }
        }
        Ok(Some(Aside(aside)))
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Moves what would be removed. The objects have been linked.
    pub(super) fn take(&self, git: &Beneath, name: &OsStr, stop: &dyn Fn() -> bool) -> Result<()> {
        if name == "objects" { git.remove_unless(name, stop) } else { git.move_to(name, &self.0) }
    }
}

/// Links all files of a tree into another, no symlink followed. Object directories have two levels.
fn link_all(from: Beneath, to: Beneath, effort: &Effort<'_>) -> Result<()> {
    let mut todo = vec![(from, to, 2)];
    while let Some((from, to, levels)) = todo.pop() {
        for (name, _) in from.names()? {
            effort.go_on()?;
            let shown = || format!("cannot keep `{}`", crate::text::path(&from.path().join(&name)));
            // Also a directory that the agent closed.
            if from.stat(&name).with_context(shown)?.kind != FileType::Directory {
                from.link(&name, &to, &name).with_context(shown)?;
            } else if levels > 0
                && let Some(below) = from.find_dir(&name).with_context(shown)?
            {
                todo.push((below, to.make_dir(&name, 0o700)?, levels - 1));
            }
        }
    }
    Ok(())
}

/// Keeps what the host gives.
pub(super) fn give(private: &Path, host: &Refs) -> Result<()> {
    let sides = host
        .iter()
        .filter_map(|(name, id)| Some((format!("refs/host/{}", name.strip_prefix("refs/heads/")?), id.clone())));
    let given: Refs = sides.chain(host.clone()).collect();
    exec::write_file(&private.join(GIVEN), packed_text(&given).as_bytes(), 0o600)
}

/// What the host gave last.
pub(super) fn given(private: &Path) -> Result<Refs> {
    let dir = Beneath::root_if_there(private)?;
    let text = dir.map_or(Ok(None), |dir| dir.text(GIVEN, GIVEN_BYTES))?.unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    Ok(lines.map(|(id, name)| (name.to_owned(), id.to_owned())).collect())
}

/// Whether a ref is as the host gave it: then the host has moved on since, and nothing of the sandbox's is lost with it.
/// Branches, tags and the stash are kept all the same.
pub(super) fn is_given(given: &Refs, name: &str, id: &str) -> bool {
    let kept = ["refs/heads/", "refs/tags/"].iter().any(|kind| name.starts_with(kind)) || name == "refs/stash";
    !kept && given.get(name).is_some_and(|given| given == id)
}
