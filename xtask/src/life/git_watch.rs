//! When the workspace is looked through for git directories: before a container starts, before an entry where an agent
//! can have run since the last look, at the end of a session, and when the sandbox is removed.

use super::call::free_lock;
use super::gather::Gathered;
use super::ground::Ground;
use crate::engine::alive::Alive;
use crate::error::failed;
use crate::git::watch;
use crate::git::{self, Repository};
use crate::spec::Mount;
use crate::spec::places::Places;
use crate::ui;
use anyhow::Result;
use std::path::Path;

impl Ground {
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
        let read_only = watch::preview(&self.workspace, repository)?;
        self.surroundings.git = [airlock(repository, &self.places)?, read_only].concat();
        Ok(())
    }
}

impl Gathered {
    /// Before a container starts, while no agent runs: what is there is made read-only inside, and what an agent may have
    /// made since the last look is set aside.
    ///
    /// # Errors
    /// A git directory cannot be protected, or the workspace's own repository is not what it was a moment ago.
    pub(super) fn protect_git(&mut self) -> Result<()> {
        let ground = &mut self.ground;
        say(watch::protect(&ground.workspace, ground.repository.as_ref(), &ground.places.git_state)?);
        if git::detect(&ground.workspace)? != ground.repository {
            return Err(failed(format!("the git repository of `{}` has just changed", ground.workspace.display()))
                .hint("run this again")
                .into());
        }
        ground.surroundings.git = Ground::git_mounts(ground.repository.as_ref(), &ground.workspace, &ground.places)?;
        Ok(())
    }

    /// Before an entry into a container that runs already. Where nothing but the container's own init was alive since the
    /// last look, and the last session was seen to end, nothing is walked: then what the last look could not resolve is
    /// said again.
    ///
    /// # Errors
    /// The state folder cannot be read or written.
    pub(super) fn look_at_entry(&self, alive: &Alive) -> Result<()> {
        let (ground, quiet) = (&self.ground, quiet(alive));
        say(match quiet && watch::is_quiet(&ground.places.git_state)? {
            true => watch::unresolved(&ground.places.git_state)?,
            false => look(&ground.workspace, ground.repository.as_ref(), &ground.places, quiet)?,
        });
        Ok(())
    }

    /// Before a container is stopped: what is known of it now is not known afterwards.
    ///
    /// # Errors
    /// The state folder cannot be read or written.
    pub(super) fn note_before_stop(&self, alive: &Alive) -> Result<()> {
        let places = &self.ground.places;
        if quiet(alive) && watch::is_quiet(&places.git_state)? {
            Ok(())
        } else {
            watch::note_entered(&places.git_state)
        }
    }

    /// At the end of a session, before the user is told that it is over. What cannot be looked at is only a warning: the
    /// exit code of the session must still be returned.
    pub(super) fn look_at_exit(&self, alive: Option<&Alive>) {
        let ground = &self.ground;
        // Another call that holds the lock may let an agent in meanwhile.
        let lock = free_lock(&ground.places);
        let quiet = alive.is_some_and(quiet) && lock.is_some();
        match look(&ground.workspace, ground.repository.as_ref(), &ground.places, quiet) {
            Ok(seen) => say(seen),
            Err(err) => unseen(&ground.workspace, &err),
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

/// After a container was removed, so that nothing of an agent's runs any more.
pub(super) fn look_at_end(workspace: &Path, places: &Places) {
    // The workspace may be gone, or its repository be broken: the look needs neither.
    let repository = git::detect(workspace).ok().flatten();
    match look(workspace, repository.as_ref(), places, true) {
        Ok(seen) => say(seen),
        Err(_) if !workspace.exists() => {}
        Err(err) => unseen(workspace, &err),
    }
}

fn airlock(repository: Option<&Repository>, places: &Places) -> Result<Vec<Mount>> {
    repository.map_or(Ok(Vec::new()), |repository| git::mounts(repository, &places.git))
}

/// Whether nothing but the container's own init is alive, into which no agent can get (`docker/init.py`).
fn quiet(alive: &Alive) -> bool {
    alive.others().is_empty()
}

fn look(workspace: &Path, repository: Option<&Repository>, places: &Places, quiet: bool) -> Result<watch::Told> {
    watch::look(workspace, repository, &places.git_state, quiet)
}

fn say(seen: watch::Told) {
    seen.notes.iter().for_each(ui::say);
    seen.warnings.iter().for_each(ui::warn);
}

fn unseen(workspace: &Path, err: &anyhow::Error) {
    ui::warn(format_args!(
        "`{}` could not be looked through for git directories that the agent made, run no git there before you did: {err:#}",
        workspace.display()
    ));
}
