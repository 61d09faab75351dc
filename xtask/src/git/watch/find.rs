//! One look at the workspace: what git would run or obey there, which of it was there before, and what is set aside; and
//! what else of an agent's must not stay.

use super::super::layout::DOT_GIT;
use super::super::{Environment, Repository};
use super::bits::Bits;
use super::found::Found;
use super::linked::Search;
use super::obeyed::{self, Trusted};
use super::outward::Outward;
use super::places::{Place, PlaceKind, lookup, shown};
use super::settings::{Named, Reader};
use super::state::WatchState;
use super::text;
use super::told::Unfinished;
use super::walk::{Bound, Met, Then, Walk};
use crate::beneath::Beneath;
use crate::error::{failed, interrupted};
use crate::exposed::Suspect;
use crate::obeyed::Look;
use crate::second_name::Writers;
use crate::ui::printable;
use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The most that is kept one by one of what could not be looked at or set aside.
pub(super) const MOST_UNRESOLVED: usize = 100;

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
    pub(super) root: Beneath,
    pub(super) repo: Option<&'a Repository>,
    pub(super) env: &'a Environment,
    /// What was there before the agent ran; `None` where all that is there is the user's own.
    pub(super) known: Option<&'a WatchState>,
    /// What the last look left unresolved, where all else that is there is the user's own.
    pub(super) doubt: Option<&'a WatchState>,
    /// What agents can have made besides, where a container is to be started.
    pub(super) suspect: Option<&'a Suspected>,
    pub(super) bits: Bits,
    pub(super) outward: Outward,
    /// How many symlinks of agents' were set aside.
    pub(super) links: usize,
    /// The files outside of the workspace, or in places that are read-only as a whole, that git runs or obeys.
    pub(super) run: Vec<PathBuf>,
    /// The look at what other tools obey, where one is wanted.
    pub(super) obeyed: Option<Look>,
    /// Whether the user wants it to end.
    pub(super) stop: &'a dyn Fn() -> bool,
    pub(super) found: Found,
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
            stop: &|| false,
            found: Found::default(),
        })
    }

    /// The same walk serves the look at what other tools obey.
    pub(super) fn looking(self, obeyed: Option<Look>) -> Finder<'a> {
        Finder { obeyed, ..self }
    }

    /// Ends where the user wants that.
    pub(super) fn stopping(self, stop: &'a dyn Fn() -> bool) -> Finder<'a> {
        Finder { stop, ..self }
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
        let stop = self.stop;
        let interrupted = || interrupted("it was interrupted, and nothing of it counts as looked at");
        let mut walk = Walk::new(&root, bound, stop);
        walk.after_an_agent =
            self.known.is_some() || self.doubt.is_some() || self.suspect.is_some_and(|by| !by.ground.is_none());
        let mut cut = false;
        walk.run(first, &mut |met| {
            cut |= matches!(met, Met::Unseen { .. });
            self.meet(met)
        });
        if stop() {
            return Err(interrupted().into());
        }
        if let Some(look) = &mut self.obeyed {
            if cut {
                look.cut();
            }
            look.finish(&root, stop);
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
            if stop() {
                return Err(interrupted().into());
            }
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

    fn meet(&mut self, met: Met<'_>) -> Then {
        match met {
            Met::Git { dir, name, place } => self.judge(dir, name, place),
            Met::Attributes { path, text } => {
                text::add(&mut self.found.attributes, &mut self.found.attribute_bytes, &path, text);
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
}
