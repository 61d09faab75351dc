//! What a report is worth: every planned check with its verdict, and the exit code. Pure.

use super::checks::{self, Check, planned};
use super::report::{CheckReport, Report, Reported};
use super::request::SmokeRequest;
use super::{native, remedy};
use crate::error::Failure;
use crate::finding::{Evidence, Finding, Verdict};
use crate::gpu::arch::serves;
use serde_json::Value;

/// As the table writes it.
pub(crate) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "passed",
        Verdict::Broken => "FAILED",
        Verdict::Missing => "MISSING",
        Verdict::Noted => "noted",
        Verdict::NotProvable => "not run",
    }
}

/// A check with what became of it. Not provable is what was not run, for a reason that is allowed; noted is what failed
/// and is not required; missing is what was planned and no report tells of.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The check.
    pub check: &'static Check,
    pub(crate) finding: Finding,
    /// How long it took.
    pub seconds: f64,
    /// Figures.
    pub values: Value,
}

/// Something that is wrong with the run as a whole, with what is known of its text.
pub(crate) fn problem(text: impl Into<String>) -> Finding {
    let promise = "there is one report, of this run, with every check that was planned";
    remedy::explained(Finding { verdict: Verdict::Broken, why: Some(text.into()), ..Finding::new("report", promise) })
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every required check passed, on a GPU.
    Passed,
    /// One that ran failed, or the report is no good.
    Failed,
    /// Nothing that ran failed, and there was no GPU.
    NoGpu,
}

impl Ending {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Ending::Passed => 0,
            Ending::Failed => 1,
            Ending::NoGpu => 3,
        }
    }

    /// As the reports write it.
    pub fn text(self) -> &'static str {
        match self {
            Ending::Passed => "passed",
            Ending::Failed => "failed",
            Ending::NoGpu => "no-gpu",
        }
    }
}

/// Everything that was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Every planned check, in the order of the plan.
    pub checks: Vec<Judged>,
    /// What is wrong beside them.
    pub(crate) problems: Vec<Finding>,
    /// Why there was no GPU, where none was asked for.
    pub no_gpu: Option<Failure>,
}

impl Judgement {
    /// How the run ended. Without a GPU it has never passed.
    pub fn ending(&self) -> Ending {
        if !self.problems.is_empty() || self.checks.iter().any(|judged| judged.finding.verdict.fatal()) {
            Ending::Failed
        } else if self.no_gpu.is_some() {
            Ending::NoGpu
        } else {
            Ending::Passed
        }
    }

    /// How many checks came to this.
    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|judged| judged.finding.verdict == verdict).count()
    }

    /// Nothing was started: there is no GPU, and that was known before.
    pub fn not_started(request: &SmokeRequest, why: Failure) -> Judgement {
        let skipped = |check| {
            let mut judged = blank(check, Verdict::NotProvable, "");
            because_of(&mut judged.finding, &why);
            judged
        };
        Judgement { checks: planned(request.mode).map(skipped).collect(), problems: Vec::new(), no_gpu: Some(why) }
    }
}

fn because_of(finding: &mut Finding, why: &Failure) {
    (finding.cause, finding.remedies) = (Some(why.message.clone()), why.remedies.clone());
}

/// Judges what was reported, or the reason why there is no report. `digest` is what this host computes that the kernel
/// must have written; `no_gpu` is why no GPU was asked for.
pub fn judge(
    request: &SmokeRequest,
    report: Result<&Report, &str>,
    digest: &str,
    no_gpu: Option<Failure>,
) -> Judgement {
    let judge_one = |check: &'static Check| {
        let Ok(report) = report else {
            return blank(check, Verdict::Missing, "");
        };
        let mut entries = report.checks.iter().filter(|entry| entry.id == check.id);
        match (entries.next(), entries.next()) {
            (None, _) => blank(check, Verdict::Missing, "the report lacks it"),
            (Some(_), Some(_)) => blank(check, Verdict::Missing, "the report has it twice"),
            (Some(entry), None) => one(request, report, digest, no_gpu.as_ref(), check, entry),
        }
    };
    let mut problems = Vec::new();
    match report {
        Err(why) => problems.push(problem(why)),
        Ok(report) => problems.extend(
            report
                .checks
                .iter()
                .filter(|entry| !planned(request.mode).any(|check| check.id == entry.id))
                .map(|entry| problem(format!("the report has a check `{}` that was not planned", entry.id))),
        ),
    }
    Judgement { checks: planned(request.mode).map(judge_one).collect(), problems, no_gpu }
}

fn blank(check: &'static Check, verdict: Verdict, seen: &str) -> Judged {
    let evidence = Evidence { inside: seen.to_owned(), ..Evidence::default() };
    let finding = Finding { verdict, evidence, ..Finding::new(check.id, check.what) };
    Judged { check, finding, seconds: 0.0, values: Value::Null }
}

fn one(
    request: &SmokeRequest,
    report: &Report,
    digest: &str,
    no_gpu: Option<&Failure>,
    check: &'static Check,
    entry: &CheckReport,
) -> Judged {
    let failed = if check.required { Verdict::Broken } else { Verdict::Noted };
    let why_not = || match entry.evidence.is_empty() {
        true => entry.error.clone().unwrap_or_default(),
        false => entry.evidence.clone(),
    };
    let (verdict, why) = match entry.said {
        Reported::Passed => match differs(request, report, digest, check, entry) {
            None => (Verdict::Held, None),
            Some(why) => (failed, Some(why)),
        },
        Reported::Failed => (failed, Some(entry.error.clone().unwrap_or_else(|| entry.evidence.clone()))),
        Reported::NotRun if may_be_left_out(request, report, check) => (Verdict::NotProvable, entry.error.clone()),
        Reported::NotRun => (Verdict::Broken, Some(format!("it was planned and was not run: {}", why_not()))),
    };
    let blank = blank(check, verdict, &entry.evidence);
    let mut finding = remedy::explained(Finding { why, ..blank.finding });
    if let (Verdict::NotProvable, true, Some(why)) = (verdict, check.gpu, no_gpu) {
        because_of(&mut finding, why);
    }
    Judged { finding, seconds: entry.seconds, values: entry.values.clone(), ..blank }
}

/// Which checks a report may leave out: those for which there is nothing to check, and those that are not required.
fn may_be_left_out(request: &SmokeRequest, report: &Report, check: &Check) -> bool {
    !check.required
        || (check.gpu && !request.gpu)
        || (check.id == checks::NCCL && report.devices.len() == 1 && request.gpus.is_none_or(|n| n == 1))
        || (check.id == checks::DATASET && request.dataset.is_none())
}

/// Where this host knows better than a check that says it passed.
fn differs(
    request: &SmokeRequest,
    report: &Report,
    digest: &str,
    check: &Check,
    entry: &CheckReport,
) -> Option<String> {
    if check.gpu && !request.gpu {
        return Some("it says that it passed, and there was no GPU to run it on".into());
    }
    let uuids = report.uuids();
    let faults = match check.id {
        checks::NATIVE_CODE => native::faults(&entry.values, request, &uuids, digest),
        checks::COUNT => request
            .gpus
            .filter(|n| *n != uuids.len())
            .map(|n| format!("{n} GPUs were asked for, and the report has {}", uuids.len()))
            .into_iter()
            .collect(),
        "devices.served" => {
            let arch = request.arch.to_string();
            let served = |device: &&Value| serves(&arch, device["capability"].as_str().unwrap_or_default());
            let not = report.devices.iter().filter(|device| !served(device));
            not.map(|device| format!("{} does not run code for {arch}", device["uuid"])).collect()
        }
        _ => Vec::new(),
    };
    (!faults.is_empty()).then(|| faults.join("; "))
}

#[cfg(test)]
mod tests;
