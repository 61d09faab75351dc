//! For each promise a container in which it does not hold: it is seen, named, and nobody enters.
//!
//! The engine is asked for what the tool asks for, and a `docker` of the test's own adds what breaks it. The claims
//! that fall with it are named too: a break that is seen in more places, or in fewer, is a change worth a look.

use crate::support::breaking::BreakingDocker;
use crate::support::codex;
use crate::support::engine::{self, Mounted};
use crate::support::proc;
use crate::support::sandbox::Sandbox;
use serde_json::{Value, json};
use std::path::Path;
use xtask::spec::settings::keys::{KEYS, ShapeKind, ValueKind};

/// Enters, and is refused because exactly these claims are broken.
#[track_caller]
fn breaks(sandbox: &Sandbox, docker: BreakingDocker, ids: &[&str]) {
    docker.install(&sandbox.place);
    let run = sandbox.enter(["--version"]).ended(1);
    BreakingDocker::assert_used(&sandbox.place);
    is_refused(sandbox, &run, ids);
}

#[track_caller]
fn is_refused(sandbox: &Sandbox, run: &crate::support::run::Run, ids: &[&str]) {
    assert_eq!(run.stdout, "", "Codex was entered");
    let mut expected = ids.to_vec();
    let mut broken = sandbox.proof().with("broken");
    expected.sort_unstable();
    broken.sort();
    assert_eq!(broken, expected, "{}", run.stderr);
    for id in ids {
        assert!(run.error().contains(id), "`{id}` is not in: {}", run.error());
    }
    assert_eq!(sandbox.containers(), Vec::<String>::new(), "the container was left behind");
    assert!(run.stderr.contains("--project-name"), "{}", run.stderr);
    let project = run.stderr.split("--project-name ").nth(1).and_then(|rest| rest.split(' ').next());
    let networks =
        engine::docker(["network", "ls", "--quiet", "--filter", &format!("name={}", project.unwrap_or("?"))]);
    assert_eq!(networks, "", "the network was left behind");
}

/// A service in which one mount has another source, or other options.
fn mount(source: &Path, target: &str, options: &str) -> BreakingDocker {
    let source = source.display();
    BreakingDocker::service(&format!("volumes:\n  - {{type: bind, source: '{source}', target: {target}, {options}}}"))
}

#[test]
fn another_host_name() {
    let script = "pid=$(\"$real\" inspect --format '{{.State.Pid}}' \"$container\")\n\
                  $as_root nsenter --target \"$pid\" --uts hostname other";
    breaks(&Sandbox::new(), BreakingDocker::after_up(script), &["container.identity"]);
}

#[test]
fn a_group_that_was_not_promised() {
    let docker = BreakingDocker::service("group_add: ['4242']");
    breaks(&Sandbox::new(), docker, &["user.identity"]);
}

#[test]
fn a_capability() {
    breaks(&Sandbox::new(), BreakingDocker::service("cap_add: [NET_RAW]"), &["user.capabilities"]);
}

#[test]
fn a_privileged_container() {
    let ids = ["user.capabilities", "user.seccomp"];
    breaks(&Sandbox::new(), BreakingDocker::service("privileged: true"), &ids);
}

#[test]
fn programs_that_may_gain_privileges() {
    let docker = BreakingDocker::service("security_opt: !reset []");
    breaks(&Sandbox::new(), docker, &["user.no-new-privileges"]);
}

#[test]
fn no_filter_of_system_calls() {
    let docker = BreakingDocker::service("security_opt: ['seccomp=unconfined']");
    breaks(&Sandbox::new(), docker, &["user.seccomp"]);
}

#[test]
fn the_hosts_processes() {
    breaks(&Sandbox::new(), BreakingDocker::service("pid: host"), &["container.namespaces"]);
}

#[test]
fn one_more_mount() {
    let sandbox = Sandbox::new();
    let docker = mount(&sandbox.place.mkdir("more"), "/more", "read_only: true");
    breaks(&sandbox, docker, &["container.mounts"]);
}

#[test]
fn another_data_set_in_its_place() {
    let sandbox = Sandbox::new();
    let other = sandbox.place.path("other");
    proc::copy(&sandbox.dataset(), &other);
    let docker = mount(&other, "/datasets/ssv2", "read_only: true");
    breaks(&sandbox, docker, &["container.mounts", "dataset.ssv2.source"]);
}

#[test]
fn a_data_set_that_can_be_written() {
    let sandbox = Sandbox::new();
    let docker = mount(&sandbox.dataset(), "/datasets/ssv2", "read_only: false");
    breaks(&sandbox, docker, &["container.mounts", "dataset.ssv2.read-only"]);
}

#[test]
fn a_data_set_that_later_mounts_of_the_host_reach() {
    let sandbox = Sandbox::new();
    let _mounted = Mounted::shared(&sandbox.dataset());
    let options = "read_only: true, bind: {propagation: rslave}";
    let docker = mount(&sandbox.dataset(), "/datasets/ssv2", options);
    breaks(&sandbox, docker, &["dataset.ssv2.private"]);
}

#[test]
fn clips_that_cannot_be_read() {
    let sandbox = Sandbox::new();
    let script = format!("chmod 0 '{}'/*.webm", sandbox.dataset().display());
    breaks(&sandbox, BreakingDocker::after_up(&script), &["dataset.ssv2.readable"]);
}

#[test]
fn a_second_mount_of_the_data_set_for_writing() {
    let sandbox = Sandbox::new();
    let docker = mount(&sandbox.dataset(), "/alias", "read_only: false");
    breaks(&sandbox, docker, &["container.mounts", "dataset.ssv2.no-alias"]);
}

#[test]
fn a_clip_with_a_second_name_in_the_workspace() {
    let sandbox = Sandbox::new();
    std::fs::hard_link(sandbox.dataset().join("1.webm"), sandbox.workspace().join("1.webm")).expect("a hard link");
    let run = sandbox.enter(["--version"]).ended(1);
    is_refused(&sandbox, &run, &["dataset.ssv2.hard-links"]);
}

#[test]
fn a_clip_that_is_a_link_into_the_workspace() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.workspace().join("clip.webm"), "").expect("a file in the workspace");
    std::os::unix::fs::symlink("/workspace/clip.webm", sandbox.dataset().join("4.webm")).expect("a link");
    let run = sandbox.enter(["--version"]).ended(1);
    is_refused(&sandbox, &run, &["dataset.ssv2.symlinks"]);
}

#[test]
fn the_engines_socket() {
    let docker = mount(Path::new("/var/run/docker.sock"), "/var/run/docker.sock", "read_only: true");
    breaks(&Sandbox::new(), docker, &["container.mounts", "engine.no-socket"]);
}

#[test]
fn this_repository_for_writing() {
    let sandbox = Sandbox::new();
    let docker = mount(&sandbox.place.root().join("xtask"), "/xtask", "read_only: false");
    breaks(&sandbox, docker, &["container.mounts", "host.out-of-reach"]);
}

#[test]
fn the_hosts_own_git_directory() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.workspace();
    proc::output("git", ["init".as_ref(), "-q".as_ref(), workspace.as_os_str()]);
    let docker = mount(&workspace.join(".git"), "/workspace/.git", "read_only: false");
    breaks(&sandbox, docker, &["container.mounts", "git.airlock", "git.source", "host.out-of-reach"]);
}

#[test]
fn a_workspace_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    let docker = mount(&sandbox.workspace(), "/workspace", "read_only: true");
    breaks(&sandbox, docker, &["container.mounts", "workspace.writable"]);
}

#[test]
fn a_codex_home_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    let docker = mount(&sandbox.place.mkdir("empty"), "/home/codex/.codex", "read_only: true");
    breaks(&sandbox, docker, &["codex-home.source", "codex-home.writable", "container.mounts"]);
}

#[test]
fn another_codex() {
    let sandbox = Sandbox::new();
    let package = codex::stand_in_package(&sandbox.place, "0.0.1");
    let docker = mount(&package, "/opt/codex", "read_only: true");
    breaks(&sandbox, docker, &["codex-package.source", "codex.version", "container.mounts"]);
}

#[test]
fn a_smaller_shared_memory() {
    breaks(&Sandbox::new(), BreakingDocker::service("shm_size: 64m"), &["limits.shm"]);
}

#[test]
fn another_limit_of_processes() {
    breaks(&Sandbox::new(), BreakingDocker::service("pids_limit: 9999"), &["limits.pids"]);
}

/// Whatever the settings promise as a number: a container that the engine made with the default is refused, by one claim.
#[test]
fn another_number_than_any_setting_of_the_table_says() {
    let plan = Sandbox::new().task("sandbox").args(["--dry-run"]).run().ok().stdout;
    let told = plan.split("<<'END'\n").find(|text| text.contains("\nservices:")).expect("the override");
    let mut told: Value = serde_yaml::from_str(told.split("\nEND").next().expect("its text")).expect("YAML");
    let service = told["services"]["workspace"].as_object_mut().expect("a service");
    service.retain(|key, _| !["labels", "volumes", "environment"].contains(&key.as_str()));
    let told = serde_yaml::to_string(&json!({"services": {"workspace": service}})).expect("YAML");
    let no_number = |kind| matches!(kind, ShapeKind::OneOf(_) | ShapeKind::Gpus);
    let numbers = KEYS.iter().filter(|key| matches!(key.kind, ValueKind::Shape(kind) if !no_number(kind)));
    let mut seen = Vec::new();
    for name in numbers.map(|key| key.name) {
        let sandbox = Sandbox::new();
        let settings = sandbox.place.read("repo/sandbox.local.yaml");
        sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}{name}: 77\n"));
        BreakingDocker::compose(&told).install(&sandbox.place);
        let run = sandbox.enter(["--version"]).ended(1);
        BreakingDocker::assert_used(&sandbox.place);
        let ids = sandbox.proof().with("broken");
        let [id] = ids.as_slice() else { panic!("`{name}` breaks {ids:?}: {}", run.stderr) };
        is_refused(&sandbox, &run, &[id]);
        seen.push(id.clone());
    }
    assert!(seen.contains(&"limits.shm".to_owned()) && seen.contains(&"limits.pids".to_owned()), "{seen:?}");
}

#[test]
fn a_smaller_stack() {
    let docker = BreakingDocker::service("ulimits: {stack: 8388608}");
    breaks(&Sandbox::new(), docker, &["limits.ulimits"]);
}

#[test]
fn another_network() {
    breaks(&Sandbox::new(), BreakingDocker::service("network_mode: none"), &["network.mode"]);
}

#[test]
fn a_device_of_the_host() {
    let docker = BreakingDocker::service("devices: ['/dev/null:/dev/one-more']");
    breaks(&Sandbox::new(), docker, &["gpu.request"]);
}

/// A shell may be entered although a promise is broken: that is how a failed proof is investigated.
#[test]
fn a_shell_is_entered_after_saying_so() {
    let sandbox = Sandbox::new();
    BreakingDocker::service("cap_add: [NET_RAW]").install(&sandbox.place);
    let run = sandbox.task("sandbox").args(["--yes", "--shell"]).stdin("echo in the shell\nexit 5\n").run().ended(5);
    assert_eq!(run.stdout, "in the shell\n");
    assert!(run.stderr.contains("user.capabilities"), "{}", run.stderr);
    assert_eq!(sandbox.containers().len(), 1);
    engine::docker(["rm", "--force", &sandbox.containers()[0]]);
}
