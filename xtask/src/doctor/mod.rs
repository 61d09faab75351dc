//! What this host has and lacks for a sandbox, all at once. Pure: facts in, findings out.
//!
//! What is fatal here is what `sandbox`, `image` and `gpu-smoke` refuse with, in the same words: both take it from the
//! same functions (`engine::refusals`, `gpu::route`, `base::misfit`, `sources::check`, …). The rest is advice.

pub(crate) mod codex;
pub(crate) mod data;
pub(crate) mod engine;
pub(crate) mod gather;
pub(crate) mod gpu;
pub(crate) mod project;
mod versions;

use crate::error::{Kind, Mend};
use crate::finding::{self, Finding, Verdict};
use serde_json::{Value, json};

/// As the doctor writes it.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "ok",
        Verdict::Noted => "warning",
        Verdict::Missing => "missing",
        Verdict::Broken => "broken",
        Verdict::NotProvable => "not checked",
    }
}

/// What a finding is about: the first part of its id, such as `engine`.
fn group(finding: &Finding) -> &str {
    finding.id.split('.').next().unwrap_or_default()
}

/// Everything that is known of this host and of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AboutHost {
    /// The engine.
    pub engine: engine::AboutEngine,
    /// The GPUs.
    pub gpu: gpu::AboutGpus,
    /// Codex.
    pub codex: codex::AboutCodex,
    /// The data sets.
    pub data: data::AboutData,
    /// The project.
    pub project: project::AboutProject,
}

/// All findings, by group.
pub(crate) fn doctor(facts: &AboutHost) -> Vec<Finding> {
    let mut findings = engine::findings(&facts.engine);
    findings.extend(gpu::findings(&facts.gpu));
    findings.extend(codex::findings(&facts.codex));
    findings.extend(data::findings(&facts.data));
    findings.extend(project::findings(&facts.project));
    findings
}

/// The exit code: 0 where a sandbox could run, 3 where the host lacks something, 2 where only the settings are wrong.
pub(crate) fn exit_code(findings: &[Finding]) -> u8 {
    let fatal = || findings.iter().filter(|finding| finding.verdict.fatal());
    if fatal().any(|finding| finding.kind != Kind::Usage) {
        Kind::Host.code()
    } else if fatal().next().is_some() {
        Kind::Usage.code()
    } else {
        0
    }
}

/// The findings as JSON. What to do is a list of lines for a shell: what is no command is a comment.
pub(crate) fn json(findings: &[Finding]) -> Value {
    let mend = |mend: &Mend| match mend {
        Mend::Run(command) => command.clone(),
        Mend::Do(text) => format!("# {text}"),
    };
    let list = findings.iter().map(|finding| {
        json!({
            "group": group(finding),
            "id": finding.id,
            "verdict": word(finding.verdict),
            "what": finding.name,
            "found": finding.seen(),
            "needed": finding.promise,
            "mend": finding.mend.iter().map(mend).collect::<Vec<_>>(),
        })
    });
    json!({"schema": 1, "findings": list.collect::<Vec<_>>()})
}

/// The findings for people: a line each, and below those that are not well what is needed and what to do. Commands are
/// copied from here, so no line is wrapped.
pub(crate) fn table(findings: &[Finding]) -> String {
    let mut rows = Vec::new();
    for group in findings.chunk_by(|one, next| group(one) == group(next)) {
        rows.extend(group.first().map(|first| vec![self::group(first).to_owned()]));
        rows.extend(group.iter().flat_map(lines));
    }
    finding::columns(rows, None)
}

fn lines(finding: &Finding) -> Vec<Vec<String>> {
    let mend = |mend: &Mend| match mend {
        Mend::Run(command) => format!("$ {command}"),
        Mend::Do(text) => text.clone(),
    };
    let needed = (!finding.promise.is_empty()).then(|| format!("needed: {}", finding.promise));
    let below = needed.into_iter().chain(finding.mend.iter().map(mend));
    let below = below.filter(|_| !finding.verdict.held());
    finding::rows([&format!("  {:<11}", word(finding.verdict)), &finding.name, finding.seen()], below)
}

/// The last line for people.
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
        (n, 2) => format!("the settings need mending: {}{warnings}", many(n, "problem")),
        (n, _) => format!("no sandbox with these settings can run here yet: {}{warnings}", many(n, "problem")),
    }
}

#[cfg(test)]
mod tests;
