//! A workspace whose path leads to another directory than at the start: a link has taken the place of the directory, or of one above
//! it. What the path leads to now is another workspace, with a sandbox of its own. The container of the first one goes on with
//! a directory that the path does not name any more, and no other path leads to its things.

use super::gather::find;
use super::networks::networks_of;
use super::record;
use crate::context::{Context, resolved};
use crate::engine::running::Existing;
use crate::engine::{compose, docker, removal};
use crate::error::failed;
use crate::exec;
use crate::spec::Role;
use crate::spec::places::{self, Places};
use crate::step::Step;
use crate::{text, ui};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// A sandbox that the path named once.
pub(super) struct Elsewhere {
    places: Places,
    container: Existing,
    /// The path, and where it leads now.
    named: PathBuf,
    now: PathBuf,
}

impl Elsewhere {
    /// The sandbox of what the path was by itself, where it leads elsewhere now and that one's container is there. The engine is
    /// asked only where that sandbox has a record.
    ///
    /// # Errors
    /// The engine does not answer, or somebody else's container has the name.
    pub(super) fn of(cx: &Context, workspace: &Path, uid: u32) -> Result<Option<Elsewhere>> {
        let named = cx.absolute(workspace);
        let now = resolved(&named);
        if now == named {
            return Ok(None);
        }
        let places = places::by_name(cx, &named, uid);
        let is_its = |record: &record::Record| record.spec.mount(&Role::Workspace).is_some_and(|m| m.source == named);
        if record::last(&places).is_none_or(|record| !is_its(&record)) {
            return Ok(None);
        }
        let container = find(&compose::container_name(&places.project))?;
        Ok(container.map(|container| Elsewhere { places, container, named, now }))
    }

    /// What the user is told.
    pub(super) fn line(&self) -> String {
        let [named, now] = [&self.named, &self.now].map(|path| text::path(path));
        format!(
            "the workspace `{named}` was a directory when its sandbox was started, and leads to `{now}` now: the container `{}` still has \
             what was there",
            compose::container_name(&self.places.project)
        )
    }

    /// Refuses to enter: it would be the sandbox of another directory than the one of this path that goes on.
    ///
    /// # Errors
    /// Always.
    pub(super) fn refuse(&self) -> Result<()> {
        let down = format!("cargo xtask down --workspace {}", text::word(&self.named.display().to_string()));
        Err(failed(self.line())
            .hint(format!("`{down}` ends that one; then this enters what is there now"))
            .hint(format!("or name what is there now: `--workspace {}`", text::word(&self.now.display().to_string())))
            .into())
    }

    /// What ends it.
    pub(super) fn steps(&self) -> Vec<Step> {
        vec![Step::Run(docker::remove(&self.container.id))]
    }

    /// Ends it. What was changed in its workspace cannot be looked at: the path leads elsewhere.
    ///
    /// # Errors
    /// The engine does not answer.
    pub(super) fn end(&self) -> Result<()> {
        ui::warn(self.line());
        removal::shown(&docker::remove(&self.container.id))?;
        networks_of(&self.places.project)?.iter().try_for_each(|id| removal::shown(&docker::remove_network(id)))?;
        let files = [&self.places.record, &self.places.proof, &self.places.sessions];
        exec::all(&files.map(|path| Step::Remove { path: path.clone() }))?;
        ui::warn("what was changed in its workspace was not looked at, because nothing leads there by this path");
        Ok(())
    }
}
