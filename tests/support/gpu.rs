//! A simulated GPU: a CDI specification of the test's own, which maps harmless devices under the names of NVIDIA's,
//! an `nvidia-smi` that answers as long as they are there, and where it is wanted a driver whose kernels are C.

use crate::support::place::{Place, repository};
use crate::support::proc;
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
    write(place, devices, Vec::new(), Vec::new());
}

/// The same with a driver. It lies where only LD_LIBRARY_PATH leads, which the container's main process alone is given:
/// as with NVIDIA's own entry point, what comes in by `exec` has it only if it is carried over.
pub(crate) fn cdi_with_driver(place: &Place, devices: &[(&str, &str)]) {
    cdi_with_fault(place, devices, "none");
}

/// The same with a driver that has a fault: `tests/python/fake_cuda.c` has their names.
pub(crate) fn cdi_with_fault(place: &Place, devices: &[(&str, &str)], fault: &str) {
    let library = place.mkdir("driver").join("libfake.so").display().to_string();
    let source = repository().join("tests/python/fake_cuda.c").display().to_string();
    let args = ["-shared", "-fPIC", "-O1", "-DDEVICES=1", "-o", &library, &source];
    proc::output(proc::find("cc"), args);
    let mounts = ["libcuda.so.1", "libnvidia-ml.so.1", "libnvrtc.so.12"]
        .iter()
        .map(|name| mount(&library, &format!("/driver/{name}")));
    write(place, devices, mounts.collect(), vec!["LD_LIBRARY_PATH=/driver", &format!("FAKE_CUDA={fault}")]);
}

fn mount(host: &str, inside: &str) -> Value {
    json!({"hostPath": host, "containerPath": inside, "options": ["ro", "nosuid", "nodev", "rbind", "rprivate"]})
}

fn write(place: &Place, devices: &[(&str, &str)], mut mounts: Vec<Value>, env: Vec<&str>) {
    let smi = place.write("driver/nvidia-smi", SMI.replace("UUID", UUID));
    fs::set_permissions(&smi, fs::Permissions::from_mode(0o755)).expect("an executable");
    let nodes: Vec<Value> =
        devices.iter().map(|(name, host)| json!({"path": format!("/dev/{name}"), "hostPath": host})).collect();
    let names = ["0", UUID, "all"].map(|name| json!({"name": name, "containerEdits": {"deviceNodes": nodes}}));
    mounts.push(mount(&smi.display().to_string(), "/usr/bin/nvidia-smi"));
    let spec = json!({
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "devices": names,
        "containerEdits": {"mounts": mounts, "env": env},
    });
    fs::write(cdi_dir(place).join("nvidia.json"), spec.to_string()).expect("a CDI specification");
}
