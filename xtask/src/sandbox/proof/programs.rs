//! The claim that the inside witness still runs the image's own programs.
//!
//! A container whose user is root owns every file of the image, so an agent there could put a program of its own in the
//! place of the interpreter and have it answer for the container. The host looks at those files through
//! `/proc/PID/root`: at the container's start, before any agent ran in it, and again at each proof.

use super::{Claim, Draft};
use crate::fingerprint;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The places of what the probe's start depends on: names, or for a folder all that lies in it. `*` ends a prefix.
const WATCHED: &[&str] = &[
    "bin",
    "lib",
    "lib64",
    "usr",
    "usr/bin/env",
    "usr/bin/python3*",
    "usr/lib",
    "usr/lib64",
    "usr/lib/python3*",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.preload",
];

/// Folders that are looked into, by the start of their path; of the others only the entry itself counts.
const OPENED: &[&str] = &[
    "usr/lib/python3",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
];

/// Folders that the isolated interpreter does not read: what users install, and compiled copies (the probe is started
/// with these turned off).
const UNREAD: &[&str] = &["dist-packages", "site-packages", "__pycache__"];

/// The most files that are looked at; an image has about 4,000.
const MOST: usize = 50_000;

/// The fingerprint of the watched files below the container's root: their names, sizes and times of change, which only
/// the kernel sets. No file is read. `None` where the host may not look.
pub fn fingerprint(root: &Path) -> Option<String> {
    let mut lines = Vec::new();
    for watched in WATCHED {
        let Some(prefix) = watched.strip_suffix('*') else {
            look(root, watched, &mut lines)?;
            continue;
        };
        let (folder, start) = prefix.rsplit_once('/')?;
        for name in names(&root.join(folder))? {
            if name.starts_with(start) {
                look(root, &format!("{folder}/{name}"), &mut lines)?;
            }
        }
    }
    Some(fingerprint::of(lines))
}

fn look(root: &Path, path: &str, lines: &mut Vec<String>) -> Option<()> {
    let Ok(meta) = fs::symlink_metadata(root.join(path)) else {
        lines.push(format!("{path} missing"));
        return Some(());
    };
    if meta.is_dir() {
        // The times of a folder change with compiled copies in it; what lies in it is looked at by itself.
        lines.push(format!("{path} {:o}", meta.mode()));
        if OPENED.iter().any(|open| path.starts_with(open)) {
            for name in names(&root.join(path))? {
                if !UNREAD.contains(&name.as_str()) && lines.len() < MOST {
                    look(root, &format!("{path}/{name}"), lines)?;
                }
            }
        }
        return Some(());
    }
    let link = fs::read_link(root.join(path)).unwrap_or_default();
    lines.push(format!(
        "{path} {:o} {} {}.{} {}",
        meta.mode(),
        meta.len(),
        meta.ctime(),
        meta.ctime_nsec(),
        link.display()
    ));
    Some(())
}

fn names(dir: &Path) -> Option<Vec<String>> {
    let entries = fs::read_dir(dir).ok()?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Some(names)
}

/// The claim, for a container whose user is root; any other user cannot change the image's files, and `None` is said.
///
/// `was` is what was seen at the container's start; in a container that was just started it is what is seen now.
pub fn judge(uid: u32, was: Option<&str>, now: Option<&str>) -> Option<Claim> {
    if uid != 0 {
        return None;
    }
    let mut draft = Draft::new("container.programs", "the inside witness runs the image's own programs")
        .hint("root inside owns them: `cargo xtask down` and enter again, the container is then made anew");
    let short = |print: Option<&str>| print.map_or("not seen".to_owned(), |print| print.chars().take(12).collect());
    draft.host(format!("at the start {}, now {}", short(was), short(now)));
    match (was, now) {
        (Some(was), Some(now)) => draft.check(was == now, || {
            "the interpreter, its library or the loader changed since the container was started".into()
        }),
        _ => draft.unseen("the host cannot see the container's files"),
    }
    Some(draft.done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::proof::Verdict;

    fn image() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for dir in [
            "usr/bin",
            "usr/lib/python3.13/dist-packages",
            "usr/lib/python3.13/__pycache__",
            "etc",
        ] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        fs::write(root.path().join("usr/bin/python3.13"), "elf").unwrap();
        fs::write(root.path().join("usr/lib/python3.13/os.py"), "").unwrap();
        root
    }

    #[test]
    fn a_changed_interpreter_library_or_loader_is_seen_and_installed_packages_are_not() {
        let root = image();
        let print = || fingerprint(root.path()).unwrap();
        let first = print();
        for harmless in [
            "usr/lib/python3.13/dist-packages/a.py",
            "usr/lib/python3.13/__pycache__/os.pyc",
        ] {
            fs::write(root.path().join(harmless), "x").unwrap();
            assert_eq!(print(), first, "{harmless}");
        }
        for harmful in [
            "usr/bin/python3.13",
            "usr/lib/python3.13/os.py",
            "usr/lib/python3.13/new.py",
            "etc/ld.so.preload",
        ] {
            let before = print();
            fs::write(root.path().join(harmful), "changed").unwrap();
            assert_ne!(print(), before, "{harmful}");
        }
    }

    #[test]
    fn the_claim_is_for_root_and_breaks_where_anything_changed() {
        let verdict = |was, now| judge(0, was, now).map(|claim| claim.verdict);
        assert_eq!(verdict(Some("a"), Some("a")), Some(Verdict::Held));
        assert_eq!(verdict(Some("a"), Some("b")), Some(Verdict::Broken));
        assert_eq!(verdict(Some("a"), None), Some(Verdict::NotProvable));
        assert_eq!(judge(1000, None, None), None);
    }
}
