//! What the engine is asked for: what Compose is told, and what the engine then says that it was asked for. Compose's key
//! and Docker's field of the same thing stand together here, so that no limit can be in one and not in the other. Pure.

use crate::spec::Spec;
use crate::spec::settings::{Memlock, Shape};
use crate::spec::words::{GpuRoute, Gpus, Network};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Sets limits, groups, network and GPUs of a service by its `Spec`; the other keys stay as they are.
pub(super) fn confine(service: &mut Value, p: &Spec) {
    // Each field is named: a new one does not compile until Compose is told of it, here or elsewhere.
    // What is denied to sessions, `launcher` denies.
    let Shape {
        gpus,
        network,
        codex_home: _,
        shm_size,
        memory,
        cpu_weight,
        pids_limit,
        log_size,
        log_files,
        memlock,
        ptrace: _,
        cache_sharing: _,
    } = &p.shape;
    service["shm_size"] = json!(shm_size);
    if let Some(bytes) = memory {
        // Docker's second limit is that on memory and swap together: the same number is no swap.
        service["mem_limit"] = json!(bytes);
        service["memswap_limit"] = json!(bytes);
    }
    service["cpu_shares"] = json!(cpu_shares(*cpu_weight));
    service["pids_limit"] = json!(pids_limit);
    service["logging"] = json!({"driver": LOG_DRIVER, "options": log_options(*log_size, *log_files)});
    // The user's own group is among them for the sake of this tool's programs, whose primary group is another one.
    let groups = p.groups.iter().filter(|gid| **gid != p.gid);
    service["group_add"] = [&p.gid].into_iter().chain(groups).map(|gid| json!(gid.to_string())).collect();
    match network {
        Network::None => service["network_mode"] = json!("none"),
        // Compose creates the bridge network of the project by itself.
        Network::Open => {}
    }
    if let Some(devices) = device_request(gpus, p.gpu_route) {
        match memlock {
            Memlock::Unlimited => service["ulimits"]["memlock"] = json!(-1),
            Memlock::Engine => {}
        }
        service["deploy"] = json!({"resources": {"reservations": {"devices": [devices]}}});
    }
}

/// The driver that keeps the log of a sandbox.
pub(crate) const LOG_DRIVER: &str = "json-file";

/// What it is told. A number without a unit is bytes.
pub(crate) fn log_options(size: u64, files: u64) -> BTreeMap<String, String> {
    [("max-file", files), ("max-size", size)].map(|(name, number)| (name.to_owned(), number.to_string())).into()
}

/// A weight in Docker's unit, of which everything has 1024 that was not told otherwise. The kernel takes no fewer than 2.
pub(crate) fn cpu_shares(weight: u64) -> u64 {
    (weight * 1024 / 100).max(2)
}

fn device_request(gpus: &Gpus, route: Option<GpuRoute>) -> Option<Value> {
    let cdi = |id: &String| if id.contains('=') { id.clone() } else { format!("nvidia.com/gpu={id}") };
    let ask = |driver, key: &str, which: Value| json!({"driver": driver, (key): which, "capabilities": ["gpu"]});
    Some(match (gpus, route?) {
        (Gpus::None, _) => return None,
        (Gpus::All, GpuRoute::Nvidia) => ask("nvidia", "count", json!("all")),
        (Gpus::Ids(ids), GpuRoute::Nvidia) => ask("nvidia", "device_ids", json!(ids)),
        (Gpus::All, GpuRoute::Cdi) => ask("cdi", "device_ids", json!(["nvidia.com/gpu=all"])),
        (Gpus::Ids(ids), GpuRoute::Cdi) => ask("cdi", "device_ids", ids.iter().map(cdi).collect()),
    })
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
    /// The limit on memory and swap together, in bytes; -1 is none, and 0 as much swap as memory.
    pub(crate) memory_swap: Option<i64>,
    /// The weight of its processes among others; 0 is the usual one.
    pub(crate) cpu_shares: Option<u64>,
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
pub(super) fn told<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Vec<T>>, D::Error> {
    or_empty(value).map(Some)
}

#[cfg(any(test, fuzzing))]
pub(crate) use fixture::{REAL, answer};

#[cfg(any(test, fuzzing))]
#[expect(clippy::unwrap_used, reason = "a good answer that cannot be read is a fault of the tests")]
mod fixture;
