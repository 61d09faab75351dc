//! The host's Codex: from what `which codex` finds to a package that can be mounted.
//!
//! What the user has is usually a launcher (a Node or shell script, a shim); what runs is a native program that needs its
//! siblings. [`resolve`] finds the program behind the launcher and checks it; [`Codex::snapshot`] copies it with its
//! siblings to where no update of the host reaches it.

mod elf;
pub(crate) mod home;
mod launcher;
pub(crate) mod login;
mod package;
pub mod pinned;
mod snapshot;
mod version;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub(crate) use super::elf::fuzz as elf;
    pub(crate) use super::home::fuzz as config;
    pub(crate) use super::launcher::fuzz as launcher;
    pub(crate) use super::login::fuzz as login;
    pub(crate) use super::version::fuzz as version;
}

pub(crate) use launcher::find;
pub(crate) use snapshot::prune;

use crate::context::Context;
use crate::error::host;
use crate::exposed::Exposed;
use crate::spec::words::display;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// How Codex was installed on this host, told by where its native program lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Layout {
    /// npm, whoever manages Node (nvm, fnm, mise).
    Npm,
    Pnpm,
    Bun,
    /// The install script of Codex.
    Standalone,
    #[value(name = "Homebrew")]
    Homebrew,
    /// An unpacked release package, with `codex-package.json`.
    Package,
    /// A single program.
    #[value(name = "single binary")]
    Binary,
}

display!(Layout);

/// The host's Codex, resolved and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codex {
    /// What the user has: what `which codex` says, or `--codex`.
    pub(crate) launcher: PathBuf,
    /// The native program on the host that the launcher runs, all links followed.
    pub(crate) binary: PathBuf,
    pub(crate) layout: Layout,
    /// What it answers to `--version`, such as `0.169.0`.
    pub(crate) version: String,
    /// The directory of its package on the host; `None` for a single program.
    pub(crate) root: Option<PathBuf>,
    /// Whether the package has `codex-code-mode-host`, or this version does not need it.
    pub(crate) helper: bool,
    /// A copy to be mounted read-only: `bin/codex`, and what the host has of `bin/codex-code-mode-host`,
    /// `codex-path/rg`, `codex-resources/` and `codex-package.json`. The host does not change it.
    pub(crate) package: PathBuf,
    /// What the package is copied from.
    pub(crate) items: Vec<package::Packaged>,
    /// What the user should know, as whole lines without a final stop.
    pub(crate) notes: Vec<String>,
}

const PROGRAM: &str = "the program";

/// Finds the host's Codex (`--codex`, else `PATH`), finds the native program behind its launcher and checks it. Nothing
/// is copied: `package` is where the copy will lie.
///
/// The version of a program that has not changed is not asked for again: then nothing is started, except a launcher
/// whose program is known only once it is started (volta, mise, asdf: which Codex they run depends on more than their
/// own file).
///
/// # Errors
/// Exit code 3 where there is no Codex, where the program behind the launcher cannot be found, and where the program is
/// damaged, is for another machine, needs a loader that the image does not have, or does not answer as Codex; 2 where
/// `--codex` names no file.
pub(crate) fn resolve(cx: &Context, explicit: Option<&Path>, exposed: &Exposed) -> Result<Codex> {
    exposed.refuse_written(PROGRAM, &launcher::find(cx, explicit)?)?;
    let codex = resolve_by(cx, explicit, &|binary| {
        exposed.refuse_written(PROGRAM, binary)?;
        version::ask(binary)
    })?;
    // Also where the version was remembered.
    exposed.refuse_written(PROGRAM, &codex.binary)?;
    Ok(codex)
}

fn resolve_by(cx: &Context, explicit: Option<&Path>, ask: launcher::Ask) -> Result<Codex> {
    let launcher = launcher::find(cx, explicit)?;
    let ask = |binary: &Path| version::remembered(cx, binary, ask);
    let binary = launcher::native(cx, &launcher, &ask)?;
    let mut notes = check(&binary)?;
    let version = ask(&binary)?;
    let (items, left_out) = package::items(&binary)?;
    notes.extend(left_out);
    let has_helper = items.iter().any(|item| item.to.ends_with("codex-code-mode-host"));
    let helper = has_helper || !needs_code_mode_host(&version);
    if !helper {
        notes.push(format!(
            "there is no `codex-code-mode-host` beside `{}`: current models get no tools without it; install Codex by \
             npm, or put the one of the same release there",
            binary.display()
        ));
    }
    let package = snapshot::place(cx, &version, &items)?;
    for path in [&launcher, &binary, &package] {
        utf8(path)?;
    }
    let (layout, root) = (layout(&binary), package::root(&binary).map(Path::to_path_buf));
    Ok(Codex { launcher, binary, layout, version, root, helper, package, items, notes })
}

impl Codex {
    /// Copies the program with its siblings to `package`, unless the copy is there and whole.
    ///
    /// # Errors
    /// The state folder cannot be written, Codex changed on the host since it was found, or see [`Codex::refuse_copy`].
    pub(crate) fn snapshot(&self, cx: &Context, exposed: &Exposed) -> Result<()> {
        self.refuse_copy(exposed)?;
        snapshot::take(cx, &self.version, &self.items).map(drop)
    }

    /// Refuses a copy of what an agent can have written. Where there is a copy, nothing is read but its items' metadata.
    ///
    /// # Errors
    /// A part of the package lies in a directory that a sandbox can write, and is not copied yet.
    pub(crate) fn refuse_copy(&self, exposed: &Exposed) -> Result<()> {
        if !snapshot::is_whole(&self.package, &self.items) {
            self.items.iter().try_for_each(|item| exposed.refuse_written(PROGRAM, &item.from))?;
        }
        Ok(())
    }
}

/// Whether the image can run a program; a note where that depends on the image's libraries.
fn check(binary: &Path) -> Result<Vec<String>> {
    let name = binary.display();
    let elf = launcher::read_elf(binary)?
        .ok_or_else(|| host(format!("`{name}` is not a native program")).hint("install Codex again"))?;
    elf.for_this_machine()
        .map_err(|what| host(format!("`{name}` is {what}")).hint("install Codex for this machine"))?;
    elf.loads_in_image().map_err(|loader| {
        host(format!("`{name}` needs `{loader}`, which the image does not have"))
            .hint("give a static Codex with `--codex PATH`, such as npm's or the one of its release page")
    })?;
    Ok(Vec::from_iter(elf.interpreter.map(|_| {
        format!("`{name}` is dynamically linked: it runs only if the image has its libraries, in versions as new")
    })))
}

/// Whether this version cannot run tools without its helper. Not needed up to 0.143.
fn needs_code_mode_host(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    // 0.0.0 is what one gets who builds it from source: the newest there is.
    !matches!((numbers.next(), numbers.next()), (Some(Ok(0)), Some(Ok(1..144))))
}

fn layout(binary: &Path) -> Layout {
    let parts: Vec<&str> = binary.iter().filter_map(|part| part.to_str()).collect();
    let has = |names: &[&str]| parts.windows(names.len()).any(|window| window == names);
    if has(&["packages", "standalone"]) {
        Layout::Standalone
    } else if has(&["Caskroom"]) || has(&["Cellar"]) {
        Layout::Homebrew
    } else if has(&["install", "global", "node_modules"]) {
        Layout::Bun
    } else if has(&[".pnpm"]) || has(&["links", "@openai"]) {
        Layout::Pnpm
    } else if has(&["node_modules"]) {
        Layout::Npm
    } else if package::root(binary).is_some() {
        Layout::Package
    } else {
        Layout::Binary
    }
}

/// A path as text. Compose, Docker and our own messages need it; other paths are refused.
fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        host(format!("the path `{}` is not UTF-8", path.display()))
            .hint("give a Codex in another place with `--codex PATH`")
            .into()
    })
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
