//! The engine: whether one answers, whether it can keep the promises of a sandbox, and which parts of it are old.

use super::advisories;
use crate::doctor::AboutHost;
use crate::engine::refuse::{ANSWERS, COMPOSE, PLACE, RECURSIVE, USERS};
use crate::engine::{self, Component, Engine, Silence};
use crate::error::{Remedy, host};
use crate::finding::{Finding, Subject, subject};

const BUILDX: Subject = subject("engine.buildx", "buildx", "any version, to build the image");
const REST: Subject = subject("engine.rest", "all else of the engine", "");

pub(super) fn findings(facts: &AboutHost) -> Vec<Finding> {
    let engine = match &facts.engine {
        Ok(engine) => engine,
        Err(silence) => {
            let failure = engine::silent(silence, &facts.local);
            let answers = match silence {
                Silence::NoClient => ANSWERS.missing(failure),
                Silence::NoAnswer { .. } | Silence::Odd(_) => ANSWERS.broken(failure),
            };
            return vec![answers, REST.unchecked("no engine answers")];
        }
    };
    let refusals = engine::refusals(engine);
    let refused = |subject: Subject| refusals.iter().find(|refusal| refusal.id == subject.id).cloned();
    if let Some(refused) = refused(ANSWERS) {
        return vec![refused, REST.unchecked("`docker` is not Docker's")];
    }
    let must_build = facts.image.as_ref().map_or(true, |image| image.built.is_none());
    let buildx = match engine::no_buildx(engine) {
        Some(failure) if must_build => BUILDX.missing(failure),
        Some(failure) => BUILDX.warning(failure.message, failure.remedies),
        None => BUILDX.ok(&engine.buildx),
    };
    let found = [
        version(engine),
        refused(PLACE).unwrap_or_else(|| PLACE.ok(format!("this machine, {}", engine.endpoint))),
        refused(USERS).unwrap_or_else(|| USERS.ok("the host's")),
        refused(COMPOSE).unwrap_or_else(|| compose(engine)),
        buildx,
        refused(RECURSIVE).unwrap_or_else(|| recursive(facts, engine)),
    ];
    found.into_iter().chain(runc(engine)).collect()
}

fn version(engine: &Engine) -> Finding {
    let version = &engine.version;
    if !engine.upstream() {
        let found = "the distribution's build (the distribution fixes security holes without changing the version)";
        return ANSWERS.ok(format!("{version}, {found}"));
    }
    let upgrade = engine.distro.upgrade(&["docker-ce", "docker-ce-cli", "containerd.io"]);
    advisories::ENGINE.judge(ANSWERS, version, format!("{version}, Docker's build"), upgrade)
}

/// In Docker's own builds of runc the commit starts with `v`; the builds of distributions have other text there.
fn runc(engine: &Engine) -> Option<Finding> {
    let Component { version, commit, .. } = engine.components.iter().find(|part| part.name == "runc")?;
    let runc = subject("engine.runc", "runc", "");
    let plain = version.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !engine.upstream() || !plain || !commit.starts_with('v') {
        return Some(runc.ok(format!("{version}, the distribution's build")));
    }
    let upgrade = engine.distro.upgrade(&["containerd.io"]);
    Some(advisories::RUNC.judge(runc, version, format!("{version}, from Docker"), upgrade))
}

fn compose(engine: &Engine) -> Finding {
    if engine::passes_recursive(engine) {
        return COMPOSE.ok(&engine.compose);
    }
    let remedies = if engine.upstream() {
        engine.distro.upgrade(&["docker-compose-plugin"])
    } else {
        let from = "a newer one comes with Docker's own packages: https://docs.docker.com/engine/install/";
        vec![Remedy::Do(from.into())]
    };
    COMPOSE.warning(
        format!(
            "{} silently drops `gpus` and `bind.recursive`; the sandbox does without them, and the proof checks the \
             result inside",
            engine.compose
        ),
        remedies,
    )
}

fn recursive(facts: &AboutHost, engine: &Engine) -> Finding {
    let sets = facts.files.iter().flat_map(|files| &files.sets).filter(|set| set.submounts);
    let sets: Vec<&str> = sets.map(|set| set.name.as_str()).collect();
    match engine::not_recursive(engine) {
        Some(why) if !sets.is_empty() => {
            let what = format!("mounts below the data set `{}` would be writable inside: {why}", sets.join("`, `"));
            RECURSIVE.broken(host(what).remedies(engine::newer_engine(engine)))
        }
        Some(why) => RECURSIVE.warning(
            format!("no: {why}; no data set has mounts below it, so nothing is writable because of it now"),
            engine::newer_engine(engine),
        ),
        None if engine.rro.is_none() => {
            RECURSIVE.unchecked("the engine does not report it; the proof checks it inside the container")
        }
        None => RECURSIVE.ok(format!("API {}, Linux {}", engine.api, engine.kernel)),
    }
}

#[cfg(test)]
mod tests;
