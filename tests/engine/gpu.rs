//! GPUs that are asked for: on an engine of the test's own with CDI, whose GPU is a harmless device.

use crate::support::breaking::BreakingDocker;
use crate::support::codex;
use crate::support::gpu::{self, UUID};
use crate::support::run::Run;
use crate::support::sandbox::Sandbox;
use crate::support::second_engine::SecondEngine;
use serde_json::{Value, json};

const DEVICES: &[(&str, &str)] = &[("nvidia0", "/dev/null"), ("nvidiactl", "/dev/zero")];

/// A sandbox whose engine passes a GPU by CDI. This machine's engine may not raise the limit of locked memory.
fn with_gpu(devices: &[(&str, &str)]) -> (Sandbox, SecondEngine) {
    let sandbox = Sandbox::new();
    gpu::cdi_with_driver(&sandbox.place, devices);
    let engine = SecondEngine::start(&sandbox.place, &[]);
    let settings = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}memlock: engine\n"));
    (sandbox, engine)
}

fn enter<'a>(sandbox: &'a Sandbox, engine: &SecondEngine, gpus: &str) -> Run<'a> {
    sandbox.task("sandbox").env("DOCKER_HOST", &engine.host).args(["--gpus", gpus, "--yes", "--", "--version"]).run()
}

#[track_caller]
fn reaches_codex(gpus: &str, ids: &Value) {
    let (sandbox, engine) = with_gpu(DEVICES);
    let run = enter(&sandbox, &engine, gpus).ok();
    assert_eq!(run.stdout, format!("codex-cli {}\n", codex::VERSION));
    let proof = sandbox.proof();
    assert_eq!(proof.with("broken"), Vec::<String>::new());
    let held = proof.with("held");
    for id in ["gpu.request", "gpu.devices", "gpu.native-code", "container.mounts", "limits.ulimits"] {
        assert!(held.iter().any(|held| held == id), "`{id}` is not among {held:?}");
    }
    let containers = engine.containers();
    assert_eq!(proof.0["container"], containers[0].as_str());
    let requests = engine.docker(&["inspect", "--format", "{{json .HostConfig.DeviceRequests}}", &containers[0]]);
    let requests: Value = serde_json::from_str(&requests).expect("the requests in JSON");
    assert_eq!((&requests[0]["Driver"], &requests[0]["DeviceIDs"]), (&json!("cdi"), ids));
    // Not by the probe: the devices are those of the specification.
    let listed = engine.docker(&["exec", &containers[0], "stat", "-c", "%n %t:%T", "/dev/nvidia0", "/dev/nvidiactl"]);
    assert_eq!(listed, "/dev/nvidia0 1:3\n/dev/nvidiactl 1:5\n");
    // A second call does not prove native code again: it reports what was seen at the start.
    let native = |proof: &Value| {
        let claims = proof["claims"].as_array().expect("claims").iter();
        let claim = claims.clone().find(|claim| claim["id"] == "gpu.native-code");
        claim.cloned().expect("the claim")
    };
    let inside = native(&proof.0)["evidence"]["inside"].to_string();
    assert!(inside.contains("native.code passed: sm_120 code on 1 device(s)"), "{inside}");
    assert!(inside.contains("at the start of this container, 20"), "{inside}");
    enter(&sandbox, &engine, gpus).ok();
    let again = sandbox.proof();
    assert_ne!(again.0["nonce"], proof.0["nonce"]);
    assert_eq!(native(&again.0), native(&proof.0));
    assert_eq!(engine.containers(), containers);
}

#[test]
fn every_gpu_is_asked_for_by_default_and_answers_inside() {
    reaches_codex("all", &json!(["nvidia.com/gpu=all"]));
}

#[test]
fn one_gpu_is_asked_for_by_its_uuid() {
    reaches_codex(UUID, &json!([format!("nvidia.com/gpu={UUID}")]));
}

/// Codex was not entered, exactly these claims are broken, and the container was removed.
#[track_caller]
fn is_refused(sandbox: &Sandbox, engine: &SecondEngine, run: &Run, ids: &[&str]) {
    assert_eq!(run.stdout, "", "Codex was entered");
    assert_eq!(sandbox.proof().with("broken"), ids, "{}", run.stderr);
    for id in ids {
        assert!(run.error().contains(id), "`{id}` is not in: {}", run.error());
    }
    assert_eq!(engine.containers(), Vec::<String>::new(), "the container was left behind");
}

#[test]
fn a_gpu_whose_device_is_missing() {
    let (sandbox, engine) = with_gpu(&DEVICES[1..]);
    let run = enter(&sandbox, &engine, "all").ended(1);
    is_refused(&sandbox, &engine, &run, &["gpu.devices"]);
}

#[test]
fn a_gpu_whose_kernel_computes_something_else() {
    let (sandbox, engine) = with_gpu(DEVICES);
    // The stand-in for the driver reads which fault it is to have from the environment that Codex would get.
    sandbox.place.write("repo/sandbox.local.yaml", "env: [FAKE_CUDA]\nmemlock: engine\n");
    let run = sandbox
        .task("sandbox")
        .env("DOCKER_HOST", &engine.host)
        .env("FAKE_CUDA", "constant")
        .args(["--gpus", "all", "--yes", "--", "--version"])
        .run()
        .ended(1);
    is_refused(&sandbox, &engine, &run, &["gpu.native-code"]);
    assert!(run.stderr.contains("element 1 of 1048579 is wrong"), "{}", run.stderr);
}

#[test]
fn a_request_that_compose_drops() {
    let (sandbox, engine) = with_gpu(DEVICES);
    BreakingDocker::service("deploy: !reset null").install(&sandbox.place);
    let run = enter(&sandbox, &engine, "all").ended(1);
    BreakingDocker::assert_used(&sandbox.place);
    is_refused(&sandbox, &engine, &run, &["gpu.request", "gpu.devices", "gpu.native-code"]);
}

#[test]
fn a_gpu_that_the_specification_does_not_have() {
    let (sandbox, engine) = with_gpu(DEVICES);
    let run = enter(&sandbox, &engine, "7").ended(3);
    assert_eq!(run.stdout, "");
    assert!(run.error().contains("nvidia.com/gpu=7"), "{}", run.error());
    assert_eq!(engine.containers(), Vec::<String>::new());
}
