//! What sessions have left running inside: named by pid, start time and arguments, and ended where the user wants it.

use super::session::parted;
use crate::engine::alive::{self, Alive, Parted};
use crate::engine::cgroup::Process;
use crate::engine::inspect::Container;
use crate::spec::places::Places;
use crate::spec::words::Leftovers;
use crate::ui;
use anyhow::Result;
use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};

/// How much of a command line is shown: it is the process's own to choose, and may be long.
const SHOWN: usize = 60;

/// How many processes are named: an agent can start thousands.
const NAMED: usize = 50;

/// How long the children of a session that has ended may take to end too before they are named.
const ENDING: Duration = Duration::from_millis(500);

/// What is done with processes that no session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The user is asked.
    Ask,
    /// The user has said so, or cannot be asked.
    Do(Leftovers),
}

impl Policy {
    /// By the flag; without one the user is asked where that is possible, and nothing is ended where it is not.
    pub(crate) fn new(flag: Option<Leftovers>, can_ask: bool) -> Policy {
        match flag {
            Some(said) => Policy::Do(said),
            None if can_ask => Policy::Ask,
            None => Policy::Do(Leftovers::Keep),
        }
    }
}

/// A process inside, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Leftover {
    /// On this host.
    pub(super) pid: u32,
    /// When it was started, as RFC 3339, where that is known.
    pub(super) since: Option<String>,
    /// Whether a signal has stopped it: it goes on when somebody lets it.
    pub(super) stopped: bool,
    /// Of its own choosing.
    pub(super) args: String,
}

impl From<&Process> for Leftover {
    fn from(process: &Process) -> Leftover {
        let since = process.since().map(|since| humantime::format_rfc3339_seconds(since).to_string());
        Leftover { pid: process.pid, since, stopped: process.stopped(), args: process.args.clone() }
    }
}

/// One line, short and safe for a terminal.
impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: String = self.args.chars().take(SHOWN).collect();
        let more = if self.args.chars().count() > SHOWN { "…" } else { "" };
        let stopped = if self.stopped { " (stopped)" } else { "" };
        let since = self.since.as_deref().unwrap_or("?");
        write!(f, "pid {} since {since}{stopped}: {}{more}", self.pid, ui::printable(&args))
    }
}

/// A process in one line.
pub(super) fn line(process: &Process) -> String {
    Leftover::from(process).to_string()
}

/// A line each, and not more than can be read at one place.
pub(super) fn named<'a, T>(all: impl IntoIterator<Item = &'a T>, line: impl Fn(&T) -> String) -> Vec<String>
where
    T: 'a,
{
    let all: Vec<&T> = all.into_iter().collect();
    let more = all.len().saturating_sub(NAMED);
    let lines = all.into_iter().take(NAMED).map(line);
    lines.chain((more > 0).then(|| format!("and {more} more: `cargo xtask status --json` names all"))).collect()
}

/// Waits for what is about to end with its session. Gives what is alive then.
///
/// # Errors
/// What is alive inside cannot be listed.
pub(super) fn let_end(container: &Container, places: &Places) -> Result<Alive> {
    let deadline = Instant::now() + ENDING;
    loop {
        let alive = Alive::read(container)?;
        if parted(places, &alive).left.is_empty() || Instant::now() >= deadline {
            return Ok(alive);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Names what no session holds, and ends it where the user wants that. The caller holds the lock of the workspace, so
/// that no session begins meanwhile. `ask` asks the user, `stop` ends the waiting. Gives what is alive afterwards.
///
/// # Errors
/// What is alive inside cannot be listed, or the question is not answered and nothing can go on without that.
pub(super) fn settle(
    container: &Container,
    places: &Places,
    alive: Alive,
    policy: Policy,
    ask: impl FnOnce() -> Result<bool>,
    stop: impl Fn() -> bool,
) -> Result<Alive> {
    let Parted { in_doubt, left, .. } = parted(places, &alive);
    if !in_doubt.is_empty() {
        ui::warn(
            "which of these processes a session of another terminal holds cannot be known, so none of them is ended:",
        );
        named(&in_doubt, line).iter().for_each(|line| ui::say(format_args!("  {line}")));
        ui::say("they end with that session, or `cargo xtask down` ends them");
    }
    if left.is_empty() {
        return Ok(alive);
    }
    ui::warn("these processes run inside, and no session that goes on holds them:");
    named(&left, line).iter().for_each(|line| ui::say(format_args!("  {line}")));
    let end = match policy {
        Policy::Ask => ask()?,
        Policy::Do(Leftovers::End) => true,
        Policy::Do(Leftovers::Keep) => false,
    };
    if !end {
        ui::say(
            "they go on; `cargo xtask down` ends them with the container, `cargo xtask sandbox --leftovers end` ends them alone and \
             enters",
        );
        return Alive::read(container);
    }
    let remain = alive::end(container, |alive| parted(places, alive).left, stop)?;
    for line in named(&remain, |(process, why)| format!("{}: {why}", line(process))) {
        ui::warn(format_args!("not ended: {line}; `cargo xtask down` ends it"));
    }
    if remain.is_empty() {
        ui::say("they were ended");
    }
    Alive::read(container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_short_and_safe_whatever_a_process_calls_itself() {
        let args = format!("\u{1b}[2J\n{}", "x".repeat(500));
        let process = Process { pid: 7, parent: 1, state: '?', started: 0, args };
        assert_eq!(line(&process), format!("pid 7 since ?: \\u{{1b}}[2J\\n{}…", "x".repeat(SHOWN - 5)));
        let process = Process { args: "x".repeat(SHOWN), state: 'T', ..process };
        assert!(line(&process).ends_with("xx") && line(&process).contains(" (stopped): x"));
    }

    #[test]
    fn nothing_is_ended_unless_somebody_says_so() {
        assert_eq!(Policy::new(None, false), Policy::Do(Leftovers::Keep));
        assert_eq!(Policy::new(None, true), Policy::Ask);
        assert_eq!(Policy::new(Some(Leftovers::End), true), Policy::Do(Leftovers::End));
        assert_eq!(Policy::new(Some(Leftovers::Keep), true), Policy::Do(Leftovers::Keep));
    }
}
