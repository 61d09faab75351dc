//! The engine: does one answer, is it one that can keep the promises, and what of it is old.

use super::versions::{self, Series};
use crate::engine::refuse::{ANSWERS, COMPOSE, PLACE, RECURSIVE, USERS};
use crate::engine::{self, Component, Engine, Local, Silence};
use crate::error::{Mend, host};
use crate::finding::{Finding, Subject, subject};

/// What is known of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AboutEngine {
    /// Its answer, or why there is none.
    pub engine: Result<Engine, Silence>,
    /// What this host has for an engine of its own.
    pub local: Local,
    /// Whether an image has to be built.
    pub build: bool,
    /// The data sets with file systems mounted below them.
    pub submounts: Vec<String>,
}

const BUILDX: Subject = subject("engine.buildx", "buildx", "any version, to build the image");
const REST: Subject = subject("engine.rest", "all else of the engine", "");

/// What is to be said of the engine.
pub(crate) fn findings(facts: &AboutEngine) -> Vec<Finding> {
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
    let mut found = vec![version(engine)];
    found.push(refused(PLACE).unwrap_or_else(|| PLACE.ok(format!("this machine, {}", engine.endpoint))));
    found.push(refused(USERS).unwrap_or_else(|| USERS.ok("the host's")));
    found.push(refused(COMPOSE).unwrap_or_else(|| compose(engine)));
    found.push(match engine::no_buildx(engine) {
        Some(failure) if facts.build => BUILDX.missing(failure),
        Some(failure) => BUILDX.warning(failure.message, failure.mend),
        None => BUILDX.ok(&engine.buildx),
    });
    found.push(refused(RECURSIVE).unwrap_or_else(|| recursive(engine, &facts.submounts)));
    found.extend(runc(engine));
    found
}

fn version(engine: &Engine) -> Finding {
    let version = &engine.version;
    if !engine.upstream() {
        return ANSWERS
            .ok(format!("{version}, the distribution's build (it mends security holes without a new number)"));
    }
    match versions::below(version, versions::ENGINE, Series::Minor) {
        Some(floor) => Subject { needed: &format!("{floor} or later has all known security fixes"), ..ANSWERS }
            .warning(
                format!("{version} has known security holes"),
                engine.distro.upgrade(&["docker-ce", "docker-ce-cli", "containerd.io"]),
            ),
        None => ANSWERS.ok(format!("{version}, Docker's build")),
    }
}

/// runc's own builds answer a commit that starts with `v`; those of distributions have words of their own in it.
fn runc(engine: &Engine) -> Option<Finding> {
    let Component { version, commit, .. } = engine.components.iter().find(|part| part.name == "runc")?;
    let runc = subject("engine.runc", "runc", "");
    let plain = version.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !engine.upstream() || !plain || !commit.starts_with('v') {
        return Some(runc.ok(format!("{version}, the distribution's build")));
    }
    Some(match versions::below(version, versions::RUNC, Series::Minor) {
        Some(floor) => Subject { needed: &format!("{floor} or later has all known security fixes"), ..runc }
            .warning(format!("{version} has known security holes"), engine.distro.upgrade(&["containerd.io"])),
        None => runc.ok(format!("{version}, from Docker")),
    })
}

fn compose(engine: &Engine) -> Finding {
    if engine::passes_recursive(engine) {
        return COMPOSE.ok(&engine.compose);
    }
    let mend = if engine.upstream() {
        engine.distro.upgrade(&["docker-compose-plugin"])
    } else {
        let from = "a newer one comes with Docker's own packages: https://docs.docker.com/engine/install/";
        vec![Mend::Do(from.into())]
    };
    COMPOSE.warning(
        format!(
            "{} drops `gpus` and `bind.recursive` without a word; the sandbox does without them, and the proof looks \
             from inside",
            engine.compose
        ),
        mend,
    )
}

fn recursive(engine: &Engine, submounts: &[String]) -> Finding {
    match engine::not_recursive(engine) {
        Some(why) if !submounts.is_empty() => {
            let what =
                format!("mounts below the data set `{}` would be writable inside: {why}", submounts.join("`, `"));
            RECURSIVE.broken(host(what).mend(engine::newer_engine(engine)))
        }
        Some(why) => RECURSIVE.warning(
            format!("no: {why}; no data set has mounts below it, so nothing is writable by that now"),
            engine::newer_engine(engine),
        ),
        None if engine.rro.is_none() => RECURSIVE.unchecked("the engine does not tell; the proof looks from inside"),
        None => RECURSIVE.ok(format!("API {}, Linux {}", engine.api, engine.kernel)),
    }
}

#[cfg(test)]
pub(super) mod tests;
