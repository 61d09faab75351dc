//! Text of an agent's in which a terminal shows something else than what stands there: no command of this tool prints it
//! as it is, and its JSON says exactly what it was.

use crate::support::proc;
use crate::support::sandbox::Sandbox;
use serde_json::Value;

/// Text that is turned round, a control sequence of one byte (C1), one that moves the cursor, what has no width, a line
/// that looks like one of this tool's own, and a tag.
const ODD: &str = "a\u{202e}b\u{9b}2J\u{1b}[2Jc\u{200b}d\u{2067}e\u{61c}f\u{2028}g\u{e0041}h";

/// What may get to a terminal.
#[track_caller]
fn is_plain(what: &str, text: &str) {
    let odd = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e0fff}')
    };
    let found: Vec<&str> = text.lines().filter(|line| line.chars().any(odd)).collect();
    assert!(found.is_empty(), "{what}: {found:?}");
}

#[test]
fn no_command_prints_what_a_terminal_would_obey_or_hide() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.workspace();
    proc::output("git", ["init".as_ref(), "-q".as_ref(), workspace.as_os_str()]);
    sandbox.place.write("repo/workspace/.odd", ODD);
    // A process whose arguments it stands in, a branch and a commit with it, a file that host tools run with a name of it.
    let script = "odd=$(cat .odd)\nsetsid bash -c 'exec -a \"$0\" sleep 4321' \"$odd\" >/dev/null 2>&1 </dev/null &\n\
                  git add .odd\ngit -c user.name=x -c user.email=x@y commit -q -m \"$odd\"\n\
                  git branch \"x$(printf 'a\\342\\200\\256b')\"\nmkdir -p \"$odd/.git\"\ncp -r .git/. \"$odd/.git/\"\n\
                  ln -s \"$odd\" Makefile\nsleep 1\n";
    sandbox.place.write("repo/workspace/do.sh", script);
    let run = sandbox.enter(["exec", "--skip-git-repo-check", "RUN: bash do.sh"]).ok();
    is_plain("exit", &run.stderr);
    let leftovers = |run: &str| run.contains("\\u{202e}b\\u{9b}2J\\u{1b}[2Jc\\u{200b}d");
    assert!(leftovers(&run.stderr), "{}", run.stderr);

    for task in ["status", "mounts", "commits", "doctor"] {
        let run = sandbox.task(task).run();
        is_plain(task, &run.stdout);
        is_plain(task, &run.stderr);
        if task != "commits" && task != "status" {
            continue;
        }
        assert!(leftovers(&run.stdout), "{task}: {}", run.stdout);
    }
    for task in ["status", "mounts", "doctor"] {
        let run = sandbox.task(task).args(["--json"]).run();
        is_plain(task, &run.stdout);
        let said: Value = serde_json::from_str(&run.stdout).expect("JSON");
        if task == "status" {
            let args = said["leftovers"][0]["args"].as_str().expect("arguments");
            assert_eq!(args, format!("{ODD} 4321"), "exactly what it is");
        }
    }
    let run = sandbox.enter(["--version"]);
    is_plain("entry", &run.stderr);
    assert!(leftovers(&run.stderr), "{}", run.stderr);
    let run = sandbox.task("down").run().ok();
    is_plain("down", &run.stderr);
    assert!(leftovers(&run.stderr), "{}", run.stderr);
    let run = sandbox.task("down").args(["--all", "--dry-run"]).run().ok();
    is_plain("plan", &run.stdout);
}
