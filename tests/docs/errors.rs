//! Every error that the documents quote is one that the tool says: its text is found in the sources.

use super::{documents, read};
use crate::support::place::repository;
use std::fs;
use std::path::Path;

/// How far apart two parts of a quoted text may lie in the sources, where a value stands between them.
const APART: usize = 60;

/// The texts of the sources, without their tests, with lines that are continued joined.
fn sources() -> String {
    fn collect(dir: &Path, text: &mut String) {
        let entries = fs::read_dir(dir).unwrap_or_else(|err| panic!("{}: {err}", dir.display()));
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                collect(&path, text);
            } else if !name.starts_with("test") {
                let file = fs::read_to_string(&path).unwrap_or_default();
                text.push_str(file.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
            }
        }
    }
    let mut text = String::new();
    for dir in ["xtask/src", "docker", ".devcontainer"] {
        collect(&repository().join(dir), &mut text);
    }
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    let joined = parts.fold(first, |joined, part| joined + part.trim_start());
    joined.replace("\\\"", "\"").replace("\\`", "`")
}

/// Whether a quoted text stands there. `…` is a value.
fn is_said(sources: &str, quoted: &str) -> bool {
    let parts: Vec<&str> = quoted.split('…').map(str::trim).filter(|part| !part.is_empty()).collect();
    let Some((first, rest)) = parts.split_first() else {
        return false;
    };
    let mut starts = sources.match_indices(first).map(|(at, _)| at + first.len());
    starts.any(|start| {
        let mut at = start;
        rest.iter().all(|part| match sources[at..].find(part) {
            Some(distance) if distance <= APART => {
                at += distance + part.len();
                true
            }
            _ => false,
        })
    })
}

/// The texts between double marks in a heading: ``### ``…`` ``.
fn in_headings(text: &str) -> Vec<String> {
    let quoted = |line: &str| {
        let inner = line.strip_prefix("### ``")?.strip_suffix("``")?;
        Some(inner.trim().to_owned())
    };
    text.lines().filter_map(quoted).collect()
}

/// The texts in the first column of a table of which the head is "you see".
fn in_tables(text: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        inside = line.starts_with("| you see") || (inside && line.starts_with('|'));
        let cell = line.trim_start_matches("| ").split(" | ").next().unwrap_or_default();
        if inside && cell.starts_with('`') {
            seen.push(cell.trim_matches('`').trim().to_owned());
        }
    }
    seen
}

#[test]
fn every_quoted_error_is_one_of_the_tools() {
    let sources = sources();
    let headings = in_headings(&read("docs/troubleshooting.md"));
    assert!(headings.len() > 40, "only {} were found", headings.len());
    let tables: Vec<String> = documents().iter().flat_map(|(_, text)| in_tables(text)).collect();
    assert!(tables.len() > 5, "only {} were found", tables.len());
    let invented: Vec<&String> = headings.iter().chain(&tables).filter(|text| !is_said(&sources, text)).collect();
    assert_eq!(invented, Vec::<&String>::new());
}

#[test]
fn what_the_readme_mentions_of_errors_is_explained_at_length() {
    let page = in_headings(&read("docs/troubleshooting.md"));
    for short in in_tables(&read("README.md")) {
        let part = short.split('…').next().unwrap_or_default().trim();
        assert!(page.iter().any(|long| long.contains(part)), "`{short}` has no part of its own");
    }
}

#[test]
fn a_text_that_nobody_says_is_told_from_one_that_is_said() {
    let sources = "failed(format!(\"the data set `{name}` has no directory\"))";
    assert!(is_said(sources, "the data set `…` has no directory"));
    assert!(!is_said(sources, "the data set `…` has no owner"));
    assert!(!is_said(sources, "…"));
    let far = format!("the data set {} has no directory", "x".repeat(APART + 1));
    assert!(!is_said(&far, "the data set … has no directory"));
}
