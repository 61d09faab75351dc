//! Git directories in the workspace besides its own: submodules, nested repositories, linked worktrees, bare repositories,
//! and the files of the workspace that git on the host runs or obeys because the user's configuration names them.
//!
//! Git executes what such a directory names, also where it is run at the top of the workspace: `git status` runs git in
//! each submodule. So those that are there before an agent runs are mounted read-only ([`protect`]), and those that appear
//! later are set aside ([`look`]): renamed to a name that git does not know, and never deleted. What was there is kept in
//! the state folder, out of the agent's reach.

mod obeyed;
mod places;
mod state;
mod text;
mod walk;

use super::Repository;
use super::layout::DOT_GIT;
use crate::beneath::Beneath;
use crate::error::{failed, usage};
use crate::spec::inside::WORKSPACE;
use crate::spec::{Mount, Role};
use crate::ui::printable;
use anyhow::{Context as _, Result};
use obeyed::Trusted;
use places::{Kind, Place, lookup};
use state::State;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use walk::{Bound, Walk};

/// How the names of what was set aside go on.
const SUFFIX: &str = "set-aside";

/// The most directories and files that are mounted read-only one by one.
const MOST_MOUNTS: usize = 200;

/// The most of them that are named in one line.
const MOST_NAMED: usize = 20;

/// What was seen and done.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What the user should know.
    pub(crate) notes: Vec<String>,
    /// What was set aside, or could not be; what changed that git on the host obeys.
    pub(crate) warnings: Vec<String>,
}

/// The mounts by which the places of the last [`protect`] are read-only inside. Reads one small file.
///
/// # Errors
/// The state cannot be read.
pub(crate) fn mounts(workspace: &Path, state: &Path) -> Result<Vec<Mount>> {
    Ok(State::read(state)?.map_or_else(Vec::new, |state| mounts_of(workspace, &state.places)))
}

fn mounts_of(workspace: &Path, places: &[Place]) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for place in places.iter().filter(|place| place.path != Path::new(DOT_GIT)) {
        let source = workspace.join(&place.path);
        // What lies in a read-only place is read-only already.
        if !mounts.iter().any(|outer| source.starts_with(&outer.source)) {
            let target = format!("{WORKSPACE}/{}", place.path.display());
            let role = Role::GitReadOnly(place.path.display().to_string());
            mounts.push(Mount { role, source, target, read_only: true });
        }
    }
    mounts
}

/// What a start of the sandbox would mount read-only, for a dry run: nothing is changed.
///
/// # Errors
/// A place that cannot be protected.
pub(crate) fn preview(workspace: &Path, repo: Option<&Repository>) -> Result<Vec<Mount>> {
    let found = Finder::new(workspace, repo, None)?.find(&Bound::USUAL)?;
    refuse_unprotected(workspace, &found.places)?;
    Ok(mounts_of(workspace, &found.places))
}

/// To be called before a container starts, while no agent runs. Where an agent may have run since the last look, what is
/// new is set aside first. Everything else that is there is then the user's own: it is kept as known, and is to be mounted
/// read-only ([`mounts`]).
///
/// # Errors
/// A place that cannot be protected, or the state cannot be written.
pub(crate) fn protect(workspace: &Path, repo: Option<&Repository>, state: &Path) -> Result<Seen> {
    let last = State::read(state)?;
    let known = last.as_ref().filter(|last| !last.quiet);
    let mut found = Finder::new(workspace, repo, known)?.find(&Bound::USUAL)?;
    refuse_unprotected(workspace, &found.places)?;
    let said = last.map_or_else(BTreeSet::new, |last| last.unseen);
    let now = State { quiet: true, unseen: found.unseen.iter().cloned().collect(), ..State::of(&found) };
    now.write(state)?;
    found.notes.extend(found.unseen.iter().filter(|line| !said.contains(*line)).cloned());
    found.notes.extend(read_only(&mounts_of(workspace, &now.places)));
    Ok(found.into())
}

/// The line that says what is read-only inside.
fn read_only(mounts: &[Mount]) -> Option<String> {
    let paths = mounts.iter().map(|mount| format!("`{}`", mount.target)).take(MOST_NAMED);
    let more = mounts.len().checked_sub(MOST_NAMED).filter(|more| *more > 0);
    let more = more.map_or_else(String::new, |more| format!(" and {more} more"));
    let named = paths.collect::<Vec<_>>().join(", ");
    (!mounts.is_empty())
        .then(|| format!("git: read-only inside, because git on this host runs or obeys what is in it: {named}{more}"))
}

/// Compares the workspace with what was known when the container was started, and sets aside what is new. `quiet` says
/// whether nothing but the container's own programs is alive now. Nothing is done where no sandbox was started.
///
/// # Errors
/// The state cannot be read or written.
pub(crate) fn look(workspace: &Path, repo: Option<&Repository>, state: &Path, quiet: bool) -> Result<Seen> {
    let Some(last) = State::read(state)? else { return Ok(Seen::default()) };
    let mut found = Finder::new(workspace, repo, Some(&last))?.find(&Bound::USUAL)?;
    let gone = last.places.iter().filter(|place| !found.places.iter().any(|there| there.path == place.path));
    for place in gone {
        let moved = found.places.iter().find(|there| there.same(place));
        let to = moved.map_or_else(String::new, |there| format!(": it is now `{}`", shown(&there.path)));
        found.notes.push(format!(
            "git: `{}` is no longer there{to}; `cargo xtask down`, and the next start protects what is there",
            shown(&place.path)
        ));
    }
    found.warnings.extend(found.unseen.iter().filter(|line| !last.unseen.contains(*line)).map(|line| {
        format!("{line}: an agent can have made git directories there, do not run git in it before you looked")
    }));
    // What is known stays what it was at the start: only that is mounted read-only.
    let now = State {
        places: last.places.clone(),
        attributes: found.attributes.clone(),
        modules: found.modules.clone(),
        quiet,
        unseen: last.unseen.iter().chain(&found.unseen).cloned().collect(),
        ..last
    };
    now.write(state)?;
    Ok(found.into())
}

/// Whether an agent can have run since the last look.
///
/// # Errors
/// The state cannot be read.
pub(crate) fn is_quiet(state: &Path) -> Result<bool> {
    Ok(State::read(state)?.is_none_or(|state| state.quiet))
}

/// To be called before an agent is let in: from now on the last look says nothing of what is there.
///
/// # Errors
/// The state cannot be written.
pub(crate) fn note_entered(state: &Path) -> Result<()> {
    match State::read(state)? {
        Some(known) if known.quiet => State { quiet: false, ..known }.write(state),
        Some(_) | None => Ok(()),
    }
}

impl From<Found> for Seen {
    fn from(found: Found) -> Seen {
        Seen { notes: found.notes, warnings: found.warnings }
    }
}

/// A place that cannot be mounted read-only is refused: what looks like git and is not understood is not passed over.
fn refuse_unprotected(workspace: &Path, places: &[Place]) -> Result<()> {
    for place in places {
        let path = workspace.join(&place.path);
        let why = match place.kind {
            Kind::Directory | Kind::File | Kind::Bare => {
                if path.to_str().is_some_and(|path| !path.chars().any(char::is_control)) {
                    continue;
                }
                "has a name that cannot be mounted"
            }
            Kind::Link => "is or leads through a symlink",
            Kind::Other => "is neither a directory nor a file",
        };
        let path = printable(&path.to_string_lossy());
        return Err(failed(format!("`{path}` {why}, and git on this host may run what it leads to"))
            .hint("put the real directory in its place, or move it out of the workspace")
            .into());
    }
    let count = mounts_of(workspace, places).len();
    if count > MOST_MOUNTS {
        return Err(usage(format!(
            "`{}` has {count} nested git directories, and at most {MOST_MOUNTS} can be protected one by one",
            workspace.display()
        ))
        .hint("choose a smaller workspace with `--workspace DIR`")
        .into());
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// What one look found.
#[derive(Debug, Default)]
struct Found {
    /// What is there, without what was set aside; outer ones before those that lie in them.
    places: Vec<Place>,
    attributes: text::Attributes,
    modules: text::Modules,
    /// What was not looked at, a line each.
    unseen: Vec<String>,
    notes: Vec<String>,
    warnings: Vec<String>,
}

/// Looks at everything once.
struct Finder<'a> {
    root: Beneath,
    repo: Option<&'a Repository>,
    /// What was there before the agent ran; `None` where all that is there is the user's own.
    known: Option<&'a State>,
    found: Found,
}

impl<'a> Finder<'a> {
    fn new(workspace: &Path, repo: Option<&'a Repository>, known: Option<&'a State>) -> Result<Finder<'a>> {
        Ok(Finder { root: Beneath::root(workspace)?, repo, known, found: Found::default() })
    }

    fn find(mut self, bound: &Bound) -> Result<Found> {
        if let Some(repo) = self.repo {
            self.obeyed(&Trusted::top(repo))?;
        }
        let submodules = self.repo.map_or(Ok(Vec::new()), obeyed::submodules)?;
        // Where git at the top of the workspace goes is looked at first: no number of other files keeps it unseen.
        let mut first: Vec<PathBuf> = submodules;
        let known = self.known.iter().flat_map(|known| &known.places);
        first.extend(known.filter_map(|place| place.path.parent().map(Path::to_path_buf)));
        let root = self.root.open_dir(".")?.context("the workspace is gone")?;
        let mut walk = Walk::new(&root, bound);
        walk.opens_closed = self.known.is_some();
        walk.run(first, &mut |met| self.meet(met));
        let nested = self.found.places.iter().filter_map(|place| Trusted::nested(&self.root, place));
        for repo in nested.collect::<Vec<_>>() {
            self.obeyed(&repo)?;
        }
        let before = self.known.map(|known| (&known.attributes, &known.modules));
        self.found.modules = text::modules(&self.root);
        if let Some((attributes, modules)) = before {
            let lines = text::new_modules(modules, &self.found.modules);
            self.found.warnings.extend(lines);
            let lines = text::new_filters(attributes, &self.found.attributes, self.repo)?;
            self.found.warnings.extend(lines);
        }
        self.found.places.sort_by(|a, b| a.path.cmp(&b.path));
        self.found.places.dedup_by(|a, b| a.path == b.path);
        Ok(self.found)
    }

    /// What the configuration of a repository of the user's makes git run or obey in the workspace.
    fn obeyed(&mut self, repo: &Trusted) -> Result<()> {
        for path in obeyed::paths(self.root.path(), repo)? {
            self.named(&path);
        }
        Ok(())
    }

    fn named(&mut self, path: &Path) {
        match lookup(&self.root, path) {
            Ok(None) => {}
            Ok(Some((dir, name, place))) => {
                self.judge(&dir, &name, place);
            }
            Err(err) => self.found.warnings.push(printable(&format!("`{}`: {err:#}", path.display()))),
        }
    }

    /// Returns the name below which the walk goes on, where it does.
    fn meet(&mut self, met: walk::Met<'_>) -> Option<OsString> {
        match met {
            walk::Met::Git { dir, name, place } => self.judge(dir, name, place),
            walk::Met::Attributes { path, text } => {
                let named = text::drivers(&text);
                if !named.is_empty() && self.found.attributes.len() < text::MOST_FILES {
                    self.found.attributes.insert(path.to_string_lossy().into_owned(), named);
                }
                None
            }
            walk::Met::Unseen(line) => {
                self.found.unseen.push(line);
                None
            }
        }
    }

    /// Keeps what was there before, and sets aside what was not. What was set aside is walked like any directory.
    fn judge(&mut self, dir: &Beneath, name: &OsString, place: Place) -> Option<OsString> {
        let place = place.read(dir, name);
        let is_known = |known: &State| known.places.iter().any(|there| there.may_stay(&place));
        if self.known.is_none_or(is_known) {
            self.found.places.push(place);
            return None;
        }
        let path = shown(&place.path);
        match set_aside(dir, name) {
            Ok(to) => {
                let new = shown(&place.path.with_file_name(&to));
                let new = if place.kind == Kind::Bare { shown(&place.path.join(&to)) } else { new };
                self.found.warnings.push(format!(
                    "`{path}` was not there when the sandbox was started: it is set aside as `{new}`, because git on this \
                     host would run what it names; if you made it yourself, see docs/design/nested-git.md"
                ));
                Some(to)
            }
            Err(err) => {
                let err = printable(&format!("{err:#}"));
                self.found.warnings.push(format!("`{path}` is new and could not be set aside, run no git here: {err}"));
                None
            }
        }
    }
}

/// Renames it, and in a directory its `HEAD` too, because git would also use it from within, whatever its name.
fn set_aside(dir: &Beneath, name: &OsString) -> Result<OsString> {
    let to = dir.rename_aside(name, SUFFIX)?;
    if let Ok(Some(inner)) = dir.find_dir(&to)
        && inner.stat("HEAD").is_ok()
    {
        inner.rename_aside("HEAD".as_ref(), SUFFIX)?;
    }
    Ok(to)
}

#[cfg(test)]
mod tests;
