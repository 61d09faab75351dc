//! A simulated GPU for the smoke test: a `docker` of the test's own, which answers with the report of one.

use crate::support::docker::{Calls, FakeDocker};
use crate::support::place::Place;
use crate::support::proc;
use serde_json::{Value, json};
use xtask::smoke::{Extent, checks};

/// The flags that keep a report in the place's repository.
pub(crate) const FILES: [&str; 4] = ["--json", "out/smoke.json", "--junit", "out/smoke.xml"];

/// The report of the last run with `FILES`.
pub(crate) struct Report(pub(crate) Value);

impl Report {
    #[track_caller]
    pub(crate) fn of(place: &Place) -> Report {
        Report(serde_json::from_str(&place.read("repo/out/smoke.json")).expect("the report in JSON"))
    }

    /// Every check.
    pub(crate) fn checks(&self) -> impl Iterator<Item = &Value> {
        self.0["checks"].as_array().expect("checks").iter()
    }

    /// The ids of the checks with this status.
    pub(crate) fn with(&self, status: &str) -> Vec<&str> {
        let checks = self.checks().filter(|check| check["status"] == status);
        checks.filter_map(|check| check["id"].as_str()).collect()
    }
}

/// What makes an image whose `python3` runs a copy of the smoke test's script in which one thing is changed: the tool
/// itself has no such switch.
pub(crate) fn changed_script(file: &str, from: &str, to: &str) -> String {
    let script = format!(
        "#!/bin/sh\nset -e\nrm -rf /tmp/changed\ncp -r /sandbox /tmp/changed\n\
         sed -i 's/{from}/{to}/' /tmp/changed/smoke/{file}\n\
         if cmp -s /sandbox/smoke/{file} /tmp/changed/smoke/{file}; then echo 'nothing was changed' >&2; exit 9; fi\n\
         shift 2\nexec /usr/bin/python3 -B /tmp/changed/gpu_smoke.py \"$@\"\n"
    );
    let lines: String = script.lines().map(|line| format!(" {}", shell_words::quote(line))).collect();
    let path = "/usr/local/bin/python3";
    format!("printf '%s\\n'{lines} >{path}; chmod 755 {path}")
}

/// A host with a GPU and NVIDIA's hook.
pub(crate) fn host_with_gpu() -> Place {
    let place = Place::new();
    place.program("nvidia-smi", crate::fake_engine::RTX);
    place.program("nvidia-container-runtime-hook", "#!/bin/sh\n");
    place
}

/// An engine that has an image and makes a container with this `DeviceRequests`.
pub(crate) fn fake_engine(place: &Place, requests: &Value) -> FakeDocker {
    let image = json!({"Id": "sha256:1111", "RepoDigests": ["example/image@sha256:2222"]}).to_string();
    let container =
        json!([{"Id": "c0", "State": {"Running": false}, "HostConfig": {"DeviceRequests": requests}}]).to_string();
    let planned: Vec<Value> = checks::planned(Extent::Quick).map(|check| json!({"id": check.id})).collect();
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
    let made = calls.lines().iter().filter(|line| line.ends_with("[create][--no-build]")).count();
    assert_eq!(calls.of(&["container", "rm"]).len(), made, "{:?}", calls.lines());
    let scratch = std::fs::read_dir(place.root().join("target/sandbox"));
    let left: Vec<_> = scratch.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
}
