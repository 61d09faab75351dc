//! The result as a person reads it: what ran where, a line a check, what failed and why, the end. Pure.

use super::judge::{Ending, Judged, Judgement, word};
use super::report::Report;
use super::request::SmokeRequest;
use crate::error::sentence;
use crate::finding::{self, Finding, Verdict};
use crate::ui::{columns_within, printable};
use serde_json::Value;

/// What is known of a run beside its report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// The image as it was asked for.
    pub image: String,
    /// Its id.
    pub image_id: Option<String>,
    /// Its digests in registries.
    pub image_digests: Vec<String>,
    /// The engine's version.
    pub engine: String,
    /// The container; `None` where none was started.
    pub container: Option<String>,
    /// The GPUs that were asked for.
    pub gpus: String,
    /// The version of the host's kernel driver.
    pub driver: Option<String>,
    /// When it was started, as RFC 3339.
    pub time: String,
    /// The data set's directory on the host.
    pub dataset: Option<String>,
}

/// The most of one text that the table shows; JSON has it whole.
const LONGEST: usize = 400;

/// The whole table; `width` is that of a terminal.
pub fn table(
    facts: &RunFacts,
    request: &SmokeRequest,
    report: Option<&Report>,
    outcome: &Judgement,
    width: Option<usize>,
) -> String {
    let head = columns_within(&head(facts, request, report), width);
    let mut rows = Vec::new();
    for judged in &outcome.checks {
        // Without any report nothing is known of the checks one by one.
        if report.is_some() || judged.finding.verdict != Verdict::Missing {
            rows.extend(lines(judged));
        }
    }
    let mut text = head;
    if !rows.is_empty() {
        text.push_str(&format!("\n{}", columns_within(&rows, width)));
    }
    for problem in &outcome.problems {
        text.push_str(&format!("\nproblem: {}\n", shown(problem.seen())));
        explanation(problem).iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    format!("{text}\n{}\n", summary(outcome))
}

fn head(facts: &RunFacts, request: &SmokeRequest, report: Option<&Report>) -> Vec<Vec<String>> {
    let row = |name: &str, value: String| vec![name.to_owned(), printable(&value)];
    let id = facts.image_id.as_deref().unwrap_or("no id");
    let mut rows = vec![
        row("image", format!("{} ({id})", facts.image)),
        row("run", format!("{}, nonce {}", request.mode, request.nonce)),
        row("arch", format!("{} (sm_{})", request.arch, request.arch.sm())),
        row("driver", facts.driver.clone().unwrap_or_else(|| "none".into())),
    ];
    let Some(report) = report else { return rows };
    for device in &report.devices {
        let text = |key: &str| device[key].as_str().unwrap_or("unknown").to_owned();
        let memory = device["memory_bytes"].as_u64().unwrap_or(0) >> 20;
        let what = format!("{}, {}, {memory} MiB, {}", text("name"), text("capability"), text("uuid"));
        rows.push(row(&format!("gpu {}", device["index"]), what));
    }
    let named = report.versions.iter();
    let versions: Vec<String> =
        named.filter_map(|(name, version)| Some(format!("{name} {}", version.as_str()?))).collect();
    rows.push(row("versions", versions.join(", ")));
    rows
}

fn lines(judged: &Judged) -> Vec<Vec<String>> {
    let finding = &judged.finding;
    let seconds = format!("{:.2} s", judged.seconds);
    let (time, more) = match finding.verdict {
        Verdict::Held | Verdict::Noted | Verdict::Broken => (seconds.as_str(), true),
        Verdict::Missing => ("", true),
        // Why there is no GPU is said once, at the end.
        Verdict::NotProvable => ("", false),
    };
    let evidence = match finding.evidence.inside.as_str() {
        "" => &finding.promise,
        evidence => evidence,
    };
    let error = finding.why.iter().map(|error| format!("error: {}", shown(error)));
    let below = error.chain(explanation(finding)).filter(|_| more);
    finding::rows([word(finding.verdict), time, &finding.id, &shown(evidence)], below)
}

/// What is known of the text of an error: the cause, and what to do.
fn explanation(finding: &Finding) -> Vec<String> {
    let remedy = (!finding.remedies.is_empty()).then(|| format!("remedy: {}", sentence(&finding.remedies)));
    finding.cause.iter().map(|cause| format!("cause: {cause}")).chain(remedy).collect()
}

/// An error with its explanation, a line each.
pub(crate) fn told(finding: &Finding) -> String {
    let error = finding.seen().trim().to_owned();
    [vec![error], explanation(finding)].concat().join("\n")
}

/// A text of the container, on one line and not too long.
pub fn shown(text: &str) -> String {
    let text = printable(text.trim());
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// The end in one line, or in two where there is no GPU.
pub fn summary(outcome: &Judgement) -> String {
    let (passed, left_out) = (outcome.count(Verdict::Held), outcome.count(Verdict::NotProvable));
    let noted = match outcome.count(Verdict::Noted) {
        0 => String::new(),
        n => format!(", {n} noted"),
    };
    match outcome.ending() {
        Ending::Passed => format!("passed: every required check; {passed} passed{noted}, {left_out} not run"),
        Ending::Failed => {
            let failed = outcome.checks.iter().filter(|judged| judged.finding.verdict.fatal());
            let failed: Vec<&str> = failed.map(|judged| judged.check.id).collect();
            let what = match (failed.len(), outcome.problems.is_empty()) {
                (0, _) => "the report".to_owned(),
                (n, false) if n == outcome.checks.len() => "no check was reported".to_owned(),
                _ => failed.join(", "),
            };
            format!("FAILED: {what}; {passed} passed{noted}, {left_out} not run")
        }
        Ending::NoGpu => {
            let why = outcome.no_gpu.as_ref();
            let (cause, remedy) = why.map(|why| (why.message.as_str(), sentence(&why.remedies))).unwrap_or_default();
            format!("NO GPU: {passed} passed{noted}, {left_out} not run: {cause}\nremedy: {remedy}")
        }
    }
}

/// A figure of a report as text, for those that show it.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
