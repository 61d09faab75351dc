//! What a sandbox needs of this host, and which of it is missing. Pure: facts in, findings out.
//!
//! What is fatal here is what `sandbox`, `image` and `gpu-smoke` refuse with, in the same words: both take it from the
//! same functions (`engine::refusals`, `gpu::route`, `base::misfit`, `sources::check`, …). The rest is advice.

mod advisories;
mod codex;
mod data;
mod engine;
pub(crate) mod gather;
mod gpu;
mod project;

use crate::codex::Codex;
use crate::codex::login::HostLogin;
use crate::distro::Distro;
use crate::engine::{Engine, Local, Silence};
use crate::error::{Failure, Kind, Remedy};
use crate::finding::{self, Finding, Verdict};
use crate::gpu::GpuFacts;
use crate::spec::settings::Settings;
use data::Files;
use project::{AboutImage, AboutState};
use serde_json::{Value, json};

/// The word that the doctor writes for a verdict.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held | Verdict::Sampled => "ok",
        Verdict::Noted => "warning",
        Verdict::Missing => "missing",
        Verdict::Broken => "broken",
        Verdict::NotProvable => "not checked",
    }
}

/// The first part of the id, such as `engine`.
fn group(finding: &Finding) -> &str {
    finding.id.split('.').next().unwrap_or_default()
}

/// Everything that was read about this host, and the settings that it is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AboutHost {
    /// The settings without what is wrong in them.
    settings: Settings,
    /// What is wrong in the settings.
    errors: Vec<Failure>,
    distro: Distro,
    engine: Result<Engine, Silence>,
    local: Local,
    devices: GpuFacts,
    /// The version of the NVIDIA Container Toolkit.
    toolkit: Option<String>,
    /// What `codex` leads to, or why it leads nowhere.
    codex: Result<Codex, Failure>,
    /// Whether there is a `codex` at all.
    codex_present: bool,
    /// Whether npm is on PATH.
    npm: bool,
    /// Whether the host has a Codex home.
    home_exists: bool,
    /// The login in the host's Codex home.
    login: HostLogin,
    /// The names of the variables with an API key that are set here and passed on.
    keys: Vec<String>,
    /// The directories to mount, or why they cannot be read.
    files: Result<Files, Failure>,
    state: AboutState,
    /// The image, where an engine answers; or why nothing can be read about it.
    image: Result<AboutImage, String>,
    /// Whether the program that makes the CPU base is there.
    mmdebstrap: bool,
}

fn doctor(facts: &AboutHost) -> Vec<Finding> {
    [engine::findings, gpu::findings, codex::findings, data::findings, project::findings]
        .iter()
        .flat_map(|findings| findings(facts))
        .collect()
}

/// The exit code: 0 where a sandbox could run, 3 where the host lacks something, 2 where only the settings are wrong.
pub(crate) fn exit_code(findings: &[Finding]) -> u8 {
    let fatal = || findings.iter().filter(|finding| finding.verdict.fatal());
    match fatal().all(|finding| finding.kind == Kind::Usage) {
        false => Kind::Host.code(),
        true => fatal().next().map_or(0, |_| Kind::Usage.code()),
    }
}

/// The findings as JSON. What to do is a list of lines for a shell, in which a sentence is a comment.
pub(crate) fn json(findings: &[Finding]) -> Value {
    let line = |remedy: &Remedy| match remedy {
        Remedy::Run(_) => remedy.to_string(),
        Remedy::Do(_) => format!("# {remedy}"),
    };
    let list = findings.iter().map(|finding| {
        json!({
            "group": group(finding),
            "id": finding.id,
            "verdict": word(finding.verdict),
            "what": finding.name,
            "found": finding.seen(),
            "needed": finding.promise,
            "mend": finding.remedies.iter().map(line).collect::<Vec<_>>(),
        })
    });
    json!({"schema": 1, "findings": list.collect::<Vec<_>>()})
}

/// The findings for people: a line each, and below a finding that is not `ok` what is needed and what to do. People copy
/// commands from here, so no line is wrapped.
pub(crate) fn table(findings: &[Finding]) -> String {
    let mut rows = Vec::new();
    for group in findings.chunk_by(|one, next| group(one) == group(next)) {
        rows.extend(group.first().map(|first| vec![self::group(first).to_owned()]));
        rows.extend(group.iter().flat_map(lines));
    }
    finding::columns(rows, None)
}

fn lines(finding: &Finding) -> Vec<Vec<String>> {
    let line = |remedy: &Remedy| match remedy {
        Remedy::Run(_) => format!("$ {remedy}"),
        Remedy::Do(_) => remedy.to_string(),
    };
    let needed = (!finding.promise.is_empty()).then(|| format!("needed: {}", finding.promise));
    let below = needed.into_iter().chain(finding.remedies.iter().map(line));
    let below = below.filter(|_| !finding.verdict.held());
    finding::rows([&format!("  {:<11}", word(finding.verdict)), &finding.name, finding.seen()], below)
}

pub(crate) fn summary(findings: &[Finding]) -> String {
    let fatal = findings.iter().filter(|finding| finding.verdict.fatal()).count();
    let warnings = findings.iter().filter(|finding| finding.verdict == Verdict::Noted).count();
    let many = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let warnings = match warnings {
        0 => String::new(),
        n => format!("; {}", many(n, "warning")),
    };
    match (fatal, exit_code(findings)) {
        (0, _) => format!("a sandbox with these settings can run here{warnings}"),
        (n, 2) => format!("the settings have to be corrected: {}{warnings}", many(n, "problem")),
        (n, _) => format!("no sandbox with these settings can run here yet: {}{warnings}", many(n, "problem")),
    }
}

#[cfg(test)]
mod tests;
