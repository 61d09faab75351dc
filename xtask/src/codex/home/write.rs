//! Fills the private home. The home was writable by an agent: every path goes through `Beneath`.

use super::{Item, Mirror, WHOLE};
use crate::beneath::Beneath;
use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What else belongs to the configuration, and is therefore gone from the sandbox when it is gone from the host. The last
/// two never come from the host: they would set Codex's environment, or run programs, at its next start.
const CONFIGURATION: [&str; 5] = ["config.toml", "plugins", "brought-along", ".env", "environments.toml"];

/// Codex keeps its own skills here and writes them at every start.
const KEPT: [&str; 1] = ["skills/.system"];

/// Sets the configuration part of the private home, and the copy of `~/.agents`, to exactly what the mirror holds.
///
/// Both directories are made where they are missing (0700); files are 0600, or 0700 where the host's may be run. Must
/// not run while an agent is live in the sandbox.
pub fn write(mirror: &Mirror, home: &Path, agents_copy: &Path) -> Result<()> {
    sync(home, &mirror.files, |name| {
        let known = WHOLE.iter().chain(&CONFIGURATION).any(|known| name == OsStr::new(known));
        known || name.as_encoded_bytes().ends_with(b".config.toml")
    })?;
    write_agents(mirror, agents_copy)
}

/// The half of `write` for the copy of `~/.agents`.
pub fn write_agents(mirror: &Mirror, agents_copy: &Path) -> Result<()> {
    sync(agents_copy, &mirror.agents, |_| true)
}

/// Makes what `managed` says is ours of the directory `root` hold exactly these files.
pub(super) fn sync(root: &Path, files: &[Item], managed: impl Fn(&OsStr) -> bool) -> Result<()> {
    let fill = || -> Result<()> {
        let dir = Beneath::make_root(root, 0o700)?;
        let wanted = Wanted::new(files);
        for (name, _) in dir.names()? {
            if managed(&name) {
                prune(&dir, Path::new(&name), &wanted)?;
            }
        }
        put(&dir, files)
    };
    fill().with_context(|| format!("cannot fill `{}`", root.display()))
}

struct Wanted<'a> {
    files: BTreeSet<&'a Path>,
    dirs: BTreeSet<&'a Path>,
}

impl<'a> Wanted<'a> {
    fn new(files: &'a [Item]) -> Wanted<'a> {
        let paths = files.iter().map(|file| file.path.as_path());
        Wanted {
            files: paths.clone().collect(),
            dirs: paths
                .chain(KEPT.map(Path::new))
                .flat_map(|path| path.ancestors().skip(1))
                .filter(|path| !path.as_os_str().is_empty())
                .collect(),
        }
    }
}

/// Removes what is not wanted at `path` and below. `dir` is the directory that `path` starts from.
fn prune(dir: &Beneath, path: &Path, wanted: &Wanted) -> Result<()> {
    // Not recursive: how deep the tree is, is the agent's choice. Only wanted directories are entered.
    let mut todo = vec![path.to_owned()];
    while let Some(path) = todo.pop() {
        if KEPT.iter().any(|kept| path == Path::new(kept)) || wanted.files.contains(path.as_path()) {
            continue;
        }
        let inner = match wanted.dirs.contains(path.as_path()) {
            true => dir.find_dir(&path)?,
            false => None,
        };
        if let Some(inner) = inner {
            todo.extend(inner.names()?.iter().map(|(name, _)| path.join(name)));
        } else if let Some(name) = path.file_name() {
            match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) => dir.find_dir(parent)?.map_or(Ok(()), |parent| parent.remove(name))?,
                None => dir.remove(name)?,
            }
        }
    }
    Ok(())
}

fn put(root: &Beneath, files: &[Item]) -> Result<()> {
    let mut by_dir: BTreeMap<PathBuf, Vec<&Item>> = BTreeMap::new();
    for file in files {
        let parent = file.path.parent().unwrap_or(Path::new(""));
        by_dir.entry(parent.to_owned()).or_default().push(file);
    }
    for (parent, files) in by_dir {
        let dir = root.make(&parent, 0o700)?;
        for file in files {
            let Some(name) = file.path.file_name() else { continue };
            let mode = if file.executable { 0o700 } else { 0o600 };
            // What is the same already stays; a second name (a hard link) or other bits make it another file.
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
