//! Symlinks that take the place of what tools obey: each is followed by handles within the workspace, and nowhere else.

use super::Look;
use crate::beneath::{Beneath, Refused, Way};
use crate::obeyed::Class;
use crate::obeyed::names::{self, Found, Here};
use crate::obeyed::state::{Behind, Owner, State, read};
use rustix::fs::FileType;
use std::path::{Path, PathBuf};

/// The most symlinks that are followed.
const MOST_LINKS: usize = 1000;

impl Look {
    pub(super) fn follow(&mut self, path: &Path, is_way: bool) {
        if self.links.len() + self.ways.len() == MOST_LINKS {
            self.not_followed += 1;
        } else if is_way {
            self.ways.push(path.to_owned());
        } else {
            self.links.push(path.to_owned());
        }
    }

    /// Follows the symlinks that were met.
    pub(in crate::obeyed) fn resolve(&mut self, root: &Beneath, stop: &dyn Fn() -> bool) {
        for path in std::mem::take(&mut self.links) {
            if stop() {
                return;
            }
            let (found, owner, text) = match lead(root, &path) {
                Ok(real) => self.behind(root, &path, &real),
                Err(why) => (Behind::other(why), None, None),
            };
            let acts = names::row(&path).is_some_and(|row| row.class == Class::ByItself);
            if let Some(entry) = self.now.get_mut(path.as_path())
                && let State::Link { behind, .. } = &mut entry.state
            {
                *behind = found;
                entry.owner = owner;
                entry.text = text.filter(|_| acts);
            }
        }
    }

    /// What lies at `real`, where the symlink at `path` leads, with its owner, and its text where it can be shown.
    fn behind(&mut self, root: &Beneath, path: &Path, real: &Path) -> (Behind, Option<Owner>, Option<Vec<u8>>) {
        let other = |what: &str| (Behind::other(what.to_owned()), None, None);
        let (Some(name), Some(outer)) = (real.file_name(), real.parent()) else { return other("a directory") };
        let dir = match open(root, outer) {
            Ok(Some(dir)) => dir,
            Ok(None) => return other("nothing"),
            Err(refused) => return other(&refused.why.to_string()),
        };
        let Some(found) = read(&dir, Path::new(name), self.budget(path)) else { return other("nothing") };
        match found.state {
            State::File(content) => (Behind::File(content), found.owner, found.text),
            State::Directory => other("a directory"),
            State::Special => other("a fifo, a socket or a device"),
            State::Unread(why) => other(&why),
            State::Link { .. } => other("a symlink"),
        }
    }

    /// All that lies in the directory `real` counts as if it lay at `shown`.
    pub(super) fn directory(
        &mut self,
        root: &Beneath,
        real: PathBuf,
        shown: PathBuf,
        left: &mut usize,
        stop: &dyn Fn() -> bool,
    ) {
        let mut todo = vec![(real, shown)];
        while let Some((real, shown)) = todo.pop().filter(|_| !stop()) {
            let Ok(Some(dir)) = open(root, &real) else { continue };
            let names = dir.names_up_to(*left).unwrap_or_default();
            *left -= names.len();
            let here = Here::of(&shown);
            for (name, kind) in &names {
                match here.found(name) {
                    Some(Found::Row(row)) if *kind != FileType::Directory => {
                        self.take(&dir, name, &shown.join(name), row);
                    }
                    Some(Found::Row(_) | Found::Way(_)) if *kind == FileType::Directory => {
                        todo.push((real.join(name), shown.join(name)));
                    }
                    Some(Found::Way(row)) if *kind == FileType::Symlink => {
                        self.take(&dir, name, &shown.join(name), row)
                    }
                    Some(Found::Row(_) | Found::Way(_)) | None => {}
                }
            }
            if *left == 0 {
                self.not_followed += 1;
                return;
            }
        }
    }
}

/// A directory below, by its path without symlinks.
pub(in crate::obeyed) fn open(root: &Beneath, path: &Path) -> Result<Option<Beneath>, Refused> {
    if path.as_os_str().is_empty() { root.open_dir(".") } else { root.open_dir(path) }
}

/// Where a symlink of the workspace leads in it, or what else it leads to.
pub(in crate::obeyed) fn lead(root: &Beneath, link: &Path) -> Result<PathBuf, String> {
    let mut way = Way::new(link);
    let mut at = PathBuf::new();
    let outside = |path: &Path| format!("`{}`, outside of the workspace", crate::text::path(path));
    while let Some(part) = way.step() {
        if part == ".." {
            if !at.pop() {
                return Err(outside(&way.whole(Path::new(".."))));
            }
            continue;
        }
        let dir = match open(root, &at) {
            Ok(Some(dir)) => dir,
            Ok(None) => return Err("nothing".to_owned()),
            Err(refused) => return Err(refused.why.to_string()),
        };
        let node = match dir.stat(&part) {
            Ok(node) => node,
            // It can be made there.
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
                at.push(part);
                continue;
            }
            Err(err) => return Err(err.to_string()),
        };
        if node.kind != FileType::Symlink {
            at.push(part);
            continue;
        }
        let target = dir.read_link(&part).map_err(|err| err.to_string())?;
        let below = match target.is_absolute() {
            false => target,
            true => {
                let Ok(below) = target.strip_prefix(root.path()) else {
                    return Err(outside(&target));
                };
                at = PathBuf::new();
                below.to_owned()
            }
        };
        way.link(&below).map_err(|_| "too many symlinks".to_owned())?;
    }
    Ok(at)
}
