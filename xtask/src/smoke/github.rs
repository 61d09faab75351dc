//! The result for GitHub Actions: annotations, and a step summary in Markdown. Pure.

use super::judge::{Ending, Judged, Judgement, word};
use super::show::{self, SmokeResult, remedy, told};
use crate::error::sentence;
use crate::finding::Verdict;

/// The annotations: one for each failure, one for each check that is noted, and one where there is no GPU.
pub(crate) fn annotations(outcome: &Judgement) -> Vec<String> {
    let problems = outcome.problems.iter();
    let mut lines: Vec<String> = problems.map(|problem| command("error", "gpu-smoke", &told(problem))).collect();
    // Without any report, the problem says all that is known.
    let silent = outcome.count(Verdict::Missing) == outcome.checks.len();
    for Judged { finding, .. } in outcome.checks.iter().filter(|_| !silent) {
        let level = match finding.verdict {
            Verdict::Broken | Verdict::Missing => "error",
            Verdict::Noted => "warning",
            Verdict::Held | Verdict::Sampled | Verdict::NotProvable => continue,
        };
        lines.push(command(level, &format!("gpu-smoke: {}", finding.id), &told(finding)));
    }
    if let (Ending::NoGpu, Some(why)) = (outcome.ending(), &outcome.no_gpu) {
        let text = format!("{}\nremedy: {}", why.message.trim(), sentence(&why.remedies));
        lines.push(command("error", "gpu-smoke: no GPU", &text));
    }
    lines
}

/// A workflow command. Whatever the container printed, it can end neither the command nor its line.
fn command(level: &str, title: &str, text: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={}::{}", property(title), data(text))
}

/// The step summary.
pub(crate) fn summary(result: SmokeResult) -> String {
    let SmokeResult { facts, request, report, outcome } = result;
    let mut text = format!("## GPU smoke test: {}\n\n", outcome.ending());
    text.push_str("| | |\n| --- | --- |\n");
    let mut row = |name: &str, value: &str| text.push_str(&format!("| {name} | {} |\n", cell(value)));
    row("image", &facts.image);
    row("image id", facts.image_id.as_deref().unwrap_or("none"));
    row("architecture", &request.arch.to_string());
    row("driver", facts.driver.as_deref().unwrap_or("none"));
    for device in report.into_iter().flat_map(|report| &report.devices) {
        row("GPU", &format!("{}, {}, {}", device.name, device.capability, device.uuid));
    }
    row("run", &format!("{}, nonce {}", request.mode, request.nonce));
    text.push_str("\n| status | check | seconds | evidence |\n| --- | --- | --- | --- |\n");
    for judged in &outcome.checks {
        text.push_str(&check_row(judged));
    }
    for problem in &outcome.problems {
        text.push_str(&format!("\n**problem:** {}\n", cell(problem.seen())));
    }
    text.push_str(&format!("\n{}\n", cell(&show::summary(outcome))));
    text
}

fn check_row(judged: &Judged) -> String {
    let finding = &judged.finding;
    let mut seen = cell(&finding.evidence.inside);
    let more = match finding.verdict {
        Verdict::Broken | Verdict::Missing | Verdict::Noted => true,
        Verdict::Held | Verdict::Sampled | Verdict::NotProvable => false,
    };
    if let Some(error) = finding.why.as_ref().filter(|_| more) {
        seen.push_str(&format!("<br>error: {}", cell(error)));
    }
    if let Some(remedy) = remedy(finding).filter(|_| more) {
        seen.push_str(&format!("<br>remedy: {}", cell(&remedy)));
    }
    let seconds = format!("{:.2}", judged.seconds);
    format!("| {} | {} | {seconds} | {seen} |\n", word(finding.verdict), finding.id)
}

/// Text in a cell of a table: nothing in it is markup.
fn cell(text: &str) -> String {
    let mut safe = String::new();
    for c in text.trim().chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\n' => safe.push_str("<br>"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '!' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::report::Report;
    use super::*;
    use snapbox::{IntoData as _, assert_data_eq, str};

    fn one_failed() -> Judgement {
        let mut outcome = fixture::judged(&fixture::request(), &fixture::gpu_report(), None);
        outcome.checks.truncate(3);
        let checks = &mut outcome.checks;
        checks[0].finding.verdict = Verdict::Broken;
        checks[0].finding.why = Some("50% of it:\r\n::error::no".into());
        (checks[0].finding.cause, checks[0].finding.remedies) =
            (Some(fixture::no_gpu().message), fixture::no_gpu().remedies);
        checks[2].finding.verdict = Verdict::Noted;
        checks[2].finding.evidence.inside = "a|b <img> `c` *d*\nsecond".into();
        outcome
    }

    #[test]
    fn a_text_of_the_container_ends_neither_a_command_nor_its_line() {
        assert_data_eq!(annotations(&one_failed()).join("\n") + "\n", str![[r#"
::error title=gpu-smoke%3A driver.present::50%25 of it:%0D%0A::error::no%0Acause: this host has no GPU that answers: `nvidia-smi` is not on PATH%0Aremedy: install NVIDIA's driver
::warning title=gpu-smoke%3A devices.count::a|b <img> `c` *d*%0Asecond

"#]].raw());
        let no_gpu = fixture::judged(&fixture::cpu_request(), &fixture::cpu_report(), Some(fixture::no_gpu()));
        assert_data_eq!(annotations(&no_gpu).join("\n") + "\n", str![[r#"
::error title=gpu-smoke%3A no GPU::this host has no GPU that answers: `nvidia-smi` is not on PATH%0Aremedy: install NVIDIA's driver

"#]].raw());
        let good = fixture::judged(&fixture::request(), &fixture::gpu_report(), None);
        assert_eq!(annotations(&good), Vec::<String>::new());
    }

    #[test]
    fn the_summary_is_a_table_in_which_nothing_is_markup() {
        let request = fixture::request();
        let report = Report::read(&fixture::printed(&fixture::gpu_report()), &request).unwrap();
        let (facts, outcome) = (fixture::facts(), one_failed());
        let text = summary(SmokeResult { facts: &facts, request: &request, report: Some(&report), outcome: &outcome });
        assert_data_eq!(text, str![[r#"
## GPU smoke test: failed

| | |
| --- | --- |
| image | codex-sandbox:0123456789ab-u1000 |
| image id | sha256:aa |
| architecture | 12.0 |
| driver | 570.86.10 |
| GPU | NVIDIA GeForce RTX 5090, 12.0, GPU-aaaaaaaa-0000-4000-8000-000000000001 |
| run | quick, nonce 0123456789abcdef01234567 |

| status | check | seconds | evidence |
| --- | --- | --- | --- |
| FAILED | driver.present | 0.25 | as it should be<br>error: 50% of it:\r<br>::error::no<br>remedy: install NVIDIA's driver |
| passed | driver.version | 0.25 | as it should be |
| noted | devices.count | 0.25 | a\|b &lt;img&gt; \`c\` \*d\*<br>second |

FAILED: driver.present; 1 passed, 1 noted, 0 not run

"#]].raw());
    }
}
