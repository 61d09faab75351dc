//! The claim that the inside witness still runs the image's own programs.
//!
//! A container whose user is root owns every file of the image, so an agent there could put a program of its own in the
//! place of the interpreter and have it answer for the container. The host looks at those files through
//! `/proc/PID/root`: at the container's start, before any agent ran in it, and again at each proof.

use super::Draft;
use crate::beneath::Beneath;
use crate::finding::Finding;
use crate::fingerprint;
use rustix::fs::{self, AtFlags, FileType};
use std::path::Path;

/// The places of what the probe's start depends on: names, or for a folder all that lies in it. `*` ends a prefix.
const WATCHED: &[&str] = &[
    "bin",
    "etc",
    "lib",
    "lib64",
    "usr",
    "usr/bin",
    "usr/bin/env",
    "usr/bin/python3*",
    // Each of these, where it is there, leads the interpreter to a library elsewhere.
    "usr/bin/Modules",
    "usr/bin/lib",
    "usr/bin/pybuilddir.txt",
    "usr/lib",
    // The loader's own name lies in one of these, by the machine; where they are folders they are looked into.
    "usr/lib/ld-linux*",
    "usr/lib64",
    "usr/lib/python3*",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.preload",
];

/// Folders that are looked into, by the start of their path; of the others only the entry itself counts.
const OPENED: &[&str] =
    &["lib64", "usr/lib64", "usr/lib/python3", "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"];

/// Folders within those that are looked into too: the packages that the probe's interpreter loads, and where the loader
/// looks for libraries first. Of the others only the name counts: a folder that was not there is seen, for it could
/// hide a module.
const OPENED_WITHIN: &[&str] = &[
    "collections",
    "encodings",
    "glibc-hwcaps",
    "importlib",
    "json",
    "lib-dynload",
    "re",
    "x86-64-v2",
    "x86-64-v3",
    "x86-64-v4",
];

/// Compiled copies: the probe is started with these turned off.
const UNREAD: &str = "__pycache__";

/// The most files that are looked at; an image has about 1,200.
const MOST: usize = 50_000;

/// The number by which the kernel knows an overlay: linux/magic.h.
const OVERLAY: u64 = 0x794c_7630;

/// The fingerprint of the watched files below the container's root: their names, sizes and times of change, which only
/// the kernel sets. No file is read. `None` where the host may not look.
///
/// Every entry waits for this look, so it costs one system call a file: names are looked up in their open folder, and
/// what is fingerprinted is bytes, not text.
pub fn fingerprint(root: &Path) -> Option<String> {
    // `/proc/PID/root` is itself a link: with a dot behind it, it is its parent, which is trusted.
    let root = Beneath::root(&root.join(".")).ok()?;
    // In an overlay these two cannot be moved, and their times change with any first file that is installed below them.
    // What would be put there and taken away again needs no look: the image has an `ld.so.preload` where its user is root
    // (`docker/add_user.sh`), and the interpreter looks for no `pyvenv.cfg` there (`probe`).
    let unmoved = ["etc", "usr"];
    let overlay = u64::try_from(fs::fstatfs(&root).ok()?.f_type).ok()? == OVERLAY;
    let mut lines = Vec::new();
    let open = |path: &str| OPENED.iter().any(|open| path.starts_with(open));
    for watched in WATCHED {
        let Some(prefix) = watched.strip_suffix('*') else {
            look(&root, watched, watched, open(watched), &mut lines)?;
            if !(overlay && unmoved.contains(watched)) {
                changed(&root, watched, &mut lines);
            }
            continue;
        };
        let (folder, start) = prefix.rsplit_once('/')?;
        let folder_fd = root.open_dir(folder).ok()??;
        for (name, _) in folder_fd.names().ok()? {
            let name = name.to_string_lossy();
            if name.starts_with(start) {
                let path = format!("{folder}/{name}");
                look(&folder_fd, &name, &path, open(&path), &mut lines)?;
                // Packages of the distribution lie in `python3`, and the probe's interpreter does not look there.
                if name != "python3" {
                    changed(&folder_fd, &name, &mut lines);
                }
            }
        }
    }
    Some(fingerprint::of(lines))
}

/// The time of change of a folder. What was put into it, answered in the place of the image's own, and was taken away
/// again leaves no other trace; nor does a folder that was put aside and came back.
fn changed(folder: &Beneath, name: &str, lines: &mut Vec<Vec<u8>>) {
    if let Ok(stat) = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
    {
        lines.push([stat.st_ctime.to_le_bytes(), stat.st_ctime_nsec.to_le_bytes()].concat());
    }
}

/// Looks at one name in an open folder; `path` is where that lies below the root, `open` whether a folder is looked into.
fn look(folder: &Beneath, name: &str, path: &str, open: bool, lines: &mut Vec<Vec<u8>>) -> Option<()> {
    let mut line = path.as_bytes().to_vec();
    line.push(0);
    let Ok(stat) = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
        lines.push(line);
        return Some(());
    };
    line.extend(stat.st_mode.to_le_bytes());
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Directory {
        // The times of any folder change with compiled copies in it; what lies in it is looked at by itself.
        lines.push(line);
        if open {
            let inner = folder.open_dir(name).ok()??;
            for (name, _) in inner.names().ok()? {
                let name = name.to_string_lossy();
                if name != UNREAD && lines.len() < MOST {
                    let open = OPENED_WITHIN.contains(&name.as_ref());
                    look(&inner, &name, &format!("{path}/{name}"), open, lines)?;
                    if open {
                        changed(&inner, &name, lines);
                    }
                }
            }
        }
        return Some(());
    }
    line.extend(stat.st_size.to_le_bytes());
    line.extend(stat.st_ctime.to_le_bytes());
    line.extend(stat.st_ctime_nsec.to_le_bytes());
    if kind == FileType::Symlink {
        line.extend(fs::readlinkat(folder, name, Vec::new()).ok()?.as_bytes());
    }
    lines.push(line);
    Some(())
}

/// The claim, for a container whose user is root; any other user cannot change the image's files, and `None` is said.
///
/// `was` is what was seen at the container's start; in a container that was just started it is what is seen now.
pub fn judge(uid: u32, was: Option<&str>, now: Option<&str>) -> Option<Finding> {
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
    use crate::finding::Verdict;
    use std::fs;

    fn image() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for dir in [
            "usr/bin",
            "usr/lib/python3.13/dist-packages",
            "usr/lib/python3.13/__pycache__",
            "usr/lib/python3.13/encodings",
            "usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3",
            "usr/lib/x86_64-linux-gnu/perl",
            "usr/lib64",
            "etc",
        ] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        fs::write(root.path().join("usr/bin/python3.13"), "elf").unwrap();
        let loader = root.path().join("usr/lib64/ld-linux-x86-64.so.2");
        std::os::unix::fs::symlink("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", loader).unwrap();
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
            "usr/lib/x86_64-linux-gnu/perl/a.so",
        ] {
            fs::write(root.path().join(harmless), "x").unwrap();
            assert_eq!(print(), first, "{harmless}");
        }
        for harmful in [
            "usr/bin/python3.13",
            "usr/lib/python3.13/os.py",
            "usr/lib/python3.13/new.py",
            "usr/lib/python3.13/encodings/utf_8.py",
            "usr/lib/x86_64-linux-gnu/libm.so.6",
            "usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libm.so.6",
            "etc/ld.so.preload",
            "usr/bin/pybuilddir.txt",
            "usr/lib/ld-linux-aarch64.so.1",
            "usr/lib64/libc.so.6",
        ] {
            let before = print();
            fs::write(root.path().join(harmful), "changed").unwrap();
            assert_ne!(print(), before, "{harmful}");
        }
        // A folder of a module's name comes before the module.
        let before = print();
        fs::create_dir(root.path().join("usr/lib/python3.13/os")).unwrap();
        assert_ne!(print(), before);
    }

    #[test]
    fn a_loader_of_another_name_is_seen() {
        let root = image();
        let before = fingerprint(root.path()).unwrap();
        let loader = root.path().join("usr/lib64/ld-linux-x86-64.so.2");
        fs::remove_file(&loader).unwrap();
        std::os::unix::fs::symlink("/tmp/ld.so", &loader).unwrap();
        assert_ne!(fingerprint(root.path()).unwrap(), before);
    }

    #[test]
    fn what_was_put_there_and_taken_away_again_is_seen() {
        for place in [
            "usr/bin/lib",
            "usr/lib/python313.zip",
            "usr/lib/python3.13/os",
            "usr/lib/python3.13/encodings/utf_8",
            "usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v4",
        ] {
            let root = image();
            let before = fingerprint(root.path()).unwrap();
            let path = root.path().join(place);
            fs::write(&path, "").unwrap();
            fs::remove_file(&path).unwrap();
            assert_ne!(fingerprint(root.path()).unwrap(), before, "{place}");
        }
    }

    #[test]
    fn a_folder_that_was_put_aside_and_came_back_is_seen() {
        let root = image();
        let before = fingerprint(root.path()).unwrap();
        let (there, aside) = (root.path().join("usr/bin"), root.path().join("aside"));
        fs::rename(&there, &aside).unwrap();
        fs::rename(&aside, &there).unwrap();
        assert_ne!(fingerprint(root.path()).unwrap(), before);
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
