//! The rest of a path that is walked part by part, with the targets of symlinks in their place. Pure: who walks it looks
//! up each name itself, by a handle or by its path.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many symlinks as the kernel itself follows on one path.
const MOST_LINKS: usize = 40;

/// What is still to be walked.
pub(crate) struct Way {
    /// The next part last.
    todo: Vec<OsString>,
    links: usize,
}

/// There are more symlinks on the way than the kernel follows.
pub(crate) struct Endless;

impl Way {
    pub(crate) fn new(path: &Path) -> Way {
        Way { todo: parts(path), links: 0 }
    }

    /// Takes the next part: `/`, which begins anew at the root, `..` or a name.
    pub(crate) fn step(&mut self) -> Option<OsString> {
        self.todo.pop()
    }

    /// Puts the target of a symlink in the place of the part that was just taken.
    pub(crate) fn link(&mut self, target: &Path) -> Result<(), Endless> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Endless);
        }
        self.todo.extend(parts(target));
        Ok(())
    }

    /// What comes next, and is not taken yet.
    pub(crate) fn coming(&self) -> Option<&OsString> {
        self.todo.last()
    }

    /// A path, and behind it all that is still to come, as it is written.
    pub(crate) fn whole(&self, at: &Path) -> PathBuf {
        [at.as_os_str()].into_iter().chain(self.todo.iter().rev().map(OsString::as_os_str)).collect()
    }
}

fn parts(path: &Path) -> Vec<OsString> {
    path.components().rev().filter(|part| *part != Component::CurDir).map(|part| part.as_os_str().to_owned()).collect()
}
