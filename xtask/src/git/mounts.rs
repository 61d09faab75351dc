//! Where the sandbox's git directory and the host's objects lie in the container.

use super::borrowed::alternates_of;
use super::repository::Repository;
use crate::exec;
use crate::spec::inside::DOT_GIT;
use crate::spec::{Mount, Role};
use anyhow::Result;
use std::path::Path;

/// The name of the object directory number `i` in the container; the first is the repository's own.
pub(super) fn objects_name(i: usize) -> String {
    if i == 0 { "objects".into() } else { format!("objects-{i}") }
}

/// The names of the directories that must exist in what the caller mounts at `/sandbox`.
pub(super) fn points(repo: &Repository) -> Vec<String> {
    let mut names: Vec<String> = (0..repo.objects.len()).map(objects_name).collect();
    if repo.dot_git_is_file {
        names.push("git".into());
    }
    names
}

/// The mounts, in the order in which they must be made. `inside` is `/sandbox`, where the host's object directories and,
/// for a linked worktree, the git directory are mounted. Nothing is written: see [`make_sources`].
pub(super) fn of(repo: &Repository, private: &Path, inside: &str) -> Result<Vec<Mount>> {
    let mount = |role, source: &Path, target, read_only| Mount { role, source: source.into(), target, read_only };
    let git = private.join("git");
    let mut mounts = Vec::new();
    if repo.dot_git_is_file {
        mounts.push(mount(Role::Git, &git, format!("{inside}/git"), false));
        mounts.push(mount(Role::Git, &private.join(DOT_GIT_FILE), DOT_GIT.into(), true));
    } else {
        mounts.push(mount(Role::Git, &git, DOT_GIT.into(), false));
    }
    for (i, objects) in repo.objects.iter().enumerate() {
        let target = format!("{inside}/{}", objects_name(i));
        mounts.push(mount(Role::GitObjects, objects, target.clone(), true));
        if !alternates_of(objects)?.is_empty() {
            // Its `info/alternates` names paths of the host, and git inside would warn about each at every command.
            mounts.push(mount(Role::GitObjects, &private.join(EMPTY), format!("{target}/info"), true));
        }
    }
    Ok(mounts)
}

/// The file that is mounted as a linked worktree's `.git`.
const DOT_GIT_FILE: &str = "dot-git";
/// The directory that is mounted over `objects/info`.
const EMPTY: &str = "empty";

/// Makes the sources of the mounts of [`of`], except the git directory itself.
pub(super) fn make_sources(repo: &Repository, private: &Path, inside: &str) -> Result<()> {
    if repo.dot_git_is_file {
        exec::write_file(&private.join(DOT_GIT_FILE), format!("gitdir: {inside}/git\n").as_bytes(), 0o644)?;
    }
    exec::create_dir(&private.join(EMPTY), 0o755)
}
