//! Shell completions: the scripts, and the answers that they request from this binary at each TAB.
//!
//! A script passes the command line up to the cursor and gets back lines. The first line says what the word may be
//! (`words`, `directories` or `files`). After `words` there is one candidate per line, with a tab and its meaning. Paths
//! are left to the shell, which knows its own quoting and `~`. The script names this binary by its absolute path, because
//! a binary that is found relative to the current directory could have been put there by an agent.

use crate::spec::settings::Dataset;
use clap::{Command, ValueEnum, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};
use std::ffi::OsStr;
use std::path::Path;

// The variants have no comments, because these would fill a screen of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// These candidates stand for all directories and all files, which the shell itself lists.
const DIRECTORIES: &str = "\u{1}directories";
const FILES: &str = "\u{1}files";

/// The script for a shell.
pub(crate) fn script(shell: Shell, binary: &Path) -> String {
    let text = match shell {
        Shell::Bash => include_str!("complete/xtask.bash"),
        Shell::Zsh => include_str!("complete/xtask.zsh"),
        Shell::Fish => include_str!("complete/xtask.fish"),
    };
    text.replace("@BINARY@", &shell_words::quote(&binary.to_string_lossy()))
}

/// The answer to a command line up to the cursor.
pub(crate) fn answer(line: &str, command: &Command, datasets: &[Dataset]) -> String {
    let words = words(line);
    let Some(at) = words.iter().position(|word| is_xtask(word)) else {
        return String::new();
    };
    let words: Vec<_> = words[at..].iter().map(Into::into).collect();
    let current = words.len() - 1;
    // What comes after `--` are arguments for Codex.
    if current == 0 || words[..current].iter().any(|word| word == "--") {
        return String::new();
    }
    let candidates = complete(&mut completing(command, datasets), words, current, None).unwrap_or_default();
    for (kind, mark) in [("directories", DIRECTORIES), ("files", FILES)] {
        if candidates.iter().any(|one| one.get_value() == mark) {
            return kind.to_owned();
        }
    }
    let line = |one: &CompletionCandidate| {
        let help = one.get_help().map(ToString::to_string).unwrap_or_default();
        format!("\n{}\t{}", one.get_value().display(), help.lines().next().unwrap_or_default())
    };
    format!("words{}", candidates.iter().map(line).collect::<String>())
}

fn is_xtask(word: &str) -> bool {
    Path::new(word).file_name() == Some(OsStr::new("xtask"))
}

/// The command line, with what completes each value.
fn completing(command: &Command, datasets: &[Dataset]) -> Command {
    command.clone().disable_help_subcommand(true).mut_subcommands(|task| {
        task.mut_args(|arg| match (arg.get_id().as_str(), arg.get_value_hint()) {
            (_, ValueHint::DirPath) => arg.add(completer(|_| vec![plain(DIRECTORIES, "")])),
            (_, ValueHint::FilePath) => arg.add(completer(|_| vec![plain(FILES, "")])),
            ("datasets", _) => {
                let known = datasets.to_vec();
                arg.add(completer(move |current| dataset(current, &known)))
            }
            _ => arg,
        })
    })
}

fn completer(answer: impl Fn(&str) -> Vec<CompletionCandidate> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| current.to_str().map(&answer).unwrap_or_default())
}

fn plain(value: &str, help: &str) -> CompletionCandidate {
    CompletionCandidate::new(value).help((!help.is_empty()).then(|| help.to_owned().into()))
}

/// `NAME=` of the data sets in the settings, then any directory.
fn dataset(current: &str, known: &[Dataset]) -> Vec<CompletionCandidate> {
    if current.contains('=') {
        return vec![plain(DIRECTORIES, "")];
    }
    let help = |set: &Dataset| match &set.source {
        Some(dir) => format!("now {}", dir.display()),
        None => "has no directory yet".to_owned(),
    };
    let fits = known.iter().filter(|set| set.name.starts_with(current));
    fits.map(|set| plain(&format!("{}=", set.name), &help(set))).collect()
}

/// Splits a command line that is still being typed into words, as a shell does, except that a quote may be open and the
/// last word may be empty. Only the last command of the line counts.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut chars) = (None, line.chars().peekable());
    while let Some(c) = chars.next() {
        let word = words.len() - 1;
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => words[word].push(c),
            (_, '\\') => words[word].extend(chars.next()),
            (Some(_), c) => words[word].push(c),
            (None, '\'' | '"') => quote = Some(c),
            (None, ';' | '|' | '&' | '\n') => words = vec![String::new()],
            (None, c) if c.is_whitespace() => {
                if !words[word].is_empty() {
                    words.push(String::new());
                }
            }
            (None, c) => words[word].push(c),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets() -> Vec<Dataset> {
        let set = |name: &str, source: Option<&str>| Dataset { name: name.into(), source: source.map(Into::into) };
        vec![set("k400", Some("/data/k 400")), set("ssv2", None)]
    }

    fn values(line: &str) -> Vec<String> {
        let text = answer(line, &crate::cli::command(), &sets());
        let value = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
        text.lines().map(value).collect()
    }

    #[test]
    fn a_line_that_is_still_being_typed_is_split_as_a_shell_would() {
        assert_eq!(words("cargo xtask "), ["cargo", "xtask", ""]);
        assert_eq!(words(r#"cd x && A=1 xtask 'a b"#), ["A=1", "xtask", "a b"]);
        assert_eq!(words(r#"x a\ b "c\"d"#), ["x", "a b", "c\"d"]);
    }

    #[test]
    fn tasks_flags_and_values_are_known() {
        assert_eq!(values("cargo xtask st"), ["words", "status"]);
        assert_eq!(values("cargo +nightly xtask down --a"), ["words", "--all"]);
        assert_eq!(values("./target/debug/xtask sandbox --network "), ["words", "open", "none"]);
        assert_eq!(values("cargo xtask sandbox --codex-home=mi"), ["words", "--codex-home=mirror"]);
        assert_eq!(values("cargo xtask test --tier e"), ["words", "engine"]);
        assert_eq!(values("cargo xtask bench ent"), ["words", "enter"]);
        let tasks = values("cargo xtask ");
        assert!(tasks.contains(&"sandbox".into()) && tasks.contains(&"completions".into()), "{tasks:?}");
        assert!(!tasks.contains(&"complete".into()), "{tasks:?}");
    }

    #[test]
    fn data_sets_are_known_by_name_and_then_any_directory() {
        assert_eq!(
            answer("cargo xtask sandbox --dataset ", &crate::cli::command(), &sets()),
            "words\nk400=\tnow /data/k 400\nssv2=\thas no directory yet"
        );
        assert_eq!(values("cargo xtask sandbox --cpu --dataset s"), ["words", "ssv2="]);
        assert_eq!(values("cargo xtask sandbox --dataset ssv2="), ["directories"]);
        assert_eq!(values("cargo xtask sandbox --dataset ssv2=/da"), ["directories"]);
        assert_eq!(values("cargo xtask sandbox --workspace ~/pro"), ["directories"]);
        assert_eq!(values("cargo xtask sandbox --codex "), ["files"]);
    }

    #[test]
    fn nothing_is_said_of_what_is_not_ours() {
        for line in ["cargo build --", "cargo xtask sandbox -- --mo", "cargo xtas", ""] {
            assert_eq!(answer(line, &crate::cli::command(), &sets()), "", "{line}");
        }
    }

    #[test]
    fn every_script_asks_this_binary_and_no_other() {
        for shell in Shell::value_variants() {
            let text = script(*shell, Path::new("/a b/xtask"));
            assert!(text.contains("'/a b/xtask' complete "), "{shell:?}");
            assert!(!text.contains("@BINARY@"), "{shell:?}");
        }
    }
}
