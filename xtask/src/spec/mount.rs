//! A mount of a sandbox: what it is for, and from where to where.

use super::inside::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A directory of the host, or for a cache a volume of the engine, as the container gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// What it is for.
    pub role: Role,
    /// The host's side: absolute, symlinks resolved.
    #[serde(with = "crate::kept_path")]
    pub source: PathBuf,
    /// The container's side: absolute.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
}

impl Mount {
    /// The name of the engine's volume that it shows, where its source is one: `…/volumes/NAME/_data`.
    pub(crate) fn volume(&self) -> Option<&str> {
        self.source.parent()?.file_name()?.to_str()
    }

    /// The mount of this kind, at its place in the table of [`super::inside`].
    pub fn new(role: Role, source: impl Into<PathBuf>) -> Mount {
        let inside = role.inside();
        Mount { role, source: source.into(), target: inside.target, read_only: inside.read_only }
    }
}

/// The first part of the ids of each mount's claims; a second mount of one role gets a number.
pub(crate) fn ids(mounts: &[Mount]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut name = |mount: &Mount| {
        let id = mount.role.id();
        let count = seen.entry(id.clone()).or_default();
        *count += 1;
        if *count > 1 { format!("{id}-{count}") } else { id }
    };
    mounts.iter().map(&mut name).collect()
}
