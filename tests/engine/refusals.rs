//! Mounts that would let the sandbox change what it must not: refused, with the reason, before Codex starts.

use crate::support::breaking::BreakingDocker;
use crate::support::engine::Mounted;
use crate::support::sandbox::Sandbox;
use std::path::Path;

/// The run is refused, says why, and leaves no container.
#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], code: i32, reason: &str) {
    let run =
        sandbox.task("sandbox").args(["--yes"]).args(args.iter().copied()).args(["--", "--version"]).run().ended(code);
    assert_eq!(run.stdout, "");
    assert!(run.error().contains(reason), "{}", run.error());
    assert_eq!(sandbox.containers(), Vec::<String>::new());
}

#[test]
fn a_data_set_that_is_not_there() {
    let sandbox = Sandbox::new();
    let missing = sandbox.place.path("missing").display().to_string();
    refused(&sandbox, &["--dataset", &format!("more={missing}")], 2, &missing);
    assert!(!Path::new(&missing).exists(), "the missing source was made up");
}

#[test]
fn a_workspace_inside_the_data_set() {
    let sandbox = Sandbox::new();
    let inside = sandbox.dataset().join("project");
    std::fs::create_dir(&inside).expect("a project in the data set");
    refused(&sandbox, &["--workspace", &inside.display().to_string()], 2, "it lies in the data set");
}

#[test]
fn a_workspace_that_leads_into_the_data_set_by_a_link() {
    let sandbox = Sandbox::new();
    let link = sandbox.place.path("link");
    std::os::unix::fs::symlink(sandbox.dataset(), &link).expect("a link");
    refused(&sandbox, &["--workspace", &link.display().to_string()], 2, "they are the same directory");
}

#[test]
fn a_workspace_that_holds_the_data_set() {
    let sandbox = Sandbox::new();
    let dir = sandbox.place.dir().join("repo");
    let data = format!("more={}", sandbox.place.mkdir("repo/data").display());
    refused(&sandbox, &["--workspace", &dir.display().to_string(), "--dataset", &data], 2, "it lies there");
}

#[test]
fn a_writable_alias_of_the_data_set_under_another_name() {
    let sandbox = Sandbox::new();
    let alias = sandbox.place.path("alias");
    let _mounted = Mounted::bind(&sandbox.dataset(), &alias);
    refused(&sandbox, &["--workspace", &alias.display().to_string()], 2, "they are the same directory");
}

#[test]
fn a_writable_alias_of_the_data_set_within_the_workspace() {
    let sandbox = Sandbox::new();
    let _mounted = Mounted::bind(&sandbox.dataset(), &sandbox.workspace().join("alias"));
    refused(&sandbox, &[], 2, "both show");
}

#[test]
fn this_repository_as_the_workspace() {
    let sandbox = Sandbox::new();
    let root = sandbox.place.root().display().to_string();
    refused(&sandbox, &["--workspace", &root], 2, "is or contains this repository");
}

#[test]
fn a_submount_of_the_data_set_is_read_only_as_the_rest() {
    let sandbox = Sandbox::new();
    let below = sandbox.place.mkdir("below");
    let _mounted = Mounted::bind(&below, &sandbox.dataset().join("sub"));
    let said = sandbox.codex_runs("touch /datasets/ssv2/sub/new");
    assert!(said.contains("Read-only file system"), "{said}");
    assert!(!below.join("new").exists());
    assert_eq!(sandbox.proof().with("broken"), Vec::<String>::new());
}

/// An engine of API 1.43 makes only the mount itself read-only, not what is mounted below it.
#[test]
fn a_writable_submount_that_the_engine_leaves_writable() {
    let sandbox = Sandbox::new();
    let below = sandbox.place.mkdir("below");
    let _mounted = Mounted::bind(&below, &sandbox.dataset().join("sub"));
    BreakingDocker::env("DOCKER_API_VERSION", "1.43").install(&sandbox.place);
    refused(&sandbox, &[], 1, "dataset.ssv2.read-only");
    BreakingDocker::assert_used(&sandbox.place);
}
