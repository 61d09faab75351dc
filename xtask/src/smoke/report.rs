//! The report of the inside half: found in the text that it was printed in, and read. Pure.
//!
//! What an image's entry point prints before it does not matter. Any other text around it does: a line between the marks,
//! or after the last one, came from something that should not have printed, and nobody knows what else that did.

use super::request::{SCHEMA, SmokeRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a check said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reported {
    Passed,
    Failed,
    NotRun,
}

/// One check of a report.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct CheckReport {
    pub(crate) id: String,
    pub(crate) status: Reported,
    pub(crate) seconds: f64,
    /// What was seen, or why the check was not run.
    pub(crate) evidence: String,
    /// The text of its error.
    pub(crate) error: Option<String>,
    /// Figures.
    #[serde(default)]
    pub(crate) values: Value,
}

/// A GPU, as the driver names it in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) index: u64,
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) capability: String,
    pub(crate) memory_bytes: u64,
}

/// The driver, as the container sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Driver {
    pub(crate) version: Option<String>,
    /// The version of CUDA that it supports.
    pub(crate) cuda: Option<String>,
}

/// A whole report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The seed of the random numbers.
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    /// Versions of what is in the image, by name.
    pub(crate) versions: Map<String, Value>,
    pub(crate) driver: Driver,
    pub(crate) devices: Vec<Device>,
    /// The checks, in the order of the report.
    pub(crate) checks: Vec<CheckReport>,
}

/// The first words of the line before the report; this run's nonce follows.
pub(crate) const BEGIN: &str = "codex-sandbox-gpu-smoke-report";
/// The first words of the line after it.
pub(crate) const END: &str = "codex-sandbox-gpu-smoke-end";

impl Report {
    /// Finds and reads the report of this request in what was printed.
    ///
    /// # Errors
    /// Why the text holds no report that can be relied on, as a sentence without its stop.
    pub(crate) fn read(text: &str, request: &SmokeRequest) -> Result<Report, String> {
        let value: Value = serde_json::from_str(find(text, &request.nonce)?)
            .map_err(|err| format!("the report is not JSON: {err}"))?;
        let asked = [
            ("schema", Value::from(SCHEMA)),
            ("nonce", request.nonce.clone().into()),
            ("arch", request.arch.to_string().into()),
            ("mode", request.mode.to_string().into()),
        ];
        for (key, expected) in asked {
            if value[key] != expected {
                return Err(format!("the report's `{key}` is {}, not {expected}", value[key]));
            }
        }
        let checks: Vec<Value> = part(&value, "checks")?;
        let check = |check: &Value| {
            CheckReport::deserialize(check)
                .map_err(|err| format!("the report's check {} cannot be understood: {err}", check["id"]))
        };
        Ok(Report {
            seed: part(&value, "seed")?,
            seconds: part(&value, "seconds")?,
            versions: part(&value, "versions")?,
            driver: part(&value, "driver")?,
            devices: part(&value, "devices")?,
            checks: checks.iter().map(check).collect::<Result<_, _>>()?,
        })
    }

    /// The UUIDs of the GPUs.
    pub(crate) fn uuids(&self) -> Vec<&str> {
        self.devices.iter().map(|device| device.uuid.as_str()).collect()
    }
}

/// One part of the report. The error names it, which serde's own does not.
fn part<'a, T: Deserialize<'a>>(report: &'a Value, key: &str) -> Result<T, String> {
    T::deserialize(&report[key]).map_err(|err| format!("the report's `{key}` cannot be understood: {err}"))
}

/// The one line between the two marks of this nonce.
fn find<'a>(text: &'a str, nonce: &str) -> Result<&'a str, String> {
    let (begin, end) = (format!("{BEGIN} {nonce}"), format!("{END} {nonce}"));
    let lines: Vec<&str> = text.lines().collect();
    let starts: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| line.starts_with(BEGIN)).map(|(at, _)| at).collect();
    let [start] = starts[..] else {
        return Err(match starts.len() {
            0 => format!("no report was printed{}", last_words(&lines)),
            n => format!("{n} reports were printed, not one"),
        });
    };
    if lines[start] != begin {
        return Err("the report is that of another run: it has another nonce".into());
    }
    match lines[start + 1..] {
        [] | [_] => Err("the report was cut off".into()),
        [json, mark, ..] if mark != end => Err(match json.strip_suffix('}') {
            Some(_) => "there is text between the report and its end".into(),
            None => "the report was cut off, or there is text in it".into(),
        }),
        [_, _, ref rest @ ..] if rest.iter().any(|line| !line.trim().is_empty()) => {
            Err("there is text behind the report".into())
        }
        [json, ..] => Ok(json),
    }
}

fn last_words(lines: &[&str]) -> String {
    let last = lines.iter().rev().find(|line| !line.trim().is_empty());
    last.map_or(String::new(), |line| {
        format!("; the last line was `{}`", line.trim().chars().take(200).collect::<String>())
    })
}

/// For the fuzzer. A report of another run is never taken, and no check passes that is not in it.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let Some(arch) = super::Arch::parse("12.0") else { return };
    let request = SmokeRequest {
        nonce: "0123456789abcdef01234567".to_owned(),
        arch,
        mode: super::Extent::Quick,
        gpus: None,
        gpu: true,
        dataset: None,
        seconds: 600,
        torch: None,
    };
    let Ok(report) = Report::read(text, &request) else { return };
    assert!(text.contains(&request.nonce) && report.uuids().len() == report.devices.len());
    let judged = super::judge(&request, Ok(&report), "", None);
    assert!(judged.checks.iter().all(|one| one.finding.verdict.fatal() || text.contains(one.check.id)));
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Report, String> {
        Report::read(text, &fixture::request())
    }

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let err = read(text).unwrap_err();
        assert!(err.contains(why), "{err}");
    }

    #[test]
    fn banners_before_the_report_are_no_matter() {
        let report = read(&fixture::printed(&fixture::gpu_report())).unwrap();
        assert_eq!(report.uuids(), [fixture::UUID]);
        let banner = "\n== PyTorch ==\n\nNOTE: CUDA Forward Compatibility mode ENABLED.\n";
        assert_eq!(read(&format!("{banner}{}", fixture::printed(&fixture::gpu_report()))), Ok(report));
    }

    #[test]
    fn a_report_that_was_cut_off_anywhere_is_none() {
        let text = fixture::printed(&fixture::gpu_report());
        let start = text.find(BEGIN).unwrap();
        let whole = text.trim_end().len();
        for end in (start..whole).step_by(97).chain([whole - 1]) {
            assert!(read(&text[..end]).is_err(), "cut off at {end} of {whole}");
        }
    }

    #[test]
    fn text_in_or_behind_the_report_is_refused() {
        let report = fixture::gpu_report().to_string();
        let nonce = fixture::NONCE;
        refused("", "no report was printed");
        refused("Traceback\nImportError: no numpy\n", "`ImportError: no numpy`");
        refused(&format!("{BEGIN} {nonce}\nwarning\n{report}\n{END} {nonce}\n"), "text in it");
        refused(&format!("{BEGIN} {nonce}\n{report}\nwarning\n{END} {nonce}\n"), "text between");
        refused(&format!("{BEGIN} {nonce}\n{report}\n{END} {nonce}\nwarning\n"), "text behind");
        refused(&format!("{BEGIN} {nonce}\n{report} x\n{END} {nonce}\n"), "not JSON");
        refused(&format!("x{BEGIN} {nonce}\n{report}\n{END} {nonce}\n"), "no report was printed");
        let twice = fixture::printed(&fixture::gpu_report()).repeat(2);
        refused(&twice, "2 reports");
    }

    #[test]
    fn a_report_of_another_run_or_of_another_architecture_is_refused() {
        let other = fixture::printed(&fixture::gpu_report()).replace(fixture::NONCE, "ffffffffffffffffffffffff");
        refused(&other, "another nonce");
        for (key, value, said) in [
            ("nonce", json!("ffffffffffffffffffffffff"), "`nonce`"),
            ("arch", json!("9.0"), "`arch`"),
            ("mode", json!("native"), "`mode`"),
            ("schema", json!(2), "`schema`"),
            ("checks", json!({}), "`checks` cannot be understood"),
            ("devices", json!(null), "`devices` cannot be understood"),
            ("seed", json!(-1), "`seed` cannot be understood"),
        ] {
            let mut report = fixture::gpu_report();
            report[key] = value;
            refused(&fixture::printed(&report), said);
        }
        let mut report = fixture::gpu_report();
        report["checks"][3]["status"] = json!("ok");
        refused(&fixture::printed(&report), "check \"devices.served\" cannot be understood: unknown variant `ok`");
    }
}
