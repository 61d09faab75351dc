//! The doctor on the real engine of the machine that runs the tests.

use crate::support::sandbox::Sandbox;
use serde_json::Value;

#[test]
fn the_doctor_says_what_sandbox_would_find() {
    let sandbox = Sandbox::new();
    let run = sandbox.task("doctor").args(["--json"]).run().ended(0);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let verdict = |id: &str| {
        let list = report["findings"].as_array().expect("findings");
        let found = list.iter().find(|finding| finding["id"] == id);
        found.unwrap_or_else(|| panic!("no `{id}` in {}", run.stdout))["verdict"].clone()
    };
    for id in [
        "engine.answers", "engine.place", "engine.users", "engine.buildx", "gpu.devices", "codex.program",
        "codex.package", "codex.helper", "data.ssv2", "project.settings", "project.workspace", "project.state",
        "project.image",
    ] {
        assert_eq!(verdict(id), "ok", "{id}");
    }
    assert_eq!(sandbox.containers(), Vec::<String>::new());
    // What the doctor promised: the sandbox does run.
    sandbox.enter(["--version"]).ok();
}

#[test]
fn the_doctor_says_that_a_host_without_a_gpu_lacks_one() {
    if std::path::Path::new("/proc/driver/nvidia/version").exists() {
        // With a GPU here, another one is asked for, which is not there.
        let sandbox = Sandbox::new();
        sandbox.task("doctor").args(["--gpus", "GPU-none"]).run().ended(3);
        return;
    }
    let sandbox = Sandbox::new();
    let run = sandbox.task("doctor").args(["--gpus", "all", "--json"]).run().ended(3);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let fatal: Vec<&str> = report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["verdict"] == "missing" || finding["verdict"] == "broken")
        .filter_map(|finding| finding["id"].as_str())
        .collect();
    assert_eq!(fatal, ["gpu.devices"], "{}", run.stdout);
}
