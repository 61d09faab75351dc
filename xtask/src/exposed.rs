//! The directories that a sandbox of this user was ever given for writing, and what may be reached through them.
//!
//! An agent can leave anything in such a directory, and may still be running: a symlink to a directory of the host, another
//! directory in the place of one that was checked. So nothing is mounted, copied or read whose path passes through one,
//! unless it leads to the very object that was seen there before any sandbox could write there, or that the user names.
//! The list lies in the state folder (`exposed.json`) and grows before a container starts.

mod kept;
mod suspect;

use crate::answers::{self, Asked, What};
use crate::beneath::{FileId, Held, Node, Refused};
use crate::error::{Failure, failed, usage};
use crate::kept_path::KeptPath;
use crate::mountinfo::{DevicePath, MountTable};
use crate::text;
use anyhow::Result;
use kept::KeptList;
pub(crate) use kept::LastingId;
#[cfg(any(test, fuzzing))]
pub(crate) use kept::fuzz;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
pub(crate) use suspect::Suspect;

/// A directory that a sandbox was given for writing, as it is now.
#[derive(Debug, Clone)]
struct GivenDir {
    path: PathBuf,
    /// What was given; unknown where an earlier version of this tool gave it.
    given: Option<LastingId>,
    /// What lies at the path, where it still is what was given.
    now: Option<(FileId, Option<DevicePath>)>,
    /// Whether its agents are gone, and what they left there was looked through.
    settled: bool,
}

/// All of them, and what was confirmed.
#[derive(Debug)]
pub(crate) struct Exposed {
    state: PathBuf,
    grounds: Vec<GivenDir>,
    /// What was seen at these paths before a sandbox could write on the way.
    confirmed: BTreeMap<KeptPath, LastingId>,
    /// What the user names in this call.
    named: Vec<LastingId>,
    /// What this call has seen, to be confirmed from now on.
    seen: Mutex<BTreeMap<PathBuf, LastingId>>,
    table: MountTable,
    boot: String,
}

/// Why something is not opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// It is not there, or cannot be opened.
    Refused(Refused),
    /// The way to it leads through a directory that a sandbox can write.
    Exposed(Failure),
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotOpened::Refused(why) => why.fmt(f),
            NotOpened::Exposed(why) => why.fmt(f),
        }
    }
}

impl From<NotOpened> for anyhow::Error {
    fn from(why: NotOpened) -> anyhow::Error {
        match why {
            NotOpened::Refused(why) => why.into(),
            NotOpened::Exposed(why) => why.into(),
        }
    }
}

impl Exposed {
    /// Reads the list of a state folder. `earlier` are directories that containers have for writing by their records:
    /// earlier versions of this tool kept no list.
    ///
    /// # Errors
    /// The list cannot be read.
    pub(crate) fn read(state: &Path, earlier: Vec<PathBuf>) -> Result<Exposed> {
        let boot = kept::boot();
        let table = MountTable::of_this_process().map_err(failed)?;
        let KeptList { exposed, confirmed, former, settled, .. } = KeptList::read(state, earlier)?;
        let all: Vec<_> = exposed
            .into_iter()
            .map(|(path, given)| (path.into_path(), given))
            .chain(former.into_iter().map(|former| (former.path, Some(former.given))))
            .collect();
        let asked = |path: &Path| Asked {
            what: What::Other,
            named: "a directory that a sandbox was given".to_owned(),
            path: path.to_owned(),
        };
        answers::demand(&all.iter().map(|(path, _)| asked(path)).collect::<Vec<_>>())?;
        let is_settled =
            |given: &Option<LastingId>| given.as_ref().is_some_and(|given| settled.iter().any(|own| own.is(given)));
        let look = |(path, given)| {
            let settled = is_settled(&given);
            GivenDir { settled, ..GivenDir::look(path, given, &table, &boot) }
        };
        let grounds = all.into_iter().map(look).collect();
        let (named, seen) = (Vec::new(), Mutex::default());
        Ok(Exposed { state: state.to_owned(), grounds, confirmed, named, seen, table, boot })
    }

    /// With the objects that the user vouches for in this call, by their real paths.
    ///
    /// # Errors
    /// One is not there, or is named through a symlink.
    pub(crate) fn naming(self, named: &[PathBuf]) -> Result<Exposed> {
        let named = named.iter().map(|path| vouched(path, &self.boot)).collect::<Result<_>>()?;
        Ok(Exposed { named, ..self })
    }

    /// Opens what a path leads to, to be mounted or copied, and remembers what that was: see [`Exposed::save`].
    ///
    /// # Errors
    /// It is not there, or it is reached through a directory that a sandbox can write, and is not what was confirmed.
    pub(crate) fn open(&self, path: &Path) -> Result<Held, NotOpened> {
        let held = self.look(path)?;
        let own = self.identity(held.node());
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), own);
        Ok(held)
    }

    /// The same, and nothing is remembered: for what a sandbox is then given for writing as it is.
    ///
    /// # Errors
    /// See [`Exposed::open`].
    pub(crate) fn look(&self, path: &Path) -> Result<Held, NotOpened> {
        let held = Held::open(path).map_err(NotOpened::Refused)?;
        let own = self.identity(held.node());
        // By the very way by which it is asked for: what was confirmed as a data set is no skill.
        let known = self.confirmed.get(path).is_some_and(|was| was.is(&own));
        match self.passes(&held) {
            Some(ground) if !known && !self.vouched(&held, &own) => {
                Err(NotOpened::Exposed(leads_through(&held, &ground.path)))
            }
            Some(_) | None => Ok(held),
        }
    }

    /// Opens what must not be written by any sandbox: a data set. That it is the very object that was seen before is not
    /// enough where a sandbox was given the directory in which it lies, since then or before.
    ///
    /// # Errors
    /// See [`Exposed::open`]; or it lies where a sandbox can write, and the user does not name it in this call.
    pub(crate) fn unwritten(&self, path: &Path) -> Result<Held, NotOpened> {
        let held = self.open(path)?;
        let own = self.identity(held.node());
        match self.around(&held, &own) {
            Some(ground) if !self.vouched(&held, &own) => Err(NotOpened::Exposed(lies_in(&held, &ground.path))),
            Some(_) | None => Ok(held),
        }
    }

    /// The directory that was given in which something lies, or that it is itself.
    fn around(&self, held: &Held, own: &LastingId) -> Option<&GivenDir> {
        let place = self.table.place_in(held.node().mount, &held.real().to_string_lossy());
        self.grounds.iter().find(|ground| {
            ground.is(own)
                || ground.now.as_ref().is_some_and(|(id, _)| held.above().contains(id))
                || place.as_ref().zip(ground.place()).is_some_and(|(place, own)| own.contains(place))
        })
    }

    /// The directory that a sandbox can write in which something lies that is read through another file system, or through
    /// which the way to it leads; nothing where the user names it in this call.
    pub(crate) fn ground_around(&self, path: &Path) -> Option<PathBuf> {
        let held = Held::open(path).ok()?;
        let own = self.identity(held.node());
        let ground = self.around(&held, &own).or_else(|| self.passes(&held))?;
        (!self.vouched(&held, &own)).then(|| ground.path.clone())
    }

    /// Opens a part of a directory that a sandbox can write, for that sandbox itself: no symlink may be on the way.
    ///
    /// # Errors
    /// It is not there, or a symlink is.
    pub(crate) fn unlinked(&self, path: &Path) -> Result<Held, NotOpened> {
        let held = Held::open(path).map_err(NotOpened::Refused)?;
        if held.real() == path {
            return Ok(held);
        }
        let text =
            format!("`{}` is reached through a symlink, and leads to `{}`", path.display(), held.real().display());
        Err(NotOpened::Exposed(failed(text).hint("remove the symlink, or put the directory itself in its place")))
    }

    /// Whether the user names the object, or a directory in which it lies without any symlink on the way.
    fn vouched(&self, held: &Held, own: &LastingId) -> bool {
        let around = |named: &LastingId| held.asked() == held.real() && held.above().contains(&named.id());
        self.named.iter().any(|named| named.is(own) || around(named))
    }

    /// The paths of all of them.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.grounds.iter().map(|ground| ground.path.clone()).collect()
    }

    /// Refuses what this tool obeys or starts where an agent could have written it: what is in a file is not confirmed by
    /// where it lies, so that the user would have to name it in each call. `what` says what it is, such as `the program`.
    ///
    /// # Errors
    /// It lies in a directory that a sandbox can write, or the way to it leads through one. That it is not there is no error
    /// here.
    pub(crate) fn refuse_written(&self, what: &str, path: &Path) -> Result<(), Failure> {
        let Ok(held) = Held::open(path) else { return Ok(()) };
        let own = self.identity(held.node());
        if self.named.iter().any(|named| named.is(&own) || held.above().contains(&named.id())) {
            return Ok(());
        }
        let Some(ground) = self.passes(&held) else { return Ok(()) };
        let (path, ground) = (path.display(), ground.path.display());
        let real = held.real().display().to_string();
        Err(usage(format!("{what} `{path}` lies in `{ground}`, which a sandbox can write: an agent can have made it"))
            .hint("keep it where no sandbox can write")
            .hint(format!("if you are sure of it, name it in each call: `--confirm {}`", text::word(&real))))
    }

    /// The directory through which the way to something leads: a parent of it, one in which a symlink was followed, or one
    /// that shows the same part of a file system elsewhere.
    fn passes(&self, held: &Held) -> Option<&GivenDir> {
        let place = self.table.place_in(held.node().mount, &held.real().to_string_lossy());
        let passed: Vec<(LastingId, Option<DevicePath>)> = held
            .passed()
            .iter()
            .map(|dir| (self.identity(&dir.node), self.table.place_in(dir.node.mount, &dir.text())))
            .collect();
        self.grounds.iter().find(|ground| {
            let inside = |place: &DevicePath| ground.place().is_some_and(|own| own.contains(place));
            let own = ground.is(&self.identity(held.node()));
            passed.iter().any(|(dir, place)| ground.is(dir) || place.as_ref().is_some_and(inside))
                || ground.now.as_ref().is_some_and(|(id, _)| held.above().contains(id))
                || (!own && place.as_ref().is_some_and(inside))
        })
    }

    /// The directory that a sandbox can write in which something lies, or through which the way to it leads.
    pub(crate) fn ground_of(&self, path: &Path) -> Option<PathBuf> {
        self.passes(&Held::open(path).ok()?).map(|ground| ground.path.clone())
    }

    fn identity(&self, node: &Node) -> LastingId {
        LastingId::of(node, &self.boot)
    }

    /// Keeps what was seen, and that these directories are given to a sandbox for writing from now on. To be called after
    /// the last check and before the container starts.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub(crate) fn save(&self, given: &[&Held]) -> Result<()> {
        let given = given.iter().map(|held| (held.real().to_owned(), self.identity(held.node())));
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept::add(&self.state, given.collect(), seen)
    }

    /// The other paths at which this very directory was given: a container of such a path writes here as long as it runs.
    ///
    /// # Errors
    /// It is not there, or the list cannot be read.
    pub(crate) fn also_given(state: &Path, workspace: &Path) -> Result<Vec<PathBuf>> {
        let held = Held::open(workspace)?;
        let own = LastingId::of(held.node(), &kept::boot());
        let KeptList { exposed, former, .. } = KeptList::read(state, Vec::new())?;
        let all = exposed
            .into_iter()
            .map(|(path, given)| (path.into_path(), given))
            .chain(former.into_iter().map(|former| (former.path, Some(former.given))));
        let same = |(path, given): &(PathBuf, Option<LastingId>)| {
            path != held.real() && given.as_ref().is_some_and(|given| given.is(&own))
        };
        Ok(all.filter(same).map(|(path, _)| path).collect())
    }

    /// The paths at which anything was ever given, by the list of a state folder.
    ///
    /// # Errors
    /// The list cannot be read.
    pub(crate) fn given(state: &Path) -> Result<Vec<PathBuf>> {
        let KeptList { exposed, former, .. } = KeptList::read(state, Vec::new())?;
        Ok(exposed.into_keys().map(KeptPath::into_path).chain(former.into_iter().map(|former| former.path)).collect())
    }

    /// Notes that a workspace was looked through after its container was removed, so that what is new there is the user's.
    ///
    /// # Errors
    /// It is not there, or the state folder cannot be written.
    pub(crate) fn settle(state: &Path, workspace: &Path) -> Result<()> {
        kept::settle(state, LastingId::of(Held::open(workspace)?.node(), &kept::boot()))
    }

    /// Keeps what the user has named, also where no container starts.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub(crate) fn save_named(&self) -> Result<()> {
        if self.named.is_empty() { Ok(()) } else { self.save(&[]) }
    }
}

#[cfg(test)]
impl Exposed {
    /// Of a user who never had a sandbox.
    pub(crate) fn nothing() -> Exposed {
        Exposed::read(Path::new("/nowhere"), Vec::new()).expect("an empty list")
    }
}

impl GivenDir {
    fn look(path: PathBuf, given: Option<LastingId>, table: &MountTable, boot: &str) -> GivenDir {
        let held = Held::open(&path).ok().filter(|held| held.real() == path);
        let same = |held: &Held| given.as_ref().is_none_or(|given| given.is(&LastingId::of(held.node(), boot)));
        let now = held.filter(same).map(|held| {
            let place = table.place_in(held.node().mount, &held.real().to_string_lossy());
            (held.node().id, place)
        });
        GivenDir { path, given, now, settled: false }
    }

    fn is(&self, other: &LastingId) -> bool {
        self.given.as_ref().is_some_and(|given| given.is(other))
            || self.now.as_ref().is_some_and(|(id, _)| *id == other.id())
    }

    fn place(&self) -> Option<&DevicePath> {
        self.now.as_ref()?.1.as_ref()
    }
}

fn vouched(path: &Path, boot: &str) -> Result<LastingId> {
    let held = Held::open(path)?;
    if held.real() == path {
        return Ok(LastingId::of(held.node(), boot));
    }
    Err(usage(format!("`--confirm`: `{}` is a way to `{}`", path.display(), held.real().display()))
        .hint("name the object by its own path, without symlinks, if it is what you mean")
        .into())
}

fn lies_in(held: &Held, ground: &Path) -> Failure {
    let [real, ground] = [held.real(), ground].map(|path| path.display().to_string());
    usage(format!("`{real}` lies in `{ground}`, which a sandbox can write: what is read there is not safe from agents"))
        .hint("keep data sets where no sandbox can write")
        .hint(format!("if that is as you want it, name it in each call: `--confirm {}`", text::word(&real)))
}

fn leads_through(held: &Held, ground: &Path) -> Failure {
    if !ground.exists() && !held.asked().starts_with(ground) {
        return was_moved(held, ground);
    }
    let [asked, real, ground] = [held.asked(), held.real(), ground].map(|path| path.display().to_string());
    let to = if asked == real { String::new() } else { format!(" to `{real}`") };
    usage(format!(
        "`{asked}` leads through `{ground}`, which a sandbox can write,{to} and was not seen there before: an agent can have \
         put it there"
    ))
    .hint("give a path that does not lead through it, or move what is meant out of it")
    .hint(format!("if you made it and mean this very object: `--confirm {}`", text::word(&real)))
}

/// The directory that was given is known by what it is, under whatever path it lies now.
fn was_moved(held: &Held, former: &Path) -> Failure {
    usage(format!(
        "`{}` lies in the directory that was at `{}` when a sandbox could write it: it was moved, and an agent can have put \
         this there",
        held.asked().display(),
        former.display()
    ))
    .hint(format!(
        "where commits of that sandbox wait, move the directory back, take them (`cargo xtask commits --workspace {0} --take`) \
         and end the sandbox (`cargo xtask down --workspace {0}`): then it can be moved",
        text::word(&former.display().to_string())
    ))
    .hint(format!("or, if this very object is yours: `--confirm {}`", text::word(&held.real().display().to_string())))
}

#[cfg(test)]
mod tests;
