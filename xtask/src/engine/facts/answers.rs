//! The fields of `docker version` and `docker info` that are read. A field that is missing or `null` is empty here:
//! engines and clients of other makers are recognized by what they leave out.

use super::Component;
use crate::engine::asked::or_empty;
use serde::de::IgnoredAny;
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

/// The half of the answer that is about the client, or about the server.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct SideVersions {
    pub(super) version: String,
    pub(super) api_version: String,
    pub(super) platform: Platform,
    #[serde(deserialize_with = "or_empty")]
    pub(super) components: Vec<Component>,
    /// Only Podman's client has this field.
    pub(super) os_arch: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Platform {
    pub(super) name: String,
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
    /// Why the client has none of the engine's properties: it ends well all the same.
    #[serde(deserialize_with = "or_empty")]
    pub(super) server_errors: Vec<String>,
    /// Only Podman has this field, in lower case.
    #[serde(rename = "host")]
    pub(super) host: Option<IgnoredAny>,
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

/// Engines before 25 do not report the features of their runtimes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Runtime {
    #[serde(deserialize_with = "or_empty")]
    status: BTreeMap<String, String>,
}

/// The answer of the runtime itself, which the engine passes on as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    mount_options: Vec<String>,
}

impl InfoAnswer {
    /// Whether the text of `docker info` says that the client uses its `default` context.
    pub(super) fn in_default_context(text: &str) -> bool {
        serde_json::from_str::<InfoAnswer>(text.trim()).is_ok_and(|info| info.client_info.context == "default")
    }

    /// Whether the default runtime lists the mount option `rro`; `None` where it lists none.
    pub(super) fn rro(&self) -> Option<bool> {
        let runtime = self.runtimes.get(self.default_runtime.as_deref().unwrap_or("runc"))?;
        let features = runtime.status.get("org.opencontainers.runtime-spec.features")?;
        let features: Features = serde_json::from_str(features).ok()?;
        Some(features.mount_options.iter().any(|option| option == "rro"))
    }
}

/// The commit among the details of a component.
pub(super) fn commit<'de, D: Deserializer<'de>>(details: D) -> Result<String, D::Error> {
    let mut details: BTreeMap<String, String> = or_empty(details)?;
    Ok(details.remove("GitCommit").unwrap_or_default())
}
