//! Claims about the GPUs: that the engine was asked for the right ones, and that they answer.

use super::confinement::texts;
use super::{Draft, HostWitness, some};
use crate::finding::Finding;
use crate::proof::probe::Inside;
use crate::spec::promise::{GpuRoute, Gpus, Promise};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn judge(promise: &Promise, inside: &Inside, host: &HostWitness) -> Vec<Finding> {
    let mut claims = vec![request(promise, inside, host)];
    if promise.gpus != Gpus::None {
        claims.push(devices(promise, inside));
    }
    claims
}

fn request(promise: &Promise, inside: &Inside, host: &HostWitness) -> Finding {
    let mut draft =
        Draft::new("gpu.request", format!("the engine was asked for these GPUs and no other device: {}", promise.gpus))
            .hint("an old Compose drops the request without a word: `docker compose version` should say 2.30 or later");
    let requests: Vec<&Value> = host.setting("DeviceRequests").as_array().into_iter().flatten().collect();
    let devices = host.setting("Devices").as_array().map_or(0, Vec::len);
    let told: Vec<String> = requests.iter().map(|request| told(request)).collect();
    draft.host(format!("requests: {}; single devices: {devices}", some(&told)));
    draft.inside(format!("device nodes: {}", some(&inside.nodes)));
    draft.check(devices == 0, || format!("{devices} devices of the host were added"));
    if let Some(why) = misasked(&promise.gpus, promise.gpu_route, host.setting("DeviceRequests")) {
        draft.broken(why);
    }
    if promise.gpus == Gpus::None {
        draft.check(inside.nodes.is_empty(), || format!("inside there is {}", some(&inside.nodes)));
    }
    draft.done()
}

/// Why the engine was not asked for these GPUs, by the `HostConfig.DeviceRequests` of a container.
pub fn misasked(gpus: &Gpus, route: Option<GpuRoute>, requests: &Value) -> Option<String> {
    let requests: Vec<&Value> = requests.as_array().into_iter().flatten().collect();
    let told: Vec<String> = requests.iter().map(|request| told(request)).collect();
    let asked = || Some(format!("the engine was asked for {}", some(&told)));
    match (gpus, route, requests.as_slice()) {
        (Gpus::None, _, []) => None,
        (Gpus::None, ..) => asked(),
        (gpus, Some(route), [request]) if asks_for(request, route, gpus) => None,
        (_, Some(_), [_]) => asked(),
        (_, None, _) => Some("no way to ask for GPUs was chosen".into()),
        (_, _, requests) => Some(format!("the engine has {} requests for devices, not one", requests.len())),
    }
}

fn told(request: &Value) -> String {
    let ids = texts(&request["DeviceIDs"]).join(",");
    format!("driver {}, count {}, ids {ids}", request["Driver"].as_str().unwrap_or("none"), request["Count"])
}

fn asks_for(request: &Value, route: GpuRoute, gpus: &Gpus) -> bool {
    let ids = texts(&request["DeviceIDs"]);
    let driver = request["Driver"].as_str().unwrap_or_default();
    match route {
        GpuRoute::Nvidia => {
            let capable =
                request["Capabilities"].as_array().into_iter().flatten().any(|set| texts(set).contains(&"gpu"));
            let right = match gpus {
                Gpus::All => request["Count"] == -1 && ids.is_empty(),
                Gpus::Ids(wanted) => same(&ids, wanted),
                Gpus::None => false,
            };
            driver == "nvidia" && capable && right
        }
        // CDI names are `vendor/class=device`.
        GpuRoute::Cdi => {
            let names: Vec<&str> = ids.iter().filter_map(|id| id.split_once('=')).map(|(_, name)| name).collect();
            let right = match gpus {
                Gpus::All => names == ["all"],
                Gpus::Ids(wanted) => same(&names, wanted),
                Gpus::None => false,
            };
            driver == "cdi" && names.len() == ids.len() && right
        }
    }
}

fn same(ids: &[&str], wanted: &[String]) -> bool {
    let ids: BTreeSet<&str> = ids.iter().copied().collect();
    ids == wanted.iter().map(String::as_str).collect()
}

fn devices(promise: &Promise, inside: &Inside) -> Finding {
    let mut draft = Draft::new("gpu.devices", format!("these GPUs answer inside: {}", promise.gpus))
        .hint("after `systemctl daemon-reload` some hosts lose them: `cargo xtask down`, then enter again");
    let number = |name: &str| {
        name.strip_prefix("nvidia").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let nodes = inside.nodes.iter().filter(|name| number(name) || *name == "dxg").count();
    draft.inside(format!("{nodes} device nodes"));
    let Some(said) = &inside.smi else {
        draft.broken("`nvidia-smi` was not asked");
        return draft.done();
    };
    let lines: Vec<Vec<&str>> = said
        .text
        .lines()
        .map(|line| line.split(',').map(str::trim).collect::<Vec<_>>())
        .filter(|fields| fields.len() >= 3)
        .collect();
    let names: Vec<String> = lines.iter().map(|fields| format!("{}: {}", fields[0], fields[2..].join(", "))).collect();
    draft.inside(format!("nvidia-smi: {}", some(&names)));
    draft.check(said.code == "0" && !lines.is_empty(), || {
        format!("inside, `nvidia-smi` said `{}` ({})", said.text.trim(), said.code)
    });
    draft.check(nodes >= lines.len().max(1) || inside.nodes.iter().any(|name| name == "dxg"), || {
        format!("inside, {} GPUs answer, and there are {nodes} device nodes", lines.len())
    });
    if let Gpus::Ids(wanted) = &promise.gpus {
        draft.check(lines.len() == wanted.len(), || {
            format!("{} GPUs were asked for, {} answer", wanted.len(), lines.len())
        });
        // A GPU asked for by number has another number inside: only UUIDs can be compared.
        for id in wanted.iter().filter(|id| id.starts_with("GPU-")) {
            draft.check(lines.iter().any(|fields| fields[1].starts_with(id.as_str())), || {
                format!("`{id}` does not answer")
            });
        }
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{breaks, good};
    use super::*;
    use crate::proof::probe::Said;
    use serde_json::json;

    #[test]
    fn without_gpus_no_device_may_be_there() {
        breaks(
            "gpu.request",
            vec![
                Box::new(|_, _, host| host.inspect["HostConfig"]["DeviceRequests"] = json!([nvidia(-1, json!(null))])),
                Box::new(|_, _, host| host.inspect["HostConfig"]["Devices"] = json!([{"PathOnHost": "/dev/sda"}])),
                Box::new(|_, inside, _| inside.nodes.push("nvidia0".into())),
            ],
        );
    }

    fn nvidia(count: i64, ids: Value) -> Value {
        json!({"Driver": "nvidia", "Count": count, "DeviceIDs": ids, "Capabilities": [["gpu"]], "Options": {}})
    }

    fn cdi(ids: Value) -> Value {
        json!({"Driver": "cdi", "Count": 0, "DeviceIDs": ids, "Capabilities": [], "Options": {}})
    }

    #[test]
    fn a_request_is_the_one_that_was_asked_for() {
        let ids = |ids: &[&str]| Gpus::Ids(ids.iter().map(|id| (*id).to_owned()).collect());
        let (all, two) = (Gpus::All, ids(&["0", "GPU-1"]));
        for (request, route, gpus, right) in [
            (nvidia(-1, json!(null)), GpuRoute::Nvidia, &all, true),
            (nvidia(1, json!(null)), GpuRoute::Nvidia, &all, false),
            (nvidia(0, json!(["GPU-1", "0"])), GpuRoute::Nvidia, &two, true),
            (nvidia(0, json!(["0"])), GpuRoute::Nvidia, &two, false),
            (nvidia(-1, json!(null)), GpuRoute::Cdi, &all, false),
            (cdi(json!(["nvidia.com/gpu=all"])), GpuRoute::Cdi, &all, true),
            (cdi(json!(["nvidia.com/gpu=0"])), GpuRoute::Cdi, &all, false),
            (cdi(json!(["nvidia.com/gpu=0", "nvidia.com/gpu=GPU-1"])), GpuRoute::Cdi, &two, true),
            (cdi(json!(["odd"])), GpuRoute::Cdi, &two, false),
        ] {
            assert_eq!(asks_for(&request, route, gpus), right, "{request} {route:?} {gpus}");
        }
    }

    #[test]
    fn gpus_that_do_not_answer_as_asked_break_the_claim() {
        let with_gpus = |gpus: Gpus, text: &str, code: &str, nodes: &[&str]| {
            let (mut promise, mut inside, _) = good();
            promise.gpus = gpus;
            inside.nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
            inside.smi = Some(Said { code: code.into(), text: text.into() });
            devices(&promise, &inside).why
        };
        let one = "0, GPU-aa11, NVIDIA RTX PRO 6000\n";
        let nodes = ["nvidia0", "nvidiactl", "nvidia-uvm"];
        assert_eq!(with_gpus(Gpus::All, one, "0", &nodes), None);
        assert_eq!(with_gpus(Gpus::Ids(vec!["GPU-aa".into()]), one, "0", &nodes), None);
        assert!(with_gpus(Gpus::All, "Failed to initialize NVML: Unknown Error\n", "255", &nodes).is_some());
        assert!(with_gpus(Gpus::All, "", "ENOENT", &nodes).is_some());
        assert!(with_gpus(Gpus::All, one, "0", &["nvidiactl"]).is_some());
        assert!(with_gpus(Gpus::Ids(vec!["0".into(), "1".into()]), one, "0", &nodes).is_some());
        assert!(with_gpus(Gpus::Ids(vec!["GPU-bb".into()]), one, "0", &nodes).is_some());
    }

    #[test]
    fn a_request_that_was_dropped_breaks_the_claim() {
        let (mut promise, inside, mut host) = good();
        (promise.gpus, promise.gpu_route) = (Gpus::All, Some(GpuRoute::Nvidia));
        assert!(request(&promise, &inside, &host).why.is_some());
        host.inspect["HostConfig"]["DeviceRequests"] = json!([nvidia(-1, json!(null))]);
        assert_eq!(request(&promise, &inside, &host).why, None);
    }
}
