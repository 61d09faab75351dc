//! The dev container, by the real `devcontainer` program: it opens the container that was proven, and no other.

use crate::support::breaking::BreakingDocker;
use crate::support::devcontainer::{outcome, prepare, run, settings};
use crate::support::place::User;
use crate::support::sandbox::{Sandbox, containers_of};
use crate::support::{codex, engine, proc};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// Root is refused: see the last test.
const USER: User = User { uid: 1234, gid: 2345 };

#[test]
fn what_is_opened_is_the_container_that_was_proven() {
    let user = USER;
    let sandbox = Sandbox::of(user);
    prepare(&sandbox);
    let up = run(&sandbox, "up", &[]).ok();
    let proof = sandbox.proof();
    assert_eq!((proof.with("broken"), proof.with("not provable")), (Vec::new(), Vec::new()));
    let opened = outcome(&up);
    assert_eq!(opened["outcome"], "success", "{opened}");
    assert_eq!(opened["containerId"], proof.0["container"], "another one was proven");
    assert_eq!(opened["remoteWorkspaceFolder"], "/workspace");

    let inside = |words: &[&str]| run(&sandbox, "exec", words);
    let ids = inside(&["sh", "-c", "id -u; id -g; pwd"]).ok();
    assert_eq!(ids.stdout, format!("{}\n{}\n/workspace\n", user.uid, user.gid));
    let version = inside(&["codex", "--version"]).ok();
    assert_eq!(version.stdout, format!("codex-cli {}\n", codex::VERSION));
    let write = inside(&["touch", "/datasets/ssv2/new"]).ended(1);
    let said = format!("{}{}", write.stdout, write.stderr);
    assert!(said.contains("Read-only file system"), "{said}");
    assert_eq!(inside(&["ls", "/datasets/ssv2"]).ok().stdout, "1.webm\n2.webm\n3.webm\n");
    inside(&["sh", "-c", "echo written >/workspace/note.txt"]).ok();
    let note = fs::metadata(sandbox.workspace().join("note.txt")).expect("the note");
    assert_eq!((note.uid(), note.gid()), (user.uid, user.gid));

    // What `up` has changed inside by itself broke no promise, and `cargo xtask sandbox` enters the same container.
    sandbox.task_by_settings("mounts").run().ok();
    let entered = sandbox.task_by_settings("sandbox").args(["--yes", "--", "--version"]).run().ok();
    assert_eq!(entered.stdout, version.stdout);
    assert_eq!(outcome(&run(&sandbox, "up", &[]).ok())["containerId"], opened["containerId"]);
    assert_eq!(sandbox.containers(), [opened["containerId"].as_str().expect("an id")]);
}

#[test]
fn where_a_promise_does_not_hold_nothing_is_opened() {
    let sandbox = Sandbox::of(USER);
    prepare(&sandbox);
    BreakingDocker::service("cap_add: [NET_RAW]").install(&sandbox.place);
    let up = run(&sandbox, "up", &[]).ended(1);
    BreakingDocker::assert_used(&sandbox.place);
    assert_eq!(outcome(&up)["outcome"], "error");
    assert!(up.stderr.contains("the dev container was not opened: `user.capabilities` does not hold"), "{}", up.stderr);
    assert_eq!(sandbox.containers(), Vec::<String>::new());
}

#[test]
fn a_container_that_would_be_made_without_a_proof_is_refused() {
    let sandbox = Sandbox::of(USER);
    prepare(&sandbox);
    run(&sandbox, "up", &[]).ok();
    let proven = sandbox.containers();
    assert_eq!(proven.len(), 1);
    // It is what VS Code's "Rebuild Container" does.
    let rebuilt = run(&sandbox, "up", &["--remove-existing-container"]).ended(1);
    assert!(rebuilt.stderr.contains("only-cargo-xtask-devcontainer-starts-this"), "{}", rebuilt.stderr);
    // By its label: one that is made from that file has no mount by which it would be known.
    let label = format!("label=devcontainer.local_folder={}", sandbox.place.root().display());
    let made = engine::docker(["ps", "--all", "--quiet", "--filter", &label]);
    assert_eq!(made, "", "it was made all the same");
    // Opened once more, it is there again, and proven.
    let again = outcome(&run(&sandbox, "up", &[]).ok());
    assert_eq!(again["containerId"], sandbox.proof().0["container"]);
    assert_ne!(again["containerId"], proven[0].as_str());
}

#[test]
fn the_sandbox_of_another_workspace_is_not_taken_for_it() {
    let sandbox = Sandbox::of(USER);
    prepare(&sandbox);
    sandbox.task_by_settings("devcontainer").run().ok();
    let first = sandbox.containers();
    let name = engine::docker(["inspect", "--format", "{{.Name}}", &first[0]]);
    let other = sandbox.place.mkdir("other");
    sandbox.place.give();
    settings(&sandbox, &format!("workspace: '{}'\n", other.display()));
    let refused = sandbox.task_by_settings("devcontainer").run().ended(1);
    assert!(refused.error().contains(name.trim().trim_start_matches('/')), "{}", refused.stderr);
    assert_eq!(containers_of(&other), Vec::<String>::new(), "it was started all the same");
    assert!(!sandbox.place.root().join(".devcontainer/.env").exists(), "it leads somewhere");
    // With the first one gone it is opened.
    proc::output(proc::find("docker"), ["rm", "--force", &first[0]]);
    let opened = sandbox.task_by_settings("devcontainer").run().ok().stdout;
    assert_eq!(containers_of(&other), [opened.trim()]);
    proc::output(proc::find("docker"), ["rm", "--force", opened.trim()]);
}

/// The programs of an editor run without the filter of a session, by which root cannot make setuid files.
#[test]
fn root_opens_no_dev_container() {
    let sandbox = Sandbox::new();
    prepare(&sandbox);
    let run = sandbox.task_by_settings("devcontainer").run().ended(2);
    assert!(run.error().starts_with("error: root cannot be kept from making setuid files"), "{}", run.error());
    assert_eq!(sandbox.containers(), Vec::<String>::new());
    let up = run_up(&sandbox);
    assert!(up.stderr.contains("root cannot be kept from making setuid files"), "{}", up.stderr);
}

fn run_up(sandbox: &Sandbox) -> crate::support::run::Run<'_> {
    run(sandbox, "up", &[]).ended(1)
}
