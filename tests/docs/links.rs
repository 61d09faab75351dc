//! What the documents point to is there: pages, parts of pages, files of this repository.

use super::{documents, read};
use crate::support::place::repository;
use std::path::Path;

/// Files that are made by the tool or by a user.
const MADE: [&str; 3] = [".devcontainer/.env", "target/", "workspaces/"];

/// Directories and files of this repository, as a code span names them.
const OWN: [&str; 8] = [".ci/", ".config/", ".devcontainer/", "docker/", "docs/", "tests/", "workspace/", "xtask/"];

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
    for (name, _) in documents().iter().filter(|(name, _)| name.starts_with("docs/")) {
        assert!(links(&readme).contains(&name.as_str()), "README.md does not link to {name}");
    }
}

#[test]
fn every_file_of_the_repository_that_is_named_is_there() {
    let mut seen = 0;
    for (name, text) in documents() {
        for span in text.split('`').skip(1).step_by(2).filter(|span| !span.contains(char::is_whitespace)) {
            let own = OWN.iter().any(|dir| span.starts_with(dir));
            if own && !MADE.iter().any(|made| span.starts_with(made)) && !span.contains(['*', '{']) {
                assert!(repository().join(span).exists(), "{name} names `{span}`");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "only {seen} were found");
}
