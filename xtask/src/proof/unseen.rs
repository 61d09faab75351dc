//! What is not seen is never held: every judge, on what a fuzzer makes of the good answers of both witnesses.

use super::ask::Alone;
use super::cgroup_limits::CgroupLimits;
use super::fixture::{good, spec};
use super::probe::{InsideWitness, ProcessFacts, answer};
use super::witness::HostWitness;
use super::{finding, judge};
use crate::engine::asked;
use crate::engine::inspect::Container;
use crate::finding::{Finding, Verdict};
use crate::spec::Spec;
use crate::spec::settings::Ptrace;
use crate::spec::words::{GpuRoute, Gpus, Network};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// One thing that a witness does not see, and a claim that depends on it in every sandbox.
pub(crate) struct Blindness {
    what: &'static str,
    claim: &'static str,
    shut: fn(&mut InsideWitness, &mut HostWitness),
}

const fn blind(what: &'static str, claim: &'static str, shut: fn(&mut InsideWitness, &mut HostWitness)) -> Blindness {
    Blindness { what, claim, shut }
}

const DATA: &str = "/datasets/ssv2";

/// What of the answers may be missing without an error of the parser.
const BLINDNESSES: &[Blindness] = &[
    blind("the host's process", "user.capabilities", |_, host| host.process = Err("elsewhere".into())),
    blind("the init, by the host", "init.apart", |_, host| host.init = None),
    blind("the memory of the init", "init.apart", |inside, _| inside.init.owner = Err("EACCES".into())),
    blind("the status of the init", "user.identity", |inside, _| inside.init.status = None),
    blind("the status of the probe", "user.seccomp", |inside, _| inside.process.status.clear()),
    blind("the limits of the probe", "limits.ulimits", |inside, _| inside.process.limits.clear()),
    blind("the namespaces of the probe", "container.namespaces", |inside, _| inside.process.namespaces.clear()),
    blind("the namespaces of the host", "container.namespaces", |_, host| host.own_namespaces.clear()),
    blind("the mounts of the probe", "container.mounts", |inside, _| inside.process.mounts.lines.clear()),
    blind("whether its memory can be read", "witness.apart", |inside, _| inside.dumpable = None),
    blind("its group", "witness.apart", |_, host| host.alone = Alone::Unseen("elsewhere".into())),
    blind("the name of the user", "user.identity", |inside, _| inside.passwd = None),
    blind("the home", "user.identity", |inside, _| inside.home.stat = Err("EACCES".into())),
    blind("the mounts, tried", "workspace.source", |inside, _| inside.targets.clear()),
    blind("what lies at a mount", "dataset.ssv2.source", |inside, _| {
        inside.targets.iter_mut().filter(|mount| mount.path == DATA).for_each(|mount| mount.stat = Err("EIO".into()));
    }),
    blind("the flags of a mount", "dataset.ssv2.read-only", |inside, _| {
        inside.targets.iter_mut().filter(|mount| mount.path == DATA).for_each(|mount| mount.st_rdonly = None);
    }),
    blind("the attempts to write", "dataset.ssv2.read-only", |inside, _| {
        let data = inside.targets.iter_mut().filter(|mount| mount.path == DATA);
        data.for_each(|mount| (mount.create, mount.touch) = (None, None));
    }),
    blind("the sample", "dataset.ssv2.readable", |inside, _| {
        inside.targets.iter_mut().filter(|mount| mount.path == DATA).for_each(|mount| mount.sample = None);
    }),
    blind("the new file, inside", "workspace.writable", |inside, _| inside.workspace = None),
    blind("the new file, by the host", "workspace.writable", |_, host| host.workspace_file = None),
    blind("the size of /dev/shm", "limits.shm", |inside, _| inside.shm = None),
    blind("the cgroup, inside", "limits.pids", |inside, _| inside.cgroup = CgroupLimits::default()),
    blind("the cgroup, by the host", "limits.pids", |_, host| host.kernel.cgroup = CgroupLimits::default()),
    blind("the refused calls", "user.seccomp", |inside, _| inside.refusals = None),
    blind("the masked files", "kernel.masked", |inside, _| inside.masked.clear()),
    blind("the kernel's files", "kernel.read-only", |inside, _| inside.kernel.clear()),
    blind("Codex, inside", "codex.version", |inside, _| inside.codex = None),
    blind("Codex, by the host", "codex.version", |_, host| host.codex = None),
    blind("whether an interface is up", "network.mode", |inside, _| {
        inside.interfaces.values_mut().for_each(|up| *up = None);
    }),
    blind("the sources", "dataset.ssv2.source", |_, host| host.sources.clear()),
    blind("what is mounted, by the host", "dataset.ssv2.source", |_, host| host.mounted.clear()),
    blind("what was checked", "dataset.ssv2.source", |_, host| host.recorded.clear()),
    blind("the engine's host name", "container.identity", |_, host| host.container.config.hostname = None),
    blind("the engine's mounts", "container.mounts", |_, host| host.container.mounts = None),
    blind("the engine's AppArmor", "user.lsm", |_, host| host.container.apparmor = None),
    blind("the engine's SELinux", "user.lsm", |_, host| host.container.selinux = None),
    blind("added capabilities", "user.capabilities", |_, host| host.container.host_config.cap_add = None),
    blind("privileges", "user.capabilities", |_, host| host.container.host_config.privileged = None),
    blind("security options", "user.seccomp", |_, host| host.container.host_config.security_opt = None),
    blind("the mode of processes", "container.namespaces", |_, host| host.container.host_config.pid_mode = None),
    blind("the mode of the network", "network.mode", |_, host| host.container.host_config.network_mode = None),
    blind("the asked size of /dev/shm", "limits.shm", |_, host| host.container.host_config.shm_size = None),
    blind("the asked limit on processes", "limits.pids", |_, host| host.container.host_config.pids_limit = None),
    blind("the asked limit on memory", "limits.memory", |_, host| host.container.host_config.memory = None),
    blind("the asked weight", "limits.cpu-weight", |_, host| host.container.host_config.cpu_shares = None),
    blind("the log", "limits.log", |_, host| host.container.host_config.log_config = None),
    blind("the asked limits", "limits.ulimits", |_, host| host.container.host_config.ulimits = None),
    blind("single devices", "gpu.request", |_, host| host.container.host_config.devices = None),
    blind("requests for devices", "gpu.request", |_, host| host.container.host_config.device_requests = None),
];

/// A sandbox and the good answers about it, which are made once: the fuzzer asks for them a million times.
struct Sandbox {
    spec: Spec,
    inside: InsideWitness,
    host: HostWitness,
    /// As JSON, in the order of [`WHOSE`].
    answers: [Value; 4],
    /// Of its claims.
    ids: Vec<String>,
}

/// By what word the answers are told apart: the probe's, the engine's, what the host sees of the init and of its cgroup.
const WHOSE: [&str; 4] = ["inside", "engine", "process", "cgroup"];

/// Those that have claims of their own.
static SANDBOXES: LazyLock<[Sandbox; 4]> = LazyLock::new(|| {
    let (plain, mut apart, mut with_gpus, mut of_root) = (spec(), spec(), spec(), spec());
    apart.shape.network = Network::None;
    (with_gpus.shape.gpus, with_gpus.gpu_route) = (Gpus::All, Some(GpuRoute::Nvidia));
    (of_root.uid, of_root.shape.ptrace) = (0, Ptrace::Deny);
    [plain, apart, with_gpus, of_root].map(Sandbox::new)
});

impl Sandbox {
    fn new(spec: Spec) -> Sandbox {
        let (_, mut inside, mut host) = good();
        super::limits::in_force(&spec.shape, &mut inside);
        let cgroup = |limits: &CgroupLimits| {
            json!({"pids": limits.pids, "memory": limits.memory, "swap": limits.swap, "memory_and_swap": limits.memory_and_swap,
                   "cpu_shares": limits.cpu_shares, "cpu_weight": limits.cpu_weight})
        };
        let mut probe = answer();
        (probe["cgroup"], probe["shm"]) = (cgroup(&inside.cgroup), json!(inside.shm));
        let engine = asked::answer(&spec.shape);
        host.container = container(&engine).unwrap_or_default();
        let mut process = probe.clone();
        process["status"] = probe["init"]["status"].clone();
        let ids = judge(&spec, &inside, &host).into_iter().map(|claim| claim.id).collect();
        let limits = cgroup(&host.kernel.cgroup);
        Sandbox { spec, inside, host, answers: [probe, engine, process, limits], ids }
    }

    /// Changes the good answers, a line each: whose it is, where in its JSON, and what is there then; nothing is `null`.
    /// What is no line of that kind is left out.
    fn changed(&self, text: &str) -> Option<(InsideWitness, HostWitness)> {
        let mut now = [const { None }; 4];
        for line in text.lines().take(32) {
            let mut words = line.splitn(3, ' ');
            let (Some(whose), Some(place)) = (words.next(), words.next()) else { continue };
            let Some(number) = WHOSE.iter().position(|word| *word == whose) else { continue };
            let answer = now[number].get_or_insert_with(|| self.answers[number].clone());
            let value = words.next().map_or(Value::Null, |text| {
                serde_json::from_str(text).unwrap_or_else(|_| json!(text.replace("\\n", "\n").replace("\\t", "\t")))
            });
            if let Some(there) = answer.pointer_mut(place) {
                *there = value;
            }
        }
        let [probe, engine, process, limits] = now;
        let (mut inside, mut host) = (self.inside.clone(), self.host.clone());
        if let Some(probe) = probe {
            inside = InsideWitness::parse(&format!("{probe}\n"), "n0").ok()?;
        }
        if let Some(engine) = engine {
            host.container = container(&engine)?;
        }
        if let Some(process) = process {
            host.process = serde_json::from_value::<ProcessFacts>(process).map_err(|err| err.to_string());
        }
        if let Some(limits) = limits {
            host.kernel.cgroup = serde_json::from_value(limits).ok()?;
        }
        Some((inside, host))
    }

    /// What the judges say where something is not seen.
    fn without(&self, unseen: &Blindness, text: &str) -> Option<Vec<Finding>> {
        let (mut inside, mut host) = self.changed(text)?;
        (unseen.shut)(&mut inside, &mut host);
        Some(judge(&self.spec, &inside, &host))
    }
}

fn container(engine: &Value) -> Option<Container> {
    Container::parse(&engine.to_string()).ok()
}

/// For the fuzzer. Whatever the witnesses answer, each claim of the sandbox is there; and where something is not seen, the
/// claim that depends on it is not held, and so no such proof holds. Which sandbox it is, and what is not seen, is told by
/// the length of the input.
pub(crate) fn fuzz(text: &str) {
    let (number, count) = (text.len(), BLINDNESSES.len());
    let (sandbox, unseen) = (&SANDBOXES[number / count % 4], &BLINDNESSES[number % count]);
    let Some(claims) = sandbox.without(unseen, text) else { return };
    let Blindness { what, claim, .. } = unseen;
    assert!(
        claims.iter().map(|claim| &claim.id).eq(&sandbox.ids),
        "{what}: which claims there are depends on the sandbox alone"
    );
    let verdict = claims.iter().find(|one| one.id == *claim).map(|one| one.verdict);
    assert!(verdict.is_some_and(|verdict| verdict != Verdict::Held), "`{claim}` is held without {what}");
    assert!(!finding::all_held(&claims), "a proof holds without {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_seen_its_claim_is_not_held() {
        let mut held = Vec::new();
        for unseen in BLINDNESSES {
            for sandbox in SANDBOXES.iter() {
                let claims = sandbox.without(unseen, "").unwrap();
                let claim = claims.iter().find(|claim| claim.id == unseen.claim).expect(unseen.claim);
                if claim.verdict == Verdict::Held {
                    held.push(format!("`{}` without {}", claim.id, unseen.what));
                }
            }
        }
        assert_eq!(held, Vec::<String>::new());
    }

    #[test]
    fn what_is_made_of_the_good_answers_without_a_change_is_good() {
        let [sandbox, ..] = &*SANDBOXES;
        let judged = |text: &str| {
            let (inside, host) = sandbox.changed(text).unwrap();
            judge(&sandbox.spec, &inside, &host)
        };
        assert!(finding::all_held(&judged("")));
        for (text, broken) in [
            ("engine /0/HostConfig/Privileged true\nodd", "user.capabilities"),
            ("inside /sockets [\"/run/docker.sock\"]", "engine.no-socket"),
            ("cgroup /pids max", "limits.pids"),
            ("process /limits", "user.capabilities"),
        ] {
            let claims = judged(text);
            assert!(finding::not_held(&claims).iter().any(|claim| claim.id == broken), "{text}");
        }
    }
}
