//! The first line of a script names the program that runs it: git runs that one, too.

use super::super::Environment;
use crate::outside;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// As much of the line as the kernel reads. Source: `BINPRM_BUF_SIZE` in the kernel's `binfmts.h`.
const MOST_BYTES: u64 = 256;

/// How often a script can be run by a script: the kernel ends at five.
pub(super) const MOST_SCRIPTS: usize = 5;

/// The files that the first line of a file names as programs or scripts, found where git would find them. What is no script
/// names none.
pub(super) fn programs(file: &Path, env: &Environment, work_tree: &Path) -> Vec<PathBuf> {
    let found = |word: String| match word.contains('/') {
        true => Some(work_tree.join(word)),
        false => env.program(&word),
    };
    first_line(file).map_or_else(Vec::new, |line| words(&line).into_iter().filter_map(found).collect())
}

fn first_line(file: &Path) -> Option<Vec<u8>> {
    outside::head(file, MOST_BYTES).ok()
}

/// The interpreter, what `env` looks up on `PATH` in its place, and all arguments that look like a path.
fn words(text: &[u8]) -> Vec<String> {
    let Some(line) = text.strip_prefix(b"#!") else { return Vec::new() };
    let line = line.split(|byte| matches!(byte, b'\n' | b'\0')).next().unwrap_or_default();
    let line = std::ffi::OsStr::from_bytes(line).to_string_lossy().into_owned();
    let mut parts = line.split([' ', '\t', '\r']).filter(|part| !part.is_empty());
    let Some(first) = parts.next() else { return Vec::new() };
    let mut found = vec![first.to_owned()];
    let mut wanted = Path::new(first).file_name() == Some("env".as_ref());
    for part in parts {
        // `-S` and its text can be one word.
        let part = part.strip_prefix("-S").or_else(|| part.strip_prefix("--split-string=")).unwrap_or(part);
        let part = part.trim_matches(['"', '\'']);
        let is_program = wanted && !part.is_empty() && !part.starts_with('-') && !part.contains('=');
        if is_program || (!wanted && part.contains('/')) {
            found.push(part.to_owned());
        }
        wanted &= !is_program;
    }
    found
}

/// For the fuzzer: the head of a script.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let found = words(bytes);
    assert!(found.iter().all(|word| !word.is_empty()) && (found.is_empty() || bytes.starts_with(b"#!")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_found_however_the_line_is_written() {
        for (text, expected) in [
            ("#!/w/venv/bin/python\nimport x\n", &["/w/venv/bin/python"][..]),
            ("#! /bin/sh -e", &["/bin/sh"]),
            ("#!/usr/bin/env python3\r\n", &["/usr/bin/env", "python3"]),
            ("#!/usr/bin/env -S A=1 -i /w/bin/run --flag", &["/usr/bin/env", "/w/bin/run"]),
            ("#!/usr/bin/env -Spython3 -u /w/x.py", &["/usr/bin/env", "python3", "/w/x.py"]),
            ("#!/usr/bin/awk -f", &["/usr/bin/awk"]),
            ("#!/usr/bin/python3 /w/tool.py\n/w/not", &["/usr/bin/python3", "/w/tool.py"]),
            ("#!tools/run", &["tools/run"]),
            ("#!", &[]),
            ("\u{7f}ELF", &[]),
            ("", &[]),
        ] {
            assert_eq!(words(text.as_bytes()), expected, "{text}");
        }
    }
}
