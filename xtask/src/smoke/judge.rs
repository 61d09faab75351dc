//! What a report is worth: every planned check with its verdict, and the exit code. Pure.

use super::checks::{self, Check, planned};
use super::remedy;
use super::report::{Entry, Report, Said};
use super::request::Request;
use crate::gpu::arch::serves;
use crate::gpu::native;
use serde_json::Value;

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It ran, and both witnesses say that all was right.
    Passed,
    /// It is required, and it failed.
    Failed,
    /// It was planned, and no report tells of it. As bad as failed.
    Missing,
    /// It is not required, and it failed.
    Noted,
    /// It was not run, for a reason that is allowed.
    NotRun,
}

impl Status {
    /// As the table and the reports write it.
    pub fn text(self) -> &'static str {
        match self {
            Status::Passed => "passed",
            Status::Failed => "FAILED",
            Status::Missing => "MISSING",
            Status::Noted => "noted",
            Status::NotRun => "not run",
        }
    }

    /// Whether the smoke test fails with it.
    pub fn fails(self) -> bool {
        matches!(self, Status::Failed | Status::Missing)
    }
}

/// Why something is as it is, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The cause.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

/// A check with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The check.
    pub check: &'static Check,
    /// What became of it.
    pub status: Status,
    /// How long it took.
    pub seconds: f64,
    /// What was seen.
    pub evidence: String,
    /// The text of its error.
    pub error: Option<String>,
    /// What is known of that text.
    pub advice: Option<Advice>,
    /// Figures.
    pub values: Value,
}

/// Something that is wrong with the run as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub text: String,
    /// What is known of it.
    pub advice: Option<Advice>,
}

impl Problem {
    /// A problem with what is known of its text.
    pub fn new(text: impl Into<String>) -> Problem {
        let text = text.into();
        Problem { advice: remedy::find(&text).map(remedy::Known::advice), text }
    }
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every required check passed, on a GPU.
    Passed,
    /// One that ran failed, or the report is no good.
    Failed,
    /// Nothing that ran failed, and there was no GPU.
    NoGpu,
}

impl Verdict {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Failed => 1,
            Verdict::NoGpu => 3,
        }
    }

    /// As the reports write it.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::NoGpu => "no-gpu",
        }
    }
}

/// Everything that was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Every planned check, in the order of the plan.
    pub checks: Vec<Judged>,
    /// What is wrong beside them.
    pub problems: Vec<Problem>,
    /// Why there was no GPU, where none was asked for.
    pub no_gpu: Option<Advice>,
}

impl Outcome {
    /// The verdict. Without a GPU it is never `Passed`.
    pub fn verdict(&self) -> Verdict {
        if !self.problems.is_empty() || self.checks.iter().any(|judged| judged.status.fails()) {
            Verdict::Failed
        } else if self.no_gpu.is_some() {
            Verdict::NoGpu
        } else {
            Verdict::Passed
        }
    }

    /// How many checks have this status.
    pub fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|judged| judged.status == status).count()
    }

    /// Nothing was started: there is no GPU, and that was known before.
    pub fn not_started(request: &Request, why: Advice) -> Outcome {
        let skipped = |check| Judged { advice: Some(why.clone()), ..blank(check, Status::NotRun, "") };
        Outcome { checks: planned(request.mode).map(skipped).collect(), problems: Vec::new(), no_gpu: Some(why) }
    }
}

/// Judges what was reported, or the reason why there is no report. `digest` is what this host computes that the kernel
/// must have written; `no_gpu` is why no GPU was asked for.
pub fn judge(request: &Request, report: Result<&Report, &str>, digest: &str, no_gpu: Option<Advice>) -> Outcome {
    let judge_one = |check: &'static Check| {
        let Ok(report) = report else {
            return blank(check, Status::Missing, "");
        };
        let mut entries = report.checks.iter().filter(|entry| entry.id == check.id);
        match (entries.next(), entries.next()) {
            (None, _) => blank(check, Status::Missing, "the report lacks it"),
            (Some(_), Some(_)) => blank(check, Status::Missing, "the report has it twice"),
            (Some(entry), None) => one(request, report, digest, no_gpu.as_ref(), check, entry),
        }
    };
    let mut problems = Vec::new();
    match report {
        Err(why) => problems.push(Problem::new(why)),
        Ok(report) => problems.extend(
            report
                .checks
                .iter()
                .filter(|entry| !planned(request.mode).any(|check| check.id == entry.id))
                .map(|entry| Problem::new(format!("the report has a check `{}` that was not planned", entry.id))),
        ),
    }
    Outcome { checks: planned(request.mode).map(judge_one).collect(), problems, no_gpu }
}

fn blank(check: &'static Check, status: Status, evidence: &str) -> Judged {
    Judged {
        check,
        status,
        seconds: 0.0,
        evidence: evidence.to_owned(),
        error: None,
        advice: None,
        values: Value::Null,
    }
}

fn one(
    request: &Request,
    report: &Report,
    digest: &str,
    no_gpu: Option<&Advice>,
    check: &'static Check,
    entry: &Entry,
) -> Judged {
    let failed = if check.required { Status::Failed } else { Status::Noted };
    let why_not = || match entry.evidence.is_empty() {
        true => entry.error.clone().unwrap_or_default(),
        false => entry.evidence.clone(),
    };
    let (status, error) = match entry.said {
        Said::Passed => match differs(request, report, digest, check, entry) {
            None => (Status::Passed, None),
            Some(why) => (failed, Some(why)),
        },
        Said::Failed => {
            let error = entry.error.clone().unwrap_or_else(|| entry.evidence.clone());
            (failed, Some(error))
        }
        Said::NotRun if may_be_left_out(request, report, check) => (Status::NotRun, entry.error.clone()),
        Said::NotRun => (Status::Failed, Some(format!("it was planned and was not run: {}", why_not()))),
    };
    let known = error.as_deref().and_then(remedy::find).map(remedy::Known::advice);
    let advice = match (status, check.gpu, no_gpu) {
        (Status::NotRun, true, Some(why)) => Some(why.clone()),
        (Status::Passed, ..) => None,
        _ => known,
    };
    Judged {
        check,
        status,
        seconds: entry.seconds,
        evidence: entry.evidence.clone(),
        error,
        advice,
        values: entry.values.clone(),
    }
}

/// Which checks a report may leave out: those for which there is nothing to check, and those that are not required.
fn may_be_left_out(request: &Request, report: &Report, check: &Check) -> bool {
    !check.required
        || (check.gpu && !request.gpu)
        || (check.id == checks::NCCL && report.devices.len() == 1 && request.gpus.is_none_or(|n| n == 1))
        || (check.id == checks::DATASET && request.dataset.is_none())
}

/// Where this host knows better than a check that says it passed.
fn differs(request: &Request, report: &Report, digest: &str, check: &Check, entry: &Entry) -> Option<String> {
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
