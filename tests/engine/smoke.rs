//! `cargo xtask gpu-smoke` in real containers of the CPU image: what needs no GPU is checked for real, and what is wrong
//! with an image is found by the check that looks for it.

use crate::support::place::{Place, User};
use crate::support::run::{Run, Xtask};
use crate::support::sandbox::Sandbox;
use crate::support::second_engine::SecondEngine;
use crate::support::{engine, gpu, proc};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use xtask::smoke::{Mode, checks};

const FILES: [&str; 4] = ["--json", "out/smoke.json", "--junit", "out/smoke.xml"];

fn smoke<'a>(place: &'a Place, args: &[&str]) -> Xtask<'a> {
    let run = Xtask::at(place)
        .args(["gpu-smoke"])
        .args(args.iter().copied())
        .args(FILES);
    run.within(240)
}

struct Report(Value);

impl Report {
    #[track_caller]
    fn of(place: &Place) -> Report {
        Report(serde_json::from_str(&place.read("repo/out/smoke.json")).expect("the report in JSON"))
    }

    fn checks(&self) -> impl Iterator<Item = &Value> {
        self.0["checks"].as_array().expect("checks").iter()
    }

    fn with(&self, status: &str) -> Vec<&str> {
        let checks = self.checks().filter(|check| check["status"] == status);
        checks.filter_map(|check| check["id"].as_str()).collect()
    }
}

/// The checks that need no GPU, without those of this list.
fn cpu_checks(without: &[&str]) -> Vec<&'static str> {
    let planned = checks::planned(Mode::Quick).filter(|check| !check.gpu);
    planned
        .map(|check| check.id)
        .filter(|id| !without.contains(id))
        .collect()
}

/// No container of a smoke test is left, nor are its files.
#[track_caller]
fn nothing_left(place: &Place) {
    let scratch = fs::read_dir(place.root().join("target/sandbox"));
    let left: Vec<_> = scratch
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
}

#[track_caller]
fn container_of(run: &str) -> String {
    let (_, rest) = run.split_once("docker start --attach ").expect("the container's name");
    rest.lines().next().expect("a line").trim().to_owned()
}

#[track_caller]
fn gone(run: &Run) {
    let name = container_of(&run.stderr);
    let (code, _, _) = proc::outcome(proc::find("docker"), ["container", "inspect", &name]);
    assert_eq!(code, 1, "`{name}` was left behind");
}

#[test]
fn what_needs_no_gpu_passes_and_the_rest_is_not_run() {
    let user = User { uid: 1000, gid: 1000 };
    engine::image(Some(user));
    let place = Place::of(user);
    proc::copy(&engine::clips(), &place.path("ssv2"));
    place.give();
    let dataset = format!("ssv2={}", place.path("ssv2").display());
    let run = smoke(&place, &["--cpu", "--dataset", &dataset])
        .groups(&[engine::socket_group()])
        .run()
        .ended(3);
    gone(&run);
    nothing_left(&place);
    let report = Report::of(&place);
    assert_eq!(report.with("passed"), cpu_checks(&[]));
    let gpu = checks::planned(Mode::Quick)
        .filter(|check| check.gpu)
        .map(|check| check.id);
    assert_eq!(report.with("not-run"), gpu.collect::<Vec<_>>());
    assert_eq!(report.0["verdict"], "no-gpu");
    let remedy = report.0["no_gpu"]["remedy"].as_str().expect("a remedy");
    assert!(run.stdout.contains(&format!("remedy: {remedy}")), "{}", run.stdout);
    for check in report.checks().filter(|check| check["status"] == "not-run") {
        assert_eq!(check["remedy"], remedy, "{check}");
    }
    for name in ["smoke.json", "smoke.xml"] {
        let meta = fs::metadata(place.root().join("out").join(name)).expect("the file");
        assert_eq!((meta.uid(), meta.gid()), (user.uid, user.gid), "{name}");
    }
    quick_junit::Report::deserialize_from_str(&place.read("repo/out/smoke.xml")).expect("JUnit XML");
}

/// An image of a test's own on top of the CPU image, removed at the end.
struct Image(String);

impl Image {
    fn with(name: &str, commands: &str) -> Image {
        engine::image(None);
        let tag = Xtask::at(&Place::new()).args(["image", "--cpu"]).run().ok().stdout;
        let name = format!("codex-sandbox-test-{name}");
        let user = "{{.Config.User}}";
        let user = engine::docker(["image", "inspect", "--format", user, tag.trim()]);
        let text = format!("FROM {}\nUSER 0:0\nRUN {commands}\nUSER {}\n", tag.trim(), user.trim());
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("Dockerfile"), text).expect("a Dockerfile");
        let dir = dir.path().display().to_string();
        engine::docker(["build", "--quiet", "--network", "none", "--tag", &name, &dir]);
        Image(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        proc::outcome(proc::find("docker"), ["image", "rm", "--force", &self.0]);
    }
}

/// With this image the run fails, in exactly these checks.
#[track_caller]
fn fails_in(image: &Image, failed: &[&str]) {
    let place = Place::new();
    let run = smoke(&place, &["--cpu", "--image", &image.0]).run().ended(1);
    gone(&run);
    let report = Report::of(&place);
    assert_eq!(report.with("failed"), failed, "{}", run.stdout);
    assert_eq!(report.with("missing"), Vec::<&str>::new());
    assert_eq!(report.0["image"]["reference"], image.0.as_str());
    let expected = cpu_checks(&[failed, &["decord.dataset"]].concat());
    assert_eq!(report.with("passed"), expected, "{}", run.stdout);
}

#[test]
fn an_image_whose_decord_was_removed_fails_in_its_checks() {
    let image = Image::with(
        "no-decord",
        "rm -rf $(python3 -c 'import decord, os; print(os.path.dirname(decord.__file__))')",
    );
    fails_in(&image, &["decord.owner", "decord.vp9", "decord.h264", "decord.corrupt"]);
}

#[test]
fn an_image_whose_torch_was_replaced_fails_in_the_version() {
    let image = Image::with(
        "other-torch",
        "sed -i \"s/^__version__ = .*/__version__ = '2.4.1'/\" \
         $(python3 -c 'import torch, os; print(os.path.dirname(torch.__file__))')/version.py",
    );
    fails_in(&image, &["versions.torch"]);
}

#[test]
fn an_image_that_hangs_is_ended_with_its_bound() {
    let image = Image::with(
        "hangs",
        "printf '#!/bin/sh\\nexec sleep 600\\n' >/usr/local/bin/python3; chmod 755 /usr/local/bin/python3",
    );
    let place = Place::new();
    let run = smoke(&place, &["--cpu", "--image", &image.0, "--timeout", "5"])
        .run()
        .ended(1);
    assert!(run.stdout.contains("passed its bound of"), "{}", run.stdout);
    gone(&run);
    nothing_left(&place);
    assert_eq!(Report::of(&place).with("passed"), Vec::<&str>::new());
}

#[test]
fn a_run_that_is_ended_leaves_no_container() {
    let image = Image::with(
        "waits",
        "printf '#!/bin/sh\\nexec sleep 600\\n' >/usr/local/bin/python3; chmod 755 /usr/local/bin/python3",
    );
    let place = Place::new();
    let words = smoke(&place, &["--cpu", "--image", &image.0]).words();
    let log = fs::File::create(place.path("log")).expect("a log");
    let mut child = std::process::Command::new(&words[0])
        .args(&words[1..])
        .stderr(log)
        .spawn()
        .expect("the tool");
    let filter = format!("ancestor={}", image.0);
    let running = || engine::docker(["ps", "--quiet", "--filter", &filter]);
    proc::wait_for("the container to run", 60, || (!running().is_empty()).then_some(()));
    // `env` became the tool itself.
    proc::output("kill", ["-TERM", &child.id().to_string()]);
    let status = child.wait().expect("its end");
    assert_eq!(status.code(), Some(1), "{}", place.read("log"));
    assert!(
        place.read("log").contains("error: interrupted"),
        "{}",
        place.read("log")
    );
    assert_eq!(engine::docker(["ps", "--all", "--quiet", "--filter", &filter]), "");
    nothing_left(&place);
}

#[test]
fn the_gpus_are_asked_for_and_without_a_driver_the_checks_say_so() {
    engine::image(None);
    let place = Place::new();
    place.write("repo/sandbox.local.yaml", "memlock: engine\n");
    gpu::cdi(&place, &[("nvidia0", "/dev/null"), ("nvidiactl", "/dev/zero")]);
    let engine = SecondEngine::start(&place, &[]);
    let run = smoke(&place, &["--cpu", "--gpus", "all"])
        .env("DOCKER_HOST", &engine.host)
        .run()
        .ended(1);
    assert_eq!(
        engine.containers(),
        Vec::<String>::new(),
        "the container was left behind"
    );
    let report = Report::of(&place);
    assert_eq!(report.with("passed"), cpu_checks(&["decord.dataset"]), "{}", run.stdout);
    let required = checks::planned(Mode::Quick).filter(|check| check.gpu && check.required);
    let required: Vec<&str> = required.map(|check| check.id).collect();
    let failed = report.with("failed");
    assert!(required.iter().all(|id| failed.contains(id)), "{}", run.stdout);
    let driver = report
        .checks()
        .find(|check| check["id"] == "driver.present")
        .expect("the check");
    assert!(
        driver["error"].as_str().is_some_and(|error| error.contains("libcuda")),
        "{driver}"
    );
    assert!(
        driver["remedy"]
            .as_str()
            .is_some_and(|remedy| remedy.contains("nvidia-smi")),
        "{driver}"
    );
}

#[test]
fn a_gpu_that_the_specification_does_not_have_is_the_hosts_matter() {
    engine::image(None);
    let place = Place::new();
    place.write("repo/sandbox.local.yaml", "memlock: engine\n");
    gpu::cdi(&place, &[("nvidia0", "/dev/null")]);
    let engine = SecondEngine::start(&place, &[]);
    let run = smoke(&place, &["--cpu", "--gpus", "7"])
        .env("DOCKER_HOST", &engine.host)
        .run()
        .ended(3);
    assert!(run.error().contains("nvidia.com/gpu=7"), "{}", run.error());
    assert!(run.error().contains("nvidia-ctk cdi"), "{}", run.error());
    assert_eq!(
        engine.containers(),
        Vec::<String>::new(),
        "the container was left behind"
    );
    assert_eq!(Report::of(&place).0["verdict"], "no-gpu");
}

#[test]
fn here_is_the_running_sandbox() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let before = sandbox.containers();
    let run = Xtask::at(&sandbox.place)
        .args(["gpu-smoke", "--here"])
        .args(FILES)
        .within(240)
        .run()
        .ended(3);
    let report = Report::of(&sandbox.place);
    assert_eq!(report.with("passed"), cpu_checks(&[]), "{}", run.stdout);
    assert_eq!(report.0["no_gpu"]["cause"], "this sandbox was started without GPUs");
    assert_eq!(sandbox.containers(), before);
    let top = engine::docker(["top", &before[0], "-eo", "pid,args"]);
    assert!(!top.contains("gpu_smoke"), "{top}");
}
