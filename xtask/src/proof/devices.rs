//! Claims about the GPUs: that the engine was asked for the right ones, and that they answer.

use super::claim::{Draft, some};
use super::probe::InsideWitness;
use super::witness::HostWitness;
use crate::engine::asked::DeviceRequest;
use crate::engine::errors;
use crate::finding::Finding;
use crate::gpu::smi;
use crate::spec::Spec;
use crate::spec::words::{GpuRoute, Gpus};
use std::collections::BTreeSet;

pub(super) fn judge(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    let mut claims = vec![request(spec, inside, host)];
    if spec.shape.gpus != Gpus::None {
        claims.push(devices(spec, inside));
    }
    claims
}

fn request(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new(
        "gpu.request",
        format!("the engine was asked for these GPUs and no other device: {}", spec.shape.gpus),
    )
    .hint("an old Compose drops the request and reports no error: `docker compose version` should say 2.30 or later");
    draft.inside(format!("device nodes: {}", some(&inside.nodes)));
    let asked = &host.container.host_config;
    if let Some(requests) = draft.told("which devices it was asked for", asked.device_requests.as_deref()) {
        draft.host(format!("requests: {}", some(requests.iter().map(told))));
        if let Some(why) = misasked(&spec.shape.gpus, spec.gpu_route, requests) {
            draft.broken(why);
        }
    }
    if let Some(devices) = draft.told("which single devices were added", asked.devices.as_ref().map(Vec::len)) {
        draft.host(format!("single devices: {devices}"));
        draft.check(devices == 0, || format!("{devices} devices of the host were added"));
    }
    if spec.shape.gpus == Gpus::None {
        draft.check(inside.nodes.is_empty(), || format!("inside there is {}", some(&inside.nodes)));
    }
    draft.done()
}

/// Why the engine was not asked for these GPUs, by the requests that it has for a container.
pub(crate) fn misasked(gpus: &Gpus, route: Option<GpuRoute>, requests: &[DeviceRequest]) -> Option<String> {
    match (gpus, route, requests) {
        (Gpus::None, _, []) => None,
        (Gpus::All | Gpus::Ids(_), Some(route), [request]) if asks_for(request, route, gpus) => None,
        (Gpus::None, ..) | (_, Some(_), [_]) => {
            Some(format!("the engine was asked for {}", some(requests.iter().map(told))))
        }
        (_, None, _) => Some("no way to ask for GPUs was chosen".into()),
        (_, Some(_), requests) => Some(format!("the engine has {} requests for devices, not one", requests.len())),
    }
}

fn told(request: &DeviceRequest) -> String {
    format!("driver {}, count {}, ids {}", request.driver, request.count, request.ids.join(","))
}

fn asks_for(request: &DeviceRequest, route: GpuRoute, gpus: &Gpus) -> bool {
    let ids = request.ids.iter().map(String::as_str);
    match route {
        GpuRoute::Nvidia => {
            let capable = request.capabilities.iter().flatten().any(|capability| capability == "gpu");
            let right = match gpus {
                Gpus::All => request.count == -1 && request.ids.is_empty(),
                Gpus::Ids(wanted) => same(ids, wanted),
                Gpus::None => false,
            };
            request.driver == "nvidia" && capable && right
        }
        // CDI names are `vendor/class=device`.
        GpuRoute::Cdi => {
            let names: Option<Vec<&str>> = ids.map(|id| Some(id.split_once('=')?.1)).collect();
            let right = |names: Vec<&str>| match gpus {
                Gpus::All => names == ["all"],
                Gpus::Ids(wanted) => same(names, wanted),
                Gpus::None => false,
            };
            request.driver == "cdi" && names.is_some_and(right)
        }
    }
}

/// Whether these are the same ids, in whichever order.
fn same<'a>(ids: impl IntoIterator<Item = &'a str>, wanted: &[String]) -> bool {
    ids.into_iter().collect::<BTreeSet<_>>() == wanted.iter().map(String::as_str).collect()
}

fn devices(spec: &Spec, inside: &InsideWitness) -> Finding {
    let known = inside.smi.as_ref().and_then(|said| errors::find(&said.text)).unwrap_or(&errors::LOST);
    let mut draft =
        Draft::new("gpu.devices", format!("these GPUs answer inside: {}", spec.shape.gpus)).hint(known.advice());
    let number = |name: &str| name.strip_prefix("nvidia").is_some_and(|number| number.parse::<u32>().is_ok());
    let wsl = inside.nodes.iter().any(|name| name == "dxg");
    let nodes = inside.nodes.iter().filter(|name| number(name)).count() + usize::from(wsl);
    draft.inside(format!("{nodes} device nodes"));
    let Some(said) = &inside.smi else {
        draft.broken("`nvidia-smi` was not run");
        return draft.done();
    };
    let lines = smi::rows::<3>(&said.text);
    draft.inside(format!("nvidia-smi: {}", some(lines.iter().map(|[index, _, name]| format!("{index}: {name}")))));
    draft.check(said.code == "0" && !lines.is_empty(), || {
        format!("inside, `nvidia-smi` said `{}` ({})", said.text.trim(), said.code)
    });
    draft.check(nodes >= lines.len().max(1) || wsl, || {
        format!("inside, {} GPUs answer, and there are {nodes} device nodes", lines.len())
    });
    if let Gpus::Ids(wanted) = &spec.shape.gpus {
        draft.check(lines.len() == wanted.len(), || {
            format!("{} GPUs were asked for, {} answer", wanted.len(), lines.len())
        });
        // A GPU that was asked for by its index has another index inside, so only UUIDs can be compared.
        for id in wanted.iter().filter(|id| id.starts_with("GPU-")) {
            let answers = lines.iter().any(|[_, uuid, _]| uuid.starts_with(id.as_str()));
            draft.check(answers, || format!("`{id}` does not answer"));
        }
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, breaks, good};
    use super::*;
    use crate::proof::probe::Said;
    use serde::de::IgnoredAny;

    #[test]
    fn without_gpus_no_device_may_be_there() {
        breaks(
            "gpu.request",
            vec![
                asked(|asked| asked.device_requests = Some(vec![nvidia(-1, &[])])),
                asked(|asked| asked.devices = Some(vec![IgnoredAny])),
                Box::new(|_, inside, _| inside.nodes.push("nvidia0".into())),
            ],
        );
    }

    fn nvidia(count: i64, ids: &[&str]) -> DeviceRequest {
        let capabilities = vec![vec!["gpu".to_owned()]];
        DeviceRequest { driver: "nvidia".into(), count, capabilities, ..cdi(ids) }
    }

    fn cdi(ids: &[&str]) -> DeviceRequest {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        DeviceRequest { driver: "cdi".into(), count: 0, ids, capabilities: Vec::new() }
    }

    #[test]
    fn a_request_is_the_one_that_was_asked_for() {
        let ids = |ids: &[&str]| Gpus::Ids(ids.iter().map(|id| (*id).to_owned()).collect());
        let (all, two) = (Gpus::All, ids(&["0", "GPU-1"]));
        for (request, route, gpus, right) in [
            (nvidia(-1, &[]), GpuRoute::Nvidia, &all, true),
            (nvidia(1, &[]), GpuRoute::Nvidia, &all, false),
            (nvidia(0, &["GPU-1", "0"]), GpuRoute::Nvidia, &two, true),
            (nvidia(0, &["0"]), GpuRoute::Nvidia, &two, false),
            (nvidia(-1, &[]), GpuRoute::Cdi, &all, false),
            (cdi(&["nvidia.com/gpu=all"]), GpuRoute::Cdi, &all, true),
            (cdi(&["nvidia.com/gpu=0"]), GpuRoute::Cdi, &all, false),
            (cdi(&["nvidia.com/gpu=0", "nvidia.com/gpu=GPU-1"]), GpuRoute::Cdi, &two, true),
            (cdi(&["odd"]), GpuRoute::Cdi, &two, false),
            (nvidia(-1, &["0"]), GpuRoute::Nvidia, &all, false),
            (DeviceRequest { capabilities: Vec::new(), ..nvidia(-1, &[]) }, GpuRoute::Nvidia, &all, false),
            (DeviceRequest { driver: "other".into(), ..nvidia(-1, &[]) }, GpuRoute::Nvidia, &all, false),
            (DeviceRequest { driver: "other".into(), ..cdi(&["nvidia.com/gpu=all"]) }, GpuRoute::Cdi, &all, false),
        ] {
            let said = misasked(gpus, Some(route), std::slice::from_ref(&request));
            let told = format!("the engine was asked for `driver {}, count {}", request.driver, request.count);
            assert_eq!(said.is_none(), right, "{said:?}");
            assert!(said.is_none_or(|said| said.starts_with(&told)), "{told}");
            assert_eq!(asks_for(&request, route, gpus), right, "{request:?} {route:?} {gpus}");
        }
    }

    #[test]
    fn gpus_that_do_not_answer_as_asked_break_the_claim() {
        let with_gpus = |gpus: Gpus, text: &str, code: &str, nodes: &[&str]| {
            let (mut spec, mut inside, _) = good();
            spec.shape.gpus = gpus;
            inside.nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
            inside.smi = Some(Said { code: code.into(), text: text.into() });
            devices(&spec, &inside).why
        };
        let one = "0, GPU-aa11, NVIDIA RTX PRO 6000\n";
        let nodes = ["nvidia0", "nvidiactl", "nvidia-uvm"];
        assert_eq!(with_gpus(Gpus::All, one, "0", &nodes), None);
        assert_eq!(with_gpus(Gpus::Ids(vec!["GPU-aa".into()]), one, "0", &nodes), None);
        assert!(with_gpus(Gpus::All, "Failed to initialize NVML: Unknown Error\n", "255", &nodes).is_some());
        assert!(with_gpus(Gpus::All, "", "ENOENT", &nodes).is_some());
        assert!(with_gpus(Gpus::All, "No devices were found\n", "0", &nodes).is_some(), "none is listed");
        assert!(with_gpus(Gpus::All, one, "6", &nodes).is_some(), "one is listed, and it failed");
        assert_eq!(with_gpus(Gpus::All, one, "0", &["dxg"]), None, "under WSL one node serves all");
        assert!(with_gpus(Gpus::All, one, "0", &["nvidiactl"]).is_some());
        assert!(with_gpus(Gpus::Ids(vec!["0".into(), "1".into()]), one, "0", &nodes).is_some());
        assert!(with_gpus(Gpus::Ids(vec!["GPU-bb".into()]), one, "0", &nodes).is_some());
    }

    #[test]
    fn a_request_that_was_dropped_breaks_the_claim() {
        let (mut spec, inside, mut host) = good();
        (spec.shape.gpus, spec.gpu_route) = (Gpus::All, Some(GpuRoute::Nvidia));
        assert!(request(&spec, &inside, &host).why.is_some());
        host.container.host_config.device_requests = Some(vec![nvidia(-1, &[])]);
        assert_eq!(request(&spec, &inside, &host).why, None);
    }
}
