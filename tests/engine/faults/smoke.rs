//! The same for `gpu-smoke` in a container of its own, on the CPU: it ends with 3, because no GPU was asked for.

use super::bench::Call;
use super::bench::Fault::{self, Engine, GroupSignal, Signal, SignalAfter};
use crate::support::place::Place;
use crate::support::relay::Answer::{self, Error, Gone, Never};
use crate::support::relay::Relay;
use crate::support::run::Xtask;
use crate::support::{engine, proc};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// The request at which the fault comes, the fault, the exit code, and what the message has.
struct Row(&'static str, Fault, i32, &'static str);

const CREATE: &str = "/containers/create";
const CREATED: &str = "/json HTTP";
const START: &str = "/start HTTP";

/// The containers of this place's smoke tests, running or not.
fn containers(place: &Place) -> Vec<String> {
    let below = place.root().join("target/sandbox");
    let all = engine::docker(["ps", "--all", "--quiet", "--no-trunc"]);
    let is_ours = |id: &&str| {
        let format = "{{range .Mounts}}{{.Source}}\n{{end}}";
        let (_, mounts, _) = proc::outcome(proc::find("docker"), ["inspect", "--format", format, id]);
        mounts.lines().any(|source| Path::new(source).starts_with(&below))
    };
    all.lines().filter(is_ours).map(str::to_owned).collect()
}

/// The names of the directories of smoke tests.
fn scratch(place: &Place) -> BTreeSet<String> {
    let entries = fs::read_dir(place.root().join("target/sandbox")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("codex-sandbox-smoke-")).collect()
}

/// Runs all rows, each beside what those before it have left, and fails with all that did not hold.
#[track_caller]
fn all(rows: &[Row]) {
    engine::image(None);
    let place = Place::new();
    let socket = std::env::var("DOCKER_HOST").unwrap_or_default();
    let relay = Relay::start(&place, socket.strip_prefix("unix://").unwrap_or("/var/run/docker.sock"));
    let smoke = || Xtask::at(&place).args(["gpu-smoke", "--cpu"]).within(240);
    let (mut table, mut wrong) = (String::new(), String::new());
    for Row(request, fault, exit, says) in rows {
        let answer = match fault {
            Engine(answer) => *answer,
            Signal(_) | GroupSignal(_) => Answer::Held,
            SignalAfter(_) => Answer::HeldBack,
        };
        // What an earlier row has left stays for ten seconds.
        let before = scratch(&place);
        relay.arm(request, 0, answer);
        let begun = Instant::now();
        let mut call = Call::start(&smoke().env("DOCKER_HOST", relay.host.as_str()), &place);
        let signal = match fault {
            Engine(_) => None,
            Signal(name) | SignalAfter(name) => Some((*name, call.pid().to_string())),
            GroupSignal(name) => Some((*name, format!("-{}", call.pid()))),
        };
        if let Some((name, whom)) = signal {
            call.until(|| relay.reached());
            proc::outcome("kill", [&format!("-{name}"), "--", &whom]);
        }
        let (code, stderr) = call.end();
        let seconds = begun.elapsed().as_secs_f32();
        let what = format!("{request} × {fault:?}");
        if !relay.reached() {
            wrong += &format!("{what}: the stage was never reached\n");
        }
        let seen = relay.heal();
        let hinted = *exit != 3 || stderr.contains("hint: ");
        if code != Some(*exit) || !stderr.contains(says) || !hinted || stderr.contains("panicked") {
            wrong += &format!("{what}: exit {code:?}, wanted {exit} and {says:?}: {seen:?}\n{stderr}\n");
        }
        let left = containers(&place).len();
        // An engine that does not answer removes nothing, and one that has got the request makes it at a time of its own.
        let can_stay = matches!(fault, Engine(Gone | Never) | SignalAfter(_));
        // By its directory the next call knows whose container it was, or would have been.
        let own = scratch(&place).difference(&before).count();
        if left > 1 || (!can_stay && left + own > 0) {
            wrong += &format!("{what}: {left} containers and {own} directories are left\n");
        }
        table += &format!("| gpu-smoke: {request} | {fault:?} | {} | {seconds:.1} | {left} |\n", code.unwrap_or(-1));
        if left > 0 {
            // The one of an answer that was on its way has a call that cannot be seen any more: see `swept.rs`.
            match own {
                0 => containers(&place).iter().for_each(|id| _ = engine::docker(["rm", "--force", id])),
                _ => next(smoke, &place, &mut wrong),
            }
        }
    }
    next(smoke, &place, &mut wrong);
    let _ = writeln!(std::io::stderr(), "{table}");
    assert!(wrong.is_empty(), "{table}\n{wrong}");
}

/// The next call does its work, and leaves no container, not even an earlier one.
fn next<'a>(smoke: impl Fn() -> Xtask<'a>, place: &Place, wrong: &mut String) {
    let run = smoke().run();
    let left = containers(place).len();
    if run.code != Some(3) || !run.stdout.contains("not run") || left > 0 {
        *wrong += &format!("the next call: {:?}, {left} containers: {} {}\n", run.code, run.stdout, run.stderr);
    }
}

#[test]
fn an_engine_that_goes_away_or_has_nothing_left() {
    const DISK: &str = "mkdir /var/lib/docker/overlay2/x: no space left on device";
    all(&[
        Row(CREATE, Engine(Gone), 3, "error: "),
        Row(CREATED, Engine(Gone), 3, "error: "),
        Row(START, Engine(Gone), 3, "error: "),
        Row(CREATE, Engine(Error(DISK)), 3, "docker system df"),
        Row(START, Engine(Error(DISK)), 3, "docker system df"),
    ]);
}

#[test]
fn an_engine_that_hangs() {
    all(&[Row(CREATE, Engine(Never), 3, "does not answer any more")]);
}

#[test]
fn an_engine_that_hangs_at_the_start() {
    all(&[Row(START, Engine(Never), 3, "does not answer any more")]);
}

#[test]
fn a_signal() {
    let mut rows = Vec::new();
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        rows.push(Row(CREATE, Signal(name), code, "interrupted"));
        rows.push(Row(START, Signal(name), code, "interrupted"));
    }
    rows.push(Row(CREATE, SignalAfter("TERM"), 143, "interrupted"));
    rows.push(Row(START, SignalAfter("TERM"), 143, "interrupted"));
    rows.push(Row(START, GroupSignal("INT"), 130, "interrupted"));
    all(&rows);
}
