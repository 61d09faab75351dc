//! What the last look saw (`git-state.json` in the state folder, which the container cannot reach).

use super::places::Place;
use super::text::{Attributes, Submodules};
use crate::error::failed;
use crate::exec;
use crate::outside;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A field that is not here is one of an earlier version, and says nothing any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct WatchState {
    /// Whether no agent can have run since this look.
    pub(super) quiet: bool,
    /// Whether there was no container any more: nobody sees what a later one runs by other means and takes with it.
    #[serde(default)]
    pub(super) ended: bool,
    /// Whether an agent can have run since the user was last told what tools obey, and asked. Of this too a look is no part:
    /// it is over only with the answer.
    #[serde(default)]
    pub(super) owed: bool,
    /// What was there when the container was started, and is read-only in it.
    pub(super) places: Vec<Place>,
    pub(super) attributes: Attributes,
    pub(super) modules: Submodules,
    /// The symlinks into other ground of agents that were there before, or are set aside, and what they say.
    #[serde(default)]
    pub(super) led_out: BTreeMap<PathBuf, PathBuf>,
    /// What could not be looked at or set aside.
    #[serde(alias = "unseen")]
    pub(super) unresolved: Vec<Unresolved>,
}

/// What could not be looked at or set aside. It is said again until a look finds nothing of it, because nobody knows it
/// for the user's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unresolved {
    /// Below the workspace; empty where it can be anywhere.
    #[serde(with = "crate::kept_path")]
    pub(super) path: PathBuf,
    pub(super) line: String,
    /// The new git directory that could not be set aside; `None` for what was not looked at.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) place: Option<Place>,
    /// Whether an agent can have written there.
    pub(super) after_an_agent: bool,
}

impl Unresolved {
    /// What the user is told.
    pub(super) fn told(&self) -> String {
        let line = &self.line;
        if self.place.is_none() && self.after_an_agent {
            return format!(
                "{line}: an agent can have made git directories and setuid programs there, do not run git in it before \
                 you looked"
            );
        }
        line.clone()
    }

    /// Whether what lies at this path can be what an agent made and nobody saw.
    pub(super) fn covers(&self, path: &Path) -> bool {
        self.after_an_agent && self.place.is_none() && path.starts_with(&self.path)
    }
}

impl WatchState {
    /// `None` where no sandbox was started yet. A file that cannot be read is an error: it must not count as none.
    pub(super) fn read(path: &Path) -> Result<Option<WatchState>> {
        let damaged = |err: &dyn std::fmt::Display| {
            failed(format!("`{}`, which says which git directories were there, is damaged: {err}", path.display())).hint(
                "look for git directories in the workspace that you did not make, then remove that file: what is there \
                 at the next start counts as yours",
            )
        };
        match outside::bytes(path, outside::STATE) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(damaged(&err).into()),
            Ok(text) => Ok(Some(serde_json::from_slice(&text).map_err(|err| damaged(&err))?)),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        exec::write_file(path, serde_json::to_string(self)?.as_bytes(), 0o600)
    }
}

/// For the fuzzer. What is kept reads back as it was.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(state) = serde_json::from_slice::<WatchState>(bytes) else { return };
    let again = serde_json::to_vec(&state).and_then(|kept| serde_json::from_slice::<WatchState>(&kept));
    assert_eq!(again.ok(), Some(state));
}
