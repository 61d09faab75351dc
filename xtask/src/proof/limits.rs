//! Claims about limits and the network.

#[cfg(any(test, fuzzing))]
use super::cgroup_limits::CgroupLimits;
use super::claim::{Draft, RECREATE, Side, some};
use super::probe::InsideWitness;
use super::witness::HostWitness;
use super::{cgroup_limits, unreachable};
use crate::engine::asked::{LOG_DRIVER, cpu_shares, log_options};
use crate::engine::errors;
use crate::finding::Finding;
use crate::spec::Spec;
use crate::spec::settings::{Memlock, Shape};
use crate::spec::words::{Gpus, Network};

/// The stack that NVIDIA asks for, in bytes; `docker-compose.yaml` has the same.
const STACK: &str = "67108864";

pub(super) fn judge(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    // Each field is named: a new one does not compile until it has a claim. `devices.rs` has that of the GPUs, `mounts.rs`
    // that of the Codex home, `denied.rs` that of tracing.
    let Shape {
        gpus: _,
        codex_home: _,
        network: _,
        shm_size: _,
        memory: _,
        cpu_weight: _,
        pids_limit: _,
        log_size: _,
        log_files: _,
        memlock: _,
        ptrace: _,
        cache_sharing: _,
    } = &spec.shape;
    let mut claims = vec![
        shm(spec, inside, host),
        pids(spec, inside, host),
        memory(spec, inside, host),
        cpu(spec, inside, host),
        log(spec, host),
        ulimits(spec, inside, host),
        network(spec, inside, host),
    ];
    match spec.shape.network {
        Network::None => claims.push(unreachable::judge(inside, host)),
        Network::Open => {}
    }
    claims
}

fn shm(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let bytes = spec.shape.shm_size;
    let mut draft = Draft::new("limits.shm", "/dev/shm is as large as the settings say");
    let (mine, told) = (inside.shm, host.container.host_config.shm_size);
    let text = |size: Option<u64>| size.map_or("an unknown number of".into(), |size| size.to_string());
    draft.inside(format!("{} bytes", text(mine)));
    draft.host(format!("{} bytes according to the engine", text(told)));
    draft.check(mine == Some(bytes), || format!("inside it holds {} bytes", text(mine)));
    draft.check(told == Some(bytes), || format!("the engine was asked for {} bytes", text(told)));
    draft.done()
}

fn pids(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let limit = spec.shape.pids_limit;
    let mut draft = Draft::new("limits.pids", format!("at most {limit} processes run inside"));
    let told = host.container.host_config.pids_limit;
    let text = told.map_or("no limit".into(), |told| told.to_string());
    draft.host(format!("{text} according to the engine"));
    draft.check(told.is_some_and(|told| u64::try_from(told) == Ok(limit)), || {
        format!("the engine was asked for {text}")
    });
    for (side, cgroup) in [(Side::Inside, &inside.cgroup), (Side::Host, &host.kernel.cgroup)] {
        match &cgroup.pids {
            Some(seen) => {
                draft.saw(side, format!("pids.max {seen}"));
                draft.check(*seen == limit.to_string(), || format!("{side}: pids.max is {seen}"));
            }
            None => draft.unseen(format!("{side}: the cgroup's pids.max cannot be seen")),
        }
    }
    draft.done()
}

/// Where the settings ask for no limit, a person may still write one into the Compose file: then it must be in force.
fn memory(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let asked = &host.container.host_config;
    let limit = spec.shape.memory.or(asked.memory.filter(|bytes| *bytes > 0));
    let text = |limit: Option<u64>| limit.map_or("no limit".into(), |bytes| format!("{bytes} bytes"));
    let promise = match spec.shape.memory {
        Some(_) => "memory is limited as the settings say, without swap beyond it".to_owned(),
        None => format!("memory has the limit that the engine was asked for: {}", text(limit)),
    };
    let mut draft = Draft::new("limits.memory", promise).hint(NO_CONTROLLER);
    if let Some(told) = draft.told("the limit on memory", asked.memory) {
        let told = Some(told).filter(|bytes| *bytes > 0);
        draft.host(format!("{} according to the engine", text(told)));
        draft.check(told == limit, || format!("the engine was asked for {}", text(told)));
    }
    for (side, cgroup) in [(Side::Inside, &inside.cgroup), (Side::Host, &host.kernel.cgroup)] {
        match cgroup.memory.as_deref().and_then(cgroup_limits::bytes) {
            Some(seen) => {
                draft.saw(side, text(seen));
                draft.check(same(seen, limit), || format!("{side}: memory has {}, not {}", text(seen), text(limit)));
            }
            // A kernel may be started without this controller: then nothing can be limited.
            None if limit.is_none() => draft.saw(side, "no controller of memory"),
            None => draft.unseen(format!("{side}: the cgroup's limit on memory cannot be seen")),
        }
    }
    if let Some(limit) = spec.shape.memory {
        swap(&mut draft, limit, inside, host);
    }
    draft.done()
}

/// What to do where the kernel or the engine limits no memory.
const NO_CONTROLLER: &str = "`docker info` says at its end whether this engine can limit memory and swap (a kernel may need \
                             `cgroup_enable=memory swapaccount=1`); `memory: none` in the settings goes without a limit";

/// The kernel rounds down to whole pages, of up to 64 KiB.
fn same(seen: Option<u64>, limit: Option<u64>) -> bool {
    let rounded = |(seen, limit): (u64, u64)| limit.checked_sub(seen).is_some_and(|rest| rest < 1 << 16);
    seen == limit || seen.zip(limit).is_some_and(rounded)
}

/// No swap beyond the memory. Version 1 limits both together, version 2 the swap alone. A kernel that does not count swap
/// limits none of it: that is no harm where this machine has none.
fn swap(draft: &mut Draft, limit: u64, inside: &InsideWitness, host: &HostWitness) {
    let mut counted = true;
    for (side, cgroup) in [(Side::Inside, &inside.cgroup), (Side::Host, &host.kernel.cgroup)] {
        let seen = |text: &Option<String>| text.as_deref().and_then(cgroup_limits::bytes);
        match (seen(&cgroup.memory_and_swap), seen(&cgroup.swap)) {
            (Some(both), _) => {
                draft.saw(side, format!("memory.memsw {}", both.map_or("max".into(), |bytes| bytes.to_string())));
                draft.check(same(both, Some(limit)), || format!("{side}: there is swap beyond the memory"));
            }
            (None, Some(swap)) => {
                draft.saw(side, format!("memory.swap.max {}", swap.map_or("max".into(), |bytes| bytes.to_string())));
                draft.check(swap == Some(0), || format!("{side}: there is swap beyond the memory"));
            }
            (None, None) if host.kernel.swapless == Some(true) => {
                counted = false;
                draft.saw(side, "swap is not counted, and this machine has none");
            }
            (None, None) => draft.unseen(format!("{side}: the cgroup's limit on swap cannot be seen")),
        }
    }
    // An engine that cannot limit swap says so by -1.
    let told = draft.told("the limit on swap", host.container.host_config.memory_swap);
    let right = |told: i64| u64::try_from(told) == Ok(limit) || !counted;
    draft.check(told.is_none_or(right), || "the engine was asked for swap beyond the memory".to_owned());
}

fn cpu(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let weight = spec.shape.cpu_weight;
    let shares = cpu_shares(weight);
    let promise = format!("the processors are shared with weight {weight}, where 100 is usual");
    let mut draft = Draft::new("limits.cpu-weight", promise).hint(RECREATE);
    if let Some(told) = draft.told("the weight of its processes", host.container.host_config.cpu_shares) {
        draft.host(format!("{told} shares according to the engine"));
        draft.check(told == shares, || format!("the engine was asked for {told} shares, not {shares}"));
    }
    for (side, cgroup) in [(Side::Inside, &inside.cgroup), (Side::Host, &host.kernel.cgroup)] {
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<u64>().ok());
        match (number(&cgroup.cpu_shares), number(&cgroup.cpu_weight)) {
            (Some(seen), _) => {
                draft.saw(side, format!("cpu.shares {seen}"));
                draft.check(seen == shares, || format!("{side}: cpu.shares is {seen}, not {shares}"));
            }
            (None, Some(seen)) => {
                draft.saw(side, format!("cpu.weight {seen}"));
                let known = cgroup_limits::weights_of(shares);
                draft.check(known.contains(&seen), || format!("{side}: cpu.weight is {seen}, not {known:?}"));
            }
            (None, None) => draft.unseen(format!("{side}: the cgroup's weight cannot be seen")),
        }
    }
    draft.done()
}

/// The log that the engine keeps of the main process. Whoever runs as its user can write to its output.
fn log(spec: &Spec, host: &HostWitness) -> Finding {
    let Shape { log_size, log_files, .. } = spec.shape;
    let most = log_size.saturating_mul(log_files);
    let promise = format!("what is written to the container's log takes at most {most} bytes of this host");
    let mut draft = Draft::new("limits.log", promise).hint(RECREATE);
    if let Some(log) = draft.told("how it keeps the log", host.container.host_config.log_config.as_ref()) {
        let told = log.options.iter().map(|(name, value)| format!("{name}={value}"));
        draft.host(format!("{}: {}", log.driver, some(told)));
        let same = log.driver == LOG_DRIVER && log.options == log_options(log_size, log_files);
        draft.check(same, || format!("the engine keeps the log by `{}` with other limits", log.driver));
    }
    draft.done()
}

fn ulimits(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft =
        Draft::new("limits.ulimits", "the limits on the stack and on locked memory are as the GPU libraries need them")
            .hint(errors::MEMLOCK.advice());
    let asked = host.container.host_config.ulimits.as_deref();
    let asked = draft.told("which resource limits it was asked for", asked).unwrap_or_default();
    let memlock_asked = asked.iter().any(|limit| limit.name == "memlock" && limit.soft == -1);
    let names: Vec<&str> = asked.iter().map(|limit| limit.name.as_str()).collect();
    draft.host(format!("asked for: {}", some(&names)));
    // Only the GPU's libraries lock memory: without a GPU it is enough that the engine gives what it was asked for.
    let needed = memlock_asked || (spec.shape.gpus != Gpus::None && spec.shape.memlock == Memlock::Unlimited);
    for (side, process) in draft.views(inside, host) {
        let [stack, memlock] =
            ["Max stack size", "Max locked memory"].map(|name| process.limit(name).unwrap_or("missing"));
        draft.saw(side, format!("stack {stack}, memlock {memlock}"));
        draft.check(stack == STACK, || format!("{side}: the stack is {stack}, not {STACK}"));
        draft.check(!needed || memlock == "unlimited", || format!("{side}: locked memory is {memlock}, not unlimited"));
    }
    draft.done()
}

fn network(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("network.mode", format!("the network is `{}`", spec.shape.network));
    let mode = host.container.host_config.network_mode.as_deref().unwrap_or_default();
    draft.host(format!("mode `{mode}`"));
    // The kernel puts tunnel devices into every new network namespace; they are down.
    let may_be_up = inside.interfaces.iter().filter(|(name, up)| *name != "lo" && **up != Some(false));
    let up: Vec<&str> = may_be_up.map(|(name, _)| name.as_str()).collect();
    draft.inside(format!("interfaces that are up, beside lo: {}", some(&up)));
    match spec.shape.network {
        Network::None => {
            draft.check(mode == "none", || format!("the engine's mode is `{mode}`"));
            draft.check(up.is_empty(), || format!("inside, {} is up", some(&up)));
        }
        Network::Open => {
            let own = !matches!(mode, "host" | "none" | "") && !mode.starts_with("container:");
            draft.check(own, || format!("the engine's mode is `{mode}`"));
            draft.check(!up.is_empty(), || "inside, no interface is up".into());
            // An interface of which that is not known counts where none may be up, and does not where one must be.
            if !inside.interfaces.iter().any(|(name, up)| name != "lo" && *up == Some(true)) {
                draft.unseen("inside, no interface was seen to be up");
            }
        }
    }
    draft.done()
}

/// What is seen inside where every limit of this shape is in force.
#[cfg(any(test, fuzzing))]
pub(super) fn in_force(shape: &Shape, inside: &mut InsideWitness) {
    inside.shm = Some(shape.shm_size);
    inside.cgroup = cgroup_in_force(shape);
}

/// The same of the cgroup alone, as version 1 has it.
#[cfg(any(test, fuzzing))]
pub(super) fn cgroup_in_force(shape: &Shape) -> CgroupLimits {
    let bytes = shape.memory.map_or("9223372036854771712".to_owned(), |bytes| bytes.to_string());
    CgroupLimits {
        pids: Some(shape.pids_limit.to_string()),
        memory: Some(bytes.clone()),
        memory_and_swap: Some(bytes),
        swap: None,
        cpu_shares: Some(cpu_shares(shape.cpu_weight).to_string()),
        cpu_weight: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, breaks, good};
    use super::*;
    use crate::engine::asked::Ulimit;
    use crate::finding::Verdict;

    #[test]
    fn each_limit_breaks_its_claim() {
        breaks(
            "limits.shm",
            vec![asked(|asked| asked.shm_size = Some(67108864)), Box::new(|_, inside, _| inside.shm = Some(1))],
        );
        breaks(
            "limits.pids",
            vec![
                asked(|asked| asked.pids_limit = None),
                asked(|asked| asked.pids_limit = Some(-1)),
                Box::new(|_, inside, _| inside.cgroup.pids = Some("max".into())),
                Box::new(|_, _, host| host.kernel.cgroup.pids = Some("max".into())),
            ],
        );
        breaks(
            "limits.memory",
            vec![
                asked(|asked| asked.memory = Some(1 << 30)),
                asked(|asked| asked.memory = Some(0)),
                asked(|asked| asked.memory_swap = Some(-1)),
                asked(|asked| asked.memory_swap = Some(0)),
                Box::new(|_, inside, _| inside.cgroup.memory = Some("1073741824".into())),
                Box::new(|_, _, host| host.kernel.cgroup.memory = Some("max".into())),
                Box::new(|_, inside, _| inside.cgroup.memory_and_swap = Some("9223372036854771712".into())),
                Box::new(|_, _, host| host.kernel.cgroup.memory_and_swap = Some("9223372036854771712".into())),
            ],
        );
        breaks(
            "limits.cpu-weight",
            vec![
                asked(|asked| asked.cpu_shares = Some(0)),
                Box::new(|_, inside, _| inside.cgroup.cpu_shares = Some("1024".into())),
                Box::new(|_, _, host| host.kernel.cgroup.cpu_shares = Some("1024".into())),
                Box::new(|spec, _, _| spec.shape.cpu_weight = 51),
            ],
        );
        breaks(
            "limits.log",
            vec![
                asked(|asked| asked.log_config.as_mut().unwrap().driver = "journald".into()),
                asked(|asked| drop(asked.log_config.as_mut().unwrap().options.remove("max-size"))),
                asked(|asked| drop(asked.log_config.as_mut().unwrap().options.insert("max-size".into(), "1t".into()))),
                Box::new(|spec, _, _| spec.shape.log_files = 3),
            ],
        );
        breaks(
            "limits.ulimits",
            vec![
                Box::new(|_, inside, _| inside.process.limits = inside.process.limits.replace(STACK, "8388608")),
                Box::new(|_, inside, _| inside.process.limits = inside.process.limits.replace("unlimited", "65536")),
                Box::new(|_, _, host| {
                    let process = host.process.as_mut().unwrap();
                    process.limits = process.limits.replace("unlimited", "65536");
                }),
            ],
        );
        breaks(
            "network.mode",
            vec![
                asked(|asked| asked.network_mode = Some("none".into())),
                asked(|asked| asked.network_mode = Some("host".into())),
                Box::new(|_, inside, _| _ = inside.interfaces.remove("eth0")),
                Box::new(|spec, _, _| spec.shape.network = Network::None),
            ],
        );
    }

    fn verdict_of(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Verdict {
        memory(spec, inside, host).verdict
    }

    #[test]
    fn an_engine_that_limits_no_memory_is_never_silent() {
        let (mut spec, mut inside, mut host) = good();
        for cgroup in [&mut inside.cgroup, &mut host.kernel.cgroup] {
            (cgroup.memory, cgroup.memory_and_swap) = (None, None);
        }
        assert_eq!(
            verdict_of(&spec, &inside, &host),
            Verdict::NotProvable,
            "no controller, and the engine does not say so"
        );
        // What an engine without the controller answers: it drops the limit with a warning.
        host.container.host_config.memory = Some(0);
        assert_eq!(verdict_of(&spec, &inside, &host), Verdict::Broken);
        spec.shape.memory = None;
        assert_eq!(verdict_of(&spec, &inside, &host), Verdict::Held, "the user asked for no limit");
    }

    #[test]
    fn the_kernel_may_round_a_limit_down_to_a_page_and_no_further() {
        const LIMIT: u64 = 1 << 30;
        assert!(same(None, None) && same(Some(LIMIT), Some(LIMIT)) && same(Some(LIMIT), Some(LIMIT + 65_535)));
        for (seen, limit) in [
            (None, Some(LIMIT)),
            (Some(LIMIT), None),
            (Some(LIMIT), Some(LIMIT + 65_536)),
            (Some(LIMIT + 1), Some(LIMIT)),
        ] {
            assert!(!same(seen, limit), "{seen:?} {limit:?}");
        }
    }

    #[test]
    fn a_limit_that_only_the_compose_file_has_is_in_force_too() {
        let (mut spec, mut inside, mut host) = good();
        spec.shape.memory = None;
        let mut with = |asked: u64, seen: Option<&str>| {
            host.container.host_config.memory = Some(asked);
            for cgroup in [&mut inside.cgroup, &mut host.kernel.cgroup] {
                cgroup.memory = seen.map(str::to_owned);
            }
            verdict_of(&spec, &inside, &host)
        };
        assert_eq!([with(0, Some("max")), with(1 << 30, Some("1073741824"))], [Verdict::Held; 2]);
        assert_eq!([with(1 << 30, Some("max")), with(0, Some("1073741824"))], [Verdict::Broken; 2]);
        assert_eq!([with(0, None), with(1 << 30, None)], [Verdict::Held, Verdict::NotProvable]);
    }

    #[test]
    fn swap_that_is_not_counted_does_no_harm_where_there_is_none() {
        let (spec, mut inside, mut host) = good();
        for cgroup in [&mut inside.cgroup, &mut host.kernel.cgroup] {
            cgroup.memory_and_swap = None;
        }
        host.container.host_config.memory_swap = Some(-1);
        assert_eq!(verdict_of(&spec, &inside, &host), Verdict::Broken);
        host.container.host_config.memory_swap = host.container.host_config.memory.map(u64::cast_signed);
        for unknown in [None, Some(false)] {
            host.kernel.swapless = unknown;
            assert_eq!(verdict_of(&spec, &inside, &host), Verdict::NotProvable);
        }
        host.kernel.swapless = Some(true);
        assert_eq!(verdict_of(&spec, &inside, &host), Verdict::Held);
        host.container.host_config.memory_swap = Some(-1);
        assert_eq!(verdict_of(&spec, &inside, &host), Verdict::Held);
    }

    #[test]
    fn an_engine_that_cannot_lock_memory_serves_where_there_is_no_gpu() {
        let (mut spec, mut inside, mut host) = good();
        host.container.host_config.ulimits = Some(vec![Ulimit { name: "stack".into(), soft: 67108864 }]);
        let process = host.process.as_mut().unwrap();
        for limits in [&mut inside.process.limits, &mut process.limits] {
            *limits = limits.replace("unlimited", "8388608");
        }
        assert_eq!(ulimits(&spec, &inside, &host).why, None);
        spec.shape.gpus = Gpus::All;
        assert!(ulimits(&spec, &inside, &host).why.is_some());
        spec.shape.memlock = Memlock::Engine;
        assert_eq!(ulimits(&spec, &inside, &host).why, None);
        let other = |name: &str, soft| Some(vec![Ulimit { name: name.into(), soft }]);
        for not_asked in [other("memlock", 8 << 20), other("nofile", -1)] {
            host.container.host_config.ulimits = not_asked;
            assert_eq!(ulimits(&spec, &inside, &host).why, None, "not all of the memory was asked to be locked");
        }
        host.container.host_config.ulimits = Some(vec![Ulimit { name: "memlock".into(), soft: -1 }]);
        assert!(ulimits(&spec, &inside, &host).why.is_some(), "it was asked for, and is not there");
    }

    #[test]
    fn without_a_network_only_the_kernels_sleeping_tunnels_are_there() {
        let (mut spec, mut inside, mut host) = good();
        spec.shape.network = Network::None;
        host.container.host_config.network_mode = Some("none".into());
        inside.interfaces = [("lo".into(), Some(true)), ("sit0".into(), Some(false))].into();
        assert_eq!(network(&spec, &inside, &host).why, None);
        inside.interfaces.insert("eth0".into(), None);
        assert!(network(&spec, &inside, &host).why.is_some());
    }

    #[test]
    fn an_interface_that_may_be_up_is_none_that_was_seen_to_be_up() {
        let (spec, mut inside, host) = good();
        inside.interfaces = [("lo".into(), Some(true)), ("eth0".into(), None)].into();
        assert_eq!(network(&spec, &inside, &host).verdict, Verdict::NotProvable);
        inside.interfaces.insert("eth1".into(), Some(true));
        assert_eq!(network(&spec, &inside, &host).verdict, Verdict::Held);
    }
}
