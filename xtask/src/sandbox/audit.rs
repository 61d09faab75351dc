//! What an agent may have left in the workspace that the host would execute later.
//!
//! A fixed list of places, looked at without following links: the cost does not grow with the workspace. The whole
//! tree is walked for setuid bits only where the host user is root, since there such a file is a way to root.

use crate::error::failed;
use crate::fingerprint;
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Files of a project that tools on the host run or obey without asking, with the tool. Sources: the documentation of
/// each tool; cargo and rustup look upward from the working directory, so `cargo` typed in the workspace obeys them.
const HOST_RUN: &[(&str, &str)] = &[
    (".cargo/config.toml", "cargo"),
    (".cargo/config", "cargo"),
    ("rust-toolchain.toml", "rustup"),
    ("rust-toolchain", "rustup"),
    ("build.rs", "cargo"),
    (".git", "git"),
    (".gitattributes", "git"),
    (".gitmodules", "git"),
    (".envrc", "direnv"),
    (".mise.toml", "mise"),
    (".tool-versions", "asdf"),
    (".vscode/settings.json", "VS Code"),
    (".vscode/tasks.json", "VS Code"),
    (".idea", "JetBrains IDEs"),
    (".devcontainer/devcontainer.json", "VS Code"),
    (".devcontainer.json", "VS Code"),
    (".pre-commit-config.yaml", "pre-commit"),
    (".husky", "git hooks"),
    (".codex/config.toml", "codex on the host"),
    ("Makefile", "make"),
    ("package.json", "npm"),
    ("conftest.py", "pytest"),
    ("setup.py", "pip"),
    ("pyproject.toml", "pip"),
    (".venv/bin/activate", "your shell"),
];

/// The most bytes of one file that take part in its fingerprint.
const READ_LIMIT: u64 = 1 << 20;

/// The state of each host-run file that exists: what kind it is, and the fingerprint of its text.
pub fn snapshot(workspace: &Path) -> Map<String, Value> {
    HOST_RUN
        .iter()
        .filter_map(|(name, _)| Some(((*name).to_owned(), json!(state(&workspace.join(name))?))))
        .collect()
}

fn state(path: &Path) -> Option<String> {
    let meta = fs::symlink_metadata(path).ok()?;
    if meta.is_symlink() {
        return Some(format!("link to {}", fs::read_link(path).ok()?.display()));
    }
    if !meta.is_file() {
        return Some(if meta.is_dir() { "directory" } else { "special" }.to_owned());
    }
    let mut bytes = Vec::new();
    // Without following and without waiting: the agent may have swapped the file since.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path)
        .ok()?;
    file.take(READ_LIMIT).read_to_end(&mut bytes).ok()?;
    Some(format!(
        "file {:o} {} {}",
        meta.mode() & 0o7777,
        meta.len(),
        fingerprint::of([bytes])
    ))
}

/// What changed between two snapshots: one line a file, with the tool that obeys it.
pub fn changes(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, tool) in HOST_RUN {
        let what = match (before.get(*name), after.get(*name)) {
            (None, Some(_)) => "is new",
            (Some(was), Some(is)) if was != is => "changed",
            (Some(_), None) => "is gone",
            _ => continue,
        };
        lines.push(format!("`{name}` {what}: read it before you run {tool} there"));
    }
    lines
}

/// Removes setuid and setgid bits from files below a directory, and returns the files. Links are not followed, and
/// other file systems are not entered.
///
/// # Errors
/// A bit that cannot be removed.
pub fn clear_setuid(workspace: &Path) -> Result<Vec<PathBuf>> {
    let device = fs::symlink_metadata(workspace)
        .map(|meta| meta.dev())
        .unwrap_or_default();
    let (mut todo, mut cleared) = (vec![workspace.to_path_buf()], Vec::new());
    while let Some(dir) = todo.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() && meta.dev() == device {
                todo.push(entry.path());
            } else if meta.is_file() && meta.mode() & 0o6000 != 0 {
                clear(&entry.path(), &meta)?;
                cleared.push(entry.path());
            }
        }
    }
    Ok(cleared)
}

fn clear(path: &Path, seen: &fs::Metadata) -> Result<()> {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path);
    let file = file.with_context(|| format!("cannot open `{}`", path.display()))?;
    let meta = file.metadata()?;
    if (meta.dev(), meta.ino()) != (seen.dev(), seen.ino()) {
        return Err(failed(format!(
            "`{}` changed while its setuid bit was being removed",
            path.display()
        ))
        .hint("something still runs in the sandbox: `cargo xtask down`, then look at that file")
        .into());
    }
    file.set_permissions(fs::Permissions::from_mode(meta.mode() & 0o1777))
        .with_context(|| format!("cannot remove the setuid bit of `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_changed_and_removed_files_that_the_host_would_run_are_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Makefile"), "all:").unwrap();
        fs::write(dir.path().join(".envrc"), "a").unwrap();
        let before = snapshot(dir.path());
        fs::create_dir(dir.path().join(".cargo")).unwrap();
        fs::write(dir.path().join(".cargo/config.toml"), "[alias]").unwrap();
        fs::write(dir.path().join("Makefile"), "all: evil").unwrap();
        fs::remove_file(dir.path().join(".envrc")).unwrap();
        fs::write(dir.path().join("harmless.txt"), "").unwrap();
        assert_eq!(
            changes(&before, &snapshot(dir.path())),
            [
                "`.cargo/config.toml` is new: read it before you run cargo there",
                "`.envrc` is gone: read it before you run direnv there",
                "`Makefile` changed: read it before you run make there",
            ]
        );
    }

    #[test]
    fn setuid_bits_go_and_links_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("sub"), tempfile::NamedTempFile::new().unwrap());
        fs::create_dir(&inside).unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(inside.join("suid"), "").unwrap();
        mode(&inside.join("suid"), 0o4755);
        mode(outside.path(), 0o4755);
        std::os::unix::fs::symlink(outside.path(), inside.join("link")).unwrap();
        assert_eq!(clear_setuid(dir.path()).unwrap(), [inside.join("suid")]);
        assert_eq!(fs::metadata(inside.join("suid")).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(fs::metadata(outside.path()).unwrap().mode() & 0o7777, 0o4755);
    }
}
