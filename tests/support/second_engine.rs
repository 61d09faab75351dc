//! A second Docker Engine, of the test's own, whose settings a test may choose: the first one's are never touched.
//!
//! It has its own data root, exec root, socket and pid file, and it lives in network and mount namespaces of its own:
//! its bridges, firewall rules and mounts are never those of the machine, and vanish with it. (An engine beside
//! another in one network namespace is a danger: with `"bridge": "none"` it deletes the other's `docker0`.)

use crate::support::place::Place;
use crate::support::{engine, proc};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// It ends with the test. Only one runs at a time, on one data root that keeps the image for the next.
pub(crate) struct SecondEngine {
    child: Child,
    dir: PathBuf,
    /// What DOCKER_HOST is to be.
    pub(crate) host: String,
    /// Held until it has ended: two engines on one data root would destroy it.
    _lock: File,
}

impl SecondEngine {
    /// Starts it with CDI on; it looks for specifications in `cdi_dir` of the place. `path` comes before its own PATH.
    pub(crate) fn start(place: &Place, path: &[&Path]) -> SecondEngine {
        let lock = File::create(engine::tools().join("second-engine.lock")).expect("a lock file");
        lock.lock().expect("a lock on it");
        let dir = place.mkdir("engine");
        let config = serde_json::json!({
            "features": {"cdi": true},
            "cdi-spec-dirs": [cdi_dir(place)],
            // Not the caller's own networks: a container could not tell the two apart.
            "default-address-pools": [{"base": "10.213.0.0/16", "size": 24}],
            "bip": "10.212.0.1/24",
        });
        let config = place.write("engine/daemon.json", config.to_string());
        let socket = format!("unix://{}", dir.join("docker.sock").display());
        let log = File::create(dir.join("log")).expect("the engine's log");
        let own_path = std::env::var_os("PATH").unwrap_or_default();
        let path = path.iter().map(PathBuf::from).chain(std::env::split_paths(&own_path));
        let root = users::get_effective_uid() == 0;
        assert!(root, "a second engine needs root, as `CONTRIBUTING.md` says of this tier");
        let mut command = Command::new(proc::find("unshare"));
        // A test that is killed takes its engine along: the signal comes when the parent ends.
        command.args(["--net", "--mount", "--", "setpriv", "--pdeathsig", "TERM", "--"]);
        command.arg(proc::find("dockerd")).args(["--host", &socket, "--config-file"]);
        command.arg(config);
        for (flag, value) in [
            ("--data-root", engine::tools().join("second-engine")),
            ("--exec-root", dir.join("exec")),
            ("--pidfile", dir.join("pid")),
        ] {
            command.arg(flag).arg(value);
        }
        // Where the machine runs one containerd for all, it is shared, and the namespaces keep its engines apart: this
        // one, the usual one and that of another clone.
        let data = engine::tools();
        let clone = &xtask::fingerprint::of([data.as_os_str().as_encoded_bytes()])[..12];
        command.args(["--containerd-namespace".to_owned(), format!("codex-sandbox-test-{clone}")]);
        command.args(["--containerd-plugins-namespace".to_owned(), format!("codex-sandbox-test-{clone}-plugins")]);
        let child = command
            .env("PATH", std::env::join_paths(path).expect("no colon in a place"))
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log again"))
            .stderr(log)
            .spawn()
            .expect("a second engine");
        let mut second = SecondEngine { child, dir, host: socket, _lock: lock };
        second.wait();
        second.load();
        second
    }

    fn wait(&mut self) {
        proc::wait_for("the second engine to answer", 60, || {
            let ended = self.child.try_wait().expect("its status");
            assert!(ended.is_none(), "the second engine ended:\n{}", self.log());
            self.outcome(&["version"]).0.eq(&0).then_some(())
        });
        // Of a test that was killed.
        let left = self.docker(&["ps", "--all", "--quiet"]);
        left.lines().for_each(|id| _ = self.docker(&["rm", "--force", id]));
    }

    /// Gives it the first engine's image and base, by their own ids, where it lacks them. Older ones are removed.
    fn load(&self) {
        engine::image(None);
        let place = Place::new();
        let tag = crate::support::run::Xtask::at(&place).args(["image", "--cpu"]).run().ok();
        let tag = tag.stdout.trim().to_owned();
        let label = "{{index .Config.Labels \"codex-sandbox.base\"}}";
        let base = engine::docker(["image", "inspect", "--format", label, &tag]);
        let wanted = [tag.as_str(), base.trim()];
        if wanted.iter().all(|image| self.outcome(&["image", "inspect", image]).0 == 0) {
            return;
        }
        let old = self.docker(&["image", "ls", "--quiet", "--no-trunc"]);
        old.lines().for_each(|id| _ = self.outcome(&["image", "rm", "--force", id]));
        let script = "set -o pipefail; \"$1\" save \"$3\" \"$4\" | DOCKER_HOST=\"$2\" \"$1\" load";
        let docker = proc::find("docker").display().to_string();
        proc::output("bash", ["-c", script, "bash", &docker, &self.host, wanted[0], wanted[1]]);
    }

    fn outcome(&self, args: &[&str]) -> (i32, String, String) {
        let host = ["--host", &self.host];
        proc::outcome(proc::find("docker"), host.iter().chain(args))
    }

    /// Asks it.
    #[track_caller]
    pub(crate) fn docker(&self, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.outcome(args);
        assert_eq!(code, 0, "docker {args:?}: {stdout}{stderr}\n{}", self.log());
        stdout
    }

    /// The full ids of its containers, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        let ids = self.docker(&["ps", "--all", "--quiet", "--no-trunc"]);
        ids.lines().map(str::to_owned).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

/// Where a second engine of this place looks for CDI specifications.
pub(crate) fn cdi_dir(place: &Place) -> PathBuf {
    place.mkdir("cdi")
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        // Containers first: an engine that ends waits for each of them.
        let (_, ids, _) = self.outcome(&["ps", "--all", "--quiet"]);
        ids.lines().for_each(|id| _ = self.outcome(&["rm", "--force", id]));
        proc::outcome("kill", ["-TERM", &self.child.id().to_string()]);
        let _ = self.child.wait();
    }
}
