//! The filter of a session is in force before anything that an earlier session left running can reach the new one.

use crate::support::breaking::BreakingDocker;
use crate::support::place::User;
use crate::support::sandbox::Sandbox;
use crate::support::{engine, proc};
use std::fs;

const ATTACK: &str = include_str!("attacks/launcher.py");

/// How many sessions are started while the attack runs.
const SESSIONS: usize = 12;

/// Sessions are started while something of an earlier one tries to trace them from their first moment.
#[track_caller]
fn is_never_too_late(user: User, settings: &str, launcher: &str) {
    let sandbox = Sandbox::of(user);
    let own = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", own + settings);
    sandbox.enter(["--version"]).ok();
    let container = sandbox.containers().remove(0);
    // Where tracing is denied to sessions, what an older sandbox left could still do it.
    let attack = "setsid python3 -I -c \"$0\" /workspace/log >/dev/null 2>&1 </dev/null &";
    engine::docker(["exec", &container, "/bin/bash", "-c", attack, ATTACK]);
    let log = sandbox.workspace().join("log");
    let said = || fs::read_to_string(&log).unwrap_or_default();
    proc::wait_for("the attack", 20, || said().contains("ready").then_some(()));
    for _ in 0..SESSIONS {
        // The engine waits for ever for a program that is stopped too early: then no session has begun.
        let docker = proc::find("docker").display().to_string();
        proc::outcome("timeout", ["4", &docker, "exec", &container, launcher, "/bin/sleep", "0.05"]);
    }
    let said = said();
    let count = |word: &str| said.lines().filter(|line| *line == word).count();
    assert_eq!(count("free"), 0, "{said}");
    assert!(count("late") > 0, "the attack does not reach what it is after: {said}");
}

#[test]
fn nothing_is_faster_than_the_filter_of_roots_sessions() {
    is_never_too_late(User { uid: 0, gid: 0 }, "", "/sandbox/launch/no-setuid");
}

#[test]
fn nothing_is_faster_than_the_filter_of_an_ordinary_users_sessions() {
    is_never_too_late(User { uid: 1234, gid: 1234 }, "ptrace: deny\n", "/sandbox/launch/no-ptrace");
}

/// A session is entered by the real command, in each way: what it starts has the filter.
#[test]
fn a_session_of_codex_and_a_shell_have_the_filter() {
    let sandbox = Sandbox::of(User { uid: 1234, gid: 1234 });
    let own = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", own + "ptrace: deny\n");
    let number = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
        line.and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or_else(|| panic!("{text}"))
    };
    let run =
        sandbox.task("sandbox").args(["--yes", "--shell"]).stdin("cat /proc/1/status /proc/self/status\n").run().ok();
    let (init, own) = run.stdout.split_once("Name:\tcat").expect("two texts");
    assert_eq!(number(own), number(init) + 1, "{}", run.stdout);
    let plan = sandbox.task("sandbox").args(["--dry-run", "--", "--version"]).run().ok().stdout;
    let execs: Vec<&str> = plan.lines().filter(|line| line.starts_with("docker exec ")).collect();
    assert!(execs.len() >= 2 && execs.iter().all(|line| line.contains(" /sandbox/launch/no-ptrace /")), "{plan}");
    // A warm entry by Codex: the proof says what was tried.
    sandbox.enter(["--version"]).ok();
    assert!(sandbox.proof().with("held").contains(&"user.no-tracing".to_owned()));
}

/// The path of the launcher on the host, in a script after the start.
const FILE: &str = "source=$(\"$real\" inspect --format '{{range .Mounts}}{{if eq .Destination \"/sandbox\"}}{{.Source}}{{end}}{{end}}' \"$container\")\n\
                    file=$source/launch/no-setuid\n";

#[track_caller]
fn is_broken(script: &str, why: &str) {
    let sandbox = Sandbox::of(User { uid: 0, gid: 0 });
    BreakingDocker::after_up(&format!("{FILE}{script}")).install(&sandbox.place);
    let run = sandbox.enter(["--version"]).ended(1);
    BreakingDocker::assert_used(&sandbox.place);
    assert_eq!(run.stdout, "", "Codex was entered");
    assert_eq!(sandbox.proof().with("broken"), ["user.no-setuid-files"], "{}", run.stderr);
    assert!(run.stderr.contains(why), "{}", run.stderr);
}

#[test]
fn a_launcher_that_can_be_read_is_refused() {
    is_broken("chmod 755 $file", "the program that sets the filter");
}

#[test]
fn a_launcher_that_sets_no_filter_is_refused() {
    let copy = "\"$real\" cp --follow-link \"$container\":/usr/bin/env $source/launch/env && mv $source/launch/env $file && chmod 111 $file";
    is_broken(copy, "not denied");
}

#[test]
fn a_dev_container_cannot_deny_tracing() {
    let sandbox = Sandbox::new();
    let own = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", own + "ptrace: deny\n");
    let run = sandbox.task_by_settings("devcontainer").env("SSV2_DIR", sandbox.dataset()).run().ended(2);
    assert!(run.error().contains("`ptrace: deny` cannot be kept in a dev container"), "{}", run.error());
}
