//! A container in the answer of `docker container inspect`. Only this file and `asked.rs` know Docker's names of the fields.
//!
//! A field that the engine did not send is `None`; no default value replaces it, so that a promise that depends on it
//! cannot be found to hold. An empty list is `null` in Docker's answer. The names are those of API 1.40
//! (Engine 19.03, the first with `DeviceRequests`) to 1.45 (Engine 26.1). From 1.42 on the engine omits some fields that
//! are not set; none of them is read here.

use super::asked::{Config, HostConfig, or_empty, told};
use crate::error::failed;
use anyhow::Result;
use serde::Deserialize;

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
    /// Whether the kernel has killed something of it for want of memory since it was started.
    #[serde(default, rename = "OOMKilled")]
    pub(crate) oom_killed: bool,
    /// The process id of its init on the engine's machine; 0 where it does not run.
    #[serde(default)]
    pub(crate) pid: u64,
    /// The time of its start, as RFC 3339.
    #[serde(default)]
    pub(crate) started_at: String,
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

/// For the fuzzer. What does not say whether it runs, and which container it is, is none.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let value = || serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    if let Ok(container) = Container::parse(text) {
        let first = &value()[0];
        assert_eq!(first["Id"].as_str(), Some(container.id.as_str()));
        assert_eq!(first.pointer("/State/Running").and_then(serde_json::Value::as_bool), Some(container.state.running));
        assert_eq!(container.mounts.is_none(), first.get("Mounts").is_none());
    }
    _ = serde_json::from_str::<StoredImage>(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::asked::REAL;

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
