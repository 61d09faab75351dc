//! A place that git on the host would run or obey, and whether two looks saw the same one.

use crate::beneath::{Beneath, Born, FileId, Node, Refused, Why};
use crate::fingerprint;
use anyhow::Result;
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PlaceKind {
    Directory,
    File,
    /// A symlink, which git follows.
    Link,
    /// A directory that is a git directory under another name than `.git`.
    Bare,
    /// A fifo, a socket or a device.
    Other,
}

impl From<FileType> for PlaceKind {
    fn from(kind: FileType) -> PlaceKind {
        match kind {
            FileType::Directory => PlaceKind::Directory,
            FileType::RegularFile => PlaceKind::File,
            FileType::Symlink => PlaceKind::Link,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => PlaceKind::Other,
        }
    }
}

/// A directory or file, by its path below the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    #[serde(with = "crate::kept_path")]
    pub(super) path: PathBuf,
    pub(super) kind: PlaceKind,
    pub(super) id: FileId,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) born: Option<Born>,
    /// Where the file system does not keep when it was made: the fingerprint of what git obeys in it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) text: Option<String>,
}

/// The most files of one directory that take part in a fingerprint, and the most bytes of each.
const MOST_FILES: usize = 1000;
const MOST_BYTES: u64 = 1 << 20;

impl Place {
    pub(super) fn new(path: PathBuf, kind: PlaceKind, node: &Node) -> Place {
        Place { path, kind, id: node.id, born: node.born, text: None }
    }

    /// With the fingerprint, where it is needed. `dir` and `name` are where it lies; for a bare one, itself.
    pub(super) fn read(self, dir: &Beneath, name: &OsString) -> Place {
        if self.born.is_some() {
            return self;
        }
        let text = match self.kind {
            PlaceKind::Bare => obeyed_in(dir),
            PlaceKind::Directory => dir.open_dir(name).ok().flatten().map_or_else(String::new, |dir| obeyed_in(&dir)),
            PlaceKind::File | PlaceKind::Link | PlaceKind::Other => text_of(dir, Path::new(name)),
        };
        Place { text: Some(text), ..self }
    }

    /// Whether both are the same file or directory. Device and inode alone say little: a number that was freed on the host
    /// is given to the next file at once.
    pub(super) fn same(&self, other: &Place) -> bool {
        let same_inode = self.kind == other.kind && self.id == other.id && self.born == other.born;
        same_inode && (self.born.is_some() || (self.text.is_some() && self.text == other.text))
    }

    /// Whether `now` may stay where it is, because this one was there before. What is in it was read-only for the agent
    /// all the time. A directory stays itself wherever it is moved; a file leads elsewhere from another place.
    pub(super) fn may_stay(&self, now: &Place) -> bool {
        match now.kind {
            PlaceKind::Directory | PlaceKind::Bare => self.same(now),
            PlaceKind::File => self.same(now) && self.path == now.path,
            PlaceKind::Link | PlaceKind::Other => false,
        }
    }
}

/// A path as text that is safe for a terminal.
pub(super) fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() { ".".to_owned() } else { crate::text::path(path) }
}

/// The fingerprint of what git obeys in a git directory, or of the files of a directory of hooks.
fn obeyed_in(dir: &Beneath) -> String {
    let mut parts: Vec<String> = Vec::new();
    let named = ["config", "config.worktree", "commondir", "gitdir", "info/attributes", "objects/info/alternates"];
    parts.extend(named.iter().map(|name| text_of(dir, Path::new(name))));
    let is_git = dir.stat("HEAD").is_ok();
    let below = if is_git { "hooks" } else { "." };
    for (name, _) in
        dir.open_dir(below).ok().flatten().and_then(|dir| dir.names_up_to(MOST_FILES).ok()).unwrap_or_default()
    {
        parts.push(format!("{} {}", name.display(), text_of(dir, &Path::new(below).join(&name))));
    }
    fingerprint::of(parts)
}

fn text_of(dir: &Beneath, name: &Path) -> String {
    match dir.read(name, MOST_BYTES) {
        Ok(None) => "missing".to_owned(),
        Ok(Some((bytes, _))) => fingerprint::of([bytes]),
        Err(err) => err.to_string(),
    }
}

/// What lies at a path below the workspace, with the directory that it lies in and its name there. Where a part of the way
/// is a symlink, that link is what was found.
pub(super) fn lookup(root: &Beneath, path: &Path) -> Result<Option<(Beneath, OsString, Place)>> {
    let Some(mut dir) = root.open_dir(".")? else { return Ok(None) };
    let mut at = PathBuf::new();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return Ok(None) };
        at.push(name);
        let node = match dir.stat(name) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            node => node?,
        };
        if parts.peek().is_none() || node.kind == FileType::Symlink {
            let place = Place::new(at, node.kind.into(), &node);
            return Ok(Some((dir, name.to_owned(), place)));
        }
        dir = match dir.open_dir(name) {
            Ok(Some(next)) => next,
            Ok(None) | Err(Refused { why: Why::NoDirectory, .. }) => return Ok(None),
            Err(err) => return Err(err.into()),
        };
    }
    Ok(None)
}
