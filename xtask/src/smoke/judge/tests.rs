//! How whole reports are judged, and each change in them.

use super::*;
use crate::smoke::checks::{CHECKS, Extent};
use crate::smoke::fixture;
use serde_json::json;

fn status<'a>(outcome: &'a Judgement, id: &str) -> &'a Judged {
    outcome.checks.iter().find(|judged| judged.check.id == id).unwrap()
}

/// How a good report of a GPU is judged after a change.
fn changed(change: impl FnOnce(&mut Value)) -> Judgement {
    let mut report = fixture::gpu_report();
    change(&mut report);
    fixture::judged(&fixture::request(), &report, None)
}

fn entry<'a>(report: &'a mut Value, id: &str) -> &'a mut Value {
    let list = report["checks"].as_array_mut().unwrap();
    list.iter_mut().find(|entry| entry["id"] == id).unwrap()
}

#[test]
fn a_good_report_of_a_gpu_passes() {
    let outcome = changed(|_| {});
    assert_eq!((outcome.ending(), outcome.ending().code()), (Ending::Passed, 0));
    assert_eq!(outcome.checks.len(), planned(Extent::Quick).count());
    let left_out: Vec<&str> = outcome
        .checks
        .iter()
        .filter(|judged| judged.finding.verdict != Verdict::Held)
        .map(|judged| judged.check.id)
        .collect();
    assert_eq!(left_out, [checks::NCCL, checks::DATASET], "one GPU, no data set");
}

#[test]
fn every_check_fails_the_smoke_test_when_it_fails_or_is_missing_and_is_required() {
    for check in CHECKS.iter().filter(|check| !check.full) {
        let outcome = changed(|report| {
            let entry = entry(report, check.id);
            entry["status"] = json!("failed");
            entry["error"] = json!("boom");
        });
        let code = if check.required { 1 } else { 0 };
        assert_eq!(outcome.ending().code(), code, "{} failed", check.id);
        let judged = status(&outcome, check.id);
        assert_eq!(judged.finding.why.as_deref(), Some("boom"));
        assert_eq!(judged.finding.verdict == Verdict::Noted, !check.required);
        let outcome = changed(|report| {
            let list = report["checks"].as_array_mut().unwrap();
            list.retain(|entry| entry["id"] != check.id);
        });
        assert_eq!(outcome.ending().code(), 1, "{} was missing", check.id);
        assert_eq!(status(&outcome, check.id).finding.verdict, Verdict::Missing);
        let outcome = changed(|report| {
            let again = entry(report, check.id).clone();
            report["checks"].as_array_mut().unwrap().push(again);
        });
        assert_eq!(outcome.ending().code(), 1, "{} was there twice", check.id);
    }
}

#[test]
fn a_required_check_that_was_left_out_has_failed_but_for_the_two_that_may_be() {
    for check in CHECKS.iter().filter(|check| !check.full) {
        let outcome = changed(|report| {
            let entry = entry(report, check.id);
            entry["status"] = json!("not-run");
            entry["evidence"] = json!("no time");
        });
        let may = !check.required || [checks::NCCL, checks::DATASET].contains(&check.id);
        assert_eq!(outcome.ending().code(), u8::from(!may), "{}", check.id);
    }
    // With two GPUs and a data set, these two are required as well.
    let mut request = fixture::request();
    (request.dataset, request.gpus) = (Some("/datasets/ssv2".into()), Some(2));
    let mut report = fixture::gpu_report();
    let mut second = report["devices"][0].clone();
    second["uuid"] = json!("GPU-2");
    report["devices"].as_array_mut().unwrap().push(second.clone());
    let mut ran = entry(&mut report, checks::NATIVE_CODE)["values"]["devices"][0].clone();
    ran["uuid"] = json!("GPU-2");
    let list = &mut entry(&mut report, checks::NATIVE_CODE)["values"]["devices"];
    list.as_array_mut().unwrap().push(ran);
    let outcome = fixture::judged(&request, &report, None);
    let failed: Vec<&str> =
        outcome.checks.iter().filter(|judged| judged.finding.verdict.fatal()).map(|judged| judged.check.id).collect();
    assert_eq!(failed, [checks::NCCL, checks::DATASET]);
}

#[test]
fn a_check_that_was_not_planned_is_a_problem() {
    let outcome = changed(|report| {
        let mut odd = entry(report, "shm.size").clone();
        odd["id"] = json!("shm.sise");
        report["checks"].as_array_mut().unwrap().push(odd);
    });
    assert_eq!(outcome.ending(), Ending::Failed);
    assert!(outcome.problems[0].seen().contains("`shm.sise`"));
    assert_eq!(outcome.count(Verdict::Broken) + outcome.count(Verdict::Missing), 0);
}

#[test]
fn the_host_knows_better_than_a_check_that_says_it_passed() {
    let native = changed(|report| {
        entry(report, checks::NATIVE_CODE)["values"]["devices"][0]["digest"] = json!("0".repeat(64));
    });
    let judged = status(&native, checks::NATIVE_CODE);
    assert_eq!(judged.finding.verdict, Verdict::Broken);
    assert!(judged.finding.why.as_ref().unwrap().contains("not what this host computes"));
    let served = changed(|report| report["devices"][0]["capability"] = json!("9.0"));
    assert_eq!(status(&served, "devices.served").finding.verdict, Verdict::Broken);
    let mut request = fixture::request();
    request.gpus = Some(2);
    let count = fixture::judged(&request, &fixture::gpu_report(), None);
    assert_eq!(status(&count, checks::COUNT).finding.verdict, Verdict::Broken);
}

#[test]
fn without_a_gpu_nothing_is_ever_passed() {
    let (request, why) = (fixture::cpu_request(), fixture::no_gpu());
    let outcome = fixture::judged(&request, &fixture::cpu_report(), Some(why.clone()));
    assert_eq!((outcome.ending(), outcome.ending().code()), (Ending::NoGpu, 3));
    for judged in outcome.checks.iter().filter(|judged| judged.check.gpu) {
        assert_eq!(judged.finding.verdict, Verdict::NotProvable, "{}", judged.check.id);
        let Finding { cause, remedies, .. } = &judged.finding;
        assert_eq!((cause.as_ref(), remedies), (Some(&why.message), &why.remedies), "{}", judged.check.id);
    }
    let mut lies = fixture::cpu_report();
    entry(&mut lies, "matmul.fp32")["status"] = json!("passed");
    assert_eq!(fixture::judged(&request, &lies, Some(why.clone())).ending().code(), 1);
    let mut broken = fixture::cpu_report();
    entry(&mut broken, "decord.owner")["status"] = json!("failed");
    assert_eq!(fixture::judged(&request, &broken, Some(why.clone())).ending().code(), 1);
    let none = judge(&request, Err("the report was cut off"), "", Some(why.clone()));
    assert_eq!(none.ending().code(), 1);
    assert_eq!(Judgement::not_started(&request, why).ending().code(), 3);
}

#[test]
fn an_error_that_is_known_comes_with_its_cause_and_remedy() {
    let outcome = changed(|report| {
        let entry = entry(report, "matmul.bf16");
        entry["status"] = json!("failed");
        entry["error"] =
            json!("RuntimeError: CUDA error: no kernel image is available for execution on the device\nCompile with");
    });
    let finding = &status(&outcome, "matmul.bf16").finding;
    assert!(finding.cause.as_ref().unwrap().contains("native") && !finding.remedies.is_empty(), "{finding:?}");
    let lost = judge(
        &fixture::request(),
        Err("no report was printed; could not select device driver \"nvidia\" with capabilities: [[gpu]]"),
        "",
        None,
    );
    assert!(lost.problems[0].cause.is_some());
}

#[test]
fn a_report_that_cannot_be_relied_on_is_broken_and_says_why() {
    let finding = problem("odd");
    assert_eq!((finding.verdict, finding.why.as_deref()), (Verdict::Broken, Some("odd")));
}

#[test]
fn what_was_not_run_says_what_was_seen_or_else_the_error() {
    for (evidence, error, said) in [("no time", "boom", ": no time"), ("", "boom", ": boom"), ("", "", ": ")] {
        let outcome = changed(|report| {
            let entry = entry(report, "shm.size");
            (entry["status"], entry["evidence"]) = (json!("not-run"), json!(evidence));
            entry["error"] = if error.is_empty() { Value::Null } else { json!(error) };
        });
        let why = status(&outcome, "shm.size").finding.why.as_deref().unwrap();
        assert_eq!(why, format!("it was planned and was not run{said}"));
    }
}
