//! What the last look saw (`git-state.json` in the state folder, which the container cannot reach).

use super::places::Place;
use super::text::{Attributes, Modules};
use crate::engine::alive::Waiting;
use crate::error::failed;
use crate::exec;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Whether no agent can have run since this look.
    pub(super) quiet: bool,
    /// How often the program that waits in the container had run by then; `None` where no container ran.
    #[serde(default)]
    pub(super) waiting: Option<Waiting>,
    /// What was there when the container was started, and is read-only in it.
    pub(super) places: Vec<Place>,
    pub(super) attributes: Attributes,
    pub(super) modules: Modules,
    /// What was not looked at, which the user has been told.
    pub(super) unseen: BTreeSet<String>,
}

impl State {
    /// `None` where no sandbox was started yet. A file that cannot be read is an error: it must not count as none.
    pub(super) fn read(path: &Path) -> Result<Option<State>> {
        let text = match std::fs::read(path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("cannot read `{}`", path.display()))?,
        };
        let read = serde_json::from_slice(&text).map_err(|err| {
            failed(format!("`{}`, which says which git directories were there, is damaged: {err}", path.display())).hint(
                "look for git directories in the workspace that you did not make, then remove that file: what is there \
                 at the next start counts as yours",
            )
        })?;
        Ok(Some(read))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        exec::write_file(path, serde_json::to_string(self)?.as_bytes(), 0o600)
    }
}
