//! What an agent may have left in the workspace that the host would execute later.
//!
//! A fixed list of places, checked without following links: the cost does not grow with the workspace. The whole
//! tree is walked for setuid bits only where the host user is root, since there such a file is a way to root.

use crate::beneath::{Beneath, Refused, Why};
use crate::fingerprint;
use rustix::fs::FileType;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
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
    let real = path.parent()?.canonicalize().ok()?.join(name.file_name()?);
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
        Err(Why::Symlink | Why::Outside | Why::NoDirectory | Why::TooLarge(_) | Why::NotUtf8 | Why::Moved) => {
            return None;
        }
    };
    let mut bytes = Vec::new();
    file.take(READ_LIMIT).read_to_end(&mut bytes).ok()?;
    Some(format!("file {:o} {} {}", meta.mode() & 0o7777, meta.len(), fingerprint::of([bytes])))
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

/// From which files setuid and setgid bits were removed, by their paths below the workspace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Cleared {
    /// Files that had such a bit and no longer have it.
    pub files: Vec<PathBuf>,
    /// What could not be checked or changed, with the reason.
    pub failed: Vec<(PathBuf, String)>,
}

/// The setuid and setgid bits.
const BITS: u32 = 0o6000;

/// Removes setuid and setgid bits from files below a directory. Links are not followed, also not one that an agent
/// puts in the place of a directory meanwhile, and other file systems are not entered.
pub(crate) fn clear_setuid(workspace: &Path) -> Cleared {
    let mut cleared = Cleared::default();
    let (mut todo, root) = (vec![PathBuf::new()], Beneath::root(workspace));
    while let Some(path) = todo.pop() {
        let dir = root.as_ref().map_err(ToString::to_string).and_then(|root| {
            let below = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
            root.find_dir(below).map_err(|err| err.to_string())
        });
        let mut look = |dir: Beneath| -> Result<(), Refused> {
            for (name, _) in dir.names()? {
                let Ok(node) = dir.stat(&name) else { continue };
                match node.kind {
                    FileType::Directory if node.shares_file_system(dir.node()) => todo.push(path.join(name)),
                    FileType::RegularFile if node.mode & BITS != 0 => match take_bits(&dir, &name) {
                        Ok(true) => cleared.files.push(path.join(name)),
                        Ok(false) => {}
                        Err(why) => cleared.failed.push((path.join(name), why)),
                    },
                    _ => {}
                }
            }
            Ok(())
        };
        // What is no longer a directory was removed or moved: there is nothing left to check.
        let looked = dir.and_then(|dir| dir.map_or(Ok(()), &mut look).map_err(|err| err.to_string()));
        if let Err(why) = looked {
            cleared.failed.push((path, why));
        }
    }
    cleared
}

/// Removes the bits from a regular file; `false` where it is not one, or no longer has any of them.
fn take_bits(dir: &Beneath, name: &OsStr) -> Result<bool, String> {
    let (file, meta) = match dir.file(name) {
        Err(Refused { why: Why::Failed(err), .. }) => return Err(err.to_string()),
        Ok(Some(found)) => found,
        Ok(None) | Err(_) => return Ok(false),
    };
    if meta.mode() & BITS == 0 {
        return Ok(false);
    }
    file.set_permissions(fs::Permissions::from_mode(meta.mode() & 0o7777 & !BITS)).map_err(|err| err.to_string())?;
    Ok(true)
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

    #[test]
    fn setuid_bits_go_and_links_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("sub"), tempfile::NamedTempFile::new().unwrap());
        fs::create_dir(&inside).unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::create_dir(inside.join("shared")).unwrap();
        mode(&inside.join("shared"), 0o2775);
        fs::write(inside.join("suid"), "").unwrap();
        mode(&inside.join("suid"), 0o4755);
        mode(outside.path(), 0o4755);
        std::os::unix::fs::symlink(outside.path(), inside.join("link")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("su"), "").unwrap();
        mode(&elsewhere.path().join("su"), 0o4755);
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("bin")).unwrap();
        assert_eq!(clear_setuid(dir.path()), Cleared { files: vec!["sub/suid".into()], failed: Vec::new() });
        assert_eq!(fs::metadata(inside.join("shared")).unwrap().mode() & 0o7777, 0o2775);
        assert_eq!(fs::metadata(elsewhere.path().join("su")).unwrap().mode() & 0o7777, 0o4755);
        assert_eq!(fs::metadata(inside.join("suid")).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(fs::metadata(outside.path()).unwrap().mode() & 0o7777, 0o4755);
    }

    #[test]
    fn a_directory_that_becomes_a_link_while_it_is_looked_at_leads_nowhere() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let (dir, host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let su = host.path().join("su");
        fs::write(&su, "").unwrap();
        fs::set_permissions(&su, fs::Permissions::from_mode(0o4755)).unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(host.path(), &link).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    let _ = rustix::fs::renameat_with(rustix::fs::CWD, &real, rustix::fs::CWD, &link, flags);
                }
            });
            for _ in 0..2000 {
                clear_setuid(dir.path());
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(fs::metadata(&su).unwrap().mode() & 0o7777, 0o4755, "a program of the host lost its bit");
    }
}
