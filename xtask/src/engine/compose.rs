//! The input of Compose: the exported variables, the override beside `docker/docker-compose.yaml`, the commands. Pure.

pub(crate) mod one_shot;
mod overruled;

pub(crate) use overruled::{UNREAD, overruled};

use crate::engine::asked::confine;
use crate::engine::{caches, devcontainer, docker};
use crate::spec::codex_command::CA_VARIABLES;
use crate::spec::inside::{CA, INIT, PYTHON_LINK};
use crate::spec::{Mount, Role, Spec};
use crate::step::{Command, Step};
use serde_json::{Value, json};
use serde_yaml::value::{Tag, TaggedValue};
use std::path::PathBuf;

/// The label that marks a container as ours. It holds the `Spec` of the container, as JSON.
pub(crate) const SPEC_LABEL: &str = "codex-sandbox.spec";

/// The label of the first release, which held a description in another form.
pub(crate) const FIRST_LABEL: &str = "codex-sandbox.settings";

/// Everything that Compose needs to know of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    /// The name of Compose's project; it determines the name of the container.
    pub(crate) name: String,
    /// Of this repository.
    pub(crate) root: PathBuf,
    /// The path of the generated override.
    pub(crate) override_file: PathBuf,
    pub(crate) spec: Spec,
}

impl Project {
    pub(crate) fn container(&self) -> String {
        container_name(&self.name)
    }

    /// The variables that `docker/docker-compose.yaml` requires, with their values.
    pub(crate) fn exports(&self) -> Vec<(&'static str, String)> {
        let own = [
            ("HOST_UID", self.spec.uid.to_string()),
            ("HOST_GID", self.spec.gid.to_string()),
            ("CODEX_BIN", self.spec.codex_bin.to_string_lossy().into_owned()),
            ("SANDBOX_IMAGE", self.spec.image.clone()),
        ];
        let source = |role| {
            let source = self.spec.mount(&role).map(|mount| mount.source.to_string_lossy().into_owned());
            source.unwrap_or_else(|| NOWHERE.to_owned())
        };
        let sources = BASE_MOUNTS.iter().map(|(name, role)| (*name, source(role())));
        own.into_iter().chain(sources).collect()
    }

    fn compose(&self) -> Command {
        let base = self.root.join("docker/docker-compose.yaml");
        let command = docker::compose(Some(&self.name), &[&base, &self.override_file]);
        self.exports().into_iter().fold(command, |command, (name, value)| command.env(name, value))
    }

    /// Creates and starts the container.
    pub(crate) fn up(&self) -> Command {
        // The image is built here and never pulled, so only an engine that hangs takes longer than this.
        self.compose().args(["up", "--detach", "--no-build", "--force-recreate"]).timeout(180)
    }

    /// Creates the volumes of the caches that do not exist.
    pub(crate) fn cache_steps(&self) -> Vec<Step> {
        caches::create(&self.spec)
    }

    pub(crate) fn override_step(&self) -> Step {
        Step::WriteFile { path: self.override_file.clone(), text: self.override_text() }
    }

    /// The override: what differs between hosts, as a Compose file.
    pub(crate) fn override_text(&self) -> String {
        let p = &self.spec;
        let whole = BASE_MOUNTS.iter().any(|(_, role)| p.mount(&role()).is_none());
        let is_more = |m: &&Mount| whole || !BASE_MOUNTS.iter().any(|(_, role)| role() == m.role);
        let volumes: Vec<Value> = p.mounts.iter().filter(is_more).map(volume).collect();
        let mut service = json!({
            "labels": {SPEC_LABEL: escape(&json!(p).to_string())},
            "volumes": volumes,
            "command": [PYTHON_LINK, "-I", "-S", INIT],
            // The command itself does what an init does, and is out of the agent's reach.
            "init": false,
        });
        if p.dev_container {
            for (label, text) in devcontainer::labels(&self.root) {
                service["labels"][label] = json!(escape(&text));
            }
        }
        confine(&mut service, p);
        let (caches, mut variables) = caches::declared(p.caches());
        if p.ca_bundle {
            variables.extend(CA_VARIABLES.iter().map(|name| (name.to_string(), json!(CA))));
        }
        if !variables.is_empty() {
            service["environment"] = Value::Object(variables);
        }
        let mut override_file = json!({"services": {"workspace": service}});
        if !caches.is_empty() {
            override_file["volumes"] = Value::Object(caches);
        }
        let mut override_file = serde_yaml::to_value(&override_file).unwrap_or_default();
        if whole {
            // Compose would add the list to its own, in which there is a mount that is not wanted.
            let volumes = &mut override_file["services"]["workspace"]["volumes"];
            let value = std::mem::take(volumes);
            *volumes = serde_yaml::Value::Tagged(Box::new(TaggedValue { tag: Tag::new("!override"), value }));
        }
        let yaml = serde_yaml::to_string(&override_file).unwrap_or_default();
        format!("# Made by `cargo xtask sandbox` beside docker/docker-compose.yaml; rewritten at each start.\n{yaml}")
    }
}

/// What Compose adds to the project's name for the first container of the service.
const CONTAINER_SUFFIX: &str = "-workspace-1";

/// Compose's own name for the first container of the service.
pub(crate) fn container_name(project: &str) -> String {
    format!("{project}{CONTAINER_SUFFIX}")
}

/// The project of the container of this name.
pub(crate) fn project_of(container: &str) -> &str {
    container.strip_suffix(CONTAINER_SUFFIX).unwrap_or(container)
}

/// The source of a mount of `docker/docker-compose.yaml` that this sandbox does not have: the variable must have a value, and a
/// Compose that does not know `!override` (it does since 2.24.4) then refuses to start, because this is not there.
const NOWHERE: &str = "/nowhere/not-mounted";

type RoleOf = fn() -> Role;

/// The mounts of `docker/docker-compose.yaml` itself, each with the variable that gives its source.
const BASE_MOUNTS: &[(&str, RoleOf)] = &[
    ("CODEX_PACKAGE", || Role::CodexPackage),
    ("CODEX_HOME_DIR", || Role::CodexHome),
    ("WORKSPACE_DIR", || Role::Workspace),
    ("SSV2_DIR", || Role::Dataset("ssv2".into())),
];

fn volume(mount: &Mount) -> Value {
    if let Role::Cache(cache) = mount.role {
        return caches::service_volume(cache, &mount.target);
    }
    // Compose passes `recursive` on since 2.30 and ignores it before that: the proof does not rely on it.
    let mut bind = json!({"create_host_path": false, "propagation": "rprivate"});
    if mount.read_only {
        bind["recursive"] = json!("readonly");
    }
    json!({
        "type": "bind",
        "source": escape(&mount.source.to_string_lossy()),
        "target": escape(&mount.target),
        "read_only": mount.read_only,
        "bind": bind,
    })
}

/// Compose interpolates variables in every string of its files; `$$` is a literal `$`.
fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
pub(crate) mod tests;
