//! The git airlock: the sandbox commits into a git directory of its own, which borrows the host's objects read-only, and
//! its commits are copied to the host's repository when the user asks for it. The agent never reaches the host's `.git`,
//! and git never runs on the host in a directory that the agent wrote.
//!
//! - [`detect`] finds the repository of a workspace, and [`note_appearance`] records whether it had one;
//! - [`prepare()`] makes the sandbox's git directory, and [`mounts()`] names the mounts;
//! - [`list`], [`describe`], [`summary`] and [`take()`] bring the commits out through a quarantine: objects are copied as
//!   plain files into a fresh repository, and git checks them on their way into the host's repository.

mod appeared;
mod borrowed;
mod client;
mod commits;
mod config_format;
mod effort;
mod environment;
mod layout;
mod mounts;
mod prepare;
mod quarantine;
mod refs;
mod repository;
mod take;
mod unread;
pub(crate) mod watch;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub(crate) use super::config_format::fuzz as config;
    pub(crate) use super::quarantine::fuzz as objects;
    pub(crate) use super::refs::fuzz as refs;
    pub(crate) use super::repository::fuzz as format;
    pub(crate) use super::take::fuzz as changes;
    pub(crate) use super::watch::fuzz as watch;
}

pub(crate) use appeared::note_appearance;
pub(crate) use borrowed::ask_borrowed;
pub(crate) use commits::{NOTHING_NEW, describe, list, losses, summary, waiting};
pub(crate) use environment::Environment;
pub(crate) use prepare::prepare;
pub(crate) use repository::{Repository, detect};
pub(crate) use take::take;

use crate::spec::Mount;
use crate::spec::inside::GUEST;
use crate::ui::printable;
use anyhow::Result;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// The mounts of the sandbox's git directory in `private`, in the order in which they must be made (one can lie in
/// another).
///
/// # Errors
/// The host's objects cannot be read.
pub(crate) fn mounts(repo: &Repository, private: &Path) -> Result<Vec<Mount>> {
    mounts::of(repo, private, GUEST)
}

/// The first lines, and how many there are more.
fn first(mut lines: Vec<String>, what: &str) -> Vec<String> {
    if let Some(more) = lines.len().checked_sub(MOST_SAID).filter(|more| *more > 0) {
        lines.truncate(MOST_SAID);
        lines.push(format!("and {more} {what} more"));
    }
    lines
}

/// Who commits inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    /// `user.name`.
    name: Option<String>,
    /// `user.email`.
    email: Option<String>,
}

/// What [`prepare()`] leaves to do.
#[derive(Debug)]
pub(crate) struct Airlock {
    /// Empty directories that must be in the host directory that is mounted read-only at `/sandbox`.
    pub(crate) mount_points: Vec<String>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

/// A commit that only the sandbox has. Its text is safe for a terminal.
#[derive(Debug)]
struct Commit {
    id: String,
    /// The first line of its message.
    subject: String,
}

/// How a branch of the sandbox relates to the host's of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// The host's can be fast-forwarded to it.
    Ahead,
    /// Both have commits that the other lacks.
    Diverged,
    /// The host has no branch of that name.
    New,
}

/// A branch, or another ref or a worktree of the sandbox, with commits that only the sandbox has.
#[derive(Debug)]
struct Branch {
    /// Its short name; `HEAD` for commits on no branch.
    name: String,
    /// Its ref in the quarantine.
    at: String,
    state: Relation,
    /// The id of the newest commit.
    tip: String,
    /// The commits that the host lacks, newest first, at most [`MOST_COMMITS`].
    commits: Vec<Commit>,
    /// What its commits write that tools obey without a question.
    obeyed: Vec<String>,
}

/// The most branches whose new commits are read at once: each costs a few calls of git.
const MOST_BRANCHES: usize = 100;

/// The most names, or notes, of one kind that are said one by one.
const MOST_SAID: usize = 20;

/// The most commits that are listed of one branch.
const MOST_COMMITS: usize = 10_000;

/// What the sandbox has and the host lacks.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Branches by name.
    branches: Vec<Branch>,
    /// Tags and the stash that no ref of the host reaches, by name. They are not taken over.
    others: Vec<String>,
    /// The refs at which commits were left that are on no branch of the user's yet, with how many.
    left: Vec<(String, usize)>,
    /// What earlier starts kept because it could not be read.
    aside: Vec<PathBuf>,
    /// What could not be read, in words that are safe for a terminal.
    pub(crate) notes: Vec<String>,
}

/// What was found in a directory that an agent wrote. Where it cannot be read, a note says why.
fn noted<T>(found: Result<Option<T>, impl Display>, notes: &mut Vec<String>) -> Option<T> {
    found.unwrap_or_else(|err| {
        notes.push(printable(&err.to_string()));
        None
    })
}

/// The user's name and e-mail as git on the host would use them in this repository: from the system's, the user's (with
/// the files that these include, also by directory) and the repository's configuration. An agent writes none of these.
/// `GIT_AUTHOR_*` is not read: it is meant for the user's shell alone.
///
/// # Errors
/// Git is not installed.
pub(crate) fn identity(repo: &Repository) -> Result<Identity> {
    let command = client::host(repo).args(["config", "--get-regexp", r"^user\.(name|email)$"]);
    let output = client::capture(&command)?;
    // Where a key is set more than once, the last value counts, as for git itself.
    let last = |key: &str| {
        let values = output.stdout.lines().filter_map(|line| line.strip_prefix(key));
        values.map(str::trim).rfind(|value| !value.is_empty()).map(str::to_owned)
    };
    Ok(Identity { name: last("user.name"), email: last("user.email") })
}

#[cfg(test)]
mod tests;
