//! The gpu tier: a real NVIDIA GPU of any architecture and the NVIDIA Container Toolkit. Every test here fails where no GPU
//! answers.
//!
//! The image is built on the base of the settings, NVIDIA's; `GPU_TEST_BASE=REF` names another whose torch has CUDA.

use crate::support::own::Image;
use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::{Run, Xtask};
use crate::support::sandbox::Sandbox;
use crate::support::smoke::{FILES, Report, changed_script};
use std::collections::BTreeSet;
use xtask::smoke::checks;

/// The UUIDs of the GPUs of this host, one a line: this tier was asked for, so there must be one.
#[track_caller]
fn demand() -> String {
    let uuids = query("uuid");
    assert!(uuids.starts_with("GPU-"), "the gpu tier was asked for and no GPU answers: {uuids}");
    uuids
}

#[track_caller]
fn query(field: &str) -> String {
    let field = format!("--query-gpu={field}");
    proc::output(proc::find("nvidia-smi"), [field.as_str(), "--format=csv,noheader"])
}

/// The compute capability of this host's first GPU.
#[track_caller]
fn capability() -> String {
    demand();
    query("compute_cap").lines().next().expect("a GPU").trim().to_owned()
}

/// The tool, told which base to use, with the network of the caller: the base has to be pulled once.
fn on_base<'a>(place: &'a Place, task: &str, arch: &str) -> Xtask<'a> {
    place.write("repo/sandbox.local.yaml", format!("arch_list: '{arch}'\n"));
    let mut run = Xtask::at(place).args([task]).within(1150);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "DOCKER_HOST"] {
        if let Some(value) = std::env::var_os(name) {
            run = run.env(name, value);
        }
    }
    match std::env::var("GPU_TEST_BASE") {
        Ok(base) => run.args(["--base", &base]),
        Err(_) => run,
    }
}

/// The smoke test of the image, or of one of the test's own.
#[track_caller]
fn smoke<'a>(place: &'a Place, arch: &str, image: Option<&Image>) -> Run<'a> {
    let run = match image {
        None => on_base(place, "gpu-smoke", arch),
        Some(image) => Xtask::at(place).args(["gpu-smoke", "--image", &image.name]).within(400),
    };
    run.args(["--arch", arch]).args(FILES).run()
}

/// The image of this GPU's architecture, by tag.
#[track_caller]
fn image(arch: &str) -> String {
    let place = Place::new();
    on_base(&place, "image", arch).run().ok().stdout.trim().to_owned()
}

#[test]
fn every_gpu_of_the_host_answers_inside() {
    let uuids = demand();
    let sandbox = Sandbox::new();
    let enter = |args: &[&str]| {
        let dataset = format!("ssv2={}", sandbox.dataset().display());
        let run = on_base(&sandbox.place, "sandbox", &capability()).on_path(sandbox.codex_dir());
        run.args(["--dataset", &dataset, "--yes", "--"]).args(args.iter().copied()).run().ok()
    };
    enter(&["--version"]);
    let proof = sandbox.proof();
    assert_eq!(proof.with("broken"), Vec::<String>::new());
    for id in ["gpu.devices", "gpu.native-code"] {
        assert!(proof.with("held").iter().any(|held| held == id), "{id}");
    }
    let run = enter(&["exec", "--skip-git-repo-check", "RUN: nvidia-smi --query-gpu=uuid --format=csv,noheader"]);
    assert!(run.stdout.contains(&uuids), "{}", run.stdout);
}

#[test]
fn the_smoke_test_passes_on_every_gpu() {
    let (uuids, arch) = (demand(), capability());
    let place = Place::new();
    let run = smoke(&place, &arch, None).ok();
    let report = Report::of(&place);
    assert_eq!(report.0["verdict"], "passed", "{}", run.stdout);
    let seen = report.0["devices"].as_array().expect("devices").iter();
    let seen: BTreeSet<&str> = seen.filter_map(|device| device["uuid"].as_str()).collect();
    // CUDA shows the fastest first, and nvidia-smi goes by the bus.
    assert_eq!(seen, uuids.lines().map(str::trim).collect());
}

#[test]
fn code_for_another_architecture_fails_in_the_right_checks() {
    let arch = capability();
    let other = if arch.starts_with("12.") { "9.0" } else { "12.0" };
    let image = image(&arch);
    let place = Place::new();
    let run = Xtask::at(&place)
        .args(["gpu-smoke", "--image", &image, "--arch", other])
        .args(FILES)
        .within(400)
        .run()
        .ended(1);
    let report = Report::of(&place);
    for id in ["devices.served", checks::NATIVE_CODE] {
        assert!(report.with("failed").contains(&id), "{}", run.stdout);
    }
    // The GPU is well, and torch has code for it.
    assert!(report.with("passed").contains(&"matmul.fp32"), "{}", run.stdout);
}

/// With the script changed, the run fails in these checks, and the others that stand for a healthy GPU pass.
#[track_caller]
fn is_caught(file: &str, from: &str, to: &str, failed: &[&str]) {
    let arch = capability();
    let image = Image::on(&image(&arch), &changed_script(file, from, to));
    let place = Place::new();
    let run = smoke(&place, &arch, Some(&image)).ended(1);
    let report = Report::of(&place);
    for id in failed {
        assert!(report.with("failed").contains(id), "{id} passed:\n{}", run.stdout);
    }
    assert!(report.with("passed").contains(&"driver.present"), "{}", run.stdout);
}

#[test]
fn a_kernel_with_a_wrong_constant_is_caught() {
    is_caught("kernel.py", "2654435761u", "2654435763u", &[checks::NATIVE_CODE]);
}

#[test]
fn a_wrong_constant_that_the_inside_agrees_with_is_caught_by_the_host() {
    is_caught("kernel.py", "2654435761", "2654435763", &[checks::NATIVE_CODE]);
}

#[test]
fn a_kernel_that_is_only_ptx_is_caught() {
    is_caught("nvrtc.py", "gpu-architecture={target}", "gpu-architecture=compute_{target[3:]}", &[checks::NATIVE_CODE]);
}

#[test]
fn tensors_on_the_cpu_are_caught() {
    let failed = ["matmul.fp32", "matmul.tf32", "matmul.fp16", "matmul.bf16"];
    is_caught("numerics.py", "a.to(device, dtype)", "a.to(dtype)", &failed);
}
