//! What runs for a workspace, as `cargo xtask status` shows it.

mod screen;

use crate::codex::home::Secrets;
use crate::codex::login;
use crate::context::Context;
use crate::engine::alive::{Alive, Parted};
use crate::engine::docker::Entrance;
use crate::engine::inspect::Mounted;
use crate::engine::running::Existing;
use crate::engine::{caches, compose, docker};
use crate::exec;
use crate::gpu::smi;
use crate::life::elsewhere::Elsewhere;
use crate::life::leftovers::Leftover;
use crate::life::used::{self, Used};
use crate::life::volumes::caches_of;
use crate::life::{find, record, session};
use crate::obeyed::Undecided;
use crate::outside;
use crate::spec::Spec;
use crate::spec::insider::Insider;
use crate::spec::places::{self, Places};
use crate::spec::settings::Settings;
use crate::spec::words::{Gpus, Mode, display};
use crate::step::Command;
use crate::ui;
use crate::user::User;
use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The bound on each query to the container, in seconds. What does not answer by then is left out.
const BOUND: u64 = 3;

/// The status of a workspace; its JSON form is the answer of `status --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Status {
    container: String,
    state: Activity,
    #[serde(flatten)]
    sandbox: Option<Sandbox>,
    state_folder: PathBuf,
    #[serde(skip)]
    workspace: PathBuf,
    /// Whether the workspace is not there any more, and something of its sandbox is.
    #[serde(skip)]
    is_gone: bool,
    /// Why the container that runs is not the sandbox that an entry would prove, so that the next one makes it anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    untrusted: Option<String>,
    /// What acts by itself on this host, changed in a session, and is not decided, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    undecided: Vec<String>,
    /// The secrets of the configuration of Codex at the last entry that set the home anew, by their places.
    #[serde(skip_serializing_if = "Option::is_none")]
    config_secrets: Option<Secrets>,
    /// All of this user.
    caches: Vec<String>,
    /// Those of them that its container has, or that are of this workspace alone: the screen names no others.
    #[serde(skip)]
    own_caches: Vec<String>,
    /// Those of them that no sandbox with this setting of `cache_sharing` has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unused_caches: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Activity {
    Running,
    /// Its processes are frozen.
    Paused,
    Stopped,
    /// There is no container.
    None,
}

display!(Activity);

/// A container that exists.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Sandbox {
    id: String,
    image: String,
    image_id: String,
    started: String,
    uptime_s: Option<u64>,
    /// The wanted sandbox by the container's label, or else why the label cannot be read.
    spec: Option<Spec>,
    unreadable: Option<String>,
    mounts: Vec<BindMount>,
    /// What it has of a login, where it has a Codex home of its own.
    login: Option<String>,
    /// The programs of the sessions that go on.
    sessions: Vec<String>,
    /// What may be a session that goes on, or what an agent has started beside it.
    in_doubt: Vec<Leftover>,
    /// All else that is alive inside, except for the container's own init.
    leftovers: Vec<Leftover>,
    shm: Option<SharedMemory>,
    /// What was used up of this host; `None` where it does not run.
    used: Option<Used>,
    /// `None` where there are no GPUs by the user's choice, or where they did not answer.
    gpus: Option<Vec<GpuUse>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct BindMount {
    target: String,
    source: String,
    writable: Option<bool>,
}

/// The bytes of `/dev/shm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct SharedMemory {
    used: u64,
    size: u64,
}

/// A GPU as it is used now, by all that use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct GpuUse {
    /// As the container counts.
    index: String,
    name: String,
    percent: Option<u64>,
    used_mib: Option<u64>,
    total_mib: Option<u64>,
}

impl Status {
    /// Asks the engine, and the container where it runs.
    pub(crate) fn read(cx: &Context, settings: &Settings) -> Result<Status> {
        let uid = User::read().uid;
        let places = places::of(cx, &settings.workspace, uid);
        if let Some(elsewhere) = Elsewhere::of(cx, &settings.workspace, uid)? {
            ui::warn(format_args!("{}; `cargo xtask down` ends it", elsewhere.line()));
        }
        let container = compose::container_name(&places.project);
        let (existing, caches) = exec::both(|| find(&container), || caches_of(uid).map(|known| known.own));
        let existing = existing?;
        places.known(&settings.workspace, existing.is_some())?;
        let state = match &existing {
            Some(existing) if existing.container.state.paused => Activity::Paused,
            Some(existing) if existing.up => Activity::Running,
            Some(_) => Activity::Stopped,
            None => Activity::None,
        };
        let untrusted = existing.as_ref().and_then(|existing| record::changed_since(&places, existing));
        if let Some(why) = &untrusted {
            ui::warn(format_args!("{why}; the next entry makes the container anew"));
        }
        let sandbox = existing.map(|existing| Sandbox::read(existing, &places)).transpose()?;
        let caches = caches?;
        let unused_caches = caches::unused(&caches, uid, settings.shape.cache_sharing);
        let spec = sandbox.as_ref().and_then(|sandbox| sandbox.spec.as_ref());
        let mounted: Vec<&Path> =
            spec.iter().flat_map(|spec| &spec.mounts).map(|mount| mount.source.as_path()).collect();
        let its = caches::of_workspace(caches.clone(), uid, &places.project);
        let has = |name: &&String| its.contains(name) || mounted.iter().any(|source| caches::is_volume(source, name));
        let own_caches = caches.iter().filter(has).cloned().collect();
        let config_secrets = secrets(&places.secrets);
        let undecided = Undecided::read(&places.obeyed).lines();
        let state_folder = places.dir;
        let workspace = settings.workspace.clone();
        let is_gone = !workspace.exists() && (sandbox.is_some() || state_folder.exists());
        Ok(Status {
            container,
            state,
            sandbox,
            state_folder,
            workspace,
            is_gone,
            untrusted,
            undecided,
            config_secrets,
            caches,
            own_caches,
            unused_caches,
        })
    }
}

/// The most bytes of the list of secrets that are read.
const MOST_BYTES: u64 = 4 << 20;

/// What was kept of them; `None` where there are none, or an earlier version kept nothing.
fn secrets(kept: &Path) -> Option<Secrets> {
    let secrets: Secrets = serde_json::from_slice(&outside::bytes(kept, MOST_BYTES).ok()?).ok()?;
    secrets.line().is_some().then_some(secrets)
}

impl Sandbox {
    fn read(existing: Existing, places: &Places) -> Result<Sandbox> {
        let mut parted = Parted { sessions: Vec::new(), in_doubt: Vec::new(), left: Vec::new() };
        let (mut shm, mut gpus, mut used) = (None, None, None);
        if existing.up {
            // Before the queries, which run inside too and would be among the processes.
            parted = session::parted(places, &Alive::read(&existing.container)?);
            used = existing.spec.as_ref().ok().map(|spec| Used::read(&existing.container, &used::filled(places, spec)));
            (shm, gpus) = ask(&existing.id, existing.spec.as_ref().ok());
        }
        let Existing { id, up, spec, container } = existing;
        let mirrored = spec.as_ref().is_ok_and(|spec| spec.shape.codex_home == Mode::Mirror);
        let login = mirrored.then(|| login::held(&places.codex_home, &places.login));
        let since = humantime::parse_rfc3339(&container.state.started_at).ok().filter(|_| up);
        let uptime = since.and_then(|since| SystemTime::now().duration_since(since).ok());
        let binds = container.mounts.into_iter().flatten().filter(|mount| mount.kind == "bind");
        let mount = |mount: Mounted| BindMount { target: mount.target, source: mount.source, writable: mount.writable };
        let mut mounts: Vec<_> = binds.map(mount).collect();
        // The engine lists them in no particular order.
        mounts.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(Sandbox {
            id,
            image: container.config.image,
            image_id: container.image_id,
            started: container.state.started_at,
            uptime_s: uptime.map(|uptime| uptime.as_secs()),
            unreadable: spec.as_ref().err().cloned(),
            spec: spec.ok(),
            login: login.and_then(|held| match held {
                Ok(held) => held.shown(SystemTime::now()),
                Err(err) => Some(format!("not known: {err:#}")),
            }),
            mounts,
            sessions: parted.sessions.into_iter().map(|process| process.args).collect(),
            in_doubt: parted.in_doubt.iter().map(Leftover::from).collect(),
            leftovers: parted.left.iter().map(Leftover::from).collect(),
            shm,
            used,
            gpus,
        })
    }
}

const DF: &[&str] = &["/bin/df", "--block-size=1", "--output=used,size", "/dev/shm"];

const SMI: &[&str] =
    &["nvidia-smi", "--query-gpu=index,name,utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"];

/// Asks a running container, with all queries side by side.
fn ask(id: &str, spec: Option<&Spec>) -> (Option<SharedMemory>, Option<Vec<GpuUse>>) {
    // Of a sandbox whose label cannot be read it is not known which groups are the agent's.
    let inside = |program: &[&str]| -> Option<Command> {
        Some(
            docker::exec_trusted(
                Entrance::new(id, spec?.denials()),
                Insider::apart(spec?, crate::nonce::number().ok()?),
                &[],
                program.iter().copied(),
            )
            .timeout(BOUND),
        )
    };
    let asked = |program: &[&str]| exec::capture(&inside(program)?).ok().filter(exec::Output::ok);
    let with_gpus = spec.is_some_and(|spec| spec.shape.gpus != Gpus::None);
    let (shm, gpus) = exec::both(|| asked(DF), || with_gpus.then(|| asked(SMI)).flatten());
    (shm.and_then(|said| parse_df(&said.stdout)), gpus.map(|said| parse_smi(&said.stdout)))
}

/// The numbers of the last line of `df --output=used,size`.
fn parse_df(text: &str) -> Option<SharedMemory> {
    let (used, size) = text.lines().next_back()?.trim().split_once(char::is_whitespace)?;
    Some(SharedMemory { used: used.parse().ok()?, size: size.trim().parse().ok()? })
}

/// One GPU a line; a number that a product does not tell is `[N/A]`.
fn parse_smi(text: &str) -> Vec<GpuUse> {
    let gpu = |&[index, name, percent, used, total]: &[&str; 5]| GpuUse {
        index: index.to_owned(),
        name: name.to_owned(),
        percent: percent.parse().ok(),
        used_mib: used.parse().ok(),
        total_mib: total.parse().ok(),
    };
    smi::rows(text).iter().map(gpu).collect()
}

/// For the fuzzer: what `df` and `nvidia-smi` say inside.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    parse_df(text);
    assert!(parse_smi(text).len() <= text.lines().count());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_df_and_nvidia_smi_say_is_read() {
        let said = parse_df("   Used   1B-blocks\n 4096 34359738368\n");
        assert_eq!(said, Some(SharedMemory { used: 4096, size: 32 << 30 }));
        assert_eq!(parse_df(""), None);
        let gpus = parse_smi("0, NVIDIA GeForce RTX 5090, 37, 10240, 32607\n1, Orin, [N/A], [N/A], 100\nodd\n");
        assert_eq!(gpus.len(), 2);
        assert_eq!((gpus[0].percent, gpus[0].used_mib, gpus[0].total_mib), (Some(37), Some(10240), Some(32607)));
        assert_eq!((gpus[1].percent, gpus[1].total_mib), (None, Some(100)));
    }
}
