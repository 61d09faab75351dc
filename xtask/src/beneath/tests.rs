use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

fn mkfifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn nothing_is_read_through_a_link_and_nothing_blocks() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    fs::write(at("secret"), "s").unwrap();
    fs::create_dir(at("home")).unwrap();
    symlink("../secret", at("home/link")).unwrap();
    symlink("..", at("home/up")).unwrap();
    mkfifo(&at("home/fifo"));
    let dir = Beneath::root(&at("home")).unwrap();
    let refused = |name: &str| match dir.read(name, 10) {
        Ok(_) => "read".into(),
        Err(err) => err.to_string().replace(&format!("`{}` ", at("home").join(name).display()), ""),
    };
    assert_eq!(refused("link"), "is or leads through a symlink");
    assert_eq!(refused("up/secret"), "is or leads through a symlink");
    assert_eq!(refused("fifo"), "is a fifo and not a plain file");
    assert_eq!(refused("."), "is a directory and not a plain file");
    assert_eq!(refused("../secret"), "leads out of its directory");
    // The parents of a root are trusted, also where the kernel makes the link.
    assert!(Beneath::root(Path::new("/proc/self/root/.")).is_ok());
    assert!(Beneath::root(Path::new("/proc/self/root")).is_err());
    assert!(dir.open_dir("up").is_err() && dir.find_dir("up").unwrap().is_none());
    symlink("home", at("linked-home")).unwrap();
    assert!(Beneath::root(&at("linked-home")).is_err());
}

#[test]
fn a_write_cuts_links_and_takes_the_place_of_anything() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    fs::write(at("victim"), "v").unwrap();
    fs::create_dir_all(at("home/dir/deep")).unwrap();
    symlink("../victim", at("home/link")).unwrap();
    fs::hard_link(at("victim"), at("home/hard")).unwrap();
    mkfifo(&at("home/fifo"));
    let dir = Beneath::root(&at("home")).unwrap();
    for name in ["dir", "link", "hard", "fifo", "new"] {
        dir.write(name, b"n", 0o600, &|| false).unwrap();
        let meta = fs::symlink_metadata(at("home").join(name)).unwrap();
        assert!(meta.is_file() && meta.nlink() == 1 && meta.permissions().mode() & 0o777 == 0o600, "{name}");
    }
    assert_eq!(fs::read_to_string(at("victim")).unwrap(), "v");
    assert_eq!(fs::read_dir(at("home")).unwrap().count(), 5);
}

#[test]
fn a_directory_takes_the_place_of_a_link() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    fs::create_dir_all(at("victim")).unwrap();
    fs::create_dir_all(at("home")).unwrap();
    symlink("../victim", at("home/rules")).unwrap();
    let dir = Beneath::root(&at("home")).unwrap();
    let rules = dir.make(Path::new("rules/a"), 0o700).unwrap();
    rules.write("x", b"", 0o600, &|| false).unwrap();
    assert!(at("home/rules/a/x").is_file());
    assert_eq!(fs::read_dir(at("victim")).unwrap().count(), 0);
}

#[test]
fn a_tree_of_any_depth_and_mode_is_removed() {
    let temp = tempfile::tempdir().unwrap();
    let outside = temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    let dir = Beneath::root(temp.path()).unwrap();
    // Deeper than the most open files of a process and the longest path.
    let mut at = dir.make(Path::new("tree"), 0o700).unwrap();
    for _ in 0..1500 {
        at = at.make(Path::new("d-with-a-long-name"), 0o700).unwrap();
    }
    rustix::fs::symlinkat(&outside, &at.fd, "link").unwrap();
    rustix::fs::fchmod(&at.fd, Mode::empty()).unwrap();
    dir.remove_unless("tree", &|| false).unwrap();
    assert!(!temp.path().join("tree").exists());
    assert!(outside.join("kept").exists());
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
}

/// What root cannot remove either: a directory or a file that is immutable. Not every file system has such.
fn immutable(path: &Path, on: bool) -> bool {
    let sign = if on { "+i" } else { "-i" };
    crate::exec::capture(&crate::step::Command::new("chattr").args([sign, &path.display().to_string()]))
        .is_ok_and(|said| said.ok())
}

#[test]
fn what_cannot_be_removed_is_named_and_everything_else_goes() {
    let temp = tempfile::tempdir().unwrap();
    let tree = temp.path().join("tree");
    let stuck = tree.join("a/kept\u{202e}");
    fs::create_dir_all(&stuck).unwrap();
    fs::create_dir_all(tree.join("z")).unwrap();
    for name in ["a/one", "a/kept\u{202e}/file", "a/kept\u{202e}/later", "z/later"] {
        fs::write(tree.join(name), "").unwrap();
    }
    let dir = Beneath::root(temp.path()).unwrap();
    if !immutable(&stuck.join("file"), true) {
        return;
    }
    let why = crate::error::render(&dir.remove_unless("tree", &|| false).unwrap_err());
    // Its directory was moved, and is named by where it lies now.
    let left: Vec<_> = walk(&tree);
    let file = left.iter().find(|path| path.ends_with("file")).cloned();
    for path in file.iter() {
        immutable(path, false);
    }
    assert!(why.contains("/file` (Operation not permitted") && why.contains("hint: "), "{why}");
    assert!(!why.contains('\u{202e}'), "{why}");
    let files: Vec<_> = left.iter().filter(|path| path.is_file()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    dir.remove_unless("tree", &|| false).unwrap();
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let below = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    below
        .flat_map(|path| [vec![path.clone()], if path.is_symlink() { Vec::new() } else { walk(&path) }].concat())
        .collect()
}

#[test]
fn a_tree_of_very_many_names_of_any_bytes_is_removed_and_its_removal_ends_where_the_user_wants_that() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Beneath::root(temp.path()).unwrap();
    let tree = dir.make_dir("tree", 0o700).unwrap();
    let wide = tree.make_dir(OsStr::from_bytes(b"\xff\xfe"), 0o700).unwrap();
    for n in 0..600u32 {
        let name = [b"\x80-".as_slice(), n.to_string().as_bytes()].concat();
        wide.create(OsStr::from_bytes(&name), 0o600).unwrap();
        if n % 2 == 0 {
            let closed = tree.make_dir(OsStr::from_bytes(&name), 0o700).unwrap();
            rustix::fs::fchmod(&closed.fd, Mode::empty()).unwrap();
        }
    }
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 500
    };
    assert_eq!(dir.remove_unless("tree", &stop).unwrap_err().to_string(), "interrupted");
    assert!(temp.path().join("tree").exists());
    dir.remove_unless("tree", &|| false).unwrap();
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_of_very_many_entries_is_not_listed_whole() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Beneath::root(temp.path()).unwrap();
    for name in ["a", "b", "c"] {
        dir.create(name, 0o600).unwrap();
    }
    assert_eq!(dir.names_within(3).unwrap().len(), 3);
    assert!(dir.names_within(2).unwrap_err().to_string().contains("it has more than 2 entries"));
}

#[test]
fn a_lock_is_waited_for_no_longer_than_asked() {
    let temp = tempfile::tempdir().unwrap();
    mkfifo(&temp.path().join("auth.lock"));
    let dir = Beneath::root(temp.path()).unwrap();
    let name = "auth.lock";
    let held = dir.lock(name, Duration::ZERO).unwrap();
    assert!(held.is_some());
    assert!(dir.lock(name, Duration::from_millis(30)).unwrap().is_none());
    drop(held);
    assert!(dir.lock(name, Duration::ZERO).unwrap().is_some());
}

#[test]
fn what_was_opened_is_known_again_whatever_became_of_its_path() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    fs::create_dir_all(at("a/sub")).unwrap();
    fs::create_dir(at("b")).unwrap();
    let dir = Beneath::root(&at("a")).unwrap();
    let id = FileId::from(&fs::metadata(at("a")).unwrap());
    assert_eq!((dir.node().id, dir.node().kind), (id, FileType::Directory));
    assert_eq!(dir.open_dir("sub").unwrap().unwrap().node(), &dir.stat("sub").unwrap());
    fs::rename(at("a"), at("gone")).unwrap();
    fs::rename(at("b"), at("a")).unwrap();
    assert_eq!(dir.node().id, id);
    assert_ne!(Beneath::root(&at("a")).unwrap().node().id, id);
    assert!(dir.open_dir("sub").unwrap().is_some());
    // The mount is the one of the line that covers the path.
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = dir.node().mount.unwrap();
    assert!(table.lines().any(|line| line.starts_with(&format!("{mount} "))));
}

#[test]
fn another_device_in_the_same_mount_is_a_subvolume_and_not_another_file_system() {
    let temp = tempfile::tempdir().unwrap();
    let here = *Beneath::root(temp.path()).unwrap().node();
    let there = |dev, mount| Node { id: FileId { dev, ino: 1 }, mount, ..here };
    let other = here.id.dev + 1;
    assert!(there(here.id.dev, None).shares_file_system(&here));
    assert!(there(other, here.mount).shares_file_system(&here));
    assert!(!there(other, Some(u64::MAX)).shares_file_system(&here));
    assert!(!there(other, None).shares_file_system(&Node { mount: None, ..here }));
}

#[test]
fn no_more_than_the_limit_is_read() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("f"), "12345").unwrap();
    fs::write(temp.path().join("bytes"), [0xff]).unwrap();
    let dir = Beneath::root(temp.path()).unwrap();
    assert_eq!(dir.text("f", 5).unwrap().unwrap(), "12345");
    assert!(matches!(dir.text("f", 4), Err(Refused { why: Why::TooLarge(4), .. })));
    assert!(matches!(dir.text("bytes", 4), Err(Refused { why: Why::NotUtf8, .. })));
    assert!(dir.text("missing", 4).unwrap().is_none());
}

#[test]
fn a_directory_in_the_place_of_a_file_is_removed_only_as_long_as_the_user_wants_that() {
    let temp = tempfile::tempdir().unwrap();
    for n in 0..300 {
        fs::create_dir_all(temp.path().join(format!("name/{n}"))).unwrap();
    }
    let dir = Beneath::root(temp.path()).unwrap();
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 50
    };
    let why = dir.write("name", b"n", 0o600, &stop).unwrap_err();
    assert!(format!("{why:#}").contains("interrupted"), "{why:#}");
    assert!(asked.get() < 60 && temp.path().join("name").is_dir(), "{}", asked.get());
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "nothing half-done is left");
    dir.write("name", b"n", 0o600, &|| false).unwrap();
    assert!(temp.path().join("name").is_file());
}

#[test]
fn what_is_set_aside_has_a_name_that_fits_whatever_its_own_is() {
    use std::os::unix::ffi::OsStrExt as _;
    let temp = tempfile::tempdir().unwrap();
    let dir = Beneath::root(temp.path()).unwrap();
    let names = ["x".repeat(255), "x".repeat(245), "é".repeat(127), format!("{}é", "y".repeat(240))];
    for name in names {
        fs::write(temp.path().join(&name), "").unwrap();
        let to = dir.rename_aside(name.as_ref(), "set-aside").unwrap();
        let text = to.to_str().expect("no character is cut");
        assert!(text.ends_with(".set-aside-1") || text.ends_with(".set-aside-2"), "{text}");
        assert!(text.len() <= 255 && text.len() > 250, "{}", text.len());
        assert!(!temp.path().join(name).exists());
    }
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 4, "nothing was replaced");
    let odd = std::ffi::OsStr::from_bytes(&[0xBF; 255]);
    fs::write(temp.path().join(odd), "").unwrap();
    dir.rename_aside(odd, "set-aside").unwrap();
    // A directory that is closed to its owner moves to another one, too.
    fs::create_dir_all(temp.path().join("closed/in")).unwrap();
    fs::set_permissions(temp.path().join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    let top = dir.make_dir("top", 0o700).unwrap();
    dir.move_aside("closed".as_ref(), "closed".as_ref(), "set-aside", &top).unwrap();
    assert!(temp.path().join("top/closed.set-aside-1/in").is_dir());
}
