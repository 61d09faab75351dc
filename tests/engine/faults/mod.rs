//! Stage × fault: what a call says and leaves when its engine fails it or a signal ends it, and that the next one is well.
//! Most faults come from a relay before the engine of the machine, which is never touched.

mod asked;
mod bench;
mod exhausted;
mod going;
mod leave;
mod real;
mod smoke;
pub(super) mod waiting;

use crate::support::relay::Answer::{Closed, Error, Garbage, Gone, Huge, Late, Never, Truncated};
use bench::Fault::{Engine, GroupSignal, Signal, SignalAfter};
use bench::*;

#[test]
fn an_engine_that_goes_away() {
    Bench::new().all(&[
        Row(QUERY, Engine(Gone), 3, "no Docker Engine answers"),
        Row(ASKED, Engine(Gone), 3, "error: "),
        Row(IMAGES, Engine(Gone), 3, "error: "),
        Row(IMAGE, Engine(Gone), 3, "error: "),
        Row(CREATE, Engine(Gone), 3, "went away"),
        Row(STARTED, Engine(Gone), 3, "went away"),
        Row(BETWEEN, Engine(Gone), 3, "error: "),
        Row(STATUS, Engine(Gone), 3, "error: "),
        Row(DOWN, Engine(Gone), 3, "error: "),
        Row(DOWN_NETWORK, Engine(Gone), 3, "error: "),
        Row(CREATE, Engine(Closed), 3, "went away"),
        Row(STARTED, Engine(Closed), 3, "went away"),
        Row(DOWN, Engine(Closed), 3, "error: "),
    ]);
}

// Each row waits for the bound on an answer: the halves wait at the same time.
#[test]
fn an_engine_that_hangs_before_a_container_runs() {
    Bench::new().all(&[
        Row(QUERY, Engine(Never), 3, "error: "),
        Row(ASKED, Engine(Never), 3, "error: "),
        Row(CREATE, Engine(Never), 3, "does not answer any more"),
    ]);
}

#[test]
fn an_engine_that_hangs_once_a_container_runs() {
    Bench::new().all(&[
        Row(BETWEEN, Engine(Never), 3, "error: "),
        Row(STATUS, Engine(Never), 3, "error: "),
        Row(DOWN, Engine(Never), 3, "does not answer any more"),
    ]);
}

#[test]
fn an_engine_that_answers_late_or_wrongly() {
    Bench::new().all(&[
        Row(QUERY, Engine(Late), 0, ""),
        Row(ASKED, Engine(Late), 0, ""),
        Row(CREATE, Engine(Late), 0, ""),
        Row(STATUS, Engine(Late), 0, ""),
        Row(SESSION, Engine(Late), 0, ""),
        Row(DOWN, Engine(Late), 0, ""),
        Row(ASKED, Engine(Garbage), 3, "error: "),
        Row(IMAGES, Engine(Garbage), 3, "error: "),
        Row(CREATE, Engine(Garbage), 3, "error: "),
        Row(STATUS, Engine(Garbage), 3, "error: "),
        Row(ASKED, Engine(Truncated), 3, "error: "),
        Row(IMAGES, Engine(Truncated), 3, "error: "),
        Row(STATUS, Engine(Truncated), 3, "error: "),
        Row(IMAGES, Engine(Huge), 3, "error: "),
    ]);
}

#[test]
fn an_engine_that_has_nothing_left() {
    const POOLS: &str =
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network";
    const SUBNETS: &str = "all predefined address pools have been fully subnetted";
    const DISK: &str = "mkdir /var/lib/docker/overlay2/x: no space left on device";
    const PIDS: &str = "failed to create task for container: fork/exec /usr/bin/runc: resource temporarily unavailable";
    const INOTIFY: &str = "failed to create inotify fd: too many open files";
    Bench::new().all(&[
        Row(NETWORK, Engine(Error(POOLS)), 3, "docker network prune"),
        Row(NETWORK, Engine(Error(SUBNETS)), 3, "docker network prune"),
        Row(CREATE, Engine(Error(DISK)), 3, "docker system df"),
        Row(STARTED, Engine(Error(DISK)), 3, "docker system df"),
        Row(STARTED, Engine(Error(PIDS)), 3, "TasksMax"),
        Row(STARTED, Engine(Error(INOTIFY)), 3, "max_user_instances"),
        Row(BETWEEN, Engine(Error(PIDS)), 3, "TasksMax"),
        Row(DOWN, Engine(Error(DISK)), 3, "docker system df"),
    ]);
}

const SIGNALS: [(&str, i32); 4] = [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131)];

fn each_signal(stages: &[Stage], fault: fn(&'static str) -> bench::Fault) -> Vec<Row> {
    let pairs = stages.iter().flat_map(|stage| SIGNALS.map(|(name, code)| (stage, name, code)));
    pairs.map(|(stage, name, code)| Row(*stage, fault(name), code, "interrupted")).collect()
}

#[test]
fn a_signal_at_each_stage_before_the_session() {
    Bench::new().all(&each_signal(&[QUERY, ASKED, CREATE, STARTED, PROOF], Signal));
}

#[test]
fn a_signal_to_the_whole_group_and_one_while_an_answer_is_on_its_way() {
    let mut rows = each_signal(&[ASKED, STARTED], GroupSignal);
    rows.extend(each_signal(&[CREATE], SignalAfter));
    rows.extend(each_signal(&[STATUS, DOWN], Signal));
    Bench::new().all(&rows);
}
