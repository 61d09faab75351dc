//! What a sandbox promises: the values that the compose override is made from and that the proof is held against.

use crate::spec::settings::words::{self, Cache};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What a bind mount is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The research project.
    Workspace,
    /// A data set, by name. Always read-only.
    Dataset(String),
    /// The snapshot of the host's Codex package.
    CodexPackage,
    /// What is mounted at `/home/codex/.codex`.
    CodexHome,
    /// `~/.agents` of the host, as a read-only copy.
    Agents,
    /// The host's `/etc/codex`, with the sandbox's own defaults added.
    SystemCodex,
    /// What `xtask` hands to the container, read-only: the probe, the CA bundle.
    Guest,
    /// The sandbox's own git directory (or, for a linked worktree, its `.git` file).
    Git,
    /// The host's git objects.
    GitObjects,
    /// A cache that outlives the container: a volume of the engine.
    Cache(Cache),
}

impl Role {
    /// The first part of the ids of the claims about this mount, such as `dataset.ssv2`.
    pub fn id(&self) -> String {
        match self {
            Role::Workspace => "workspace".into(),
            Role::Dataset(name) => format!("dataset.{name}"),
            Role::CodexPackage => "codex-package".into(),
            Role::CodexHome => "codex-home".into(),
            Role::Agents => "agents".into(),
            Role::SystemCodex => "system-codex".into(),
            Role::Guest => "guest".into(),
            Role::Git => "git".into(),
            Role::GitObjects => "git-objects".into(),
            Role::Cache(name) => format!("cache.{name}"),
        }
    }
}

/// A mount of a sandbox: a directory of the host, or for a cache a volume of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What it is for.
    pub role: Role,
    /// The host's side: absolute, symlinks resolved.
    pub source: PathBuf,
    /// The container's side: absolute, as the user named it.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
}

impl Mount {
    /// A data set: always at the place of its name, and read-only.
    pub(crate) fn dataset(name: &str, source: PathBuf) -> Mount {
        Mount { role: Role::Dataset(name.to_owned()), source, target: format!("/datasets/{name}"), read_only: true }
    }
}

/// Which GPUs a sandbox gets.
#[derive(Debug, Clone, PartialEq, Eq, ValueEnum)]
pub enum Gpus {
    /// Every GPU of the host.
    All,
    /// None, by the user's own word.
    None,
    /// These, by index or UUID.
    #[value(skip)]
    Ids(Vec<String>),
}

impl std::fmt::Display for Gpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gpus::All | Gpus::None => f.write_str(&words::word(self).unwrap_or_default()),
            Gpus::Ids(ids) => f.write_str(&ids.join(",")),
        }
    }
}

/// How GPUs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuRoute {
    /// `deploy.resources.reservations.devices` with `driver: nvidia`.
    Nvidia,
    /// The same with `driver: cdi` and CDI device names.
    Cdi,
}

/// Which network a sandbox gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The engine's bridge network.
    Open,
    /// Loopback only.
    None,
}

/// How much memory may be locked by a sandbox with GPUs, whose libraries pin it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memlock {
    /// As much as there is.
    Unlimited,
    /// What the engine gives by itself: for engines that may not raise the limit.
    Engine,
}

/// Everything a running sandbox is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The user id that everything inside runs as, the host user's own.
    pub uid: u32,
    /// The group id, the host user's own.
    pub gid: u32,
    /// Supplementary groups, sorted: those that own a mount.
    pub groups: Vec<u32>,
    /// Every mount, and no other may be there.
    pub mounts: Vec<Mount>,
    /// Directories of the host that no mount may reach for writing: this repository, the state folder, the host's
    /// Codex home, the host's git directory.
    pub out_of_reach: Vec<PathBuf>,
    /// The size of `/dev/shm`, in bytes.
    pub shm_bytes: u64,
    /// The most processes.
    pub pids_limit: u64,
    /// The GPUs.
    pub gpus: Gpus,
    /// How they are asked for; `None` with `Gpus::None`.
    pub gpu_route: Option<GpuRoute>,
    /// The memory that may be locked, where there are GPUs.
    pub memlock: Memlock,
    /// The network.
    pub network: Network,
    /// The version that the mounted Codex gave on the host, such as `0.169.0`.
    pub codex_version: String,
    /// The image, by tag.
    pub image: String,
    /// The id of that image, `sha256:…`, where the engine has told it.
    pub image_id: Option<String>,
}

impl Role {
    fn from_id(id: &str) -> Option<Role> {
        Some(match id {
            "workspace" => Role::Workspace,
            "codex-package" => Role::CodexPackage,
            "codex-home" => Role::CodexHome,
            "agents" => Role::Agents,
            "system-codex" => Role::SystemCodex,
            "guest" => Role::Guest,
            "git" => Role::Git,
            "git-objects" => Role::GitObjects,
            other => match other.split_once('.')? {
                ("dataset", name) => Role::Dataset(name.to_owned()),
                ("cache", name) => Role::Cache(words::parse(name)?),
                _ => return None,
            },
        })
    }
}

impl Mount {
    fn json(&self) -> Value {
        json!({"role": self.role.id(), "source": self.source, "target": self.target, "read_only": self.read_only})
    }

    fn from_json(value: &Value) -> Option<Mount> {
        Some(Mount {
            role: Role::from_id(value["role"].as_str()?)?,
            source: value["source"].as_str()?.into(),
            target: value["target"].as_str()?.to_owned(),
            read_only: value["read_only"].as_bool()?,
        })
    }
}

impl Promise {
    /// The promise as it is kept beside the sandbox, so that a later call holds the container against the same.
    pub fn json(&self) -> Value {
        json!({
            "uid": self.uid,
            "gid": self.gid,
            "groups": self.groups,
            "mounts": self.mounts.iter().map(Mount::json).collect::<Vec<_>>(),
            "out_of_reach": self.out_of_reach,
            "shm_bytes": self.shm_bytes,
            "pids_limit": self.pids_limit,
            "gpus": self.gpus.to_string(),
            "gpu_route": self.gpu_route,
            "memlock": self.memlock,
            "network": self.network,
            "codex_version": self.codex_version,
            "image": self.image,
            "image_id": self.image_id,
        })
    }

    /// Reads back what `json` wrote; `None` where anything is missing.
    pub fn from_json(value: &Value) -> Option<Promise> {
        let number = |key: &str| value[key].as_u64();
        let small = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Some(Promise {
            uid: small(&value["uid"])?,
            gid: small(&value["gid"])?,
            groups: value["groups"].as_array()?.iter().map(small).collect::<Option<_>>()?,
            mounts: value["mounts"].as_array()?.iter().map(Mount::from_json).collect::<Option<_>>()?,
            out_of_reach: value["out_of_reach"]
                .as_array()?
                .iter()
                .map(|p| p.as_str().map(PathBuf::from))
                .collect::<Option<_>>()?,
            shm_bytes: number("shm_bytes")?,
            pids_limit: number("pids_limit")?,
            gpus: crate::spec::settings::parse_gpus(&text("gpus")?).ok()?,
            gpu_route: Deserialize::deserialize(&value["gpu_route"]).ok()?,
            memlock: Deserialize::deserialize(&value["memlock"]).ok()?,
            network: Deserialize::deserialize(&value["network"]).ok()?,
            codex_version: text("codex_version")?,
            image: text("image")?,
            image_id: text("image_id"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_read_back_as_it_was_kept() {
        let promise = crate::engine::compose::tests::project().promise;
        assert_eq!(Promise::from_json(&promise.json()), Some(promise.clone()));
        let mut cut = promise.json();
        cut["mounts"][0]["read_only"] = Value::Null;
        assert_eq!(Promise::from_json(&cut), None);
        // A word that is not known is no reason to take the weaker one.
        for key in ["network", "memlock", "gpu_route"] {
            let mut odd = promise.json();
            odd[key] = json!("allowlist");
            assert_eq!(Promise::from_json(&odd), None, "{key}");
        }
    }
}
