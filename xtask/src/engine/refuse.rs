//! The reasons why an engine cannot keep the promises of a sandbox, and what to do about each. Pure. `sandbox`, `image`
//! and the doctor all use these messages.

use crate::distro::Package;
use crate::engine::{Engine, Local, Silence, errors, major_minor, sockets};
use crate::error::{Failure, Remedy, host};
use crate::finding::{Finding, Subject, subject};
use anyhow::Result;
use std::path::Path;

pub(crate) const ANSWERS: Subject =
    subject("engine.answers", "Docker Engine", "a rootful Docker Engine on this machine, with Compose v2");
pub(crate) const PLACE: Subject = subject("engine.place", "its place", "an engine that sees this machine's own files");
pub(crate) const USERS: Subject = subject("engine.users", "its user ids", "the host's own user ids");
pub(crate) const COMPOSE: Subject = subject("engine.compose", "Compose", "2.30 or later");
pub(crate) const RECURSIVE: Subject =
    subject("engine.recursive", "recursive read-only", "Engine 25, runc 1.1 and Linux 5.12, or later");

/// The error where the engine does not answer; `said` is the standard error of the client.
pub(crate) fn no_engine(said: &str) -> Failure {
    no_answer(said, &Local::read(None))
}

/// The error where the engine gave no answer that can be used.
pub(crate) fn silent(silence: &Silence, local: &Local) -> Failure {
    match silence {
        Silence::NoClient => local.distro.without("docker"),
        Silence::NoAnswer { endpoint, .. } if remote(endpoint) => is_remote(endpoint),
        Silence::NoAnswer { said, .. } => no_answer(said, local),
        Silence::Odd(why) => {
            host(why.clone()).hint("`docker version` and `docker info` must answer; restart the engine")
        }
    }
}

fn no_answer(said: &str, local: &Local) -> Failure {
    let line = said.trim().lines().next_back().unwrap_or_default();
    let failure = |why: &str| host(format!("no Docker Engine answers: {line}{why}"));
    if !errors::is_denied(line) {
        return match local.daemon {
            true => failure("").run([local.distro.service("start")]).hint("`docker version` tells more"),
            false => failure(" (this host has a client and no engine)")
                .remedies(local.distro.install(Package::Engine, false)),
        };
    }
    let group = &local.group;
    if local.member && !local.active {
        return failure(&format!(": you are in the group `{group}`, and this session does not know it yet"))
            .run([format!("newgrp {group}")])
            .hint("or log out of the whole session and in again");
    }
    if local.active {
        return failure("").hint(format!(
            "you are in the group `{group}`: `ls -l {}` shows who may use the engine, and a security module may \
             forbid it too",
            sockets::DOCKER
        ));
    }
    failure("")
        .run([format!("sudo usermod -aG {group} {}", local.user)])
        .hint("then log out and in again; whoever is in that group is as powerful as root on this host")
}

fn remote(endpoint: &str) -> bool {
    !endpoint.is_empty() && !endpoint.starts_with("unix://")
}

fn is_remote(endpoint: &str) -> Failure {
    host(format!("the engine at `{endpoint}` is remote: its files are not this machine's"))
        .hint("unset DOCKER_HOST or `docker context use default`, and run this on the engine's own machine")
}

/// Every reason why this engine cannot keep the promises of a sandbox, the gravest first.
pub(crate) fn refusals(engine: &Engine) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(name) = &engine.posing {
        let what = format!("`docker` here is {name}, not Docker Engine: its mounts and users work differently");
        let hint = "install Docker Engine, or put its `docker` first on PATH";
        found.push(ANSWERS.broken(host(what).hint(hint)));
        // The other fields of its answer do not mean what they mean in Docker's.
        return found;
    }
    if remote(&engine.endpoint) {
        found.push(PLACE.broken(is_remote(&engine.endpoint)));
    } else if engine.os.contains("Docker Desktop") {
        let what =
            "Docker Desktop runs containers in a virtual machine: owners and read-only mounts cannot be proven there";
        let hint = "use Docker Engine on Linux: `docker context use default` where it is installed beside Desktop";
        found.push(PLACE.broken(host(what).hint(hint)));
    }
    let has = |name: &str| engine.security.iter().any(|option| option == name);
    if has("rootless") {
        let what =
            "this engine is rootless: its uids are not the host's, so ownership of what is written cannot be kept";
        let hint = "use the rootful engine: `docker context use default`, or unset DOCKER_HOST";
        found.push(USERS.broken(host(what).hint(hint)));
    } else if has("userns") {
        let what = "this engine remaps user ids (userns-remap): ownership of what is written cannot be kept";
        let hint = "use an engine without `userns-remap`; this tool never changes an engine's settings";
        found.push(USERS.broken(host(what).hint(hint)));
    }
    if engine.compose.is_empty() {
        let remedies = engine.distro.install(Package::Compose, engine.upstream());
        found.push(COMPOSE.missing(host("the Docker CLI has no Compose v2 plugin").remedies(remedies)));
    } else if let Some(why) = not_recursive(engine)
        && passes_recursive(engine)
    {
        // Compose 2.30 and later asks for it, and such an engine then refuses to start the container.
        let what = format!("this engine cannot mount data sets recursively read-only: {why}");
        found.push(RECURSIVE.broken(host(what).remedies(newer_engine(engine))));
    }
    found
}

/// Why this engine cannot keep the promises of a sandbox, or `Ok`.
///
/// # Errors
/// Remote, Desktop, rootless, userns-remapped, podman, no Compose v2 (exit code 3), each with what to do.
pub(crate) fn refuse(engine: &Engine) -> Result<()> {
    refusals(engine).first().map_or(Ok(()), |refusal| Err(refusal.failure().into()))
}

/// Whether this Compose passes `bind.recursive` on. Older ones read it and drop it.
pub(crate) fn passes_recursive(engine: &Engine) -> bool {
    major_minor(&engine.compose).is_some_and(|version| version >= (2, 30))
}

/// Why file systems mounted below a data set would stay writable; `None` where no reason is known.
pub(crate) fn not_recursive(engine: &Engine) -> Option<String> {
    if let Some((major, minor)) = major_minor(&engine.api).filter(|api| *api < (1, 44)) {
        return Some(format!("its API is {major}.{minor}, and 1.44 is the first that does"));
    }
    if let Some((major, minor)) = major_minor(&engine.kernel).filter(|kernel| *kernel < (5, 12)) {
        return Some(format!("its kernel is {major}.{minor}, and 5.12 is the first that does"));
    }
    (engine.rro == Some(false)).then(|| "its runtime does not know `rro`".to_owned())
}

/// What to do to get an engine that is new enough.
pub(crate) fn newer_engine(engine: &Engine) -> Vec<Remedy> {
    let mut remedies = vec![Remedy::Do(
        "use Docker Engine 25 or later, runc 1.1 or later and Linux 5.12 or later; unset DOCKER_API_VERSION".into(),
    )];
    if engine.upstream() {
        remedies.extend(engine.distro.upgrade(&["docker-ce", "docker-ce-cli", "containerd.io"]));
    }
    remedies
}

/// The error where an image has to be built and the client cannot.
pub(crate) fn no_buildx(engine: &Engine) -> Option<Failure> {
    let remedies = || engine.distro.install(Package::Buildx, engine.upstream());
    let failure = || host("the Docker CLI has no buildx plugin, and the image is built with it").remedies(remedies());
    engine.buildx.is_empty().then(failure)
}

/// The error where a file system has too little room for the image.
pub(crate) fn low_room(dir: &Path, free: u64, need: u64) -> Option<Failure> {
    (free < need).then(|| {
        host(format!("`{}` has {} GiB free, and the build needs {} GiB", dir.display(), free >> 30, need >> 30))
            .hint("`docker system df` shows what takes the room; `docker image prune` removes unused images")
    })
}
