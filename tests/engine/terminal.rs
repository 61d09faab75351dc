//! The sandbox in a terminal: asking, entering, resizing, leaving, and a terminal that closes.

use crate::support::codex;
use crate::support::engine;
use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::Xtask;
use crate::support::sandbox::Sandbox;
use crate::support::terminal::Terminal;

fn open(sandbox: &Sandbox, args: &[&str]) -> Terminal {
    let run = sandbox.task("sandbox").args(args.iter().copied());
    Terminal::open(&sandbox.place, run)
}

/// What runs in the sandbox's container, one command line each.
fn processes(sandbox: &Sandbox) -> String {
    engine::docker(["top", &sandbox.containers()[0], "-eo", "pid,args"])
}

#[test]
fn codex_is_entered_after_a_yes_used_and_left() {
    let sandbox = Sandbox::new();
    let terminal = open(&sandbox, &[]);
    terminal.shows("Enter Codex? [Y/n]", 180);
    terminal.press("Enter");
    terminal.shows("fake-model", 60);
    terminal.types("SAY: the-answer-of-the-model");
    terminal.shows("SAY: the-answer", 20);
    terminal.press("Enter");
    terminal.shows("• the-answer-of-the-model", 30);
    terminal.types("/quit");
    terminal.shows("› /quit", 20);
    terminal.press("Enter");
    assert_eq!(terminal.ended(30), 0);
    terminal.shows("cargo xtask down", 1);
    assert!(!processes(&sandbox).contains("codex"), "{}", processes(&sandbox));
}

#[test]
fn a_data_set_that_nobody_gave_is_asked_for_and_remembered() {
    let sandbox = Sandbox::new();
    let terminal = Terminal::open(&sandbox.place, sandbox.task_without_data("sandbox"));
    terminal.shows("Directory of the data set `ssv2`:", 30);
    terminal.types(&sandbox.dataset().display().to_string());
    terminal.press("Enter");
    terminal.shows("Remember it in sandbox.local.yaml? [Y/n]", 10);
    terminal.press("Enter");
    terminal.shows("Enter Codex? [Y/n]", 180);
    terminal.types("n");
    terminal.press("Enter");
    assert_eq!(terminal.ended(30), 0);
    let settings = sandbox.place.read("repo/sandbox.local.yaml");
    assert!(settings.contains("env: ["), "what was there stays: {settings}");
    // It is read without a terminal, and no flag names the directory.
    let run = sandbox.task_without_data("mounts").run().ok();
    assert!(run.stdout.contains("dataset.ssv2.read-only"), "{}", run.stdout);
}

#[test]
fn a_directory_that_is_refused_is_not_remembered() {
    let place = Place::new();
    codex::stand_in(&place, "0.169.0");
    for (typed, why) in [("/there/is/none", "cannot be used"), ("/", "is the whole host")] {
        let run = Xtask::at(&place).args(["sandbox", "--cpu"]);
        let terminal = Terminal::open(&place, run);
        terminal.shows("Directory of the data set `ssv2`:", 30);
        terminal.types(typed);
        terminal.press("Enter");
        terminal.shows(why, 10);
        if typed != "/" {
            // It is asked for again; what is typed before that is thrown away.
            let asked = "Directory of the data set";
            proc::wait_for("the second question", 30, || (terminal.screen().matches(asked).count() == 2).then_some(()));
            terminal.press("Enter");
        }
        assert_eq!(terminal.ended(30), 2);
        assert!(!terminal.screen().contains("Remember it"), "{}", terminal.screen());
        assert!(!place.path("repo/sandbox.local.yaml").exists(), "`{typed}` was stored");
    }
}

#[test]
fn a_no_enters_nothing() {
    let sandbox = Sandbox::new();
    let terminal = open(&sandbox, &[]);
    terminal.shows("Enter Codex? [Y/n]", 180);
    terminal.types("n");
    terminal.press("Enter");
    assert_eq!(terminal.ended(30), 0);
    assert_eq!(sandbox.model.requests().len(), 0);
}

#[test]
fn a_resized_terminal_is_resized_inside() {
    let sandbox = Sandbox::new();
    let terminal = open(&sandbox, &["--yes", "--shell"]);
    terminal.shows("$ ", 180);
    terminal.types("clear; stty size; echo $COLORTERM $TERM");
    terminal.press("Enter");
    terminal.shows("30 100", 20);
    terminal.shows("truecolor tmux-256color", 5);
    terminal.resize(81, 24);
    // The size inside follows when the signal has passed through: asked for until it has.
    terminal.types("until stty size | grep '^24 81$'; do :; done");
    terminal.press("Enter");
    terminal.shows("\n24 81", 20);
    terminal.types("exit 7");
    terminal.press("Enter");
    assert_eq!(terminal.ended(30), 7);
}

#[test]
fn a_terminal_that_closes_leaves_no_codex_behind() {
    let sandbox = Sandbox::new();
    let terminal = open(&sandbox, &["--yes"]);
    terminal.shows("fake-model", 180);
    assert!(processes(&sandbox).contains("codex -c"), "{}", processes(&sandbox));
    terminal.close();
    proc::wait_for("Codex to end inside", 30, || (!processes(&sandbox).contains("codex")).then_some(()));
}
