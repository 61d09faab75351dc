//! Where the sandbox's git directory and the host's objects are inside.

use super::repository::{Repository, alternates_of};
use crate::exec;
use crate::spec::inside::Role;
use crate::spec::mount::Mount;
use anyhow::Result;
use std::path::Path;

/// Where the host's object directories and, for a linked worktree, the git directory are inside.
pub(super) const INSIDE: &str = "/sandbox";

/// The name inside of the object directory number `i`; the first is the repository's own.
pub(super) fn objects_name(i: usize) -> String {
    if i == 0 { "objects".into() } else { format!("objects-{i}") }
}

/// The names of the directories that must be in what the caller mounts at `/sandbox`.
pub(super) fn points(repo: &Repository) -> Vec<String> {
    let mut names: Vec<String> = (0..repo.objects.len()).map(objects_name).collect();
    if repo.dot_git_is_file {
        names.push("git".into());
    }
    names
}

/// The mounts, in the order in which they must be made. Nothing is written: see [`lay`].
pub(super) fn of(repo: &Repository, private: &Path, inside: &str) -> Result<Vec<Mount>> {
    let mount = |role, source: &Path, target: String, read_only| Mount {
        role,
        source: source.to_path_buf(),
        target,
        read_only,
    };
    let git = private.join("git");
    let mut mounts = Vec::new();
    if repo.dot_git_is_file {
        mounts.push(mount(Role::Git, &git, format!("{inside}/git"), false));
        mounts.push(mount(Role::Git, &private.join(DOT_GIT), "/workspace/.git".into(), true));
    } else {
        mounts.push(mount(Role::Git, &git, "/workspace/.git".into(), false));
    }
    for (i, objects) in repo.objects.iter().enumerate() {
        let target = format!("{inside}/{}", objects_name(i));
        mounts.push(mount(Role::GitObjects, objects, target.clone(), true));
        if !alternates_of(objects)?.is_empty() {
            // It names paths of the host: git inside would complain about each of them at every command.
            mounts.push(mount(Role::GitObjects, &private.join(EMPTY), format!("{target}/info"), true));
        }
    }
    Ok(mounts)
}

/// The file that stands for a linked worktree's `.git` inside, and the directory that covers `objects/info`.
const DOT_GIT: &str = "dot-git";
const EMPTY: &str = "empty";

/// Lays the sources ready that `of` names beside the git directory itself.
pub(super) fn lay(repo: &Repository, private: &Path, inside: &str) -> Result<()> {
    if repo.dot_git_is_file {
        exec::write_file(&private.join(DOT_GIT), format!("gitdir: {inside}/git\n").as_bytes(), 0o644)?;
    }
    exec::create_dir(&private.join(EMPTY), 0o755)
}
