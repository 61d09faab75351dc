//! What Compose is told: the exported variables, the override beside `docker/docker-compose.yaml`, the commands. Pure.

pub mod one_shot;

use crate::engine::{caches, devcontainer, docker};
use crate::spec::Spec;
use crate::spec::inside::{CA, Role};
use crate::spec::mount::Mount;
use crate::spec::words::{GpuRoute, Gpus, Memlock, Network};
use crate::step::{Command, Step};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The label that marks a container as ours and holds what it was made to be, as JSON.
pub const SPEC_LABEL: &str = "codex-sandbox.spec";

/// The label of the first release, which held another description.
pub const FIRST_LABEL: &str = "codex-sandbox.settings";

/// Variables through which programs inside find the host's CA bundle. Codex reads the first two.
const CA_VARIABLES: &[&str] = &[
    "CODEX_CA_CERTIFICATE",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
];

/// Everything that Compose needs to know of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Compose's project name; the container's name follows from it.
    pub name: String,
    /// The root of this repository.
    pub root: PathBuf,
    /// The generated override.
    pub override_file: PathBuf,
    /// What the sandbox is to be.
    pub spec: Spec,
}

impl Project {
    /// The container's name: Compose's own way to name the first container of a service.
    pub fn container(&self) -> String {
        container_name(&self.name)
    }

    /// The variables that `docker/docker-compose.yaml` requires, with their values.
    pub fn exports(&self) -> Vec<(String, String)> {
        let source = |role: &Role| self.spec.mount(role).map(|mount| mount.source.to_string_lossy().into_owned());
        let mut exports = vec![
            ("HOST_UID".to_owned(), self.spec.uid.to_string()),
            ("HOST_GID".to_owned(), self.spec.gid.to_string()),
            ("CODEX_BIN".to_owned(), self.spec.codex_bin.to_string_lossy().into_owned()),
            ("SANDBOX_IMAGE".to_owned(), self.spec.image.clone()),
        ];
        for (name, role) in BASE_MOUNTS {
            exports.extend(source(&role()).map(|path| (name.to_string(), path)));
        }
        exports
    }

    fn compose(&self) -> Command {
        let base = self.root.join("docker/docker-compose.yaml");
        let command = docker::compose(Some(&self.name), &[&base, &self.override_file]);
        self.exports().into_iter().fold(command, |command, (name, value)| command.env(name, value))
    }

    /// Creates and starts the container.
    pub fn up(&self) -> Command {
        // The image is ours and local; what could hang is the engine itself.
        self.compose().args(["up", "--detach", "--no-build", "--force-recreate"]).timeout(180)
    }

    /// Makes the volumes of the caches, where they are not there.
    pub fn cache_steps(&self) -> Vec<Step> {
        caches::create(&self.spec.caches().collect::<Vec<_>>(), self.spec.uid)
    }

    /// Writes the override.
    pub fn override_step(&self) -> Step {
        Step::WriteFile { path: self.override_file.clone(), text: self.override_text() }
    }

    /// The override: what differs by host, in Compose's own words.
    pub fn override_text(&self) -> String {
        let p = &self.spec;
        let is_base = |m: &&Mount| !BASE_MOUNTS.iter().any(|(_, role)| role() == m.role);
        let volumes: Vec<Value> = p.mounts.iter().filter(is_base).map(volume).collect();
        let mut service = json!({
            "labels": {SPEC_LABEL: escape(&json!(p).to_string())},
            "volumes": volumes,
        });
        if p.dev_container {
            for (label, text) in devcontainer::labels(&self.root) {
                service["labels"][label] = json!(escape(&text));
            }
        }
        confine(&mut service, p);
        let (caches, mut variables) = caches::declared(p.caches(), p.uid);
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
        let yaml = serde_yaml::to_string(&override_file).unwrap_or_default();
        format!("# Made by `cargo xtask sandbox` beside docker/docker-compose.yaml; made again at each start.\n{yaml}")
    }
}

/// What every container of ours gets by its description: limits, groups, network and GPUs. The other keys stay.
fn confine(service: &mut Value, p: &Spec) {
    service["shm_size"] = json!(p.shape.shm_size);
    service["pids_limit"] = json!(p.shape.pids_limit);
    if !p.groups.is_empty() {
        service["group_add"] = p.groups.iter().map(|gid| json!(gid.to_string())).collect();
    }
    match p.shape.network {
        Network::None => service["network_mode"] = json!("none"),
        // The bridge network of the project, which Compose makes by itself.
        Network::Open => {}
    }
    if let Some(devices) = device_request(&p.shape.gpus, p.gpu_route) {
        match p.shape.memlock {
            Memlock::Unlimited => service["ulimits"]["memlock"] = json!(-1),
            Memlock::Engine => {}
        }
        service["deploy"] = json!({"resources": {"reservations": {"devices": [devices]}}});
    }
}

/// What Compose adds to the project's name for the first container of the service.
const CONTAINER_SUFFIX: &str = "-workspace-1";

/// Compose's own name for the first container of the service.
pub fn container_name(project: &str) -> String {
    format!("{project}{CONTAINER_SUFFIX}")
}

type RoleOf = fn() -> Role;

/// The mounts that `docker/docker-compose.yaml` has by itself, by the variable that gives their source.
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
    // `recursive` is honoured from Compose 2.30 on and ignored before: the proof does not rely on it.
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

fn device_request(gpus: &Gpus, route: Option<GpuRoute>) -> Option<Value> {
    let ids = match gpus {
        Gpus::None => return None,
        Gpus::All => None,
        Gpus::Ids(ids) => Some(ids.clone()),
    };
    Some(match (route?, ids) {
        (GpuRoute::Nvidia, None) => json!({"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}),
        (GpuRoute::Nvidia, Some(ids)) => json!({"driver": "nvidia", "device_ids": ids, "capabilities": ["gpu"]}),
        (GpuRoute::Cdi, ids) => {
            let names = ids.unwrap_or_else(|| vec!["all".into()]);
            let names: Vec<String> = names.iter().map(|id| cdi_name(id)).collect();
            json!({"driver": "cdi", "device_ids": names, "capabilities": ["gpu"]})
        }
    })
}

/// The CDI name of a GPU id.
pub fn cdi_name(id: &str) -> String {
    if id.contains('=') { id.to_owned() } else { format!("nvidia.com/gpu={id}") }
}

/// Compose interpolates `$` in every string of its files.
fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// Removes the network that Compose made beside a container; with `--network none` there is none, and that is fine.
/// An engine has about thirty of them to give: one that is left behind is missed soon.
pub fn remove_network(container: &str) -> Command {
    let project = container.strip_suffix(CONTAINER_SUFFIX).unwrap_or(container);
    docker::remove_network(&format!("{project}_default"))
}

#[cfg(test)]
pub(crate) mod tests;
