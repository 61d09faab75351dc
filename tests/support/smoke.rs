//! A GPU of the smoke test that is none: a `docker` of the test's own, which answers with the report of one.

use crate::support::docker::{Calls, FakeDocker};
use crate::support::place::Place;
use crate::support::proc;
use serde_json::{Value, json};
use xtask::smoke::{Mode, checks};

/// A host with a GPU and NVIDIA's hook.
pub(crate) fn host_with_gpu() -> Place {
    let place = Place::new();
    place.program("nvidia-smi", crate::fake_engine::RTX);
    place.program("nvidia-container-runtime-hook", "#!/bin/sh\n");
    place
}

/// An engine that has an image and makes a container with this `DeviceRequests`.
pub(crate) fn engine(place: &Place, requests: &Value) -> FakeDocker {
    let image = json!({"Id": "sha256:1111", "RepoDigests": ["example/image@sha256:2222"]}).to_string();
    let container = json!([{"Id": "c0", "HostConfig": {"DeviceRequests": requests}}]).to_string();
    let planned: Vec<Value> = checks::planned(Mode::Quick)
        .map(|check| json!({"id": check.id}))
        .collect();
    place.write("checks.json", json!(planned).to_string());
    let script = place.write("fake_smoke.py", include_str!("fake_smoke.py"));
    // The one on PATH may be a launcher that needs the rest of PATH.
    let run = format!(
        "#!/bin/sh\nPATH='{}' exec '{}' -I -B '{}' '{}'\n",
        std::env::var("PATH").expect("a PATH"),
        proc::find("python3").display(),
        script.display(),
        place.dir().display()
    );
    let start = place.program("fake-start", run);
    FakeDocker::new()
        .runs("start --attach *", start)
        .answer("image inspect *", 0, &image, "")
        .answer("compose * create *", 0, "", "Container created\n")
        .answer("container inspect *", 0, &container, "")
        .answer("container rm *", 0, "", "")
}

/// What an engine that was asked for all GPUs by NVIDIA's hook says of the container.
pub(crate) fn all_gpus() -> Value {
    json!([{"Driver": "nvidia", "Count": -1, "DeviceIDs": null, "Capabilities": [["gpu"]], "Options": {}}])
}

/// Nothing of a run is left: the container was removed, and so were its files.
#[track_caller]
pub(crate) fn nothing_left(place: &Place, calls: &Calls) {
    let made = calls
        .lines()
        .iter()
        .filter(|line| line.ends_with("[create][--no-build]"))
        .count();
    assert_eq!(calls.of(&["container", "rm"]).len(), made, "{:?}", calls.lines());
    let scratch = std::fs::read_dir(place.root().join("target/sandbox"));
    let left: Vec<_> = scratch
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
}
