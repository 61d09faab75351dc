//! Everything that is known before anything is changed: the ground (`ground`), and what programs say, asked side by side.

use super::early::{self, Early};
use super::ground::Ground;
use super::volumes::caches_of;
use super::{guest, record};
use crate::codex::home::Mirror;
use crate::codex::login::{self, FromHost, HostCodex, HostLogin, InHome, Patience};
use crate::codex::{self, Codex};
use crate::context::{Context, resolved};
use crate::engine::caches::Volumes;
use crate::engine::compose::container_name;
use crate::engine::running::Existing;
use crate::engine::{self, Engine};
use crate::error::{self, Failure, Kind, usage};
use crate::exec;
use crate::exposed::{Exposed, NotOpened};
use crate::git::{self, Identity};
use crate::gpu::{self, GpuFacts};
use crate::image::{Inputs, build};
use crate::signals::Signals;
use crate::spec::Role;
use crate::spec::settings::Settings;
use crate::spec::words::{Gpus, Mode};
use crate::user::User;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// What is gathered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To enter, with the lock held: the container that ran last is asked for its half of the proof meanwhile.
    Enter,
    /// To start a container, with the lock held, where the one that ran was stopped.
    Start,
    /// To show or check what exists.
    Look,
    /// To print a plan: what the engine does not say is noted and left open.
    DryRun,
}

/// Everything that was gathered.
pub(crate) struct Gathered {
    /// What is known without asking any program.
    pub ground: Ground,
    pub codex: Codex,
    /// What decides what is in the image, without the base's id.
    pub image: Inputs,
    /// The container that is there already.
    pub existing: Option<Existing>,
    /// Who commits inside.
    pub identity: Identity,
    /// The host's side of the Codex home.
    pub mirror: Mirror,
    /// Which login the host has.
    pub(super) host_login: HostLogin,
    /// Whether the sandbox has a login of its own.
    pub(super) own_login: bool,
    /// What the host has of its login for the sandbox.
    pub(super) login: FromHost,
    /// The answer of the container that ran last, which was asked meanwhile.
    pub(super) early: Option<Early>,
    /// What the engine said, where a container has to be started.
    pub(super) engine: Option<Engined>,
    /// What a dry run could not learn, in words for the user.
    pub unknown: Vec<String>,
    /// Why the container of that name is not ours to replace, where a dry run met one.
    pub foreign: Option<Failure>,
}

/// What the engine says before a container is started: of itself, and of the images that it has.
pub(super) struct Engined {
    /// The engine itself.
    pub engine: Engine,
    /// The host's GPUs, where any are asked for.
    pub gpus: GpuFacts,
    /// The image.
    pub image: build::State,
    /// What has the name of a cache of the user's.
    pub volumes: Volumes,
}

impl Engined {
    /// Asks for all of it, side by side where that saves time.
    ///
    /// # Errors
    /// No engine answers.
    pub(super) fn read(cx: &Context, settings: &Settings, user: &User) -> Result<Engined> {
        let volumes = || match settings.caches.as_slice() {
            [] => Ok(Volumes::default()),
            _ => caches_of(user.uid),
        };
        let (engine, (image, volumes)) =
            exec::both(|| engine::read(cx), || exec::both(|| build::state(cx, settings, user), volumes));
        let engine = engine?;
        let gpus = match settings.shape.gpus {
            Gpus::None => GpuFacts::default(),
            Gpus::All | Gpus::Ids(_) => gpu::read(&engine, cx.var("PATH")),
        };
        Ok(Engined { engine, gpus, image: image?, volumes: volumes? })
    }
}

impl Ground {
    /// Asks what takes its time side by side: the engine for the container, Codex for its version, git for the user's
    /// name, and whatever is likely to be needed next.
    ///
    /// # Errors
    /// No engine, no Codex.
    pub(crate) fn gather(self, cx: &Context, purpose: Purpose, signals: Option<&Signals>) -> Result<Gathered> {
        let Ground { settings, user, workspace, repository, network, places, exposed, .. } = &self;
        let container = container_name(&places.project);
        // Codex is started to learn its version: one that the agent could have written is refused before that.
        let launcher = codex::find(cx, settings.codex.as_deref())?;
        refuse_own_codex(&launcher, workspace)?;
        let mirror = match purpose {
            Purpose::Look => Mirror::default(),
            Purpose::Enter | Purpose::Start | Purpose::DryRun => {
                self.refuse_own_config(cx)?;
                mirror(cx, &self)?
            }
        };
        let early = || -> Result<Option<Early>> {
            guest::fill(places, network, exposed, self.denials())?;
            record::last(places).map_or(Ok(None), |last| early::again(&last, workspace, &mirror))
        };
        // The container that ran last, or where none is known what it takes to start one.
        let next = || match (purpose, places.record.exists()) {
            (Purpose::Look, _) => Ok((None, None)),
            (Purpose::Enter, true) => early().map(|early| (early, None)),
            (Purpose::Enter, false) | (Purpose::Start | Purpose::DryRun, _) => {
                Engined::read(cx, settings, user).map(|engine| (None, Some(engine)))
            }
        };
        let identity = || repository.as_ref().map_or(Ok(Identity::default()), git::identity);
        let image = build::inputs(cx, settings, user)?;
        // The answer from inside takes longest: it is asked for first.
        let (next, (existing, ((codex, login), identity))) = exec::both(next, || {
            exec::both(
                || find(&container),
                || {
                    let codex = codex::resolve(cx, settings.codex.as_deref(), exposed);
                    let login =
                        codex.as_ref().map_or(Ok(FromHost::Unasked), |codex| self.login(cx, codex, purpose, signals));
                    ((codex, login), identity())
                },
            )
        });
        let (mut unknown, mut foreign) = (Vec::new(), None);
        let (existing, (early, engine)) = match purpose {
            Purpose::Enter | Purpose::Start | Purpose::Look => (existing?, next?),
            Purpose::DryRun => {
                for err in [existing.as_ref().err(), next.as_ref().err()].into_iter().flatten() {
                    match error::kind(err) {
                        Kind::Host => unknown.push(err.to_string()),
                        Kind::Failed | Kind::Usage | Kind::Interrupted => foreign = Some(error::flatten(err)),
                    }
                }
                unknown.dedup();
                (existing.unwrap_or_default(), next.unwrap_or_default())
            }
        };
        let (codex, login, identity) = (codex?, login?, identity?);
        let host_login = login::of_host(&HostCodex::new(&self.settings.host_codex_home));
        let held = login::held(&self.places.codex_home, &self.places.login);
        let own_login = held.is_ok_and(|held| matches!(held.file, InHome::Own));
        Ok(Gathered {
            ground: self,
            codex,
            image,
            existing,
            identity,
            mirror,
            host_login,
            own_login,
            login,
            early,
            engine,
            unknown,
            foreign,
        })
    }

    /// What the host has of its login for a mirrored home. Its Codex is asked only for one that is entered or started.
    fn login(&self, cx: &Context, codex: &Codex, purpose: Purpose, signals: Option<&Signals>) -> Result<FromHost> {
        let Settings { shape, login, host_codex_home, .. } = &self.settings;
        match (purpose, shape.codex_home) {
            (Purpose::Enter | Purpose::Start, Mode::Mirror) => {
                let leases = self.places.leases.as_path();
                let patience = Patience {
                    stop: &|| signals.is_some_and(Signals::any),
                    insists: &|| signals.is_some_and(Signals::insists),
                };
                login::from_host(cx, *login, &HostCodex::new(host_codex_home), codex, (leases, patience))
            }
            (Purpose::Look | Purpose::DryRun, _) | (_, Mode::Shared | Mode::None) => Ok(FromHost::Unasked),
        }
    }
}

/// Asks the engine for a container by name.
///
/// # Errors
/// No engine answers, or the container of that name is not ours.
pub(crate) fn find(container: &str) -> Result<Option<Existing>> {
    let said = exec::capture(&engine::docker::inspect(container))?;
    let found = engine::running::parse(container, said.code, &said.stdout, &said.stderr)?;
    Ok(found.map(|existing| Existing { up: existing.up && !engine::running::is_lost(&existing.container), ..existing }))
}

impl Gathered {
    /// What is mounted at the container's Codex home.
    pub(crate) fn codex_home(&self) -> PathBuf {
        match self.ground.settings.shape.codex_home {
            Mode::Mirror => self.ground.places.codex_home.clone(),
            Mode::Shared => self.ground.surroundings.host_codex_home.clone(),
            Mode::None => self.ground.places.no_codex_home.clone(),
        }
    }
}

/// Refuses a Codex that the agent could have written, before it is started.
///
/// # Errors
/// The launcher, or what it leads to, lies in the workspace.
pub(crate) fn refuse_own_codex(launcher: &Path, workspace: &Path) -> Result<()> {
    if !launcher.starts_with(workspace) && !resolved(launcher).starts_with(workspace) {
        return Ok(());
    }
    Err(usage(format!("the Codex at `{}` lies in the workspace: an agent can have written it", launcher.display()))
        .hint("give another with `--codex PATH`, or take the workspace out of PATH")
        .into())
}

/// The host's side of the Codex home, as values.
///
/// # Errors
/// The host's configuration cannot be read.
pub(super) fn mirror(cx: &Context, ground: &Ground) -> Result<Mirror> {
    let Ground { settings, exposed, surroundings, .. } = ground;
    let mut mirror = home(cx, settings, exposed)?;
    let rules = surroundings.optional.get(&Role::SystemCodex);
    let own = codex::login::OwnLogin::of(&settings.host_codex_home);
    let rules = rules.map(|rules| codex::home::system(rules, settings.config_secrets(), exposed, &own)).transpose();
    let (system, more) = rules.context("the administrator's rules for Codex must stay in force")?.unwrap_or_default();
    mirror.system = system;
    mirror.secrets.add(settings.config_secrets(), more);
    Ok(mirror)
}

fn home(cx: &Context, settings: &Settings, exposed: &Exposed) -> Result<Mirror> {
    match settings.shape.codex_home {
        Mode::None => Ok(Mirror::default()),
        Mode::Mirror | Mode::Shared => {
            // A login that is a link is copied from where it leads to.
            let login = settings.host_codex_home.join("auth.json");
            if login.is_symlink()
                && let Err(why @ NotOpened::Exposed(_)) = exposed.open(&login)
            {
                return Err(why.into());
            }
            codex::home::read(&settings.host_codex_home, &cx.home.join(".agents"), settings.config_secrets(), exposed)
        }
    }
}
