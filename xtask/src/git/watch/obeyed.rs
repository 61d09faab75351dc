//! Where git on the host goes by itself: submodules, and the repositories whose settings count in the workspace.

use super::super::layout::{DOT_GIT, SMALL};
use super::super::{Repository, client};
use super::places::{Place, PlaceKind};
use crate::beneath::Beneath;
use crate::context::{led_into, resolved};
use anyhow::Result;
use std::path::{Component, Path, PathBuf};

/// The submodules of the host's index: `git status` runs git in each of them.
pub(super) fn submodules(repo: &Repository) -> Result<Vec<PathBuf>> {
    Ok(client::submodules(repo)?.into_iter().map(PathBuf::from).collect())
}

/// No directory.
pub(super) const NOWHERE: &str = "/nonexistent";

/// A repository whose configuration is the user's own.
#[derive(Debug, Clone)]
pub(super) struct Trusted {
    pub(super) git_dir: PathBuf,
    pub(super) work_tree: PathBuf,
    /// Whether git may not take it for a repository.
    pub(super) may_be_broken: bool,
}

impl Trusted {
    /// The one that is not there yet, at the top of a workspace without one: the user's own settings count there, too. An
    /// agent can make one at any moment, so that git is not led there.
    pub(super) fn none_yet(workspace: &Path) -> Trusted {
        Trusted { git_dir: PathBuf::from(NOWHERE), work_tree: workspace.to_owned(), may_be_broken: true }
    }

    pub(super) fn is_there(&self) -> bool {
        self.git_dir != Path::new(NOWHERE)
    }

    /// The repository of a git directory that may stay; `None` for other places.
    pub(super) fn of(root: &Beneath, place: &Place) -> Option<Trusted> {
        let at = root.path().join(&place.path);
        let work_tree = at.parent()?.to_path_buf();
        let may_be_broken = place.path != Path::new(DOT_GIT);
        let is_dot_git = place.path.file_name() == Some(DOT_GIT.as_ref());
        match place.kind {
            PlaceKind::Directory if is_dot_git => Some(Trusted { git_dir: at, work_tree, may_be_broken }),
            PlaceKind::File if is_dot_git => {
                let text = root.text(&place.path, SMALL).ok()??;
                let named = text.strip_prefix("gitdir:")?.trim();
                Some(Trusted { git_dir: work_tree.join(named).canonicalize().ok()?, work_tree, may_be_broken })
            }
            PlaceKind::Bare => Some(Trusted { git_dir: at.clone(), work_tree: at, may_be_broken }),
            PlaceKind::Directory | PlaceKind::File | PlaceKind::Link | PlaceKind::Other => None,
        }
    }
}

/// The repositories in which the workspace lies as a directory: git that is run beside it, or in it where it has no
/// repository of its own, runs their hooks.
pub(super) fn enclosing(workspace: &Path) -> Vec<Trusted> {
    let git_dir = |dir: &Path| {
        let at = dir.join(DOT_GIT);
        if at.is_dir() {
            return at.canonicalize().ok();
        }
        let text = Beneath::root(dir).ok()?.text(DOT_GIT, SMALL).ok()??;
        dir.join(text.strip_prefix("gitdir:")?.trim()).canonicalize().ok()
    };
    let trusted = |dir: &Path| Some(Trusted { git_dir: git_dir(dir)?, work_tree: dir.to_owned(), may_be_broken: true });
    workspace.ancestors().skip(1).filter_map(trusted).collect()
}

/// A path as one below the workspace, empty for the workspace itself; `None` where it lies elsewhere.
pub(super) fn below(workspace: &Path, path: &Path) -> Option<PathBuf> {
    // By its text first: a link that an agent put on the way must not take the path out of sight.
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    let rel = plain.strip_prefix(workspace).map(Path::to_path_buf).ok();
    // Then as the kernel goes: the way may only lead through the workspace, and the end need not be there.
    let dirs = [workspace.to_path_buf()];
    let led = || Some(led_into(&dirs, &[], path)?.1.strip_prefix(workspace).ok()?.to_path_buf());
    rel.or_else(led).or_else(|| resolved(path).strip_prefix(workspace).map(Path::to_path_buf).ok())
}
