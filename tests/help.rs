//! What `--help` says, of the tool and of each task, whole: `snapshots/help/`. A change there is a change that people
//! see: `SNAPSHOTS=overwrite` writes it, and it is read before it is committed.

use crate::support::place::{Place, repository};
use crate::support::run::Xtask;
use snapbox::{Assert, Data};
use std::collections::BTreeSet;

/// Lines that a screen of 80 columns wraps are harder to read than short ones; this is the widest that we let pass.
const WIDEST: usize = 100;

fn names() -> Vec<String> {
    let command = xtask::cli::command();
    let visible = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    visible.map(|sub| sub.get_name().to_owned()).collect()
}

#[track_caller]
fn as_kept(name: &str, text: &str) {
    let file = repository().join(format!("tests/snapshots/help/{name}.txt"));
    let kept = Data::read_from(&file, None);
    Assert::new().action_env("SNAPSHOTS").eq(text.to_owned(), kept);
}

#[test]
fn every_help_is_short_and_as_it_was_agreed() {
    let place = Place::new();
    for name in names() {
        let run = Xtask::at(&place).args([name.as_str(), "--help"]).run().ok();
        assert_eq!(run.stderr, "");
        as_kept(&name, &run.stdout);
        let lines = run.stdout.lines().count();
        assert!(lines <= 30, "`{name} --help` fills {lines} lines");
        let wide = run.stdout.lines().find(|line| line.chars().count() > WIDEST);
        assert_eq!(wide, None, "`{name} --help`");
    }
}

#[test]
fn the_tool_alone_shows_its_tasks_and_how_to_begin() {
    let place = Place::new();
    let help = Xtask::at(&place).args(["--help"]).run().ok();
    as_kept("xtask", &help.stdout);
    // Without a task the same help is shown, as an error: a script that forgot the task must not go on.
    let alone = Xtask::at(&place).run().ended(2);
    assert_eq!((alone.stdout.as_str(), alone.stderr.as_str()), ("", help.stdout.as_str()));
}

#[test]
fn no_help_is_kept_of_a_task_that_is_gone() {
    let dir = repository().join("tests/snapshots/help");
    let kept: BTreeSet<String> = std::fs::read_dir(dir)
        .expect("the kept texts")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let wanted = names().into_iter().chain(["xtask".to_owned()]);
    assert_eq!(kept, wanted.map(|name| format!("{name}.txt")).collect());
}

#[test]
fn a_misspelt_task_or_flag_is_answered_with_the_nearest() {
    let place = Place::new();
    for (line, near) in [
        ("sandbx", "'sandbox'"),
        ("sandbox --worksapce x", "'--workspace'"),
        ("down --al", "'--all'"),
        ("test --tier engin", "'engine'"),
    ] {
        let run = Xtask::at(&place).args(line.split(' ')).run().ended(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains(near), "{line}: {}", run.stderr);
    }
}
