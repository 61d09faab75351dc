//! A good sandbox as both witnesses see it, to be changed one fact at a time.

use super::ask::Alone;
use super::codex_file::CodexFile;
use super::host_kernel::HostKernel;
use super::init::{self, InitNow};
use super::limits;
use super::probe::{InsideWitness, ProcessFacts, answer};
use super::witness::{HostWitness, SourceFacts, WorkspaceFile};
use crate::beneath::FileId;
use crate::engine::asked::{self, HostConfig};
use crate::engine::inspect::{Container, Mounted};
use crate::finding::Verdict;
use crate::mountinfo::{MountLine, MountTable};
use crate::spec::settings::{Shape, usual};
use crate::spec::words::Gpus;
use crate::spec::{Mount, Role, Schema, Spec};

/// One fact that is changed.
pub(crate) type Case = Box<dyn Fn(&mut Spec, &mut InsideWitness, &mut HostWitness)>;

/// Everything as promised.
pub(crate) fn good() -> (Spec, InsideWitness, HostWitness) {
    let spec = spec();
    let mut inside = InsideWitness::parse(&format!("{}\n", answer()), "n0").unwrap();
    limits::in_force(&spec.shape, &mut inside);
    let status = inside.init.status.clone().unwrap();
    let host = host(&spec, ProcessFacts { status, ..inside.process.clone() });
    (spec, inside, host)
}

pub(crate) fn spec() -> Spec {
    let mount = |role, source: &str, target: &str, read_only| Mount {
        role,
        source: source.into(),
        target: target.into(),
        read_only,
    };
    Spec {
        schema: Schema,
        uid: 1000,
        gid: 1000,
        groups: Vec::new(),
        mounts: vec![
            mount(Role::Workspace, "/ws", "/workspace", false),
            mount(Role::Dataset("ssv2".into()), "/data", "/datasets/ssv2", true),
            mount(Role::CodexHome, "/state/home", "/home/codex/.codex", false),
            mount(Role::Git, "/state/git", "/workspace/.git", false),
            mount(Role::CodexPackage, "/state/codex", "/opt/codex", true),
            mount(
                Role::Cache(crate::spec::words::Cache::Pip),
                "/docker/volumes/codex-sandbox-cache-pip-open-u1000/_data",
                "/home/codex/.cache/pip",
                false,
            ),
        ],
        out_of_reach: vec!["/repo".into(), "/state".into()],
        shape: Shape { gpus: Gpus::None, shm_size: 1 << 30, pids_limit: 4096, ..usual() },
        gpu_route: None,
        codex_version: "0.169.0".into(),
        image: "codex-sandbox:1".into(),
        image_id: Some("sha256:5efe90eb48eb083aa56488771108859d18b64a81cd2e31580ee55a9f18f27454".into()),
        image_inputs: "0123456789ab".into(),
        codex_bin: "/usr/lib/codex".into(),
        ca_bundle: false,
        env: Vec::new(),
        handed: Vec::new(),
        compose_file: "ba9876543210".into(),
        dev_container: false,
    }
}

/// Target, source and inode of each mount.
const BOUND: [(&str, &str, u64); 6] = [
    ("/workspace", "/ws", 1),
    ("/datasets/ssv2", "/data", 2),
    ("/home/codex/.codex", "/state/home", 3),
    ("/workspace/.git", "/state/git", 4),
    ("/opt/codex", "/state/codex", 5),
    ("/home/codex/.cache/pip", "/docker/volumes/codex-sandbox-cache-pip-open-u1000/_data", 7),
];

fn host(spec: &Spec, process: ProcessFacts) -> HostWitness {
    let own = MountTable::parse("27 1 254:0 / / rw - ext4 /dev/vda rw\n").unwrap();
    let source = |path: &str, ino: u64| SourceFacts {
        id: Ok(FileId { dev: 1, ino }),
        place: own.place_of(path),
        filled: true,
        second_name: None,
    };
    let mut own_namespaces = process.namespaces.clone();
    for (kind, name) in &mut own_namespaces {
        *name = format!("{kind}:[1]");
    }
    HostWitness {
        container: Container::parse(&asked::answer(&spec.shape).to_string()).unwrap(),
        process: Ok(process),
        alone: Alone::Seen,
        group: 2_147_483_000,
        init: Some(InitNow { name: init::APART.to_owned(), readable: false }),
        sources: BOUND.map(|(target, path, ino)| (target.to_owned(), source(path, ino))).into(),
        mounted: BOUND.map(|(target, _, ino)| (target.to_owned(), Ok(FileId { dev: 1, ino }))).into(),
        recorded: BOUND.map(|(target, _, ino)| (target.to_owned(), FileId { dev: 1, ino })).into(),
        out_of_reach: ["/repo", "/state"].map(|dir| (dir.into(), own.place_of(dir))).into(),
        codex: Some(CodexFile { id: FileId { dev: 1, ino: 6 }, size: 300, changed: (1, 0) }),
        codex_at_start: None,
        real_git: Some((FileId { dev: 1, ino: 66 }, own.place_of("/ws/.git"))),
        kernel: HostKernel { cgroup: limits::cgroup_in_force(&spec.shape), ..HostKernel::default() },
        own_mounts: own,
        own_namespaces,
        workspace_file: Some(Ok(WorkspaceFile {
            uid: 1000,
            gid: 1000,
            text: "n0".into(),
            inherited: None,
            removed: true,
        })),
    }
}

/// The ids of the claims that are broken.
pub(crate) fn broken_ids(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<String> {
    super::judge(spec, inside, host)
        .into_iter()
        .filter(|claim| claim.verdict == Verdict::Broken)
        .map(|claim| claim.id)
        .collect()
}

/// Each case, alone, must break the claim.
#[track_caller]
pub(crate) fn breaks(id: &str, cases: Vec<Case>) {
    for (number, case) in cases.iter().enumerate() {
        let (mut spec, mut inside, mut host) = good();
        case(&mut spec, &mut inside, &mut host);
        let broken = broken_ids(&spec, &inside, &host);
        assert!(broken.iter().any(|broken| broken == id), "case {number} of `{id}` breaks only {broken:?}");
    }
}

fn on(who: &'static str, change: impl Fn(&mut MountTable) + 'static) -> Case {
    Box::new(move |_, inside, host| {
        if who != "host" {
            change(&mut inside.process.mounts);
        }
        if who != "inside" {
            change(&mut host.process.as_mut().unwrap().mounts);
        }
    })
}

/// A mount that one witness sees (`inside`, `host`), or `both`.
pub(crate) fn add_line(line: &'static str, who: &'static str) -> Case {
    on(who, move |table| table.lines.extend(MountTable::parse(line).unwrap().lines))
}

/// A change to the lines of one table or both.
pub(crate) fn on_tables(who: &'static str, which: fn(&MountLine) -> bool, change: fn(&mut MountLine)) -> Case {
    on(who, move |table| table.lines.iter_mut().filter(|line| which(line)).for_each(change))
}

/// A line of the probe's own `/proc/self/status` with another value.
pub(crate) fn status(name: &'static str, value: &'static str) -> Case {
    Box::new(move |_, inside, _| inside.process.status = with(&inside.process.status, name, value))
}

/// The same of the main process, as the host sees it.
pub(crate) fn proc(name: &'static str, value: &'static str) -> Case {
    Box::new(move |_, _, host| {
        let process = host.process.as_mut().unwrap();
        process.status = with(&process.status, name, value);
    })
}

/// A change to what the engine says that it was asked for.
pub(crate) fn asked(change: fn(&mut HostConfig)) -> Case {
    Box::new(move |_, _, host| change(&mut host.container.host_config))
}

/// A change to what the engine says of the mount at this target.
pub(crate) fn mounted(target: &'static str, change: fn(&mut Mounted)) -> Case {
    Box::new(move |_, _, host| {
        let mut mounts = host.container.mounts.iter_mut().flatten();
        change(mounts.find(|seen| seen.target == target).unwrap());
    })
}

pub(crate) fn with(status: &str, name: &str, value: &str) -> String {
    let line = |line: &str| match line.split_once(':') {
        Some((field, _)) if field == name => format!("{name}:\t{value}\n"),
        _ => format!("{line}\n"),
    };
    status.lines().map(line).collect()
}
