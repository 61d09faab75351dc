//! For each promise a container in which it does not hold: it is seen, named, and nobody enters.
//!
//! The engine is asked for what the tool asks for, and a `docker` of the test's own adds what breaks it. The claims
//! that fall with it are named too: a break that is seen in more places, or in fewer, is a change worth a look.

use crate::support::breaking::{BreakingDocker, LYING_INIT};
use crate::support::codex;
use crate::support::engine::{self, Mounted};
use crate::support::place::User;
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

/// Enters, and the container is taken back before any agent runs in it: what is mounted at these targets is not what was
/// checked.
#[track_caller]
fn is_another(sandbox: &Sandbox, docker: BreakingDocker, target: &str) {
    docker.install(&sandbox.place);
    let run = sandbox.enter(["--version"]).ended(1);
    BreakingDocker::assert_used(&sandbox.place);
    assert_eq!(run.stdout, "", "Codex was entered");
    assert!(run.error().contains(&format!("`{target}` is not what was checked")), "{}", run.error());
    assert_eq!(sandbox.containers(), Vec::<String>::new(), "the container was left behind");
}

/// The image has no `mount`.
const PYTHON: &str = "/usr/bin/python3";

/// A program of Python that makes this call of the C library.
fn libc(call: &str) -> String {
    format!("import ctypes; assert ctypes.CDLL(None).{call} == 0")
}

/// Makes a call among the mounts of a running container, as root of the host.
fn in_its_mounts(sandbox: &Sandbox, call: &str) {
    let pid = engine::docker(["inspect", "--format", "{{.State.Pid}}", &sandbox.containers()[0]]);
    proc::output("nsenter", ["--target", pid.trim(), "--mount", PYTHON, "-c", &libc(call)]);
}

/// A service in which one mount has another source, or other options.
fn mount(source: &Path, target: &str, options: &str) -> BreakingDocker {
    let source = source.display();
    BreakingDocker::service(&format!("volumes:\n  - {{type: bind, source: '{source}', target: {target}, {options}}}"))
}

#[test]
fn an_init_that_the_agent_can_get_into() {
    // Where the agent is root, the kernel tells nobody inside but root's own processes that this is a lie.
    breaks(&Sandbox::of(User { uid: 1234, gid: 1234 }), BreakingDocker::service(LYING_INIT), &["init.apart"]);
}

#[test]
fn a_main_process_that_is_not_the_init() {
    let sandbox = Sandbox::new();
    BreakingDocker::service("command: [\"/usr/bin/true\"]").install(&sandbox.place);
    let run = sandbox.enter(["--version"]).ended(1);
    assert!(run.error().contains("did not come up"), "{}", run.error());
    assert_eq!(sandbox.containers(), Vec::<String>::new(), "the container was left behind");
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
    // Root with every capability may read the program that sets the filter of sessions, and so trace it.
    let ids = [
        "kernel.masked", "kernel.read-only", "user.capabilities", "user.no-setuid-files", "user.no-user-namespace",
        "user.seccomp",
    ];
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
    breaks(&Sandbox::new(), docker, &["user.no-user-namespace", "user.seccomp"]);
}

/// The kernel says `Seccomp: 2` of this one too: only what it does shows what it is worth.
#[test]
fn a_filter_that_lets_everything_through() {
    let sandbox = Sandbox::new();
    let rule = r#"{"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 4711, "op": "SCMP_CMP_EQ"}]}"#;
    let profile =
        sandbox.place.write("open.json", format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#));
    let docker = BreakingDocker::service(&format!("security_opt: ['seccomp={}']", profile.display()));
    breaks(&sandbox, docker, &["user.no-user-namespace", "user.seccomp"]);
}

#[test]
fn a_filter_that_lets_user_namespaces_through() {
    let sandbox = Sandbox::new();
    let rule = r#"{"names": ["keyctl", "add_key", "request_key", "setns", "mount", "umount2", "perf_event_open", "userfaultfd"], "action": "SCMP_ACT_ERRNO"}"#;
    let none = r#"{"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]}"#;
    let text = format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}, {none}]}}"#);
    let profile = sandbox.place.write("namespaces.json", text);
    let docker = BreakingDocker::service(&format!("security_opt: ['seccomp={}']", profile.display()));
    breaks(&sandbox, docker, &["user.no-user-namespace"]);
}

#[test]
fn a_container_that_is_exempt_from_apparmor() {
    let docker = BreakingDocker::service("security_opt: ['apparmor=unconfined']");
    breaks(&Sandbox::new(), docker, &["user.lsm"]);
}

/// The same call right after the start, before the proof.
fn with_its_mounts(call: &str) -> BreakingDocker {
    let pid = "pid=$(\"$real\" inspect --format '{{.State.Pid}}' \"$container\")";
    let python = libc(call);
    BreakingDocker::after_up(&format!("{pid}\n$as_root nsenter --target \"$pid\" --mount {PYTHON} -I -c '{python}'"))
}

#[test]
fn a_file_of_the_kernel_that_is_not_hidden() {
    breaks(&Sandbox::new(), with_its_mounts("umount2(b\"/proc/keys\", 0)"), &["kernel.masked"]);
}

#[test]
fn settings_of_the_kernel_that_can_be_written() {
    breaks(&Sandbox::new(), with_its_mounts("mount(None, b\"/proc/sys\", None, 0x1020, None)"), &["kernel.read-only"]);
}

#[test]
fn a_limit_of_memory_that_the_engine_does_not_know() {
    let script = "pid=$(\"$real\" inspect --format '{{.State.Pid}}' \"$container\")\n\
                  dir=$(sed -n 's|^[0-9]*:memory:|/sys/fs/cgroup/memory|p; s|^0::|/sys/fs/cgroup|p' /proc/$pid/cgroup | head -n 1)\n\
                  file=$dir/memory.max; [ -e $file ] || file=$dir/memory.limit_in_bytes\n\
                  echo 1073741824 | $as_root tee $file >/dev/null";
    breaks(&Sandbox::new(), BreakingDocker::after_up(script), &["limits.memory"]);
}

#[test]
fn a_log_without_a_limit() {
    let docker = BreakingDocker::service("logging: !override {driver: json-file}");
    breaks(&Sandbox::new(), docker, &["limits.log"]);
}

/// A sandbox without a network gets a cable to the host.
#[test]
fn a_way_to_the_host_where_there_is_no_network() {
    let sandbox = Sandbox::new();
    let script = "pid=$(\"$real\" inspect --format '{{.State.Pid}}' \"$container\")\n\
                  $as_root ip link add csx$pid type veth peer name cable netns $pid\n\
                  $as_root ip address add 192.0.2.1/30 dev csx$pid; $as_root ip link set csx$pid up\n\
                  $as_root nsenter --target $pid --net ip address add 192.0.2.2/30 dev cable\n\
                  $as_root nsenter --target $pid --net ip link set cable up";
    BreakingDocker::after_up(script).install(&sandbox.place);
    let run = sandbox.task("sandbox").args(["--yes", "--network", "none", "--", "--version"]).run().ended(1);
    BreakingDocker::assert_used(&sandbox.place);
    is_refused(&sandbox, &run, &["network.mode", "network.unreachable"]);
}

#[test]
fn a_sandbox_without_a_network_reaches_nothing() {
    let sandbox = Sandbox::new();
    sandbox.task("sandbox").args(["--yes", "--network", "none", "--", "--version"]).run().ok();
    assert_eq!(sandbox.proof().with("broken"), Vec::<String>::new());
    assert!(sandbox.proof().with("held").contains(&"network.unreachable".to_owned()));
}

#[test]
fn the_hosts_processes() {
    // The first process that is seen inside is then the host's.
    breaks(&Sandbox::new(), BreakingDocker::service("pid: host"), &["container.namespaces", "init.apart"]);
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
    is_another(&sandbox, docker, "/datasets/ssv2");
}

/// What the host has at the path is another directory now; the container has the one that was checked.
#[test]
fn a_data_set_that_was_replaced_on_the_host_since_the_start() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let first = sandbox.place.path("first");
    std::fs::rename(sandbox.dataset(), &first).expect("renamed");
    proc::copy(&first, &sandbox.dataset());
    let run = sandbox.enter(["--version"]).ended(1);
    assert_eq!(run.stdout, "", "Codex was entered");
    assert_eq!(sandbox.proof().with("broken"), ["dataset.ssv2.source"], "{}", run.stderr);
    assert!(run.stderr.contains("was replaced on the host since the start"), "{}", run.stderr);
}

/// Another directory is mounted over each mount while the container runs: nothing of the record is believed.
#[test]
fn other_directories_over_the_mounts_of_a_running_container() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    for (target, id) in [
        ("/opt/codex", "codex-package.source"),
        ("/datasets/ssv2", "dataset.ssv2.source"),
        ("/home/codex/.codex", "codex-home.source"),
    ] {
        // MS_BIND
        in_its_mounts(&sandbox, &format!("mount(b'/etc', b'{target}', None, 4096, None)"));
        let run = sandbox.enter(["--version"]).ended(1);
        assert_eq!(run.stdout, "", "Codex was entered");
        assert!(sandbox.proof().with("broken").contains(&id.to_owned()), "{id}: {}", run.stderr);
    }
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
    is_another(&sandbox, docker, "/workspace/.git");
}

/// The same while it runs: the claims that fall with it.
#[test]
fn the_hosts_own_git_directory_in_a_running_container() {
    let sandbox = Sandbox::new();
    proc::output("git", ["init".as_ref(), "-q".as_ref(), sandbox.workspace().as_os_str()]);
    sandbox.enter(["--version"]).ok();
    in_its_mounts(&sandbox, "umount(b'/workspace/.git')");
    let run = sandbox.enter(["--version"]).ended(1);
    assert_eq!(run.stdout, "", "Codex was entered");
    let broken = sandbox.proof().with("broken");
    for id in ["container.mounts", "git.airlock", "git.source", "host.out-of-reach"] {
        assert!(broken.contains(&id.to_owned()), "{id}: {broken:?}");
    }
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
    is_another(&sandbox, docker, "/home/codex/.codex");

    let sandbox = Sandbox::new();
    // MS_REMOUNT, MS_BIND and MS_RDONLY.
    let call = "mount(None, b'/home/codex/.codex', None, 32 | 4096 | 1, None)";
    let script = format!(
        "pid=$(\"$real\" inspect --format '{{{{.State.Pid}}}}' \"$container\")\n\
         $as_root nsenter --target \"$pid\" --mount {PYTHON} -c \"{}\"",
        libc(call)
    );
    breaks(&sandbox, BreakingDocker::after_up(&script), &["codex-home.writable"]);
}

#[test]
fn another_codex() {
    let sandbox = Sandbox::new();
    let package = codex::stand_in_package(&sandbox.place, "0.0.1");
    let docker = mount(&package, "/opt/codex", "read_only: true");
    is_another(&sandbox, docker, "/opt/codex");
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
    // Said here, because what it is by itself follows from the memory.
    let shm = |sandbox: &Sandbox| {
        let settings = sandbox.place.read("repo/sandbox.local.yaml");
        sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}shm_size: 32mb\n"));
    };
    let planned = Sandbox::new();
    shm(&planned);
    let plan = planned.task("sandbox").args(["--dry-run"]).run().ok().stdout;
    let told = plan.split("<<'END'\n").find(|text| text.contains("\nservices:")).expect("the override");
    let mut told: Value = serde_yaml::from_str(told.split("\nEND").next().expect("its text")).expect("YAML");
    let service = told["services"]["workspace"].as_object_mut().expect("a service");
    // Compose joins these with the tool's own, and refuses what stands in a list twice.
    service.retain(|key, _| !["labels", "volumes", "environment", "group_add"].contains(&key.as_str()));
    let told = serde_yaml::to_string(&json!({"services": {"workspace": service}})).expect("YAML");
    let no_number = |kind| matches!(kind, ShapeKind::OneOf(_) | ShapeKind::Gpus);
    let numbers = KEYS.iter().filter(|key| matches!(key.kind, ValueKind::Shape(kind) if !no_number(kind)));
    let mut seen = Vec::new();
    for key in numbers {
        let name = key.name;
        let sandbox = Sandbox::new();
        if name != "shm_size" {
            shm(&sandbox);
        }
        let is_size = matches!(key.kind, ValueKind::Shape(ShapeKind::Size | ShapeKind::SizeOr(_)));
        let settings = sandbox.place.read("repo/sandbox.local.yaml");
        let unit = if is_size { "mb" } else { "" };
        sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}{name}: 77{unit}\n"));
        BreakingDocker::compose(&told).install(&sandbox.place);
        let run = sandbox.enter(["--version"]).ended(1);
        BreakingDocker::assert_used(&sandbox.place);
        let ids = sandbox.proof().with("broken");
        let [id] = ids.as_slice() else { panic!("`{name}` breaks {ids:?}: {}", run.stderr) };
        is_refused(&sandbox, &run, &[id]);
        seen.push(id.clone());
    }
    for id in ["limits.shm", "limits.memory", "limits.cpu-weight", "limits.pids", "limits.log"] {
        assert!(seen.contains(&id.to_owned()), "{id}: {seen:?}");
    }
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
