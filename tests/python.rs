//! The unit tests of what Python does in the image's build and in `gpu_smoke.py`, by the host's own Python, away from
//! its packages. `test_smoke_torch` needs torch: the engine tier runs it in the image.

use crate::support::place::repository;
use crate::support::proc;
use serde_json::{Value, json};
use xtask::smoke::{Extent, checks};

/// The checks that the host plans: the Python side is compared with it, so that neither has one that the other lacks.
fn host_plan() -> Value {
    let planned = |extent| checks::planned(extent).map(|check| json!([check.id, check.gpu])).collect::<Value>();
    let all = [Extent::Quick, Extent::Full, Extent::Native].map(|extent| (extent.to_string(), planned(extent)));
    Value::Object(all.into_iter().collect())
}

#[track_caller]
fn passes(module: &str) {
    let root = repository();
    // -I leaves the working directory and the environment out: the two directories are named.
    let script = "import sys, unittest; sys.dont_write_bytecode = True; sys.path[:0] = sys.argv[2:4]; \
                  unittest.main(module=sys.argv[1], argv=['python3'])";
    let dirs = ["docker", "tests/python"].map(|name| root.join(name).display().to_string());
    let table = host_plan().to_string();
    let args = ["-I", "-c", script, module, &dirs[0], &dirs[1], &table];
    let (code, stdout, stderr) = proc::outcome(proc::find("python3"), args);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stderr.contains("\nRan ") && !stderr.contains("Ran 0 "), "{stderr}");
}

#[test]
fn what_is_installed_is_what_the_lock_says() {
    passes("test_install_python");
}

#[test]
fn no_part_of_the_probe_takes_the_name_of_another() {
    passes("test_probe");
}

#[test]
fn a_damaged_base_is_a_fault() {
    passes("test_verify_python");
}

#[test]
fn the_smoke_plans_judges_and_prints_without_a_gpu() {
    passes("test_smoke_plan");
}

#[test]
fn the_proof_of_native_code_sees_sabotage() {
    passes("test_smoke_native");
}

#[test]
fn a_hung_or_killed_check_of_the_smoke_costs_its_own_bound() {
    passes("test_smoke_supervise");
}

#[test]
fn the_smoke_calls_the_drivers_libraries_rightly_and_sees_their_faults() {
    passes("test_smoke_driver");
}
