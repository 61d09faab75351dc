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

/// It ends with the test. On one data root only one runs at a time; the usual one keeps the image for the next.
pub(crate) struct SecondEngine {
    dir: PathBuf,
    /// What DOCKER_HOST is to be.
    pub(crate) host: String,
    /// Its namespaces live as long as this process, whatever becomes of the engine.
    holder: Child,
    containerd: Option<Child>,
    dockerd: Option<Child>,
    root: PathBuf,
    /// What comes before its own PATH.
    path: Vec<PathBuf>,
    /// Held until it has ended: two engines on one data root would destroy it.
    _lock: File,
}

/// One of its two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Dockerd,
    Containerd,
}

impl SecondEngine {
    /// Starts it with CDI on; it looks for specifications in `cdi_dir` of the place. `path` comes before its own PATH.
    pub(crate) fn start(place: &Place, path: &[&Path]) -> SecondEngine {
        SecondEngine::with(place, path, engine::tools().join("second-engine"), "10.213.0.0/16")
    }

    /// The same with this data root, and with networks of 254 addresses from this range only.
    pub(crate) fn with(place: &Place, path: &[&Path], root: PathBuf, networks: &str) -> SecondEngine {
        assert_eq!(users::get_effective_uid(), 0, "a second engine needs root, as `CONTRIBUTING.md` says of this tier");
        let lock = File::create(root.with_extension("lock")).expect("a lock file");
        lock.lock().expect("a lock on it");
        let dir = place.mkdir("engine");
        let config = serde_json::json!({
            "features": {"cdi": true},
            "cdi-spec-dirs": [cdi_dir(place)],
            // Not the caller's own networks: a container could not tell the two apart.
            "default-address-pools": [{"base": networks, "size": 24}],
            "bip": "10.212.0.1/24",
        });
        place.write("engine/daemon.json", config.to_string());
        // A test that is killed takes its engine along: the signal comes when the parent ends.
        let mut holder = Command::new(proc::find("unshare"));
        holder.args(["--net", "--mount", "--", "setpriv", "--pdeathsig", "TERM", "--", "sleep", "infinity"]);
        let holder = holder.stdin(Stdio::null()).spawn().expect("its namespaces");
        let own_ns = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).expect("an own namespace");
        proc::wait_for("the namespaces of the second engine", 20, || {
            let has =
                |name| fs::read_link(format!("/proc/{}/ns/{name}", holder.id())).is_ok_and(|ns| ns != own_ns(name));
            (has("net") && has("mnt")).then_some(())
        });
        let host = format!("unix://{}", dir.join("docker.sock").display());
        let path = path.iter().map(|path| path.to_path_buf()).collect();
        let mut second = SecondEngine { dir, host, holder, containerd: None, dockerd: None, root, path, _lock: lock };
        second.restart();
        // Of a test that was killed.
        let left = second.docker(&["ps", "--all", "--quiet"]);
        left.lines().for_each(|id| _ = second.docker(&["rm", "--force", id]));
        second.docker(&["network", "prune", "--force"]);
        second.docker(&["volume", "prune", "--all", "--force"]);
        second.load();
        second
    }

    /// Starts what of it does not run, lets go on what is stopped, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        let running = |child: &mut Option<Child>| child.as_mut().is_some_and(|it| matches!(it.try_wait(), Ok(None)));
        [Part::Containerd, Part::Dockerd].into_iter().filter(|part| self.pid(*part).is_some()).for_each(|part| {
            self.signal(part, "CONT");
        });
        if !running(&mut self.containerd) {
            // Its own one, whatever the machine has: a test may kill it.
            let socket = self.dir.join("containerd.sock");
            // Beside the data root: the next one takes over the containers of a test that was killed.
            let of_root = |what| self.root.with_extension(what);
            let words = ["--address", "--root", "--state"];
            let places = [socket.clone(), of_root("containerd"), of_root("containerd-state")];
            let args = words.into_iter().zip(places).flat_map(|(word, path)| [word.into(), path.display().to_string()]);
            // A service for another kind of client, which ends all of it where there is no loopback.
            let config = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
            let file = self.dir.join("containerd.toml");
            fs::write(&file, config).expect("its settings");
            let config = ["--config".to_owned(), file.display().to_string()];
            self.containerd = Some(self.program("containerd", args.chain(config).collect()));
            proc::wait_for("its containerd", 60, || std::os::unix::net::UnixStream::connect(&socket).ok());
        }
        if !running(&mut self.dockerd) {
            let words = ["--config-file", "--data-root", "--exec-root", "--pidfile", "--containerd"];
            let dir = |name| self.dir.join(name);
            let places = [dir("daemon.json"), self.root.clone(), dir("exec"), dir("pid"), dir("containerd.sock")];
            let args = words.into_iter().zip(places).flat_map(|(word, path)| [word.into(), path.display().to_string()]);
            let args = ["--host".to_owned(), self.host.clone()].into_iter().chain(args).collect();
            self.dockerd = Some(self.program("dockerd", args));
        }
        proc::wait_for("the second engine to answer", 60, || {
            let ended = self.dockerd.as_mut().expect("it was started").try_wait().expect("its status");
            assert!(ended.is_none(), "the second engine ended:\n{}", self.log());
            // The engine answers without its containerd too, and finds it again some seconds after that.
            let format = "{{range .Server.Components}}{{println .Name}}{{end}}";
            let (code, parts, _) = self.outcome(&["version", "--format", format]);
            (code == 0 && parts.lines().any(|part| part == "containerd")).then_some(())
        });
    }

    fn program(&self, name: &str, args: Vec<String>) -> Child {
        let log = File::options().create(true).append(true).open(self.dir.join("log")).expect("the engine's log");
        let own_path = std::env::var_os("PATH").unwrap_or_default();
        let path = self.path.iter().cloned().chain(std::env::split_paths(&own_path));
        let mut command = Command::new(proc::find("nsenter"));
        command.args(["--target", &self.holder.id().to_string(), "--net", "--mount", "--"]);
        command.args(["setpriv", "--pdeathsig", "TERM", "--"]).arg(proc::find(name)).args(args);
        command.env("PATH", std::env::join_paths(path).expect("no colon in a place")).env_remove("DOCKER_HOST");
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log again")).stderr(log);
        command.spawn().expect("a program of the second engine")
    }

    fn pid(&self, part: Part) -> Option<u32> {
        let child = match part {
            Part::Dockerd => &self.dockerd,
            Part::Containerd => &self.containerd,
        };
        child.as_ref().map(Child::id)
    }

    /// Sends a signal to one of its programs.
    pub(crate) fn signal(&self, part: Part, name: &str) {
        let pid = self.pid(part).expect("it was started").to_string();
        proc::outcome("kill", [&format!("-{name}"), &pid]);
    }

    /// Waits until one of them, which was told to end, has ended.
    pub(crate) fn ended(&mut self, part: Part) {
        let child = match part {
            Part::Dockerd => &mut self.dockerd,
            Part::Containerd => &mut self.containerd,
        };
        let _ = child.as_mut().expect("it was started").wait();
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

/// The beginning of the image's Dockerfile, up to its base: a second engine reaches no network, and has no layers of a build.
pub(crate) fn short_dockerfile(place: &Place) -> String {
    let text = place.read("repo/docker/Dockerfile");
    let end = text.find("\nFROM ").expect("a base") + 1;
    let line = text[end..].find('\n').map_or(text.len(), |length| end + length);
    text[..line].to_owned()
}

/// Where a second engine of this place looks for CDI specifications.
pub(crate) fn cdi_dir(place: &Place) -> PathBuf {
    place.mkdir("cdi")
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        // Containers first: an engine that ends waits for each of them. What a test has stopped removes none.
        [Part::Containerd, Part::Dockerd].into_iter().filter(|part| self.pid(*part).is_some()).for_each(|part| {
            self.signal(part, "CONT");
        });
        let (_, ids, _) = self.outcome(&["ps", "--all", "--quiet"]);
        ids.lines().for_each(|id| _ = self.outcome(&["rm", "--force", id]));
        for mut child in [self.dockerd.take(), self.containerd.take()].into_iter().flatten() {
            proc::outcome("kill", ["-TERM", &child.id().to_string()]);
            let _ = child.wait();
        }
        let _ = (self.holder.kill(), self.holder.wait());
    }
}
