//! How a change is undone: what is there is renamed to a name that no tool obeys, and never deleted; what was there before
//! is written anew.

use super::changes::{Change, What};
use super::look::{Look, open};
use super::names::{self, parts};
use super::state::State;
use crate::beneath::Beneath;
use crate::error::failed;
use crate::text;
use anyhow::{Context as _, Result};
use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// How the names of what was set aside go on. No row of the table ends so.
const SUFFIX: &str = "set-aside";

/// What is done with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undo {
    /// What was there before is put back.
    Restore,
    /// What is new or changed gets another name.
    Aside,
}

impl Look {
    /// Undoes a change, and says how.
    ///
    /// # Errors
    /// Why it stays as it is.
    pub(crate) fn undo(&mut self, root: &Beneath, change: &Change, undo: Undo) -> Result<String> {
        let (path, shown) = (&change.path, text::path(&change.path));
        let name = path.file_name().unwrap_or_default();
        let mut before = None;
        if undo == Undo::Restore && change.what != What::New {
            before = Some(self.kept(change)?);
        }
        if undo == Undo::Aside && change.what == What::Removed {
            return Err(failed(format!("`{shown}` was removed: there is nothing to set aside")).into());
        }
        let dir = match before {
            Some(_) => make(root, path.parent().unwrap_or(Path::new("")))?,
            None => open(root, path.parent().unwrap_or(Path::new("")))?
                .with_context(|| format!("`{shown}` is no longer there"))?,
        };
        let aside = match dir.stat(name) {
            Ok(_) => Some(dir.rename_aside(name, SUFFIX)?),
            Err(err) if err.kind() == ErrorKind::NotFound => None,
            Err(err) => return Err(err.into()),
        };
        let to = aside.as_ref().map(|to| text::path(&path.with_file_name(to)));
        // What was renamed is known from now on, also where the directory makes a tool obey all that lies in it. What has the
        // name by now was not shown to anybody: it is new at the next look.
        self.now.remove(path.as_path());
        if let Some(name) = &aside {
            self.see(&dir, name, &path.with_file_name(name));
        }
        self.resolve(root);
        let Some(before) = before else {
            return Ok(match to {
                Some(to) => format!("`{shown}` is set aside as `{to}`"),
                None => format!("`{shown}` is no longer there"),
            });
        };
        let put = before.put(&dir, name);
        if put.is_ok() {
            self.see(&dir, name, path);
        }
        self.resolve(root);
        let kept = to.map_or_else(String::new, |to| format!("; what took its place is set aside as `{to}`"));
        match put {
            Ok(()) => Ok(format!("`{shown}` is what it was{kept}")),
            Err(err) => Err(failed(format!("`{shown}` could not be put back: {err}{kept}")).into()),
        }
    }

    fn see(&mut self, dir: &Beneath, name: &OsStr, path: &Path) {
        if let Some(row) = names::row(path) {
            self.take(dir, name, path, row);
        }
    }

    /// What is put back.
    fn kept(&self, change: &Change) -> Result<Before> {
        let no = |why: &str| Err(failed(format!("`{}` cannot be restored: {why}", text::path(&change.path))).into());
        match (change.before.as_ref().map(|before| &before.state), change.now.as_ref().map(|now| &now.state)) {
            (Some(State::File(content)), _) => match self.record.text(content) {
                Some(text) => Ok(Before::File { text, mode: content.mode & 0o777 }),
                None => no("what was there was too large to be kept"),
            },
            (Some(State::Link { to, .. }), Some(State::Link { to: now, .. })) if to == now => {
                no("it is the same symlink, and what it leads to has changed")
            }
            (Some(State::Link { to, .. }), _) => Ok(Before::Link(to.clone())),
            (Some(State::Directory | State::Special | State::Unread(_)) | None, _) => {
                no("what was there was no plain file")
            }
        }
    }
}

enum Before {
    File { text: Vec<u8>, mode: u32 },
    Link(std::path::PathBuf),
}

impl Before {
    /// Makes it anew, where nothing has the name.
    fn put(self, dir: &Beneath, name: &OsStr) -> std::io::Result<()> {
        match self {
            Before::Link(to) => dir.symlink(name, &to),
            Before::File { text, mode } => {
                let mut file = dir.create(name, 0o600)?;
                file.write_all(&text)?;
                file.set_permissions(std::fs::Permissions::from_mode(mode))
            }
        }
    }
}

/// A directory below, of which the parts that are missing are made.
fn make(root: &Beneath, path: &Path) -> Result<Beneath> {
    let parts = parts(path).with_context(|| format!("`{}` is no path of the workspace", text::path(path)))?;
    let mut dir = root.open_dir(".")?.context("the workspace is gone")?;
    for part in parts {
        dir = match dir.open_dir(&part)? {
            Some(next) => next,
            None => dir.make_dir(&part, 0o755)?,
        };
    }
    Ok(dir)
}
