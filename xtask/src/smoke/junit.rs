//! The result as JUnit XML. Pure.
//!
//! XML readers turn line breaks in an attribute (`message`) into spaces; the text of the element keeps them.

use super::judge::{Judged, Judgement};
use super::show::{SmokeResult, told};
use crate::error::sentence;
use crate::finding::Verdict;
use crate::ui;
use anyhow::{Context as _, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// The whole document: one suite with a case for each check, and one more for the report itself.
pub(crate) fn document(result: SmokeResult) -> Result<String> {
    let SmokeResult { facts, outcome, .. } = result;
    let time = duration(result.report.map_or(0.0, |report| report.seconds));
    let mut suite = TestSuite::new("gpu-smoke");
    suite.set_time(time);
    suite.timestamp = facts.time.parse().ok();
    for (name, value) in properties(result) {
        suite.add_property((name, &*printable(&value)));
    }
    suite.add_test_case(report_case(outcome));
    suite.add_test_cases(outcome.checks.iter().map(case));
    let mut report = Report::new("gpu-smoke");
    report.set_time(time).add_test_suite(suite);
    report.to_string().context("cannot write the report as JUnit XML")
}

fn properties(SmokeResult { facts, request, .. }: SmokeResult) -> [(&'static str, String); 7] {
    [
        ("image", facts.image.clone()),
        ("image-id", facts.image_id.clone().unwrap_or_default()),
        ("gpus", facts.gpus.clone()),
        ("driver", facts.driver.clone().unwrap_or_default()),
        ("arch", request.arch.to_string()),
        ("mode", request.mode.to_string()),
        ("nonce", request.nonce.clone()),
    ]
}

fn report_case(outcome: &Judgement) -> TestCase {
    let status = match outcome.problems.as_slice() {
        [] => TestCaseStatus::success(),
        [first, ..] => {
            let all: Vec<String> = outcome.problems.iter().map(told).collect();
            non_success(NonSuccessKind::Error, "report", first.seen(), &all.join("\n"))
        }
    };
    let mut case = TestCase::new("report", status);
    case.set_classname("gpu-smoke").set_time(Duration::ZERO);
    case
}

fn case(judged: &Judged) -> TestCase {
    let finding = &judged.finding;
    let (error, text) = (finding.seen(), told(finding));
    let mut seen = finding.evidence.inside.clone();
    let status = match finding.verdict {
        Verdict::Broken => non_success(NonSuccessKind::Failure, "failed", error, &text),
        Verdict::Missing => non_success(NonSuccessKind::Error, "missing", error, &text),
        Verdict::NotProvable => {
            let why = finding.cause.as_ref().map(|cause| format!("{cause}; {}", sentence(&finding.remedies)));
            let mut status = TestCaseStatus::skipped();
            status.set_message(printable(why.as_ref().unwrap_or(&finding.evidence.inside)));
            status
        }
        Verdict::Noted => {
            seen = format!("{seen}\nnoted: {text}");
            TestCaseStatus::success()
        }
        Verdict::Held | Verdict::Sampled => TestCaseStatus::success(),
    };
    let group = judged.check.id.split('.').next().unwrap_or_default();
    let mut case = TestCase::new(judged.check.id, status);
    case.set_classname(format!("gpu-smoke.{group}"))
        .set_time(duration(judged.seconds))
        .set_system_out(printable(&seen));
    case
}

fn non_success(kind: NonSuccessKind, ty: &str, message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(ty).set_message(printable(message)).set_description(printable(text));
    status
}

/// A value that cannot be a duration counts as zero: the container's report is not trusted to hold a sensible one.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// A character that XML does not allow, such as the terminal's ESC, is shown as an escape. The library would drop it, and
/// a reader would not see that it was there.
fn printable(text: &str) -> String {
    ui::harmless(text).replace('\u{fffe}', r"\u{fffe}").replace('\u{ffff}', r"\u{ffff}")
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::judge::{Ending, problem};
    use super::*;
    use snapbox::{IntoData as _, assert_data_eq, str};

    fn text(outcome: &Judgement) -> String {
        let (facts, request) = (fixture::facts(), fixture::request());
        let report = crate::smoke::Report::read(&fixture::printed(&fixture::gpu_report()), &request).unwrap();
        document(SmokeResult { facts: &facts, request: &request, report: Some(&report), outcome }).unwrap()
    }

    #[test]
    fn a_case_for_each_status() {
        let mut outcome = fixture::judged(&fixture::request(), &fixture::gpu_report(), None);
        outcome.checks.truncate(5);
        for (judged, status) in outcome.checks.iter_mut().zip([
            Verdict::Held,
            Verdict::Broken,
            Verdict::Missing,
            Verdict::Noted,
            Verdict::NotProvable,
        ]) {
            judged.finding.verdict = status;
            if status != Verdict::Held {
                judged.finding.why = Some("<boom> & \"\u{1b}[1m\"\nsecond line".into());
                let why = fixture::no_gpu();
                (judged.finding.cause, judged.finding.remedies) = (Some(why.message), why.remedies);
            }
        }
        assert_data_eq!(text(&outcome), str![[r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="gpu-smoke" tests="6" skipped="1" failures="1" errors="1" time="7.500">
    <testsuite name="gpu-smoke" tests="6" skipped="1" errors="1" failures="1" timestamp="2026-01-02T03:04:05.000+00:00" time="7.500">
        <properties>
            <property name="image" value="codex-sandbox:0123456789ab-u1000"/>
            <property name="image-id" value="sha256:aa"/>
            <property name="gpus" value="all"/>
            <property name="driver" value="570.86.10"/>
            <property name="arch" value="12.0"/>
            <property name="mode" value="quick"/>
            <property name="nonce" value="0123456789abcdef01234567"/>
        </properties>
        <testcase name="report" classname="gpu-smoke" time="0.000"/>
        <testcase name="driver.present" classname="gpu-smoke.driver" time="0.250">
            <system-out>as it should be</system-out>
        </testcase>
        <testcase name="driver.version" classname="gpu-smoke.driver" time="0.250">
            <failure message="&lt;boom&gt; &amp; &quot;\u{1b}[1m&quot;
second line" type="failed">&lt;boom&gt; &amp; &quot;\u{1b}[1m&quot;
second line
cause: this host has no GPU that answers: `nvidia-smi` is not on PATH
remedy: install NVIDIA&apos;s driver</failure>
            <system-out>as it should be</system-out>
        </testcase>
        <testcase name="devices.count" classname="gpu-smoke.devices" time="0.250">
            <error message="&lt;boom&gt; &amp; &quot;\u{1b}[1m&quot;
second line" type="missing">&lt;boom&gt; &amp; &quot;\u{1b}[1m&quot;
second line
cause: this host has no GPU that answers: `nvidia-smi` is not on PATH
remedy: install NVIDIA&apos;s driver</error>
            <system-out>as it should be</system-out>
        </testcase>
        <testcase name="devices.served" classname="gpu-smoke.devices" time="0.250">
            <system-out>as it should be
noted: &lt;boom&gt; &amp; &quot;\u{1b}[1m&quot;
second line
cause: this host has no GPU that answers: `nvidia-smi` is not on PATH
remedy: install NVIDIA&apos;s driver</system-out>
        </testcase>
        <testcase name="versions.torch" classname="gpu-smoke.versions" time="0.250">
            <skipped message="this host has no GPU that answers: `nvidia-smi` is not on PATH; install NVIDIA&apos;s driver"/>
            <system-out>as it should be</system-out>
        </testcase>
    </testsuite>
</testsuites>

"#]].raw());
    }

    #[test]
    fn the_crate_that_others_read_junit_with_reads_the_same_back() {
        let mut outcome = fixture::judged(&fixture::request(), &fixture::gpu_report(), None);
        outcome.checks[0].finding.evidence.inside = "a\u{0}\u{8}]]>\u{fffe}é😀 'single'".into();
        outcome.checks[1].finding.verdict = Verdict::Broken;
        outcome.checks[1].finding.why = Some("<one>\ntwo & \"three\"".into());
        outcome.problems.push(problem("text behind the report"));
        let report = quick_junit::Report::deserialize_from_str(&text(&outcome)).unwrap();
        let suite = &report.test_suites[0];
        assert_eq!((report.tests, report.failures, report.errors), (outcome.checks.len() + 1, 1, 1));
        assert_eq!(suite.test_cases.len(), outcome.checks.len() + 1);
        let case = |n: usize| suite.test_cases[n].clone();
        assert!(
            matches!(&case(2).status, quick_junit::TestCaseStatus::NonSuccess { message: Some(message), .. }
            if message.as_str() == "<one>\ntwo & \"three\""),
            "{:?}",
            case(2).status
        );
        let out = case(1).system_out.unwrap();
        assert_eq!(out.as_str(), "a\\u{0}\\u{8}]]>\\u{fffe}é😀 'single'");
        assert_eq!(outcome.ending(), Ending::Failed);
    }
}
