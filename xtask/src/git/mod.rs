//! The git airlock: the sandbox commits into a git directory of its own, which borrows the host's objects read-only,
//! and its commits come over when the user asks for them. The host's `.git` is never in reach of the agent, and git
//! never runs on the host in a directory that the agent wrote.
//!
//! - [`detect`] says which repository a workspace has, and [`note_appearance`] remembers whether it had one;
//! - [`prepare`] makes the sandbox's git directory and names the mounts;
//! - [`list`], [`describe`], [`summary`] and [`take`] bring the commits out, by way of a quarantine (objects are copied as plain
//!   files into a fresh repository, and checked by git on their way into the host's).

mod client;
mod commits;
mod config;
mod mounts;
mod prepare;
mod quarantine;
mod refs;
mod repository;
mod seen;
mod take;

pub use commits::{describe, list, summary};
pub use prepare::prepare;
pub use repository::{Repository, detect};
pub use seen::note_appearance;
pub use take::take;

use crate::spec::mount::Mount;
use anyhow::Result;
use std::path::Path;

/// The mounts that [`prepare`] would name, without writing anything: for a plan.
///
/// Fails where the host's objects cannot be read.
pub fn mounts(repo: &Repository, private: &Path) -> Result<Vec<Mount>> {
    mounts::of(repo, private, mounts::INSIDE)
}

/// Who commits inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// `user.name`.
    pub name: Option<String>,
    /// `user.email`.
    pub email: Option<String>,
}

/// What a sandbox needs to have git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Airlock {
    /// The mounts, in the order in which they must be made (one can lie in another).
    pub mounts: Vec<Mount>,
    /// Empty directories that must be in the host directory that is mounted read-only at `/sandbox`.
    pub mount_points: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// A commit that only the sandbox has. Its text is safe for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The whole id.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
}

/// How a branch of the sandbox relates to the host's of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The host's can be fast-forwarded to it.
    Ahead,
    /// The host's has commits of its own since.
    Diverged,
    /// The host has none.
    New,
}

/// A branch with commits that only the sandbox has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Its short name; `HEAD` for commits on no branch.
    pub name: String,
    /// How it relates to the host's.
    pub state: Relation,
    /// The newest commit.
    pub tip: String,
    /// The commits that the host lacks, newest first, at most [`MOST_COMMITS`].
    pub commits: Vec<Commit>,
}

/// The most commits that are listed of one branch.
pub const MOST_COMMITS: usize = 10_000;

/// What the sandbox has and the host lacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Branches by name.
    pub branches: Vec<Branch>,
    /// What could not be read, in words that are safe for a terminal.
    pub notes: Vec<String>,
}

/// The user's name and e-mail as git on the host would use them in this repository: system, global (with what they
/// include, also by directory) and, where there is a repository, its own. An agent writes none of these. `GIT_AUTHOR_*`
/// of the shell is for that shell, and not read.
///
/// Fails where git is not installed.
pub fn identity(repo: Option<&Repository>) -> Result<Identity> {
    let command =
        repo.map_or_else(client::nowhere, client::host).args(["config", "--get-regexp", r"^user\.(name|email)$"]);
    let output = client::capture(&command)?;
    // Where a key stands more than once, the last one counts, as for git itself.
    let last = |key: &str| {
        let values = output.stdout.lines().filter_map(|line| line.strip_prefix(key));
        values.map(str::trim).rfind(|value| !value.is_empty()).map(str::to_owned)
    };
    Ok(Identity { name: last("user.name"), email: last("user.email") })
}

#[cfg(test)]
mod tests;
