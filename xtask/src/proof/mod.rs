//! The proof: what a sandbox promises, checked against what two witnesses saw. The judges are pure; [`prove`] is the one
//! function that runs something, through `exec`.
//!
//! The witnesses are the probe inside the container ([`InsideWitness`]) and this host ([`HostWitness`]: the engine's
//! report and `/proc/PID` of the container's init). Where both can see a fact, both must confirm it; where one cannot,
//! the claim is not provable, with the reason.

pub(crate) mod ask;
mod cgroup_limits;
mod claim;
mod codex;
mod codex_file;
mod confinement;
mod dataset;
mod denied;
mod devices;
mod group;
mod host_kernel;
mod identity;
pub(crate) mod init;
mod kernel_files;
pub(crate) mod lease;
mod limits;
mod lsm;
mod modules;
mod mount;
mod mounts;
mod net_tables;
pub(crate) mod probe;
mod probing;
pub(crate) mod programs;
mod reach;
pub(crate) mod sources;
mod targets;
mod unreachable;
mod volume;
mod witness;

pub(crate) use cgroup_limits::{CgroupVersion, directory};

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub(crate) use super::cgroup_limits::fuzz as cgroup_limits;
    pub(crate) use super::group::fuzz as group;
    pub(crate) use super::net_tables::fuzz as net_tables;
    pub(crate) use super::probe::fuzz as answer;
    pub(crate) use super::sources::fuzz as backing;
    pub(crate) use super::unseen::fuzz as judge;
}

pub(crate) use claim::Draft;
pub(crate) use codex_file::CodexFile;
pub(crate) use devices::misasked;

use crate::beneath::FileId;
use crate::engine::inspect::Container;
use crate::error::sentence;
use crate::finding::{self, Finding, Verdict};
use crate::spec::Spec;
use ask::Reply;
use init::InitSeen;
use probe::{AskCodex, InsideWitness, ProbeRequest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use witness::HostWitness;

/// Checks every promise against what the witnesses saw. Pure; the order of the claims is fixed.
pub(crate) fn judge(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    let mut claims = identity::judge(spec, inside, host);
    claims.extend(confinement::judge(inside, host));
    claims.extend(denied::judge(spec, inside, host));
    claims.push(lsm::judge(inside, host));
    claims.extend(kernel_files::judge(inside, host));
    claims.extend(mounts::judge(spec, inside, host));
    claims.extend(dataset::judge(spec, inside, host));
    claims.extend(reach::judge(spec, inside, host));
    claims.extend(codex::judge(spec, inside, host));
    claims.extend(limits::judge(spec, inside, host));
    claims.extend(devices::judge(spec, inside, host));
    claims
}

/// The version of the schema of a saved proof.
const SCHEMA: u32 = 1;

/// What was proven about one container at one time, as it is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    schema: u32,
    /// The full id of the container.
    pub(crate) container: String,
    /// Repeated by the inside witness.
    nonce: String,
    /// As RFC 3339.
    time: String,
    /// The image, by tag.
    image: String,
    /// The version of Codex that was promised.
    codex: String,
    pub(crate) claims: Vec<Finding>,
}

impl Proof {
    /// Whether Codex may be entered: the one function that decides it.
    pub(crate) fn holds(&self) -> bool {
        finding::all_held(&self.claims)
    }

    /// What does not hold, one line each, then a count. Wrapped to the columns of a terminal, where they are known.
    pub(crate) fn table(&self, width: Option<usize>) -> String {
        table(&self.claims, width)
    }
}

/// Every claim in one line, the broken first.
pub(crate) fn full_table(claims: &[Finding], width: Option<usize>) -> String {
    let row = |claim: &Finding| {
        let text = claim.why.as_ref().unwrap_or(&claim.promise);
        finding::rows([claim.verdict.word(), &claim.id, text], [])
    };
    finding::columns(finding::gravest_first(claims).into_iter().flat_map(row), width)
}

/// What is broken, what cannot be proven and what is only a sample, one line each with its reason and hint, then a count.
fn table(claims: &[Finding], width: Option<usize>) -> String {
    let mut odd = finding::gravest_first(claims);
    odd.retain(|claim| claim.verdict != Verdict::Held);
    let row = |claim: &&Finding| {
        let hint = (!claim.remedies.is_empty()).then(|| format!("hint: {}", sentence(&claim.remedies)));
        finding::rows([claim.verdict.word(), &claim.id, claim.why.as_deref().unwrap_or_default()], hint)
    };
    let (held, all) = (claims.len() - finding::not_held(claims).len(), claims.len());
    let count = if held == all { format!("all {all}") } else { format!("{held} of {all}") };
    let sampled = match claims.iter().filter(|claim| claim.verdict == Verdict::Sampled).count() {
        0 => String::new(),
        some => format!(" ({some} of them sampled)"),
    };
    let rows = finding::columns(odd.iter().flat_map(row), width);
    format!("{rows}{count} promises hold{sampled}, seen from inside and from the host\n")
}

/// What a container is proven against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promised<'a> {
    pub(crate) spec: &'a Spec,
    /// What was checked before the container started, by the target of each bind mount.
    pub(crate) sources: &'a BTreeMap<String, FileId>,
    /// What the host saw in the init before any agent ran inside, or why it could not.
    pub(crate) init: &'a Result<InitSeen, String>,
}

/// A proof, and what was seen for it that is of use later.
pub(crate) struct Seen {
    pub(crate) proof: Proof,
    pub(crate) inside: InsideWitness,
}

/// Proves a container in which an agent may be running. Fails only where a witness cannot be asked at all; broken promises
/// are in the proof.
///
/// `described` is what the engine says of that container, asked after it was started.
pub(crate) fn prove(described: &Container, promised: Promised, request: &ProbeRequest) -> anyhow::Result<Seen> {
    let workspace = promised.spec.workspace();
    let asked = ask::again(request, workspace, &described.id, described.init().unwrap_or_default());
    conclude(asked, described, promised, request)
}

/// The proof from what came of asking the inside witness: asks the host, reads the probe's file in the workspace and
/// removes it, and judges.
pub(crate) fn conclude(
    asked: Reply,
    described: &Container,
    promised: Promised,
    request: &ProbeRequest,
) -> anyhow::Result<Seen> {
    let spec = promised.spec;
    let Reply { answer, alone, probing } = asked;
    let mut host = HostWitness::read(described.clone(), promised, alone, request.group())?;
    if let AskCodex::File(at_start) = request.codex {
        host.codex_at_start = Some(at_start);
    }
    // The file is removed even where the probe's answer turns out to be useless.
    host.take_workspace_file(spec, &request.nonce, probing);
    let inside = InsideWitness::parse(&answer?, &request.nonce).map_err(crate::error::failed)?;
    let proof = Proof {
        schema: SCHEMA,
        container: host.id().to_owned(),
        nonce: inside.nonce.clone(),
        time: crate::context::now(),
        image: spec.image.clone(),
        codex: spec.codex_version.clone(),
        claims: judge(spec, &inside, &host),
    };
    Ok(Seen { proof, inside })
}

#[cfg(test)]
mod tests {
    use super::fixture::{broken_ids, good};
    use super::*;
    use crate::error::Remedy;
    use crate::finding::Evidence;
    use serde_json::{Value, json};

    #[test]
    fn every_promise_of_a_good_sandbox_holds() {
        let (spec, inside, host) = good();
        let claims = judge(&spec, &inside, &host);
        assert_eq!(broken_ids(&spec, &inside, &host), Vec::<String>::new());
        assert!(claims.iter().all(|claim| claim.verdict == Verdict::Held), "{}", table(&claims, None));
        let mut ids: Vec<&str> = claims.iter().map(|claim| claim.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), claims.len(), "each id once");
    }

    #[test]
    fn what_the_engine_does_not_say_is_never_taken_for_the_good_answer() {
        let said = crate::engine::asked::answer(&good().0.shape);
        let read = |answer: &Value| Container::parse(&answer.to_string());
        // Of what the engine was asked for, every field that is read.
        let without = |name: &str| {
            let mut answer = said.clone();
            answer[0]["HostConfig"].as_object_mut().unwrap().remove(name);
            answer
        };
        let sent = said[0]["HostConfig"].as_object().unwrap().keys();
        let asked: Vec<&str> =
            sent.map(String::as_str).filter(|name| read(&without(name)).unwrap() != read(&said).unwrap()).collect();
        for name in
            "CapAdd Privileged SecurityOpt PidMode IpcMode NetworkMode UTSMode ShmSize PidsLimit Ulimits Devices \
                     DeviceRequests Memory LogConfig"
                .split_whitespace()
        {
            assert!(asked.contains(&name), "{name}");
        }
        let asked = asked.join(" ");
        let all = [
            ("", "Id Image State Config HostConfig Mounts AppArmorProfile ProcessLabel"),
            ("/State", "Running Pid"),
            ("/HostConfig", &asked),
        ];
        let places = [("/Config", "Hostname Image"), ("/Mounts/0", "Type Source Destination RW Propagation")];
        let cache = [("/Mounts/3", "Type Name Driver Source Destination RW")];
        for (place, names) in all.into_iter().chain(places).chain(cache) {
            for name in names.split(' ') {
                let mut answer = said.clone();
                let object = answer.pointer_mut(&format!("/0{place}")).and_then(Value::as_object_mut);
                object.and_then(|object| object.remove(name)).expect(name);
                let (spec, inside, mut host) = good();
                let Ok(container) = read(&answer) else { continue };
                host.process = match container.init() {
                    Some(_) => host.process,
                    None => Err("the engine names no process".into()),
                };
                host.container = container;
                let claims = judge(&spec, &inside, &host);
                assert!(claims.iter().any(|claim| claim.verdict != Verdict::Held), "{place}/{name}");
            }
        }
    }

    #[test]
    fn where_the_hosts_eyes_are_shut_nothing_is_broken_and_nothing_is_claimed() {
        let (spec, inside, mut host) = good();
        host.process = Err("the engine runs elsewhere".into());
        let claims = judge(&spec, &inside, &host);
        let verdict = |id: &str| claims.iter().find(|claim| claim.id == id).unwrap().verdict;
        assert_eq!(verdict("dataset.ssv2.read-only"), Verdict::NotProvable);
        assert_eq!(verdict("user.capabilities"), Verdict::NotProvable);
        assert!(claims.iter().all(|claim| claim.verdict != Verdict::Broken), "{}", table(&claims, None));
    }

    #[test]
    fn a_proof_holds_only_where_every_claim_is_held() {
        let proof = |verdicts: &[Verdict]| {
            let claim = |verdict: &Verdict| json!({"id": "a", "verdict": verdict, "promise": "p", "evidence": {}});
            let claims: Vec<Value> = verdicts.iter().map(claim).collect();
            let saved = json!({"schema": 1, "container": "c", "nonce": "n", "time": "t", "image": "i", "codex": "x",
                               "claims": claims});
            serde_json::from_value::<Proof>(saved).unwrap().holds()
        };
        assert!(proof(&[Verdict::Held, Verdict::Held]) && proof(&[Verdict::Sampled, Verdict::Held]));
        for bad in [Verdict::Broken, Verdict::Missing, Verdict::NotProvable, Verdict::Noted] {
            assert!(!proof(&[Verdict::Held, bad]), "{bad:?}");
        }
        assert!(!proof(&[]), "nothing was proven");
    }

    #[test]
    fn the_table_shows_what_is_broken_first_and_counts_the_rest() {
        let claim = |id: &str, verdict, why: Option<&str>| Finding {
            verdict,
            evidence: Evidence { inside: "a; b".into(), ..Evidence::default() },
            why: why.map(str::to_owned),
            remedies: (verdict == Verdict::Broken).then(|| Remedy::Do("fix it".into())).into_iter().collect(),
            ..Finding::new(id, "p")
        };
        let claims = [
            claim("a", Verdict::Held, None),
            claim("b", Verdict::NotProvable, Some("dark")),
            claim("c", Verdict::Broken, Some("open\u{1b}")),
        ];
        assert_eq!(
            table(&claims, None),
            "broken        c  open\\u{1b}\n                 hint: fix it\nnot provable  b  dark\n\
             1 of 3 promises hold, seen from inside and from the host\n"
        );
        let sampled = [claims[0].clone(), claim("d", Verdict::Sampled, Some("sampled: the server can change it"))];
        assert_eq!(
            table(&sampled, None),
            "sampled  d  sampled: the server can change it\n\
             all 2 promises hold (1 of them sampled), seen from inside and from the host\n"
        );
        let mostly = [claims[0].clone(), claims[0].clone(), claims[1].clone()];
        assert!(table(&mostly, None).contains("2 of 3 promises hold"), "{}", table(&mostly, None));
        let proof = Proof {
            schema: SCHEMA,
            container: "c0".into(),
            nonce: "n0".into(),
            time: "t".into(),
            image: "i".into(),
            codex: "0".into(),
            claims: claims.to_vec(),
        };
        assert_eq!(proof.table(None), table(&claims, None));
        assert_eq!(
            full_table(&claims, None),
            "broken        c  open\\u{1b}\nnot provable  b  dark\nheld          a  p\n"
        );
        assert_eq!(
            serde_json::to_value(&claims[2]).unwrap(),
            json!({"id": "c", "verdict": "broken", "promise": "p", "evidence": {"inside": "a; b"}, "why": "open\u{1b}",
                   "hint": "fix it"})
        );
    }
}

#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, expect(dead_code, reason = "the fuzzer changes the good answers as JSON"))]
#[expect(clippy::unwrap_used, reason = "a good answer that cannot be read is a fault of the tests")]
pub(crate) mod fixture;
#[cfg(test)]
mod hosts;
#[cfg(any(test, fuzzing))]
mod unseen;
