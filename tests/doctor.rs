//! The doctor on hosts that a test machine cannot be made into: programs of the test's own stand for them.

use crate::fake_engine::{changes_nothing, empty, podman, ready};
use crate::support::docker::FakeDocker;
use crate::support::place::Place;
use crate::support::run::{Run, Xtask};
use serde_json::{Value, json};

const BLACKWELL: &str = "#!/bin/sh\necho '0, GPU-aaaa, NVIDIA GeForce RTX 5090, 12.0, 570.86.10'\n";

/// The doctor with `--json`, with no programs but those of the place and a data set.
fn doctor<'a>(place: &'a Place, flags: &[&str]) -> Xtask<'a> {
    let dataset = format!("ssv2={}", place.path("ssv2").display());
    Xtask::at(place).bare_path().args(["doctor", "--json", "--dataset", &dataset]).args(flags.iter().copied())
}

/// The finding of this id, whole.
#[track_caller]
fn finding(run: &Run, id: &str) -> Value {
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|err| panic!("{err}: {}", run.stdout));
    assert_eq!(report["schema"], 1);
    let list = report["findings"].as_array().expect("findings");
    let found: Vec<&Value> = list.iter().filter(|finding| finding["id"] == id).collect();
    assert_eq!(found.len(), 1, "{id} in {}", run.stdout);
    found[0].clone()
}

#[track_caller]
fn verdict(run: &Run, id: &str) -> String {
    finding(run, id)["verdict"].as_str().expect("a verdict").to_owned()
}

/// The doctor without GPUs on this engine: the image is there, so that nothing but the engine matters.
#[track_caller]
fn on(docker: FakeDocker, code: i32, id: &str, expected: &str) -> Value {
    let place = ready();
    let calls = docker.install(&place);
    let run = doctor(&place, &["--gpus", "none"]).run().ended(code);
    assert_eq!(verdict(&run, id), expected);
    assert_eq!(run.stderr, "");
    changes_nothing(&calls);
    finding(&run, id)
}

/// An engine with room: the free space of the test machine does not matter here.
fn roomy() -> FakeDocker {
    let mut docker = empty(FakeDocker::new());
    docker.info["DockerRootDir"] = json!("/there/is/none");
    docker
}

#[test]
fn a_host_on_which_a_sandbox_could_run_ends_with_0() {
    let docker = on(roomy(), 0, "engine.answers", "ok");
    assert_eq!(docker["mend"], json!([]));
}

#[test]
fn an_old_compose_is_a_warning_and_no_more() {
    on(roomy(), 0, "engine.compose", "warning");
    let mut docker = roomy();
    docker.info["ClientInfo"]["Plugins"][1]["Version"] = json!("v2.40.1");
    on(docker, 0, "engine.compose", "ok");
}

#[test]
fn engines_that_cannot_keep_the_promises_end_with_3() {
    let mut desktop = roomy();
    desktop.info["OperatingSystem"] = json!("Docker Desktop");
    on(desktop, 3, "engine.place", "broken");
    let mut remote = roomy();
    remote.endpoint = "ssh://far.example".into();
    on(remote, 3, "engine.place", "broken");
    let mut rootless = roomy();
    rootless.info["SecurityOptions"] = json!(["name=rootless"]);
    on(rootless, 3, "engine.users", "broken");
    let mut bare = roomy();
    bare.info["ClientInfo"]["Plugins"] = json!([]);
    on(bare, 3, "engine.compose", "missing");
    let mut old = roomy();
    old.version["Client"]["ApiVersion"] = json!("1.43");
    // Nothing lies below the data set, and this Compose does not ask for it: worse, but no reason to refuse.
    on(old, 0, "engine.recursive", "warning");
}

#[test]
fn podman_under_the_name_of_docker_is_refused() {
    let found = on(podman().answer("image ls *", 0, "", ""), 3, "engine.answers", "broken");
    assert!(found["found"].as_str().expect("text").contains("Podman"));
}

#[test]
fn an_engine_that_may_not_be_used_names_the_group() {
    let said = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock\n";
    let found = on(FakeDocker::new().answer("*", 1, "", said), 3, "engine.answers", "broken");
    // Which command it is depends on the groups of whoever runs the tests; `doctor/engine/tests.rs` has them all.
    assert!(found["found"].as_str().expect("text").contains("permission denied"));
    assert!(!found["mend"].as_array().expect("a list").is_empty());
}

#[test]
fn a_host_with_nothing_is_told_everything_at_once() {
    let place = Place::new();
    let run = Xtask::at(&place).bare_path().args(["doctor", "--json"]).run().ended(3);
    for (id, expected) in [
        ("engine.answers", "missing"),
        ("codex.program", "missing"),
        ("data.ssv2", "missing"),
        ("project.workspace", "ok"),
        ("project.image", "not checked"),
    ] {
        assert_eq!(verdict(&run, id), expected, "{id}");
    }
    let mend = finding(&run, "codex.program")["mend"].to_string();
    assert!(mend.contains("npm install -g @openai/codex"), "{mend}");
}

#[test]
fn wrong_settings_are_findings_beside_all_others() {
    let place = ready();
    roomy().install(&place);
    place.write("repo/sandbox.local.yaml", "dataset: {ssv2: /x}\n");
    let run = doctor(&place, &["--gpus", "none", "--network", "wifi"]).run().ended(2);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let list = report["findings"].as_array().expect("findings");
    let wrong: Vec<&str> = list
        .iter()
        .filter(|finding| finding["id"] == "project.settings")
        .filter_map(|finding| finding["found"].as_str())
        .collect();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].contains("`dataset`") && wrong[1].contains("`--network wifi`"), "{wrong:?}");
    assert_eq!(verdict(&run, "engine.answers"), "ok");
    assert_eq!(verdict(&run, "codex.program"), "ok");
}

#[test]
fn data_sets_that_cannot_be_mounted_are_named_each() {
    let place = ready();
    roomy().install(&place);
    place.mkdir("empty");
    place.write("file", "");
    let given = |name: &str, path: &str| format!("{name}={}", place.path(path).display());
    let (empty, file, gone) = (given("empty", "empty"), given("file", "file"), given("gone", "gone"));
    let flags = ["--gpus", "none", "--dataset", &empty, "--dataset", &file, "--dataset", &gone];
    let run = doctor(&place, &flags).run().ended(2);
    for (id, expected) in
        [("data.ssv2", "ok"), ("data.empty", "broken"), ("data.file", "broken"), ("data.gone", "broken")]
    {
        assert_eq!(verdict(&run, id), expected, "{id}");
    }
}

#[test]
fn a_codex_that_an_agent_can_have_written_is_not_started() {
    let place = ready();
    roomy().install(&place);
    let started = place.path("started");
    place.write("repo/workspace/codex", format!("#!/bin/sh\ntouch '{}'\n", started.display()));
    let codex = place.path("repo/workspace/codex");
    std::process::Command::new("chmod").arg("755").arg(&codex).status().expect("chmod");
    let run = doctor(&place, &["--gpus", "none", "--codex", &codex.display().to_string()]).run().ended(2);
    assert_eq!(verdict(&run, "codex.program"), "broken");
    assert!(!started.exists(), "it was started");
}

#[test]
fn the_gpu_is_held_against_the_image_and_the_toolkit() {
    let place = ready();
    place.program("nvidia-smi", BLACKWELL);
    roomy().install(&place);
    let run = doctor(&place, &[]).run().ended(3);
    assert_eq!(verdict(&run, "gpu.devices"), "ok");
    assert_eq!(verdict(&run, "gpu.image"), "ok");
    assert_eq!(verdict(&run, "gpu.toolkit"), "missing");
    place.program("nvidia-container-runtime-hook", "#!/bin/sh\n");
    place.program("nvidia-ctk", "#!/bin/sh\necho 'NVIDIA Container Toolkit CLI version 1.17.8'\n");
    let dataset = format!("ssv2={}", place.path("ssv2").display());
    let run = Xtask::at(&place).args(["doctor", "--json", "--dataset", &dataset]).run();
    assert_eq!(verdict(&run, "gpu.toolkit"), "warning");
    // The hook, under systemd's cgroups: a reload takes the GPUs away.
    assert_eq!(verdict(&run, "gpu.cgroup"), "warning");
}

#[test]
fn looking_changes_nothing_of_the_project_and_asks_the_engine_little() {
    let place = ready();
    let calls = roomy().install(&place);
    doctor(&place, &["--gpus", "none"]).run().ended(0);
    assert!(!place.path("repo/target").exists());
    let mut asked = calls.lines();
    asked.sort();
    let starts: Vec<&str> = asked.iter().map(|line| line.split(']').next().unwrap_or_default()).collect();
    // All images, and those that this tool has built.
    assert_eq!(starts, ["[image", "[image", "[info", "[version"]);
}
