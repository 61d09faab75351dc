//! The files that belong to a native program, wherever its installation keeps them, listed in one layout:
//! `bin/codex`, `bin/codex-code-mode-host`, `codex-path/rg`, `codex-resources/…`, `codex-package.json`.
//!
//! Codex looks for `codex-code-mode-host` only beside its own program, for the rest only where `codex-package.json` lies
//! above a directory `bin`.

use super::launcher::read_elf;
use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

/// A file or a link of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packaged {
    /// Where the installation has it.
    pub(super) from: PathBuf,
    /// Where the package has it, relative to its root.
    pub(super) to: PathBuf,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A file; `executable`: anybody may run it on the host.
    File { executable: bool },
    /// A symbolic link, relative, to something in the package.
    Link(PathBuf),
}

/// The package root of a program that lies in a package directory, as Codex itself finds it.
pub(super) fn root(binary: &Path) -> Option<&Path> {
    let dir = binary.parent()?;
    let root = dir.parent()?;
    (dir.file_name()? == "bin" && root.join("codex-package.json").is_file()).then_some(root)
}

/// Everything that goes into the package of a program, and notes about what was left out.
pub(super) fn items(binary: &Path) -> Result<(Vec<Packaged>, Vec<String>)> {
    let dir = binary.parent().unwrap_or(Path::new("/"));
    let mut list = List { items: Vec::new(), notes: Vec::new() };
    list.file(binary, "bin/codex")?;
    list.code_mode_host(dir, binary)?;
    if let Some(root) = root(binary) {
        list.file(&root.join("codex-package.json"), "codex-package.json")?;
        for name in ["codex-path", "codex-resources"] {
            list.tree(&root.join(name), Path::new(name), root)?;
        }
    } else {
        // Up to 0.125, npm's package had `codex/codex` and `path/rg`; early standalone releases `codex-resources/rg`.
        let (path, resources) = (dir.with_file_name("path"), dir.join("codex-resources"));
        if dir.file_name().is_some_and(|name| name == "codex") && path.join("rg").is_file() {
            list.tree(&path, Path::new("codex-path"), &path)?;
        } else if resources.join("rg").is_file() {
            list.file(&resources.join("rg"), "codex-path/rg")?;
        }
        list.tree(&resources, Path::new("codex-resources"), &resources)?;
    }
    list.items.sort_by(|a, b| a.to.cmp(&b.to));
    Ok((list.items, list.notes))
}

struct List {
    items: Vec<Packaged>,
    notes: Vec<String>,
}

impl List {
    /// A file, its links followed.
    fn file(&mut self, from: &Path, to: impl Into<PathBuf>) -> Result<()> {
        let unreadable = || format!("cannot read `{}`", from.display());
        let real = from.canonicalize().with_context(unreadable)?;
        let mode = fs::metadata(&real).with_context(unreadable)?.permissions().mode();
        self.items.push(Packaged { from: real, to: to.into(), what: What::File { executable: mode & 0o111 != 0 } });
        Ok(())
    }

    /// `codex-code-mode-host` beside the program, also under the name that it has in a release
    /// (`codex-code-mode-host-x86_64-unknown-linux-musl` beside `codex-x86_64-unknown-linux-musl`).
    fn code_mode_host(&mut self, dir: &Path, binary: &Path) -> Result<()> {
        let name = binary.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let suffix = name.strip_prefix("codex").unwrap_or_default();
        let names = ["codex-code-mode-host".to_owned(), format!("codex-code-mode-host{suffix}")];
        let Some(host) = names.iter().map(|name| dir.join(name)).find(|path| path.is_file()) else {
            return Ok(());
        };
        let problem = match read_elf(&host) {
            Ok(Some(elf)) => match (elf.for_this_machine(), elf.loads_in_image()) {
                (Err(what), _) => format!("it is {what}"),
                (_, Err(loader)) => format!("it needs `{loader}`, which the image does not have"),
                _ => return self.file(&host, "bin/codex-code-mode-host"),
            },
            Ok(None) => "it is not a native program".to_owned(),
            Err(err) => format!("{err:#}"),
        };
        self.notes.push(format!("`{}` is left out: {problem}", host.display()));
        Ok(())
    }

    /// All files below a directory, which may be missing. Links are kept where they lead to something under `inside`.
    fn tree(&mut self, from: &Path, to: &Path, inside: &Path) -> Result<()> {
        if !from.is_dir() {
            return Ok(());
        }
        let unreadable = || format!("cannot read `{}`", from.display());
        for entry in fs::read_dir(from).with_context(unreadable)? {
            let entry = entry.with_context(unreadable)?;
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type().with_context(unreadable)?;
            if kind.is_dir() {
                self.tree(&from, &to, inside)?;
            } else if kind.is_file() {
                self.file(&from, to)?;
            } else if kind.is_symlink() {
                match kept_link(&from, inside) {
                    Some(target) => self.items.push(Packaged { from, to, what: What::Link(target) }),
                    None => self.notes.push(format!("`{}` is left out: a link out of the package", from.display())),
                }
            }
        }
        Ok(())
    }
}

/// The target of a link, where it is relative and neither it nor any step of the way to its end leads out of `inside`.
fn kept_link(link: &Path, inside: &Path) -> Option<PathBuf> {
    let target = fs::read_link(link).ok()?;
    let mut depth = link.parent()?.strip_prefix(inside).ok()?.components().count();
    for part in target.components() {
        depth = match part {
            Component::Normal(_) => depth + 1,
            Component::CurDir => depth,
            Component::ParentDir => depth.checked_sub(1)?,
            Component::RootDir | Component::Prefix(_) => return None,
        };
    }
    let end = link.canonicalize().ok()?;
    end.starts_with(inside.canonicalize().ok()?).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{OTHER_MACHINE, World, elf};
    use super::*;

    #[track_caller]
    fn check(binary: &Path, expected: &[&str]) -> Vec<String> {
        let (items, notes) = items(binary).unwrap();
        let names: Vec<_> = items.iter().map(|item| item.to.to_str().unwrap()).collect();
        assert_eq!(names, expected);
        notes
    }

    #[test]
    fn every_layout_becomes_the_same() {
        let world = World::new();
        let new = world.package("new");
        let notes = check(
            &new,
            &[
                "bin/codex",
                "bin/codex-code-mode-host",
                "codex-package.json",
                "codex-path/rg",
                "codex-resources/bwrap",
                "codex-resources/voice/lib/libz.so",
                "codex-resources/voice/lib/libz.so.1",
            ],
        );
        assert_eq!(notes, [""; 0]);

        world.native("old/path/rg", "rg");
        check(&world.native("old/codex/codex", "codex"), &["bin/codex", "codex-path/rg"]);

        world.native("early/codex-resources/rg", "rg");
        let early = world.native("early/codex", "codex");
        check(&early, &["bin/codex", "codex-path/rg", "codex-resources/rg"]);

        let brew = world.native("cask/codex-x86_64-unknown-linux-musl", "codex");
        check(&brew, &["bin/codex"]);
        world.native("cask/codex-code-mode-host-x86_64-unknown-linux-musl", "host");
        check(&brew, &["bin/codex", "bin/codex-code-mode-host"]);
    }

    #[test]
    fn links_out_of_the_package_and_foreign_programs_are_left_out() {
        let world = World::new();
        let binary = world.package("pkg");
        world.program("pkg/bin/codex-code-mode-host", elf(OTHER_MACHINE, None));
        world.program("secret", "s");
        world.link("pkg/codex-resources/absolute", world.path("secret"));
        world.link("pkg/codex-resources/up", "../../secret");
        world.link("pkg/codex-resources/round", "../../pkg/codex-path/rg");
        world.link("pkg/codex-resources/hidden", "dir/secret");
        world.link("pkg/codex-resources/dir", "../..");
        world.link("pkg/codex-resources/across", "../codex-path/rg");
        let (items, notes) = items(&binary).unwrap();
        let links: Vec<_> = items
            .iter()
            .filter(|item| matches!(item.what, What::Link(_)))
            .map(|item| item.to.to_str().unwrap())
            .collect();
        assert_eq!(links, ["codex-resources/across", "codex-resources/voice/lib/libz.so.1"]);
        assert_eq!(notes.len(), 6, "{notes:?}");
        assert!(notes[0].contains("this machine is"), "{notes:?}");
    }
}
