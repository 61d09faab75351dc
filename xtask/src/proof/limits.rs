//! Claims about limits and the network.

use super::{Draft, HostWitness, some};
use crate::finding::Finding;
use crate::proof::probe::Inside;
use crate::spec::promise::{Gpus, Memlock, Network, Promise};

/// The stack that NVIDIA asks for, in bytes; `docker-compose.yaml` has the same.
const STACK: &str = "67108864";

pub(super) fn judge(promise: &Promise, inside: &Inside, host: &HostWitness) -> Vec<Finding> {
    vec![
        shm(promise, inside, host),
        pids(promise, inside, host),
        ulimits(promise, inside, host),
        network(promise, inside, host),
    ]
}

fn shm(promise: &Promise, inside: &Inside, host: &HostWitness) -> Finding {
    let bytes = promise.shm_bytes;
    let mut draft = Draft::new("limits.shm", format!("/dev/shm holds {bytes} bytes"));
    let (mine, told) = (inside.shm, host.setting("ShmSize").as_u64());
    let text = |size: Option<u64>| size.map_or("an unknown number of".into(), |size| size.to_string());
    draft.inside(format!("{} bytes", text(mine)));
    draft.host(format!("{} bytes by the engine's word", text(told)));
    draft.check(mine == Some(bytes), || format!("inside it holds {} bytes", text(mine)));
    draft.check(told == Some(bytes), || format!("the engine was asked for {} bytes", text(told)));
    draft.done()
}

fn pids(promise: &Promise, inside: &Inside, host: &HostWitness) -> Finding {
    let limit = promise.pids_limit;
    let mut draft = Draft::new("limits.pids", format!("at most {limit} processes run inside"));
    let told = host.setting("PidsLimit");
    draft.host(format!("{told} by the engine's word"));
    draft.check(told.as_u64() == Some(limit), || format!("the engine was asked for {told}"));
    match &inside.pids_max {
        Some(seen) => {
            draft.inside(format!("pids.max {seen}"));
            draft.check(*seen == limit.to_string(), || format!("inside, pids.max is {seen}"));
        }
        None => draft.unseen("inside, the cgroup's pids.max cannot be seen"),
    }
    draft.done()
}

/// The soft limit in the text of `/proc/PID/limits`.
fn limit<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()).unwrap_or("missing")
}

fn ulimits(promise: &Promise, inside: &Inside, host: &HostWitness) -> Finding {
    let mut draft = Draft::new(
        "limits.ulimits",
        "the stack and locked memory are as the GPU libraries need them",
    )
    .hint("an engine without CAP_SYS_RESOURCE (rootless, or in a container) cannot raise `memlock`: `memlock: engine` in sandbox.local.yaml");
    let asked = host.setting("Ulimits").as_array().into_iter().flatten();
    let memlock_asked = asked.clone().any(|limit| limit["Name"] == "memlock" && limit["Soft"] == -1);
    let names: Vec<&str> = asked.filter_map(|limit| limit["Name"].as_str()).collect();
    draft.host(format!("asked for: {}", some(&names)));
    let mut views = vec![("inside", inside.limits.as_str())];
    views.extend(draft.process(host).map(|process| ("seen from the host", process.limits.as_str())));
    for (who, text) in views {
        let (stack, memlock) = (limit(text, "Max stack size"), limit(text, "Max locked memory"));
        let seen = format!("stack {stack}, memlock {memlock}");
        if who == "inside" {
            draft.inside(seen)
        } else {
            draft.host(seen)
        }
        draft.check(stack == STACK, || format!("{who}: the stack is {stack}, not {STACK}"));
        // Only the GPU's libraries lock memory: without a GPU it is enough that the engine gives what it was asked for.
        let needed = memlock_asked || (promise.gpus != Gpus::None && promise.memlock == Memlock::Unlimited);
        draft.check(!needed || memlock == "unlimited", || format!("{who}: locked memory is {memlock}, not unlimited"));
    }
    draft.done()
}

fn network(promise: &Promise, inside: &Inside, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("network.mode", format!("the network is `{}`", promise.network));
    let mode = host.setting("NetworkMode").as_str().unwrap_or_default();
    draft.host(format!("mode `{mode}`"));
    // The kernel puts tunnel devices into every new network namespace; they are down.
    let up: Vec<&str> = inside
        .interfaces
        .iter()
        .filter(|(name, up)| *name != "lo" && **up != Some(false))
        .map(|(name, _)| name.as_str())
        .collect();
    draft.inside(format!("interfaces that are up, beside lo: {}", some(&up)));
    match promise.network {
        Network::None => {
            draft.check(mode == "none", || format!("the engine's mode is `{mode}`"));
            draft.check(up.is_empty(), || format!("inside, {} is up", some(&up)));
        }
        Network::Open => {
            let own = !matches!(mode, "host" | "none" | "") && !mode.starts_with("container:");
            draft.check(own, || format!("the engine's mode is `{mode}`"));
            draft.check(!up.is_empty(), || "inside, no interface is up".into());
        }
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{breaks, good, setting};
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn each_limit_breaks_its_claim() {
        breaks("limits.shm", vec![setting("ShmSize", json!(67108864)), Box::new(|_, inside, _| inside.shm = Some(1))]);
        breaks(
            "limits.pids",
            vec![
                setting("PidsLimit", Value::Null),
                setting("PidsLimit", json!(-1)),
                Box::new(|_, inside, _| inside.pids_max = Some("max".into())),
            ],
        );
        breaks(
            "limits.ulimits",
            vec![
                Box::new(|_, inside, _| inside.limits = inside.limits.replace(STACK, "8388608")),
                Box::new(|_, inside, _| inside.limits = inside.limits.replace("unlimited", "65536")),
                Box::new(|_, _, host| {
                    let process = host.process.as_mut().unwrap();
                    process.limits = process.limits.replace("unlimited", "65536");
                }),
            ],
        );
        breaks(
            "network.mode",
            vec![
                setting("NetworkMode", json!("none")),
                setting("NetworkMode", json!("host")),
                Box::new(|_, inside, _| _ = inside.interfaces.remove("eth0")),
                Box::new(|promise, _, _| promise.network = Network::None),
            ],
        );
    }

    #[test]
    fn an_engine_that_cannot_lock_memory_serves_where_there_is_no_gpu() {
        let (mut promise, mut inside, mut host) = good();
        host.inspect["HostConfig"]["Ulimits"] = json!([{"Name": "stack", "Soft": 67108864, "Hard": 67108864}]);
        let process = host.process.as_mut().unwrap();
        for limits in [&mut inside.limits, &mut process.limits] {
            *limits = limits.replace("unlimited", "8388608");
        }
        assert_eq!(ulimits(&promise, &inside, &host).why, None);
        promise.gpus = Gpus::All;
        assert!(ulimits(&promise, &inside, &host).why.is_some());
        promise.memlock = Memlock::Engine;
        assert_eq!(ulimits(&promise, &inside, &host).why, None);
        host.inspect["HostConfig"]["Ulimits"] = json!([{"Name": "memlock", "Soft": -1, "Hard": -1}]);
        assert!(ulimits(&promise, &inside, &host).why.is_some(), "it was asked for, and is not there");
    }

    #[test]
    fn without_a_network_only_the_kernels_sleeping_tunnels_are_there() {
        let (mut promise, mut inside, mut host) = good();
        promise.network = Network::None;
        host.inspect["HostConfig"]["NetworkMode"] = json!("none");
        inside.interfaces = [("lo".into(), Some(true)), ("sit0".into(), Some(false))].into();
        assert_eq!(network(&promise, &inside, &host).why, None);
        inside.interfaces.insert("eth0".into(), None);
        assert!(network(&promise, &inside, &host).why.is_some());
    }
}
