//! Engines and hosts that a test machine cannot be made into: a `docker` of the test's own stands for them.

use crate::support::codex;
use crate::support::docker::{Calls, FakeDocker};
use crate::support::place::Place;
use crate::support::run::{Run, Xtask};
use serde_json::json;
use snapbox::str;

pub(crate) const RTX: &str = "#!/bin/sh\necho '0, GPU-aaaa, NVIDIA GeForce RTX 5090, 12.0, 570.86.10'\n";

/// A place with a data set and a stand-in for Codex: all that a sandbox needs, but for the engine.
pub(crate) fn ready() -> Place {
    let place = Place::new();
    place.write("ssv2/1.webm", "a clip");
    codex::stand_in(&place, "0.169.0");
    place
}

/// An engine with nothing in it, whose every build works.
pub(crate) fn empty(docker: FakeDocker) -> FakeDocker {
    docker
        .answer("container inspect *", 1, "[]\n", "Error response from daemon: No such container: x\n")
        .answer("image inspect *", 1, "[]\n", "Error response from daemon: No such image: x\n")
        .answer("image ls *", 0, "", "")
        .answer("network ls *", 0, "", "")
        .answer("volume ls *", 0, "", "")
        .answer("ps *", 0, "", "")
        .answer("*build *", 0, "", "")
}

#[track_caller]
pub(crate) fn sandbox<'a>(place: &'a Place, flags: &[&str]) -> Xtask<'a> {
    let dataset = format!("ssv2={}", place.path("ssv2").display());
    // The machine that runs the tests may have a GPU of its own.
    Xtask::at(place).bare_path().args(["sandbox", "--yes", "--dataset", &dataset]).args(flags.iter().copied())
}

/// The sandbox on this engine, without GPUs.
fn on(place: &Place, docker: FakeDocker) -> Run<'_> {
    let calls = empty(docker).install(place);
    let run = sandbox(place, &["--gpus", "none", "--", "--version"]).run();
    changes_nothing(&calls);
    run
}

/// None of the calls of `docker` creates, starts, stops or removes anything.
#[track_caller]
pub(crate) fn changes_nothing(calls: &Calls) {
    let reads = [
        "version", "info", "context", "container][inspect", "image][inspect", "image][ls", "volume][ls", "network][ls",
        "ps]",
    ];
    for line in calls.lines() {
        let read = reads.iter().any(|start| line[1..].starts_with(start));
        assert!(read, "{line} was called");
    }
}

#[test]
fn a_remote_engine_is_refused() {
    let place = ready();
    let mut docker = FakeDocker::new();
    docker.endpoint = "ssh://far.example".into();
    on(&place, docker).exactly(
        3,
        "",
        str![[r#"
error: the engine at `ssh://far.example` is remote: its files are not this machine's
hint: unset DOCKER_HOST or `docker context use default`, and run this on the engine's own machine

"#]],
    );
}

#[test]
fn a_remote_engine_named_by_the_environment_is_refused() {
    let place = ready();
    let calls = empty(FakeDocker::new()).install(&place);
    sandbox(&place, &["--gpus", "none"]).env("DOCKER_HOST", "tcp://192.0.2.1:2376").run().exactly(
        3,
        "",
        str![[r#"
error: the engine at `tcp://192.0.2.1:2376` is remote: its files are not this machine's
hint: unset DOCKER_HOST or `docker context use default`, and run this on the engine's own machine

"#]],
    );
    changes_nothing(&calls);
}

#[test]
fn docker_desktop_is_refused() {
    let place = ready();
    let mut docker = FakeDocker::new();
    docker.info["OperatingSystem"] = json!("Docker Desktop");
    on(&place, docker).exactly(
        3,
        "",
        str![[r#"
error: Docker Desktop runs containers in a virtual machine: owners and read-only mounts cannot be proven there
hint: use Docker Engine on Linux: `docker context use default` where it is installed beside Desktop

"#]],
    );
}

#[test]
fn a_rootless_engine_is_refused() {
    let place = ready();
    let mut docker = FakeDocker::new();
    docker.info["SecurityOptions"] = json!(["name=seccomp,profile=builtin", "name=rootless"]);
    on(&place, docker).exactly(
        3,
        "",
        str![[r#"
error: this engine is rootless: its uids are not the host's, so ownership of what is written cannot be kept
hint: use the rootful engine: `docker context use default`, or unset DOCKER_HOST

"#]],
    );
}

#[test]
fn an_engine_that_remaps_users_is_refused() {
    let place = ready();
    let mut docker = FakeDocker::new();
    docker.info["SecurityOptions"] = json!(["name=userns"]);
    on(&place, docker).exactly(
        3,
        "",
        str![[r#"
error: this engine remaps user ids (userns-remap): ownership of what is written cannot be kept
hint: use an engine without `userns-remap`; this tool never changes an engine's settings

"#]],
    );
}

/// What Podman 4.3.1 answers under the name `docker`, asked with Docker's own formats.
pub(crate) fn podman() -> FakeDocker {
    let mut docker =
        FakeDocker::new().answer("container inspect *", 125, "[]\n", "Error: inspecting object: no such container x\n");
    docker.version = json!({"Client": {
        "APIVersion": "4.3.1", "Version": "4.3.1", "GoVersion": "go1.19.8", "GitCommit": "",
        "BuiltTime": "Thu Jan  1 00:00:00 1970", "Built": 0, "OsArch": "linux/amd64", "Os": "linux",
    }});
    docker.info = json!({"host": {"arch": "amd64", "buildahVersion": "1.28.2", "cgroupVersion": "v1"}});
    docker.endpoint = String::new();
    docker
}

#[test]
fn podman_that_calls_itself_docker_is_refused() {
    let place = ready();
    on(&place, podman()).exactly(
        3,
        "",
        str![[r#"
error: `docker` here is Podman, not Docker Engine: its mounts and users work differently
hint: install Docker Engine, or put its `docker` first on PATH

"#]],
    );
}

#[test]
fn dockers_client_on_podmans_socket_is_refused() {
    let place = ready();
    let mut docker = FakeDocker::new();
    docker.version["Server"]["Components"] = json!([{"Name": "Podman Engine", "Version": "5.4.0"}]);
    on(&place, docker).exactly(
        3,
        "",
        str![[r#"
error: `docker` here is Podman Engine, not Docker Engine: its mounts and users work differently
hint: install Docker Engine, or put its `docker` first on PATH

"#]],
    );
}

#[test]
fn an_engine_without_compose_is_refused() {
    let place = ready();
    let mut docker = FakeDocker::new();
    docker.info["ClientInfo"]["Plugins"] = json!([{"Name": "buildx", "Version": "v0.13.1"}]);
    on(&place, docker).exactly(
        3,
        "",
        str![[r#"
error: the Docker CLI has no Compose v2 plugin
hint: [..]
...

"#]],
    );
}

#[test]
fn an_engine_that_does_not_answer_is_said_to_be_down() {
    let place = ready();
    let said = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n";
    let docker = FakeDocker::new().answer("*", 1, "", said);
    docker.install(&place);
    sandbox(&place, &["--gpus", "none"]).run().exactly(3, "", str![[r#"
error: no Docker Engine answers: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?[..]
hint: [..]
...

"#]]);
}

#[test]
fn a_host_without_docker_is_told_so() {
    let place = ready();
    sandbox(&place, &["--gpus", "none"]).run().exactly(
        3,
        "",
        str![[r#"
error: `docker` is not on PATH
hint: [..]
...

"#]],
    );
}

#[test]
fn a_host_without_a_gpu_is_refused_and_told_the_ways_out() {
    let place = ready();
    let calls = empty(FakeDocker::new()).install(&place);
    sandbox(&place, &[]).run().exactly(
        3,
        "",
        str![[r#"
error: `--gpus all` was asked for and this host has no GPU that answers: [..]
...
hint: pass `--gpus none`, or `--cpu`, to work without a GPU

"#]],
    );
    changes_nothing(&calls);
}

#[test]
fn a_gpu_without_the_toolkit_is_refused() {
    let place = ready();
    place.program("nvidia-smi", RTX);
    let calls = empty(FakeDocker::new()).install(&place);
    sandbox(&place, &[]).run().exactly(
        3,
        "",
        str![[r#"
error: the NVIDIA Container Toolkit is missing: no CDI specification, no runtime hook
hint: [..]
...

"#]],
    );
    changes_nothing(&calls);
}

#[test]
fn a_gpu_of_another_number_is_refused() {
    let place = ready();
    place.program("nvidia-smi", RTX);
    let calls = empty(FakeDocker::new()).install(&place);
    sandbox(&place, &["--gpus", "0,7"]).run().exactly(
        3,
        "",
        str![[r#"
error: there is no GPU `7` on this host
hint: `nvidia-smi -L` lists them

"#]],
    );
    changes_nothing(&calls);
}

#[test]
fn a_client_that_cannot_build_is_told_before_anything_is_built() {
    let place = ready();
    let mut docker = FakeDocker::new();
    docker.info["ClientInfo"]["Plugins"] = json!([{"Name": "compose", "Version": "v2.26.1"}]);
    on(&place, docker).exactly(
        3,
        "",
        str![[r#"
error: the Docker CLI has no buildx plugin, and the image is built with it
hint: [..]
...

"#]],
    );
}

#[test]
fn what_other_programs_say_does_not_rule_the_terminal() {
    let place = ready();
    let said = "Error response from daemon: \u{1b}]0;title\u{7}odd";
    let docker = FakeDocker::new().answer("container inspect *", 1, "[]\n", said);
    empty(docker).install(&place);
    let run = sandbox(&place, &["--gpus", "none"]).run();
    assert!(run.stderr.contains("\\u{1b}]0;title\\u{7}odd"), "{}", run.stderr);
    assert!(!run.stderr.contains(['\u{1b}', '\u{7}']), "{}", run.stderr);
}

#[test]
fn no_program_is_taken_from_the_workspace() {
    let place = ready();
    let calls = empty(FakeDocker::new()).install(&place);
    for name in ["docker", "git", "nvidia-smi", "codex"] {
        let file = place.write(&format!("repo/workspace/.venv/bin/{name}"), "#!/bin/sh\ntouch \"$0.ran\"\nexit 1\n");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(file, mode).expect("an executable");
    }
    let venv = place.path("repo/workspace/.venv/bin");
    let path = format!("{}:{}", venv.display(), place.path("bin").display());
    let run = sandbox(&place, &["--gpus", "none"]).env("PATH", path).run();
    assert!(run.stderr.contains(".venv/bin` is left out of PATH"), "{}", run.stderr);
    assert!(!calls.lines().is_empty(), "{}", run.stderr);
    let ran = std::fs::read_dir(venv).expect("the directory").filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().ends_with(".ran")
    });
    assert_eq!(ran.count(), 0);
}
