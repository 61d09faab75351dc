//! One look at the workspace: what git would run or obey there, which of it was there before, and what is set aside; and
//! what else of an agent's must not stay.

use super::super::layout::DOT_GIT;
use super::super::{Environment, Repository};
use super::bits::Bits;
use super::linked::{Led, Search};
use super::obeyed::{self, Trusted};
use super::outward::Outward;
use super::places::{Place, PlaceKind, lookup, shown};
use super::settings::{Named, Reader};
use super::state::{Unresolved, WatchState};
use super::text;
use super::told::{Told, Unfinished};
use super::walk::{Bound, Met, Then, Walk};
use crate::beneath::Beneath;
use crate::error::{Failure, failed};
use crate::exposed::Suspect;
use crate::obeyed::Look;
use crate::second_name::Writers;
use crate::ui::printable;
use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How the names of what was set aside go on.
const SUFFIX: &str = "set-aside";

/// The most that is kept one by one of what could not be looked at or set aside.
const MOST_UNRESOLVED: usize = 100;

/// What one look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is there, without what was set aside; outer ones before those that lie in them.
    pub(super) places: Vec<Place>,
    pub(super) attributes: text::Attributes,
    pub(super) modules: text::Submodules,
    pub(super) unresolved: Vec<Unresolved>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// Links that lead to what is not there yet.
    pub(super) dangling: Vec<Led>,
    /// What the settings of git name and cannot be known, a line each.
    pub(super) unknown: BTreeSet<String>,
    /// The relative parts of `PATH`.
    pub(super) relative_search: Vec<String>,
    /// Files that git runs or obeys, with another name under which an agent could write them.
    pub(super) second_names: Vec<Failure>,
    /// The symlinks into other ground of agents that stay or are set aside, and what they say.
    pub(super) led_out: BTreeMap<PathBuf, PathBuf>,
    /// The look at what other tools obey.
    pub(super) obeyed: Option<Look>,
    /// What makes git run or obey what lies at a path below the workspace.
    said: BTreeMap<PathBuf, String>,
}

impl Found {
    /// What names a place, or what lies behind it.
    pub(super) fn said_of(&self, place: &Path) -> Option<&str> {
        self.said.iter().find(|(path, _)| path.starts_with(place)).map(|(_, said)| said.as_str())
    }

    /// All that is there as known, while no agent runs.
    pub(super) fn state(&self) -> WatchState {
        WatchState {
            quiet: true,
            ended: true,
            places: self.places.clone(),
            attributes: self.attributes.clone(),
            modules: self.modules.clone(),
            led_out: self.led_out.clone(),
            unresolved: self.unresolved.clone(),
        }
    }
}

impl From<Found> for Told {
    fn from(found: Found) -> Told {
        let complete = found.unresolved.is_empty();
        Told { notes: found.notes, warnings: found.warnings, complete, obeyed: found.obeyed.map(Box::new) }
    }
}

impl Found {
    /// For a look that failed after it has begun.
    pub(super) fn unfinished(self, why: anyhow::Error) -> Unfinished {
        Unfinished { told: Told { complete: false, ..self.into() }, why }
    }
}

/// What agents can have made that the last look says nothing of, and what is known of it all the same.
#[derive(Debug, Default)]
pub(super) struct Suspected {
    pub(super) ground: Suspect,
    /// What lay there before they ran, by the looks that are kept, with paths below this workspace.
    pub(super) recorded: Vec<Place>,
    pub(super) led_out: BTreeMap<PathBuf, PathBuf>,
    /// What is read-only in those sandboxes.
    pub(super) guarded: Vec<PathBuf>,
}

/// Looks at everything once.
pub(super) struct Finder<'a> {
    root: Beneath,
    repo: Option<&'a Repository>,
    env: &'a Environment,
    /// What was there before the agent ran; `None` where all that is there is the user's own.
    known: Option<&'a WatchState>,
    /// What the last look left unresolved, where all else that is there is the user's own.
    doubt: Option<&'a WatchState>,
    /// What agents can have made besides, where a container is to be started.
    suspect: Option<&'a Suspected>,
    bits: Bits,
    outward: Outward,
    /// How many symlinks of agents' were set aside.
    links: usize,
    /// The files outside of the workspace, or in places that are read-only as a whole, that git runs or obeys.
    run: Vec<PathBuf>,
    /// The look at what other tools obey, where one is wanted.
    obeyed: Option<Look>,
    found: Found,
}

impl<'a> Finder<'a> {
    pub(super) fn new(
        workspace: &Path,
        repo: Option<&'a Repository>,
        env: &'a Environment,
        known: Option<&'a WatchState>,
    ) -> Result<Finder<'a>> {
        let root = Beneath::root(workspace)?;
        Ok(Finder {
            root,
            repo,
            env,
            known,
            doubt: None,
            suspect: None,
            bits: Bits::default(),
            outward: Outward::of(workspace, env)?,
            links: 0,
            run: Vec::new(),
            obeyed: None,
            found: Found::default(),
        })
    }

    /// The same walk serves the look at what other tools obey.
    pub(super) fn looking(self, obeyed: Option<Look>) -> Finder<'a> {
        Finder { obeyed, ..self }
    }

    /// While no agent runs: what this look left unresolved is not taken for the user's.
    pub(super) fn doubting(self, last: Option<&'a WatchState>) -> Finder<'a> {
        let in_doubt = |state: &&WatchState| state.unresolved.iter().any(|left| left.after_an_agent);
        Finder { doubt: last.filter(in_doubt), ..self }
    }

    /// Before a container starts: what agents of other sandboxes can have made is not taken for the user's either.
    pub(super) fn suspecting(self, suspect: &'a Suspected) -> Finder<'a> {
        Finder { suspect: Some(suspect), ..self }
    }

    pub(super) fn find(mut self, bound: &Bound) -> Result<Found, Unfinished> {
        let found = self.search(bound);
        self.found.warnings.extend(std::mem::take(&mut self.bits).lines());
        self.found.obeyed = self.obeyed.take();
        match found {
            Ok(()) => Ok(self.found),
            Err(why) => Err(self.found.unfinished(why)),
        }
    }

    fn search(&mut self, bound: &Bound) -> Result<()> {
        // Git is run in the workspace's own git directory only where that is still the one which was there.
        self.named(Path::new(DOT_GIT));
        let own = self.repo.filter(|_| self.found.places.iter().any(|place| place.path == Path::new(DOT_GIT)));
        let submodules = own.map_or(Ok(Vec::new()), obeyed::submodules)?;
        // Where git at the top of the workspace goes is looked at first: no number of other files keeps it unseen.
        let mut first: Vec<PathBuf> = submodules;
        let known = self.known.iter().flat_map(|known| &known.places);
        first.extend(known.filter_map(|place| place.path.parent().map(Path::to_path_buf)));
        let root = self.root.open_dir(".")?.context("the workspace is gone")?;
        let mut walk = Walk::new(&root, bound);
        walk.after_an_agent =
            self.known.is_some() || self.doubt.is_some() || self.suspect.is_some_and(|by| !by.ground.is_none());
        walk.run(first, &mut |met| self.meet(met));
        if let Some(look) = &mut self.obeyed {
            look.finish(&root);
        }
        let nested = self.found.places.iter().filter_map(|place| Trusted::of(&self.root, place));
        let enclosing = obeyed::enclosing(self.root.path());
        let mut repos = nested.chain(enclosing).collect::<Vec<_>>();
        let workspace = self.root.path().to_path_buf();
        if self.env.has_git() && !repos.iter().any(|repo| repo.work_tree == workspace) {
            repos.push(Trusted::none_yet(&workspace));
        }
        let mut reader = Reader::new(&workspace, self.env);
        for repo in &repos {
            let named = reader.read(repo)?;
            self.obeyed(repo, &reader, named)?;
        }
        self.second_names();
        self.found.relative_search = self.env.relative_search();
        let before = self.known.map(|known| (&known.attributes, &known.modules));
        self.found.modules = text::modules(&self.root);
        if let Some((attributes, modules)) = before {
            let lines = text::new_modules(modules, &self.found.modules);
            self.found.warnings.extend(lines);
            let lines = text::new_filters(attributes, &self.found.attributes, own, self.env)?;
            self.found.warnings.extend(lines);
        }
        self.found.places.sort_by(|a, b| a.path.cmp(&b.path));
        self.found.places.dedup_by(|a, b| a.path == b.path);
        Ok(())
    }

    /// What the configuration of a repository of the user's makes git run or obey in the workspace.
    fn obeyed(&mut self, repo: &Trusted, reader: &Reader<'_>, named: Named) -> Result<()> {
        self.found.unknown.extend(named.unknown);
        self.by_name(named.paths, named.elsewhere)?;
        let guarded =
            self.found.places.iter().filter(|place| matches!(place.kind, PlaceKind::Directory | PlaceKind::Bare));
        let guarded = guarded.map(|place| self.root.path().join(&place.path)).collect();
        let mut search = Search::new(self.root.path(), guarded);
        search.git_dir(&repo.git_dir)?;
        for dir in named.hooks {
            match obeyed::below(self.root.path(), &dir) {
                // It is one of the paths above.
                Some(rel) => search.guarded(&dir, self.root.path().join(rel))?,
                None => search.directory(&dir)?,
            }
        }
        let scripts = reader.interpreters(repo, search.files.iter().cloned())?;
        self.by_name(scripts.paths, scripts.elsewhere)?;
        self.run.append(&mut search.files);
        for led in search.found {
            match lookup(&self.root, &led.target) {
                Ok(None) => self.found.dangling.push(led),
                Ok(Some(_)) | Err(_) => self.named(&led.target),
            }
        }
        Ok(())
    }

    fn by_name(&mut self, paths: BTreeMap<PathBuf, String>, elsewhere: BTreeMap<PathBuf, String>) -> Result<()> {
        for (path, said) in elsewhere {
            self.elsewhere(&path, &said)?;
            self.run.push(path);
        }
        for (path, said) in paths {
            self.named(&path);
            self.found.said.entry(path).or_insert(said);
        }
        Ok(())
    }

    /// A file that is read-only under one name can be written under another.
    fn second_names(&mut self) {
        let root = self.root.path();
        let others = self.suspect.map_or_else(Vec::new, |by| by.ground.paths());
        let writers = Writers::of([root].into_iter().chain(others), self.env.programs());
        let is_whole = |place: &&Place| matches!(place.kind, PlaceKind::Directory | PlaceKind::Bare);
        let guarded = self.found.places.iter().filter(is_whole).map(|place| root.join(&place.path)).collect::<Vec<_>>();
        let single = self.found.places.iter().filter(|place| place.kind == PlaceKind::File);
        let files: BTreeSet<PathBuf> =
            single.map(|place| root.join(&place.path)).chain(std::mem::take(&mut self.run)).collect();
        let refused = files.iter().filter_map(|path| writers.refuse(path, &guarded).err());
        self.found.second_names = refused.take(MOST_UNRESOLVED).collect();
    }

    /// What lies where another sandbox can write: only that sandbox can have it read-only.
    fn elsewhere(&self, path: &Path, said: &str) -> Result<()> {
        let Some(by) = self.suspect else { return Ok(()) };
        let Some(ground) = by.ground.around(path) else { return Ok(()) };
        if by.guarded.iter().any(|guarded| path.starts_with(guarded)) {
            return Ok(());
        }
        let path = shown(path);
        Err(failed(format!(
            "{said} makes git on this host run or obey `{path}`, which lies in `{}`, where another sandbox can write",
            shown(ground)
        ))
        .hint("let it name what lies outside of every workspace")
        .hint(format!(
            "or start that sandbox again, which makes it read-only there; if you are sure of it: `--confirm {}`",
            shell_words::quote(&path)
        ))
        .into())
    }

    fn named(&mut self, path: &Path) {
        match lookup(&self.root, path) {
            Ok(None) => {}
            Ok(Some((dir, name, place))) => {
                self.judge(&dir, &name, place);
            }
            Err(err) => {
                let line =
                    format!("`{}` was not looked at: {}", crate::text::path(path), printable(&format!("{err:#}")));
                self.leave(path.to_path_buf(), line, None);
            }
        }
    }

    fn leave(&mut self, path: PathBuf, line: String, place: Option<Place>) {
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
    fn is_open(&self, path: &Path) -> bool {
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

    fn meet(&mut self, met: Met<'_>) -> Then {
        match met {
            Met::Git { dir, name, place } => self.judge(dir, name, place),
            Met::Attributes { path, text } => {
                text::add(&mut self.found.attributes, &path, text);
                Then::Descend
            }
            Met::Link { dir, name, path } => {
                self.link(dir, name, path);
                Then::Descend
            }
            Met::Bits { dir, name, path, node } => {
                if self.is_open(&path) {
                    self.bits.take(dir, name, path, &node);
                }
                Then::Descend
            }
            Met::Obeyed { dir, name, path, found } => {
                if let Some(look) = &mut self.obeyed {
                    look.meet(dir, name, &path, found);
                }
                Then::Descend
            }
            Met::Unseen { path, line } => {
                self.leave(path, line, None);
                Then::Descend
            }
        }
    }

    /// A symlink into other ground of agents: one that was there before stays, and a new one is set aside.
    fn link(&mut self, dir: &Beneath, name: &OsString, path: PathBuf) {
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
    fn judge(&mut self, dir: &Beneath, name: &OsString, place: Place) -> Then {
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
    use super::*;

    #[test]
    fn what_cannot_be_set_aside_is_walked_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        // No longer name is possible.
        let name = OsString::from("x".repeat(250));
        std::fs::create_dir(dir.path().join(&name)).unwrap();
        let root = Beneath::root(dir.path()).unwrap();
        let place = Place::new(PathBuf::from(&name), PlaceKind::Directory, &root.stat(&name).unwrap());
        let known = WatchState { quiet: false, places: Vec::new(), ..Found::default().state() };
        let env = Environment::default();
        let mut finder = Finder::new(dir.path(), None, &env, Some(&known)).unwrap();
        assert_eq!(finder.judge(&root, &name, place), Then::Descend);
        assert!(finder.found.unresolved[0].line.contains("could not be set aside"));
        assert!(dir.path().join(&name).exists());
    }
}
