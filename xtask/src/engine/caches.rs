//! Caches that outlive a container: named volumes of the engine, one for each user and tool. Pure.
//!
//! All workspaces of a user share them, as they would share `~/.cache`: what an agent leaves there, the next one reads.
//! The host itself never reads it. The engine gives a new volume the owner and the mode of the image's directory at the
//! same path, so the image has these directories, owned by the user (`docker/add_user.sh`). The volumes are `external`
//! for Compose: it would warn about a volume that another project of its own has created, and offer to recreate it.

use crate::engine::docker;
use crate::spec::codex_command::LINK_MODE;
use crate::spec::words::Cache;
use crate::spec::{Mount, Role};
use crate::step::{Command, Step};
use clap::ValueEnum as _;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The label of our volumes: the name of the cache.
const CACHE_LABEL: &str = "codex-sandbox.cache";
/// The label with the user id of the owner.
const USER_LABEL: &str = "codex-sandbox.user";

/// The usual data directory of an engine; for a plan that does not ask the engine.
pub(crate) const USUAL_ROOT: &str = "/var/lib/docker";

/// The path of a cache inside the container.
pub(crate) fn target(cache: Cache) -> String {
    format!("/home/codex/.cache/{cache}")
}

/// The volume of a cache, for a user.
pub(crate) fn volume(cache: Cache, uid: u32) -> String {
    format!("codex-sandbox-cache-{cache}-u{uid}")
}

/// The caches as mounts, for an engine that keeps its data in `root`.
pub(crate) fn mounts(caches: &[Cache], uid: u32, root: &Path) -> Vec<Mount> {
    let mount = |cache: Cache| Mount {
        role: Role::Cache(cache),
        source: root.join("volumes").join(volume(cache, uid)).join("_data"),
        target: target(cache),
        read_only: false,
    };
    caches.iter().copied().map(mount).collect()
}

/// The mount of one cache, as Compose writes it in a service.
pub(crate) fn service_volume(cache: Cache, target: &str) -> Value {
    json!({"type": "volume", "source": key(cache), "target": target})
}

/// The volumes of the project and the variables of the service for these caches, as Compose writes them.
pub(crate) fn declared(caches: impl Iterator<Item = Cache>, uid: u32) -> (Map<String, Value>, Map<String, Value>) {
    let (mut volumes, mut variables) = (Map::new(), Map::new());
    for cache in caches {
        volumes.insert(key(cache), json!({"name": volume(cache, uid), "external": true}));
        variables.insert(cache.variable().to_owned(), json!(target(cache)));
        if cache == Cache::Uv {
            // It would try a hard link first, and warn each time.
            variables.insert(LINK_MODE.into(), json!("copy"));
        }
    }
    (volumes, variables)
}

fn key(cache: Cache) -> String {
    format!("cache-{cache}")
}

/// Creates the volumes; one that exists is left as it is.
pub(crate) fn create(caches: &[Cache], uid: u32) -> Vec<Step> {
    let step = |cache: Cache| {
        let labels = [format!("{CACHE_LABEL}={cache}"), format!("{USER_LABEL}={uid}")];
        Step::Run(docker::create_volume(&volume(cache, uid), &labels))
    };
    let note = (!caches.is_empty()).then(|| {
        Step::Note("the caches are volumes that outlive the container; those that do not exist are created".into())
    });
    note.into_iter().chain(caches.iter().copied().map(step)).collect()
}

/// Whether Compose failed because a volume does not exist yet.
pub(crate) fn is_missing(stderr: &str) -> bool {
    stderr.lines().any(|line| {
        line.contains("external volume") && line.contains("codex-sandbox-cache-") && line.contains("not found")
    })
}

/// Lists the volumes whose name may be that of a cache. It does not ask by label: when a container starts while its
/// volumes are being removed, the engine creates new ones of the same name without a label, and those are caches too.
pub(crate) fn list() -> Command {
    docker::volumes("codex-sandbox-cache-")
}

/// The volumes in its answer that are caches of this user.
pub(crate) fn parse_list(text: &str, uid: u32) -> Vec<String> {
    let ours = |name: &&str| Cache::value_variants().iter().any(|cache| volume(*cache, uid) == **name);
    text.lines().map(str::trim).filter(ours).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cache_is_found_by_a_variable_and_kept_by_user() {
        let (volumes, variables) = declared(Cache::value_variants().iter().copied(), 1000);
        assert_eq!(volumes["cache-pip"], json!({"name": "codex-sandbox-cache-pip-u1000", "external": true}));
        assert_eq!(volumes.len(), Cache::value_variants().len());
        for cache in Cache::value_variants() {
            assert_eq!(variables[cache.variable()], target(*cache));
        }
        assert_eq!(variables["PIP_CACHE_DIR"], "/home/codex/.cache/pip");
    }

    #[test]
    fn a_volume_that_is_not_there_yet_is_told_from_other_failures() {
        let said = " Network x  Created\nexternal volume \"codex-sandbox-cache-pip-u0\" not found\n";
        assert!(is_missing(said));
        assert!(!is_missing("external volume \"mine\" not found"));
        assert!(!is_missing("Error response from daemon: No such image: codex-sandbox-cache-pip-u0: not found"));
    }

    #[test]
    fn of_the_engines_volumes_only_the_users_own_caches_are_ours() {
        let said = "codex-sandbox-cache-pip-u1000\ncodex-sandbox-cache-pip-u0\nprecious\ncodex-sandbox-cache-x-u1000\n";
        assert_eq!(parse_list(said, 1000), ["codex-sandbox-cache-pip-u1000"]);
    }
}
