//! The workflows for GitHub Actions, checked against the schema of such files and against what this tool expects of them.

use crate::support::place::{Place, repository};
use crate::support::proc;
use serde_json::{Value, json};
use std::fs;

fn workflows() -> Vec<(String, Value)> {
    let dir = repository().join(".github/workflows");
    let mut found: Vec<(String, Value)> = fs::read_dir(dir)
        .expect("the workflows")
        .map(|entry| entry.expect("a workflow"))
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).expect("its text");
            let name = entry.file_name().display().to_string();
            let value = serde_yaml::from_str(&text).unwrap_or_else(|err| panic!("{name}: {err}"));
            (name, value)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn workflow(name: &str) -> Value {
    let found = workflows().into_iter().find(|(file, _)| file == name);
    found.unwrap_or_else(|| panic!("no workflow `{name}`")).1
}

/// What the schema has against it.
fn faults(workflow: &Value) -> Vec<String> {
    let text = include_str!("schemas/github-workflow.json");
    let schema: Value = serde_json::from_str(text).expect("the schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema that can be used");
    validator.iter_errors(workflow).map(|err| format!("{} at {}", err, err.instance_path())).collect()
}

#[test]
fn every_workflow_is_one_by_its_schema() {
    let names: Vec<String> = workflows().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ci.yml", "gpu-smoke.yml"]);
    for (name, workflow) in workflows() {
        assert_eq!(faults(&workflow), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_schema_sees_what_is_wrong_with_a_workflow() {
    for (pointer, value) in [
        ("/jobs/gpu-smoke/runs-on", json!(null)),
        ("/jobs/gpu-smoke/steps/0/uses", json!(4)),
        ("/jobs/gpu-smoke/timeout-minutes", json!("soon")),
        ("/permissions/contents", json!("readonly")),
    ] {
        let mut workflow = workflow("gpu-smoke.yml");
        *workflow.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")) = value;
        assert_ne!(faults(&workflow), Vec::<String>::new(), "{pointer}");
    }
}

fn jobs(workflow: &Value) -> impl Iterator<Item = &Value> {
    workflow["jobs"].as_object().expect("jobs").values()
}

fn steps(workflow: &Value) -> impl Iterator<Item = &Value> {
    jobs(workflow).flat_map(|job| job["steps"].as_array().expect("steps"))
}

fn scripts(workflow: &Value) -> Vec<&str> {
    steps(workflow).filter_map(|step| step["run"].as_str()).collect()
}

#[test]
fn every_job_is_bounded_and_may_only_read() {
    for (name, workflow) in workflows() {
        assert_eq!(workflow["permissions"], json!({"contents": "read"}), "{name}");
        assert!(
            jobs(&workflow).all(|job| job["timeout-minutes"].is_u64() && job.get("permissions").is_none()),
            "{name}"
        );
        let checkouts =
            steps(&workflow).filter(|step| step["uses"].as_str().is_some_and(|uses| uses.contains("checkout")));
        assert!(checkouts.into_iter().all(|step| step["with"]["persist-credentials"] == false), "{name}");
        // Text that others can choose reaches a script by the environment alone.
        assert!(scripts(&workflow).iter().all(|script| !script.contains("${{")), "{name}");
    }
}

#[test]
fn the_hosted_workflow_runs_what_ci_runs() {
    assert!(scripts(&workflow("ci.yml")).contains(&".ci/run"));
}

#[test]
fn strangers_start_nothing_on_a_machine_of_your_own() {
    let workflow = workflow("gpu-smoke.yml");
    let triggers: Vec<&String> = workflow["on"].as_object().expect("triggers").keys().collect();
    assert_eq!(triggers, ["push", "workflow_dispatch"]);
    assert_eq!(workflow["on"]["push"]["branches"], json!(["main"]));
    assert!(jobs(&workflow).all(|job| job["runs-on"][0] == "self-hosted"));
}

/// Runs the workflow's scripts one after the other, as a runner would, with a `cargo` of the test's own.
fn run_steps(place: &Place, env: &[(&str, &str)], code: u8) -> (Vec<i32>, String) {
    let log = place.path("cargo.log").display().to_string();
    let said = "printf 'said <b> & more\\n'; printf 'a warning\\n' >&2";
    place.program("cargo", format!("#!/bin/sh\nprintf '[%s]' \"$@\" >'{log}'\n{said}; exit {code}\n"));
    let summary = place.write("summary.md", "").display().to_string();
    let workflow = workflow("gpu-smoke.yml");
    let codes = scripts(&workflow).into_iter().map(|script| {
        let path = format!("PATH={}:/usr/bin:/bin", place.path("bin").display());
        let dir = place.dir().display().to_string();
        let mut args = vec!["-i".to_owned(), "-C".into(), dir, path, format!("GITHUB_STEP_SUMMARY={summary}")];
        args.extend(env.iter().map(|(name, value)| format!("{name}={value}")));
        // As GitHub starts `shell: bash`.
        args.extend(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script].map(str::to_owned));
        proc::outcome(proc::find("env"), args).0
    });
    (codes.collect(), place.read("cargo.log"))
}

#[test]
fn the_smoke_tests_exit_code_is_the_steps_and_its_log_is_kept() {
    let place = Place::new();
    let (codes, called) = run_steps(&place, &[("ARCH", "9.0; id"), ("FULL", "true")], 3);
    assert_eq!(codes, [3, 0]);
    let files = "[--json][gpu-smoke.json][--junit][gpu-smoke.xml]";
    assert_eq!(called, format!("[xtask][gpu-smoke][--arch][9.0; id][--full]{files}"));
    let summary = place.read("summary.md");
    assert!(summary.contains("<pre>\nsaid &lt;b&gt; &amp; more\na warning\n</pre>"), "{summary}");
    let (codes, called) = run_steps(&place, &[("ARCH", ""), ("FULL", "")], 0);
    assert_eq!((codes, called), (vec![0, 0], format!("[xtask][gpu-smoke]{files}")));
}
