//! The answers of `docker version` and `docker info`, as far as they are read. What an engine leaves out is empty here,
//! and so is `null`: engines and clients of other makers are told from Docker's by what they leave out.

use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct VersionAnswer {
    pub(super) client: SideVersions,
    #[serde(deserialize_with = "or_empty")]
    pub(super) server: SideVersions,
}

/// Client or server.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct SideVersions {
    pub(super) version: String,
    pub(super) api_version: String,
    pub(super) platform: Platform,
    #[serde(deserialize_with = "or_empty")]
    pub(super) components: Vec<ComponentAnswer>,
    /// Only Podman's client answers it.
    pub(super) os_arch: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Platform {
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ComponentAnswer {
    pub(super) name: String,
    pub(super) version: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Details {
    pub(super) git_commit: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct InfoAnswer {
    pub(super) operating_system: String,
    pub(super) kernel_version: String,
    pub(super) cgroup_driver: String,
    pub(super) docker_root_dir: PathBuf,
    #[serde(deserialize_with = "or_empty")]
    pub(super) security_options: Vec<String>,
    default_runtime: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) runtimes: BTreeMap<String, Runtime>,
    #[serde(rename = "CDISpecDirs", deserialize_with = "or_empty")]
    pub(super) cdi_spec_dirs: Vec<PathBuf>,
    pub(super) client_info: ClientInfo,
    /// Only Podman answers it, in small letters.
    #[serde(rename = "host")]
    pub(super) host: Option<PodmanHost>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ClientInfo {
    context: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) plugins: Vec<Plugin>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Plugin {
    pub(super) name: String,
    pub(super) version: String,
}

/// Engines before 25 do not tell their features.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Runtime {
    #[serde(deserialize_with = "or_empty")]
    status: BTreeMap<String, String>,
}

/// The runtime's own answer, which the engine passes on as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    mount_options: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodmanHost {
    #[allow(dead_code, reason = "that it is there is what is asked")]
    buildah_version: String,
}

impl InfoAnswer {
    /// Whether the text of `docker info` says that the client uses its `default` context.
    pub(super) fn in_default_context(text: &str) -> bool {
        serde_json::from_str::<InfoAnswer>(text.trim()).is_ok_and(|info| info.client_info.context == "default")
    }

    /// Whether the default runtime lists the mount option `rro`; `None` where it does not tell.
    pub(super) fn rro(&self) -> Option<bool> {
        let runtime = self.runtimes.get(self.default_runtime.as_deref().unwrap_or("runc"))?;
        let features = runtime.status.get("org.opencontainers.runtime-spec.features")?;
        let features: Features = serde_json::from_str(features).ok()?;
        Some(features.mount_options.iter().any(|option| option == "rro"))
    }
}

fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}
