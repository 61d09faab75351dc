//! Native code on the GPUs, proven once for each container: at its start, by the path that Codex takes later.

use super::exec_command::Entry;
use super::gather::Gathered;
use super::record::Record;
use crate::context::{self, Context};
use crate::engine::Engine;
use crate::engine::docker::Entrance;
use crate::exec;
use crate::finding::Finding;
use crate::gpu::{self, arch};
use crate::smoke::{Arch, Extent, Report, SmokeRequest, claim, judge, native};
use crate::spec::Spec;
use crate::spec::insider::Insider;
use crate::spec::words::Gpus;
use crate::step::Command;
use anyhow::Result;
use std::collections::BTreeMap;

/// What the image's entry point set up in the container, by variable.
type Carried = BTreeMap<String, String>;

/// The bound on the script, in seconds. It takes two; but eight GPUs without NVIDIA's persistence daemon are woken one
/// after the other, and an image that was never read comes from a disk.
const SECONDS: u64 = 90;

/// Runs it in a container that was just started.
///
/// # Errors
/// Settings that do not say which architecture is meant, or the engine does not answer.
pub(super) fn prove(cx: &Context, gathered: &Gathered, record: &Record) -> Result<Finding> {
    let request = request(gathered, architecture(cx, gathered)?, crate::nonce::nonce()?);
    let who = Insider::apart(&record.spec, crate::nonce::number()?);
    let command = command(cx, gathered, (&record.container, &record.spec), record.carried(), who, &request);
    let (said, digest) = exec::both(|| exec::capture(&command), || native::digest(&request.nonce, request.arch));
    let report = said.map_err(|err| format!("{err:#}")).and_then(|said| {
        Report::read(&said.stdout, &request).map_err(|why| match said.stderr.trim() {
            "" => why,
            stderr => format!("{why}: {}", stderr.lines().last().unwrap_or_default()),
        })
    });
    let outcome = judge(&request, report.as_ref().map_err(String::as_str), &digest, None);
    Ok(claim::claim(&request, &outcome, &digest, &context::now()))
}

/// The claim of a container, as it was proven at its start; none where it has no GPUs.
pub(super) fn claim(record: &Record) -> Option<Finding> {
    if record.spec.shape.gpus == Gpus::None {
        return None;
    }
    let unknown = || claim::unknown("the record of this container has no report of native code");
    Some(record.native.clone().unwrap_or_else(unknown))
}

/// The command as a dry run shows it, where there would be GPUs.
pub(super) fn dry_run(cx: &Context, gathered: &Gathered, container: &str, spec: &Spec) -> Option<Command> {
    let arch = architecture(cx, gathered).ok().filter(|_| gathered.ground.settings.shape.gpus != Gpus::None)?;
    let request = request(gathered, arch, "NONCE".into());
    Some(command(cx, gathered, (container, spec), &BTreeMap::new(), Insider::apart(spec, 0), &request))
}

fn architecture(cx: &Context, gathered: &Gathered) -> Result<Arch> {
    let list = &gathered.ground.settings.arch_list;
    arch::choose(None, list, &[]).or_else(|_| {
        // Of several architectures it is the one that serves this host's GPUs.
        let known = gpu::read(&Engine::default(), cx.var("PATH")).gpus;
        let capabilities: Vec<&str> = known.iter().map(|gpu| gpu.capability.as_str()).collect();
        arch::choose(None, list, &capabilities)
    })
}

fn request(gathered: &Gathered, arch: Arch, nonce: String) -> SmokeRequest {
    SmokeRequest {
        nonce,
        arch,
        mode: Extent::Native,
        // With `all` the number is not known here; the claim `gpu.devices` checks it.
        gpus: match &gathered.ground.settings.shape.gpus {
            Gpus::Ids(ids) => Some(ids.len()),
            Gpus::All | Gpus::None => None,
        },
        gpu: true,
        dataset: None,
        seconds: SECONDS,
        torch: None,
    }
}

fn command(
    cx: &Context,
    gathered: &Gathered,
    (container, spec): (&str, &Spec),
    carried: &Carried,
    who: Insider,
    request: &SmokeRequest,
) -> Command {
    let entry =
        Entry { entrance: Entrance::new(container, spec.denials()), carried, env: &gathered.ground.settings.env };
    entry.apart(cx, who, &request.nonce, &request.words()).timeout(SECONDS + 10)
}
