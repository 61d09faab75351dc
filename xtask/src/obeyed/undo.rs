//! How a change is undone: what is there is renamed to where no tool obeys it, and never deleted; what was there before is
//! written anew. A symlink is followed within the workspace alone, by handles.

use super::changes::{Change, What};
use super::look::{Look, lead, open};
use super::names::{self, SUFFIX, parts};
use super::state::{Behind, Content, Owner, State};
use crate::beneath::{Beneath, Refused, Why};
use crate::error::failed;
use crate::{nonce, text};
use anyhow::{Context as _, Result};
use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Where that goes which would be obeyed beside its old place too, whatever its name: to the top of the workspace.
const ASIDE: &str = "codex-sandbox-set-aside";

/// The most names of such a directory that are tried, where something else has them.
const TRIES: usize = 8;

/// What is done with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undo {
    /// What was there before is put back.
    Restore,
    /// What is new or changed gets another name.
    Aside,
}

/// What became of the changes that were to be undone.
#[derive(Default)]
pub(crate) struct Undone<'c> {
    /// How each was undone, a line each.
    pub(crate) done: Vec<String>,
    /// What is set aside where a tool may obey it still, a line each; and these files, which are new and stay undecided.
    pub(crate) warned: Vec<String>,
    pub(crate) still: Vec<Change>,
    /// Why a change stays, for each that could not be undone.
    pub(crate) failed: Vec<anyhow::Error>,
    /// All that stay: also those that the user's end of it left.
    pub(crate) left: Vec<&'c Change>,
}

impl Look {
    /// Undoes changes, until `stop` says that the user wants it to end.
    pub(crate) fn undo_all<'c>(
        &mut self,
        root: &Beneath,
        changes: &[&'c Change],
        undo: Undo,
        stop: &dyn Fn() -> bool,
    ) -> Undone<'c> {
        // A symlink before what lies behind it, which is not to be looked for there; else what lies deeper first, before
        // the directory around it has another name.
        let mut order: Vec<(bool, Reverse<isize>, &Change)> = Vec::new();
        for change in changes {
            let is_link = matches!(change.now.as_ref().map(|now| &now.state), Some(State::Link { .. }));
            let depth = isize::try_from(change.path.components().count()).unwrap_or(isize::MAX);
            order.push((!is_link, Reverse(if is_link { -depth } else { depth }), change));
        }
        order.sort_by_key(|(not_link, depth, _)| (*not_link, *depth));
        let mut undone = Undone::default();
        for (_, _, change) in order {
            if stop() {
                undone.left.push(change);
                continue;
            }
            match self.undo(root, change, undo) {
                Ok((line, None)) => undone.done.push(line),
                Ok((line, Some(to))) => {
                    undone.warned.push(line);
                    undone.still.extend(Change::of(&to, What::New, None, None));
                }
                Err(err) => {
                    undone.failed.push(err);
                    undone.left.push(change);
                }
            }
        }
        undone
    }

    /// Undoes a change, and says how, and where a tool may obey it still.
    ///
    /// # Errors
    /// Why it stays as it is.
    pub(super) fn undo(&mut self, root: &Beneath, change: &Change, undo: Undo) -> Result<(String, Option<PathBuf>)> {
        let (path, shown) = (&change.path, text::path(&change.path));
        let before = match (undo, change.what) {
            (Undo::Restore, What::Changed | What::Removed) => Some(self.kept(root, change)?),
            (Undo::Aside, What::Removed) => {
                return Err(failed(format!("`{shown}` was removed: there is nothing to set aside")).into());
            }
            (Undo::Restore, What::New) | (Undo::Aside, What::New | What::Changed) => None,
        };
        let at = match &before {
            Some(Before { behind: Some(at), .. }) => at.clone(),
            Some(_) | None => real(root, path)?,
        };
        let (name, outer) = (at.file_name().unwrap_or_default(), at.parent().unwrap_or(Path::new("")));
        let dir = match before {
            Some(_) => make(root, outer)?,
            None => match open(root, outer) {
                Ok(Some(dir)) => dir,
                // What was around it is undone, and it has gone with that.
                Ok(None) | Err(Refused { why: Why::NoDirectory, .. }) => {
                    self.now.remove(path.as_path());
                    return Ok((format!("`{shown}` is no longer there"), None));
                }
                Err(refused) => return Err(refused.into()),
            },
        };
        let aside = match dir.stat(name) {
            Ok(_) => Some(set_aside(root, &dir, &at, path)?),
            Err(err) if err.kind() == ErrorKind::NotFound => None,
            Err(err) => return Err(err.into()),
        };
        // What has the name by now was not shown to anybody: it is new at the next look.
        self.now.remove(path.as_path());
        let put = before.as_ref().map(|before| before.put(&dir, name));
        if let Some(Ok(_)) = put {
            self.see(root, path);
        }
        let still = aside.as_ref().filter(|aside| aside.obeyed).map(|aside| aside.to.clone());
        let aside = aside.map(|aside| aside.to_string());
        match (put, aside) {
            (None, Some(to)) => Ok((format!("`{shown}` is set aside as {to}"), still)),
            (None, None) => Ok((format!("`{shown}` is no longer there"), None)),
            (Some(put), aside) => {
                let kept = aside.map_or_else(String::new, |to| format!("; what took its place is set aside as {to}"));
                match put {
                    Ok(Given::Back) => Ok((format!("`{shown}` is what it was{kept}"), still)),
                    Ok(Given::Not(Owner { uid, gid })) => Ok((
                        format!(
                            "`{shown}` is what it was, but is yours: it was of user {uid} and group {gid}, and only root can \
                             give it back to them{kept}"
                        ),
                        still,
                    )),
                    Err(err) => Err(failed(format!("`{shown}` could not be put back: {err}{kept}")).into()),
                }
            }
        }
    }

    /// What this tool did itself is known from now on.
    fn see(&mut self, root: &Beneath, path: &Path) {
        let (Some(row), Ok(at)) = (names::row(path), real(root, path)) else { return };
        let (Some(name), Some(outer)) = (at.file_name(), at.parent()) else { return };
        if let Ok(Some(dir)) = open(root, outer) {
            self.take(&dir, name, path, row);
        }
        self.resolve(root, &|| false);
    }

    /// What is put back.
    fn kept(&self, root: &Beneath, change: &Change) -> Result<Before> {
        let no = |why: &str| failed(format!("`{}` cannot be restored: {why}", text::path(&change.path)));
        let file = |content: &Content| {
            let text = self.record.text(content).ok_or_else(|| no("what was there was too large to be kept"))?;
            let owner = change.before.as_ref().and_then(|before| before.owner);
            Ok::<_, anyhow::Error>(Thing::File { text, mode: content.mode & 0o777, owner })
        };
        match (change.before.as_ref().map(|before| &before.state), change.now.as_ref().map(|now| &now.state)) {
            (Some(State::File(content)), _) => Ok(Before { thing: file(content)?, behind: None }),
            // The same symlink: what it leads to has changed, and lies in the workspace.
            (Some(State::Link { to, behind }), Some(State::Link { to: now, .. })) if to == now => match behind {
                Behind::File(content) => {
                    let at = lead(root, &change.path).map_err(|why| no(&format!("its symlink leads to {why}")))?;
                    Ok(Before { thing: file(content)?, behind: Some(at) })
                }
                Behind::Other(_) => {
                    Err(no("it is the same symlink, and what it led to was no file of the workspace").into())
                }
            },
            (Some(State::Link { to, .. }), _) => Ok(Before { thing: Thing::Link(to.clone()), behind: None }),
            (Some(State::Directory | State::Special | State::Unread(_)) | None, _) => {
                Err(no("what was there was no plain file").into())
            }
        }
    }
}

/// What was there before.
struct Before {
    thing: Thing,
    /// Where it lies, if not at the name itself: where a symlink leads that is what it was.
    behind: Option<PathBuf>,
}

enum Thing {
    File { text: Vec<u8>, mode: u32, owner: Option<Owner> },
    Link(PathBuf),
}

/// Whether what was put back is whose it was.
enum Given {
    Back,
    /// This process may not give it to that one.
    Not(Owner),
}

impl Before {
    /// Makes it anew, where nothing has the name.
    fn put(&self, dir: &Beneath, name: &OsStr) -> std::io::Result<Given> {
        match &self.thing {
            Thing::Link(to) => dir.symlink(name, to).map(|()| Given::Back),
            Thing::File { text, mode, owner } => {
                let mut file = dir.create(name, 0o600)?;
                file.write_all(text)?;
                // Before the mode, which a new owner changes.
                let given = match owner {
                    Some(owner) if !owner.give(&file)? => Given::Not(*owner),
                    Some(_) | None => Given::Back,
                };
                file.set_permissions(std::fs::Permissions::from_mode(*mode))?;
                Ok(given)
            }
        }
    }
}

/// Where something was set aside.
struct Aside {
    to: PathBuf,
    /// Whether a tool may obey it there all the same.
    obeyed: bool,
}

impl std::fmt::Display for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = if self.obeyed { ", where a tool may obey it still: remove it" } else { "" };
        write!(f, "`{}`{more}", text::path(&self.to))
    }
}

/// Renames what lies at `at`, which tools know as `path`: beside it, or to the top of the workspace where a tool obeys all
/// that lies in its directory.
fn set_aside(root: &Beneath, dir: &Beneath, at: &Path, path: &Path) -> Result<Aside> {
    let name = at.file_name().unwrap_or_default();
    let renamed = |name: &OsStr| {
        let mut to = name.to_owned();
        to.push(format!(".{SUFFIX}-1"));
        to
    };
    let is_obeyed = |path: &Path| names::row(&path.with_file_name(renamed(name))).is_some();
    let obeyed = is_obeyed(at) || is_obeyed(path);
    if obeyed && let Ok((top, at_top)) = top(root) {
        // The name says where it lay.
        let flat = parts(at).unwrap_or_default().join(OsStr::new("+"));
        // Some rows take a name with any end.
        let mut other = OsString::from("aside");
        other.push(&flat);
        let new = if is_obeyed(&at_top.join(&flat)) { other } else { flat };
        if let Ok(to) = dir.move_aside(name, &new, SUFFIX, &top) {
            return Ok(Aside { to: at_top.join(to), obeyed: false });
        }
    }
    let to = dir.rename_aside(name, SUFFIX)?;
    Ok(Aside { to: at.with_file_name(to), obeyed })
}

/// The directory at the top of the workspace for what is set aside. Nothing that an agent put there is followed.
fn top(root: &Beneath) -> Result<(Beneath, PathBuf)> {
    for n in 1..=TRIES {
        let name = if n == 1 { ASIDE.to_owned() } else { format!("{ASIDE}-{n}") };
        match root.open_dir(&name) {
            Ok(Some(dir)) => return Ok((dir, name.into())),
            Ok(None) => return Ok((root.make_dir(&name, 0o755)?, name.into())),
            Err(_) => {}
        }
    }
    let name = format!("{ASIDE}-{}", nonce::nonce()?);
    Ok((root.make_dir(&name, 0o755)?, name.into()))
}

/// Where a path lies without symlinks: its directory may lie behind some, in the workspace.
fn real(root: &Beneath, path: &Path) -> Result<PathBuf> {
    let outer = path.parent().unwrap_or(Path::new(""));
    match open(root, outer) {
        Err(Refused { why: Why::Symlink, .. }) => {
            let at = lead(root, outer)
                .map_err(|why| failed(format!("`{}` lies behind a symlink to {why}", text::path(path))))?;
            Ok(at.join(path.file_name().unwrap_or_default()))
        }
        Ok(_) | Err(_) => Ok(path.to_owned()),
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
