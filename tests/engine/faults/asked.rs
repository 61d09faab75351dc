//! Signals while a question stands at a terminal: the call ends at once, leaves nothing half made and decides nothing.

use super::bench::listed;
use crate::support::sandbox::Sandbox;
use crate::support::terminal::Terminal;
use crate::support::{engine, proc};
use std::fs;

const SIGNALS: [(&str, i32); 4] = [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131)];

/// The question with each signal: the exit code, what the screen says, and what is so afterwards.
fn each(sandbox: &Sandbox, question: &str, ask: impl Fn() -> Terminal, after: impl Fn(&str)) {
    for (name, code) in SIGNALS {
        let before = listed(&sandbox.workspace());
        let terminal = ask();
        terminal.shows(question, 180);
        terminal.signals(name);
        assert_eq!(terminal.ended(60), code, "{question}, {name}: {}", terminal.screen());
        let screen = terminal.shows("interrupted", 10);
        assert!(!screen.contains("panicked"), "{question}, {name}: {screen}");
        assert_eq!(listed(&sandbox.workspace()), before, "{question}, {name}");
        after(name);
    }
}

/// Nothing but its main process runs in the sandbox's container, of which there is one.
#[track_caller]
fn nothing_runs_inside(sandbox: &Sandbox, what: &str) {
    let containers = sandbox.containers();
    assert_eq!(containers.len(), 1, "{what}");
    let top = engine::docker(["top", &containers[0], "-eo", "pid,args"]);
    assert_eq!(top.lines().count(), 2, "{what}: {top}");
}

#[test]
fn before_anything_is_started() {
    let sandbox = Sandbox::new();
    let ask = || Terminal::open(&sandbox.place, sandbox.task_without_data("sandbox"));
    each(&sandbox, "Directory of the data set `ssv2`:", ask, |name| {
        assert_eq!(sandbox.containers(), Vec::<String>::new(), "{name}");
    });
    sandbox.enter(["--version"]).ok();
}

#[test]
fn before_codex_is_entered() {
    let sandbox = Sandbox::new();
    let ask = || Terminal::open(&sandbox.place, sandbox.task("sandbox"));
    each(&sandbox, "Enter Codex? [Y/n]", ask, |name| nothing_runs_inside(&sandbox, name));
    let run = sandbox.enter(["--version"]).ok();
    assert!(!run.stderr.contains("recreated"), "the container was proven, and is entered: {}", run.stderr);
    assert_eq!(sandbox.model.requests().len(), 0);
}

#[test]
fn about_what_was_left_running() {
    let sandbox = Sandbox::new();
    let left = "nohup sleep 60005 >/dev/null 2>&1 &\n";
    sandbox.task("sandbox").args(["--yes", "--shell", "--leftovers", "keep"]).stdin(left).run().ok();
    let ask = || Terminal::open(&sandbox.place, sandbox.task("sandbox").args(["--", "--version"]));
    each(&sandbox, "End them?", ask, |name| {
        let top = engine::docker(["top", &sandbox.containers()[0], "-eo", "pid,args"]);
        assert!(top.contains("sleep 60005"), "{name}: {top}");
    });
    sandbox.task("sandbox").args(["--yes", "--leftovers", "end", "--", "--version"]).run().ok();
    nothing_runs_inside(&sandbox, "ended by the next call");
}

#[test]
fn about_what_was_changed_after_a_session() {
    let sandbox = Sandbox::new();
    let left = "nohup sh -c 'sleep 2; date >.envrc; sleep 60007' >/dev/null 2>&1 &\n";
    sandbox.task("sandbox").args(["--yes", "--shell", "--leftovers", "keep"]).stdin(left).run().ok();
    proc::wait_for("the change", 60, || sandbox.workspace().join(".envrc").exists().then_some(()));
    let words = ["--leftovers", "keep", "--", "--version"];
    let ask = || Terminal::open(&sandbox.place, sandbox.task("sandbox").args(words));
    each(&sandbox, "Keep what acts by itself", ask, |name| {
        let status = sandbox.task("status").run().ok();
        assert!(status.stdout.contains("undecided     `.envrc`"), "{name}: {}", status.stdout);
    });
    // Whoever has answered is asked on, and the probe is asked anew.
    let terminal = ask();
    terminal.shows("Keep what acts by itself", 180);
    terminal.press("Enter");
    terminal.shows("Enter Codex? [Y/n]", 180);
    terminal.press("Enter");
    assert_eq!(terminal.ended(60), 0, "{}", terminal.screen());
    assert_eq!(listed(&sandbox.workspace()), [".envrc"]);
}

#[test]
fn about_what_a_session_changed() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let envrc = sandbox.workspace().join(".envrc");
    fs::write(sandbox.workspace().join("kept.txt"), "mine").expect("a file of the user");
    // What acts by itself is there before each look at the names, and has another text in each session.
    fs::write(&envrc, "# of the user\n").expect("a file");
    sandbox.enter(["--version"]).ok();
    let ask = || {
        let terminal = Terminal::open(&sandbox.place, sandbox.task("sandbox").args(["--shell"]));
        terminal.shows("Enter a shell? [Y/n]", 180);
        terminal.press("Enter");
        terminal.shows("$ ", 180);
        terminal.types("date +%N >> .envrc; exit 0");
        terminal.press("Enter");
        terminal
    };
    each(&sandbox, "Keep what acts by itself", ask, |name| {
        assert_eq!(fs::read_to_string(sandbox.workspace().join("kept.txt")).expect("the file"), "mine");
        let status = sandbox.task("status").run().ok();
        assert!(status.stdout.contains("undecided     `.envrc` changed"), "{name}: {}", status.stdout);
        // Decided here, so that the next entry has nothing to ask before its session.
        sandbox.task("sandbox").args(["--yes", "--on-change", "keep", "--", "--version"]).run().ok();
        nothing_runs_inside(&sandbox, name);
    });
    assert!(proc::outcome("test", ["-s".as_ref(), envrc.as_os_str()]).0 == 0);
}
