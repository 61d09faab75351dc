//! The report of the inside half: found in the text that it was printed in, and read. Pure.
//!
//! What an image's entry point prints before it is no matter. Anything else around it is: a line between the marks, or
//! behind the last one, came from something that should not have printed, and nothing says what else it did.

use super::request::SmokeRequest;
use serde_json::{Map, Value};

/// What a check said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// It ran, and all was right.
    Passed,
    /// It ran, and something was wrong.
    Failed,
    /// It was not run.
    NotRun,
}

/// One check of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// Its name.
    pub id: String,
    /// What it said.
    pub said: Reported,
    /// How long it took.
    pub seconds: f64,
    /// What was seen, or why it was not run.
    pub evidence: String,
    /// The text of its error.
    pub error: Option<String>,
    /// Figures.
    pub values: Value,
}

/// A whole report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What the random numbers were seeded with.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// Versions of what is in the image, by name.
    pub versions: Map<String, Value>,
    /// The driver, as the container sees it: `version` and `cuda`.
    pub driver: Value,
    /// The GPUs: `index`, `name`, `uuid`, `capability`, `memory_bytes`.
    pub devices: Vec<Value>,
    /// The checks, as they were printed.
    pub checks: Vec<CheckReport>,
}

/// The first words of the line before the report; this run's nonce follows.
pub const BEGIN: &str = "codex-sandbox-gpu-smoke-report";
/// The first words of the line behind it.
pub const END: &str = "codex-sandbox-gpu-smoke-end";

impl Report {
    /// Finds and reads the report of this request in what was printed.
    ///
    /// # Errors
    /// Why the text holds no report that can be relied on, in a sentence without an end.
    pub fn read(text: &str, request: &SmokeRequest) -> Result<Report, String> {
        let value: Value = serde_json::from_str(find(text, &request.nonce)?)
            .map_err(|err| format!("the report is not JSON: {err}"))?;
        let asked = [
            ("schema", Value::from(1)),
            ("nonce", request.nonce.clone().into()),
            ("arch", request.arch.to_string().into()),
            ("mode", request.mode.to_string().into()),
        ];
        for (key, expected) in asked {
            if value[key] != expected {
                return Err(format!("the report's `{key}` is {}, not {expected}", value[key]));
            }
        }
        let list = |key: &str| {
            let list = value[key].as_array();
            list.ok_or_else(|| format!("the report has no list `{key}`"))
        };
        if list("devices")?.iter().any(|device| !device["uuid"].is_string()) {
            return Err("a GPU of the report has no UUID".into());
        }
        Ok(Report {
            seed: value["seed"].as_u64().ok_or("the report has no seed")?,
            seconds: value["seconds"].as_f64().ok_or("the report has no time")?,
            versions: value["versions"].as_object().ok_or("the report has no versions")?.clone(),
            driver: value["driver"].clone(),
            devices: list("devices")?.clone(),
            checks: list("checks")?.iter().map(entry).collect::<Result<_, _>>()?,
        })
    }

    /// The UUIDs of the GPUs.
    pub fn uuids(&self) -> Vec<&str> {
        self.devices.iter().filter_map(|device| device["uuid"].as_str()).collect()
    }
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

fn entry(value: &Value) -> Result<CheckReport, String> {
    let id = value["id"].as_str().ok_or("a check of the report has no id")?;
    let wrong = |what: &str| format!("the report's check `{id}` has no {what}");
    Ok(CheckReport {
        id: id.to_owned(),
        said: match value["status"].as_str() {
            Some("passed") => Reported::Passed,
            Some("failed") => Reported::Failed,
            Some("not-run") => Reported::NotRun,
            _ => return Err(wrong("status that is known")),
        },
        seconds: value["seconds"].as_f64().ok_or_else(|| wrong("time"))?,
        evidence: value["evidence"].as_str().ok_or_else(|| wrong("evidence"))?.to_owned(),
        error: value["error"].as_str().map(str::to_owned),
        values: value["values"].clone(),
    })
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
            ("checks", json!({}), "no list `checks`"),
            ("devices", json!(null), "no list `devices`"),
            ("seed", json!(-1), "no seed"),
        ] {
            let mut report = fixture::gpu_report();
            report[key] = value;
            refused(&fixture::printed(&report), said);
        }
        let mut report = fixture::gpu_report();
        report["checks"][3]["status"] = json!("ok");
        refused(&fixture::printed(&report), "`devices.served` has no status");
    }
}
