//! What an agent may have left in the workspace that the host would execute later.
//!
//! A fixed list of places, looked at without following links: the cost does not grow with the workspace. The whole
//! tree is walked for setuid bits only where the host user is root, since there such a file is a way to root.

use crate::beneath::Dir;
use crate::spec::SCHEMA;
use crate::spec::places::Places;
use crate::{exec, fingerprint};
use serde_json::{Map, Value, json};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
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
    HOST_RUN.iter().filter_map(|(name, _)| Some(((*name).to_owned(), json!(state(&workspace.join(name))?)))).collect()
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
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path).ok()?;
    file.take(READ_LIMIT).read_to_end(&mut bytes).ok()?;
    Some(format!("file {:o} {} {}", meta.mode() & 0o7777, meta.len(), fingerprint::of([bytes])))
}

/// The snapshot of now, kept for the next comparison.
///
/// # Errors
/// The state folder cannot be written.
pub fn baseline(places: &Places, workspace: &Path) -> anyhow::Result<Map<String, Value>> {
    let files = snapshot(workspace);
    let text = json!({"schema": SCHEMA, "files": files}).to_string();
    exec::write_file(&places.baseline, text.as_bytes(), 0o600)?;
    Ok(files)
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

/// What became of setuid and setgid bits: one path below the workspace each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Files that had one and have none any more.
    pub files: Vec<PathBuf>,
    /// What could not be looked at or changed, with the reason.
    pub failed: Vec<(PathBuf, String)>,
}

/// Removes setuid and setgid bits from files below a directory. Links are not followed, also not one that an agent
/// puts in the place of a directory meanwhile, and other file systems are not entered.
pub fn clear_setuid(workspace: &Path) -> Cleared {
    const BITS: u32 = 0o6000;
    let mut cleared = Cleared::default();
    let (mut todo, root) = (vec![PathBuf::new()], Dir::open_root(workspace));
    while let Some(path) = todo.pop() {
        let dir = root.as_ref().map_err(ToString::to_string).and_then(|root| {
            let open = root.open(if path.as_os_str().is_empty() { Path::new(".") } else { &path });
            open.map_err(|err| err.to_string())
        });
        let mut look = |dir: Dir| -> io::Result<()> {
            let (dirs, files) = dir.with_bits(BITS)?;
            todo.extend(dirs.iter().map(|name| path.join(OsStr::from_bytes(name.to_bytes()))));
            for name in files {
                let name = Path::new(OsStr::from_bytes(name.to_bytes()));
                match dir.take_bits(name, BITS) {
                    Ok(true) => cleared.files.push(path.join(name)),
                    Ok(false) => {}
                    Err(err) => cleared.failed.push((path.join(name), err.to_string())),
                }
            }
            Ok(())
        };
        // What is no directory any more is gone, or was moved: there is nothing to look at.
        let looked = dir.and_then(|dir| dir.map_or(Ok(()), &mut look).map_err(|err| err.to_string()));
        if let Err(why) = looked {
            cleared.failed.push((path, why));
        }
    }
    cleared
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

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
