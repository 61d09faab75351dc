//! One walk through the workspace, level by level: it follows no link, stays on the file system, and ends at a bound of
//! entries and of time. What it did not look at, it says.

use super::super::layout::{DOT_GIT, is_git_like};
use super::places::{Kind, Place};
use crate::beneath::{Beneath, FileId, Refused, Why};
use crate::ui::printable;
use rustix::fs::FileType;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where a walk ends.
pub(super) struct Bound {
    pub(super) entries: usize,
    pub(super) time: Duration,
}

impl Bound {
    pub(super) const USUAL: Bound = Bound { entries: 1_000_000, time: Duration::from_secs(10) };
}

/// The most lines about what was not looked at.
const MOST_UNSEEN: usize = 10;

/// The most bytes of one `.gitattributes` that are read.
const ATTRIBUTES: u64 = 1 << 20;

/// What the walk meets.
pub(super) enum Met<'a> {
    /// A place of git: the name in that directory by which git knows it.
    Git {
        dir: &'a Beneath,
        name: &'a OsString,
        place: Place,
    },
    Attributes {
        path: PathBuf,
        text: String,
    },
    /// What was not looked at, and why, as a line.
    Unseen(String),
}

pub(super) struct Walk<'a> {
    root: &'a Beneath,
    left: usize,
    end: Instant,
    unseen: usize,
    /// Whether a directory that was closed to its owner is opened again: git could use what is in it all the same.
    pub(super) opens_closed: bool,
}

type Meet<'m> = dyn FnMut(Met<'_>) -> Option<OsString> + 'm;

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Beneath, bound: &Bound) -> Walk<'a> {
        let end = Instant::now() + bound.time;
        Walk { root, left: bound.entries, end, unseen: 0, opens_closed: false }
    }

    /// Looks at the directories of `first` themselves, whatever the bound says, then at the whole tree. `meet` returns the
    /// new name of what it renamed, which is then walked, too.
    pub(super) fn run(mut self, first: Vec<PathBuf>, meet: &mut Meet<'_>) {
        for path in first {
            if let Ok(Some(dir)) = self.open(&path) {
                self.own(&dir, &path, meet);
            }
        }
        let mut todo = VecDeque::from([PathBuf::new()]);
        while let Some(path) = todo.pop_front() {
            if self.left == 0 || Instant::now() >= self.end {
                let more =
                    if todo.is_empty() { String::new() } else { format!(" and {} directories more", todo.len()) };
                meet(Met::Unseen(format!(
                    "`{}`{more} in the workspace were not looked at: too many files",
                    name_of(&path)
                )));
                return;
            }
            match self.open(&path) {
                Ok(Some(dir)) => self.directory(&dir, &path, &mut todo, meet),
                // Removed or replaced since it was listed.
                Ok(None) | Err(Refused { why: Why::Symlink | Why::NoDirectory, .. }) => {}
                Err(err) => self.unseen(&path, &err.to_string(), meet),
            }
        }
    }

    fn open(&self, path: &Path) -> Result<Option<Beneath>, Refused> {
        let below = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        if self.opens_closed { self.root.find_dir(below) } else { self.root.open_dir(below) }
    }

    fn unseen(&mut self, path: &Path, why: &str, meet: &mut Meet<'_>) {
        self.unseen += 1;
        if self.unseen <= MOST_UNSEEN {
            meet(Met::Unseen(printable(&format!("`{}` in the workspace was not looked at: {why}", name_of(path)))));
        }
    }

    /// What git would use in this very directory.
    fn own(&mut self, dir: &Beneath, path: &Path, meet: &mut Meet<'_>) -> Own {
        let mut own = Own { whole: false, stays: None };
        let is_root = path.as_os_str().is_empty();
        // Asked by name and not looked for in the list: on a file system that ignores case, git would find `.GIT`.
        let dot_git = dir.stat(DOT_GIT).ok();
        if let Some(node) = &dot_git {
            let place = Place::new(path.join(DOT_GIT), node.kind.into(), node);
            let renamed = meet(Met::Git { dir, name: &DOT_GIT.into(), place });
            own.stays = renamed.is_none().then_some(node.id);
        }
        // At the top of a repository git never looks at this; without one it is refused at the start.
        if is_git_like(dir) && !(is_root && dot_git.is_some()) {
            let place = Place::new(path.to_path_buf(), Kind::Bare, dir.node());
            own.whole = meet(Met::Git { dir, name: &"HEAD".into(), place }).is_none();
        }
        own
    }

    fn directory(&mut self, dir: &Beneath, path: &Path, todo: &mut VecDeque<PathBuf>, meet: &mut Meet<'_>) {
        let own = self.own(dir, path, meet);
        if own.whole {
            return;
        }
        let names = match dir.names_up_to(self.left) {
            Ok(names) => names,
            Err(err) => return self.unseen(path, &err.to_string(), meet),
        };
        self.left -= names.len();
        if self.left == 0 {
            self.unseen(path, "too many files", meet);
        }
        for (name, kind) in names {
            if name == ".gitattributes"
                && let Ok(Some(text)) = dir.text(&name, ATTRIBUTES)
            {
                meet(Met::Attributes { path: path.join(&name), text });
            }
            let may_be_a_directory = matches!(kind, FileType::Directory | FileType::Unknown);
            if !may_be_a_directory {
                continue;
            }
            let Ok(node) = dir.stat(&name) else { continue };
            if node.kind != FileType::Directory || own.stays == Some(node.id) {
                continue;
            }
            if node.shares_file_system(self.root.node()) {
                todo.push_back(path.join(name));
            } else {
                self.unseen(&path.join(name), "it is another file system", meet);
            }
        }
    }
}

/// What [`Walk::own`] found.
struct Own {
    /// The whole directory is a git directory that stays.
    whole: bool,
    /// Its `.git`, where that stays as it is.
    stays: Option<FileId>,
}

fn name_of(path: &Path) -> String {
    if path.as_os_str().is_empty() { ".".into() } else { printable(&path.to_string_lossy()) }
}
