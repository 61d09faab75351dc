//! The engine: does one answer, is it one that can keep the promises, and what of it is old.

use super::versions::{self, Branch};
use super::{Check, Finding, Group, Verdict};
use crate::engine::facts;
use crate::engine::facts::{Component, Engine, Local, Silence};
use crate::error::{Mend, host};

/// What is known of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its answer, or why there is none.
    pub engine: Result<Engine, Silence>,
    /// What this host has for an engine of its own.
    pub local: Local,
    /// Whether an image has to be built.
    pub build: bool,
    /// The data sets with file systems mounted below them.
    pub submounts: Vec<String>,
}

const ANSWERS: Check = Check {
    group: Group::Engine,
    id: "answers",
    what: "Docker Engine",
    needed: "a rootful Docker Engine on this machine, with Compose v2",
};
const PLACE: Check = check("place", "its place", "an engine that sees this machine's own files");
const USERS: Check = check("users", "its user ids", "the host's own user ids");
const COMPOSE: Check = check("compose", "Compose", "2.30 or later");
const BUILDX: Check = check("buildx", "buildx", "any version, to build the image");
const RECURSIVE: Check = check("recursive", "recursive read-only", "Engine 25, runc 1.1 and Linux 5.12, or later");
const REST: Check = check("rest", "all else of the engine", "");

const fn check(id: &'static str, what: &'static str, needed: &'static str) -> Check<'static> {
    Check { group: Group::Engine, id, what, needed }
}

/// What is to be said of the engine.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let engine = match &facts.engine {
        Ok(engine) => engine,
        Err(silence) => {
            let verdict = match silence {
                Silence::NoClient => Verdict::Missing,
                _ => Verdict::Broken,
            };
            let failure = facts::silent(silence, &facts.local);
            return vec![ANSWERS.refused(verdict, &failure), REST.unchecked("no engine answers")];
        }
    };
    let refusals = facts::refusals(engine);
    let refused = |id: &str| refusals.iter().find(|refusal| refusal.id == id).map(|r| &r.failure);
    if let Some(failure) = refused("client") {
        return vec![ANSWERS.broken(failure), REST.unchecked("`docker` is not Docker's")];
    }
    let mut found = vec![version(engine)];
    found.push(match refused("place") {
        Some(failure) => PLACE.broken(failure),
        None => PLACE.ok(format!("this machine, {}", engine.endpoint)),
    });
    found.push(match refused("users") {
        Some(failure) => USERS.broken(failure),
        None => USERS.ok("the host's"),
    });
    found.push(match refused("compose") {
        Some(failure) => COMPOSE.missing(failure),
        None => compose(engine),
    });
    found.push(match facts::no_buildx(engine) {
        Some(failure) if facts.build => BUILDX.missing(&failure),
        Some(failure) => BUILDX.warning(failure.message, failure.mend),
        None => BUILDX.ok(&engine.buildx),
    });
    found.push(match refused("recursive") {
        Some(failure) => RECURSIVE.broken(failure),
        None => recursive(engine, &facts.submounts),
    });
    found.extend(runc(engine));
    found
}

fn version(engine: &Engine) -> Finding {
    let version = &engine.version;
    if !engine.upstream() {
        return ANSWERS
            .ok(format!("{version}, the distribution's build (it mends security holes without a new number)"));
    }
    match versions::below(version, versions::ENGINE, Branch::Minor) {
        Some(floor) => Check { needed: &format!("{floor} or later has all known security fixes"), ..ANSWERS }.warning(
            format!("{version} has known security holes"),
            engine.distro.upgrade(&["docker-ce", "docker-ce-cli", "containerd.io"]),
        ),
        None => ANSWERS.ok(format!("{version}, Docker's build")),
    }
}

/// runc's own builds answer a commit that starts with `v`; those of distributions have words of their own in it.
fn runc(engine: &Engine) -> Option<Finding> {
    let Component { version, commit, .. } = engine.components.iter().find(|part| part.name == "runc")?;
    let runc = check("runc", "runc", "");
    let plain = version.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !engine.upstream() || !plain || !commit.starts_with('v') {
        return Some(runc.ok(format!("{version}, the distribution's build")));
    }
    Some(match versions::below(version, versions::RUNC, Branch::Minor) {
        Some(floor) => Check { needed: &format!("{floor} or later has all known security fixes"), ..runc }
            .warning(format!("{version} has known security holes"), engine.distro.upgrade(&["containerd.io"])),
        None => runc.ok(format!("{version}, from Docker")),
    })
}

fn compose(engine: &Engine) -> Finding {
    if facts::passes_recursive(engine) {
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
    match facts::not_recursive(engine) {
        Some(why) if !submounts.is_empty() => {
            let what =
                format!("mounts below the data set `{}` would be writable inside: {why}", submounts.join("`, `"));
            RECURSIVE.broken(&host(what).mend(facts::newer_engine(engine)))
        }
        Some(why) => RECURSIVE.warning(
            format!("no: {why}; no data set has mounts below it, so nothing is writable by that now"),
            facts::newer_engine(engine),
        ),
        None if engine.rro.is_none() => RECURSIVE.unchecked("the engine does not tell; the proof looks from inside"),
        None => RECURSIVE.ok(format!("API {}, Linux {}", engine.api, engine.kernel)),
    }
}

#[cfg(test)]
pub(super) mod tests;
