//! A container that runs one program and ends, confined as the sandbox is: its Compose file is made from the sandbox's
//! own service and from a [`Spec`]. Pure.

use super::{escape, volume};
use crate::engine::asked::confine;
use crate::engine::docker;
use crate::engine::own::{SMOKE, UNTIL, USER};
use crate::spec::Spec;
use crate::step::Command;
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// The keys that are not copied from the sandbox's service: they are set below.
const NOT_TAKEN: &[&str] = &["volumes", "labels", "image", "user", "command"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OneShot {
    /// The name of the container, and of Compose's project.
    pub(crate) name: String,
    /// The path of the generated Compose file.
    pub(crate) file: PathBuf,
    /// Until when its call can go on, in seconds since 1970.
    pub(crate) until: u64,
    /// User, limits, mounts, GPUs and image are taken from it.
    pub(crate) spec: Spec,
    /// The program and its arguments; the image's entry point comes before it.
    pub(crate) program: Vec<String>,
}

impl OneShot {
    /// The Compose file; `base` is the text of `docker/docker-compose.yaml`.
    ///
    /// # Errors
    /// The base file has no service to take the confinement from.
    pub(crate) fn text(&self, base: &str) -> Result<String> {
        let base: Value = serde_yaml::from_str(base).context("docker/docker-compose.yaml is not valid YAML")?;
        let service = base["services"]["workspace"].as_object();
        let service = service.context("docker/docker-compose.yaml has no service `workspace`")?;
        let taken = service.iter().filter(|(key, _)| !NOT_TAKEN.contains(&key.as_str()));
        let mut service = Value::Object(taken.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>());
        let p = &self.spec;
        service["container_name"] = json!(self.name);
        let dir = self.file.parent().unwrap_or(&self.file).to_string_lossy();
        service["labels"] = json!({SMOKE: escape(&dir), UNTIL: self.until.to_string(), USER: p.uid.to_string()});
        service["image"] = json!(escape(&p.image));
        service["user"] = json!(format!("{}:{}", p.uid, p.gid));
        service["command"] = self.program.iter().map(|word| json!(escape(word))).collect();
        service["volumes"] = p.mounts.iter().map(volume).collect();
        confine(&mut service, p);
        let file = json!({"services": {"smoke": service}});
        let yaml = serde_yaml::to_string(&file).context("cannot write the Compose file")?;
        Ok(format!(
            "# Made by `cargo xtask gpu-smoke` from docker/docker-compose.yaml, and removed at the end.\n{yaml}"
        ))
    }

    /// Creates the container and does not start it.
    pub(crate) fn create(&self) -> Command {
        docker::compose(Some(&self.name), &[&self.file]).args(["create", "--no-build"]).timeout(120)
    }

    /// Starts it and waits for its end; its output becomes the output of this command.
    pub(crate) fn start(&self, seconds: u64) -> Command {
        docker::start_attached(&self.name).timeout(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::project;
    use super::*;
    use crate::spec::words::Network;

    const BASE: &str = include_str!("../../../../docker/docker-compose.yaml");

    fn service(change: impl FnOnce(&mut Spec)) -> Value {
        let mut spec = project().spec;
        spec.mounts.retain(|mount| mount.read_only);
        change(&mut spec);
        let one = OneShot {
            name: "codex-sandbox-smoke-1".into(),
            file: "/repo/target/sandbox/smoke-1/compose.yaml".into(),
            until: 17,
            spec,
            program: vec!["python3".into(), "{\"a\":\"$x\"}".into()],
        };
        let file: Value = serde_yaml::from_str(&one.text(BASE).unwrap()).unwrap();
        file["services"]["smoke"].clone()
    }

    #[test]
    fn it_is_confined_as_the_sandbox_is() {
        let base: Value = serde_yaml::from_str(BASE).unwrap();
        let base = base["services"]["workspace"].as_object().unwrap();
        let service = service(|spec| spec.shape.network = Network::None);
        for key in ["cap_drop", "security_opt", "ipc", "init", "environment", "pull_policy", "restart"] {
            assert_eq!(service[key], base[key], "{key}");
        }
        assert_eq!(service["cap_drop"], json!(["ALL"]));
        // Without SYS_NICE, NCCL's memory of a NUMA node is out of reach.
        assert_eq!(service["environment"]["NCCL_CUMEM_HOST_ENABLE"], "0");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]));
        let labels = json!({SMOKE: "/repo/target/sandbox/smoke-1", UNTIL: "17", USER: "1000"});
        assert_eq!(service["labels"], labels, "the next call knows whose it is");
        assert_eq!(service["network_mode"], "none");
        assert_eq!(service["user"], "1000:1000");
        assert_eq!(service["ulimits"], json!({"stack": 67_108_864, "memlock": -1}));
        assert_eq!(service["deploy"]["resources"]["reservations"]["devices"][0]["driver"], "nvidia");
        assert_eq!(service["shm_size"], json!(32_u64 << 30));
        assert_eq!(service["command"], json!(["python3", "{\"a\":\"$$x\"}"]));
        let volumes = service["volumes"].as_array().unwrap();
        assert!(volumes.iter().all(|volume| volume["read_only"] == true), "{volumes:?}");
        assert!(service.get("privileged").is_none() && service.get("entrypoint").is_none());
    }

    #[test]
    fn nothing_in_it_waits_for_a_variable() {
        let text = service(|_| {}).to_string();
        assert!(!text.replace("$$", "").contains('$'), "{text}");
    }
}
