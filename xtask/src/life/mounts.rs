//! The mounts of a wanted sandbox, its promise, and the label by which it is known again.

use super::home;
use crate::codex::home::{AGENTS_INSIDE, INSIDE, Mode};
use crate::context::{Context, resolved};
use crate::engine::caches;
use crate::engine::compose::Project;
use crate::engine::sockets;
use crate::finding::Finding;
use crate::fingerprint;
use crate::git;
use crate::life::devcontainer;
use crate::life::gather::Wish;
use crate::proof::sources;
use crate::proof::sources::Rules;
use crate::spec::promise::{GpuRoute, Mount, Promise, Role};
use crate::spec::settings;
use crate::spec::settings::Flags;
use crate::user::User;
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Everything that Compose needs to know, from what is wanted.
///
/// # Errors
/// The repository cannot be planned for.
pub fn project(cx: &Context, wish: &Wish, image: &str, route: Option<GpuRoute>) -> Result<Project> {
    let settings = &wish.settings;
    Ok(Project {
        name: wish.places.project.clone(),
        base_file: cx.root.join("docker/docker-compose.yaml"),
        override_file: wish.places.override_file.clone(),
        promise: Promise {
            uid: wish.user.uid,
            gid: wish.user.gid,
            groups: groups(wish),
            mounts: mounts(wish)?,
            out_of_reach: out_of_reach(cx, wish),
            shm_bytes: settings.shm_bytes,
            pids_limit: settings.pids_limit,
            memlock: settings.memlock,
            gpus: settings.gpus.clone(),
            gpu_route: route,
            network: settings.network,
            codex_version: wish.codex.version.clone(),
            image: image.to_owned(),
            image_id: None,
        },
        codex_bin: wish.codex.binary.clone(),
        ca: wish.network.ca.is_some(),
        settings: Value::Object(Map::from_iter(label(cx, wish))),
        labels: if is_opened(cx, wish) { devcontainer::labels(&cx.root) } else { Vec::new() },
    })
}

/// Whether this is the sandbox that `.devcontainer/devcontainer.json` opens: the one of the settings, without a flag.
fn is_opened(cx: &Context, wish: &Wish) -> bool {
    let settings = settings::load(cx, &Flags::default());
    settings.is_ok_and(|settings| resolved(&settings.workspace) == wish.workspace)
}

/// The settings that a container is made with, as its label holds them: what a later call is compared with.
pub fn label(cx: &Context, wish: &Wish) -> Map<String, Value> {
    let settings = &wish.settings;
    let groups: Vec<String> = groups(wish).iter().map(u32::to_string).collect();
    let compose = std::fs::read(cx.root.join("docker/docker-compose.yaml")).unwrap_or_default();
    let git = match &wish.repository {
        None => "none",
        Some(repository) if repository.dot_git_is_file => "airlock of a linked worktree",
        Some(_) => "airlock",
    };
    let mut label = Map::new();
    let mut put = |key: &str, value: String| label.insert(key.to_owned(), json!(value));
    put("user", format!("{}:{} {}", wish.user.uid, wish.user.gid, groups.join(" ")).trim_end().to_owned());
    put("gpus", settings.gpus.to_string());
    put("network", settings.network.to_string());
    put("shm_size", settings.shm_bytes.to_string());
    put("pids_limit", settings.pids_limit.to_string());
    put("memlock", settings.memlock.to_string());
    put("caches", settings.caches.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    put(
        "codex_home",
        match settings.codex_home {
            // Which one is shared is the user's choice too; the others are the tool's own.
            Mode::Shared => format!("shared {}", home::dir(wish).display()),
            mode => mode.to_string(),
        },
    );
    put("CA bundle", if wish.network.ca.is_some() { "the host's" } else { "the image's" }.into());
    put("git", git.to_owned());
    put("/etc/codex", if home::has_system() { "the host's".into() } else { "the image's".into() });
    for mount in &wish.datasets {
        put(&mount.role.id(), mount.source.to_string_lossy().into_owned());
    }
    // The base image's id is not among them: it would have to be asked for, and is looked at when the image is built.
    let inputs = wish.image.table().into_iter().map(|(name, value)| format!("{name}={value}"));
    put("image inputs", fingerprint::of(inputs)[..12].to_owned());
    put("codex", wish.codex.version.clone());
    put("compose file", fingerprint::of([compose])[..12].to_owned());
    label
}

/// Every bind mount, outer ones before those that lie in them.
fn mounts(wish: &Wish) -> Result<Vec<Mount>> {
    let mount = |role, source: &Path, target: &str, read_only| Mount {
        role,
        source: source.to_path_buf(),
        target: target.to_owned(),
        read_only,
    };
    let places = &wish.places;
    let mut mounts = vec![
        mount(Role::Workspace, &wish.workspace, "/workspace", false),
        mount(Role::CodexPackage, &wish.codex.package, "/opt/codex", true),
        mount(Role::CodexHome, &home::dir(wish), INSIDE, false),
        mount(Role::Guest, &places.guest, "/sandbox", true),
    ];
    if wish.settings.codex_home != Mode::None {
        mounts.push(mount(Role::Agents, &places.agents, AGENTS_INSIDE, true));
    }
    if home::has_system() {
        mounts.push(mount(Role::SystemCodex, &places.system_codex, home::SYSTEM, true));
    }
    mounts.extend(wish.datasets.iter().cloned());
    if let Some(repository) = &wish.repository {
        mounts.extend(git::mounts(repository, &places.git)?);
    }
    Ok(mounts)
}

/// The caches, which the engine keeps in its own directory.
pub fn caches(wish: &Wish, root: &Path) -> Vec<Mount> {
    caches::mounts(&wish.settings.caches, wish.user.uid, root)
}

/// The user's groups that own a mounted directory, without those that have power over the host.
fn groups(wish: &Wish) -> Vec<u32> {
    let sources = wish.datasets.iter().map(|mount| mount.source.as_path());
    groups_of(&wish.user, sources.chain([wish.workspace.as_path()]))
}

/// The user's groups that own one of these directories, without those that have power over the host.
pub fn groups_of<'a>(user: &User, sources: impl Iterator<Item = &'a Path>) -> Vec<u32> {
    let owners: Vec<u32> = sources.filter_map(|path| path.metadata().ok()).map(|meta| meta.gid()).collect();
    user.passed_on(&owners).iter().map(|group| group.gid).collect()
}

/// Who the container's user will be where these directories are mounted, and what no mount may show.
pub fn rules(cx: &Context, user: &User, sources: &[&Path]) -> Rules {
    let mut sockets = sockets::usual(user.uid);
    sockets.extend(cx.var("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from));
    Rules {
        home: cx.home.clone(),
        repository: cx.root.clone(),
        uid: user.uid,
        gid: user.gid,
        groups: groups_of(user, sources.iter().copied()),
        sockets,
    }
}

/// What no mount may reach for writing. Of this repository it is everything but the default project.
fn out_of_reach(cx: &Context, wish: &Wish) -> Vec<PathBuf> {
    let own = cx.root.read_dir().into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> =
        own.filter(|entry| entry.file_name() != "workspace").map(|entry| entry.path()).collect();
    dirs.sort();
    dirs.push(cx.state.clone());
    if wish.settings.codex_home != Mode::Shared {
        dirs.push(resolved(&wish.settings.host_codex_home));
    }
    dirs.extend(wish.repository.iter().flat_map(git::Repository::out_of_reach));
    dirs
}

/// The host-side checks of every source, before anything is started: the mounts, and what is wrong with them.
///
/// # Errors
/// The repository cannot be planned for.
pub fn problems(cx: &Context, wish: &Wish) -> Result<(Vec<Mount>, Vec<Finding>)> {
    let datasets = wish.datasets.iter().map(|mount| mount.source.as_path());
    let sources: Vec<&Path> = datasets.chain([wish.workspace.as_path()]).collect();
    let rules = rules(cx, &wish.user, &sources);
    // What this tool lays ready itself is not there yet before the first start, and is checked by the proof.
    let given = |mount: &Mount| matches!(mount.role, Role::Workspace | Role::Dataset(_)) || mount.source.exists();
    let mounts: Vec<Mount> = mounts(wish)?.into_iter().filter(given).collect();
    let problems = sources::check(&mounts, &rules);
    Ok((mounts, problems))
}

/// The same as an error that names them all at once.
///
/// # Errors
/// Any source is refused.
pub fn check(cx: &Context, wish: &Wish) -> Result<()> {
    match sources::failure(&problems(cx, wish)?.1) {
        None => Ok(()),
        Some(failure) => Err(failure.into()),
    }
}
