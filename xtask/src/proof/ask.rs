//! How the inside witness is asked: with nobody else in its group, and watched while it runs.
//!
//! A process of the agent cannot look into the witness or change it (see [`crate::spec::insider`]). What it can do is to
//! end or to stop it, since signals need only the same user. Then there is no answer, and the entry is refused.

use super::group::WitnessGroup;
use super::probe::ProbeRequest;
use super::probing::Probing;
use crate::engine::cgroup::{Cgroup, Process};
use crate::engine::{errors, pulse};
use crate::error::failed;
use crate::exec::{self, End, Output};
use anyhow::Result;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// When the first look at the witness is taken, and how often from then on.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const EACH: Duration = Duration::from_millis(250);
/// At so many looks the witness may be found stopped, in a row or not: together they are two seconds.
const STOPS: u32 = 8;
/// Whether nothing but the witness was in its group, as the host saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Alone {
    /// No other program has run in the container yet.
    First,
    /// Nothing was, before it started and after it ended.
    Seen,
    /// Something was.
    Not(String),
    /// The host cannot see the processes of the container.
    Unseen(String),
}

/// What came of asking.
pub(crate) struct Reply {
    pub(crate) answer: Result<String>,
    pub(crate) alone: Alone,
    /// Until the file in the workspace is taken.
    pub(super) probing: Probing,
}

/// Asks the witness in a container in which no agent has run yet. `workspace` is the directory on this host.
pub(crate) fn first(request: &ProbeRequest, workspace: Option<&Path>, container: &str) -> Reply {
    let probing = Probing::begin(workspace);
    let answer = exec::capture(&request.command(container)).and_then(|output| read(&output, container));
    Reply { answer, alone: Alone::First, probing }
}

/// Asks the witness in a container in which an agent may be running. `init` is the process id of its init.
pub(crate) fn again(request: &ProbeRequest, workspace: Option<&Path>, container: &str, init: u64) -> Reply {
    match Cgroup::of(container, init) {
        Ok(cgroup) => watched(request, workspace, container, &WitnessGroup { cgroup, gid: request.group() }),
        Err(why) => Reply { alone: Alone::Unseen(why), ..first(request, workspace, container) },
    }
}

fn watched(request: &ProbeRequest, workspace: Option<&Path>, container: &str, group: &WitnessGroup) -> Reply {
    let probing = Probing::begin(workspace);
    let before = group.emptied();
    let mut watch = Watch::new(group);
    let said = exec::follow(&request.command(container), |_| {}, || watch.goes_on());
    let answer = said.and_then(|(output, end)| match end {
        End::Ended => read(&output, container),
        End::Stopped => Err(stopped()),
        End::Late => Err(failed("the inside witness did not answer in time").hint(LEFT_OVER).into()),
    });
    // Where only the client has ended, the engine leaves the witness as it is. Nothing but the witness and what it has
    // started was ever given this group: whatever else has begun inside meanwhile is left alone.
    let after = group.members();
    after.iter().for_each(|left| group.kill(left));
    let after = after.map(|left| left.into_iter().map(|process| process.pid).collect());
    Reply { answer, alone: alone(before, after, group.gid), probing }
}

/// What two looks say, before and after: each gives the members of the group that should not be there.
fn alone(before: Result<Vec<u32>, String>, after: Result<Vec<u32>, String>, gid: u32) -> Alone {
    match (before, after) {
        (Err(why), _) | (_, Err(why)) => Alone::Unseen(why),
        (Ok(before), Ok(after)) => match before.iter().chain(&after).next() {
            None => Alone::Seen,
            Some(pid) => {
                Alone::Not(format!("process {pid} inside is in the witness's own group, {gid}, and does not end"))
            }
        },
    }
}

const LEFT_OVER: &str = "a program that was left running inside can do that: `cargo xtask status` shows what runs there, \
                         `cargo xtask down` ends it";

fn stopped() -> anyhow::Error {
    failed("the inside witness was stopped by something inside").hint(LEFT_OVER).into()
}

/// The answer, or what the exit code says of the end of the witness.
fn read(output: &Output, container: &str) -> Result<String> {
    const ALARM: i32 = 14;
    match output.code {
        0 => Ok(output.stdout.clone()),
        code if code == 128 + ALARM => {
            Err(failed("the inside witness did not come to an end in time").hint(LEFT_OVER).into())
        }
        code @ 129..=192 => {
            let signal = code - 128;
            let name = signal_name(signal).map(|name| format!(" ({name})")).unwrap_or_default();
            Err(failed(format!("the inside witness was ended by signal {signal}{name}")).hint(LEFT_OVER).into())
        }
        // The client's own codes: <https://docs.docker.com/engine/containers/run/#exit-status>.
        1 | 125 | 126 if !pulse::answers() => Err(errors::gone(&output.stderr).into()),
        code => {
            let said = output.stderr.trim();
            let said = if said.is_empty() { String::new() } else { format!(": {said}") };
            Err(failed(format!("the inside witness in `{container}` ended with exit code {code}{said}")).into())
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match Signal::from_named_raw(number)? {
        Signal::HUP => "SIGHUP",
        Signal::INT => "SIGINT",
        Signal::QUIT => "SIGQUIT",
        Signal::KILL => "SIGKILL",
        Signal::TERM => "SIGTERM",
        _ => return None,
    })
}

/// Looks at the witness while it runs.
struct Watch<'a> {
    group: &'a WitnessGroup,
    /// What ran before it was started.
    before: BTreeSet<u32>,
    next: Instant,
    stops: u32,
}

impl Watch<'_> {
    fn new(group: &WitnessGroup) -> Watch<'_> {
        let before = group.cgroup.pids().unwrap_or_default();
        Watch { group, before, next: Instant::now() + FIRST_LOOK, stops: 0 }
    }

    /// Whether the witness may go on: it was not found stopped too often. The count does not begin anew where it was let
    /// go on in between.
    fn goes_on(&mut self) -> bool {
        if Instant::now() >= self.next {
            self.next += EACH;
            self.stops += u32::from(self.stopped());
        }
        self.stops < STOPS
    }

    /// Whether the witness is stopped, or a child of it. Until the engine has given it its group, the witness is one of
    /// those whose parent is outside of the container. An agent can make such processes too: one that it stops has the
    /// entry refused, as stopping the witness has.
    fn stopped(&self) -> bool {
        let Ok(all) = self.group.cgroup.pids() else { return false };
        let own = |process: &Process| self.group.has(process.pid) == Some(true) || !all.contains(&process.parent);
        let new = all.difference(&self.before).copied().filter_map(Process::read);
        new.filter(Process::stopped).any(|process| own(&process))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_that_was_ended_is_told_by_its_signal() {
        let said = |code, stderr: &str| {
            let output = Output { code, stdout: "x".into(), stderr: stderr.into() };
            read(&output, "c").map_err(|err| crate::error::render(&err))
        };
        assert_eq!(said(0, "").unwrap(), "x");
        let killed = said(137, "").unwrap_err();
        assert!(killed.contains("the inside witness was ended by signal 9 (SIGKILL)"), "{killed}");
        assert!(killed.contains("`cargo xtask down`"), "{killed}");
        assert!(said(139, "").unwrap_err().contains("ended by signal 11\n"), "{:?}", said(139, ""));
        assert!(said(142, "").unwrap_err().contains("in time"));
        assert!(said(126, "OCI runtime").unwrap_err().contains("exit code 126: OCI runtime"));
    }

    #[test]
    fn what_is_in_the_group_before_or_after_is_not_the_witness() {
        let none = || Ok(Vec::new());
        assert_eq!(alone(none(), none(), 7), Alone::Seen);
        assert!(matches!(alone(Ok(vec![3]), none(), 7), Alone::Not(why) if why.contains("process 3")));
        assert!(matches!(alone(none(), Ok(vec![4]), 7), Alone::Not(why) if why.contains("process 4")));
        assert_eq!(alone(none(), Err("dark".into()), 7), Alone::Unseen("dark".into()));
        assert_eq!(alone(Err("dark".into()), none(), 7), Alone::Unseen("dark".into()));
    }
}
