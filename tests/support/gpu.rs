//! A GPU that is none: a CDI specification of the test's own, which maps harmless devices under the names of NVIDIA's,
//! and an `nvidia-smi` that answers as long as they are there.

use crate::support::place::Place;
use crate::support::second_engine::cdi_dir;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// What the stand-in for `nvidia-smi` says of its GPU.
pub(crate) const UUID: &str = "GPU-5eed0000-0000-4000-8000-000000000001";

/// A device that is missing, or that may not be opened, is what the real one cannot initialise with.
const SMI: &str = r#"#!/bin/sh
case $1 in
--query-gpu=index,uuid,name) [ -c /dev/nvidia0 ] && [ -c /dev/nvidiactl ] && (: </dev/nvidia0) 2>/dev/null || {
    echo 'Failed to initialize NVML: Unknown Error'; exit 255; }
    echo '0, UUID, Stand-in GPU';;
*) echo "the stand-in for nvidia-smi does not know $*" >&2; exit 9;;
esac
"#;

/// Writes a specification for one GPU, known as 0, by its UUID and as `all`, with these devices: name and the
/// host's device that it really is.
pub(crate) fn cdi(place: &Place, devices: &[(&str, &str)]) {
    let smi = place.write("driver/nvidia-smi", SMI.replace("UUID", UUID));
    fs::set_permissions(&smi, fs::Permissions::from_mode(0o755)).expect("an executable");
    let nodes: Vec<Value> = devices
        .iter()
        .map(|(name, host)| json!({"path": format!("/dev/{name}"), "hostPath": host}))
        .collect();
    let names = ["0", UUID, "all"].map(|name| json!({"name": name, "containerEdits": {"deviceNodes": nodes}}));
    let mount = json!({
        "hostPath": smi,
        "containerPath": "/usr/bin/nvidia-smi",
        "options": ["ro", "nosuid", "nodev", "rbind", "rprivate"],
    });
    let spec = json!({
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "devices": names,
        "containerEdits": {"mounts": [mount]},
    });
    fs::write(cdi_dir(place).join("nvidia.json"), spec.to_string()).expect("a CDI specification");
}
