//! The container engine: what it is, and what it can do.
//!
//! `docker version` and `docker info` are asked side by side, each bounded; the endpoint is a third query, where the
//! client has a context of its own. Pure functions read their answers.

mod answers;

use answers::{InfoAnswer, VersionAnswer};

use crate::context::Context;
use crate::distro::Distro;
use crate::engine::refuse::silent;
use crate::engine::{docker, sockets};
use crate::exec;
use anyhow::Result;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The engine, by its own answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Engine {
    /// The server's version, such as `26.1.5+dfsg1`.
    pub(crate) version: String,
    /// Who built it: `Docker Engine - Community` is Docker itself, and an empty text is a distribution.
    pub(crate) platform: String,
    pub(crate) components: Vec<Component>,
    /// The API version that client and server agreed on.
    pub(crate) api: String,
    /// The version of the Compose plugin; empty where there is none.
    pub(crate) compose: String,
    /// The version of the buildx plugin; empty where there is none.
    pub(crate) buildx: String,
    /// The operating system that it runs on, such as `Docker Desktop`.
    pub(crate) os: String,
    /// The version of the kernel that it runs on.
    pub(crate) kernel: String,
    /// The endpoint, such as `unix:///var/run/docker.sock`.
    pub(crate) endpoint: String,
    /// The names in `SecurityOptions`, such as `rootless`, `userns`, `seccomp`.
    pub(crate) security: Vec<String>,
    pub(crate) runtimes: Vec<String>,
    /// Whether the default runtime can mount recursively read-only (`rro`); `None` where the engine does not report it.
    pub(crate) rro: Option<bool>,
    /// The directories in which it looks for CDI specifications; empty where CDI is off.
    pub(crate) cdi_dirs: Vec<PathBuf>,
    /// `systemd` or `cgroupfs`.
    pub(crate) cgroup_driver: String,
    /// The directory in which images are kept.
    pub(crate) root_dir: PathBuf,
    /// The name of the engine whose client is installed under the name `docker`, where that is not Docker's own.
    pub(crate) posing: Option<String>,
    /// The distribution of this host: the commands that install or upgrade something depend on it.
    pub(crate) distro: Distro,
}

/// A part of the engine, as the engine describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Component {
    /// `containerd`, `runc`, …
    pub(crate) name: String,
    pub(crate) version: String,
    /// The commit that it was built from.
    #[serde(rename = "Details", deserialize_with = "answers::commit")]
    pub(crate) commit: String,
}

impl Engine {
    /// Whether Docker itself built it. A distribution fixes security holes in its builds without changing the version.
    pub(crate) fn upstream(&self) -> bool {
        self.platform.starts_with("Docker Engine")
    }
}

/// Why the engine gave no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Silence {
    /// There is no `docker` on PATH.
    NoClient,
    /// The client got no answer from the engine.
    NoAnswer {
        /// Empty where it is not known.
        endpoint: String,
        /// The standard error of the client.
        said: String,
    },
    /// The query itself failed, or its answer is not what Docker prints.
    Odd(String),
}

/// What this host has installed and configured for an engine, where none answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Local {
    /// Whether an engine is installed, running or not.
    pub(crate) daemon: bool,
    /// The user's login name.
    pub(crate) user: String,
    /// The group that owns the engine's socket; `docker` where there is no socket.
    pub(crate) group: String,
    /// Whether the user database has the user in that group.
    pub(crate) member: bool,
    /// Whether this process is in that group: a session that began before the user was added is not.
    pub(crate) active: bool,
    pub(crate) distro: Distro,
}

impl Local {
    /// Reads it without starting a program.
    pub(crate) fn read(path: Option<&str>) -> Local {
        use std::os::unix::fs::MetadataExt as _;
        use users::os::unix::GroupExt as _;
        let user = crate::user::User::read();
        let gid = std::fs::metadata(sockets::DOCKER).ok().map(|meta| meta.gid());
        let group = match gid {
            Some(gid) => users::get_group_by_gid(gid),
            None => users::get_group_by_name("docker"),
        };
        let name = user.name.unwrap_or_default();
        // The PATH of an ordinary user leaves out the directories of the administrator's programs.
        let dirs = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/usr/bin", path.unwrap_or_default());
        Local {
            // Some distributions install the engine under another name; then its socket shows that there is one.
            daemon: gid.is_some() || which::which_in("dockerd", Some(dirs), "/").is_ok(),
            group: group.as_ref().map_or("docker".into(), |group| group.name().to_string_lossy().into_owned()),
            member: group.as_ref().is_some_and(|group| group.members().iter().any(|member| *member == *name)),
            active: group
                .is_some_and(|group| user.gid == group.gid() || user.groups.iter().any(|own| own.gid == group.gid())),
            user: name,
            distro: Distro::read(),
        }
    }
}

/// Reads the engine: `docker version` and `docker info`, side by side.
///
/// # Errors
/// No `docker` on PATH, or no engine answers (exit code 3).
pub(crate) fn read(cx: &Context) -> Result<Engine> {
    look(cx).map_err(|silence| silent(&silence, &Local::read(cx.var("PATH"))).into())
}

/// The same, for a caller that goes on without an engine.
///
/// # Errors
/// Why the engine gave no answer that can be used.
pub(crate) fn look(cx: &Context) -> Result<Engine, Silence> {
    if which::which_in("docker", cx.var("PATH"), &cx.cwd).is_err() {
        return Err(Silence::NoClient);
    }
    // `info` takes longest, because the client asks its plugins: it is started first.
    let (info, version) = exec::both(|| exec::capture(&docker::info()), || exec::capture(&docker::version()));
    let odd = |err: anyhow::Error| Silence::Odd(format!("{err:#}"));
    let (version, info) = (version.map_err(odd)?, info.map_err(odd)?);
    let endpoint = match cx.var("DOCKER_HOST") {
        Some(endpoint) => endpoint.to_owned(),
        None if InfoAnswer::in_default_context(&info.stdout) => format!("unix://{}", sockets::DOCKER),
        None => {
            let said = exec::capture(&docker::endpoint());
            let said = said.ok().filter(exec::Output::ok);
            said.map(|said| said.stdout.trim().to_owned()).unwrap_or_default()
        }
    };
    if !version.ok() {
        let said = version.stderr;
        return Err(Silence::NoAnswer { endpoint, said });
    }
    let engine = parse(&version.stdout, &info.stdout, &endpoint).map_err(Silence::Odd)?;
    let distro = Distro::read();
    Ok(Engine { distro, ..engine })
}

/// Reads the three answers.
///
/// # Errors
/// An answer is not what Docker prints.
pub(super) fn parse(version: &str, info: &str, endpoint: &str) -> Result<Engine, String> {
    let odd = |what: &str, err: serde_json::Error| format!("`docker {what}` did not answer as Docker does: {err}");
    let version: VersionAnswer = serde_json::from_str(version.trim()).map_err(|err| odd("version", err))?;
    let info: InfoAnswer = serde_json::from_str(info.trim()).map_err(|err| odd("info", err))?;
    let plugin = |name: &str| {
        let found = info.client_info.plugins.iter().find(|plugin| plugin.name == name);
        found.map(|plugin| plugin.version.trim_start_matches('v').to_owned()).unwrap_or_default()
    };
    let (compose, buildx, rro, posing) = (plugin("compose"), plugin("buildx"), info.rro(), posing(&version, &info));
    if let Some(why) = info.server_errors.first() {
        return Err(format!("`docker info` says nothing of the engine: {why}"));
    }
    let VersionAnswer { client, server } = version;
    Ok(Engine {
        version: server.version,
        platform: server.platform.name,
        components: server.components,
        api: client.api_version,
        compose,
        buildx,
        os: info.operating_system,
        kernel: info.kernel_version,
        endpoint: endpoint.to_owned(),
        security: info.security_options.iter().map(|option| security_name(option)).collect(),
        runtimes: info.runtimes.into_keys().collect(),
        rro,
        cdi_dirs: info.cdi_spec_dirs,
        cgroup_driver: info.cgroup_driver,
        root_dir: info.docker_root_dir,
        posing,
        distro: Distro::default(),
    })
}

/// Recognizes the client of another engine under the name `docker` by fields that only it has. Podman's own client
/// (seen: 4.3.1) names no server and has `OsArch`; Docker's client on Podman's socket, and newer versions of Podman, have
/// its name in the components. nerdctl has its builder among the client's components.
fn posing(version: &VersionAnswer, info: &InfoAnswer) -> Option<String> {
    let VersionAnswer { client, server } = version;
    let mut parts = server.components.iter().map(|part| &part.name).chain([&client.platform.name]);
    if let Some(name) = parts.find(|name| name.to_lowercase().contains("podman")) {
        return Some(name.clone());
    }
    if info.host.is_some() || client.os_arch.is_some() {
        return Some("Podman".into());
    }
    client.components.iter().any(|part| part.name == "buildctl").then(|| "nerdctl".into())
}

// `name=seccomp,profile=builtin` and plain `seccomp` both mean `seccomp`.
fn security_name(option: &str) -> String {
    let first = option.split(',').next().unwrap_or_default();
    first.strip_prefix("name=").unwrap_or(first).to_owned()
}

/// The three numbers at the start of a version; missing ones are 0.
pub(crate) fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    let first = parts.next()?.parse().ok()?;
    let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    Some((first, next(), next()))
}

/// The first two numbers of a version, for comparisons.
pub(crate) fn major_minor(version: &str) -> Option<(u32, u32)> {
    numbers(version).map(|(major, minor, _)| (major, minor))
}

/// Free bytes on the file system of a directory; `None` where they cannot be read.
pub(crate) fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// For the fuzzer: the answers of `docker version` and `docker info`, a blank line between them.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let (version, info) = text.split_once("\n\n").unwrap_or((text, "{}"));
    if let Ok(engine) = parse(version, info, "unix:///run/docker.sock") {
        numbers(&engine.version);
        major_minor(&engine.api);
        assert!(engine.security.iter().all(|name| !name.contains(',')));
    }
    InfoAnswer::in_default_context(info);
    numbers(text);
}

#[cfg(test)]
mod tests;
