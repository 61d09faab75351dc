//! What the engine says of a container: the answer of `docker container inspect`. No other file knows Docker's names of
//! its fields.
//!
//! A field that the engine did not send is `None`, and no harmless value stands in for it: the judge that needs it
//! cannot say that its promise holds. An empty list is `null` in Docker's answer. The names are those of API 1.40
//! (Engine 19.03, the first with `DeviceRequests`) to 1.45 (Engine 26.1); from 1.42 on the engine leaves some fields out
//! where they are not set, of which none is read here.

use crate::error::failed;
use anyhow::Result;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// A container, as its engine describes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    /// The full id.
    pub id: String,
    /// The id of its image, with the name of the digest: `sha256:…`.
    #[serde(default, rename = "Image")]
    pub image_id: String,
    /// Whether and since when it runs.
    pub state: RunState,
    /// What the image and the command line say of what runs inside.
    #[serde(default)]
    pub config: Config,
    /// What the engine was asked for: limits, namespaces, devices.
    #[serde(default)]
    pub host_config: HostConfig,
    /// What is mounted, in no particular order.
    #[serde(default, deserialize_with = "told")]
    pub mounts: Option<Vec<Mounted>>,
}

/// Whether and since when it runs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RunState {
    /// Whether it runs; a paused one does.
    pub running: bool,
    /// Whether its processes are frozen.
    #[serde(default)]
    pub paused: bool,
    /// Its init, by the number that the engine's own machine gives it; 0 where it does not run.
    #[serde(default)]
    pub pid: u64,
    /// The time of its start, as RFC 3339.
    #[serde(default)]
    pub started_at: String,
}

/// What the image and the command line say of what runs inside.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Config {
    /// The first twelve digits of its id, unless another name was asked for.
    pub hostname: Option<String>,
    /// The image, as it was asked for.
    pub image: String,
    /// User and group, as they were asked for.
    pub user: String,
    /// Its labels, those of its image among them.
    pub labels: Option<BTreeMap<String, String>>,
}

/// What the engine was asked for: limits, namespaces, devices.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    /// Capabilities beyond the usual ones.
    #[serde(deserialize_with = "told")]
    pub cap_add: Option<Vec<String>>,
    /// Whether everything is allowed inside.
    pub privileged: Option<bool>,
    /// Such as `no-new-privileges:true`; `seccomp=unconfined` takes the filter away.
    #[serde(deserialize_with = "told")]
    pub security_opt: Option<Vec<String>>,
    /// Each of the four is `host`, `container:ID`, or a namespace of its own.
    pub pid_mode: Option<String>,
    /// See `pid_mode`.
    pub ipc_mode: Option<String>,
    /// See `pid_mode`; a namespace of its own is named by its network, or `none`.
    pub network_mode: Option<String>,
    /// See `pid_mode`.
    #[serde(rename = "UTSMode")]
    pub uts_mode: Option<String>,
    /// The bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// The most processes; `null`, 0 and -1 are no limit.
    pub pids_limit: Option<i64>,
    /// Resource limits by name.
    #[serde(deserialize_with = "told")]
    pub ulimits: Option<Vec<Ulimit>>,
    /// Single device nodes of the host.
    #[serde(deserialize_with = "told")]
    pub devices: Option<Vec<IgnoredAny>>,
    /// Devices by driver, GPUs among them.
    #[serde(deserialize_with = "told")]
    pub device_requests: Option<Vec<DeviceRequest>>,
    /// Mounts of `--tmpfs`, with their options by target. The engine leaves it out where there are none.
    pub tmpfs: BTreeMap<String, String>,
}

/// A limit of `ulimit`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ulimit {
    /// Such as `memlock` and `stack`.
    pub name: String,
    /// The limit in force; -1 is none.
    pub soft: i64,
}

/// A request for devices, as `--gpus` and Compose's `devices` make it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeviceRequest {
    /// `nvidia` or `cdi`.
    pub driver: String,
    /// How many; -1 is all, and 0 where they are named.
    pub count: i64,
    /// Their names.
    #[serde(rename = "DeviceIDs", deserialize_with = "or_empty")]
    pub ids: Vec<String>,
    /// What they must be capable of: any of the lists, each as a whole.
    #[serde(deserialize_with = "or_empty")]
    pub capabilities: Vec<Vec<String>>,
}

/// A mount, as the engine made it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Mounted {
    /// `bind`, `volume` or `tmpfs`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The name of a volume.
    pub name: String,
    /// The driver of a volume.
    pub driver: String,
    /// The path on the engine's machine.
    pub source: String,
    /// The path inside.
    #[serde(rename = "Destination")]
    pub target: String,
    /// Whether it can be written.
    #[serde(rename = "RW")]
    pub writable: Option<bool>,
    /// How later mounts pass between host and container: `rprivate`, `rslave`, …; empty for a volume.
    pub propagation: Option<String>,
}

/// An image, by the answer of `docker image inspect --format '{{json .}}'`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StoredImage {
    pub(crate) id: String,
    /// Its digests in registries.
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) repo_digests: Vec<String>,
}

impl Container {
    /// Reads the answer of `docker container inspect` about one container.
    ///
    /// # Errors
    /// It is not what Docker answers.
    pub(crate) fn parse(answer: &str) -> Result<Container> {
        let odd = |why: String| failed(format!("`docker container inspect` did not answer as Docker does: {why}"));
        let containers: Vec<Container> = serde_json::from_str(answer).map_err(|err| odd(err.to_string()))?;
        containers.into_iter().next().ok_or_else(|| odd("the list is empty".into()).into())
    }

    /// The process id of its init on the engine's machine, while it runs.
    pub(crate) fn init(&self) -> Option<u64> {
        Some(self.state.pid).filter(|pid| *pid > 0)
    }
}

impl HostConfig {
    /// The namespaces that it may share with the host or another container, by Docker's names for them.
    pub(crate) fn modes(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("PidMode", self.pid_mode.as_deref()),
            ("IpcMode", self.ipc_mode.as_deref()),
            ("NetworkMode", self.network_mode.as_deref()),
            ("UTSMode", self.uts_mode.as_deref()),
        ]
    }
}

/// `null` is the empty value: Docker writes an empty list that way.
pub(super) fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// A list that may be missing in the answer, which is not the same as an empty one.
fn told<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Vec<T>>, D::Error> {
    or_empty(value).map(Some)
}

/// The answer of an engine about a running sandbox, with the paths and the id of `proof::fixture`.
#[cfg(test)]
pub(crate) const REAL: &str = include_str!("inspect/engine-26.1.json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_real_engine_answers_is_read() {
        let container = Container::parse(REAL).unwrap();
        assert_eq!((container.init(), container.state.running), (Some(3536), true));
        assert_eq!(container.config.hostname.as_deref(), Some("43c15da69dfa"));
        assert_eq!(container.host_config.cap_add, Some(Vec::new()), "`null` is an empty list");
        assert_eq!(container.mounts.unwrap().len(), 6);
    }

    #[test]
    fn a_list_that_was_not_sent_is_not_an_empty_one() {
        let container = Container::parse(r#"[{"Id": "c0", "State": {"Running": true}}]"#).unwrap();
        assert_eq!((container.mounts, container.host_config), (None, HostConfig::default()));

        for odd in ["[]", "{}", "no JSON", r#"[{"Id": "c0"}]"#, r#"[{"State": {"Running": true}}]"#] {
            let err = Container::parse(odd).unwrap_err();
            assert!(err.to_string().contains("did not answer as Docker does"), "{odd}");
        }
    }
}
