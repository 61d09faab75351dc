//! One walk through the workspace, level by level: it follows no link, stays on the file system, and ends at a bound of
//! entries and of time. What it did not look at, it says. It serves all that is looked for: git directories, files
//! that make whoever starts them another user, and files that other tools obey.

use super::super::layout::{DOT_GIT, is_git_like};
use super::places::{Place, PlaceKind};
use crate::beneath::{Beneath, FileId, Node, Refused, Why};
use crate::obeyed::{Found, Here};
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
    Git { dir: &'a Beneath, name: &'a OsString, place: Place },
    /// A `.gitattributes`: its text, in which each byte that is not UTF-8 is replaced, or why it cannot be read.
    Attributes { path: PathBuf, text: Result<String, String> },
    /// A symlink, which is not followed.
    Link { dir: &'a Beneath, name: &'a OsString, path: PathBuf },
    /// A regular file with setuid or setgid bits, once an agent can have set them.
    Bits { dir: &'a Beneath, name: &'a OsString, path: PathBuf, node: Node },
    /// What a tool of the host obeys by its name, or a way to such files.
    Obeyed { dir: &'a Beneath, name: &'a OsString, path: PathBuf, found: Found },
    /// What was not looked at, and why, as a line. The empty path stands for anything in the workspace.
    Unseen { path: PathBuf, line: String },
}

/// The setuid and the setgid bit.
pub(super) const SETUID: u32 = 0o4000;
pub(super) const SETGID: u32 = 0o2000;

/// The most bytes of a path that the kernel takes at once are 4096: a longer one is opened in parts.
const AT_ONCE: usize = 2048;

pub(super) struct Walk<'a> {
    root: &'a Beneath,
    left: usize,
    end: Instant,
    unseen: usize,
    /// Whether the user wants it to end: then nothing of the rest is met.
    stop: &'a dyn Fn() -> bool,
    /// Whether an agent can have written here: then setuid and setgid bits are looked for, and a directory that was closed
    /// to its owner is opened again, because others could use what is in it all the same.
    pub(super) after_an_agent: bool,
}

type Meet<'m> = dyn FnMut(Met<'_>) -> Then + 'm;

/// How the walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Like below any directory, whether or not it could be renamed.
    Descend,
    /// It was there before any agent, and is read-only for each: nothing in it is looked at.
    Pass,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Beneath, bound: &Bound, stop: &'a dyn Fn() -> bool) -> Walk<'a> {
        let end = Instant::now() + bound.time;
        Walk { root, left: bound.entries, end, unseen: 0, stop, after_an_agent: false }
    }

    /// Looks at the directories of `first` themselves, whatever the bound says, then at the whole tree. What `meet` does
    /// not let pass is walked, too.
    pub(super) fn run(mut self, first: Vec<PathBuf>, meet: &mut Meet<'_>) {
        for path in first {
            if (self.stop)() {
                return;
            }
            // One that cannot be opened is told of by the walk through the tree.
            if let Ok(Some(dir)) = self.open(&path) {
                self.own(&dir, &path, meet);
            }
        }
        let mut todo = VecDeque::from([PathBuf::new()]);
        while let Some(path) = todo.pop_front() {
            if (self.stop)() {
                return;
            }
            if self.is_over() {
                let more =
                    if todo.is_empty() { String::new() } else { format!(" and {} directories more", todo.len()) };
                let line = format!("`{}`{more} in the workspace were not looked at: too many files", name_of(&path));
                meet(Met::Unseen { path: PathBuf::new(), line });
                break;
            }
            match self.open(&path) {
                Ok(Some(dir)) => self.directory(&dir, &path, &mut todo, meet),
                // Removed or replaced since it was listed.
                Ok(None) | Err(Refused { why: Why::Symlink | Why::NoDirectory, .. }) => {}
                Err(err) => self.unseen(&path, &err.to_string(), meet),
            }
        }
        if let Some(more) = self.unseen.checked_sub(MOST_UNSEEN).filter(|more| *more > 0) {
            let line = format!("{more} places more in the workspace were not looked at");
            meet(Met::Unseen { path: PathBuf::new(), line });
        }
    }

    fn is_over(&self) -> bool {
        self.left == 0 || Instant::now() >= self.end
    }

    fn open(&self, path: &Path) -> Result<Option<Beneath>, Refused> {
        let mut dir = self.step(self.root, Path::new("."))?;
        let mut parts = path.components().peekable();
        while let (Some(outer), Some(_)) = (&dir, parts.peek()) {
            let mut below = PathBuf::new();
            while let Some(part) = parts.next_if(|part| below.as_os_str().len() + part.as_os_str().len() < AT_ONCE) {
                below.push(part);
            }
            dir = self.step(outer, &below)?;
        }
        Ok(dir)
    }

    fn step(&self, dir: &Beneath, below: &Path) -> Result<Option<Beneath>, Refused> {
        if self.after_an_agent { dir.find_dir(below) } else { dir.open_dir(below) }
    }

    fn unseen(&mut self, path: &Path, why: &str, meet: &mut Meet<'_>) {
        self.unseen += 1;
        if self.unseen <= MOST_UNSEEN {
            let line = printable(&format!("`{}` in the workspace was not looked at: {why}", name_of(path)));
            meet(Met::Unseen { path: path.to_path_buf(), line });
        }
    }

    /// What git would use in this very directory.
    fn own(&mut self, dir: &Beneath, path: &Path, meet: &mut Meet<'_>) -> Own {
        let mut own = Own { whole: false, stays: None };
        let is_root = path.as_os_str().is_empty();
        // Asked by name and not looked for in the list: on a file system that ignores case, git would find `.GIT`.
        let dot_git = match dir.stat(DOT_GIT) {
            Ok(node) => Some(node),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => None,
            Err(err) => {
                self.unseen(&path.join(DOT_GIT), &err.to_string(), meet);
                None
            }
        };
        if let Some(node) = &dot_git {
            let place = Place::new(path.join(DOT_GIT), node.kind.into(), node);
            let then = meet(Met::Git { dir, name: &DOT_GIT.into(), place });
            own.stays = (then == Then::Pass).then_some(node.id);
        }
        // At the top of a repository git never looks at this; without one it is refused at the start.
        if is_git_like(dir) && !(is_root && dot_git.is_some()) {
            let place = Place::new(path.to_path_buf(), PlaceKind::Bare, dir.node());
            own.whole = meet(Met::Git { dir, name: &"HEAD".into(), place }) == Then::Pass;
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
        let here = Here::of(path);
        for (name, kind) in names {
            if (self.stop)() {
                return;
            }
            if name == ".gitattributes"
                && let Some(text) = attributes(dir, &name)
            {
                meet(Met::Attributes { path: path.join(&name), text });
            }
            if kind == FileType::Symlink {
                meet(Met::Link { dir, name: &name, path: path.join(&name) });
            }
            if let Some(found) = here.found(&name) {
                meet(Met::Obeyed { dir, name: &name, path: path.join(&name), found });
            }
            let matters = match kind {
                FileType::Directory | FileType::Unknown => true,
                FileType::RegularFile => self.after_an_agent,
                FileType::Symlink
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice => false,
            };
            if !matters {
                continue;
            }
            if Instant::now() >= self.end {
                return self.unseen(path, "too many files", meet);
            }
            let node = match dir.stat(&name) {
                Ok(node) => node,
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => continue,
                Err(err) => {
                    self.unseen(&path.join(name), &err.to_string(), meet);
                    continue;
                }
            };
            let at = path.join(&name);
            match node.kind {
                FileType::Directory if own.stays == Some(node.id) => {}
                FileType::Directory if node.shares_file_system(self.root.node()) => todo.push_back(at),
                FileType::Directory => self.unseen(&at, "it is another file system", meet),
                FileType::RegularFile if self.after_an_agent && node.mode & (SETUID | SETGID) != 0 => {
                    meet(Met::Bits { dir, name: &name, path: at, node });
                }
                // On a file system whose lists do not say what a name is.
                FileType::Symlink => _ = meet(Met::Link { dir, name: &name, path: at }),
                FileType::RegularFile
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => {}
            }
        }
    }
}

/// What [`Walk::own`] found.
struct Own {
    /// The whole directory is a git directory that was there before, and stays.
    whole: bool,
    /// Its `.git`, where that was there before, and stays as it is.
    stays: Option<FileId>,
}

/// The text of a `.gitattributes`, or why it cannot be read: git reads what is not UTF-8, and what is longer. `None` where
/// git reads nothing either.
fn attributes(dir: &Beneath, name: &OsString) -> Option<Result<String, String>> {
    match dir.read(name, ATTRIBUTES) {
        Ok(found) => found.map(|(bytes, _)| Ok(String::from_utf8_lossy(&bytes).into_owned())),
        Err(Refused { why: Why::Directory, .. }) => None,
        Err(Refused { why, .. }) => Some(Err(match why {
            Why::Symlink => "it is a symlink".to_owned(),
            Why::Fifo | Why::Special => {
                "it is no plain file, and git on this host may wait for it without end".to_owned()
            }
            Why::TooLarge(limit) => super::text::too_large(limit),
            Why::Failed(err) => err.to_string(),
            Why::Outside | Why::NoDirectory | Why::Directory | Why::NotUtf8 | Why::Moved => {
                "it was replaced".to_owned()
            }
        })),
    }
}

fn name_of(path: &Path) -> String {
    super::places::shown(path)
}
