//! The tool as users other than the one who runs the tests: their ids, no entry in the user database.

use crate::support::codex;
use crate::support::place::User;
use crate::support::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

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
