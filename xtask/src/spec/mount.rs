//! A mount of a sandbox: what it is for, and from where to where.

use super::words::Cache;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a mount is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The research project.
    Workspace,
    /// A data set, by name. Always read-only.
    Dataset(String),
    /// The snapshot of the host's Codex package.
    CodexPackage,
    /// What is mounted at `/home/codex/.codex`.
    CodexHome,
    /// `~/.agents` of the host, as a read-only copy.
    Agents,
    /// The host's `/etc/codex`, with the sandbox's own defaults added.
    SystemCodex,
    /// What `xtask` hands to the container, read-only: the probe, the CA bundle.
    Guest,
    /// The sandbox's own git directory (or, for a linked worktree, its `.git` file).
    Git,
    /// The host's git objects.
    GitObjects,
    /// A cache that outlives the container: a volume of the engine.
    Cache(Cache),
}

impl Role {
    /// The first part of the ids of the claims about this mount, such as `dataset.ssv2`.
    pub fn id(&self) -> String {
        match self {
            Role::Workspace => "workspace".into(),
            Role::Dataset(name) => format!("dataset.{name}"),
            Role::CodexPackage => "codex-package".into(),
            Role::CodexHome => "codex-home".into(),
            Role::Agents => "agents".into(),
            Role::SystemCodex => "system-codex".into(),
            Role::Guest => "guest".into(),
            Role::Git => "git".into(),
            Role::GitObjects => "git-objects".into(),
            Role::Cache(cache) => format!("cache.{cache}"),
        }
    }
}

/// A directory of the host, or for a cache a volume of the engine, as the container gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// What it is for.
    pub role: Role,
    /// The host's side: absolute, symlinks resolved.
    pub source: PathBuf,
    /// The container's side: absolute.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
}

impl Mount {
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
