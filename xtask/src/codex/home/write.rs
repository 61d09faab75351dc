//! Fills the private home. An agent could write to it, so every path is opened through `Beneath`.

use super::{Item, Mirror, WHOLE};
use crate::beneath::Beneath;
use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What else belongs to the configuration, and is therefore removed from the sandbox where the host does not have it. The
/// last two are never copied from the host: they would set Codex's environment, or run programs, at its next start.
const CONFIGURATION: [&str; 5] = ["config.toml", "plugins", "brought-along", ".env", "environments.toml"];

/// Codex keeps its own skills here and writes them at every start: those of the host are not copied, and those of the
/// sandbox are not removed.
pub(super) const OWN_SKILLS: &str = "skills/.system";

/// Makes the configuration part of the private home, and the copy of `~/.agents`, exactly what the mirror holds.
///
/// Both directories are made where they are missing (0700); files get 0600, or 0700 where the host's are executable. Must
/// not be called while an agent runs in the sandbox. How much an agent left there is its choice: `stop` says whether the user
/// wants it to end.
pub(crate) fn write(mirror: &Mirror, home: &Path, agents_copy: &Path, stop: &dyn Fn() -> bool) -> Result<()> {
    let managed = |name: &OsStr| {
        let known = WHOLE.iter().chain(&CONFIGURATION).any(|known| name == OsStr::new(known));
        known || name.as_encoded_bytes().ends_with(b".config.toml")
    };
    sync(home, &mirror.files, managed, stop)?;
    write_agents(mirror, agents_copy, stop)
}

/// The part of [`write()`] for the copy of `~/.agents`.
pub(crate) fn write_agents(mirror: &Mirror, agents_copy: &Path, stop: &dyn Fn() -> bool) -> Result<()> {
    sync(agents_copy, &mirror.agents, |_| true, stop)
}

/// Makes `root` hold exactly these files. Entries of `root` that are not `managed` are left alone.
pub(super) fn sync(
    root: &Path,
    files: &[Item],
    managed: impl Fn(&OsStr) -> bool,
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    let fill = || -> Result<()> {
        let dir = Beneath::make_root(root, 0o700)?;
        let managed = dir.names()?.into_iter().filter(|(name, _)| managed(name));
        prune(&dir, managed.map(|(name, _)| name.into()).collect(), files, stop)?;
        put(&dir, files)
    };
    fill().with_context(|| format!("cannot fill `{}`", root.display()))
}

/// Removes what is not among `files`, at these paths of `dir` and below them.
fn prune(dir: &Beneath, mut todo: Vec<PathBuf>, files: &[Item], stop: &dyn Fn() -> bool) -> Result<()> {
    let own_skills = Path::new(OWN_SKILLS);
    let files: BTreeSet<&Path> = files.iter().map(|file| file.path.as_path()).chain([own_skills]).collect();
    let dirs: BTreeSet<&Path> = files.iter().flat_map(|path| path.ancestors().skip(1)).collect();
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
        }
    }
    Ok(())
}

fn put(root: &Beneath, files: &[Item]) -> Result<()> {
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
                dir.write(name, &file.bytes, mode)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
