//! What the documents point to is there: pages, parts of pages, files of this repository.

use super::{documents, pages, read};
use crate::support::place::repository;
use std::path::Path;

/// Files that are made by the tool or by a user.
const MADE: [&str; 3] = [".devcontainer/.env", "target/", "workspaces/"];

/// Directories and files of this repository, as a code span names them.
const OWN: [&str; 8] = [".ci/", ".config/", ".devcontainer/", "docker/", "docs/", "tests/", "workspace/", "xtask/"];

/// The index of the design records.
const DESIGN: &str = "docs/design/README.md";

/// The most lines of a design record, so that it fits on one screen.
const SCREEN: usize = 50;

/// `[text](target)`, without those that lead out.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target).filter(|target| !target.contains("://")).collect()
}

/// How a heading is named in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || "- _".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for (name, text) in documents() {
        let dir = Path::new(&name).parent().expect("a directory");
        for link in links(&text) {
            let (path, part) = link.split_once('#').unwrap_or((link, ""));
            let file = if path.is_empty() { Path::new(&name).to_path_buf() } else { dir.join(path) };
            assert!(repository().join(&file).exists(), "{name} links to `{link}`");
            let page = if part.is_empty() { String::new() } else { read(&file.to_string_lossy()) };
            let mut headings = page.lines().filter(|line| line.starts_with('#'));
            assert!(part.is_empty() || headings.any(|line| anchor(line) == part), "{name}: no part `{link}`");
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} were found");
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let readme = read("README.md");
    for name in pages("docs") {
        assert!(links(&readme).contains(&name.as_str()), "README.md does not link to {name}");
    }
    assert!(links(&readme).contains(&DESIGN), "README.md does not link to {DESIGN}");
    let index = read(DESIGN);
    for name in pages("docs/design").iter().filter(|name| *name != DESIGN) {
        let page = name.trim_start_matches("docs/design/");
        assert!(links(&index).contains(&page), "{DESIGN} does not link to {page}");
    }
}

/// The code spans that name a file or directory of this repository.
fn own_files(text: &str) -> Vec<&str> {
    let spans = text.split('`').skip(1).step_by(2).filter(|span| !span.contains(char::is_whitespace));
    let own = spans.filter(|span| OWN.iter().any(|dir| span.starts_with(dir)));
    own.filter(|span| !MADE.iter().any(|made| span.starts_with(made)) && !span.contains(['*', '{'])).collect()
}

#[test]
fn a_design_record_fits_on_a_screen_and_names_code_and_tests() {
    let records: Vec<String> = pages("docs/design").into_iter().filter(|name| name != DESIGN).collect();
    assert!(records.len() >= 6, "{records:?}");
    for name in records {
        let text = read(&name);
        assert!(text.lines().count() <= SCREEN, "{name} has more than {SCREEN} lines");
        assert!(text.contains("**Decision.**") && text.contains("**Why.**"), "{name}");
        let (_, held) = text.split_once("## What holds it").unwrap_or_else(|| panic!("{name}: what holds it?"));
        let files = own_files(held);
        let is_test = |file: &&&str| file.starts_with("tests/") || file.ends_with("tests.rs");
        assert!(files.iter().any(|file| is_test(&file)), "{name} names no test: {files:?}");
        assert!(files.iter().any(|file| !is_test(&file)), "{name} names no code: {files:?}");
    }
}

#[test]
fn every_file_of_the_repository_that_is_named_is_there() {
    let mut seen = 0;
    for (name, text) in documents() {
        for file in own_files(&text) {
            assert!(repository().join(file).exists(), "{name} names `{file}`");
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} were found");
}
