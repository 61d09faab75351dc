//! The result as a person reads it: what ran where, a line for each check, what failed and why, the end. Pure.

use super::judge::{Ending, Judged, Judgement, word};
use super::report::Report;
use super::request::SmokeRequest;
use crate::error::sentence;
use crate::finding::{self, Finding, Verdict};
use crate::ui::{columns_within, printable};

/// What is known of a run beside its report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// The image as it was asked for.
    pub(crate) image: String,
    pub(crate) image_id: Option<String>,
    /// The digests of the image in registries.
    pub(crate) image_digests: Vec<String>,
    /// The engine's version.
    pub(crate) engine: String,
    /// The container; `None` where none was started.
    pub(crate) container: Option<String>,
    /// The GPUs that were asked for.
    pub(crate) gpus: String,
    /// The version of the host's kernel driver.
    pub(crate) driver: Option<String>,
    /// The start, as RFC 3339.
    pub(crate) time: String,
    /// The data set's directory on the host.
    pub(crate) dataset: Option<String>,
}

/// A run with its result, from which each report is written.
#[derive(Debug, Clone, Copy)]
pub struct SmokeResult<'a> {
    /// What is known beside the report.
    pub facts: &'a RunFacts,
    /// What was asked for.
    pub request: &'a SmokeRequest,
    /// What was reported, where there is a report that can be relied on.
    pub report: Option<&'a Report>,
    /// The verdicts on it.
    pub outcome: &'a Judgement,
}

/// The most characters of one text that the table shows; JSON has it whole.
const LONGEST: usize = 400;

/// The whole table; `width` is that of a terminal.
pub(crate) fn table(result: SmokeResult, width: Option<usize>) -> String {
    let SmokeResult { report, outcome, .. } = result;
    let mut text = columns_within(&head(result), width);
    // Without any report nothing is known of the single checks.
    let told = outcome.checks.iter().filter(|one| report.is_some() || one.finding.verdict != Verdict::Missing);
    let rows: Vec<_> = told.flat_map(lines).collect();
    if !rows.is_empty() {
        text.push_str(&format!("\n{}", columns_within(&rows, width)));
    }
    for problem in &outcome.problems {
        text.push_str(&format!("\nproblem: {}\n", shown(problem.seen())));
        explanation(problem).iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    format!("{text}\n{}\n", summary(outcome))
}

fn head(result: SmokeResult) -> Vec<Vec<String>> {
    let SmokeResult { facts, request, report, .. } = result;
    let row = |name: &str, value: String| vec![name.to_owned(), printable(&value)];
    let id = facts.image_id.as_deref().unwrap_or("no id");
    let mut rows = vec![
        row("image", format!("{} ({id})", facts.image)),
        row("run", format!("{}, nonce {}", request.mode, request.nonce)),
        row("arch", format!("{} (sm_{})", request.arch, request.arch.sm())),
        row("driver", facts.driver.clone().unwrap_or_else(|| "none".into())),
    ];
    let Some(report) = report else { return rows };
    rows.extend(report.devices.iter().map(|gpu| {
        let memory = gpu.memory_bytes >> 20;
        row(&format!("gpu {}", gpu.index), format!("{}, {}, {memory} MiB, {}", gpu.name, gpu.capability, gpu.uuid))
    }));
    let versions = report.versions.iter().filter_map(|(name, version)| Some(format!("{name} {}", version.as_str()?)));
    rows.push(row("versions", versions.collect::<Vec<_>>().join(", ")));
    rows
}

fn lines(judged: &Judged) -> Vec<Vec<String>> {
    let finding = &judged.finding;
    let seconds = format!("{:.2} s", judged.seconds);
    let (time, more) = match finding.verdict {
        Verdict::Held | Verdict::Sampled | Verdict::Noted | Verdict::Broken => (seconds.as_str(), true),
        Verdict::Missing => ("", true),
        // The reason why there is no GPU is given once, at the end.
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

/// What to do about it, where that is known.
pub(crate) fn remedy(finding: &Finding) -> Option<String> {
    (!finding.remedies.is_empty()).then(|| sentence(&finding.remedies))
}

/// What is known of the text of an error: the cause, and what to do.
fn explanation(finding: &Finding) -> Vec<String> {
    let remedy = remedy(finding).map(|remedy| format!("remedy: {remedy}"));
    finding.cause.iter().map(|cause| format!("cause: {cause}")).chain(remedy).collect()
}

/// An error with its explanation, a line each.
pub(crate) fn told(finding: &Finding) -> String {
    let error = finding.seen().trim().to_owned();
    [vec![error], explanation(finding)].concat().join("\n")
}

/// A text of the container, on one line and not too long.
pub(crate) fn shown(text: &str) -> String {
    let text = printable(text.trim());
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// The end in one line, or in two where there is no GPU.
pub(crate) fn summary(outcome: &Judgement) -> String {
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
