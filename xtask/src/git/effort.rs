//! The bound on work whose size an agent chose: how many branches, packs and objects there are, and how large they become
//! once they are unpacked.

use super::Relation;
use crate::error::{failed, interrupted};
use crate::exec::{self, Output};
use crate::step::Command;
use crate::ui;
use anyhow::Result;
use std::time::{Duration, Instant};

/// How long the commits of a sandbox may be read, and how long all of them may be taken over.
const READ: Duration = Duration::from_secs(120);
const TAKE: Duration = Duration::from_secs(600);

/// When the user is told what is waited for.
const LATE: Duration = Duration::from_secs(2);

/// What to do where the bound was reached.
pub(super) const REMEDY: &str =
    "inside, delete what is not needed and run `git gc --prune=now`, or drop it all with `cargo xtask down --all`";

/// One piece of such work. It says what is waited for once it takes long, and ends early where the user wants that.
pub(super) struct Effort<'a> {
    end: Instant,
    stop: &'a dyn Fn() -> bool,
    _late: ui::Late,
}

impl<'a> Effort<'a> {
    pub(super) fn to_read(stop: &'a dyn Fn() -> bool) -> Effort<'a> {
        Effort::within(READ, "checking the commits of the sandbox: Ctrl-C ends it, and nothing is lost", stop)
    }

    pub(super) fn to_take(stop: &'a dyn Fn() -> bool) -> Effort<'a> {
        Effort::within(TAKE, "taking over the commits of the sandbox: Ctrl-C ends it, and nothing is lost", stop)
    }

    fn within(bound: Duration, line: &'static str, stop: &'a dyn Fn() -> bool) -> Effort<'a> {
        Effort { end: Instant::now() + bound, stop, _late: ui::late(LATE, line) }
    }

    /// Whether the user wants it to end: then what is left undone is no finding.
    pub(super) fn stopped(&self) -> bool {
        (self.stop)()
    }

    /// Whether there is no time left.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// # Errors
    /// It is to end, or its time is over.
    pub(super) fn go_on(&self) -> Result<()> {
        if self.stopped() {
            return Err(interrupted("interrupted").into());
        }
        if self.is_over() {
            return Err(failed("there is more than can be checked in the time for it").hint(REMEDY).into());
        }
        Ok(())
    }

    /// Runs git in what is left of the time, and returns what it said, whatever its exit code.
    pub(super) fn capture(&self, command: Command) -> Result<Output> {
        self.go_on()?;
        let left = self.end.saturating_duration_since(Instant::now()).as_secs().max(1);
        exec::capture_unless(&command.timeout(left), self.stop)
    }

    /// The same, and returns its standard output.
    pub(super) fn stdout(&self, command: Command) -> Result<String> {
        let output = self.capture(command)?;
        if output.ok() {
            return Ok(output.stdout);
        }
        Err(failed(format!("git on the host failed: {}", output.stderr.trim())).into())
    }

    /// Whether `old` is an ancestor of `new`, in the repository of this command.
    pub(super) fn is_ancestor(&self, git: Command, old: &str, new: &str) -> Result<bool> {
        Ok(self.capture(git.args(["merge-base", "--is-ancestor", old, new]))?.ok())
    }

    /// How a branch at `tip` relates to the host's, which is at `old`, in the repository of this command.
    pub(super) fn relation(&self, git: Command, old: Option<&String>, tip: &str) -> Result<Relation> {
        let Some(old) = old else { return Ok(Relation::New) };
        Ok(if self.is_ancestor(git, old, tip)? { Relation::Ahead } else { Relation::Diverged })
    }
}
