//! The result as JSON. Its schema has a version and is described in docs/gpu-smoke.md. Pure.

use super::judge::{Judged, word};
use super::show::{SmokeResult, remedy};
use crate::error::sentence;
use crate::finding::Finding;
use serde_json::{Value, json};

/// The version of the schema: it goes up when a key is removed or changes its meaning.
const SCHEMA: u32 = 1;

/// The whole document.
pub fn document(result: SmokeResult) -> Value {
    let SmokeResult { facts, request, report, outcome } = result;
    let driver = report.map(|report| &report.driver);
    let ending = outcome.ending();
    json!({
        "schema": SCHEMA,
        "verdict": ending.to_string(),
        "exit_code": ending.code(),
        "time": facts.time,
        "seconds": report.map(|report| report.seconds),
        "mode": request.mode.to_string(),
        "arch": request.arch.to_string(),
        "nonce": request.nonce,
        "seed": report.map(|report| report.seed),
        "image": {"reference": facts.image, "id": facts.image_id, "digests": facts.image_digests},
        "engine": facts.engine,
        "container": facts.container,
        "gpus": facts.gpus,
        "driver": {
            "host": facts.driver,
            "version": driver.map(|driver| &driver.version),
            "cuda": driver.map(|driver| &driver.cuda),
        },
        "devices": report.map(|report| report.devices.as_slice()).unwrap_or_default(),
        "versions": report.map(|report| report.versions.clone()).unwrap_or_default(),
        "dataset": facts.dataset,
        "checks": outcome.checks.iter().map(check).collect::<Vec<_>>(),
        "problems": outcome.problems.iter().map(problem).collect::<Vec<_>>(),
        "no_gpu": outcome.no_gpu.as_ref().map(|why| json!({"cause": why.message, "remedy": sentence(&why.remedies)})),
    })
}

fn check(judged: &Judged) -> Value {
    let Judged { check, finding, seconds, values } = judged;
    json!({
        "id": finding.id,
        "what": finding.promise,
        "required": check.required,
        "needs_gpu": check.gpu,
        "status": word(finding.verdict).to_lowercase().replace(' ', "-"),
        "seconds": seconds,
        "evidence": finding.evidence.inside,
        "error": finding.why,
        "cause": finding.cause,
        "remedy": remedy(finding),
        "values": values,
    })
}

fn problem(problem: &Finding) -> Value {
    json!({"text": problem.why, "cause": problem.cause, "remedy": remedy(problem)})
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::report::Report;
    use super::*;
    use snapbox::{IntoData as _, assert_data_eq, str};

    #[test]
    fn the_document_says_what_ran_where_and_what_became_of_it() {
        let (request, printed) = (fixture::request(), fixture::printed(&fixture::gpu_report()));
        let report = Report::read(&printed, &request).unwrap();
        let mut outcome = fixture::judged(&request, &fixture::gpu_report(), None);
        outcome.checks.truncate(1);
        let facts = fixture::facts();
        let document =
            document(SmokeResult { facts: &facts, request: &request, report: Some(&report), outcome: &outcome });
        assert_data_eq!(
            format!("{document:#}\n"),
            str![[r#"
{
  "schema": 1,
  "verdict": "passed",
  "exit_code": 0,
  "time": "2026-01-02T03:04:05Z",
  "seconds": 7.5,
  "mode": "quick",
  "arch": "12.0",
  "nonce": "0123456789abcdef01234567",
  "seed": 81985529216486895,
  "image": {
    "reference": "codex-sandbox:0123456789ab-u1000",
    "id": "sha256:aa",
    "digests": []
  },
  "engine": "26.1.5",
  "container": "codex-sandbox-smoke-01234567",
  "gpus": "all",
  "driver": {
    "host": "570.86.10",
    "version": "570.86.10",
    "cuda": "12.8"
  },
  "devices": [
    {
      "index": 0,
      "name": "NVIDIA GeForce RTX 5090",
      "uuid": "GPU-aaaaaaaa-0000-4000-8000-000000000001",
      "capability": "12.0",
      "memory_bytes": 34190917632
    }
  ],
  "versions": {
    "python": "3.12.3",
    "torch": "2.6.0a0+ecf3bae40a.nv25.01",
    "cuda": "12.8",
    "decord": "0.6.0"
  },
  "dataset": null,
  "checks": [
    {
      "id": "driver.present",
      "what": "NVIDIA's driver answers in the container",
      "required": true,
      "needs_gpu": true,
      "status": "passed",
      "seconds": 0.25,
      "evidence": "as it should be",
      "error": null,
      "cause": null,
      "remedy": null,
      "values": {}
    }
  ],
  "problems": [],
  "no_gpu": null
}

"#]]
            .raw()
        );
    }

    #[test]
    fn the_document_of_a_run_without_a_gpu_says_why() {
        let (request, why) = (fixture::cpu_request(), fixture::no_gpu());
        let outcome = super::super::Judgement::not_started(&request, why.clone());
        let facts = fixture::facts();
        let document = document(SmokeResult { facts: &facts, request: &request, report: None, outcome: &outcome });
        assert_eq!((&document["verdict"], &document["exit_code"]), (&json!("no-gpu"), &json!(3)));
        let remedy = sentence(&why.remedies);
        assert_eq!(document["no_gpu"]["remedy"], remedy);
        assert_eq!(document["checks"][0]["status"], "not-run");
        assert_eq!(document["checks"][0]["remedy"], remedy);
        assert_eq!(document["devices"], json!([]));
    }
}
