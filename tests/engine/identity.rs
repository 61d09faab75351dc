//! What is mounted is the very object that was checked, and nothing is reached through what a sandbox can write.
//!
//! A `docker` of the test's own exchanges a source right before `docker compose up`: that is the deterministic form of a
//! process that waits for the last check.

use crate::support::breaking::BreakingDocker;
use crate::support::engine;
use crate::support::proc;
use crate::support::run::Run;
use crate::support::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A directory of the host that no sandbox may show.
fn secret(sandbox: &Sandbox) -> PathBuf {
    sandbox.place.write("secret/pack/key", "KEPT-ON-THE-HOST");
    sandbox.place.write("secret/info/key", "KEPT-ON-THE-HOST");
    sandbox.place.path("secret")
}

/// `path` becomes a link to `to`, and what was there lies beside it.
fn exchange(path: &Path, to: &Path) -> BreakingDocker {
    let (path, to) = (path.display(), to.display());
    BreakingDocker::before_up(&format!("mv '{path}' '{path}-checked' && ln -s '{to}' '{path}'"))
}

/// The container is taken back before any agent runs in it, and the line names the mount, the path and both objects.
#[track_caller]
fn is_taken_back(sandbox: &Sandbox, run: &Run, target: &str, source: &Path) {
    BreakingDocker::assert_used(&sandbox.place);
    assert_eq!(run.stdout, "", "Codex was entered");
    let said = run.error();
    assert!(said.contains(&format!("`{target}` is not what was checked")), "{said}");
    assert!(said.contains(&format!("`{}` was device", source.display())), "{said}");
    assert_eq!(said.matches("inode").count(), 2, "{said}");
    assert_eq!(sandbox.containers(), Vec::<String>::new(), "the container was left behind");
}

#[test]
fn objects_that_are_exchanged_between_the_check_and_the_mount() {
    let sandbox = Sandbox::new();
    proc::output("git", ["init".as_ref(), "-q".as_ref(), sandbox.workspace().as_os_str()]);
    let objects = sandbox.workspace().join(".git/objects");
    exchange(&objects, &secret(&sandbox)).install(&sandbox.place);
    let run = sandbox.enter(["--version"]).ended(1);
    is_taken_back(&sandbox, &run, "/sandbox/objects", &objects);
}

#[test]
fn a_data_set_that_is_exchanged_between_the_check_and_the_mount() {
    let sandbox = Sandbox::new();
    exchange(&sandbox.dataset(), &secret(&sandbox)).install(&sandbox.place);
    let run = sandbox.enter(["--version"]).ended(1);
    is_taken_back(&sandbox, &run, "/datasets/ssv2", &sandbox.dataset());
}

/// Runs a shell command inside, as the agent.
fn agent(sandbox: &Sandbox, command: &str) {
    let input: &str = format!("{command} && echo done\n").leak();
    let run = sandbox.task("sandbox").args(["--yes", "--shell"]).stdin(input).run().ok();
    assert_eq!(run.stdout, "done\n", "{}", run.stderr);
}

#[test]
fn a_repository_that_appears_where_an_agent_can_write() {
    let sandbox = Sandbox::new();
    let link = format!("ln -s {} .git/objects/pack", secret(&sandbox).display());
    let make = format!("mkdir -p .git/objects/info .git/refs/heads && {link} && echo ref: refs/heads/main > .git/HEAD");
    let dot_git = sandbox.workspace().join(".git");
    // What a session makes is set aside when it is left.
    agent(&sandbox, &make);
    assert!(!dot_git.exists());
    // What is made between two calls, by a program that nobody sees any more, is refused.
    engine::docker(["exec", "--workdir", "/workspace", &sandbox.containers()[0], "sh", "-c", &make]);
    let before = sandbox.containers();
    let run = sandbox.enter(["--version"]).ended(2);
    let said = &run.stderr;
    assert!(said.contains(&format!("`{}` leads through", dot_git.display())), "{said}");
    assert!(said.contains(&format!("`--confirm {}`", dot_git.display())), "{said}");
    assert_eq!(sandbox.containers(), before, "nothing was started");
    sandbox.task("commits").run().ended(2);

    // The user's own: named once, it is known from then on.
    fs::remove_dir_all(&dot_git).expect("the agent's directory");
    proc::output("git", ["init".as_ref(), "-q".as_ref(), sandbox.workspace().as_os_str()]);
    sandbox.enter(["--version"]).ended(2);
    let confirm = sandbox.task("sandbox").args(["--yes", "--confirm", &dot_git.display().to_string()]);
    confirm.args(["--", "--version"]).run().ok();
    sandbox.enter(["--version"]).ok();
    assert!(dot_git.join("HEAD").exists(), "the user's repository was set aside");
}

#[test]
fn a_skill_that_is_a_link_into_the_project() {
    let sandbox = Sandbox::new();
    let (skills, secret) = (sandbox.place.mkdir("home/.codex/skills"), secret(&sandbox));
    sandbox.place.write("repo/workspace/skill/SKILL.md", "own");
    symlink(sandbox.workspace().join("skill"), skills.join("x")).expect("a link of the user's");
    agent(&sandbox, "test -f ~/.codex/skills/x/SKILL.md");
    agent(&sandbox, "echo more > skill/more.md");
    agent(&sandbox, &format!("test -f ~/.codex/skills/x/more.md && rm -r skill && ln -s {} skill", secret.display()));
    let run = sandbox.enter(["--version"]).ended(2);
    let said = &run.stderr;
    assert!(said.contains(&format!("`{}` leads through", skills.join("x").display())), "{said}");
    assert!(said.contains(&format!("to `{}`", secret.display())), "{said}");
    let (_, copied, _) =
        proc::outcome("grep", ["-rl", "KEPT-ON-THE-HOST", &sandbox.place.path("state").display().to_string()]);
    assert_eq!(copied, "", "the secret was copied");
}

#[test]
fn a_data_set_and_a_workspace_below_another_sandbox_s_workspace() {
    let sandbox = Sandbox::new();
    proc::copy(&sandbox.dataset(), &sandbox.workspace().join("data"));
    let below = sandbox.place.mkdir("repo/workspace/below");
    sandbox.enter(["--version"]).ok();
    let other = sandbox.place.mkdir("other").display().to_string();
    let data = format!("more={}", sandbox.workspace().join("data").display());
    for args in [["--workspace", &other, "--dataset", &data].as_slice(), &["--workspace", &below.display().to_string()]]
    {
        let run = sandbox.task("sandbox").args(args.iter().copied()).args(["--yes", "--", "--version"]).run().ended(2);
        let ground = format!("leads through `{}`, which a sandbox can write", sandbox.workspace().display());
        assert!(run.stderr.contains(&ground), "{args:?}: {}", run.stderr);
    }
}
