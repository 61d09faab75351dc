//! `cargo xtask gpu-smoke` in real containers of the CPU image: what needs no GPU is checked for real, and what is wrong
//! with an image is found by the check that looks for it.

use crate::support::own::Image;
use crate::support::place::{Place, User};
use crate::support::run::Xtask;
use crate::support::sandbox::Sandbox;
use crate::support::second_engine::SecondEngine;
use crate::support::smoke::{FILES, Report, changed_script};
use crate::support::{engine, gpu, proc};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use xtask::smoke::{Extent, checks};

fn smoke<'a>(place: &'a Place, args: &[&str]) -> Xtask<'a> {
    let run = Xtask::at(place).args(["gpu-smoke"]).args(args.iter().copied()).args(FILES);
    run.within(240)
}

/// The checks that need no GPU, without those of this list.
fn cpu_checks(without: &[&str]) -> Vec<&'static str> {
    let planned = checks::planned(Extent::Quick).filter(|check| !check.gpu);
    planned.map(|check| check.id).filter(|id| !without.contains(id)).collect()
}

/// No container of a smoke test is left, nor are its files.
#[track_caller]
fn nothing_left(place: &Place) {
    let scratch = fs::read_dir(place.root().join("target/sandbox"));
    let left: Vec<_> = scratch.into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
}

/// The container of a run, by the name that the run itself has given it; none before it was told to start.
fn container_of(stderr: &str) -> Option<String> {
    let (_, rest) = stderr.split_once("docker start --attach ")?;
    rest.split_once('\n').map(|(name, _)| name.trim().to_owned())
}

#[track_caller]
fn gone(stderr: &str) {
    let name = container_of(stderr).expect("the container's name");
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
    let run = smoke(&place, &["--cpu", "--dataset", &dataset]).groups(&[engine::socket_group()]).run().ended(3);
    gone(&run.stderr);
    nothing_left(&place);
    let report = Report::of(&place);
    assert_eq!(report.with("passed"), cpu_checks(&[]));
    let gpu = checks::planned(Extent::Quick).filter(|check| check.gpu).map(|check| check.id);
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

/// The CPU image, by tag.
fn cpu_image() -> String {
    engine::image(None);
    let tag = Xtask::at(&Place::new()).args(["image", "--cpu"]).run().ok().stdout;
    tag.trim().to_owned()
}

/// An image of a test's own on top of the CPU image.
fn image(commands: &str) -> Image {
    Image::on(&cpu_image(), commands)
}

/// An image in which nothing comes to an end.
fn hanging_image() -> Image {
    image("printf '#!/bin/sh\\nexec sleep 600\\n' >/usr/local/bin/python3; chmod 755 /usr/local/bin/python3")
}

/// With this image the run fails, in exactly these checks.
#[track_caller]
fn fails_in(image: &Image, failed: &[&str]) {
    let place = Place::new();
    let run = smoke(&place, &["--cpu", "--image", &image.name]).run().ended(1);
    gone(&run.stderr);
    let report = Report::of(&place);
    assert_eq!(report.with("failed"), failed, "{}", run.stdout);
    assert_eq!(report.with("missing"), Vec::<&str>::new());
    assert_eq!(report.0["image"]["reference"], image.name.as_str());
    let expected = cpu_checks(&[failed, &["decord.dataset"]].concat());
    assert_eq!(report.with("passed"), expected, "{}", run.stdout);
}

#[test]
fn an_image_whose_decord_was_removed_fails_in_its_checks() {
    let image = image("rm -rf $(python3 -c 'import decord, os; print(os.path.dirname(decord.__file__))')");
    fails_in(&image, &["decord.owner", "decord.vp9", "decord.h264", "decord.corrupt"]);
}

#[test]
fn an_image_whose_torch_was_replaced_fails_in_the_version() {
    let image = image(
        "sed -i \"s/^__version__ = .*/__version__ = '2.4.1'/\" \
         $(python3 -c 'import torch, os; print(os.path.dirname(torch.__file__))')/version.py",
    );
    fails_in(&image, &["versions.torch"]);
}

#[test]
fn an_image_that_hangs_is_ended_with_its_bound() {
    let image = hanging_image();
    let place = Place::new();
    let run = smoke(&place, &["--cpu", "--image", &image.name, "--timeout", "5"]).run().ended(1);
    assert!(run.stdout.contains("passed its bound of"), "{}", run.stdout);
    gone(&run.stderr);
    nothing_left(&place);
    assert_eq!(Report::of(&place).with("passed"), Vec::<&str>::new());
}

#[test]
fn a_run_that_is_ended_leaves_no_container() {
    let image = hanging_image();
    let place = Place::new();
    let words = smoke(&place, &["--cpu", "--image", &image.name]).words();
    let log = fs::File::create(place.path("log")).expect("a log");
    let mut child = std::process::Command::new(&words[0]).args(&words[1..]).stderr(log).spawn().expect("the tool");
    proc::wait_for("the container to run", 60, || {
        let name = container_of(&place.read("log"))?;
        let state = ["container", "inspect", "--format", "{{.State.Running}}", &name];
        (proc::outcome(proc::find("docker"), state).1 == "true\n").then_some(())
    });
    // `env` became the tool itself.
    proc::output("kill", ["-TERM", &child.id().to_string()]);
    let status = child.wait().expect("its end");
    assert_eq!(status.code(), Some(143), "{}", place.read("log"));
    assert!(place.read("log").contains("error: interrupted"), "{}", place.read("log"));
    gone(&place.read("log"));
    nothing_left(&place);
}

#[test]
fn the_gpus_are_asked_for_and_without_a_driver_the_checks_say_so() {
    engine::image(None);
    let place = Place::new();
    place.write("repo/sandbox.local.yaml", "memlock: engine\n");
    gpu::cdi(&place, &[("nvidia0", "/dev/null"), ("nvidiactl", "/dev/zero")]);
    let engine = SecondEngine::start(&place, &[]);
    let run = smoke(&place, &["--cpu", "--gpus", "all"]).env("DOCKER_HOST", &engine.host).run().ended(1);
    assert_eq!(engine.containers(), Vec::<String>::new(), "the container was left behind");
    let report = Report::of(&place);
    assert_eq!(report.with("passed"), cpu_checks(&["decord.dataset"]), "{}", run.stdout);
    let required = checks::planned(Extent::Quick).filter(|check| check.gpu && check.required);
    let required: Vec<&str> = required.map(|check| check.id).collect();
    let failed = report.with("failed");
    assert!(required.iter().all(|id| failed.contains(id)), "{}", run.stdout);
    let driver = report.checks().find(|check| check["id"] == "driver.present").expect("the check");
    assert!(driver["error"].as_str().is_some_and(|error| error.contains("libcuda")), "{driver}");
    assert!(driver["remedy"].as_str().is_some_and(|remedy| remedy.contains("nvidia-smi")), "{driver}");
}

#[test]
fn a_gpu_that_the_specification_does_not_have_is_the_hosts_matter() {
    engine::image(None);
    let place = Place::new();
    place.write("repo/sandbox.local.yaml", "memlock: engine\n");
    gpu::cdi(&place, &[("nvidia0", "/dev/null")]);
    let engine = SecondEngine::start(&place, &[]);
    let run = smoke(&place, &["--cpu", "--gpus", "7"]).env("DOCKER_HOST", &engine.host).run().ended(3);
    assert!(run.error().contains("nvidia.com/gpu=7"), "{}", run.error());
    assert!(run.error().contains("nvidia-ctk cdi"), "{}", run.error());
    assert_eq!(engine.containers(), Vec::<String>::new(), "the container was left behind");
    assert_eq!(Report::of(&place).0["verdict"], "no-gpu");
}

#[test]
fn here_is_the_running_sandbox() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let before = sandbox.containers();
    let run = Xtask::at(&sandbox.place).args(["gpu-smoke", "--here"]).args(FILES).within(240).run().ended(3);
    let report = Report::of(&sandbox.place);
    assert_eq!(report.with("passed"), cpu_checks(&[]), "{}", run.stdout);
    assert_eq!(report.0["no_gpu"]["cause"], "this sandbox was started without GPUs");
    assert_eq!(sandbox.containers(), before);
    let top = engine::docker(["top", &before[0], "-eo", "pid,args"]);
    assert!(!top.contains("gpu_smoke"), "{top}");
}

#[test]
fn a_driver_that_answers_passes_where_it_is_asked_and_torch_is_not_taken_for_it() {
    engine::image(None);
    let place = Place::new();
    place.write("repo/sandbox.local.yaml", "memlock: engine\n");
    gpu::cdi_with_driver(&place, &[("nvidia0", "/dev/null"), ("nvidiactl", "/dev/zero")]);
    let engine = SecondEngine::start(&place, &[]);
    let run = smoke(&place, &["--cpu", "--gpus", "0"]).env("DOCKER_HOST", &engine.host).run().ended(1);
    let report = Report::of(&place);
    let passed = report.with("passed");
    for id in ["driver.present", "native.code"] {
        assert!(passed.contains(&id), "{}", run.stdout);
    }
    assert_eq!(report.0["devices"].as_array().map(Vec::len), Some(1));
    // Debian's torch has no CUDA: it must not pass on the CPU.
    let failed = report.with("failed");
    for id in ["driver.version", "devices.count", "aten.native", "matmul.fp32", "attention.default", "timm.gpu"] {
        assert!(failed.contains(&id), "{}", run.stdout);
    }
}

#[test]
fn a_kernel_and_a_script_that_agree_on_something_wrong_are_caught_by_the_host() {
    let place = Place::new();
    place.write("repo/sandbox.local.yaml", "memlock: engine\n");
    let devices = [("nvidia0", "/dev/null"), ("nvidiactl", "/dev/zero")];
    gpu::cdi_with_fault(&place, &devices, "constant");
    let base = cpu_image();
    let engine = SecondEngine::start(&place, &[]);
    // Both of its halves: the kernel's source, and what the script takes for the right answer.
    let commands = changed_script("kernel.py", "2654435761", "2654435763");
    let image = Image::on_engine(&engine.host, &base, &commands);
    let run = smoke(&place, &["--cpu", "--gpus", "all", "--image", &image.name])
        .env("DOCKER_HOST", &engine.host)
        .run()
        .ended(1);
    let report = Report::of(&place);
    let native = report.checks().find(|check| check["id"] == "native.code").expect("the check");
    let error = native["error"].as_str().unwrap_or_default();
    assert!(error.ends_with("computed is not what this host computes"), "{native}\n{}", run.stdout);
    assert!(native["evidence"].as_str().is_some_and(|seen| seen.contains("sm_120 code on 1 device")), "{native}");
}

#[test]
fn here_what_hangs_is_ended_inside_too() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let container = &sandbox.containers()[0];
    // What an image could have on its PATH: the agent's own user may not write there.
    let hang = "printf '#!/bin/sh\\nexec sleep 601\\n' >/usr/local/bin/python3; chmod 755 /usr/local/bin/python3";
    engine::docker(["exec", "--user", "0", container, "sh", "-c", hang]);
    let run = Xtask::at(&sandbox.place).args(["gpu-smoke", "--here", "--timeout", "5"]).within(60).run().ended(1);
    assert!(run.stdout.contains("passed its bound of"), "{}", run.stdout);
    let top = engine::docker(["top", container, "-eo", "pid,args"]);
    assert!(!top.contains("sleep 601"), "{top}");
}
