//! What the documents say is what the tool does.

use crate::support::place::repository;
use std::collections::BTreeSet;
use std::fs;
use xtask::error;
use xtask::smoke::checks::CHECKS;
use xtask::smoke::{Arch, Extent, Judgement, RunFacts, SmokeRequest, SmokeResult, json};

#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/errors.rs"]
mod errors;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/threats.rs"]
mod threats;

fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
}

/// The pages that lie in a directory, by their paths.
fn pages(dir: &str) -> Vec<String> {
    let entries = fs::read_dir(repository().join(dir)).unwrap_or_else(|err| panic!("{dir}: {err}"));
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".md")).map(|name| format!("{dir}/{name}")).collect()
}

/// Everything that is written for people, by its path.
fn documents() -> Vec<(String, String)> {
    let own = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "workspace/README.md"];
    let mut all: Vec<String> = own.map(str::to_owned).into();
    all.extend(["docs", "docs/design", "docs/gpu-runs"].iter().flat_map(|dir| pages(dir)));
    all.sort();
    all.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

#[test]
fn the_readme_has_every_command() {
    let readme = read("README.md");
    let command = xtask::cli::command();
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let row = format!("| `cargo xtask {}", command.get_name());
        assert!(readme.contains(&row), "README.md has no row `{row}`");
    }
}

#[test]
fn the_exit_codes_are_the_same_in_the_readme_and_in_the_code() {
    let rows = |text: String| -> BTreeSet<(String, String)> {
        text.lines()
            .map(|line| line.trim_start_matches("//!").trim())
            .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
            .filter(|(code, _)| code.parse::<u8>().is_ok())
            .map(|(code, meaning)| (code.to_owned(), meaning.replace(": ", " (").trim_end_matches(')').to_owned()))
            .collect()
    };
    let (code, readme) = (rows(read("xtask/src/error.rs")), rows(read("README.md")));
    assert_eq!(code.len(), 4);
    assert_eq!(code, readme);
}

#[test]
fn the_files_that_the_map_names_exist() {
    let map = read("ARCHITECTURE.md");
    let rows = map.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let named: Vec<&str> = rows.map(|(path, _)| path).collect();
    assert!(named.len() > 10, "{named:?}");
    for path in named {
        assert!(repository().join(path).exists(), "ARCHITECTURE.md names `{path}`");
    }
}

#[test]
fn the_changelog_has_one_place_for_what_comes_next() {
    assert_eq!(read("CHANGELOG.md").matches("## Unreleased").count(), 1);
}

#[test]
fn the_readme_quotes_the_transcript_as_it_is() {
    let (readme, transcript) = (read("README.md"), read("docs/demo-transcript.txt"));
    let quote = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let parts: Vec<&str> = quote.expect("a quote").split("…\n").collect();
    assert!(parts.len() > 3, "{parts:?}");
    let mut rest = transcript.as_str();
    for part in parts {
        let end =
            rest.find(part).unwrap_or_else(|| panic!("not in the transcript, or not there:\n{part}")) + part.len();
        rest = &rest[end..];
    }
}

#[test]
fn the_smoke_tests_document_has_every_check_and_every_key_of_its_json() {
    let text = read("docs/gpu-smoke.md");
    for check in CHECKS {
        let need = match (check.required, check.full) {
            (true, _) => "required",
            (false, false) => "reported",
            (false, true) => "reported, `--full`",
        };
        let gpu = if check.gpu { "yes" } else { "no" };
        let row = format!("| `{}` | {need} | {gpu} | {} |", check.id, check.what);
        assert!(text.contains(&row), "docs/gpu-smoke.md has no row `{row}`");
    }
    let request = SmokeRequest {
        nonce: String::new(),
        arch: Arch::parse("12.0").expect("an architecture"),
        mode: Extent::Quick,
        gpus: None,
        gpu: false,
        dataset: None,
        seconds: 1,
        torch: None,
    };
    let outcome = Judgement::not_started(&request, error::host(""));
    let facts = RunFacts::default();
    let document = json::document(SmokeResult { facts: &facts, request: &request, report: None, outcome: &outcome });
    let keys = |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    for key in keys(&document).into_iter().chain(keys(&document["checks"][0])) {
        let named = |row: &&str| row.split(" | ").next().is_some_and(|first| first.contains(&format!("`{key}`")));
        assert!(rows.iter().any(named), "docs/gpu-smoke.md does not say what `{key}` is");
    }
}
