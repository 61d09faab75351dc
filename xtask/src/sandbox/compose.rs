//! What Compose is told: the exported variables, the override beside `docker/docker-compose.yaml`, the commands. Pure.

use crate::sandbox::promise::{GpuRoute, Gpus, Memlock, Mount, Network, Promise, Role};
use crate::step::Command;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The label that marks a container as ours and holds the settings it was made with, as JSON.
pub const SETTINGS_LABEL: &str = "codex-sandbox.settings";

/// Where the host's CA bundle is inside.
pub const GUEST_CA: &str = "/sandbox/ca.pem";

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
    /// `docker/docker-compose.yaml`.
    pub base_file: PathBuf,
    /// The generated override.
    pub override_file: PathBuf,
    /// What the sandbox promises.
    pub promise: Promise,
    /// The resolved native binary on the host; recorded, not mounted (the package is).
    pub codex_bin: PathBuf,
    /// Whether the guest directory holds a CA bundle.
    pub ca: bool,
    /// The settings label.
    pub settings: Value,
    /// Further labels: those of the dev container, where this is the sandbox that it opens.
    pub labels: Vec<(String, String)>,
}

impl Project {
    /// The container's name: Compose's own way to name the first container of a service.
    pub fn container(&self) -> String {
        container_name(&self.name)
    }

    /// The variables that `docker/docker-compose.yaml` requires, with their values.
    pub fn exports(&self) -> Vec<(String, String)> {
        let source = |role: &Role| {
            self.promise
                .mounts
                .iter()
                .find(|m| m.role == *role)
                .map(|m| m.source.to_string_lossy().into_owned())
        };
        let mut exports = vec![
            ("HOST_UID".to_owned(), self.promise.uid.to_string()),
            ("HOST_GID".to_owned(), self.promise.gid.to_string()),
            ("CODEX_BIN".to_owned(), self.codex_bin.to_string_lossy().into_owned()),
            ("SANDBOX_IMAGE".to_owned(), self.promise.image.clone()),
        ];
        for (name, role) in BASE_MOUNTS {
            exports.extend(source(&role()).map(|path| (name.to_string(), path)));
        }
        exports
    }

    fn compose(&self) -> Command {
        let command = Command::new("docker")
            .args(["compose", "--project-name", &self.name])
            .args([
                "--file".to_owned(),
                self.base_file.to_string_lossy().into_owned(),
                "--file".to_owned(),
                self.override_file.to_string_lossy().into_owned(),
            ]);
        self.exports()
            .into_iter()
            .fold(command, |command, (name, value)| command.env(name, value))
    }

    /// Creates and starts the container.
    pub fn up(&self) -> Command {
        // The image is ours and local; what could hang is the engine itself.
        self.compose()
            .args(["up", "--detach", "--no-build", "--force-recreate"])
            .timeout(180)
    }

    /// The override: what differs by host, in Compose's own words.
    pub fn override_text(&self) -> String {
        let p = &self.promise;
        let is_base = |m: &&Mount| !BASE_MOUNTS.iter().any(|(_, role)| role() == m.role);
        let volumes: Vec<Value> = p.mounts.iter().filter(is_base).map(volume).collect();
        let mut service = json!({
            "labels": {SETTINGS_LABEL: escape(&self.settings.to_string())},
            "shm_size": p.shm_bytes,
            "pids_limit": p.pids_limit,
            "volumes": volumes,
        });
        for (label, text) in &self.labels {
            service["labels"][label] = json!(escape(text));
        }
        if !p.groups.is_empty() {
            service["group_add"] = p.groups.iter().map(|gid| json!(gid.to_string())).collect();
        }
        if p.network == Network::None {
            service["network_mode"] = json!("none");
        }
        if self.ca {
            service["environment"] = CA_VARIABLES
                .iter()
                .map(|name| (name.to_string(), json!(GUEST_CA)))
                .collect();
        }
        if let Some(devices) = device_request(&p.gpus, p.gpu_route) {
            if p.memlock == Memlock::Unlimited {
                service["ulimits"] = json!({"memlock": -1});
            }
            service["deploy"] = json!({"resources": {"reservations": {"devices": [devices]}}});
        }
        let override_file = json!({"services": {"workspace": service}});
        let yaml = serde_yaml::to_string(&override_file).unwrap_or_default();
        format!("# Made by `cargo xtask sandbox` beside docker/docker-compose.yaml; made again at each start.\n{yaml}")
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
    if id.contains('=') {
        id.to_owned()
    } else {
        format!("nvidia.com/gpu={id}")
    }
}

/// Compose interpolates `$` in every string of its files.
fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// Asks for everything that the engine knows of a container; a missing one is an exit code 1.
pub fn inspect(container: &str) -> Command {
    Command::new("docker").args(["container", "inspect", container])
}

/// Stops and removes a container that is ours.
pub fn remove(container: &str) -> Command {
    Command::new("docker")
        .args(["container", "rm", "--force", "--volumes", container])
        .timeout(60)
}

/// Removes the network that Compose made beside a container; with `--network none` there is none, and that is fine.
/// An engine has about thirty of them to give: one that is left behind is missed soon.
pub fn remove_network(container: &str) -> Command {
    let project = container.strip_suffix(CONTAINER_SUFFIX).unwrap_or(container);
    Command::new("docker")
        .args(["network", "rm", "--force", &format!("{project}_default")])
        .timeout(30)
}

/// How to meet the terminal when entering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Standard input and output are both terminals.
    pub tty: bool,
}

/// Runs a program inside, as the container's user. `env` passes by value and is shown; `secret` passes by name.
pub fn exec(
    container: &str,
    terminal: Terminal,
    env: &[(String, String)],
    secret: &[(String, String)],
    program: &[String],
) -> Command {
    // `docker exec` by container id, not `docker compose exec` by service: what was proven is what is entered, and
    // it takes half the time.
    let mut command = Command::new("docker").args(["exec", "--interactive"]);
    if terminal.tty {
        command = command.arg("--tty");
    }
    for (name, value) in env {
        command = command.arg("--env").arg(format!("{name}={value}"));
    }
    for (name, value) in secret {
        command = command.arg("--env").arg(name).secret_env(name, value);
    }
    command
        .arg("--workdir")
        .arg("/workspace")
        .arg(container)
        .args(program.iter().cloned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A project with one of everything, for tests.
    pub(crate) fn project() -> Project {
        let mount = |role, source: &str, target: &str, read_only| Mount {
            role,
            source: source.into(),
            target: target.into(),
            read_only,
        };
        Project {
            name: "codex-sandbox-p".into(),
            base_file: "/repo/docker/docker-compose.yaml".into(),
            override_file: "/repo/target/sandbox/p/override.yaml".into(),
            promise: Promise {
                uid: 1000,
                gid: 1000,
                groups: vec![2000],
                mounts: vec![
                    mount(Role::Workspace, "/home/me/project", "/workspace", false),
                    mount(Role::Dataset("ssv2".into()), "/data/ssv2", "/datasets/ssv2", true),
                    mount(
                        Role::Dataset("k400".into()),
                        "/data/k 400:$x,'\"é",
                        "/datasets/k400",
                        true,
                    ),
                    mount(Role::CodexPackage, "/state/codex/0.169.0", "/opt/codex", true),
                    mount(Role::CodexHome, "/state/p/codex-home", "/home/codex/.codex", false),
                    mount(Role::Guest, "/state/p/guest", "/sandbox", true),
                ],
                out_of_reach: vec!["/repo".into()],
                shm_bytes: 32 << 30,
                pids_limit: 8192,
                gpus: Gpus::All,
                gpu_route: Some(GpuRoute::Nvidia),
                memlock: Memlock::Unlimited,
                network: Network::None,
                codex_version: "0.169.0".into(),
                image: "codex-sandbox:abc-1000".into(),
                image_id: None,
            },
            codex_bin: "/usr/lib/codex".into(),
            ca: false,
            settings: json!({"gpus": "all", "dollar": "$HOME"}),
            labels: vec![("devcontainer.local_folder".into(), "/repo/$x".into())],
        }
    }

    #[test]
    fn the_override_has_what_differs_by_host_and_escapes_dollars() {
        let text = project().override_text();
        let value: Value = serde_yaml::from_str(&text).unwrap();
        let service = &value["services"]["workspace"];
        assert_eq!(
            service["volumes"].as_array().unwrap().len(),
            2,
            "the base file has the others"
        );
        assert_eq!(service["volumes"][0]["source"], "/data/k 400:$$x,'\"é");
        assert_eq!(service["volumes"][0]["bind"]["create_host_path"], false);
        assert_eq!(service["network_mode"], "none");
        assert_eq!(service["labels"][SETTINGS_LABEL], r#"{"gpus":"all","dollar":"$$HOME"}"#);
        assert_eq!(service["labels"]["devcontainer.local_folder"], "/repo/$$x");
        assert_eq!(
            service["deploy"]["resources"]["reservations"]["devices"][0]["count"],
            "all"
        );
        assert_eq!(service["ulimits"]["memlock"], -1);
    }

    #[test]
    fn an_engine_that_may_not_raise_the_limit_of_locked_memory_is_not_asked_to() {
        let mut project = project();
        project.promise.memlock = Memlock::Engine;
        let value: Value = serde_yaml::from_str(&project.override_text()).unwrap();
        let service = &value["services"]["workspace"];
        assert_eq!(service["ulimits"], Value::Null);
        assert!(service["deploy"].is_object(), "the GPUs are asked for all the same");
    }

    #[test]
    fn every_variable_that_the_compose_file_requires_is_exported() {
        let file = include_str!("../../../docker/docker-compose.yaml");
        let mut required: Vec<&str> = file
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(|line| line.split("${").skip(1))
            .filter_map(|rest| rest.split_once(":?").map(|(name, _)| name))
            .collect();
        required.sort_unstable();
        required.dedup();
        let mut exported: Vec<String> = project().exports().into_iter().map(|(name, _)| name).collect();
        exported.sort_unstable();
        assert_eq!(required, exported);
    }

    #[test]
    fn a_secret_is_named_in_the_command_and_its_value_is_not() {
        let secret = [("HF_TOKEN".to_owned(), "hf_value".to_owned())];
        let command = exec("c1", Terminal { tty: true }, &[], &secret, &["codex".to_owned()]);
        assert_eq!(
            command.to_string(),
            "docker exec --interactive --tty --env HF_TOKEN --workdir /workspace c1 codex"
        );
    }
}
