//! Fills the private home. An agent could write to it, so every path is opened through `Beneath`.

use super::survives::{is_everyday, survives};
use super::{Item, Mirror};
use crate::beneath::Beneath;
use crate::spec::words::Memories;
use anyhow::{Context as _, Result};
use rustix::fs::FileType;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Codex keeps its own skills here: those of the host are not copied. Those of the sandbox are removed like all else that an
/// agent can have changed, and Codex, which looks for a mark in there, writes them again.
pub(super) const OWN_SKILLS: &str = "skills/.system";

/// The most names that are listed at once.
const AT_ONCE: usize = if cfg!(test) { 100 } else { 10_000 };

/// Makes the private home what the mirror holds and what may survive, and the copy of `~/.agents` exactly what the mirror
/// holds. Returns what was removed and was not made by Codex as it makes it each time.
///
/// Both directories are made where they are missing (0700); files get 0600, or 0700 where the host's are executable. Must
/// not be called while an agent runs in the sandbox. How much an agent left there is its choice: `stop` says whether the user
/// wants it to end.
pub(crate) fn write(
    mirror: &Mirror,
    memories: Memories,
    home: &Path,
    agents_copy: &Path,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<PathBuf>> {
    let mut removed = sync(home, &mirror.files, |name, kind| !survives(name, kind, memories), stop)?;
    write_agents(mirror, agents_copy, stop)?;
    removed.retain(|path| !is_everyday(path));
    Ok(removed)
}

/// The part of [`write()`] for the copy of `~/.agents`.
pub(crate) fn write_agents(mirror: &Mirror, agents_copy: &Path, stop: &dyn Fn() -> bool) -> Result<()> {
    sync(agents_copy, &mirror.agents, |_, _| true, stop).map(drop)
}

/// Makes `root` hold exactly these files, and returns what was removed. Entries of `root` that are not `managed` are left
/// alone.
pub(super) fn sync(
    root: &Path,
    files: &[Item],
    managed: impl Fn(&OsStr, FileType) -> bool,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<PathBuf>> {
    let fill = || -> Result<Vec<PathBuf>> {
        let dir = Beneath::make_root(root, 0o700)?;
        let mut removed = Vec::new();
        loop {
            let names = dir.names_up_to(AT_ONCE)?;
            let (all, before) = (names.len() < AT_ONCE, removed.len());
            // Some file systems do not tell the kind in the list of names.
            let kind = |name: &OsStr, kind| match kind {
                FileType::Unknown => dir.stat(name).map_or(kind, |node| node.kind),
                kind => kind,
            };
            let managed = names.into_iter().filter(|(name, listed)| managed(name, kind(name, *listed)));
            prune(&dir, managed.map(|(name, _)| name.into()).collect(), files, stop, &mut removed)?;
            if all || removed.len() == before {
                break;
            }
        }
        put(&dir, files, stop)?;
        Ok(removed)
    };
    fill().with_context(|| format!("cannot fill `{}`", root.display()))
}

/// Removes what is not among `files`, at these paths of `dir` and below them.
fn prune(
    dir: &Beneath,
    mut todo: Vec<PathBuf>,
    files: &[Item],
    stop: &dyn Fn() -> bool,
    removed: &mut Vec<PathBuf>,
) -> Result<()> {
    let files: BTreeSet<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    // Codex makes the directory of its skills in each session: what else is in there is told apart.
    let own = Path::new(OWN_SKILLS);
    let dirs: BTreeSet<&Path> = files.iter().chain([&own]).flat_map(|path| path.ancestors().skip(1)).collect();
    // Not recursive, because the agent decides how deep the tree is. Only directories of these files are entered.
    while let Some(path) = todo.pop() {
        if files.contains(path.as_path()) {
            continue;
        }
        let inner = if dirs.contains(path.as_path()) { dir.find_dir(&path)? } else { None };
        if let Some(inner) = inner {
            todo.extend(inner.names()?.iter().map(|(name, _)| path.join(name)));
        } else if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            dir.make(parent, 0o700)?.remove_unless(name, stop)?;
            removed.push(path);
        }
    }
    Ok(())
}

fn put(root: &Beneath, files: &[Item], stop: &dyn Fn() -> bool) -> Result<()> {
    let mut by_dir: BTreeMap<&Path, Vec<&Item>> = BTreeMap::new();
    for file in files {
        by_dir.entry(file.path.parent().unwrap_or(Path::new(""))).or_default().push(file);
    }
    for (parent, files) in by_dir {
        let dir = root.make(parent, 0o700)?;
        for file in files {
            let Some(name) = file.path.file_name() else { continue };
            let mode = if file.executable { 0o700 } else { 0o600 };
            // A file with the same bytes is kept, unless it has another mode or a second name (a hard link).
            let same = matches!(
                dir.read(name, file.bytes.len() as u64),
                Ok(Some((bytes, meta)))
                    if bytes == file.bytes && meta.mode() & 0o7777 == mode && meta.nlink() == 1
            );
            if !same {
                dir.write(name, &file.bytes, mode, stop)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
