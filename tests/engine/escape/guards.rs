//! Each guard is taken away once: the attempts that it stops are then seen to come through. So the suite would fail.
//!
//! The container is started by the real command, which says what does not hold; only the attempts that are named are
//! made, and none of them harms this machine.

use super::host::{Host, Watched};
use super::made::Through;
use super::table::THEMES;
use super::{made, prepared};
use crate::support::breaking::{BreakingDocker, LYING_INIT};
use crate::support::place::User;
use crate::support::sandbox::Sandbox;
use std::collections::BTreeSet;

/// What is taken away, as the engine is told, and the attempts that must be seen to come through.
#[track_caller]
fn come_through(user: User, service: impl FnOnce(&Sandbox) -> String, ids: &[&str]) {
    let sandbox = Sandbox::of(user);
    let host = prepared(&sandbox);
    BreakingDocker::service(&service(&sandbox)).install(&sandbox.place);
    sandbox.task("sandbox").args(["--yes", "--shell"]).run().ok();
    BreakingDocker::assert_used(&sandbox.place);
    are_seen(&sandbox, host, Through::TheLauncher, ids);
}

/// Makes these attempts, each of which must be seen to come through.
#[track_caller]
fn are_seen(sandbox: &Sandbox, mut host: Host, how: Through, ids: &[&str]) {
    let container = sandbox.containers().remove(0);
    let watched = Watched::of(sandbox, &host, &container);
    let mut through = BTreeSet::new();
    for theme in &THEMES {
        let known = theme.ids();
        let asked: Vec<&str> = ids.iter().copied().filter(|id| known.contains(id)).collect();
        if !asked.is_empty() {
            let made = made::make(theme, &asked, &container, how, &mut host, &watched);
            through.extend(made.into_iter().filter(|made| !made.against.is_empty()).map(|made| made.id));
        }
    }
    let held: Vec<&&str> = ids.iter().filter(|id| !through.contains(**id)).collect();
    assert!(held.is_empty(), "without their guard these attempts were stopped all the same: {held:?}");
}

const ROOT: User = User { uid: 0, gid: 0 };
const ORDINARY: User = User { uid: 1234, gid: 1234 };

#[test]
fn without_read_only_mounts() {
    let service = |sandbox: &Sandbox| {
        let mount =
            |source: String, target: &str| format!("\n  - {{type: bind, source: '{source}', target: {target}}}");
        let dataset = mount(sandbox.dataset().display().to_string(), "/datasets/ssv2");
        // The very package that was checked: another one would be taken back before anything is tried.
        let codex = mount("${CODEX_PACKAGE}".to_owned(), "/opt/codex");
        format!("volumes:{dataset}{codex}")
    };
    let ids = [
        "dataset.open.wronly",
        "dataset.open.create",
        "dataset.write.truncate",
        "dataset.names.rename",
        "dataset.attributes.chmod",
        "dataset.attributes.utime",
        "dataset.attributes.xattr",
        "guard.codex.add-helper",
    ];
    come_through(ORDINARY, service, &ids);
}

#[test]
fn without_a_boundary_to_the_hosts_files() {
    let service = |sandbox: &Sandbox| {
        let home = sandbox.place.path("home");
        format!("volumes:\n  - '/var/run/docker.sock:/var/run/docker.sock'\n  - '{}:/mnt/home:ro'", home.display())
    };
    come_through(ROOT, service, &["reach.socket.engine", "reach.socket.any", "secret.files"]);
}

#[test]
fn without_the_filter_of_system_calls() {
    let ids = ["namespace.unshare-user", "kernel.io-uring.setup", "kernel.keys.session", "kernel.personality"];
    come_through(ORDINARY, |_| "security_opt: !override ['seccomp=unconfined', 'no-new-privileges:true']".into(), &ids);
}

#[test]
fn without_dropped_capabilities() {
    let ids = [
        "reach.raw.ip",
        "reach.raw.packet",
        "dataset.device.block",
        "kernel.log.read",
        "reach.option.mark",
        "reach.netlink.new-link",
        "kernel.swap-on",
        "kernel.accounting",
        "mount.bind-data-elsewhere",
        "namespace.unshare-mount",
        "kernel.file.core-pattern",
        "kernel.clock.settimeofday",
        "kernel.modules.init",
        "kernel.kexec",
        "kernel.reboot",
        "dataset.handle.by-number",
    ];
    come_through(ROOT, |_| "privileged: true".into(), &ids);
}

#[test]
fn without_namespaces_of_its_own() {
    let ids = [
        "reach.loopback.tcp",
        "reach.socket.abstract",
        "reach.socket.abstract-listed",
        "reach.memory.segment",
        "reach.process.limits",
        "reach.process.listed",
    ];
    come_through(ROOT, |_| "network_mode: host\npid: host\nipc: host".into(), &ids);
}

#[test]
fn without_an_init_that_is_out_of_reach() {
    let ids = [
        "init.link.fd", "init.link.root", "init.read.mem", "init.write.memory", "init.memory.write", "init.trace.seize",
    ];
    come_through(ORDINARY, |_| LYING_INIT.to_owned(), &ids);
}

#[test]
fn without_limits() {
    let service = |_: &Sandbox| "pids_limit: 4096\nshm_size: 1gb".into();
    come_through(ROOT, service, &["limit.processes", "limit.threads", "limit.shared-memory"]);
}

/// The container is as it should be, and a program is started in it by the engine alone.
#[test]
fn without_the_filter_of_a_session() {
    let sandbox = Sandbox::of(ROOT);
    let settings = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", settings + "ptrace: deny\n");
    let host = prepared(&sandbox);
    sandbox.enter(["--version"]).ok();
    let ids = [
        "filter.setuid.chmod", "filter.setuid.fchmod", "filter.setuid.openat", "filter.setuid.openat2",
        "filter.setuid.tmpfile", "filter.setuid.mknod", "filter.setuid.chmod-32", "filter.trace.seize",
        "filter.trace.read", "filter.trace.seize-32",
    ];
    are_seen(&sandbox, host, Through::TheEngineAlone, &ids);
}
