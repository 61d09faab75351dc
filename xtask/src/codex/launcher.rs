//! From what `which codex` finds to the native program that it ends up running.
//!
//! | launcher | seen through by |
//! | --- | --- |
//! | native program (standalone, Homebrew, bare) | it answers `--version` as Codex in an empty environment |
//! | `codex.js` (npm, bun, also under nvm and fnm) | where Node would find the platform's package |
//! | shell script of pnpm | the `codex.js` of its `exec` lines |
//! | anything else (mise, volta, asdf, wrappers) | starting it, and looking what it turns into |
//!
//! Seen with the real 0.169.0 by npm, pnpm 10 and 12, bun and mise, and 0.125.0 by npm; volta and asdf were not tried.

use super::elf;
use crate::context::Context;
use crate::error::{Failure, host, usage};
use crate::step::Command;
use crate::{exec, ui};
use anyhow::{Context as _, Result};
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Asks a native program for its version, or says why it is not Codex.
pub(super) type Ask<'a> = &'a dyn Fn(&Path) -> Result<String>;

const INSTALL: &str = "install it (`npm install -g @openai/codex`), or give the program with `--codex PATH`";
const GIVE: &str = "give the native program with `--codex PATH`; it is the large file `codex` that your package manager \
                    keeps beside its launcher";
/// A launcher is a small text; what is longer is not read.
const SCRIPT_MAX: u64 = 64 * 1024;
/// Seconds within which a launcher has started Codex. Seen: 0.2 to 0.5.
const START_BOUND: u64 = 8;

/// The launcher: what `--codex` names (a file, or a package directory with `bin/codex`), or `codex` on `PATH`. Starts
/// nothing. Relative entries of `PATH` are not searched: there, what an agent wrote could be found first.
pub fn find(cx: &Context, explicit: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = explicit {
        let path = cx.absolute(path);
        let path = if path.is_dir() { path.join("bin/codex") } else { path };
        return match path.is_file() {
            true => Ok(path),
            false => Err(usage(format!("`--codex`: `{}` is not a file", path.display()))
                .hint("give the program, or the package directory that has `bin/codex`")
                .into()),
        };
    }
    // One by one: an empty list of directories means the current one to `which`.
    std::env::split_paths(cx.var("PATH").unwrap_or_default())
        .filter(|dir| dir.is_absolute())
        .find_map(|dir| which::which_in("codex", Some(dir), "/").ok())
        .ok_or_else(|| none().into())
}

/// The error where there is no Codex.
fn none() -> Failure {
    host("there is no `codex` on PATH")
        .run(["npm install -g @openai/codex"])
        .hint("or give the program with `--codex PATH`")
}

/// The native program behind a launcher, all links followed.
pub(super) fn native(cx: &Context, launcher: &Path, ask: Ask) -> Result<PathBuf> {
    let real = launcher.canonicalize().with_context(|| format!("cannot follow `{}`", launcher.display()))?;
    let mut why_not = None;
    match read_elf(&real)? {
        Some(elf) => {
            elf.for_this_machine().map_err(|what| host(format!("`{}` is {what}", real.display())).hint(INSTALL))?;
            match ask(&real) {
                Ok(_) => return Ok(real),
                // A shim (volta, mise) is a native program too, but knows no Codex in an empty environment.
                Err(err) => why_not = Some(err),
            }
        }
        None => {
            if let Some(binary) = behind_script(launcher, &real) {
                return Ok(binary);
            }
        }
    }
    let started = started_by(cx, launcher, &real);
    if let Ok(Some(binary)) = started {
        return Ok(binary);
    }
    let why = started.err().or(why_not).map(|err| format!("{err:#}"));
    let why = why.unwrap_or_else(|| "started, it does not turn into a program named `codex`".to_owned());
    Err(host(format!("cannot see which program `{}` runs: it is {}; {why}", launcher.display(), describe(&real)))
        .hint(GIVE)
        .into())
}

/// The head of an ELF file, `None` where it is something else. A damaged one is an error with a way out.
pub(super) fn read_elf(path: &Path) -> Result<Option<elf::Elf>> {
    elf::read(path).map_err(|err| match err.kind() {
        ErrorKind::InvalidData => {
            host(format!("`{}` is a damaged program: {err}", path.display())).hint("install Codex again").into()
        }
        _ => anyhow::Error::new(err).context(format!("cannot read `{}`", path.display())),
    })
}

/// The native program behind a script that is understood without being run.
fn behind_script(launcher: &Path, real: &Path) -> Option<PathBuf> {
    if let Some(binary) = behind_node(real) {
        return Some(binary);
    }
    let text = head(real)?;
    if !text.lines().next()?.ends_with("sh") {
        return None;
    }
    let script = exec_target(&text)?;
    // pnpm 10 starts from the name by which it was called, pnpm 12 from the file behind it.
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
    let manifest = fs::read_to_string(package.join("package.json")).ok()?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest).ok()?;
    if js.file_name()? != "codex.js" || manifest["name"] != "@openai/codex" {
        return None;
    }
    let (npm, triple) = match std::env::consts::ARCH {
        "x86_64" => ("x64", "x86_64-unknown-linux-musl"),
        "aarch64" => ("arm64", "aarch64-unknown-linux-musl"),
        _ => return None,
    };
    js.ancestors()
        .skip(1)
        .filter(|dir| dir.file_name().is_none_or(|name| name != "node_modules"))
        .map(|dir| dir.join(format!("node_modules/@openai/codex-linux-{npm}")))
        .chain([package.to_path_buf()])
        // `codex/codex` is the layout up to 0.125.
        .flat_map(|dir| ["bin/codex", "codex/codex"].map(|name| dir.join("vendor").join(triple).join(name)))
        .find(|path| path.is_file())?
        .canonicalize()
        .ok()
}

/// Starts the launcher as a server that waits for input, with a Codex home of its own, and looks until it or something
/// that it started is a program named `codex…`. It is ended at once.
fn started_by(cx: &Context, launcher: &Path, real: &Path) -> Result<Option<PathBuf>> {
    let home = tempfile::tempdir().context("cannot make a temporary directory")?;
    let command = Command::new(super::utf8(launcher)?)
        .arg("app-server")
        .env("CODEX_HOME", super::utf8(home.path())?)
        .env("PATH", cx.var("PATH").unwrap_or_default())
        .timeout(START_BOUND);
    exec::watch(&command, |pid| {
        exec::process_tree(pid)
            .into_iter()
            .filter_map(|pid| fs::read_link(format!("/proc/{pid}/exe")).ok())
            // The launcher itself has been asked already, and is not Codex.
            .find(|exe| exe != real && is_codex_name(exe) && exe.is_file())
    })
}

fn is_codex_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("codex") && !name.starts_with("codex-code-mode-host")
}

fn head(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(SCRIPT_MAX).read_to_end(&mut text).ok()?;
    String::from_utf8(text).ok().filter(|text| text.starts_with("#!"))
}

/// What a file is, for an error: a phrase.
fn describe(path: &Path) -> String {
    match (elf::read(path), head(path)) {
        (Ok(Some(_)), _) => format!("the native program `{}`", path.display()),
        (_, Some(text)) => {
            format!("the script `{}` (`{}`)", path.display(), ui::printable(text.lines().next().unwrap_or_default()))
        }
        _ => format!("`{}`, neither a native program nor a script", path.display()),
    }
}

#[cfg(test)]
mod tests;
