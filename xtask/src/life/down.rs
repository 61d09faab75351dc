//! Ends a sandbox: removes its container, and on request what would outlive it.

mod beside;

pub(crate) use beside::beside;

use super::changes::{Decision, When};
use super::elsewhere::Elsewhere;
use super::networks::{self, networks_of};
use super::reopen::reopen;
use super::volumes::caches_of;
use crate::codex::login;
use crate::context::{Context, directory, resolved};
use crate::engine::alive::Alive;
use crate::engine::running::Existing;
use crate::engine::{caches, compose, docker, removal};
use crate::error::{failed, interrupted};
use crate::life::{find, git_watch, leftovers, lock};
use crate::obeyed::Undecided;
use crate::spec::inside::FILLED;
use crate::spec::places::{self, Places};
use crate::spec::settings::{self, Flags};
use crate::step::Step;
use crate::user::User;
use crate::{exec, git, ui};
use anyhow::Result;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What is there to be removed.
pub(crate) struct Removal {
    cx: Context,
    places: Places,
    workspace: PathBuf,
    container: Option<Existing>,
    /// The ids of its networks.
    networks: Vec<String>,
    /// Whether the state folder is removed too: the Codex home and the git directory.
    all: bool,
    /// Whether the caches are removed too.
    caches: bool,
    /// The volumes of the caches that are removed: all of the user's, or those of this workspace alone with its state folder.
    volumes: Vec<String>,
    /// What has the name of a cache, and was made by somebody else: it stays.
    foreign: Vec<String>,
    /// That a container of another workspace has some of them, as a line.
    in_use: Option<String>,
    /// Whether there is a state folder.
    had_state: bool,
    /// The commits that would be lost, a line each, where the state folder is removed.
    commits: Vec<String>,
    /// Held so that no other call starts or proves the sandbox meanwhile.
    _lock: Option<File>,
}

impl Removal {
    /// Asks the engine what is there. A dry run takes no lock. `stop` ends the reading of the commits, which can take long.
    ///
    /// # Errors
    /// The settings are wrong, no engine answers, or the user has ended it: nothing was removed.
    pub(crate) fn read(
        cx: &Context,
        flags: &Flags,
        all: bool,
        caches: bool,
        dry_run: bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<Removal> {
        let settings = settings::load_without_data(cx, flags)?;
        let uid = User::read().uid;
        let places = places::of(cx, &settings.workspace, uid);
        if let Some(elsewhere) = Elsewhere::of(cx, &settings.workspace, uid)? {
            match dry_run {
                true => elsewhere.steps().iter().for_each(ui::planned),
                false => elsewhere.end()?,
            }
        }
        let lock = (!dry_run && places.dir.exists()).then(|| lock(&places)).transpose()?;
        let container = find(&compose::container_name(&places.project))?;
        places.known(&settings.workspace, container.is_some())?;
        let networks = networks_of(&places.project)?;
        if !dry_run {
            reopen(&settings.workspace, &places);
        }
        let known = if caches || all { caches_of(uid)? } else { caches::Volumes::default() };
        let volumes = if caches { known.own } else { caches::of_workspace(known.own, uid, &places.project) };
        let foreign = if caches { known.foreign } else { Vec::new() };
        let in_use = in_use(&volumes, &compose::container_name(&places.project))?;
        let commits = if all { commits(&settings.workspace, &places, stop) } else { Vec::new() };
        if stop() {
            return Err(interrupted("nothing was removed: it was interrupted").into());
        }
        Ok(Removal {
            cx: cx.clone(),
            had_state: places.dir.exists(),
            places,
            workspace: settings.workspace,
            container,
            networks,
            all,
            caches,
            volumes,
            foreign,
            in_use,
            commits,
            _lock: lock,
        })
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        self.ending().into_iter().chain(self.tidying(true)).collect()
    }

    /// Ends all that runs inside.
    fn ending(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        steps.extend(self.container.iter().map(|container| Step::Run(docker::remove(&container.id))));
        steps.extend(self.networks.iter().map(|id| Step::Run(docker::remove_network(id))));
        steps
    }

    /// The same, where another call may do so too.
    fn end(&self) -> Result<()> {
        self.container.iter().try_for_each(|container| removal::shown(&docker::remove(&container.id)))?;
        self.networks.iter().try_for_each(|id| removal::shown(&docker::remove_network(id)))
    }

    /// Removes what was made for it. What tools obeyed is kept as long as it is to be compared with.
    fn tidying(&self, decided: bool) -> Vec<Step> {
        let places = &self.places;
        let mut steps: Vec<Step> = Vec::new();
        let generated = places.override_file.parent().map(PathBuf::from);
        let filled = FILLED.map(|(role, _)| places.filled(&role));
        let files = [&places.record, &places.proof, &places.sessions].into_iter();
        let files = files.chain(decided.then_some(&places.obeyed));
        let made = filled.into_iter().chain(files.cloned());
        let remove = |path| Step::Remove { path };
        // The login first: whatever an agent left that cannot be removed, or that takes long, it is gone.
        let homes = [&places.codex_home, &places.no_codex_home].into_iter().filter(|_| self.all);
        steps.extend(homes.map(|home| remove(home.join("auth.json"))));
        steps.extend(generated.into_iter().chain(made).map(remove));
        if !self.volumes.is_empty() {
            // Two workspaces of a user may remove their common caches at the same time.
            steps.push(Step::Run(docker::remove_volumes(&self.volumes)));
        }
        if self.all {
            // The leases of the login are kept for all workspaces: the next entry of another one asks again.
            steps.extend(login::all_kept(&places.leases).into_iter().chain([places.dir.clone()]).map(remove));
        }
        steps
    }

    /// What cannot be restored once it is removed, a line each.
    pub(crate) fn losses(&self) -> Vec<String> {
        let home = self.all.then(|| {
            format!(
                "`{}` holds the sandbox's Codex home (its sessions and login) and its git directory",
                self.places.dir.display()
            )
        });
        let volumes = caches::whose(&self.volumes, User::read().uid, &self.places.project);
        let volumes = volumes.into_iter().map(|line| format!("removed with it: {line}"));
        home.into_iter().chain(self.commits.clone()).chain(volumes).chain(self.in_use.clone()).collect()
    }

    /// Says that what is undecided can be decided for the last time, where that is so.
    pub(crate) fn last_chance(&self) -> Option<String> {
        let lines = self.undecided();
        (self.all && !lines.is_empty()).then(|| {
            format!(
                "what acts by itself is undecided: {}; `cargo xtask down --all --on-change restore` (or `aside`) is the last \
                 chance to undo it",
                lines.join(", ")
            )
        })
    }

    /// What acts by itself and waits for a decision since the last look, a line each.
    pub(crate) fn undecided(&self) -> Vec<String> {
        Undecided::read(&self.places.obeyed).lines()
    }

    /// The commits that would be lost, a line each.
    pub(crate) fn commits(&self) -> &[String] {
        &self.commits
    }

    /// What runs inside now, a line each.
    pub(crate) fn alive(&self) -> Result<Vec<String>> {
        let Some(running) = self.container.as_ref().filter(|container| container.up) else { return Ok(Vec::new()) };
        Ok(leftovers::named(Alive::read(&running.container)?.others(), leftovers::line))
    }

    /// Nothing of the sandbox can write any more: the last look at what it left. From here on all changes are the user's. Says
    /// whether it was looked at all that tools obey, and all of it is decided.
    fn look(&self, decision: &Decision<'_>) -> bool {
        let (places, workspace) = (&self.places, resolved(&self.workspace));
        let (complete, seen) = git_watch::look_at_end(&self.cx, &workspace, places, decision);
        if complete && let Err(err) = git_watch::settle(&self.cx, &workspace, User::read().uid) {
            ui::warn(format_args!("that nothing of an agent's is left there was not noted: {err:#}"));
        }
        let settled = seen.map_or(Ok(false), |look| decision.settle(look, &workspace, places, When::End));
        let decided = settled.unwrap_or_else(|err| {
            ui::warn(format_args!("what changed in the workspace could not be looked at: {err:#}"));
            false
        });
        if !decided && places.obeyed.exists() {
            ui::warn(match self.all {
                true => {
                    "what tools on this host obeyed before is removed with the rest: from now on nothing tells what changed, and nothing restores it"
                }
                false => {
                    "what tools on this host obeyed before is kept, because what changed is not decided, or not all was \
                     compared: the next start, or `cargo xtask down --on-change keep`, compares with it"
                }
            });
        }
        decided
    }

    /// Removes it, says what was kept, and returns the container that was removed.
    pub(crate) fn run(self, decision: &Decision<'_>, stop: &dyn Fn() -> bool) -> Result<Option<Existing>> {
        self.end()?;
        // Nobody waits for those of others.
        let _ = networks::sweep(&self.cx, &self.places);
        let decided = self.look(decision);
        let note = self.all.then(|| login::WholeNote::read(&self.places.codex_home, &self.places.login)).flatten();
        let leases = if self.all { login::all_kept(&self.places.leases) } else { Vec::new() };
        let locks = login::lock_all(&leases, stop)?;
        let tidied = exec::each(&self.tidying(decided), stop);
        drop(locks);
        // What could not be removed of the home may hold a copy of the whole login.
        note.map_or(Ok(()), login::WholeNote::keep)?;
        tidied.map_err(|err| if self.volumes.is_empty() { err } else { err.context(not_all()) })?;
        let name = compose::container_name(&self.places.project);
        ui::say(match self.container {
            Some(_) => format!("removed the container `{name}`"),
            None => format!("there was no container `{name}`"),
        });
        for name in &self.foreign {
            ui::warn(format_args!(
                "`{name}` has the name of a cache, and was not made by this tool: it stays; `docker volume rm {name}` removes it"
            ));
        }
        if self.caches && self.volumes.is_empty() {
            ui::say("there were no caches");
        }
        let dir = self.places.dir.display();
        if self.all && self.had_state {
            ui::say(format_args!("removed `{dir}`: the sandbox's Codex home and its git directory"));
        } else if self.places.codex_home.exists() {
            ui::say(format_args!("kept `{dir}`; `cargo xtask down --all` removes it too"));
        }
        Ok(self.container)
    }
}

/// What only the sandbox's git directory has. Where that cannot be known, the line says so: it is a loss, too.
fn commits(workspace: &Path, places: &Places, stop: &dyn Fn() -> bool) -> Vec<String> {
    if !places.git.join("git").exists() {
        return Vec::new();
    }
    let read = || -> Result<Vec<String>> {
        let repository = git::detect(&directory("the workspace", workspace)?)?
            .ok_or_else(|| failed(format!("`{}` is no git repository any more", workspace.display())))?;
        Ok(git::losses(&git::list(&repository, &places.git, stop)?))
    };
    read().unwrap_or_else(|err| {
        let dir = places.git.display();
        vec![ui::printable(&format!(
            "`{dir}` may hold commits that only the sandbox has, and they cannot be read: {err:#}"
        ))]
    })
}

/// Which of the caches another container than this workspace's has mounted, as a line: the engine removes none of those.
fn in_use(volumes: &[String], own: &str) -> Result<Option<String>> {
    if volumes.is_empty() {
        return Ok(None);
    }
    let said = exec::stdout_of(&docker::mounted_volumes())?;
    let others = said.lines().filter(|line| line.split(',').next() != Some(own)).collect::<Vec<_>>().join("\n");
    let mounted = caches::mounted(volumes, &others);
    Ok((!mounted.is_empty()).then(|| {
        format!("in use by the container of another workspace, so that they stay: `{}`", mounted.join("`, `"))
    }))
}

fn not_all() -> crate::error::Failure {
    failed("not everything was removed: the caches may be in use by the sandbox of another workspace")
        .hint("`cargo xtask down --workspace DIR` ends that one; then run this again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Command;

    #[test]
    fn the_login_goes_first_whatever_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context { state: dir.path().join("state"), root: dir.path().join("root"), ..Context::default() };
        let places = places::of(&cx, dir.path(), 1000);
        let removal = |all| Removal {
            cx: cx.clone(),
            places: places.clone(),
            workspace: dir.path().into(),
            container: None,
            networks: Vec::new(),
            all,
            caches: false,
            volumes: Vec::new(),
            foreign: Vec::new(),
            in_use: None,
            had_state: true,
            commits: Vec::new(),
            _lock: None,
        };
        let login = places.codex_home.join("auth.json");
        let first = removal(true).tidying(true).into_iter().next();
        assert_eq!(first, Some(Step::Remove { path: login.clone() }));
        assert!(
            !removal(false).tidying(true).contains(&Step::Remove { path: login.clone() }),
            "it stays with its home"
        );
        // The lock of a renewal outlives the lease: another sandbox may be having one renewed under it.
        let kept = places.leases.join("0123");
        exec::create_dir(&kept, 0o700).unwrap();
        ["lease.json", "lock"].iter().for_each(|name| std::fs::write(kept.join(name), "").unwrap());
        let steps = removal(true).tidying(true);
        assert!(steps.contains(&Step::Remove { path: kept.join("lease.json") }), "{steps:?}");
        let takes_lock = |step: &Step| matches!(step, Step::Remove { path } if kept.join("lock").starts_with(path));
        assert!(!steps.iter().any(takes_lock), "{steps:?}");
        // A step that fails ends none of the others, and the user can end them all.
        exec::create_dir(&places.codex_home, 0o700).unwrap();
        std::fs::write(&login, "secret").unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let fails = Step::Remove { path: dir.path().join("file/in-no-directory") };
        let gone = Step::Remove { path: login.clone() };
        assert!(exec::each(&[fails.clone(), gone.clone()], &|| true).unwrap_err().to_string().contains("interrupted"));
        assert!(login.exists());
        assert!(exec::each(&[fails, gone], &|| false).is_err());
        assert!(!login.exists());
    }

    #[test]
    fn the_reading_of_the_commits_ends_when_the_user_wants_it() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context { state: dir.path().join("state"), ..Context::default() };
        let workspace = dir.path().canonicalize().unwrap().join("work");
        std::fs::create_dir(&workspace).unwrap();
        let init = |at: &str| exec::capture(&Command::new("git").args(["init", "-q", at])).unwrap();
        init(workspace.to_str().unwrap());
        let places = places::of(&cx, &workspace, 1000);
        assert_eq!(commits(&workspace, &places, &|| true), Vec::<String>::new(), "it has no git directory");
        let private = places.git.join("git");
        exec::create_dir(&private, 0o700).unwrap();
        let script = "git init -q --bare . && t=$(git mktree </dev/null) && c=$(git -c user.name=x -c user.email=x@y \
                      commit-tree $t -m m) && git update-ref refs/heads/new $c";
        assert!(exec::capture(&Command::new("sh").args(["-ec", script]).dir(&private)).unwrap().ok());
        let lines = commits(&workspace, &places, &|| true);
        assert!(lines.len() == 1 && lines[0].contains("they cannot be read"), "{lines:?}");
        let lines = commits(&workspace, &places, &|| false);
        assert!(lines.len() == 1 && lines[0].starts_with("only the sandbox has"), "{lines:?}");
    }
}
