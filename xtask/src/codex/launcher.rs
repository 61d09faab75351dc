//! From what `which codex` finds to the native program that it ends up running.
//!
//! | launcher | how the program is found |
//! | --- | --- |
//! | native program (standalone, Homebrew, bare) | it answers `--version` as Codex in an empty environment |
//! | `codex.js` (npm, bun, also under nvm and fnm) | where Node would find the platform's package |
//! | shell script of pnpm | the `codex.js` of its `exec` lines |
//! | anything else (mise, volta, asdf, wrappers) | starting it, and observing which program it becomes |
//!
//! Tried with the real 0.169.0 installed by npm, pnpm 10 and 12, bun and mise, and with 0.125.0 by npm; not with volta
//! and asdf.

use super::elf;
use crate::context::Context;
use crate::error::{host, usage};
use crate::exec;
use crate::outside;
use crate::scratch::Scratch;
use crate::step::Command;
use anyhow::{Context as _, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Asks a native program for its version, or says why it is not Codex.
pub(super) type Ask<'a> = &'a dyn Fn(&Path) -> Result<String>;

const INSTALL: &str = "install it (`npm install -g @openai/codex`), or give the program with `--codex PATH`";
const GIVE: &str = "give the native program with `--codex PATH`; it is the large file `codex` that your package manager \
                    keeps beside its launcher";
/// No more bytes of a launcher are read: it is a small text.
const SCRIPT_MAX: u64 = 64 * 1024;
/// Seconds within which a launcher must have started Codex. Measured: 0.2 to 0.5.
const START_BOUND: u64 = 8;

/// The launcher: what `--codex` names (a file, or a package directory with `bin/codex`), or `codex` on `PATH`. Starts
/// nothing. Relative entries of `PATH` are not searched: a program that an agent wrote could be found there first.
pub(crate) fn find(cx: &Context, explicit: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = explicit {
        let path = cx.absolute(path);
        let path = if path.is_dir() { path.join("bin/codex") } else { path };
        if !path.is_file() {
            return Err(usage(format!("`--codex`: `{}` is not a file", path.display()))
                .hint("give the program, or the package directory that has `bin/codex`")
                .into());
        }
        return Ok(path);
    }
    // One by one, because `which` searches the current directory where the list of directories is empty.
    std::env::split_paths(cx.var("PATH").unwrap_or_default())
        .filter(|dir| dir.is_absolute())
        .find_map(|dir| which::which_in("codex", Some(dir), "/").ok())
        .ok_or_else(|| {
            host("there is no `codex` on PATH")
                .run(["npm install -g @openai/codex"])
                .hint("or give the program with `--codex PATH`")
                .into()
        })
}

/// The native program behind a launcher, all links followed.
pub(super) fn native(cx: &Context, launcher: &Path, ask: Ask) -> Result<PathBuf> {
    let real = launcher.canonicalize().with_context(|| format!("cannot follow `{}`", launcher.display()))?;
    let mut why_not = None;
    if let Some(elf) = read_elf(&real)? {
        elf.for_this_machine().map_err(|what| host(format!("`{}` is {what}", real.display())).hint(INSTALL))?;
        match ask(&real) {
            Ok(_) => return Ok(real),
            // A shim (volta, mise) is a native program too, but finds no Codex in an empty environment.
            Err(err) => why_not = Some(err),
        }
    } else if let Some(binary) = behind_script(launcher, &real) {
        return Ok(binary);
    }
    match started_by(cx, launcher, &real) {
        Ok(Some(binary)) => return Ok(binary),
        Ok(None) => {}
        Err(err) => why_not = Some(err),
    }
    let unchanged = || "started, it does not turn into a program named `codex`".to_owned();
    let why = why_not.map_or_else(unchanged, |err| format!("{err:#}"));
    Err(host(format!("cannot see which program `{}` runs: it is {}; {why}", launcher.display(), describe(&real)))
        .hint(GIVE)
        .into())
}

/// The head of an ELF file, `None` where the file is something else. A damaged one is an error with a hint.
pub(super) fn read_elf(path: &Path) -> Result<Option<elf::Elf>> {
    elf::read(path).map_err(|err| match err.kind() {
        ErrorKind::InvalidData => {
            host(format!("`{}` is a damaged program: {err}", path.display())).hint("install Codex again").into()
        }
        _ => anyhow::Error::new(err).context(format!("cannot read `{}`", path.display())),
    })
}

/// The native program behind a script whose text tells it, without running the script.
fn behind_script(launcher: &Path, real: &Path) -> Option<PathBuf> {
    if let Some(binary) = behind_node(real) {
        return Some(binary);
    }
    let text = head(real)?;
    if !text.lines().next()?.ends_with("sh") {
        return None;
    }
    let script = exec_target(&text)?;
    // The script of pnpm 10 starts from the name by which it was called, that of pnpm 12 from the file behind the link.
    [launcher, real]
        .iter()
        .filter_map(|path| path.parent())
        .filter_map(|dir| dir.join(&script).canonicalize().ok())
        .find_map(|js| behind_node(&js))
}

/// The `codex.js` that a shell script runs, relative to the script's directory, where all its `exec` lines agree.
fn exec_target(text: &str) -> Option<PathBuf> {
    let mut target = None;
    for line in text.lines().map(str::trim).filter(|line| line.starts_with("exec ")) {
        let words = shell_words::split(line).ok()?;
        let script = words.get(2).filter(|word| word.ends_with("/codex.js"))?;
        let script = ["$basedir/", "$basedir_abs/", "$basedir_win/"]
            .iter()
            .find_map(|prefix| script.strip_prefix(prefix))
            .unwrap_or(script);
        if script.contains('$') || target.as_deref().is_some_and(|seen| seen != script) {
            return None;
        }
        target = Some(script.to_owned());
    }
    target.map(PathBuf::from)
}

/// The native program that npm's `codex.js` runs: Node looks for the platform's package in every `node_modules` upward,
/// then comes the `vendor` of the package itself.
fn behind_node(js: &Path) -> Option<PathBuf> {
    let package = js.parent()?.parent()?;
    let manifest = outside::text(&package.join("package.json"), outside::WRITTEN).ok()?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest).ok()?;
    if js.file_name()? != "codex.js" || manifest["name"] != "@openai/codex" {
        return None;
    }
    let arch = std::env::consts::ARCH;
    let npm = match arch {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        _ => return None,
    };
    let vendor = format!("vendor/{arch}-unknown-linux-musl");
    js.ancestors()
        .skip(1)
        .filter(|dir| dir.file_name().is_none_or(|name| name != "node_modules"))
        .map(|dir| dir.join(format!("node_modules/@openai/codex-linux-{npm}")))
        .chain([package.to_path_buf()])
        // Up to 0.125 the program was `codex/codex`.
        .flat_map(|dir| ["bin/codex", "codex/codex"].map(|name| dir.join(&vendor).join(name)))
        .find(|path| path.is_file())?
        .canonicalize()
        .ok()
}

/// Starts the launcher as a server that waits for input, with a Codex home of its own, and watches until it or a process
/// that it started runs a program named `codex…`. Then all of them are killed.
fn started_by(cx: &Context, launcher: &Path, real: &Path) -> Result<Option<PathBuf>> {
    let home = Scratch::home()?;
    let command = Command::new(super::utf8(launcher)?)
        .arg("app-server")
        .env("CODEX_HOME", super::utf8(home.path())?)
        .env("PATH", cx.var("PATH").unwrap_or_default())
        .timeout(START_BOUND);
    exec::watch(&command, |pid| {
        exec::process_tree(pid)
            .into_iter()
            .filter_map(|pid| fs::read_link(format!("/proc/{pid}/exe")).ok())
            // The launcher's own file has been asked for its version already, and is not Codex.
            .find(|exe| exe != real && is_codex_name(exe) && exe.is_file())
    })
}

fn is_codex_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("codex") && !name.starts_with("codex-code-mode-host")
}

/// The text of a script.
fn head(path: &Path) -> Option<String> {
    let text = String::from_utf8(outside::head(path, SCRIPT_MAX).ok()?).ok()?;
    text.starts_with("#!").then_some(text)
}

/// What a file is, as a phrase for an error.
fn describe(path: &Path) -> String {
    let name = path.display();
    match (elf::read(path), head(path).as_deref().and_then(|text| text.lines().next())) {
        (Ok(Some(_)), _) => format!("the native program `{name}`"),
        (_, Some(line)) => format!("the script `{name}` (`{}`)", crate::text::name(line)),
        _ => format!("`{name}`, neither a native program nor a script"),
    }
}

/// For the fuzzer: a script that starts Codex.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let target = exec_target(text);
    assert!(target.is_none_or(|script| script.to_string_lossy().ends_with("codex.js")));
}

#[cfg(test)]
mod tests;
