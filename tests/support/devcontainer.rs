//! The real `devcontainer` program, from npm, and a sandbox that is asked for by settings alone, as it asks for it.

use crate::support::place::{Place, repository};
use crate::support::run::Run;
use crate::support::sandbox::Sandbox;
use crate::support::{engine, proc};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// Its version, pinned.
const VERSION: &str = "0.89.0";

/// The directory of the installation, made once for all tests.
fn installation() -> PathBuf {
    let prefix = engine::tools().join(format!("devcontainers-{VERSION}"));
    engine::once("devcontainers", || {
        if prefix.exists() {
            return;
        }
        let half = prefix.with_extension("half");
        let _ = fs::remove_dir_all(&half);
        let (dir, package) = (half.display().to_string(), format!("@devcontainers/cli@{VERSION}"));
        let args = ["install", "--prefix", &dir, "--no-audit", "--no-fund", "--ignore-scripts"];
        proc::output(proc::find("npm"), args.iter().chain(&[package.as_str()]));
        fs::rename(&half, &prefix).expect("the finished installation");
    });
    prefix
}

/// Puts the program where the owner of the place can reach it, with a `cargo` that is this repository's `cargo xtask`
/// already built, and writes what the flags of other tests say into the settings.
pub(crate) fn prepare(sandbox: &Sandbox) {
    let place = &sandbox.place;
    proc::copy(&installation(), &place.path("devcontainers"));
    let cargo = "#!/bin/sh\n[ \"$1\" = xtask ] || exit 97\nshift\nexec 'BINARY' \"$@\"\n";
    place.program("cargo", cargo.replace("BINARY", &place.binary().display().to_string()));
    // The program asks the host for the user's name; the users of the tests are in no user database.
    let id = "#!/bin/sh\n[ \"$*\" = '-u -n' ] || exec REAL \"$@\"\necho tester\n";
    place.program("id", id.replace("REAL", &proc::find("id").display().to_string()));
    settings(sandbox, "");
    place.give();
}

/// The settings of this host, with further lines.
pub(crate) fn settings(sandbox: &Sandbox, more: &str) {
    let own = format!("base: cpu\ndatasets: {{ssv2: '{}'}}\n{more}", sandbox.dataset().display());
    sandbox.place.write("repo/sandbox.local.yaml", own);
}

/// `devcontainer TASK --workspace-folder REPOSITORY ARGS`.
pub(crate) fn run<'a>(sandbox: &'a Sandbox, task: &str, args: &[&str]) -> Run<'a> {
    let place = &sandbox.place;
    let program = place.path("devcontainers/node_modules/.bin/devcontainer");
    let root = place.root().display().to_string();
    let run = sandbox.task_by_settings(task).program(program);
    run.args(["--workspace-folder", &root]).args(args.iter().copied()).run()
}

/// What `devcontainer up` says of itself: its last line.
#[track_caller]
pub(crate) fn outcome(run: &Run<'_>) -> Value {
    let line = run.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {}{}", run.stdout, run.stderr))
}

#[test]
fn a_place_has_the_configuration_of_the_repository() {
    let file = ".devcontainer/devcontainer.json";
    let own = fs::read_to_string(repository().join(file)).expect("the configuration");
    assert_eq!(Place::new().read(&format!("repo/{file}")), own);
}
