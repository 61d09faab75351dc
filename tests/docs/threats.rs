//! The threat model is held against the suite and the tests: every row names a test that exists, every attempt of the
//! suite has its row, and every claim that is named is one.

use super::read;
use crate::engine::escape::{leave, table};
use crate::support::place::repository;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = "docs/threat-model.md";

/// The word for an attempt that the suite makes.
const SUITE: &str = "suite";

/// The word for what no test shows, among what is not stopped.
const NONE: &str = "none";

/// The rows of the tables below a heading of the second level, without those that name the columns.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let part = text.split("\n## ").find(|part| part.starts_with(heading));
    let part = part.unwrap_or_else(|| panic!("{PAGE} has no part `{heading}`"));
    let lines: Vec<&str> = part.lines().collect();
    let is_head = |n: usize| lines.get(n + 1).is_some_and(|next| next.starts_with("| ---"));
    let table = lines.iter().enumerate().filter(|(n, line)| line.starts_with("| ") && !is_head(*n));
    let table = table.filter(|(_, line)| !line.starts_with("| ---"));
    table.map(|(_, line)| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The code spans of a cell.
fn spans(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Every id that the suite makes.
fn suite() -> BTreeSet<&'static str> {
    let attempts = table::THEMES.iter().flat_map(table::Theme::ids);
    attempts.chain(leave::ids()).collect()
}

/// What is wrong with the test that a row names: `suite`, `suite: ID`, or `FILE: FUNCTION`, each in a code span.
fn test_of(id: &str, cell: &str, suite: &BTreeSet<&str>) -> Result<(), String> {
    let named = spans(cell);
    if named.is_empty() {
        return Err(format!("`{id}` names no test: {cell}"));
    }
    for test in named {
        let there = match test.split_once(": ") {
            None => test == SUITE && suite.contains(id),
            Some((SUITE, other)) => suite.contains(other),
            Some((file, function)) => has_test(file, function),
        };
        if !there {
            return Err(format!("`{id}` names a test that is not there: {test}"));
        }
    }
    Ok(())
}

fn has_test(file: &str, function: &str) -> bool {
    let text = fs::read_to_string(repository().join(file)).unwrap_or_default();
    let head = format!("fn {function}(");
    let lines: Vec<&str> = text.lines().collect();
    let found = lines.iter().position(|line| line.trim_start().starts_with(&head));
    found.is_some_and(|n| lines[..n].iter().rev().take(3).any(|line| line.trim() == "#[test]"))
}

/// The text of every judge.
fn judges(dir: &Path) -> String {
    let entries = fs::read_dir(dir).expect("the judges").map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| if path.is_dir() { judges(&path) } else { fs::read_to_string(path).unwrap_or_default() })
        .collect()
}

#[test]
fn every_row_of_the_threat_model_names_a_test_that_exists() {
    let (text, suite) = (read(PAGE), suite());
    let tried = rows(&text, "What was tried");
    assert!(tried.len() > 400, "only {} rows", tried.len());
    let open = rows(&text, "What is not stopped");
    let mut wrong = Vec::new();
    for row in tried.iter().chain(&open) {
        assert_eq!(row.len(), 5, "{row:?}");
        let id = spans(&row[0])[0];
        let shown = row[4] != NONE || !id.starts_with("open.");
        wrong.extend(shown.then(|| test_of(id, &row[4], &suite).err()).flatten());
    }
    for row in rows(&text, "Each guard taken away once") {
        wrong.extend(test_of(&row[0], &row[2], &suite).err());
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_attempt_of_the_suite_has_its_row_and_no_id_has_two() {
    let text = read(PAGE);
    let mut ids = BTreeSet::new();
    for row in rows(&text, "What was tried").iter().chain(&rows(&text, "What is not stopped")) {
        assert!(ids.insert(spans(&row[0])[0].to_owned()), "two rows: {}", row[0]);
    }
    let suite = suite();
    assert!(suite.len() > 300, "only {} attempts", suite.len());
    let without: Vec<&&str> = suite.iter().filter(|id| !ids.contains(**id)).collect();
    assert!(without.is_empty(), "{PAGE} has no row for {without:?}");
}

#[test]
fn every_claim_that_the_threat_model_names_is_one() {
    let judges = judges(&repository().join("xtask/src/proof"));
    let mut seen = BTreeSet::new();
    for row in rows(&read(PAGE), "What was tried") {
        for claim in spans(&row[3]) {
            // The first part of some ids is the mount's: there only the last part is spelt out.
            let (_, last) = claim.rsplit_once('.').unwrap_or_else(|| panic!("`{claim}` is no claim"));
            let known = judges.contains(&format!("\"{claim}\"")) || judges.contains(&format!("}}.{last}\""));
            assert!(known, "{}: there is no claim `{claim}`", row[0]);
            seen.insert(claim.to_owned());
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn a_row_without_its_test_is_seen() {
    let suite = BTreeSet::from(["dataset.open"]);
    assert_eq!(test_of("dataset.open", "`suite`", &suite), Ok(()));
    assert_eq!(test_of("open.lease", "`suite: dataset.open`", &suite), Ok(()));
    assert_eq!(test_of("a", "`tests/docs/threats.rs: a_row_without_its_test_is_seen`", &suite), Ok(()));
    for cell in ["`suite`", "`suite: b`", "–", "`tests/docs/threats.rs: judges`", "`tests/none.rs: f`", "`TODO(x)`"] {
        assert!(test_of("a", cell, &suite).is_err(), "{cell}");
    }
}
