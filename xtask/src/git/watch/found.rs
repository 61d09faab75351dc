//! What one look found.

use super::linked::Led;
use super::places::Place;
use super::state::{Unresolved, WatchState};
use super::text;
use super::told::{Told, Unfinished};
use crate::error::Failure;
use crate::obeyed::Look;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// All that is there, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is there, without what was set aside; outer ones before those that lie in them.
    pub(super) places: Vec<Place>,
    pub(super) attributes: text::Attributes,
    /// How many bytes of them are kept.
    pub(super) attribute_bytes: usize,
    pub(super) modules: text::Submodules,
    pub(super) unresolved: Vec<Unresolved>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// Links that lead to what is not there yet.
    pub(super) dangling: Vec<Led>,
    /// What the settings of git name and cannot be known, a line each.
    pub(super) unknown: BTreeSet<String>,
    /// The relative parts of `PATH`.
    pub(super) relative_search: Vec<String>,
    /// Files that git runs or obeys, with another name under which an agent could write them.
    pub(super) second_names: Vec<Failure>,
    /// The symlinks into other ground of agents that stay or are set aside, and what they say.
    pub(super) led_out: BTreeMap<PathBuf, PathBuf>,
    /// The look at what other tools obey.
    pub(super) obeyed: Option<Look>,
    /// What makes git run or obey what lies at a path below the workspace.
    pub(super) said: BTreeMap<PathBuf, String>,
}

impl Found {
    /// What names a place, or what lies behind it.
    pub(super) fn said_of(&self, place: &Path) -> Option<&str> {
        self.said.iter().find(|(path, _)| path.starts_with(place)).map(|(_, said)| said.as_str())
    }

    /// All that is there as known, while no agent runs.
    pub(super) fn state(&self) -> WatchState {
        WatchState {
            quiet: true,
            ended: true,
            owed: false,
            places: self.places.clone(),
            attributes: self.attributes.clone(),
            modules: self.modules.clone(),
            led_out: self.led_out.clone(),
            unresolved: self.unresolved.clone(),
        }
    }
}

impl From<Found> for Told {
    fn from(found: Found) -> Told {
        let complete = found.unresolved.is_empty();
        Told { notes: found.notes, warnings: found.warnings, complete, obeyed: found.obeyed.map(Box::new) }
    }
}

impl Found {
    /// For a look that failed after it has begun.
    pub(super) fn unfinished(self, why: anyhow::Error) -> Unfinished {
        Unfinished { told: Told { complete: false, ..self.into() }, why }
    }
}
