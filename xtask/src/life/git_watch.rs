//! When the workspace is looked through for git directories: before a container starts, before an entry where an agent
//! can have run since the last look, at the end of a session, and when the sandbox is removed.

use super::changes::{self, Decision, When};
use super::gather::{Gathered, find};
use super::ground::Ground;
use super::locks::free_lock;
use super::reopen::reopen;
use crate::beneath::Born;
use crate::context::Context;
use crate::engine::alive::Alive;
use crate::engine::compose::container_name;
use crate::error::failed;
use crate::exposed::Exposed;
use crate::git::watch::{self, Doubt, Now, Visit};
use crate::git::{self, Environment, Repository};
use crate::obeyed::{Look, Undecided};
use crate::spec::Mount;
use crate::spec::places::{self, Places};
use crate::ui;
use anyhow::Result;
use std::path::{Path, PathBuf};

impl Ground {
    /// A visit with a look at what other tools obey. `quiet` says that nothing of an agent's can write meanwhile.
    fn visit<'a>(&'a self, quiet: bool, since: Option<Born>, stop: &'a dyn Fn() -> bool) -> Visit<'a> {
        let places = &self.places;
        let visit = Visit::new(&self.workspace, self.repository.as_ref(), &self.environment, &places.git_state, stop);
        visit.looking(Look::begin(&places.obeyed, quiet).since(since))
    }

    /// All mounts of the airlock, with those that are read-only since the container was started.
    pub(super) fn git_mounts(repository: Option<&Repository>, workspace: &Path, places: &Places) -> Result<Vec<Mount>> {
        let read_only = watch::mounts(workspace, &places.git_state)?;
        Ok([airlock(repository, places)?, read_only].concat())
    }

    /// For a dry run: what a start would find now.
    ///
    /// # Errors
    /// A git directory in the workspace cannot be protected.
    pub(super) fn preview_git(&mut self) -> Result<()> {
        let repository = self.repository.as_ref();
        let read_only = watch::preview(&self.workspace, repository, &self.environment)?;
        self.surroundings.git = [airlock(repository, &self.places)?, read_only].concat();
        Ok(())
    }
}

impl Gathered {
    /// Before a container starts, while no agent runs: what is there is made read-only inside, and what an agent may have
    /// made since the last look is set aside. Gives what was seen of what other tools obey.
    ///
    /// # Errors
    /// A git directory cannot be protected, or the workspace's own repository is not what it was a moment ago.
    pub(super) fn protect_git(&mut self, cx: &Context, stop: &dyn Fn() -> bool) -> Result<(Option<Look>, When)> {
        let ground = &mut self.ground;
        let state = &ground.places.git_state;
        let when = if watch::has_ended(state)? { When::Settled } else { When::Entry };
        let (seen, told) = say(watch::protect(ground.visit(true, None, stop), doubt(cx, ground)?));
        told?;
        if git::detect(&ground.workspace)? != ground.repository {
            return Err(failed(format!("the git repository of `{}` has just changed", ground.workspace.display()))
                .hint("run this again")
                .into());
        }
        ground.surroundings.git = Ground::git_mounts(ground.repository.as_ref(), &ground.workspace, &ground.places)?;
        Ok((seen, when))
    }

    /// Before an entry into a container that runs already. Where nothing but the container's own init was alive since the
    /// last look, and the last session was seen to end, nothing is walked: then what the last look could not resolve is
    /// said again.
    ///
    /// # Errors
    /// The state folder cannot be read or written.
    pub(super) fn look_at_entry(&self, alive: &Alive, decision: &Decision<'_>) -> Result<()> {
        let (ground, now) = (&self.ground, now(alive));
        let quiet = now == Now::Quiet && watch::is_quiet(&ground.places.git_state)?;
        let undecided = Undecided::read(&ground.places.obeyed);
        let (seen, told) = say(match quiet && (undecided.is_empty() || !decision.is_possible()) {
            true => watch::unresolved(&ground.places.git_state).map_err(Into::into),
            false => watch::look(ground.visit(now != Now::Busy, None, &|| decision.stop()), now),
        });
        told?;
        let Some(look) = seen else {
            changes::name(&undecided);
            return Ok(());
        };
        let when = if quiet { When::Settled } else { When::Entry };
        decision.settle(look, &ground.workspace, &ground.places, when).map(drop)
    }

    /// Before a container is started, or one that runs is stopped to be recreated: whoever runs a program in it by other
    /// means leaves no trace once it is gone, so that the next look compares with what was there before.
    ///
    /// # Errors
    /// The state folder cannot be read or written.
    pub(super) fn note_unseen(&self) -> Result<()> {
        watch::note_entered(&self.ground.places.git_state)
    }

    /// Where a container was not started after all, and is gone.
    ///
    /// # Errors
    /// The state folder cannot be read or written.
    pub(super) fn note_not_started(&self) -> Result<()> {
        watch::note_not_started(&self.ground.places.git_state)
    }

    /// At the end of a session, before the user is told that it is over. What cannot be looked at is only a warning: the
    /// exit code of the session must still be returned.
    pub(super) fn look_at_exit(
        &self,
        alive: Option<&Alive>,
        since: Option<Born>,
        decision: &Decision<'_>,
    ) -> Option<Look> {
        // Another call that holds the lock may let an agent in meanwhile.
        let lock = free_lock(&self.ground.places);
        self.look_and_say(alive.filter(|_| lock.is_some()).map_or(Now::Busy, now), since, decision)
    }

    /// The same where the container has ended with the session. `alone` says that no other call can have started one.
    pub(super) fn look_after_end(&self, alone: bool, since: Option<Born>, decision: &Decision<'_>) -> Option<Look> {
        self.look_and_say(if alone { Now::Ended } else { Now::Busy }, since, decision)
    }

    fn look_and_say(&self, now: Now, since: Option<Born>, decision: &Decision<'_>) -> Option<Look> {
        let ground = &self.ground;
        reopen(&ground.workspace, &ground.places);
        let (seen, told) = say(watch::look(ground.visit(now != Now::Busy, since, &|| decision.stop()), now));
        if let Err(err) = told {
            unseen(&ground.workspace, &err);
        }
        seen
    }

    /// Tells at the end of a session what changed of what other tools obey. What cannot be undone or kept is only a warning:
    /// the exit code of the session must still be returned.
    pub(super) fn settle_changes(&self, seen: Option<Look>, decision: &Decision<'_>) {
        let (workspace, places) = (&self.ground.workspace, &self.ground.places);
        let settled = seen.map_or(Ok(true), |look| decision.settle(look, workspace, places, When::Exit));
        if let Err(err) = settled {
            ui::warn(format_args!("what changed in the workspace could not be looked at: {err:#}"));
        }
    }

    /// Before an agent is let in.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub(super) fn note_entered(&self) -> Result<()> {
        watch::note_entered(&self.ground.places.git_state)
    }
}

/// After a container was removed, so that nothing of an agent's runs any more. Returns whether nothing of an agent's is
/// left in the workspace, and what was seen of what other tools obey.
pub(super) fn look_at_end(
    cx: &Context,
    workspace: &Path,
    places: &Places,
    decision: &Decision<'_>,
) -> (bool, Option<Look>) {
    reopen(workspace, places);
    // The workspace may be gone, or its repository be broken: the look needs neither.
    let repository = git::detect(workspace).ok().flatten();
    let (environment, stop) = (Environment::of(cx), || decision.stop());
    let visit = Visit::new(workspace, repository.as_ref(), &environment, &places.git_state, &stop);
    let (seen, told) = say(watch::look(visit.looking(Look::begin(&places.obeyed, true)), Now::Ended));
    match told {
        Ok(complete) => return (complete, seen),
        Err(_) if !workspace.exists() => {}
        Err(err) => unseen(workspace, &err),
    }
    (false, seen)
}

/// Notes that all that is new in a workspace is the user's from now on, under whatever path it lies next, unless the sandbox
/// of a path where it lay before still runs.
///
/// # Errors
/// No engine answers, or the state folder cannot be written.
pub(super) fn settle(cx: &Context, workspace: &Path, uid: u32) -> Result<()> {
    for path in Exposed::also_given(&cx.state, workspace)? {
        let other = places::of(cx, &path, uid);
        if find(&container_name(&other.project))?.is_some() {
            ui::warn(format_args!(
                "`{0}` lay at `{1}` before, and the sandbox of that path is still there: `cargo xtask down --workspace {1}` \
                 ends it; until then nothing new in it counts as yours once it is moved again",
                workspace.display(),
                path.display()
            ));
            return Ok(());
        }
    }
    Exposed::settle(&cx.state, workspace)
}

/// Why what is in a workspace may be an agent's of another sandbox.
///
/// # Errors
/// The workspace is gone.
fn doubt(cx: &Context, ground: &Ground) -> Result<Doubt> {
    let held = ground.exposed.look(&ground.workspace)?;
    let suspect = ground.exposed.suspect(&held, ground.places.git_state.exists());
    let state = |(given, _): &(PathBuf, bool)| places::of(cx, given, ground.user.uid).git_state;
    Ok(Doubt { states: suspect.given_as.iter().map(state).collect(), suspect })
}

fn airlock(repository: Option<&Repository>, places: &Places) -> Result<Vec<Mount>> {
    repository.map_or(Ok(Vec::new()), |repository| git::mounts(repository, &places.git))
}

/// Into the container's own init no agent can get (`docker/init.py`).
fn now(alive: &Alive) -> Now {
    if alive.others().is_empty() { Now::Quiet } else { Now::Busy }
}

/// Says what was seen and done, also where the look then failed. Gives what was seen of what other tools obey, and whether
/// nothing was left over.
fn say(seen: Result<watch::Told, watch::Unfinished>) -> (Option<Look>, Result<bool>) {
    let (told, why) = match seen {
        Ok(told) => (told, None),
        Err(watch::Unfinished { told, why }) => (told, Some(why)),
    };
    told.notes.iter().for_each(ui::say);
    told.warnings.iter().for_each(ui::warn);
    (told.obeyed.map(|look| *look), why.map_or(Ok(told.complete), Err))
}

fn unseen(workspace: &Path, err: &anyhow::Error) {
    ui::warn(format_args!(
        "`{}` could not be looked through for git directories that the agent made, run no git there before you did: {err:#}",
        workspace.display()
    ));
}
