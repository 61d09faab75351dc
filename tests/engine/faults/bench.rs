//! Runs one row of a table: a call that meets a fault at a stage, then what must be true, then the next call.

use crate::support::place::Place;
use crate::support::relay::{Answer, Relay};
use crate::support::run::Xtask;
use crate::support::sandbox::Sandbox;
use crate::support::{engine, proc};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where a call is when the fault comes: its request to the engine, by a part of its line and so many of that kind before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    /// The task; `sandbox` is followed by `--yes -- --version`.
    pub(super) task: &'static [&'static str],
    pub(super) request: &'static str,
    pub(super) after: usize,
    /// Whether a container runs before.
    pub(super) warm: bool,
}

const fn cold(name: &'static str, request: &'static str, after: usize) -> Stage {
    Stage { name, task: ENTER, request, after, warm: false }
}

const fn warm(name: &'static str, task: &'static [&'static str], request: &'static str, after: usize) -> Stage {
    Stage { name, task, request, after, warm: true }
}

pub(super) const ENTER: &[&str] = &["sandbox", "--yes", "--", "--version"];

pub(super) const QUERY: Stage = cold("before the first query", "/_ping", 0);
pub(super) const ASKED: Stage = cold("while asked", "/info", 0);
pub(super) const IMAGES: Stage = cold("images", "/images/json", 0);
pub(super) const NETWORK: Stage = cold("up: network", "POST /v1.45/networks/create", 0);
pub(super) const CREATE: Stage = cold("up: create", "/containers/create", 0);
pub(super) const STARTED: Stage = cold("up: start", "/start HTTP", 0);
pub(super) const BETWEEN: Stage = cold("between up and proof", "/kill?signal=USR1", 0);
pub(super) const PROOF: Stage = cold("the proof", "/exec HTTP", 0);
pub(super) const SESSION: Stage = warm("the session", ENTER, "/exec HTTP", 1);
pub(super) const STATUS: Stage = warm("status", &["status"], "/containers/", 0);
pub(super) const DOWN: Stage = warm("down: container", &["down", "--yes"], "DELETE /v1.45/containers/", 0);
pub(super) const DOWN_NETWORK: Stage = warm("down: network", &["down", "--yes"], "/networks/", 0);
pub(super) const IMAGE: Stage = cold_task("image", &["image"], "/images/json");

const fn cold_task(name: &'static str, task: &'static [&'static str], request: &'static str) -> Stage {
    Stage { name, task, request, after: 0, warm: false }
}

/// What happens then.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Engine(Answer),
    /// The request is held, the call gets this signal and must end while the request is still held.
    Signal(&'static str),
    /// The same to its whole process group, as from a key of the terminal.
    GroupSignal(&'static str),
    /// The engine has got the request, and its answer is held.
    SignalAfter(&'static str),
}

/// One row: where, what, with which exit code the call ends, and what its message has.
pub(super) struct Row(pub(super) Stage, pub(super) Fault, pub(super) i32, pub(super) &'static str);

/// A sandbox whose engine is behind a relay, for many rows.
pub(super) struct Bench {
    sandbox: Sandbox,
    relay: Relay,
}

impl Bench {
    pub(super) fn new() -> Bench {
        let sandbox = Sandbox::new();
        let socket = std::env::var("DOCKER_HOST").unwrap_or_default();
        let relay = Relay::start(&sandbox.place, socket.strip_prefix("unix://").unwrap_or("/var/run/docker.sock"));
        fs::write(sandbox.workspace().join("kept.txt"), "mine").expect("a file of the user");
        Bench { sandbox, relay }
    }

    /// Runs all rows, and fails with all that did not hold, after the table.
    #[track_caller]
    pub(super) fn all(&self, rows: &[Row]) {
        let mut table =
            String::from("| stage | fault | exit | s | left | held |\n| --- | --- | --- | --- | --- | --- |\n");
        let mut failures = String::new();
        for row in rows {
            let (line, wrong) = self.one(row);
            table += &format!("{line} {} |\n", if wrong.is_empty() { "yes" } else { "**no**" });
            if !wrong.is_empty() {
                failures += &format!("{} × {:?}:\n  {}\n", row.0.name, row.1, wrong.join("\n  "));
            }
        }
        // For whoever wants to see what each row took: the runner shows it of a test that fails, or with `--no-capture`.
        let _ = writeln!(std::io::stderr(), "{table}");
        assert!(failures.is_empty(), "{table}\n{failures}");
    }

    fn one(&self, Row(stage, fault, exit, says): &Row) -> (String, Vec<String>) {
        let mut wrong = Vec::new();
        self.ready(stage, &mut wrong);
        let before = listed(&self.sandbox.workspace());
        let answer = match fault {
            Fault::Engine(answer) => *answer,
            Fault::Signal(..) | Fault::GroupSignal(..) => Answer::Held,
            Fault::SignalAfter(..) => Answer::HeldBack,
        };
        self.relay.arm(stage.request, stage.after, answer);
        let begun = Instant::now();
        let run = self.task(stage.task);
        let mut call = Call::start(&run, &self.sandbox.place);
        let signal = match fault {
            Fault::Engine(_) => None,
            Fault::Signal(name) | Fault::SignalAfter(name) => Some((*name, call.pid().to_string())),
            Fault::GroupSignal(name) => Some((*name, format!("-{}", call.pid()))),
        };
        if let Some((name, whom)) = signal {
            call.until(|| self.relay.reached());
            proc::outcome("kill", [&format!("-{name}"), "--", &whom]);
        }
        // It ends while the request is still held: nothing waits for that.
        let (code, stderr) = call.end();
        let seconds = begun.elapsed().as_secs_f32();
        if !self.relay.reached() {
            wrong.push("the stage was never reached".to_owned());
        }
        let seen = self.relay.heal();
        if !wrong.is_empty() {
            wrong.push(format!("requests: {seen:#?}"));
        }
        let late = matches!(fault, Fault::Engine(Answer::Late));
        let bad = ["panicked", "did not answer in JSON"].into_iter().find(|bad| stderr.contains(bad));
        let hinted = *exit != 3 || stderr.contains("hint: ");
        if code != Some(*exit) || !stderr.contains(says) || bad.is_some() || !hinted || (late && code != Some(0)) {
            wrong.push(format!("exit {code:?}, wanted {exit} and {says:?}, bad {bad:?}:\n{stderr}"));
        }
        let taken_back = self.sandbox.containers().is_empty();
        // An engine that has got the request makes the container at a time of its own; then the next call takes it.
        let in_time = !matches!(fault, Fault::Engine(_) | Fault::SignalAfter(_));
        if !stage.warm && in_time && !taken_back {
            wrong.push("a container is left".to_owned());
        }
        let left = self.after(stage, &before, &mut wrong);
        (format!("| {} | {fault:?} | {} | {seconds:.1} | {left} |", stage.name, code.unwrap_or(-1)), wrong)
    }

    fn task(&self, words: &[&'static str]) -> Xtask<'_> {
        self.plain(words).env("DOCKER_HOST", self.relay.host.as_str())
    }

    /// The same with the engine itself.
    fn plain(&self, words: &[&'static str]) -> Xtask<'_> {
        let run = match words[0] {
            "image" => self.sandbox.task_without_data("image"),
            task => self.sandbox.task(task),
        };
        run.args(words[1..].iter().copied())
    }

    /// What the stage begins with.
    fn ready(&self, stage: &Stage, wrong: &mut Vec<String>) {
        let (is, words) = (!self.sandbox.containers().is_empty(), if stage.warm { ENTER } else { &["down", "--yes"] });
        if is != stage.warm {
            let run = self.task(words).run();
            if run.code != Some(0) {
                wrong.push(format!("it could not be made ready: {}", run.stderr));
            }
        }
    }

    /// What is left by the call, and that the next ones are well.
    fn after(&self, stage: &Stage, before: &[String], wrong: &mut Vec<String>) -> String {
        let left = self.sandbox.containers().len();
        if left > 1 {
            wrong.push(format!("{left} containers are left"));
        }
        // What a start that was ended has left, the next start takes: it is `up` that shows it.
        let next: &[&str] = if stage.request.contains("/_ping") { &["status"] } else { stage.task };
        let run = self.plain(next).run();
        if run.code != Some(0) {
            wrong.push(format!("the next call ended with {:?}: {}", run.code, run.stderr));
        }
        if self.sandbox.containers().len() > 1 {
            wrong.push("the next call left two containers".to_owned());
        }
        let (kept, now) =
            (fs::read_to_string(self.sandbox.workspace().join("kept.txt")), listed(&self.sandbox.workspace()));
        if kept.ok().as_deref() != Some("mine") || now != before {
            wrong.push(format!("the workspace had {before:?} and has {now:?}"));
        }
        if left == 0 { "nothing".to_owned() } else { "the container".to_owned() }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.relay.heal();
        let _ = self.sandbox.task("down").args(["--yes"]).run();
    }
}

pub(super) fn listed(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory").flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A call that runs, in a process group of its own.
pub(in crate::engine) struct Call {
    child: Child,
    stderr: std::path::PathBuf,
}

impl Call {
    pub(super) fn start(run: &Xtask, place: &Place) -> Call {
        Call::fed(run, place, Stdio::null())
    }

    /// The same with a standard input.
    pub(super) fn fed(run: &Xtask, place: &Place, stdin: Stdio) -> Call {
        engine::demand();
        let (words, stderr) = (run.words(), place.path("call.stderr"));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).process_group(0).stdin(stdin).stdout(Stdio::null());
        let child = command.stderr(File::create(&stderr).expect("a file")).spawn().expect("the tool");
        Call { child, stderr }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until this is so, or the call has ended.
    pub(super) fn until(&mut self, is: impl Fn() -> bool) {
        while !is() && self.child.try_wait().expect("its status").is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its exit code, where it ends at all, and what it said.
    pub(in crate::engine) fn end(mut self) -> (Option<i32>, String) {
        let late = Instant::now() + Duration::from_secs(150);
        while Instant::now() < late && self.child.try_wait().expect("its status").is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let ended = self.child.try_wait().expect("its status");
        if ended.is_none() {
            proc::outcome("kill", ["-KILL", "--", &format!("-{}", self.child.id())]);
            let _ = self.child.wait();
        }
        let text = fs::read_to_string(&self.stderr).unwrap_or_default();
        (ended.and_then(|status| status.code()), text)
    }
}
