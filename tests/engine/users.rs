//! The tool as users other than the one who runs the tests: their ids, no entry in the user database.

use crate::support::codex;
use crate::support::place::{Place, User};
use crate::support::proc;
use crate::support::run::Xtask;
use crate::support::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

#[track_caller]
fn owns_what_codex_writes(user: User) {
    let sandbox = Sandbox::of(user);
    let version = sandbox.enter(["--version"]).ok();
    assert_eq!(version.stdout, format!("codex-cli {}\n", codex::VERSION));
    let proof = sandbox.proof();
    assert_eq!(proof.with("broken"), Vec::<String>::new());
    assert_eq!(proof.with("not provable"), Vec::<String>::new());

    let said = sandbox.codex_runs("id -u; id -g; echo written >/workspace/note.txt; touch /datasets/ssv2/new");
    assert!(said.contains(&format!("{}\n{}\n", user.uid, user.gid)), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    let note = fs::metadata(sandbox.workspace().join("note.txt")).expect("the note");
    assert_eq!((note.uid(), note.gid()), (user.uid, user.gid));
}

#[test]
fn uid_1000_that_images_like_to_have_already() {
    owns_what_codex_writes(User { uid: 1000, gid: 1000 });
}

#[test]
fn uid_1234_with_a_group_of_another_number() {
    owns_what_codex_writes(User { uid: 1234, gid: 2345 });
}

#[test]
fn root() {
    owns_what_codex_writes(User { uid: 0, gid: 0 });
}

/// What of these directories belongs to others.
fn of_others(dirs: &[std::path::PathBuf], uid: u32) -> String {
    let dirs = dirs.iter().map(|dir| dir.display().to_string());
    let is_other = ["!", "-uid", &uid.to_string()].map(str::to_owned);
    proc::output("find", dirs.chain(is_other))
}

/// No entry in the user database, none for the group, hundreds of groups, and an environment that says otherwise.
#[test]
fn what_is_written_belongs_to_the_caller_whatever_the_environment_says() {
    let user = User { uid: 4242, gid: 4343 };
    let sandbox = Sandbox::of(user);
    let groups: Vec<u32> = (50_000..50_400).collect();
    let dirs = ["state", "home", "repo/target"].map(|name| sandbox.place.path(name));
    for words in [["sandbox", "--yes", "--", "--version"].as_slice(), &["status"], &["doctor"], &["down", "--yes"]] {
        let mut run = sandbox.task(words[0]).args(words[1..].iter().copied()).groups(&groups);
        for (name, value) in [("USER", "root"), ("LOGNAME", "nobody"), ("SUDO_UID", "0"), ("SUDO_USER", "root")] {
            run = run.env(name, value);
        }
        let run = run.run();
        assert!(run.code == Some(0) || words == ["doctor"], "{words:?}: {}{}", run.stdout, run.stderr);
        assert_eq!(of_others(&dirs, user.uid), "", "{words:?}");
    }
}

#[test]
fn a_home_that_is_another_users_is_refused_and_nothing_is_made_there() {
    let place = Place::of(User { uid: 4242, gid: 4343 });
    place.give();
    let home = place.path("home");
    let task = |words: &[&str]| Xtask::at(&place).env("XDG_STATE_HOME", "").args(words.iter().copied()).within(60);
    std::os::unix::fs::chown(&home, Some(0), Some(0)).expect("root's own");
    for mode in [0o755, 0o700] {
        fs::set_permissions(&home, fs::Permissions::from_mode(mode)).expect("its mode");
        let run = task(&["sandbox", "--yes", "--cpu", "--dataset", "ssv2=none"]).run();
        assert!(matches!(run.code, Some(1..=3)), "{mode:o}: {}", run.stderr);
        assert_eq!(run.stderr.matches("error: ").count(), 1, "{}", run.stderr);
    }
    assert_eq!(fs::read_dir(&home).expect("a directory").count(), 0);
}

#[test]
fn root_does_nothing_in_the_home_of_who_called_sudo() {
    let place = Place::new();
    let home = place.path("home");
    std::os::unix::fs::chown(&home, Some(4242), Some(4343)).expect("the caller's own");
    for words in [["sandbox", "--yes"].as_slice(), &["status"], &["down", "--all", "--yes"], &["doctor"]] {
        let run = Xtask::at(&place).env("SUDO_UID", "4242").args(words.iter().copied()).run().ended(2);
        assert!(run.error().contains("4242") && run.error().contains("hint: run it without `sudo`"), "{}", run.stderr);
    }
    assert_eq!(fs::read_dir(place.path("state")).expect("a directory").count(), 0);
    let run = Xtask::at(&place).env("SUDO_UID", "4243").args(["status"]).run();
    assert!(!run.stderr.contains("`sudo`"), "{}", run.stderr);
}
