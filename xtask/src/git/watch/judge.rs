//! What becomes of what a look meets: what was there before any agent stays, and what was not is set aside.

use super::super::layout::DOT_GIT;
use super::find::{Finder, MOST_UNRESOLVED, Suspected};
use super::obeyed::Trusted;
use super::places::{Place, PlaceKind, shown};
use super::state::{Unresolved, WatchState};
use super::walk::Then;
use crate::beneath::Beneath;
use crate::ui::printable;
use anyhow::Result;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How the names of what was set aside go on.
const SUFFIX: &str = "set-aside";

impl Finder<'_> {
    pub(super) fn leave(&mut self, path: PathBuf, line: String, place: Option<Place>) {
        // What a look could not see before may have been covered since, or have been a part of more.
        let before =
            |left: &Unresolved| left.after_an_agent && (path.starts_with(&left.path) || left.path.starts_with(&path));
        let doubted = || self.doubt.is_some_and(|last| last.unresolved.iter().any(before));
        let after_an_agent = place.is_some() || self.known.is_some() || doubted() || self.is_suspect(&path);
        let left = Unresolved { path, line, place, after_an_agent };
        if self.found.unresolved.contains(&left) || self.found.unresolved.len() > MOST_UNRESOLVED {
            return;
        }
        if self.found.unresolved.len() < MOST_UNRESOLVED {
            self.found.unresolved.push(left);
        } else {
            let line = "more in the workspace was not looked at or could not be set aside".to_owned();
            self.found.unresolved.push(Unresolved { path: PathBuf::new(), line, place: None, after_an_agent: true });
        }
    }

    /// Whether an agent can have made what lies here.
    pub(super) fn is_open(&self, path: &Path) -> bool {
        let doubted = || self.doubt.is_some_and(|last| last.unresolved.iter().any(|left| left.covers(path)));
        self.known.is_some() || doubted() || self.is_suspect(path)
    }

    /// Whether an agent of another sandbox, or of one that is forgotten, can have made what lies here.
    fn is_suspect(&self, path: &Path) -> bool {
        self.suspect.is_some_and(|by| by.ground.covers(&self.root, path))
    }

    /// Whether it was there before any agent: kept as it is, and read-only inside.
    fn is_the_users(&self, place: &Place) -> bool {
        if self.suspect.is_some_and(|by| by.ground.is_vouched(&self.root, &place.path)) {
            return true;
        }
        let there = |last: &WatchState| last.places.iter().any(|there| there.may_stay(place));
        let refused = |left: &Unresolved| left.place.as_ref().is_some_and(|there| there.same(place));
        let by_own_looks = match (self.known, self.doubt) {
            (Some(known), _) => there(known),
            (None, Some(last)) => {
                let covered = last.unresolved.iter().any(|left| left.covers(&place.path) || refused(left));
                !covered || there(last)
            }
            (None, None) => true,
        };
        by_own_looks && (self.known.is_some() || !self.is_suspect(&place.path) || self.is_recorded(place))
    }

    /// Whether a look that is kept saw it before an agent could make it. The `.git` at the top was judged by the list of
    /// what was seen, before git was looked for.
    fn is_recorded(&self, place: &Place) -> bool {
        let seen = |by: &Suspected| by.recorded.iter().any(|there| there.may_stay(place));
        place.path == Path::new(DOT_GIT) || self.suspect.is_some_and(seen) || self.leads_home(place)
    }

    /// Whether it is a file that leads to a git directory of the workspace's own repository, which no agent can write: that
    /// of a submodule or of a linked working tree.
    fn leads_home(&self, place: &Place) -> bool {
        let Some(repo) = self.repo.filter(|_| place.kind == PlaceKind::File) else { return false };
        let led = Trusted::of(&self.root, place);
        led.is_some_and(|led| repo.out_of_reach().iter().any(|own| led.git_dir.starts_with(own)))
    }

    /// A symlink into other ground of agents: one that was there before stays, and a new one is set aside.
    pub(super) fn link(&mut self, dir: &Beneath, name: &OsString, path: PathBuf) {
        let Ok(text) = dir.read_link(name) else { return };
        let Some(ground) = self.outward.leads(&path, &text).map(shown) else { return };
        let is_said = |links: &BTreeMap<PathBuf, PathBuf>| links.get(&path) == Some(&text);
        let last = self.known.or(self.doubt);
        let is_known = is_said(&self.found.led_out)
            || last.is_some_and(|last| is_said(&last.led_out))
            || self.suspect.is_some_and(|by| is_said(&by.led_out) || by.ground.is_vouched(&self.root, &path));
        if is_known || !self.is_open(&path) {
            self.found.led_out.insert(path, text);
            return;
        }
        self.links += 1;
        let what = format!("`{}` leads into `{ground}`, where agents can make git directories", shown(&path));
        if self.links > MOST_UNRESOLVED {
            return self.leave(path, format!("{what}, and too many such symlinks are there to set it aside"), None);
        }
        match dir.rename_aside(name, SUFFIX) {
            Ok(to) => {
                let to = path.with_file_name(to);
                self.found.warnings.push(format!(
                    "{what}, and was not there before: it is set aside as `{}`, because git on this host that is run in it \
                     would run what is there; if you made it yourself, see docs/nested-git.md",
                    shown(&to)
                ));
                self.found.led_out.insert(to, text);
            }
            Err(err) => {
                let err = printable(&format!("{err:#}"));
                self.leave(path, format!("{what}, and could not be set aside: {err}"), None);
            }
        }
    }

    /// Keeps what was there before, and sets aside what was not. That is walked like any directory, also where it could
    /// not be set aside.
    pub(super) fn judge(&mut self, dir: &Beneath, name: &OsString, place: Place) -> Then {
        let place = place.read(dir, name);
        if self.is_the_users(&place) {
            self.found.places.push(place);
            return Then::Pass;
        }
        let path = shown(&place.path);
        match set_aside(dir, name) {
            Ok(to) => {
                if let Some(text) = dir.read_link(&to).ok().filter(|_| place.kind == PlaceKind::Link) {
                    self.found.led_out.insert(place.path.with_file_name(&to), text);
                }
                let new = shown(&place.path.with_file_name(&to));
                let new = if place.kind == PlaceKind::Bare { shown(&place.path.join(&to)) } else { new };
                let why = match self.known {
                    None if self.is_suspect(&place.path) => "lies where an agent could write, and was not there before",
                    Some(_) | None => "was not there when the sandbox was started",
                };
                self.found.warnings.push(format!(
                    "`{path}` {why}: it is set aside as `{new}`, because git on this \
                     host would run what it names; if you made it yourself, see docs/nested-git.md"
                ));
            }
            Err(err) => {
                let err = printable(&format!("{err:#}"));
                let line = format!("`{path}` is new and could not be set aside, run no git here: {err}");
                self.leave(place.path.clone(), line, Some(place));
            }
        }
        Then::Descend
    }
}

/// Renames it, and in a directory its `HEAD` too, because git would also use it from within, whatever its name.
fn set_aside(dir: &Beneath, name: &OsString) -> Result<OsString> {
    let to = dir.rename_aside(name, SUFFIX)?;
    if let Ok(Some(inner)) = dir.find_dir(&to)
        && inner.stat("HEAD").is_ok()
    {
        inner.rename_aside("HEAD".as_ref(), SUFFIX)?;
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::super::super::Environment;
    use super::super::found::Found;
    use super::*;

    #[test]
    fn what_cannot_be_set_aside_is_walked_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let root = Beneath::root(dir.path()).unwrap();
        let name = OsString::from(crate::beneath::STUCK);
        std::fs::create_dir(dir.path().join(&name)).unwrap();
        let place = Place::new(PathBuf::from(&name), PlaceKind::Directory, &root.stat(&name).unwrap());
        let known = WatchState { quiet: false, places: Vec::new(), ..Found::default().state() };
        let env = Environment::default();
        let mut finder = Finder::new(dir.path(), None, &env, Some(&known)).unwrap();
        assert_eq!(finder.judge(&root, &name, place), Then::Descend);
        assert!(finder.found.unresolved[0].line.contains("could not be set aside"));
        assert!(dir.path().join(&name).exists());
    }
}
