//! What an agent may have left in the workspace that the host would execute later.
//!
//! A fixed list of places, checked without following links: the cost does not grow with the workspace.

use crate::beneath::{Beneath, Refused, Why};
use crate::fingerprint;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

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

/// What kind each host-run file is that exists, and the fingerprint of its text.
pub(super) type Snapshot = BTreeMap<String, String>;

/// The state of the host-run files now.
///
/// # Errors
/// The workspace itself cannot be read.
pub(super) fn snapshot(workspace: &Path) -> anyhow::Result<Snapshot> {
    let workspace = Beneath::root(workspace)?;
    let state = |name: &str| Some((name.to_owned(), state(&workspace, Path::new(name))?));
    Ok(HOST_RUN.iter().filter_map(|(name, _)| state(name)).collect())
}

fn state(workspace: &Beneath, name: &Path) -> Option<String> {
    match workspace.file(name) {
        Err(Refused { why: Why::Symlink, .. }) => link(workspace, name),
        found => seen(found),
    }
}

/// The state of a name that is a symlink, or is reached through one. Tools of the host follow a directory that is a
/// symlink: what lies there is checked where that is in the workspace, since nowhere else can the agent change it.
fn link(workspace: &Beneath, name: &Path) -> Option<String> {
    let path = workspace.path().join(name);
    if let Ok(target) = fs::read_link(&path) {
        return Some(format!("link to {}", target.display()));
    }
    let real = match path.parent()?.canonicalize() {
        Ok(parent) => parent.join(name.file_name()?),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return None,
        Err(err) => return Some(format!("unreadable: {err}")),
    };
    match real.strip_prefix(workspace.path()) {
        Ok(inside) => seen(workspace.file(inside)),
        Err(_) => Some(format!("leads to {}", real.display())),
    }
}

fn seen(found: Result<Option<(fs::File, fs::Metadata)>, Refused>) -> Option<String> {
    let (file, meta) = match found.map_err(|refused| refused.why) {
        Ok(found) => found?,
        Err(Why::Directory) => return Some("directory".to_owned()),
        Err(Why::Fifo | Why::Special) => return Some("special".to_owned()),
        // That it is there and cannot be read is a state too: it can become readable by a change of its mode alone.
        Err(Why::Failed(err)) => return Some(format!("unreadable: {err}")),
        Err(Why::NoDirectory) => return None,
        Err(Why::Symlink | Why::Outside | Why::TooLarge(_) | Why::NotUtf8 | Why::Moved) => {
            return Some("unreadable: it was replaced while it was opened".to_owned());
        }
    };
    let mut bytes = Vec::new();
    if let Err(err) = file.take(READ_LIMIT).read_to_end(&mut bytes) {
        return Some(format!("unreadable: {err}"));
    }
    // What is not read counts by the time of its last change, which only the kernel sets.
    let rest = (meta.len() > READ_LIMIT).then(|| format!(" {} {}", meta.ctime(), meta.ctime_nsec()));
    let (mode, rest) = (meta.mode() & 0o7777, rest.unwrap_or_default());
    Some(format!("file {mode:o} {} {}{rest}", meta.len(), fingerprint::of([bytes])))
}

/// What changed between two snapshots: one line a file, with the tool that obeys it.
pub(crate) fn changes(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, tool) in HOST_RUN {
        let what = match (before.get(*name), after.get(*name)) {
            (None, Some(_)) => "is new",
            (Some(was), Some(is)) if was != is => "changed",
            (Some(_), None) => "was removed",
            _ => continue,
        };
        lines.push(format!("`{name}` {what}: check this before you run {tool} there"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_changed_and_removed_files_that_the_host_would_run_are_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Makefile"), "all:").unwrap();
        fs::write(dir.path().join(".envrc"), "a").unwrap();
        let before = snapshot(dir.path()).unwrap();
        fs::create_dir(dir.path().join(".cargo")).unwrap();
        fs::write(dir.path().join(".cargo/config.toml"), "[alias]").unwrap();
        fs::write(dir.path().join("Makefile"), "all: evil").unwrap();
        fs::remove_file(dir.path().join(".envrc")).unwrap();
        fs::write(dir.path().join("harmless.txt"), "").unwrap();
        assert_eq!(
            changes(&before, &snapshot(dir.path()).unwrap()),
            [
                "`.cargo/config.toml` is new: check this before you run cargo there",
                "`.envrc` was removed: check this before you run direnv there",
                "`Makefile` changed: check this before you run make there",
            ]
        );
    }

    #[test]
    fn a_change_far_behind_in_a_large_file_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Makefile");
        let mut text = vec![b'#'; 2 << 20];
        fs::write(&path, &text).unwrap();
        let before = snapshot(dir.path()).unwrap();
        text.pop();
        text.push(b'\n');
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, &text).unwrap();
        assert_eq!(changes(&before, &snapshot(dir.path()).unwrap()).len(), 1);
    }

    #[test]
    fn a_directory_that_is_a_link_is_looked_at_in_the_workspace_and_nowhere_else() {
        let (dir, host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("tools/vscode")).unwrap();
        fs::write(at("tools/vscode/tasks.json"), "a").unwrap();
        std::os::unix::fs::symlink("tools/vscode", at(".vscode")).unwrap();
        fs::write(host.path().join("config.toml"), "a").unwrap();
        std::os::unix::fs::symlink(host.path(), at(".cargo")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("Makefile")).unwrap();
        let before = snapshot(dir.path()).unwrap();
        assert_eq!(before[".cargo/config.toml"], format!("leads to {}", host.path().join("config.toml").display()));
        assert_eq!(before["Makefile"], "link to /dev/zero");
        fs::write(at("tools/vscode/tasks.json"), "b").unwrap();
        fs::write(host.path().join("config.toml"), "b").unwrap();
        assert_eq!(
            changes(&before, &snapshot(dir.path()).unwrap()),
            ["`.vscode/tasks.json` changed: check this before you run VS Code there"]
        );
    }
}
