//! A container in the answer of `docker container inspect`. No other file knows Docker's names of the fields.
//!
//! A field that the engine did not send is `None`; no default value replaces it, so that a promise that depends on it
//! cannot be found to hold. An empty list is `null` in Docker's answer. The names are those of API 1.40
//! (Engine 19.03, the first with `DeviceRequests`) to 1.45 (Engine 26.1). From 1.42 on the engine omits some fields that
//! are not set; none of them is read here.

use crate::error::failed;
use anyhow::Result;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// A container, as its engine describes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    pub(crate) id: String,
    /// The id of its image, with the name of the digest: `sha256:…`.
    #[serde(default, rename = "Image")]
    pub(crate) image_id: String,
    pub(crate) state: RunState,
    /// The parts that do not depend on the host.
    #[serde(default)]
    pub(crate) config: Config,
    /// The parts that depend on the host: limits, namespaces, devices.
    #[serde(default)]
    pub(crate) host_config: HostConfig,
    /// In no particular order.
    #[serde(default, deserialize_with = "told")]
    pub(crate) mounts: Option<Vec<Mounted>>,
    /// AppArmor's profile: empty where the engine uses no AppArmor, `unconfined` where this container is exempt.
    #[serde(default, rename = "AppArmorProfile")]
    pub(crate) apparmor: Option<String>,
    /// SELinux' label of its processes: empty where the engine uses no SELinux, or this container is exempt.
    #[serde(default, rename = "ProcessLabel")]
    pub(crate) selinux: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RunState {
    /// Whether it runs; a paused one does.
    pub(crate) running: bool,
    /// Whether its processes are frozen.
    #[serde(default)]
    pub(crate) paused: bool,
    /// The process id of its init on the engine's machine; 0 where it does not run.
    #[serde(default)]
    pub(crate) pid: u64,
    /// The time of its start, as RFC 3339.
    #[serde(default)]
    pub(crate) started_at: String,
}

/// The parts that do not depend on the host.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Config {
    /// The first twelve digits of its id, unless another name was asked for.
    pub(crate) hostname: Option<String>,
    /// The image, as it was named in the request.
    pub(crate) image: String,
    /// User and group, as they were named in the request.
    pub(crate) user: String,
    /// Its labels and those of its image.
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

/// The parts that depend on the host: limits, namespaces, devices.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    /// Capabilities beyond the usual ones.
    #[serde(deserialize_with = "told")]
    pub(crate) cap_add: Option<Vec<String>>,
    /// Whether everything is allowed inside.
    pub(crate) privileged: Option<bool>,
    /// Such as `no-new-privileges:true`; `seccomp=unconfined` turns the seccomp filter off.
    #[serde(deserialize_with = "told")]
    pub(crate) security_opt: Option<Vec<String>>,
    /// Each of the four is `host`, `container:ID`, or a namespace of its own.
    pub(crate) pid_mode: Option<String>,
    /// See `pid_mode`.
    pub(crate) ipc_mode: Option<String>,
    /// See `pid_mode`; a namespace of its own is named by its network, or `none`.
    pub(crate) network_mode: Option<String>,
    /// See `pid_mode`.
    #[serde(rename = "UTSMode")]
    pub(crate) uts_mode: Option<String>,
    /// The bytes of `/dev/shm`.
    pub(crate) shm_size: Option<u64>,
    /// The greatest number of processes; `null`, 0 and -1 mean no limit.
    pub(crate) pids_limit: Option<i64>,
    /// The limit on memory in bytes; 0 means none.
    pub(crate) memory: Option<u64>,
    /// What becomes of the main process' output.
    pub(crate) log_config: Option<LogConfig>,
    #[serde(deserialize_with = "told")]
    pub(crate) ulimits: Option<Vec<Ulimit>>,
    /// Single device nodes of the host.
    #[serde(deserialize_with = "told")]
    pub(crate) devices: Option<Vec<IgnoredAny>>,
    /// Devices by driver, GPUs among them.
    #[serde(deserialize_with = "told")]
    pub(crate) device_requests: Option<Vec<DeviceRequest>>,
    /// The options of each `--tmpfs` mount, by its target. The engine omits the field where there are none.
    pub(crate) tmpfs: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct LogConfig {
    /// Such as `json-file`, `local`, `journald`, `none`.
    #[serde(rename = "Type")]
    pub(crate) driver: String,
    /// The driver's options.
    #[serde(rename = "Config", deserialize_with = "or_empty")]
    pub(crate) options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ulimit {
    /// Such as `memlock` and `stack`.
    pub(crate) name: String,
    /// The limit in force; -1 is none.
    pub(crate) soft: i64,
}

/// A request for devices, as `--gpus` and Compose's `devices` make it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeviceRequest {
    /// `nvidia` or `cdi`.
    pub(crate) driver: String,
    /// How many; -1 means all, and it is 0 where the devices are named.
    pub(crate) count: i64,
    #[serde(rename = "DeviceIDs", deserialize_with = "or_empty")]
    pub(crate) ids: Vec<String>,
    /// The capabilities that a device must have: all of one of the lists.
    #[serde(deserialize_with = "or_empty")]
    pub(crate) capabilities: Vec<Vec<String>>,
}

/// A mount, as the engine made it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Mounted {
    /// `bind`, `volume` or `tmpfs`.
    #[serde(rename = "Type")]
    pub(crate) kind: String,
    /// The name of a volume.
    pub(crate) name: String,
    /// The driver of a volume.
    pub(crate) driver: String,
    /// The path on the engine's machine.
    pub(crate) source: String,
    /// The path inside.
    #[serde(rename = "Destination")]
    pub(crate) target: String,
    #[serde(rename = "RW")]
    pub(crate) writable: Option<bool>,
    /// The mount propagation: `rprivate`, `rslave`, …; empty for a volume.
    pub(crate) propagation: Option<String>,
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

/// The answer of a real engine about a running sandbox, with the paths and the id of `proof::fixture`.
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
