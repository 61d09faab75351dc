//! What is wanted, gathered before anything is changed: settings, and the facts of this host, side by side.

use super::early::{self, Early};
use super::home;
use crate::codex;
use crate::codex::Codex;
use crate::codex::home::Mirror;
use crate::context::{Context, canonical, resolved};
use crate::engine;
use crate::engine::Engine;
use crate::engine::running::Running;
use crate::error::usage;
use crate::exec;
use crate::git;
use crate::git::{Identity, Repository};
use crate::image::Inputs;
use crate::image::build;
use crate::life::record;
use crate::network;
use crate::network::HostNetwork;
use crate::spec::places;
use crate::spec::places::Places;
use crate::spec::promise::Mount;
use crate::spec::settings;
use crate::spec::settings::{Flags, LOCAL_FILE, Settings};
use crate::ui;
use crate::user::User;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Everything that was gathered.
pub struct Wish {
    /// The settings, every data set with its source.
    pub settings: Settings,
    /// The host user.
    pub user: User,
    /// Where this workspace's things lie.
    pub places: Places,
    /// The host's Codex.
    pub codex: Codex,
    /// What decides what is in the image, without the base's id.
    pub image: Inputs,
    /// The container that is there already.
    pub running: Option<Running>,
    /// The workspace's repository.
    pub repository: Option<Repository>,
    /// Who commits inside.
    pub identity: Identity,
    /// The CA bundle and the proxies.
    pub network: HostNetwork,
    /// The workspace, canonical.
    pub workspace: PathBuf,
    /// The data sets as mounts, canonical.
    pub datasets: Vec<Mount>,
    /// The host's side of the Codex home; empty where nothing is to be entered.
    pub mirror: Mirror,
    /// What the container that ran last said of itself.
    pub early: Option<Early>,
    /// What the engine said, where no container was known and one has to be started.
    pub engine: Option<Engined>,
}

/// What the engine says before a container is started: of itself, and of the images that it has.
pub struct Engined {
    /// The engine itself.
    pub engine: Engine,
    /// The image.
    pub image: build::State,
}

impl Engined {
    /// Asks both at the same time.
    ///
    /// # Errors
    /// No engine answers.
    pub fn read(cx: &Context, settings: &Settings, user: &User) -> Result<Engined> {
        let (engine, image) = exec::both(|| engine::read(cx), || build::state(cx, settings, user));
        Ok(Engined { engine: engine?, image: image? })
    }
}

/// What is known without asking any program.
pub struct Ground {
    settings: Settings,
    user: User,
    workspace: PathBuf,
    datasets: Vec<Mount>,
    repository: Option<Repository>,
    network: HostNetwork,
    /// Where this workspace's things lie.
    pub places: Places,
}

/// Gathers settings and facts.
///
/// # Errors
/// Wrong settings, a missing source, no engine, no Codex.
pub fn gather(cx: &Context, flags: &Flags) -> Result<Wish> {
    Ground::read(cx, flags)?.gather(cx, false)
}

impl Ground {
    /// Reads the settings and what they name.
    ///
    /// # Errors
    /// Wrong settings, a missing source.
    pub fn read(cx: &Context, flags: &Flags) -> Result<Ground> {
        let mut settings = settings::load(cx, flags)?;
        give_sources(cx, &mut settings)?;
        let user = User::read();
        let workspace = canonical("the workspace", &settings.workspace)?;
        if workspace.parent().is_none() {
            return Err(usage("the workspace `/` is this whole host")
                .hint("give the project's directory with `--workspace DIR`")
                .into());
        }
        let datasets =
            settings.datasets.iter().filter_map(|set| set.mount().transpose()).collect::<Result<Vec<_>>>()?;
        Ok(Ground {
            places: places::of(cx, &workspace, user.uid),
            repository: git::detect(&workspace)?,
            network: network::read(cx),
            settings,
            user,
            workspace,
            datasets,
        })
    }

    /// Asks what takes its time side by side: the engine for the container, Codex for its version, git
    /// for the user's name, and (to enter, with the lock held) the container that ran last for its half of the proof.
    ///
    /// # Errors
    /// No engine, no Codex.
    pub fn gather(self, cx: &Context, enter: bool) -> Result<Wish> {
        let Ground { settings, user, workspace, datasets, repository, network, places } = self;
        let container = crate::engine::compose::container_name(&places.project);
        // Codex is started to learn its version: one that the agent could have written is refused before that.
        let launcher = codex::find(cx, settings.codex.as_deref())?;
        refuse_own_codex(&launcher, &workspace)?;
        let mirror = if enter { home::read(cx, &settings)? } else { Mirror::default() };
        let early = || -> Result<Option<Early>> {
            home::guest(&places, &network)?;
            let last = record::last(&places);
            last.map(|(id, entry)| early::ask(id, &entry, &workspace, &mirror)).transpose()
        };
        // Whatever is likely to be needed next is asked for already: the container, or where none is known what it
        // takes to start one.
        let next = || match (enter, places.entry.exists()) {
            (false, _) => Ok((None, None)),
            (true, true) => early().map(|early| (early, None)),
            (true, false) => Engined::read(cx, &settings, &user).map(|engine| (None, Some(engine))),
        };
        let identity = || repository.as_ref().map_or(Ok(Identity::default()), |repo| git::identity(Some(repo)));
        let image = build::inputs(cx, &settings, &user)?;
        // Where nothing is entered, nothing is copied.
        let resolve = if enter { codex::resolve } else { codex::plan };
        // The answer from inside takes longest: it is asked for first.
        let (next, (running, (codex, identity))) = exec::both(next, || {
            exec::both(|| super::find(&container), || (resolve(cx, settings.codex.as_deref()), identity()))
        });
        let (codex, running, identity, (early, engine)) = (codex?, running?, identity?, next?);
        Ok(Wish {
            settings,
            user,
            places,
            codex,
            image,
            running,
            repository,
            identity,
            network,
            workspace,
            datasets,
            mirror,
            early,
            engine,
        })
    }
}

/// Refuses a Codex that the agent could have written, before it is started.
///
/// # Errors
/// The launcher, or what it leads to, lies in the workspace.
pub fn refuse_own_codex(launcher: &Path, workspace: &Path) -> Result<()> {
    if !launcher.starts_with(workspace) && !resolved(launcher).starts_with(workspace) {
        return Ok(());
    }
    Err(usage(format!("the Codex at `{}` lies in the workspace: an agent can have written it", launcher.display()))
        .hint("give another with `--codex PATH`, or take the workspace out of PATH")
        .into())
}

/// A declared data set without a source is asked for where there is a terminal, and is an error where there is none.
fn give_sources(cx: &Context, settings: &mut Settings) -> Result<()> {
    for dataset in &mut settings.datasets {
        if dataset.source.is_some() {
            continue;
        }
        let name = &dataset.name;
        let missing = || settings::no_source(name);
        if !cx.stdin_tty {
            return Err(missing().into());
        }
        let answer = ui::ask(&format!("Directory of the data set `{name}`: ")).filter(|line| !line.is_empty());
        let dir = cx.absolute(Path::new(&answer.ok_or_else(missing)?));
        if ui::confirm(&format!("Remember it in {LOCAL_FILE}?")) {
            remember(cx, name, &dir)?;
        }
        dataset.source = Some(dir);
    }
    Ok(())
}

/// Adds a data set to `sandbox.local.yaml`, whose other lines and comments stay as they are.
fn remember(cx: &Context, name: &str, dir: &Path) -> Result<()> {
    let path = cx.root.join(LOCAL_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(err) => return Err(err).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let text = settings::with_dataset(&text, name, dir)?;
    exec::write_file(&path, text.as_bytes(), 0o644)
}
