//! The gpu tier: a real NVIDIA GPU and the NVIDIA Container Toolkit. Every test here fails where no GPU answers.

use crate::support::proc;
use crate::support::sandbox::Sandbox;

/// The GPUs of this host, one `UUID` a line: this tier was asked for, so there must be one.
#[track_caller]
fn demand() -> String {
    let uuids = proc::output(proc::find("nvidia-smi"), ["--query-gpu=uuid", "--format=csv,noheader"]);
    assert!(
        uuids.starts_with("GPU-"),
        "the gpu tier was asked for and no GPU answers: {uuids}"
    );
    uuids
}

#[test]
fn every_gpu_of_the_host_answers_inside() {
    let uuids = demand();
    let sandbox = Sandbox::new();
    let gpus = ["--gpus", "all"];
    sandbox
        .task("sandbox")
        .args(gpus)
        .args(["--yes", "--", "--version"])
        .run()
        .ok();
    let proof = sandbox.proof();
    assert_eq!(proof.with("broken"), Vec::<String>::new());
    assert!(proof.with("held").iter().any(|id| id == "gpu.devices"));
    let run = sandbox
        .task("sandbox")
        .args(gpus)
        .args([
            "--yes",
            "--",
            "exec",
            "--skip-git-repo-check",
            "RUN: nvidia-smi --query-gpu=uuid --format=csv,noheader",
        ])
        .run()
        .ok();
    assert!(run.stdout.contains(&uuids), "{}", run.stdout);
}
