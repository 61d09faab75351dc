//! Git directories in the workspace besides its own: submodules, nested repositories, linked worktrees, bare repositories,
//! and the files of the workspace that git on the host runs or obeys because the user's configuration names them.
//!
//! Git executes what such a directory names, also where it is run at the top of the workspace: `git status` runs git in
//! each submodule. So those that are there before an agent runs are mounted read-only ([`protect`]), and those that appear
//! later are set aside ([`look`]): renamed to a name that git does not know, and never deleted. What was there is kept in
//! the state folder, out of the agent's reach. The same walk takes the setuid and setgid bits from what an agent can have
//! written.

mod bits;
mod command;
mod find;
mod found;
mod interpreter;
mod judge;
mod keys;
mod linked;
mod obeyed;
mod outward;
mod places;
mod settings;
mod state;
mod text;
mod told;
mod walk;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub(crate) use super::command::fuzz as command;
    pub(crate) use super::interpreter::fuzz as interpreter;
    pub(crate) use super::outward::fuzz as link;
    pub(crate) use super::settings::fuzz as settings;
    pub(crate) use super::state::fuzz as state;
    pub(crate) use super::text::fuzz as attributes;
}

use super::layout::DOT_GIT;
use super::{Environment, Repository, borrowed};
use crate::error::{Failure, failed, usage};
use crate::exposed::Suspect;
use crate::obeyed::Look;
use crate::spec::inside::WORKSPACE;
use crate::spec::{Mount, Role};
use anyhow::Result;
use find::{Finder, Suspected};
use found::Found;
use linked::Led;
use places::{Place, PlaceKind, shown};
use state::{Unresolved, WatchState};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
pub(crate) use told::{Told, Unfinished};
use walk::Bound;

/// The most directories and files that are mounted read-only one by one.
const MOST_MOUNTS: usize = 200;

/// The most of them that are named in one line.
const MOST_NAMED: usize = 20;

/// The mounts by which the places of the last [`protect`] are read-only inside. Reads one small file.
///
/// # Errors
/// The state cannot be read.
pub(crate) fn mounts(workspace: &Path, state: &Path) -> Result<Vec<Mount>> {
    Ok(WatchState::read(state)?.map_or_else(Vec::new, |state| mounts_of(workspace, &state.places)))
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
pub(crate) fn preview(workspace: &Path, repo: Option<&Repository>, env: &Environment) -> Result<Vec<Mount>> {
    let found = Finder::new(workspace, repo, env, None)?.find(&Bound::USUAL).map_err(|cut| cut.why)?;
    refuse_dangling(workspace, &found.dangling)?;
    refuse_writable(workspace, repo, &found)?;
    Ok(mounts_of(workspace, &found.places))
}

/// One visit to a workspace: what is looked at, with which git, and what is known of it.
pub(crate) struct Visit<'a> {
    workspace: &'a Path,
    repository: Option<&'a Repository>,
    environment: &'a Environment,
    /// Where the last look is kept.
    state: &'a Path,
    /// The look at what other tools obey, where one is wanted.
    obeyed: Option<Look>,
    /// Whether the user wants it to end.
    stop: &'a dyn Fn() -> bool,
    bound: Bound,
}

impl<'a> Visit<'a> {
    pub(crate) fn new(
        workspace: &'a Path,
        repository: Option<&'a Repository>,
        environment: &'a Environment,
        state: &'a Path,
        stop: &'a dyn Fn() -> bool,
    ) -> Visit<'a> {
        Visit { workspace, repository, environment, state, obeyed: None, stop, bound: Bound::USUAL }
    }

    /// The same walk serves a look at what other tools obey.
    pub(crate) fn looking(self, obeyed: Look) -> Visit<'a> {
        Visit { obeyed: Some(obeyed), ..self }
    }
}

/// Why what is there may be an agent's, besides what the last look says.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    pub(crate) suspect: Suspect,
    /// The kept states of the sandboxes that could write there, by [`Suspect::given_as`].
    pub(crate) states: Vec<PathBuf>,
}

impl Doubt {
    /// With what those states say was there before an agent ran.
    fn read(self, workspace: &Path, own: Option<&WatchState>) -> Result<Suspected> {
        let mut recorded: Vec<Place> = own.map_or_else(Vec::new, |own| own.places.clone());
        let mut led_out = own.map_or_else(BTreeMap::new, |own| own.led_out.clone());
        let mut guarded = Vec::new();
        for ((given, is_this), state) in self.suspect.given_as.iter().zip(&self.states) {
            let (places, links) =
                WatchState::read(state)?.map(|state| (state.places, state.led_out)).unwrap_or_default();
            let below = |path: PathBuf| match is_this {
                true => path,
                false => {
                    let path = given.join(path);
                    path.strip_prefix(workspace).map_or(path.clone(), Path::to_path_buf)
                }
            };
            let at = |place: Place| Place { path: below(place.path), ..place };
            led_out.extend(links.into_iter().map(|(path, text)| (below(path), text)));
            guarded.extend(places.iter().map(|place| given.join(&place.path)));
            recorded.extend(places.into_iter().map(at));
        }
        Ok(Suspected { ground: self.suspect, recorded, led_out, guarded })
    }
}

/// To be called before a container starts, while no agent runs. Where an agent may have run since the last look, what is
/// new is set aside and setuid bits are taken away first. Everything else that is there is then the user's own: it is kept
/// as known, and is to be mounted read-only ([`mounts`]).
///
/// # Errors
/// A place that cannot be protected, a new git directory that cannot be set aside, or the state cannot be written.
pub(crate) fn protect(visit: Visit<'_>, doubt: Doubt) -> Result<Told, Unfinished> {
    let Visit { workspace, repository: repo, environment: env, state, obeyed, stop, bound } = visit;
    let last = WatchState::read(state)?;
    // What a container that is gone ran after the last look, nobody saw: only a look after its end says that no more came.
    let ended = |last: &&WatchState| last.ended;
    let (quiet, busy) = (last.as_ref().filter(ended), last.as_ref().filter(|last| !ended(last)));
    let suspected = doubt.read(workspace, quiet)?;
    let finder = Finder::new(workspace, repo, env, busy)?.doubting(quiet).suspecting(&suspected);
    let mut found = finder.looking(obeyed).stopping(stop).find(&bound)?;
    // Where it is refused, the last state stays as it is, so that the next start does not take it for the user's either.
    let refused = refuse_dangling(workspace, &found.dangling)
        .and_then(|()| refuse_new(&found))
        .and_then(|()| refuse_writable(workspace, repo, &found));
    if let Err(why) = refused {
        return Err(found.unfinished(why));
    }
    for left in &found.unresolved {
        if left.after_an_agent { &mut found.warnings } else { &mut found.notes }.push(left.told());
    }
    let now = WatchState { owed: last.as_ref().is_some_and(|last| last.owed), ..found.state() };
    if let Err(why) = now.write(state) {
        return Err(found.unfinished(why));
    }
    found.notes.extend(read_only(&mounts_of(workspace, &now.places)));
    found.notes.extend(std::mem::take(&mut found.unknown).into_iter().take(MOST_NAMED));
    found.warnings.extend(found.relative_search.iter().map(|part| {
        let part = crate::text::name(part);
        format!(
            "git: PATH has the relative part `{part}`: git that is run on this host in the workspace takes programs from \
             there, and an agent can write them; take it out of PATH"
        )
    }));
    Ok(found.into())
}

/// What an agent could write all the same where it was mounted read-only. A dry run asks the same as a start.
fn refuse_writable(workspace: &Path, repo: Option<&Repository>, found: &Found) -> Result<()> {
    refuse_unprotected(workspace, found)?;
    refuse_second_names(found)?;
    refuse_written_objects(workspace, repo, &found.places)
}

/// A new git directory that could not be set aside: a container that starts beside it would make it look accepted.
fn refuse_new(found: &Found) -> Result<()> {
    let Some(left) = found.unresolved.iter().find(|left| left.place.is_some()) else { return Ok(()) };
    Err(failed(left.line.clone()).hint("look at it, then remove it or move it out of the workspace yourself").into())
}

/// What the last look could not look at or set aside, for an entry before which nothing is looked at. Reads one small file.
///
/// # Errors
/// The state cannot be read.
pub(crate) fn unresolved(state: &Path) -> Result<Told> {
    let last = WatchState::read(state)?.map_or_else(Vec::new, |last| last.unresolved);
    Ok(Told { warnings: last.iter().map(Unresolved::told).collect(), ..Told::default() })
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

/// Compares the workspace with what was known when the container was started, sets aside what is new, and takes setuid
/// bits away. `now` says whether nothing but the container's own init is alive. Nothing is done where no sandbox was started.
///
/// # Errors
/// The state cannot be read or written, or the user has ended it.
pub(crate) fn look(visit: Visit<'_>, now: Now) -> Result<Told, Unfinished> {
    let Visit { workspace, repository, environment, state, obeyed, stop, bound } = visit;
    let Some(last) = WatchState::read(state)? else { return Ok(Told::default()) };
    let finder = Finder::new(workspace, repository, environment, Some(&last))?;
    let mut found = finder.looking(obeyed).stopping(stop).find(&bound)?;
    let gone = last.places.iter().filter(|place| !found.places.iter().any(|there| there.path == place.path));
    for place in gone {
        let moved = found.places.iter().find(|there| there.same(place));
        let to = moved.map_or_else(String::new, |there| format!(": it is now `{}`", shown(&there.path)));
        found.notes.push(format!(
            "git: `{}` is no longer there{to}; `cargo xtask down`, and the next start protects what is there",
            shown(&place.path)
        ));
    }
    found.warnings.extend(found.unresolved.iter().map(Unresolved::told));
    found.warnings.extend(found.dangling.iter().map(|led| led.dangles(workspace)));
    found.warnings.extend(found.second_names.iter().map(|why| format!("git on this host runs or obeys it: {why}")));
    // What is known stays what it was at the start: only that is mounted read-only.
    let state_now = WatchState {
        places: last.places.clone(),
        attributes: found.attributes.clone(),
        modules: found.modules.clone(),
        led_out: found.led_out.clone(),
        quiet: matches!(now, Now::Quiet | Now::Ended),
        ended: now == Now::Ended,
        owed: last.owed,
        unresolved: found.unresolved.clone(),
    };
    match state_now.write(state) {
        Ok(()) => Ok(found.into()),
        Err(why) => Err(found.unfinished(why)),
    }
}

/// Who can write when a look begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    /// An agent can be alive.
    Busy,
    /// Nothing but the container's own init is alive.
    Quiet,
    /// No container is left.
    Ended,
}

/// Whether nothing of an agent's can have run since the last look, and since the user was told what tools obey.
///
/// # Errors
/// The state cannot be read.
pub(crate) fn is_quiet(state: &Path) -> Result<bool> {
    Ok(WatchState::read(state)?.is_none_or(|state| state.quiet && !state.owed))
}

/// Whether there was no container any more at the last look, none was started since, and the user was told what tools obey.
///
/// # Errors
/// The state cannot be read.
pub(crate) fn has_ended(state: &Path) -> Result<bool> {
    Ok(WatchState::read(state)?.is_none_or(|state| state.ended && !state.owed))
}

/// To be called when the user was told what changed of what tools obey, and what is undecided was written down.
///
/// # Errors
/// The state cannot be read or written.
pub(crate) fn note_told(state: &Path) -> Result<()> {
    match WatchState::read(state)? {
        Some(known) if known.owed => WatchState { owed: false, ..known }.write(state),
        Some(_) | None => Ok(()),
    }
}

/// To be called before a container is started or an agent is let in: from now on the last look says nothing of what is there.
///
/// # Errors
/// The state cannot be written.
pub(crate) fn note_entered(state: &Path) -> Result<()> {
    match WatchState::read(state)? {
        Some(known) if known.quiet || known.ended || !known.owed => {
            WatchState { quiet: false, ended: false, owed: true, ..known }.write(state)
        }
        Some(_) | None => Ok(()),
    }
}

/// To be called where a container could not be started and is gone: nobody was let in since the last look.
///
/// # Errors
/// The state cannot be written.
pub(crate) fn note_not_started(state: &Path) -> Result<()> {
    match WatchState::read(state)? {
        Some(known) => WatchState { quiet: true, ended: true, owed: false, ..known }.write(state),
        None => Ok(()),
    }
}

/// What is not there cannot be mounted read-only, and git on the host would run it as soon as the agent has made it.
fn refuse_dangling(workspace: &Path, dangling: &[Led]) -> Result<()> {
    let refuse = |led: &Led| {
        let hint = "remove the symlink, or make what it leads to before the sandbox is started";
        Err(failed(led.dangles(workspace)).hint(hint).into())
    };
    dangling.first().map_or(Ok(()), refuse)
}

/// A file that an agent can write under another name is read-only nowhere.
fn refuse_second_names(found: &Found) -> Result<()> {
    let Some(why) = found.second_names.first() else { return Ok(()) };
    let more = found.second_names.len() - 1;
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let message = format!("git on this host runs or obeys what an agent could write: {}{more}", why.message);
    Err(Failure { message, ..why.clone() }.into())
}

/// A place that cannot be mounted read-only is refused: what looks like git and is not understood is not passed over.
fn refuse_unprotected(workspace: &Path, found: &Found) -> Result<()> {
    for place in &found.places {
        let path = workspace.join(&place.path);
        let why = match place.kind {
            PlaceKind::Directory | PlaceKind::File | PlaceKind::Bare => {
                if path.to_str().is_some_and(|path| !path.chars().any(char::is_control)) {
                    continue;
                }
                "has a name that cannot be mounted"
            }
            PlaceKind::Link => {
                if let Some(why) = leads_out(workspace, &path, found.said_of(&place.path)) {
                    return Err(why.into());
                }
                "is or leads through a symlink"
            }
            PlaceKind::Other => "is neither a directory nor a file",
        };
        let path = crate::text::path(&path);
        return Err(failed(format!("`{path}` {why}, and git on this host may run what it leads to"))
            .hint("put the real directory in its place, or move it out of the workspace")
            .into());
    }
    let count = mounts_of(workspace, &found.places).len();
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

/// A program in the workspace that is a symlink to one outside, such as the `python` of a virtual environment: the program
/// is out of the agent's reach, and the symlink is not.
fn leads_out(workspace: &Path, link: &Path, said: Option<&str>) -> Option<Failure> {
    let real = link.canonicalize().ok().filter(|real| !real.starts_with(workspace) && real.is_file())?;
    let (said, real) = (said?, real.to_string_lossy().into_owned());
    let shown = crate::text::path(link);
    let why = format!(
        "{said} makes git on this host run or obey `{shown}`, a symlink to `{}`: an agent can put another in its place",
        crate::text::name(&real)
    );
    let word = crate::text::word(&real);
    Some(
        failed(why)
            .hint(format!(
                "let that name the program itself, as `{word}`, or one that is installed outside of the workspace"
            ))
            .hint(
                "a tool that needs the packages of a virtual environment can get one of its own outside, such as by \
                 `uv tool install NAME` or `pipx install NAME`, and is then named by that path",
            ),
    )
}

/// A git directory that reads objects from where an agent can write is refused: that it is read-only itself is not enough.
fn refuse_written_objects(workspace: &Path, repo: Option<&Repository>, places: &[Place]) -> Result<()> {
    let is_git = |place: &&Place| place.kind == PlaceKind::Bare || place.path.ends_with(DOT_GIT);
    let at = |place: &Place| workspace.join(&place.path);
    // What the workspace's own `.git` is, the airlock has seen already.
    let nested = places.iter().filter(is_git).filter(|place| repo.is_none() || place.path != Path::new(DOT_GIT));
    let git_dirs: Vec<PathBuf> = nested.filter_map(|place| borrowed::led_to(&at(place))).collect();
    borrowed::refuse_written(workspace, repo, &git_dirs, places.iter().map(at).collect())
}

#[cfg(test)]
mod tests;
