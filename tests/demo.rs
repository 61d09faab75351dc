//! The demo and the tiers of tests where nothing may be installed: what is refused, and that nothing is touched.

use crate::support::docker::FakeDocker;
use crate::support::place::Place;
use crate::support::run::Xtask;
use snapbox::str;

/// A place whose programs for installing and starting note down that they were called.
fn watched() -> Place {
    let place = Place::new();
    let note = format!("#!/bin/sh\necho \"$0 $*\" >>'{}'\n", place.path("touched").display());
    for name in ["apt-get", "sudo", "dockerd", "systemctl", "setsid", "mmdebstrap", "npm"] {
        place.program(name, &note);
    }
    place
}

#[track_caller]
fn untouched(place: &Place) {
    assert!(!place.path("touched").exists(), "{}", place.read("touched"));
    assert!(!place.path("home/.cache").exists());
}

#[test]
fn without_a_terminal_the_demo_must_be_told_to_enter() {
    let place = watched();
    Xtask::at(&place).bare_path().args(["demo"]).run().exactly(
        2,
        "",
        str![[r#"
error: `demo` enters a sandbox, and standard input is no terminal
hint: add `--yes`

"#]],
    );
    untouched(&place);
}

#[test]
fn to_enter_is_not_to_install() {
    let place = watched();
    let run = Xtask::at(&place).bare_path().args(["demo", "--yes"]).run().ended(3);
    let error = run.error();
    assert!(error.starts_with("error: this machine lacks an engine that answers, the Docker client"), "{error}");
    untouched(&place);
}

#[test]
fn an_engine_that_is_there_and_refuses_is_left_alone() {
    let refusals = [
        "permission denied while trying to connect to the Docker daemon socket\n",
        "Cannot connect to the Docker daemon at tcp://10.0.0.1:2375. Is the docker daemon running?\n",
    ];
    for said in refusals {
        let place = watched();
        FakeDocker::new().answer("version *", 1, "", said).install(&place);
        let run = Xtask::at(&place).bare_path().args(["demo", "--yes", "--install-engine"]).run().ended(3);
        assert!(run.error().starts_with("error: no Docker Engine answers: "), "{}", run.error());
        untouched(&place);
    }
}

#[test]
fn an_engine_that_cannot_keep_the_promises_is_refused_by_the_demo_too() {
    let place = watched();
    let mut docker = FakeDocker::new();
    docker.info["SecurityOptions"] = serde_json::json!(["name=rootless"]);
    let docker = docker.answer("compose version", 0, "", "").answer("buildx version", 0, "", "");
    docker.install(&place);
    let run = Xtask::at(&place).bare_path().args(["demo", "--yes", "--install-engine"]).run().ended(3);
    assert!(run.error().contains("rootless"), "{}", run.error());
    untouched(&place);
}

#[test]
fn nothing_of_a_demo_is_nothing_to_clean() {
    let place = watched();
    Xtask::at(&place).bare_path().args(["demo", "--clean"]).run().success("", "nothing of the demo is left\n");
    untouched(&place);
}

#[test]
fn a_tier_that_is_demanded_and_cannot_run_is_a_failure() {
    for (tier, why) in [("engine", "this machine lacks"), ("gpu", "no GPU that answers"), ("all", "this machine lacks")]
    {
        let place = watched();
        place.program("python3", "");
        let run = Xtask::at(&place).bare_path().args(["test", "--tier", tier]).run().ended(3);
        assert!(run.error().contains("tier was asked for and cannot run here"), "{}", run.error());
        assert!(run.error().contains(why), "{}", run.error());
        untouched(&place);
    }
}

#[test]
fn a_machine_without_the_programs_of_the_default_tier_is_told_which() {
    let place = watched();
    let run = Xtask::at(&place).bare_path().args(["test"]).run().ended(3);
    assert!(run.error().starts_with("error: this machine lacks `python3`"), "{}", run.error());
    untouched(&place);
}
