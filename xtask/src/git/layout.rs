//! What git on the host would take for a git directory. Git asks for names and follows links, so this is wider than what
//! the airlock accepts: what only looks like a git directory is refused or set aside, never passed over.

use crate::beneath::Beneath;

/// The name of a git directory, or of the file that leads to one.
pub(super) const DOT_GIT: &str = ".git";

/// Bound on the small files of a git directory (HEAD, config, alternates).
pub(super) const SMALL: u64 = 1 << 20;

/// Whether git would use this very directory, whatever its name: `HEAD` with `objects` and `refs` (a bare repository), or
/// `HEAD` with `commondir` (a linked worktree's own). Their kinds do not matter, because git follows links here.
/// Source: `is_git_directory` in git's `setup.c`.
pub(super) fn is_git_like(dir: &Beneath) -> bool {
    let there = |name: &str| dir.stat(name).is_ok();
    there("HEAD") && (there("commondir") || (there("objects") && there("refs")))
}

/// Whether the airlock understands it: plain files and directories, none of them reached through a link.
pub(super) fn is_git_dir(dir: &Beneath) -> bool {
    missing(dir).is_none()
}

/// What keeps this from being a git directory that the airlock understands, as a clause.
pub(super) fn missing(dir: &Beneath) -> Option<String> {
    let part = |name: &str, there: bool| (!there).then(|| format!("its `{name}` is missing, or is a symlink"));
    part("HEAD", matches!(dir.file("HEAD"), Ok(Some(_))))
        .or_else(|| part("objects", matches!(dir.open_dir("objects"), Ok(Some(_)))))
        .or_else(|| part("refs", matches!(dir.open_dir("refs"), Ok(Some(_)))))
}
