//! The claim that the inside witness still runs the image's own programs.
//!
//! A container whose user is root owns every file of the image, so an agent there could put a program of its own in the
//! place of the interpreter and have it answer for the container. The host therefore takes a fingerprint of those files
//! through `/proc/PID/root`: at the container's start, before any agent ran in it, and again at each proof.

use super::claim::{Draft, RECREATE};
use crate::beneath::Beneath;
use crate::exec;
use crate::finding::Finding;
use crate::fingerprint;
use crate::mountinfo::MountTable;
use rustix::fs::{self, AtFlags, FileType};
use std::path::Path;

/// What the start of the probe depends on: names, and of the folders in `OPENED` everything in them. A name that ends in
/// `*` is a prefix.
const WATCHED: &[&str] = &[
    "bin",
    "etc",
    "lib",
    "lib64",
    "usr",
    "usr/bin",
    "usr/bin/env",
    "usr/bin/python3*",
    // If any of these three exists, the interpreter looks for its library elsewhere.
    "usr/bin/Modules",
    "usr/bin/lib",
    "usr/bin/pybuilddir.txt",
    "usr/lib",
    // The dynamic loader lies in one of these, depending on the machine.
    "usr/lib/ld-linux*",
    "usr/lib64",
    "usr/lib/python3*",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.preload",
];

/// Folders of which everything in them counts, by the start of their path; of the others only the entry itself counts.
const OPENED: &[&str] =
    &["lib64", "usr/lib64", "usr/lib/python3", "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"];

/// Folders within those whose content counts too: the packages that the probe's interpreter loads, and where the loader
/// looks for libraries first. Of other folders only the name counts: a new folder could hide a module of its name.
const OPENED_WITHIN: &[&str] = &[
    "collections", "encodings", "glibc-hwcaps", "importlib", "json", "lib-dynload", "re", "x86-64-v2", "x86-64-v3",
    "x86-64-v4",
];

/// Compiled copies of modules, which the probe's interpreter is told not to read.
const UNREAD: &str = "__pycache__";

/// The most files that are fingerprinted; an image has about 1,200.
const MOST: usize = 50_000;

/// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h.
const OVERLAY: u64 = 0x794c_7630;

/// Whether an overlay moves directories of its lower layers where its mount does not say.
const DEFAULT: &str = "/sys/module/overlay/parameters/redirect_dir";

/// The fingerprint of the watched files below the container's root: their names, sizes and ctimes, which only the kernel
/// sets. No file is read. `None` where the host may not read the directories.
///
/// Every entry waits for this, so it costs one system call a file: names are looked up in their open folder, and what is
/// fingerprinted is bytes, not text.
pub(crate) fn fingerprint(root: &Path) -> Option<String> {
    // `/proc/PID/root` is itself a link, which `Beneath` refuses as the last part of a path. With a dot behind it, the
    // link is a parent, and parents are trusted.
    let mounts = root.parent().map(|process| process.join("mountinfo"));
    let root = Beneath::root(&root.join(".")).ok()?;
    let overlay = u64::try_from(fs::fstatfs(&root).ok()?.f_type).ok()? == OVERLAY;
    let fixed = overlay && {
        let text = |path: &Path| std::fs::read_to_string(path).ok();
        !moves_directories(mounts.and_then(|path| text(&path)).as_deref(), text(Path::new(DEFAULT)).as_deref())
    };
    printed(&root, fixed)
}

/// The same, where it is known whether `etc` and `usr` stay where they are.
fn printed(root: &Beneath, fixed: bool) -> Option<String> {
    // On an overlay these two can usually not be moved, and their ctimes change when the first file below them is installed,
    // so that their ctimes do not count there. Where they can be moved, a whole other tree could answer in their place and be
    // put back, which only they show. No file that is put there for a while and removed again can mislead the probe: an image
    // whose user is root has an `ld.so.preload` already (`docker/add_user.sh`), and the interpreter does not look for a
    // `pyvenv.cfg` there (see `spec::inside::PYTHON_LINK`).
    let unmoved = ["etc", "usr"];
    let lines = |watched: &[&str]| {
        let mut lines = Vec::new();
        watched
            .iter()
            .try_for_each(|watched| add_watched(root, watched, fixed && unmoved.contains(watched), &mut lines))?;
        Some(lines)
    };
    // Each half has one of the two folders with many files.
    let (first, second) = WATCHED.split_at(WATCHED.len() - 5);
    let (first, second) = exec::both(|| lines(first), || lines(second));
    let lines = first?.into_iter().chain(second?);
    Some(fingerprint::of(lines))
}

/// Adds what one entry of `WATCHED` stands for.
fn add_watched(root: &Beneath, watched: &str, unmoved: bool, lines: &mut Vec<Vec<u8>>) -> Option<()> {
    let open = |path: &str| OPENED.iter().any(|open| path.starts_with(open));
    let Some(prefix) = watched.strip_suffix('*') else {
        return add(root, watched, watched, Counts { content: open(watched), ctime: !unmoved }, lines);
    };
    let (folder, start) = prefix.rsplit_once('/')?;
    let folder_fd = root.open_dir(folder).ok()??;
    for (name, _) in folder_fd.names().ok()? {
        let name = name.to_string_lossy();
        if name.starts_with(start) {
            let path = format!("{folder}/{name}");
            // The distribution's packages lie in `python3`, from which the probe's interpreter loads nothing.
            let counts = Counts { content: open(&path), ctime: name != "python3" };
            add(&folder_fd, &name, &path, counts, lines)?;
        }
    }
    Some(())
}

/// Whether directories of the image can be moved in a container whose root is an overlay, by the table of its mounts and the
/// kernel's default. What is not known counts as if they could. Source: the kernel's `overlayfs.rst`; the option is shown
/// where it is not the default.
fn moves_directories(mounts: Option<&str>, default: Option<&str>) -> bool {
    let table = mounts.and_then(|text| MountTable::parse(text).ok());
    let Some(root) = table.as_ref().and_then(|table| table.at("/")) else { return true };
    match root.super_option("redirect_dir") {
        Some(option) => !["off", "nofollow", "follow"].contains(&option),
        None => default.is_none_or(|default| default.trim() != "N"),
    }
}

/// What of a folder counts beside its name and mode.
#[derive(Clone, Copy)]
struct Counts {
    /// Everything in it.
    content: bool,
    /// Its ctime. A program that was put into the folder, answered in the place of the image's own and was removed again
    /// leaves no other trace; nor does a folder that was moved away and back.
    ctime: bool,
}

/// Adds one name in an open folder; `path` is where it lies below the root.
fn add(folder: &Beneath, name: &str, path: &str, counts: Counts, lines: &mut Vec<Vec<u8>>) -> Option<()> {
    let mut line = path.as_bytes().to_vec();
    line.push(0);
    let Ok(stat) = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
        lines.push(line);
        return Some(());
    };
    line.extend(stat.st_mode.to_le_bytes());
    let ctime = [stat.st_ctime.to_le_bytes(), stat.st_ctime_nsec.to_le_bytes()].concat();
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Directory {
        lines.push(line);
        if counts.content {
            let inner = folder.open_dir(name).ok()??;
            for (name, _) in inner.names().ok()? {
                let name = name.to_string_lossy();
                if name != UNREAD && lines.len() < MOST {
                    let opened = OPENED_WITHIN.contains(&name.as_ref());
                    let counts = Counts { content: opened, ctime: opened };
                    add(&inner, &name, &format!("{path}/{name}"), counts, lines)?;
                }
            }
        }
        if counts.ctime {
            lines.push(ctime);
        }
        return Some(());
    }
    line.extend(stat.st_size.to_le_bytes());
    line.extend(ctime);
    if kind == FileType::Symlink {
        line.extend(fs::readlinkat(folder, name, Vec::new()).ok()?.as_bytes());
    }
    lines.push(line);
    Some(())
}

/// The claim for a container whose user is root. No other user can change the image's files, so there is no claim then.
///
/// `was` is the fingerprint from the container's start, `now` that of now; in a container that was just started they are
/// the same.
pub(crate) fn judge(uid: u32, was: Option<&str>, now: Option<&str>) -> Option<Finding> {
    if uid != 0 {
        return None;
    }
    let mut draft = Draft::new("container.programs", "the inside witness runs the image's own programs").hint(RECREATE);
    let short = |print: Option<&str>| print.map_or("not seen".to_owned(), |print| print.chars().take(12).collect());
    draft.host(format!("at the start {}, now {}", short(was), short(now)));
    match (was, now) {
        (Some(was), Some(now)) => draft.check(was == now, || {
            "the interpreter, its library or the loader changed since the container was started; root inside owns them"
                .into()
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

    /// As a kernel whose default is `N` showed it, with the layers shortened; `on` and `off` by the option of the mount.
    fn mounts(option: &str) -> String {
        format!(
            "1203 1093 0:146 / / rw,relatime master:509 - overlay overlay rw,lowerdir=l,upperdir=u,workdir=w{option}\n\
             1204 1203 0:149 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n"
        )
    }

    #[test]
    fn where_an_overlay_moves_directories_is_known_from_its_mount_or_the_default() {
        let moves = |option: &str, default| moves_directories(Some(&mounts(option)), default);
        assert!(!moves("", Some("N\n")) && moves("", Some("Y\n")));
        assert!(moves(",redirect_dir=on", Some("N\n")));
        for off in [",redirect_dir=off", ",redirect_dir=nofollow", ",redirect_dir=follow"] {
            assert!(!moves(off, Some("Y\n")), "{off}");
        }
        // What is not known counts.
        assert!(moves("", None) && moves("", Some("")) && moves_directories(None, Some("N\n")));
        assert!(moves(",redirect_dir=new", Some("N\n")) && moves_directories(Some("odd"), Some("N\n")));
    }

    #[test]
    fn a_whole_tree_that_was_put_aside_and_came_back_is_seen_where_it_can_be_moved() {
        let dir = image();
        let root = Beneath::root(dir.path()).unwrap();
        let before = [true, false].map(|fixed| printed(&root, fixed).unwrap());
        for name in ["usr", "etc"] {
            fs::rename(dir.path().join(name), dir.path().join("aside")).unwrap();
            fs::rename(dir.path().join("aside"), dir.path().join(name)).unwrap();
        }
        let after = [true, false].map(|fixed| printed(&root, fixed).unwrap());
        assert_eq!(before[0], after[0], "what an installed package does to them is no change");
        assert_ne!(before[1], after[1]);
    }

    #[test]
    fn the_claim_is_for_root_and_breaks_where_anything_changed() {
        let verdict = |was, now| judge(0, was, now).map(|claim| claim.verdict);
        assert_eq!(verdict(Some("a"), Some("a")), Some(Verdict::Held));
        assert_eq!(verdict(Some("a"), Some("b")), Some(Verdict::Broken));
        assert_eq!(verdict(Some("a"), None), Some(Verdict::NotProvable));
        assert_eq!(judge(1000, None, None), None);
    }

    #[test]
    fn compiled_copies_of_modules_are_nothing_to_the_fingerprint() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = image();
        let before = fingerprint(root.path()).unwrap();
        let copies = root.path().join("usr/lib/python3.13/__pycache__");
        fs::set_permissions(copies, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(fingerprint(root.path()).unwrap(), before);
    }

    #[test]
    fn only_on_an_overlay_are_directories_known_to_stay_where_they_are() {
        let process = tempfile::tempdir().unwrap();
        let root = process.path().join("root");
        fs::rename(image().keep(), &root).unwrap();
        fs::write(process.path().join("mountinfo"), mounts(",redirect_dir=off")).unwrap();
        let before = fingerprint(&root).unwrap();
        fs::rename(root.join("etc"), root.join("aside")).unwrap();
        fs::rename(root.join("aside"), root.join("etc")).unwrap();
        let overlay = u64::try_from(rustix::fs::statfs(&root).unwrap().f_type) == Ok(OVERLAY);
        assert_eq!(fingerprint(&root).unwrap() == before, overlay);
    }
}
