//! The version that a native program answers to `--version`, and a cache of these answers, so that a program that has not
//! changed is not started again.

use super::utf8;
use crate::context::Context;
use crate::error::host;
use crate::exec;
use crate::outside;
use crate::scratch::Scratch;
use crate::step::Command;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Seconds; a program of 300 MB may come from a slow disk.
const ANSWER_BOUND: u64 = 15;
/// The layout of the cache file.
const FORMAT: u64 = 1;

/// The cache file.
#[derive(Serialize, Deserialize)]
struct VersionCache {
    format: u64,
    /// By the path of the program.
    versions: BTreeMap<String, KnownVersion>,
}

/// What a program has answered.
#[derive(Serialize, Deserialize)]
struct KnownVersion {
    /// The program's [`identity`] when it was asked.
    identity: String,
    version: String,
}

/// The identity of a file by its metadata: another file, or this one after a change, has another.
pub(super) fn identity(meta: &Metadata) -> String {
    format!("{}:{}:{}:{}.{:09}", meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec())
}

/// The version of a program, from the cache where the file has not changed, else by asking it. An error where it is not
/// Codex.
pub(super) fn remembered(cx: &Context, binary: &Path, ask: impl Fn(&Path) -> Result<String>) -> Result<String> {
    let name = utf8(binary)?;
    let meta = fs::metadata(binary).with_context(|| format!("cannot read `{name}`"))?;
    let identity = identity(&meta);
    let file = cx.state.join("cache/codex.json");
    let mut versions = load(&file);
    let known = versions.get(name).filter(|answer| answer.identity == identity);
    // What the file says is checked as if it had just been answered: the version becomes the name of a directory.
    if let Some(version) = known.and_then(|answer| clean(&answer.version)) {
        return Ok(version);
    }
    let version = ask(binary)?;
    if cx.dry_run {
        return Ok(version);
    }
    versions.insert(name.to_owned(), KnownVersion { identity, version: version.clone() });
    versions.retain(|path, _| Path::new(path).exists());
    let text = serde_json::to_string_pretty(&VersionCache { format: FORMAT, versions })?;
    exec::create_dir(&cx.state, 0o700)?;
    exec::create_dir(&cx.state.join("cache"), 0o700)?;
    exec::write_file(&file, text.as_bytes(), 0o600)?;
    Ok(version)
}

/// The answers of the cache file; none where it is missing, damaged, or of another format.
fn load(file: &Path) -> BTreeMap<String, KnownVersion> {
    let text = outside::text(file, outside::STATE).unwrap_or_default();
    let cache = serde_json::from_str::<VersionCache>(&text).ok().filter(|cache| cache.format == FORMAT);
    cache.map(|cache| cache.versions).unwrap_or_default()
}

/// Runs `BINARY --version` with an empty environment and a temporary home. A shim, which needs its own set-up to find
/// Codex, does not answer there; Codex itself does.
pub(super) fn ask(binary: &Path) -> Result<String> {
    let home = Scratch::home()?;
    let home = utf8(home.path())?;
    // Through a shell, because `env` would take a program path with a `=` in it for a variable.
    let command = Command::new("env")
        .args(["-i", "PATH=/usr/bin:/bin"])
        .args(["HOME", "CODEX_HOME"].map(|name| format!("{name}={home}")))
        .args(["/bin/sh", "-c", "exec \"$0\" --version", utf8(binary)?])
        .timeout(ANSWER_BOUND);
    let output = exec::capture(&command)?;
    parse(&output.stdout).filter(|_| output.ok()).ok_or_else(|| {
        let said = format!("{} {}", output.stdout.trim(), output.stderr.trim());
        let said: String = crate::ui::printable(said.trim()).chars().take(200).collect();
        let said = if said.is_empty() { "nothing".to_owned() } else { format!("`{said}`") };
        let (name, code) = (binary.display(), output.code);
        host(format!("`{name} --version` does not answer as Codex (exit code {code}, it said {said})")).into()
    })
}

/// `codex-cli 0.169.0` → `0.169.0`.
fn parse(stdout: &str) -> Option<String> {
    stdout.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["codex-cli" | "codex", version] => clean(version),
        _ => None,
    })
}

/// A version as it may stand in a path: digits first, and nothing but letters, digits, `.`, `-` and `+`.
fn clean(version: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    let good = version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.');
    (good && version.len() < 64 && version.chars().all(plain)).then(|| version.to_owned())
}

/// For the fuzzer: what a program answers to `--version`. What is taken can stand in a path.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    assert!(parse(text).is_none_or(|version| !version.contains('/') && !version.starts_with('.')));
    _ = serde_json::from_str::<VersionCache>(text);
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;
    use std::cell::Cell;
    use std::time::{Duration, SystemTime};

    #[test]
    fn versions_are_read_from_what_codex_prints() {
        assert_eq!(parse("codex-cli 0.169.0\n").as_deref(), Some("0.169.0"));
        assert_eq!(parse("warning\ncodex-cli 0.170.0-alpha.1\n").as_deref(), Some("0.170.0-alpha.1"));
        for text in ["", "codex-cli", "codex-cli ../../x", "codex-cli 1./x", "sleep (GNU coreutils) 9.1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_program_is_asked_again_only_when_it_changed() {
        let world = World::new();
        let cx = world.cx();
        let binary = world.native("codex", "one");
        let asked = Cell::new(0);
        let version = || {
            remembered(&cx, &binary, |_| {
                asked.set(asked.get() + 1);
                Ok("0.169.0".to_owned())
            })
            .unwrap()
        };
        assert_eq!((version(), version(), asked.get()), ("0.169.0".into(), "0.169.0".into(), 1));

        let file = fs::File::options().write(true).open(&binary).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(5)).unwrap();
        version();
        assert_eq!(asked.get(), 2);

        let cache = cx.state.join("cache/codex.json");
        assert_eq!(fs::metadata(&cache).unwrap().mode() & 0o777, 0o600);
        for (i, damage) in ["", "{", "[]", r#"{"format": 1, "versions": 7}"#, r#"{"format": 9}"#].iter().enumerate() {
            fs::write(&cache, damage).unwrap();
            assert_eq!(version(), "0.169.0");
            assert_eq!(asked.get(), 3 + i);
        }
        let evil = fs::read_to_string(&cache).unwrap().replace("0.169.0", "0.1/../../..");
        fs::write(&cache, evil).unwrap();
        assert_eq!((version().as_str(), asked.get()), ("0.169.0", 8));
    }

    #[test]
    fn programs_that_are_not_codex_say_what_they_said() {
        let world = World::new();
        let script =
            world.program("a=b/codex", "#!/bin/sh\necho \"codex-cli 0.1.$#\"; test -z \"$XDG_STATE_HOME$USER\"\n");
        assert_eq!(ask(&script).unwrap(), "0.1.1");
        let other = world.program("other", "#!/bin/sh\necho hello; exit 3\n");
        let err = ask(&other).unwrap_err().to_string();
        assert!(err.ends_with("does not answer as Codex (exit code 3, it said `hello`)"), "{err}");
    }
}
