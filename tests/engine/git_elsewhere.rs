//! What git on the host obeys in a workspace by settings of other places, and workspaces that were moved, with a real
//! container.

use super::nested_git::{git, other};
use crate::support::engine;
use crate::support::place::User;
use crate::support::sandbox::{Sandbox, containers_of};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const USER: &str = "[user]\nname = Ada\nemail = ada@example.com\n[init]\ndefaultBranch = main\n";

/// A sandbox, and a directory beside its own workspace that has a nested repository of the user's.
fn project() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    sandbox.place.write("home/.gitconfig", USER);
    let dir = sandbox.place.mkdir("project");
    let other = other(&sandbox);
    git(&sandbox, &dir, &["clone", "-q", &other, "mine"]);
    (sandbox, dir)
}

fn enter(sandbox: &Sandbox, dir: &Path) -> String {
    let dir = dir.display().to_string();
    sandbox.task("sandbox").args(["--workspace", &dir, "--yes", "--", "--version"]).run().ok().stderr.clone()
}

fn down(sandbox: &Sandbox, dir: &Path) {
    sandbox.task("down").args(["--workspace", &dir.display().to_string()]).run().ok();
}

/// A program of the agent's that nobody saw makes a git directory that runs something on the host, and a setuid program;
/// then its container is gone.
fn unseen(sandbox: &Sandbox, dir: &Path) -> PathBuf {
    let mark = sandbox.place.path("mark");
    let containers = containers_of(dir);
    let script = format!(
        "cd /workspace && git init -q evil && git -C evil config user.name a && git -C evil config user.email a@b && \
         git -C evil commit -q --allow-empty -m x && git -C evil config core.fsmonitor 'touch {}; :' && \
         cp /bin/true su && chmod 4755 su",
        mark.display()
    );
    engine::docker(["exec", &containers[0], "sh", "-c", &script]);
    engine::docker(["rm", "--force", &containers[0]]);
    mark
}

#[track_caller]
fn runs_nothing(sandbox: &Sandbox, dir: &Path, mark: &Path) {
    git_status(sandbox, &dir.join("evil"));
    assert!(!mark.exists(), "git ran it");
    assert!(dir.join("mine/.git/HEAD").exists(), "the user's own was set aside");
}

/// Where nothing is a repository, git says so.
fn git_status(sandbox: &Sandbox, dir: &Path) {
    let home = format!("HOME={}", sandbox.place.path("home").display());
    let dir = dir.display().to_string();
    let words = ["-i", &home, "PATH=/usr/local/bin:/usr/bin:/bin", "git", "-C", &dir, "status", "--short"];
    crate::support::proc::outcome("env", words);
}

#[test]
fn what_a_program_that_nobody_saw_made_is_set_aside_when_its_container_is_made_anew() {
    let (sandbox, dir) = project();
    enter(&sandbox, &dir);
    let mark = unseen(&sandbox, &dir);
    let said = enter(&sandbox, &dir);
    assert!(said.contains("`evil/.git` was not there when the sandbox was started"), "{said}");
    assert!(said.contains("removed the setuid bit of `su`"), "{said}");
    runs_nothing(&sandbox, &dir, &mark);
    down(&sandbox, &dir);
}

#[test]
fn what_an_agent_made_in_a_workspace_that_was_moved_is_set_aside_at_the_first_start() {
    let (sandbox, dir) = project();
    enter(&sandbox, &dir);
    let mark = unseen(&sandbox, &dir);
    let moved = sandbox.place.path("moved");
    fs::rename(&dir, &moved).expect("moved");
    let said = enter(&sandbox, &moved);
    assert!(said.contains("`evil/.git` lies where an agent could write, and was not there before"), "{said}");
    assert!(said.contains("removed the setuid bit of `su`"), "{said}");
    runs_nothing(&sandbox, &moved, &mark);
    // A look at the end says that what comes then is the user's, wherever it lies.
    down(&sandbox, &moved);
    git(&sandbox, &moved, &["clone", "-q", "mine", "later"]);
    let back = sandbox.place.path("back");
    fs::rename(&moved, &back).expect("moved again");
    let said = enter(&sandbox, &back);
    assert!(!said.contains("set aside as"), "{said}");
    assert!(back.join("later/.git/HEAD").exists());
    down(&sandbox, &back);
}

#[test]
fn hooks_that_the_users_own_settings_name_are_read_only_where_there_is_no_repository() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.workspace();
    fs::create_dir_all(workspace.join("hooks")).expect("hooks");
    fs::write(workspace.join("pager"), "#!/bin/sh\n").expect("a pager");
    let config =
        format!("{USER}[core]\nhooksPath = hooks\n[remote \"x\"]\nuploadpack = \"$HOME/../repo/workspace/pager\"\n");
    sandbox.place.write("home/.gitconfig", config);
    let tried = sandbox.codex_runs(
        "cd /workspace; echo x >hooks/pre-commit && echo written; echo x >>pager && echo written; echo done",
    );
    assert!(tried.contains("Read-only file system") && !tried.contains("written"), "{tried}");
    let held = sandbox.proof().with("held");
    assert!(held.contains(&"git-read-only.read-only".to_owned()), "{held:?}");
}

#[test]
fn a_sandbox_of_the_path_where_a_workspace_lay_before_keeps_it_in_doubt() {
    let (sandbox, dir) = project();
    enter(&sandbox, &dir);
    let containers = containers_of(&dir);
    let moved = sandbox.place.path("moved");
    fs::rename(&dir, &moved).expect("moved");
    enter(&sandbox, &moved);
    let to = moved.display().to_string();
    let said = sandbox.task("down").args(["--workspace", &to]).run().ok().stderr.clone();
    assert!(said.contains("and the sandbox of that path is still there"), "{said}");
    // Its agent goes on.
    engine::docker(["exec", &containers[0], "git", "init", "-q", "/workspace/evil"]);
    let again = sandbox.place.path("again");
    fs::rename(&moved, &again).expect("moved again");
    let said = enter(&sandbox, &again);
    assert!(said.contains("`evil/.git` lies where an agent could write"), "{said}");
    down(&sandbox, &again);
    engine::docker(["rm", "--force", &containers[0]]);
}

#[test]
fn a_start_around_a_sandbox_that_runs_is_refused_and_later_what_its_agent_made_is_set_aside() {
    let (sandbox, dir) = project();
    let around = dir.parent().expect("its parent").join("around");
    fs::create_dir(&around).expect("the outer directory");
    let inner = around.join("in");
    fs::rename(&dir, &inner).expect("moved");
    enter(&sandbox, &inner);
    let to = around.display().to_string();
    let start = || sandbox.task("sandbox").args(["--workspace", &to, "--yes", "--", "--version"]).run();
    let run = start().ended(2);
    let said = format!("`{0}` of the sandbox of `{0}` could be written through `{to}`", inner.display());
    assert!(run.error().contains(&said), "{}", run.stderr);
    // What a leftover makes after that, until its container is gone.
    let mark = unseen(&sandbox, &inner);
    let said = enter(&sandbox, &around);
    assert!(said.contains("`in/evil/.git` lies where an agent could write, and was not there before"), "{said}");
    assert!(said.contains("removed the setuid bit of `in/su`"), "{said}");
    runs_nothing(&sandbox, &inner, &mark);
    down(&sandbox, &around);
}

#[test]
fn a_workspace_that_the_agent_of_an_ordinary_user_closed_is_opened_and_looked_at_when_it_is_left() {
    let sandbox = Sandbox::of(User { uid: 1234, gid: 1234 });
    let workspace = sandbox.workspace();
    let command = "RUN: cd /workspace && cp /bin/true su && chmod 4755 su && git init -q evil && chmod 0005 /workspace";
    let run = sandbox.enter(["exec", "--skip-git-repo-check", command]).ok();
    let opened = format!("`{}` was closed to you (mode 0005)", workspace.display());
    for said in [&opened, "removed the setuid bit of `su`", "`evil/.git` was not there when the sandbox was started"] {
        assert!(run.stderr.contains(said), "{said}: {}", run.stderr);
    }
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o7777;
    assert_eq!((mode(&workspace), mode(&workspace.join("su"))), (0o705, 0o755));
    assert!(sandbox.codex_runs("echo again").contains("again"));
}
