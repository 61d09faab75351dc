//! The inside witness against an agent that still runs at the next entry: it has the same user, and must neither change
//! what the witness says nor keep the user waiting.

use crate::support::engine;
use crate::support::place::User;
use crate::support::proc;
use crate::support::sandbox::Sandbox;
use serde_json::Value;
use std::fs;
use std::time::Instant;

const ATTACK: &str = include_str!("attacks/witness.py");
const FORGE: &str = include_str!("attacks/forge.py");
const ORDINARY: User = User { uid: 1234, gid: 2345 };

/// The group of the witness.
const GROUP: u32 = 2_147_483_000;

/// A sandbox that was entered once, with an agent inside that has what it needs.
struct Attacked {
    sandbox: Sandbox,
    container: String,
    /// What the data set's claim said at the first entry.
    seen: String,
}

impl Attacked {
    fn new(sandbox: Sandbox) -> Attacked {
        sandbox.enter(["--version"]).ok();
        let (container, seen) = (sandbox.containers().remove(0), evidence(&sandbox));
        for (name, text) in [("attack.py", ATTACK), ("forge.py", FORGE)] {
            fs::write(sandbox.workspace().join(name), text).expect("a program of the agent");
        }
        Attacked { sandbox, container, seen }
    }

    /// Starts the attack in the background, and waits until it looks out for the witness.
    fn begins(&self, mode: &str) {
        self.runs(&["python3", "/workspace/attack.py", mode, "/tmp/attack.log"]);
        proc::wait_for("the attack", 20, || self.log().starts_with("ready").then_some(()));
    }

    fn runs(&self, words: &[&str]) {
        let words = [&["exec", "--detach", self.container.as_str()], words].concat();
        proc::output(proc::find("docker"), words);
    }

    fn log(&self) -> String {
        self.file("/tmp/attack.log")
    }

    fn file(&self, path: &str) -> String {
        let words = ["exec", self.container.as_str(), "cat", path];
        proc::outcome(proc::find("docker"), words).1
    }

    /// The promises hold, with the same numbers as before the attack.
    #[track_caller]
    fn holds(&self) {
        let run = self.sandbox.enter(["--version"]).ok();
        assert!(run.stderr.contains("promises hold"), "{}", run.stderr);
        assert_eq!(evidence(&self.sandbox), self.seen);
    }
}

/// What was seen of the data set's sample: numbers that the agent would like to choose.
fn evidence(sandbox: &Sandbox) -> String {
    let proof = sandbox.proof().0;
    let claims = proof["claims"].as_array().expect("claims");
    let claim = |id: &str| claims.iter().find(|claim| claim["id"] == *id).expect("the claim");
    let inside = |id: &str| claim(id)["evidence"]["inside"].as_str().expect("evidence").to_owned();
    let apart: &Value = claim("witness.apart");
    assert_eq!(apart["verdict"], "held", "{apart}");
    ["dataset.ssv2.readable", "dataset.ssv2.hard-links"].map(inside).join("; ")
}

#[track_caller]
fn cannot_be_forged(sandbox: Sandbox) {
    let attacked = Attacked::new(sandbox);
    attacked.runs(&["python3", "/workspace/forge.py"]);
    proc::wait_for("the attack", 20, || attacked.container_runs("forge.py").then_some(()));
    attacked.holds();
    let log = attacked.file("/tmp/forge.log");
    assert!(log.contains("errno 1\n") && !log.contains("FORGED"), "{log}");
}

impl Attacked {
    fn container_runs(&self, program: &str) -> bool {
        engine::docker(["top", &self.container, "-eo", "pid,args"]).contains(program)
    }
}

#[test]
fn root_cannot_forge_what_the_witness_writes() {
    cannot_be_forged(Sandbox::new());
}

#[test]
fn an_ordinary_user_cannot_forge_what_the_witness_writes() {
    cannot_be_forged(Sandbox::of(ORDINARY));
}

/// From before it is there until it has ended, at each of many entries.
#[track_caller]
fn cannot_be_traced_at_any_moment(sandbox: Sandbox) {
    let attacked = Attacked::new(sandbox);
    attacked.begins("seize");
    for _ in 0..60 {
        attacked.sandbox.task("mounts").run().ok();
    }
    attacked.holds();
    let log = attacked.log();
    let counts = log.lines().rfind(|line| line.starts_with("counts ")).expect("counts");
    println!("{counts}");
    let refused: u32 = counts.split(' ').find_map(|word| word.strip_prefix("EPERM=")?.parse().ok()).expect("refusals");
    assert!(refused > 2000, "{counts}");
    // What the user enters has the agent's own group, and may be traced; the witness and the engine's program that
    // becomes it may not.
    let seized: Vec<&str> = log.lines().filter(|line| line.starts_with("seized ")).collect();
    let wrong =
        |line: &&&str| line.contains(&format!("gid {GROUP}")) || line.contains("runc") || line.contains("probe.py");
    assert_eq!(seized.iter().filter(wrong).count(), 0, "{seized:#?}");
}

#[test]
fn root_cannot_trace_the_witness_at_any_moment() {
    cannot_be_traced_at_any_moment(Sandbox::new());
}

#[test]
fn an_ordinary_user_cannot_trace_the_witness_at_any_moment() {
    cannot_be_traced_at_any_moment(Sandbox::of(ORDINARY));
}

#[track_caller]
fn has_no_way_in(sandbox: Sandbox) {
    let attacked = Attacked::new(sandbox);
    attacked.begins("mem");
    attacked.holds();
    let log = attacked.log();
    assert!(log.contains(&format!("gid {GROUP}")) && log.ends_with("over\n"), "{log}");
    let tried: Vec<&str> = log.lines().filter(|line| line.starts_with("try ")).collect();
    assert!(tried.len() > 15, "{log}");
    for line in tried {
        // Some architectures and kernels lack one of these calls.
        let refused = ["EPERM", "EACCES", "ENOSYS", "ENOENT"].iter().any(|name| line.ends_with(name));
        assert!(refused, "{line}");
    }
}

#[test]
fn root_has_no_way_into_a_witness_that_it_has_stopped() {
    has_no_way_in(Sandbox::new());
}

#[test]
fn an_ordinary_user_has_no_way_into_a_witness_that_it_has_stopped() {
    has_no_way_in(Sandbox::of(ORDINARY));
}

/// The entry is refused with this line, and the next one is not in the way of what was left of the first.
#[track_caller]
fn refuses(mode: &str, says: &str) {
    let attacked = Attacked::new(Sandbox::of(ORDINARY));
    attacked.begins(mode);
    let begun = Instant::now();
    let run = attacked.sandbox.enter(["--version"]).ended(1);
    println!("{mode}: refused after {:?}", begun.elapsed());
    assert!(run.error().contains(says), "{}", run.error());
    assert!(run.error().contains("hint: ") && run.error().contains("`cargo xtask down`"), "{}", run.error());
    assert_eq!(run.stdout, "");
    assert!(!attacked.container_runs("probe.py"), "the witness was left behind");
    attacked.holds();
}

#[test]
fn a_witness_that_is_killed_is_told() {
    refuses("kill", "the inside witness was ended by signal 9 (SIGKILL)");
}

#[test]
fn a_witness_that_is_stopped_is_told() {
    refuses("stop", "the inside witness was stopped by something inside");
}

#[test]
fn a_witness_that_is_stopped_again_and_again_is_told() {
    refuses("flicker", "the inside witness was stopped by something inside");
}

/// As the witness of a call that was itself killed, or a program that came to its group by a way that nobody knows.
#[test]
fn what_is_left_in_the_witnesses_group_is_ended_and_where_that_fails_the_entry_is_refused() {
    let attacked = Attacked::new(Sandbox::of(ORDINARY));
    let start = |uid: u32, seconds: &str| {
        let user = format!("{uid}:{GROUP}");
        let words = ["exec", "--detach", "--user", &user, &attacked.container, "sleep", seconds];
        proc::output(proc::find("docker"), words);
        proc::wait_for("it", 20, || attacked.container_runs(&format!("sleep {seconds}")).then_some(()));
    };
    start(ORDINARY.uid, "6543");
    attacked.holds();
    assert!(!attacked.container_runs("sleep 6543"));
    // The user may not end a process of root.
    start(0, "6544");
    let run = attacked.sandbox.enter(["--version"]).ended(1);
    assert!(run.error().contains("`witness.apart`"), "{}", run.error());
    assert!(run.stderr.contains("is in the witness's own group"), "{}", run.stderr);
}
