//! A second engine that is really killed, ended or stopped, and so is its containerd, while calls are at these stages: a relay
//! has held each call's request, the fault is done, and then the engine gets all of them, if there is still one.

use super::bench::{ASKED, BETWEEN, CREATE, Call, DOWN, ENTER, PROOF, STARTED, STATUS, Stage, listed};
use crate::support::place::Place;
use crate::support::relay::{Answer, Relay};
use crate::support::run::Xtask;
use crate::support::sandbox::Sandbox;
use crate::support::second_engine::{Part, SecondEngine};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// Where a call is, its exit code, and what its message has.
struct Row(Stage, i32, &'static str);

/// A call whose request is held, in a sandbox of its own.
struct Held {
    sandbox: Sandbox,
    relay: Relay,
    call: Option<Call>,
    before: Vec<String>,
}

impl Held {
    fn new(engine: &SecondEngine) -> Held {
        let sandbox = Sandbox::new();
        let socket = engine.host.strip_prefix("unix://").expect("a socket");
        let relay = Relay::start(&sandbox.place, socket);
        fs::write(sandbox.workspace().join("kept.txt"), "mine").expect("a file of the user");
        // This machine's engine may not raise the limit of locked memory.
        let settings = sandbox.place.read("repo/sandbox.local.yaml");
        sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}memlock: engine\n"));
        Held { sandbox, relay, call: None, before: Vec::new() }
    }

    fn task(&self, words: &[&'static str]) -> Xtask<'_> {
        let run = self.sandbox.task(words[0]).env("DOCKER_HOST", self.relay.host.as_str());
        run.args(words[1..].iter().copied())
    }

    /// Brings the call to its stage.
    fn begin(&mut self, stage: &Stage, wrong: &mut String) {
        if stage.warm {
            let run = self.task(ENTER).run();
            if run.code != Some(0) {
                *wrong += &format!("{}: it could not be made ready: {}\n", stage.name, run.stderr);
            }
        }
        self.before = listed(&self.sandbox.workspace());
        self.relay.arm(stage.request, stage.after, Answer::HeldUp);
        let mut call = Call::start(&self.task(stage.task), &self.sandbox.place);
        call.until(|| self.relay.reached());
        self.call = Some(call);
    }

    /// Its containers in this engine, running or not.
    fn containers(&self, engine: &SecondEngine) -> usize {
        let format = "{{range .Mounts}}{{.Source}}\n{{end}}";
        // One that another call has removed since it was listed has no mounts any more.
        let mounts = |id: &String| engine.outcome(&["inspect", "--format", format, id]).1;
        let workspace = self.sandbox.workspace();
        engine.containers().iter().filter(|id| mounts(id).lines().any(|line| Path::new(line) == workspace)).count()
    }

    /// What must be true once there is an engine again.
    fn after(&self, stage: &Stage, engine: &SecondEngine, wrong: &mut String) -> usize {
        let left = self.containers(engine);
        let next = self.task(stage.task).run();
        let now = self.containers(engine);
        if next.code != Some(0) || left > 1 || now > 1 {
            *wrong += &format!(
                "{}: the next call: {:?} with {left} then {now} containers: {}\n",
                stage.name, next.code, next.stderr
            );
        }
        let kept = fs::read_to_string(self.sandbox.workspace().join("kept.txt"));
        let files = listed(&self.sandbox.workspace());
        if kept.ok().as_deref() != Some("mine") || files != self.before {
            *wrong += &format!("{}: the workspace had {:?} and has {files:?}\n", stage.name, self.before);
        }
        let down = self.task(&["down", "--yes"]).run();
        if down.code != Some(0) || self.containers(engine) > 0 {
            *wrong += &format!("{}: `down` at the end: {:?} {}\n", stage.name, down.code, down.stderr);
        }
        left
    }
}

/// Does this to a part of the engine while all of the calls are at their stages. Those whose request has a short bound of its
/// own come last.
#[track_caller]
fn all(part: Part, signal: &'static str, rows: &[Row]) {
    let place = Place::new();
    let mut engine = SecondEngine::start(&place, &[]);
    let (mut wrong, mut table) =
        (String::new(), String::from("| stage | fault | exit | s | left |\n| --- | --- | --- | --- | --- |\n"));
    let mut held: Vec<Held> = rows.iter().map(|_| Held::new(&engine)).collect();
    held.iter_mut().zip(rows).for_each(|(held, Row(stage, ..))| held.begin(stage, &mut wrong));
    let unreached = held.iter().zip(rows).filter(|(held, _)| !held.relay.reached()).map(|(_, row)| row.0.name);
    unreached.for_each(|name| wrong += &format!("{name}: the stage was never reached\n"));
    engine.signal(part, signal);
    if signal != "STOP" {
        engine.ended(part);
    }
    let begun = Instant::now();
    held.iter().for_each(|held| _ = held.relay.heal());
    let calls: Vec<Call> = held.iter_mut().filter_map(|held| held.call.take()).collect();
    let ends: Vec<_> = std::thread::scope(|scope| {
        let end = |call: Call| (call.end(), begun.elapsed().as_secs_f32());
        let ending: Vec<_> = calls.into_iter().map(|call| scope.spawn(move || end(call))).collect();
        ending.into_iter().map(|one| one.join().expect("a call that is waited for")).collect()
    });
    engine.restart();
    for ((held, Row(stage, exit, says)), ((code, stderr), seconds)) in held.iter().zip(rows).zip(ends) {
        let hinted = *exit != 3 || stderr.contains("hint: ");
        if code != Some(*exit) || !stderr.contains(says) || stderr.contains("panicked") || !hinted {
            wrong += &format!("{}: exit {code:?}, wanted {exit} and {says:?}:\n{stderr}\n", stage.name);
        }
        let left = held.after(stage, &engine, &mut wrong);
        table += &format!("| {} | {part:?} {signal} | {} | {seconds:.1} | {left} |\n", stage.name, code.unwrap_or(-1));
    }
    let networks = engine.docker(&["network", "ls", "--format", "{{.Name}}", "--filter", "name=codex-sandbox"]);
    if !networks.is_empty() {
        wrong += &format!("networks are left: {networks}");
    }
    // For whoever wants to see what each row took.
    let _ = writeln!(std::io::stderr(), "{table}");
    assert!(wrong.is_empty(), "{table}\n{wrong}");
}

#[test]
fn a_dockerd_that_is_killed() {
    all(
        Part::Dockerd,
        "KILL",
        &[
            Row(CREATE, 3, "went away"),
            Row(STARTED, 3, "went away"),
            Row(PROOF, 3, "error: "),
            Row(DOWN, 3, "error: "),
            Row(ASKED, 3, "error: "),
            Row(BETWEEN, 3, "error: "),
            Row(STATUS, 3, "error: "),
        ],
    );
}

#[test]
fn a_dockerd_that_is_ended() {
    all(Part::Dockerd, "TERM", &[Row(CREATE, 3, "went away"), Row(PROOF, 3, "error: "), Row(DOWN, 3, "error: ")]);
}

#[test]
fn a_dockerd_that_is_stopped() {
    all(
        Part::Dockerd,
        "STOP",
        &[
            Row(CREATE, 3, "does not answer any more"),
            Row(STARTED, 3, "does not answer any more"),
            Row(PROOF, 3, "error: "),
            Row(DOWN, 3, "does not answer any more"),
            Row(ASKED, 3, "error: "),
            Row(BETWEEN, 3, "error: "),
            Row(STATUS, 3, "error: "),
        ],
    );
}

#[test]
fn a_containerd_that_is_killed() {
    all(
        Part::Containerd,
        "KILL",
        &[Row(CREATE, 3, "error: "), Row(STARTED, 3, "error: "), Row(PROOF, 3, "error: "), Row(DOWN, 3, "error: ")],
    );
}

#[test]
fn a_containerd_that_is_stopped() {
    all(
        Part::Containerd,
        "STOP",
        &[
            Row(CREATE, 3, "does not answer any more"),
            Row(STARTED, 3, "does not answer any more"),
            Row(PROOF, 3, "error: "),
            Row(DOWN, 3, "does not answer any more"),
            Row(BETWEEN, 3, "error: "),
        ],
    );
}
