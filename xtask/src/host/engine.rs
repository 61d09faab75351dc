//! The container engine: what it is, and whether it can keep what a sandbox promises.
//!
//! Two queries, side by side, each bounded; a third where the client has an endpoint of its own. Pure functions read
//! their answers.

use crate::context::Context;
use crate::error::{failed, host};
use crate::exec;
use crate::step::Command;
use anyhow::Result;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What the engine said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Engine {
    /// The server's version, such as `26.1.5+dfsg1`.
    pub version: String,
    /// The API version that client and server agreed on.
    pub api: String,
    /// The version of the Compose plugin; empty where there is none.
    pub compose: String,
    /// The operating system that the engine names.
    pub os: String,
    /// The endpoint, such as `unix:///var/run/docker.sock`.
    pub endpoint: String,
    /// Names in `SecurityOptions`, such as `rootless`, `userns`, `seccomp`.
    pub security: Vec<String>,
    /// Names of the runtimes.
    pub runtimes: Vec<String>,
    /// Where the engine looks for CDI specifications; empty where CDI is off.
    pub cdi_dirs: Vec<PathBuf>,
    /// `systemd` or `cgroupfs`.
    pub cgroup_driver: String,
    /// Where images lie.
    pub root_dir: PathBuf,
    /// Whether `docker` is another engine's client that calls itself so; its own first line.
    pub posing: Option<String>,
}

/// Where the client's `default` context leads.
const DEFAULT_ENDPOINT: &str = "unix:///var/run/docker.sock";

/// Reads the engine: `docker version` and `docker info`, side by side.
///
/// # Errors
/// No `docker` on PATH, or no engine answers (exit code 3).
pub fn read(cx: &Context) -> Result<Engine> {
    let query = |args: &[&str]| exec::capture(&Command::new("docker").args(args.iter().copied()));
    let (version, info) = exec::both(
        || query(&["version", "--format", "{{json .}}"]),
        || query(&["info", "--format", "{{json .}}"]),
    );
    let (version, info) = (version?, info?);
    if !version.ok() {
        return Err(no_engine(&version.stderr).into());
    }
    let endpoint = match cx.var("DOCKER_HOST") {
        Some(endpoint) => endpoint.to_owned(),
        None if in_default_context(&info.stdout) => DEFAULT_ENDPOINT.to_owned(),
        None => {
            let said = query(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
            let said = said.ok().filter(exec::Output::ok);
            said.map(|said| said.stdout.trim().to_owned()).unwrap_or_default()
        }
    };
    parse(&version.stdout, &info.stdout, &endpoint)
}

/// Whether `docker info` says that the client uses its `default` context.
fn in_default_context(info: &str) -> bool {
    serde_json::from_str::<Value>(info.trim()).is_ok_and(|info| info["ClientInfo"]["Context"] == "default")
}

/// The error where the engine does not answer, from what the client said.
pub fn no_engine(said: &str) -> crate::error::Failure {
    let line = said.trim().lines().next_back().unwrap_or_default();
    let hint = if line.contains("permission denied") {
        "let an administrator add you to the group `docker`, then log in anew"
    } else {
        "start it: `sudo systemctl start docker`; `docker version` tells more"
    };
    host(format!("no Docker Engine answers: {line}")).hint(hint)
}

/// Reads the three answers.
///
/// # Errors
/// An answer is not what Docker prints (exit code 1).
pub fn parse(version: &str, info: &str, endpoint: &str) -> Result<Engine> {
    let json = |what: &str, text: &str| -> Result<Value> {
        serde_json::from_str(text.trim())
            .map_err(|err| failed(format!("`docker {what}` did not answer in JSON: {err}")).into())
    };
    let (version, info) = (json("version", version)?, json("info", info)?);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let strings = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let plugins = info["ClientInfo"]["Plugins"].as_array().into_iter().flatten();
    let compose = plugins
        .clone()
        .find(|p| p["Name"] == "compose")
        .map(|p| text(&p["Version"]))
        .unwrap_or_default();
    // Podman's answer to `docker version` has no platform name and says so in its components.
    let names = version["Server"]["Components"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| text(&c["Name"]));
    let posing = names
        .chain([text(&version["Client"]["Platform"]["Name"])])
        .find(|name| name.to_lowercase().contains("podman"));
    let security = strings(&info["SecurityOptions"])
        .iter()
        .map(|s| security_name(s))
        .collect();
    Ok(Engine {
        version: text(&version["Server"]["Version"]),
        api: text(&version["Client"]["ApiVersion"]),
        compose: compose.trim_start_matches('v').to_owned(),
        os: text(&info["OperatingSystem"]),
        endpoint: endpoint.to_owned(),
        security,
        runtimes: info["Runtimes"]
            .as_object()
            .map(|map| map.keys().cloned().collect())
            .unwrap_or_default(),
        cdi_dirs: strings(&info["CDISpecDirs"]).into_iter().map(PathBuf::from).collect(),
        cgroup_driver: text(&info["CgroupDriver"]),
        root_dir: PathBuf::from(text(&info["DockerRootDir"])),
        posing,
    })
}

// `name=seccomp,profile=builtin` and plain `seccomp` both mean `seccomp`.
fn security_name(option: &str) -> String {
    let first = option.split(',').next().unwrap_or_default();
    first.strip_prefix("name=").unwrap_or(first).to_owned()
}

/// Why this engine cannot keep the promises of a sandbox, or `Ok`.
///
/// # Errors
/// Remote, Desktop, rootless, userns-remapped, podman, no Compose v2 (exit code 3), each with what to do.
pub fn refuse(engine: &Engine) -> Result<()> {
    let has = |name: &str| engine.security.iter().any(|option| option == name);
    let failure = if let Some(name) = &engine.posing {
        host(format!(
            "`docker` here is {name}, not Docker Engine: its mounts and users work differently"
        ))
        .hint("install Docker Engine, or put its `docker` first on PATH")
    } else if !engine.endpoint.is_empty() && !engine.endpoint.starts_with("unix://") {
        host(format!(
            "the engine at `{}` is remote: its files are not this machine's",
            engine.endpoint
        ))
        .hint("unset DOCKER_HOST or `docker context use default`, and run this on the engine's own machine")
    } else if engine.os.contains("Docker Desktop") {
        host("Docker Desktop runs containers in a virtual machine: owners and read-only mounts cannot be proven there")
            .hint("use Docker Engine on Linux: `docker context use default` where it is installed beside Desktop")
    } else if has("rootless") {
        host("this engine is rootless: its uids are not the host's, so ownership of what is written cannot be kept")
            .hint("use the rootful engine: `docker context use default`, or unset DOCKER_HOST")
    } else if has("userns") {
        host("this engine remaps user ids (userns-remap): ownership of what is written cannot be kept")
            .hint("use an engine without `userns-remap`; this tool never changes an engine's settings")
    } else if engine.compose.is_empty() {
        host("the Docker CLI has no Compose v2 plugin")
            .hint("install it: `docker-compose-plugin` from Docker's packages, or `docker-compose` from Debian 13")
    } else {
        return Ok(());
    };
    Err(failure.into())
}

/// The `major.minor` of a version text, for comparisons.
pub fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Free room on the file system of a directory, in bytes; `None` where it cannot be read.
pub fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str =
        r#"{"Client":{"ApiVersion":"1.45"},"Server":{"Version":"26.1.5","Components":[{"Name":"Engine"}]}}"#;

    fn engine(info: &str, endpoint: &str) -> Engine {
        parse(VERSION, info, endpoint).unwrap()
    }

    fn refusal(info: &str, endpoint: &str) -> String {
        refuse(&engine(info, endpoint)).map_or_else(|err| crate::error::render(&err), |()| "accepted".into())
    }

    #[test]
    fn an_engine_that_cannot_keep_the_promises_is_refused_with_one_line() {
        let good = r#"{"OperatingSystem":"Debian","SecurityOptions":["name=seccomp,profile=builtin"],
            "ClientInfo":{"Plugins":[{"Name":"compose","Version":"v2.26.1"}]},"CDISpecDirs":[]}"#;
        assert_eq!(refusal(good, "unix:///var/run/docker.sock"), "accepted");
        assert!(refusal(good, "ssh://far").contains("is remote"));
        assert!(refusal(good, "tcp://127.0.0.1:2375").contains("is remote"));
        assert!(refusal(&good.replace("Debian", "Docker Desktop"), "").contains("virtual machine"));
        assert!(refusal(&good.replace("name=seccomp", "name=rootless"), "").contains("rootless"));
        assert!(refusal(&good.replace("name=seccomp", "name=userns"), "").contains("userns-remap"));
        assert!(refusal(&good.replace("compose", "buildx"), "").contains("no Compose v2"));
    }

    #[test]
    fn podman_posing_as_docker_is_refused() {
        let version = VERSION.replace("Engine", "Podman Engine");
        let engine = parse(&version, "{}", "").unwrap();
        assert!(crate::error::render(&refuse(&engine).unwrap_err()).contains("Podman Engine"));
    }

    #[test]
    fn versions_with_suffixes_compare() {
        assert_eq!(major_minor("v2.26.1-4"), Some((2, 26)));
        assert_eq!(major_minor("26.1.5+dfsg1"), Some((26, 1)));
        assert_eq!(major_minor("dev"), None);
    }
}
