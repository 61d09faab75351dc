//! The main path as a user walks it: enter, enter again, look, leave, stop.

use crate::support::codex;
use crate::support::engine;
use crate::support::proc;
use crate::support::sandbox::Sandbox;
use serde_json::Value;

#[test]
fn codex_says_its_version_from_inside_and_every_promise_is_held() {
    let sandbox = Sandbox::new();
    let run = sandbox.enter(["--version"]).ok();
    assert_eq!(run.stdout, format!("codex-cli {}\n", codex::VERSION));

    let proof = sandbox.proof();
    assert_eq!(proof.with("broken"), Vec::<String>::new());
    assert_eq!(proof.with("not provable"), Vec::<String>::new());
    let held = proof.with("held");
    for id in ["dataset.ssv2.read-only", "workspace.writable", "user.capabilities"] {
        assert!(held.iter().any(|held| held == id), "`{id}` is not among {held:?}");
    }
    let containers = sandbox.containers();
    assert_eq!(proof.0["container"], containers[0].as_str());
    assert_eq!(containers.len(), 1);
}

#[test]
fn a_second_call_enters_the_running_container_until_down() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let first = (sandbox.containers(), sandbox.proof());
    sandbox.enter(["--version"]).ok();
    let second = (sandbox.containers(), sandbox.proof());
    assert_eq!(first.0, second.0);
    assert_ne!(first.1.0["nonce"], second.1.0["nonce"], "the second entry has a proof of its own");

    let status = sandbox.task("status").args(["--json"]).run().ok();
    let status: Value = serde_json::from_str(&status.stdout).expect("the status in JSON");
    assert_eq!(status["state"], "running");
    assert_eq!(status["id"], first.0[0].as_str());
    assert_eq!(status["sessions"], Value::Array(Vec::new()));

    sandbox.task("down").run().ok();
    assert_eq!(sandbox.containers(), Vec::<String>::new());
    let status = sandbox.task("status").args(["--json"]).run().ok();
    let status: Value = serde_json::from_str(&status.stdout).expect("the status in JSON");
    assert_eq!(status["state"], "none");
}

#[test]
fn a_container_that_was_killed_runs_again_after_the_next_entry() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let id = sandbox.containers().remove(0);
    engine::docker(["kill", &id]);
    sandbox.enter(["--version"]).ok();
    let running = engine::docker(["inspect", "--format", "{{.State.Running}}", &sandbox.containers()[0]]);
    assert_eq!(running, "true\n");
}

#[test]
fn codex_s_own_exit_status_comes_back() {
    let sandbox = Sandbox::new();
    let status = sandbox.enter(["exec", "--no-such-flag"]).ended(2);
    assert!(status.stderr.contains("--no-such-flag"), "{}", status.stderr);
}

#[test]
fn mounts_are_validated_from_inside_where_a_sandbox_runs() {
    let sandbox = Sandbox::new();
    sandbox.task("mounts").run().ok();
    sandbox.enter(["--version"]).ok();
    let said = sandbox.task("mounts").args(["--json"]).run().ok();
    let said: Value = serde_json::from_str(&said.stdout).expect("the claims in JSON");
    let claims = said["claims"].as_array().expect("claims");
    let verdict = claims.iter().find(|claim| claim["id"] == "dataset.ssv2.read-only");
    assert_eq!(verdict.expect("the data set's claim")["verdict"], "held");
    // What runs needs no directory again, and the probe of a call that ended badly leaves nothing for good.
    let left = sandbox.workspace().join(format!(".codex-sandbox-probe-{}", "0a".repeat(12)));
    std::fs::write(&left, "").expect("a probe's file");
    let hour = std::time::Duration::from_secs(3600);
    let file = std::fs::File::options().write(true).open(&left).expect("it");
    file.set_modified(std::time::SystemTime::now() - hour).expect("an age");
    let run = sandbox.task_without_data("mounts").run().ok();
    assert!(run.stdout.contains("dataset.ssv2.read-only"), "{}", run.stdout);
    assert!(!left.exists());
}

#[test]
fn a_sandbox_without_any_data_set_is_proven() {
    let sandbox = Sandbox::new();
    let settings = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}\ndatasets: {{ssv2: none}}\n"));
    let run = sandbox.task_without_data("sandbox").args(["--yes", "--", "--version"]).run().ok();
    assert!(run.stderr.contains("promises hold") || run.stdout.contains("promises hold"), "{}", run.stderr);
    let said = sandbox.task_without_data("mounts").run().ok();
    assert!(!said.stdout.contains("dataset."), "{}", said.stdout);
}

#[test]
fn a_data_set_may_have_any_path() {
    let sandbox = Sandbox::new();
    let odd = sandbox.place.path("ssv2 $HOME:ro,x=\"y\" 'z' \u{e4}\\n");
    proc::copy(&sandbox.dataset(), &odd);
    let dataset = format!("odd={}/", odd.display());
    let run = sandbox.task("sandbox").args(["--dataset", &dataset, "--yes", "--", "--version"]).run();
    assert_eq!(run.ok().stdout, format!("codex-cli {}\n", codex::VERSION));
    let proof = sandbox.proof();
    assert_eq!(proof.with("broken"), Vec::<String>::new());
    assert!(proof.with("held").iter().any(|id| id == "dataset.odd.source"));
}

#[test]
fn without_a_network_there_is_none() {
    let sandbox = Sandbox::new();
    let enter = |rest: &[&str]| {
        let flags = ["--network", "none", "--yes"];
        sandbox.task("sandbox").args(flags).args(rest.iter().copied())
    };
    enter(&["--", "--version"]).run().ok();
    assert!(sandbox.proof().with("held").iter().any(|id| id == "network.mode"));
    let run = enter(&["--shell"]).stdin("ls /sys/class/net\n").run().ok();
    assert_eq!(run.stdout, "lo\n");
}

#[test]
fn a_live_session_keeps_its_container_when_the_settings_change() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let id = sandbox.containers().remove(0);
    engine::docker(["exec", "--detach", &id, "sleep", "600"]);
    let more = format!("more={}", sandbox.place.mkdir("more").display());
    std::fs::write(sandbox.place.path("more/file"), "x").expect("a file in the data set");
    let task = || sandbox.task("sandbox").args(["--dataset", &more, "--yes", "--", "--version"]);
    let run = task().run().ended(1);
    assert!(run.error().contains("datasets.more") || run.error().contains("dataset"), "{}", run.error());
    assert!(run.error().contains("sleep 600"), "{}", run.error());
    assert_eq!(sandbox.containers(), std::slice::from_ref(&id));

    engine::docker(["exec", &id, "pkill", "-f", "sleep 600"]);
    task().run().ok();
    assert_ne!(sandbox.containers(), [id]);
}
