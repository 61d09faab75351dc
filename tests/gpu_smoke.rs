//! `cargo xtask gpu-smoke` where no engine is needed: refusals, plans, and what is made of a report.

use crate::fake_engine::{RTX, changes_nothing, empty};
use crate::support::docker::{Calls, FakeDocker};
use crate::support::place::Place;
use crate::support::run::{Run, Xtask};
use crate::support::smoke::{FILES, Report, all_gpus, fake_engine, host_with_gpu, nothing_left};
use serde_json::Value;
use snapbox::str;
use xtask::smoke::{Extent, checks};

fn smoke<'a>(place: &'a Place, args: &[&str]) -> Xtask<'a> {
    // The machine that runs the tests may have a GPU of its own.
    Xtask::at(place).bare_path().args(["gpu-smoke"]).args(args.iter().copied())
}

/// A run on a GPU whose report is changed in this way, with its calls.
fn with_report<'a>(place: &'a Place, mode: &str) -> (Run<'a>, Calls) {
    place.write("smoke.mode", mode);
    let calls = fake_engine(place, &all_gpus()).install(place);
    let run = smoke(place, &["--image", "example/image"]).args(FILES).run();
    nothing_left(place, &calls);
    (run, calls)
}

/// How many checks a quick run has. JUnit has one more case, for the report itself.
fn planned() -> usize {
    checks::planned(Extent::Quick).count()
}

fn json(place: &Place) -> Value {
    Report::of(place).0
}

fn junit(place: &Place) -> quick_junit::Report {
    quick_junit::Report::deserialize_from_str(&place.read("repo/out/smoke.xml")).expect("the report in JUnit XML")
}

fn status(report: &Value, id: &str) -> String {
    let checks = report["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["id"] == id).expect("the check");
    check["status"].as_str().expect("a status").to_owned()
}

#[test]
fn a_host_without_a_gpu_is_told_so_before_anything_is_started() {
    let place = Place::new();
    let calls = empty(FakeDocker::new()).install(&place);
    smoke(&place, &FILES).run().exactly(
        3,
        "",
        str![[r#"
error: `--gpus all` was asked for and this host has no GPU that answers: [..]
...
hint: pass `--gpus none`, or `--cpu`, to work without a GPU

"#]],
    );
    changes_nothing(&calls);
    let report = json(&place);
    assert_eq!((&report["verdict"], &report["exit_code"]), (&"no-gpu".into(), &3.into()));
    assert_eq!(status(&report, "native.code"), "not-run");
    assert_eq!(status(&report, "decord.vp9"), "not-run");
    assert_eq!(junit(&place).failures, 0);
}

#[test]
fn a_host_without_the_toolkit_is_told_so_before_anything_is_started() {
    let place = Place::new();
    place.program("nvidia-smi", RTX);
    let calls = empty(FakeDocker::new()).install(&place);
    smoke(&place, &FILES).run().exactly(
        3,
        "",
        str![[r#"
error: the NVIDIA Container Toolkit is missing: no CDI specification, no runtime hook
hint: [..]
...

"#]],
    );
    changes_nothing(&calls);
    assert_eq!(json(&place)["verdict"], "no-gpu");
}

#[test]
fn a_gpu_that_passes_everything_ends_with_0() {
    let place = host_with_gpu();
    let (run, _) = with_report(&place, "pass");
    let run = run.ok();
    assert!(run.stderr.contains("  a line of progress\n"), "{}", run.stderr);
    assert!(run.stdout.contains("gpu 0     NVIDIA GeForce RTX 5090, 12.0, 32768 MiB, GPU-aaaa\n"), "{}", run.stdout);
    let passed = planned() - 2;
    let end = format!("passed: every required check; {passed} passed, 2 not run\n");
    assert!(run.stdout.ends_with(&end), "{}", run.stdout);
    let report = json(&place);
    assert_eq!((&report["verdict"], &report["exit_code"]), (&"passed".into(), &0.into()));
    assert_eq!(report["image"]["id"], "sha256:1111");
    assert_eq!(report["image"]["digests"][0], "example/image@sha256:2222");
    assert_eq!(report["devices"][0]["uuid"], "GPU-aaaa");
    let junit = junit(&place);
    assert_eq!((junit.tests, junit.failures, junit.errors), (planned() + 1, 0, 0));
}

/// The run fails, in exactly these checks.
#[track_caller]
fn fails_in(mode: &str, checks: &[&str], said: &str) {
    let place = host_with_gpu();
    let (run, _) = with_report(&place, mode);
    let run = run.ended(1);
    assert!(run.stdout.contains(said), "{}", run.stdout);
    let report = json(&place);
    let failed = report["checks"].as_array().expect("checks").iter();
    let failed: Vec<&str> = failed
        .filter(|check| check["status"] == "failed" || check["status"] == "missing")
        .filter_map(|check| check["id"].as_str())
        .collect();
    assert_eq!(failed, checks);
    let junit = junit(&place);
    assert_eq!(junit.failures + junit.errors, checks.len());
}

#[test]
fn a_check_that_is_missing_fails() {
    fails_in("missing", &["matmul.bf16"], "the report lacks it");
}

#[test]
fn a_kernel_that_computes_something_else_fails() {
    fails_in("wrong constant", &["native.code"], "not what this host computes");
}

#[test]
fn a_kernel_that_is_not_native_fails() {
    fails_in("ptx", &["native.code"], "binary_version is 90 on GPU-aaaa, not 120");
}

#[test]
fn an_error_is_shown_with_its_cause_and_remedy() {
    fails_in("no kernel", &["aten.native"], "remedy: take a base image whose torch is built for this GPU");
}

/// There is no report that can be relied on: the run fails, and so does every check.
#[track_caller]
fn is_no_report(mode: &str, said: &str) {
    let place = host_with_gpu();
    let (run, _) = with_report(&place, mode);
    let run = run.ended(1);
    assert!(run.stdout.contains(said), "{}", run.stdout);
    let report = json(&place);
    assert_eq!(report["verdict"], "failed");
    assert_eq!(status(&report, "decord.vp9"), "missing");
    assert_eq!(junit(&place).errors, planned() + 1);
}

#[test]
fn a_report_that_was_cut_off_is_none() {
    is_no_report("cut", "the report was cut off");
}

#[test]
fn a_report_of_another_run_is_none() {
    is_no_report("wrong nonce", "another nonce");
}

#[test]
fn a_report_with_text_behind_it_is_none() {
    is_no_report("behind", "text behind the report");
}

#[test]
fn a_request_that_compose_drops_is_seen_and_nothing_is_started() {
    let place = host_with_gpu();
    let calls = fake_engine(&place, &Value::Null).install(&place);
    let run = smoke(&place, &["--image", "example/image"]).run().ended(1);
    assert!(run.stdout.contains("problem: the engine has 0 requests for devices, not one"), "{}", run.stdout);
    assert_eq!(calls.of(&["start"]), Vec::<String>::new());
    nothing_left(&place, &calls);
}

#[test]
fn a_gpu_that_the_engine_cannot_hand_out_is_the_hosts_matter() {
    let place = host_with_gpu();
    let said = "Error response from daemon: could not select device driver \"nvidia\" with capabilities: [[gpu]]\n";
    let calls = FakeDocker::new()
        .answer("image inspect *", 0, "{\"Id\": \"sha256:1\"}", "")
        .answer("compose *", 1, "", said)
        .answer("container rm *", 1, "", "Error response from daemon: No such container: x\n")
        .install(&place);
    let run = smoke(&place, &["--image", "example/image"]).args(FILES).run().ended(3);
    assert!(run.error().contains("could not select device driver"), "{}", run.error());
    assert!(run.error().contains("hint: install `nvidia-container-toolkit`"), "{}", run.error());
    assert_eq!(json(&place)["verdict"], "no-gpu");
    nothing_left(&place, &calls);
}

#[test]
fn an_image_that_is_not_there_is_not_pulled() {
    let place = host_with_gpu();
    let calls = empty(FakeDocker::new()).install(&place);
    let run = smoke(&place, &["--image", "example/image"]).run().ended(1);
    assert_eq!(run.error(), "error: this engine has no image `example/image`\nhint: `docker pull example/image`\n");
    changes_nothing(&calls);
}

#[test]
fn here_needs_a_sandbox_that_runs() {
    let place = Place::new();
    let calls = empty(FakeDocker::new()).install(&place);
    let run = smoke(&place, &["--here"]).run().ended(1);
    assert!(run.error().starts_with("error: no sandbox runs for"), "{}", run.error());
    changes_nothing(&calls);
}

#[test]
fn of_several_architectures_one_must_be_meant() {
    let place = Place::new();
    place.write("repo/sandbox.local.yaml", "arch_list: '9.0 12.0'\n");
    empty(FakeDocker::new()).install(&place);
    let run = smoke(&place, &["--cpu"]).run().ended(2);
    assert!(run.error().contains("`arch_list: 9.0 12.0` does not say"), "{}", run.error());
}

#[test]
fn under_github_actions_there_are_annotations_and_a_summary() {
    let place = host_with_gpu();
    place.write("smoke.mode", "no kernel");
    place.write("repo/summary.md", "of another step\n");
    fake_engine(&place, &all_gpus()).install(&place);
    let run = smoke(&place, &["--image", "example/image"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", "summary.md")
        .run()
        .ended(1);
    let annotations: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(annotations.len(), 1, "{annotations:?}");
    assert!(
        annotations[0].starts_with("::error title=gpu-smoke%3A aten.native::CUDA error: no kernel image"),
        "{annotations:?}"
    );
    let summary = place.read("repo/summary.md");
    assert!(summary.starts_with("of another step\n## GPU smoke test: failed\n"), "{summary}");
    assert!(summary.contains("| FAILED | aten.native | 0.50 |"), "{summary}");
}

#[test]
fn a_dry_run_prints_what_would_run_and_runs_none_of_it() {
    let place = host_with_gpu();
    place.write("ssv2/1.webm", "a clip");
    let calls = empty(FakeDocker::new()).install(&place);
    let dataset = format!("ssv2={}", place.path("ssv2").display());
    let run = smoke(&place, &["--dry-run", "--image", "example/image", "--dataset", &dataset]).run().ok();
    changes_nothing(&calls);
    let text = run.stdout.as_str();
    for part in [
        "\ncat > ",
        "    cap_drop:\n    - ALL\n",
        "      target: /datasets/ssv2\n      read_only: true\n",
        "    network_mode: none\n",
        "          - driver: nvidia\n            count: all\n",
        " create --no-build\n",
        "\ndocker start --attach codex-sandbox-smoke-",
        "\ndocker container rm --force --volumes codex-sandbox-smoke-",
    ] {
        let part = part.replace("\ncat > ", " && cat > ");
        assert!(text.contains(&part), "`{part}` is not in:\n{text}");
    }
}
