use super::*;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

/// A directory of the test's own, by its real path.
fn dir() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let real = temp.path().canonicalize().unwrap();
    (temp, real)
}

#[test]
fn links_are_followed_and_every_directory_on_the_way_is_remembered() {
    let (_temp, dir) = dir();
    for name in ["a/b", "links/deep", "data/clips"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    symlink("../links/deep/on", dir.join("a/first")).unwrap();
    symlink(dir.join("data"), dir.join("links/deep/on")).unwrap();
    let held = Held::open(&dir.join("a/first/clips")).unwrap();
    assert_eq!(held.real(), dir.join("data/clips"));
    assert_eq!(held.node().id, FileId::from(&fs::metadata(dir.join("data/clips")).unwrap()));
    let passed: Vec<&Path> = held.passed().iter().map(|place| place.path.as_path()).collect();
    for name in ["a", "links", "links/deep", "data", ""] {
        assert!(passed.contains(&dir.join(name).components().as_path()), "{name}: {passed:?}");
    }
    let above = [dir.join("data"), dir.clone(), "/".into()].map(|path| FileId::from(&fs::metadata(path).unwrap()));
    assert!(above.iter().all(|id| held.above().contains(id)) && held.above()[0] == above[0]);
    assert_eq!(Held::open(&dir.join("a/b/../../data/./clips/")).unwrap().real(), dir.join("data/clips"));
}

#[test]
fn what_is_not_there_and_endless_links_are_refused() {
    let (_temp, dir) = dir();
    symlink("round", dir.join("round")).unwrap();
    fs::write(dir.join("file"), "text").unwrap();
    let why = |name: &str| Held::open(&dir.join(name)).unwrap_err().why;
    assert!(matches!(why("round"), Why::Symlink));
    assert!(matches!(why("file/below"), Why::NoDirectory));
    assert!(matches!(why("gone"), Why::Failed(err) if err.kind() == std::io::ErrorKind::NotFound));
    let (mut file, _) = Held::open(&dir.join("file")).unwrap().file().unwrap();
    assert_eq!(std::io::read_to_string(&mut file).unwrap(), "text");
    assert!(matches!(Held::open(&dir).unwrap().file().unwrap_err().why, Why::Directory));
    // A fifo is named and not waited for.
    let fifo = dir.join("fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    assert!(matches!(Held::open(&fifo).unwrap().file().unwrap_err().why, Why::Fifo));
}

#[test]
fn what_is_held_stays_what_it_was() {
    let (_temp, dir) = dir();
    fs::create_dir(dir.join("data")).unwrap();
    fs::write(dir.join("data/own"), "").unwrap();
    fs::create_dir(dir.join("secret")).unwrap();
    let held = Held::open(&dir.join("data")).unwrap();
    fs::rename(dir.join("data"), dir.join("away")).unwrap();
    symlink("secret", dir.join("data")).unwrap();
    let names = held.dir().unwrap().names().unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(held.by_handle().join("own").exists());
}

/// A directory that is exchanged with a link to another one, again and again, is held as the one or the other: never are
/// the facts of one mixed with those of the other.
#[test]
fn an_exchange_in_a_loop_never_mixes_two_objects() {
    let (_temp, dir) = dir();
    for name in ["ws/objects/pack", "secret/pack"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    symlink("../secret", dir.join("ws/evil")).unwrap();
    let id = |name: &str| FileId::from(&fs::metadata(dir.join(name)).unwrap());
    let (good, bad) = (id("ws/objects/pack"), id("secret/pack"));
    let (good_parent, bad_parent) = (id("ws/objects"), id("secret"));
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| {
            let ws = fs::File::open(dir.join("ws")).unwrap();
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(&ws, "objects", &ws, "evil", rustix::fs::RenameFlags::EXCHANGE).unwrap();
            }
        });
        let mut seen = [0, 0, 0];
        for _ in 0..4_000 {
            match Held::open(&dir.join("ws/objects/pack")) {
                Ok(held) if held.node().id == good => {
                    assert_eq!(held.above()[0], good_parent);
                    seen[0] += 1;
                }
                Ok(held) => {
                    assert_eq!((held.node().id, held.above()[0]), (bad, bad_parent));
                    assert_eq!(held.real(), dir.join("secret/pack"));
                    // The link lies in `ws`, and that is remembered.
                    assert!(held.passed().iter().any(|place| place.path == dir.join("ws")));
                    seen[1] += 1;
                }
                // Moved while it was opened: its path is another one then.
                Err(refused) => {
                    assert!(matches!(refused.why, Why::Moved), "{refused}");
                    seen[2] += 1;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        seen
    });
    assert!(seen[0] > 0 && seen[1] > 0, "the exchange was never met: {seen:?}");
}
