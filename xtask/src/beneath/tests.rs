use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

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
    let dir = Dir::open_root(&at("home")).unwrap();
    let odd = |name: &str| match dir.read(Path::new(name), 10) {
        Ok(Entry::Odd(what)) => what.to_owned(),
        Ok(_) => "read".into(),
        Err(err) => err.to_string(),
    };
    assert_eq!(odd("link"), "a symlink");
    assert_eq!(odd("up/secret"), "a symlink");
    assert_eq!(odd("fifo"), "a fifo");
    assert!(odd("../secret").contains("Invalid cross-device link"));
    symlink("home", at("linked-home")).unwrap();
    assert!(Dir::open_root(&at("linked-home")).is_err());
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
    let dir = Dir::open_root(&at("home")).unwrap();
    for name in ["dir", "link", "hard", "fifo", "new"] {
        dir.write(OsStr::new(name), b"n", 0o600).unwrap();
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
    let dir = Dir::open_root(&at("home")).unwrap();
    let rules = dir.make(Path::new("rules/a"), 0o700).unwrap();
    rules.write(OsStr::new("x"), b"", 0o600).unwrap();
    assert!(at("home/rules/a/x").is_file());
    assert_eq!(fs::read_dir(at("victim")).unwrap().count(), 0);
}

#[test]
fn a_tree_of_any_depth_and_mode_is_removed() {
    let temp = tempfile::tempdir().unwrap();
    let outside = temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    let dir = Dir::open_root(temp.path()).unwrap();
    // Deeper than the most open files of a process and the longest path.
    let mut at = dir.make(Path::new("tree"), 0o700).unwrap();
    for _ in 0..1500 {
        at = at.make(Path::new("d-with-a-long-name"), 0o700).unwrap();
    }
    rustix::fs::symlinkat(&outside, &at.fd, "link").unwrap();
    rustix::fs::fchmod(&at.fd, Mode::empty()).unwrap();
    dir.remove(Path::new("tree")).unwrap();
    assert!(!temp.path().join("tree").exists());
    assert!(outside.join("kept").exists());
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[test]
fn a_lock_is_waited_for_no_longer_than_asked() {
    let temp = tempfile::tempdir().unwrap();
    mkfifo(&temp.path().join("auth.lock"));
    let dir = Dir::open_root(temp.path()).unwrap();
    let name = OsStr::new("auth.lock");
    let held = dir.lock(name, Duration::ZERO).unwrap();
    assert!(held.is_some());
    assert!(dir.lock(name, Duration::from_millis(30)).unwrap().is_none());
    drop(held);
    assert!(dir.lock(name, Duration::ZERO).unwrap().is_some());
}
