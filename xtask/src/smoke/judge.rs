//! What a report is worth: every planned check with its verdict, and the exit code. Pure.

use super::checks::{self, Check, planned};
use super::report::{CheckReport, Report, Reported};
use super::request::SmokeRequest;
use super::{native, remedy};
use crate::error::Failure;
use crate::finding::{Evidence, Finding, Verdict};
use crate::gpu::arch::serves;
use crate::spec::words::display;
use serde_json::Value;

/// As the table writes it.
pub(crate) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held | Verdict::Sampled => "passed",
        Verdict::Broken => "FAILED",
        Verdict::Missing => "MISSING",
        Verdict::Noted => "noted",
        Verdict::NotProvable => "not run",
    }
}

/// A check with its verdict. Not provable is what was not run, for a reason that is allowed; noted is what failed and is
/// not required; missing is what was planned and is in no report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    pub(crate) check: &'static Check,
    pub(crate) finding: Finding,
    pub(crate) seconds: f64,
    /// Figures.
    pub(crate) values: Value,
}

/// Something that is wrong with the run as a whole, with its cause and remedy where its text is a known one.
pub(crate) fn problem(text: impl Into<String>) -> Finding {
    let promise = "there is one report, of this run, with every check that was planned";
    remedy::explained(Finding { verdict: Verdict::Broken, why: Some(text.into()), ..Finding::new("report", promise) })
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ending {
    /// Every required check passed, on a GPU.
    Passed = 0,
    /// A check that ran failed, or the report cannot be relied on.
    Failed = 1,
    /// Nothing that ran failed, and there was no GPU.
    NoGpu = 3,
}

impl Ending {
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

display!(Ending);

/// Everything that was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Every planned check, in the order of the plan.
    pub(crate) checks: Vec<Judged>,
    /// What is wrong beside them.
    pub(crate) problems: Vec<Finding>,
    /// Why there was no GPU, where none was asked for.
    pub(crate) no_gpu: Option<Failure>,
}

impl Judgement {
    /// How the run ended. Without a GPU it has never passed.
    pub(crate) fn ending(&self) -> Ending {
        if !self.problems.is_empty() || self.checks.iter().any(|judged| judged.finding.verdict.fatal()) {
            Ending::Failed
        } else if self.no_gpu.is_some() {
            Ending::NoGpu
        } else {
            Ending::Passed
        }
    }

    /// How many checks have this verdict.
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
pub(crate) fn judge(
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
            (Some(entry), None) => Judge { request, report, digest, no_gpu: no_gpu.as_ref() }.one(check, entry),
        }
    };
    let planned_for = |id: &str| planned(request.mode).any(|check| check.id == id);
    let problems = match report {
        Err(why) => vec![problem(why)],
        Ok(report) => {
            let odd = report.checks.iter().filter(|entry| !planned_for(&entry.id));
            odd.map(|entry| problem(format!("the report has a check `{}` that was not planned", entry.id))).collect()
        }
    };
    Judgement { checks: planned(request.mode).map(judge_one).collect(), problems, no_gpu }
}

fn blank(check: &'static Check, verdict: Verdict, seen: &str) -> Judged {
    let evidence = Evidence { inside: seen.to_owned(), ..Evidence::default() };
    let finding = Finding { verdict, evidence, ..Finding::new(check.id, check.what) };
    Judged { check, finding, seconds: 0.0, values: Value::Null }
}

/// What the single checks are judged by.
struct Judge<'a> {
    request: &'a SmokeRequest,
    report: &'a Report,
    digest: &'a str,
    no_gpu: Option<&'a Failure>,
}

impl Judge<'_> {
    fn one(&self, check: &'static Check, entry: &CheckReport) -> Judged {
        let failed = if check.required { Verdict::Broken } else { Verdict::Noted };
        let CheckReport { evidence, error, .. } = entry;
        let (verdict, why) = match entry.status {
            Reported::Passed => match self.differs(check, entry) {
                None => (Verdict::Held, None),
                Some(why) => (failed, Some(why)),
            },
            Reported::Failed => (failed, Some(error.as_ref().unwrap_or(evidence).clone())),
            Reported::NotRun if self.may_be_left_out(check) => (Verdict::NotProvable, error.clone()),
            Reported::NotRun => {
                let why = Some(evidence).filter(|seen| !seen.is_empty()).or(error.as_ref());
                (Verdict::Broken, Some(format!("it was planned and was not run: {}", why.map_or("", |why| why))))
            }
        };
        let blank = blank(check, verdict, evidence);
        let mut finding = remedy::explained(Finding { why, ..blank.finding });
        if let (Verdict::NotProvable, true, Some(why)) = (verdict, check.gpu, self.no_gpu) {
            because_of(&mut finding, why);
        }
        Judged { finding, seconds: entry.seconds, values: entry.values.clone(), ..blank }
    }

    /// Which checks a report may leave out: those for which there is nothing to check, and those that are not required.
    fn may_be_left_out(&self, check: &Check) -> bool {
        let SmokeRequest { gpu, gpus, dataset, .. } = self.request;
        !check.required
            || (check.gpu && !gpu)
            || (check.id == checks::NCCL && self.report.devices.len() == 1 && gpus.is_none_or(|n| n == 1))
            || (check.id == checks::DATASET && dataset.is_none())
    }

    /// Where this host knows better than a check that says it passed.
    fn differs(&self, check: &Check, entry: &CheckReport) -> Option<String> {
        let (request, report) = (self.request, self.report);
        if check.gpu && !request.gpu {
            return Some("it says that it passed, and there was no GPU to run it on".into());
        }
        let uuids = report.uuids();
        let faults = match check.id {
            checks::NATIVE_CODE => native::faults(&entry.values, request, &uuids, self.digest),
            checks::COUNT => {
                let other = request.gpus.filter(|n| *n != uuids.len());
                Vec::from_iter(other.map(|n| format!("{n} GPUs were asked for, and the report has {}", uuids.len())))
            }
            "devices.served" => {
                let arch = request.arch.to_string();
                let not = report.devices.iter().filter(|device| !serves(&arch, &device.capability));
                not.map(|device| format!("`{}` does not run code for {arch}", device.uuid)).collect()
            }
            _ => Vec::new(),
        };
        (!faults.is_empty()).then(|| faults.join("; "))
    }
}

#[cfg(test)]
mod tests;
