//! The result as JUnit XML. Pure.
//!
//! Written here and not by `quick-junit`: with its dependencies (a derive among them) it adds 4.7 s of processor time to a clean
//! build of 13.8 s, and `quick-xml` alone adds 1.9 s; what is needed of them is five escapes. The tests read it back with
//! `quick-junit`.

use super::judge::{Advice, Judged, Outcome, Status};
use super::request::Request;
use super::show::Facts;
use std::fmt::Write as _;

/// The whole document: one suite, a case a check, and one more for the report itself.
pub fn document(facts: &Facts, request: &Request, seconds: f64, outcome: &Outcome) -> String {
    let failures = outcome.count(Status::Failed);
    let errors = outcome.count(Status::Missing) + usize::from(!outcome.problems.is_empty());
    let skipped = outcome.count(Status::NotRun);
    let counts = format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{seconds:.3}\"",
        outcome.checks.len() + 1
    );
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites name=\"gpu-smoke\" {counts}>");
    let time = &facts.time;
    let _ = writeln!(xml, "  <testsuite name=\"gpu-smoke\" {counts} timestamp=\"{}\">", attribute(time));
    xml.push_str("    <properties>\n");
    for (name, value) in properties(facts, request) {
        let _ = writeln!(xml, "      <property name=\"{name}\" value=\"{}\"/>", attribute(&value));
    }
    xml.push_str("    </properties>\n");
    report_case(&mut xml, outcome);
    for judged in &outcome.checks {
        case(&mut xml, judged);
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn properties(facts: &Facts, request: &Request) -> Vec<(&'static str, String)> {
    vec![
        ("image", facts.image.clone()),
        ("image-id", facts.image_id.clone().unwrap_or_default()),
        ("gpus", facts.gpus.clone()),
        ("driver", facts.driver.clone().unwrap_or_default()),
        ("arch", request.arch.to_string()),
        ("mode", request.mode.to_string()),
        ("nonce", request.nonce.clone()),
    ]
}

fn report_case(xml: &mut String, outcome: &Outcome) {
    let head = "    <testcase classname=\"gpu-smoke\" name=\"report\" time=\"0.000\"";
    let [first, ..] = outcome.problems.as_slice() else {
        let _ = writeln!(xml, "{head}/>");
        return;
    };
    let all: Vec<String> =
        outcome.problems.iter().map(|problem| with_advice(&problem.text, problem.advice.as_ref())).collect();
    let _ = writeln!(
        xml,
        "{head}>\n      <error message=\"{}\" type=\"report\">{}</error>\n    </testcase>",
        attribute(&first.text),
        escape(&all.join("\n"))
    );
}

fn case(xml: &mut String, judged: &Judged) {
    let group = judged.check.id.split('.').next().unwrap_or_default();
    let _ = writeln!(
        xml,
        "    <testcase classname=\"gpu-smoke.{group}\" name=\"{}\" time=\"{:.3}\">",
        judged.check.id, judged.seconds
    );
    let error = judged.error.as_deref().unwrap_or(&judged.evidence);
    let text = with_advice(error, judged.advice.as_ref());
    match judged.status {
        Status::Failed | Status::Missing => {
            let tag = if judged.status == Status::Failed { "failure" } else { "error" };
            let (message, kind) = (attribute(error), judged.status.text().to_lowercase());
            let _ = writeln!(xml, "      <{tag} message=\"{message}\" type=\"{kind}\">{}</{tag}>", escape(&text));
        }
        Status::NotRun => {
            let why =
                judged.advice.as_ref().map_or(judged.evidence.clone(), |why| format!("{}; {}", why.cause, why.remedy));
            let _ = writeln!(xml, "      <skipped message=\"{}\"/>", attribute(&why));
        }
        Status::Passed | Status::Noted => {}
    }
    let seen = match judged.status {
        Status::Noted => format!("{}\nnoted: {text}", judged.evidence),
        _ => judged.evidence.clone(),
    };
    let _ = writeln!(xml, "      <system-out>{}</system-out>\n    </testcase>", escape(&seen));
}

fn with_advice(error: &str, advice: Option<&Advice>) -> String {
    match advice {
        Some(advice) => format!("{error}\ncause: {}\nremedy: {}", advice.cause, advice.remedy),
        None => error.to_owned(),
    }
}

/// Text of an element. What no XML document may hold, an escape of a terminal for one, is shown as an escape.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

/// Text of an attribute: as above, and the ends of lines are kept, which a reader would otherwise make spaces.
fn attribute(text: &str) -> String {
    escape(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::judge::{Problem, Verdict};
    use super::*;
    use snapbox::{IntoData as _, assert_data_eq, str};

    fn text(outcome: &Outcome) -> String {
        document(&fixture::facts(), &fixture::request(), 7.5, outcome)
    }

    #[test]
    fn a_case_for_each_status() {
        let mut outcome = fixture::judged(&fixture::request(), &fixture::gpu_report(), None);
        outcome.checks.truncate(5);
        for (judged, status) in outcome.checks.iter_mut().zip([
            Status::Passed,
            Status::Failed,
            Status::Missing,
            Status::Noted,
            Status::NotRun,
        ]) {
            judged.status = status;
            if status != Status::Passed {
                judged.error = Some("<boom> & \"\u{1b}[1m\"\nsecond line".into());
                judged.advice = Some(fixture::no_gpu());
            }
        }
        assert_data_eq!(text(&outcome), str![[r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="gpu-smoke" tests="6" failures="1" errors="1" skipped="1" time="7.500">
  <testsuite name="gpu-smoke" tests="6" failures="1" errors="1" skipped="1" time="7.500" timestamp="2026-01-02T03:04:05Z">
    <properties>
      <property name="image" value="codex-sandbox:0123456789ab-u1000"/>
      <property name="image-id" value="sha256:aa"/>
      <property name="gpus" value="all"/>
      <property name="driver" value="570.86.10"/>
      <property name="arch" value="12.0"/>
      <property name="mode" value="quick"/>
      <property name="nonce" value="0123456789abcdef01234567"/>
    </properties>
    <testcase classname="gpu-smoke" name="report" time="0.000"/>
    <testcase classname="gpu-smoke.driver" name="driver.present" time="0.250">
      <system-out>as it should be</system-out>
    </testcase>
    <testcase classname="gpu-smoke.driver" name="driver.version" time="0.250">
      <failure message="&lt;boom&gt; &amp; &quot;\u{1b}[1m&quot;&#10;second line" type="failed">&lt;boom&gt; &amp; &quot;\u{1b}[1m&quot;
second line
cause: this host has no GPU that answers: `nvidia-smi` is not on PATH
remedy: install NVIDIA's driver</failure>
      <system-out>as it should be</system-out>
    </testcase>
    <testcase classname="gpu-smoke.devices" name="devices.count" time="0.250">
      <error message="&lt;boom&gt; &amp; &quot;\u{1b}[1m&quot;&#10;second line" type="missing">&lt;boom&gt; &amp; &quot;\u{1b}[1m&quot;
second line
cause: this host has no GPU that answers: `nvidia-smi` is not on PATH
remedy: install NVIDIA's driver</error>
      <system-out>as it should be</system-out>
    </testcase>
    <testcase classname="gpu-smoke.devices" name="devices.served" time="0.250">
      <system-out>as it should be
noted: &lt;boom&gt; &amp; &quot;\u{1b}[1m&quot;
second line
cause: this host has no GPU that answers: `nvidia-smi` is not on PATH
remedy: install NVIDIA's driver</system-out>
    </testcase>
    <testcase classname="gpu-smoke.versions" name="versions.torch" time="0.250">
      <skipped message="this host has no GPU that answers: `nvidia-smi` is not on PATH; install NVIDIA's driver"/>
      <system-out>as it should be</system-out>
    </testcase>
  </testsuite>
</testsuites>

"#]].raw());
    }

    #[test]
    fn the_crate_that_others_read_junit_with_reads_the_same_back() {
        let mut outcome = fixture::judged(&fixture::request(), &fixture::gpu_report(), None);
        outcome.checks[0].evidence = "a\u{0}\u{8}]]>\u{fffe}é😀 'single'".into();
        outcome.checks[1].status = Status::Failed;
        outcome.checks[1].error = Some("<one>\ntwo & \"three\"".into());
        outcome.problems.push(Problem::new("text behind the report"));
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
        assert_eq!(outcome.verdict(), Verdict::Failed);
    }
}
