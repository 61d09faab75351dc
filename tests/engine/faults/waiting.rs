//! A session that has done its work and waits for its end, so that a fault can come at its leave.

use super::bench::{Call, listed};
use crate::support::relay::Relay;
use crate::support::sandbox::Sandbox;
use crate::support::{engine, proc};
use std::fs::{self, File};
use std::process::Stdio;

/// It ends with a code of its own, by which it is told from the call.
const SESSION: &str = "git commit -q --allow-empty -m of-the-sandbox\ndate +%N > .envrc\necho kept > new.txt\n\
                       touch /tmp/ready\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\nrm /tmp/ready /tmp/go\nexit 7\n";

/// A sandbox with a repository whose session has done its work and waits for its end.
pub(in crate::engine) struct Leaving {
    pub(in crate::engine) sandbox: Sandbox,
    pub(super) relay: Relay,
}

impl Leaving {
    pub(in crate::engine) fn new() -> Leaving {
        let sandbox = Sandbox::new();
        sandbox.place.write("home/.gitconfig", "[user]\nname = Ada\nemail = ada@example.com\n");
        let (workspace, home) = (sandbox.workspace().display().to_string(), sandbox.place.path("home"));
        let home = format!("HOME={}", home.display());
        let git = |args: &[&str]| proc::output("env", [&[home.as_str(), "git", "-C", &workspace], args].concat());
        fs::write(sandbox.workspace().join(".envrc"), "# of the user\n").expect("a file");
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "first"]);
        let socket = std::env::var("DOCKER_HOST").unwrap_or_default();
        let relay = Relay::start(&sandbox.place, socket.strip_prefix("unix://").unwrap_or("/var/run/docker.sock"));
        Leaving { sandbox, relay }
    }

    /// Starts a session, which waits.
    pub(in crate::engine) fn begin(&self) -> Call {
        let run = self.sandbox.task("sandbox").args(["--yes", "--shell"]).env("DOCKER_HOST", self.relay.host.as_str());
        let input = self.sandbox.place.write("input", SESSION);
        let stdin = Stdio::from(File::open(input).expect("its input"));
        let call = Call::fed(&run, &self.sandbox.place, stdin);
        proc::wait_for("the session", 180, || {
            let container = self.sandbox.containers().pop()?;
            let test = ["exec", &container, "test", "-e", "/tmp/ready"];
            (proc::outcome(proc::find("docker"), test).0 == 0).then_some(())
        });
        call
    }

    pub(in crate::engine) fn goes(&self) {
        engine::docker(["exec", &self.sandbox.containers()[0], "touch", "/tmp/go"]);
    }

    /// What is so after a call that was ended at its leave, and that the next ones do what it did not.
    pub(in crate::engine) fn after(&self, what: &str) {
        let files = listed(&self.sandbox.workspace());
        assert_eq!(files, [".envrc", ".git", "new.txt"], "{what}");
        let kept = || self.sandbox.place.read("repo/workspace/new.txt");
        assert_eq!(kept(), "kept\n", "{what}");
        let run = self.sandbox.enter(["--version"]).ok();
        let status = self.sandbox.task("status").run().ok();
        let told = [&run.stderr, &status.stdout].iter().all(|text| text.contains("`.envrc` changed"));
        assert!(told, "{what}: {}\n{}", run.stderr, status.stdout);
        let commits = self.sandbox.task("commits").run().ok();
        assert!(commits.stdout.contains("of-the-sandbox"), "{what}: {}", commits.stdout);
        // For the next row: what is there is the user's.
        self.sandbox.task("commits").args(["--take"]).run().ok();
        self.sandbox.task("sandbox").args(["--yes", "--on-change", "keep", "--", "--version"]).run().ok();
        fs::remove_file(self.sandbox.workspace().join("new.txt")).expect("the file");
        assert_eq!(self.sandbox.containers().len(), 1, "{what}");
    }
}
