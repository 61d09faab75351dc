//! The result as a person reads it: what ran where, a line a check, what failed and why, the end. Pure.

use super::judge::{Judged, Outcome, Status, Verdict};
use super::report::Report;
use super::request::Request;
use crate::ui::{columns_within, printable};
use serde_json::Value;

/// What is known of a run beside its report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
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
    facts: &Facts,
    request: &Request,
    report: Option<&Report>,
    outcome: &Outcome,
    width: Option<usize>,
) -> String {
    let head = columns_within(&head(facts, request, report), width);
    let mut rows = Vec::new();
    for judged in &outcome.checks {
        // Without any report nothing is known of the checks one by one.
        if report.is_some() || judged.status != Status::Missing {
            rows.extend(lines(judged));
        }
    }
    let mut text = head;
    if !rows.is_empty() {
        text.push_str(&format!("\n{}", columns_within(&rows, width)));
    }
    for problem in &outcome.problems {
        text.push_str(&format!("\nproblem: {}\n", shown(&problem.text)));
        if let Some(advice) = &problem.advice {
            text.push_str(&format!("cause: {}\nremedy: {}\n", advice.cause, advice.remedy));
        }
    }
    format!("{text}\n{}\n", summary(outcome))
}

fn head(facts: &Facts, request: &Request, report: Option<&Report>) -> Vec<Vec<String>> {
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
    let time = match judged.status {
        Status::NotRun | Status::Missing => String::new(),
        _ => format!("{:.2} s", judged.seconds),
    };
    let evidence = match judged.evidence.as_str() {
        "" => judged.check.what,
        evidence => evidence,
    };
    let mut rows = vec![vec![judged.status.text().to_owned(), time, judged.check.id.to_owned(), shown(evidence)]];
    // Why there is no GPU is said once, at the end.
    if judged.status == Status::NotRun {
        return rows;
    }
    let mut more = |name: &str, text: &str| {
        let line = format!("{name}: {}", shown(text));
        rows.push(vec![String::new(), String::new(), String::new(), line]);
    };
    if let Some(error) = &judged.error {
        more("error", error);
    }
    if let Some(advice) = &judged.advice {
        more("cause", &advice.cause);
        more("remedy", &advice.remedy);
    }
    rows
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
pub fn summary(outcome: &Outcome) -> String {
    let ids = |wanted: fn(Status) -> bool| -> Vec<&str> {
        let checks = outcome.checks.iter().filter(|judged| wanted(judged.status));
        checks.map(|judged| judged.check.id).collect()
    };
    let (passed, left_out) = (outcome.count(Status::Passed), outcome.count(Status::NotRun));
    let noted = match outcome.count(Status::Noted) {
        0 => String::new(),
        n => format!(", {n} noted"),
    };
    match outcome.verdict() {
        Verdict::Passed => format!("passed: every required check; {passed} passed{noted}, {left_out} not run"),
        Verdict::Failed => {
            let failed = ids(Status::fails);
            let what = match (failed.len(), outcome.problems.is_empty()) {
                (0, _) => "the report".to_owned(),
                (n, false) if n == outcome.checks.len() => "no check was reported".to_owned(),
                _ => failed.join(", "),
            };
            format!("FAILED: {what}; {passed} passed{noted}, {left_out} not run")
        }
        Verdict::NoGpu => {
            let (cause, remedy) = outcome.no_gpu.as_ref().map_or(("", ""), |why| (&why.cause, &why.remedy));
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
