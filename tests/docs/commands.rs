//! Every command and every settings file in the documents is one that can be typed.

use super::documents;
use std::path::Path;
use xtask::context::Context;
use xtask::spec::settings::{self, Flags};

/// Programs that a reader is told to run, beside `cargo`.
const PROGRAMS: [&str; 15] = [
    "cat", "codex", "devcontainer", "docker", "export", "git", "newgrp", "npm", "nvidia-ctk", "nvidia-smi", "python3",
    "sudo", "sysctl", "systemctl", "tar",
];

/// Indented lines outside of fences: what is meant to be typed.
fn typed(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.starts_with("    ") && !line.trim().is_empty() {
            lines.push(line.trim());
        }
    }
    lines
}

/// Code spans. One may be broken by the end of a line; what stands between double marks is a text with marks in it.
fn spans(text: &str) -> Vec<String> {
    let outside: Vec<&str> = text.split("```").step_by(2).collect();
    let outside = outside.join("\n");
    let spans = outside.split('`').skip(1).step_by(2);
    spans.map(|span| span.replace('\n', " ")).collect()
}

/// Texts in fences of this language.
fn fences<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let blocks = text.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

fn without_comment(line: &str) -> &str {
    line.split(" #").next().unwrap_or(line).trim()
}

#[test]
fn every_command_of_the_tool_parses() {
    let mut seen = 0;
    for (name, text) in documents() {
        let typed = typed(&text).into_iter().map(str::to_owned);
        let lines = typed.chain(spans(&text)).map(|line| without_comment(&line).to_owned());
        for line in lines.filter(|line| line.starts_with("cargo xtask ")) {
            let words = shell_words::split(&line).unwrap_or_else(|err| panic!("{name}: `{line}`: {err}"));
            let parsed = xtask::cli::parse(words.into_iter().skip(1).map(Into::into));
            parsed.unwrap_or_else(|err| panic!("{name}: `{line}`: {err}"));
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} were found");
}

#[test]
fn every_other_line_to_type_is_of_a_known_program() {
    let mut seen = 0;
    for (name, text) in documents() {
        for line in typed(&text).into_iter().filter(|line| !line.starts_with("cargo ")) {
            if name == "ARCHITECTURE.md" && line.contains("->") {
                continue;
            }
            let words = shell_words::split(without_comment(line)).unwrap_or_else(|err| panic!("{name}: {line}: {err}"));
            let pipeline = words.split(|word| word == "|");
            for program in pipeline.map(|words| words.first().expect("a program")) {
                assert!(PROGRAMS.contains(&program.as_str()), "{name}: `{line}` runs `{program}`");
            }
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} were found");
}

#[test]
fn every_settings_file_that_is_shown_is_one() {
    let mut seen = 0;
    for (name, text) in documents() {
        for yaml in fences(&text, "yaml") {
            let resolve = |layer| settings::resolve(&Context::default(), &Flags::default(), &[layer]);
            let resolved = settings::parse(settings::LOCAL_FILE, Path::new("/"), yaml).and_then(resolve);
            resolved.unwrap_or_else(|err| panic!("{name}: {err}:\n{yaml}"));
            seen += 1;
        }
    }
    assert!(seen > 3, "only {seen} were found");
}

#[test]
fn what_is_to_be_typed_is_found() {
    let text = "a `b\nc` d\n\n    e f\n\n```yaml\n    g: `h`\n```\n\n1. i\n\n       j\n\n``k `l` m``\n";
    assert_eq!(typed(text), ["e f", "j"]);
    assert_eq!(spans(text), ["b c", "", "l", ""]);
    assert_eq!(fences(text, "yaml"), ["    g: `h`\n"]);
}
