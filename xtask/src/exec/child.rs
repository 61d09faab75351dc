//! A child process that can be ended with all of its group, also by the thread that takes the signals.

use super::{apart, start};
use crate::step::Command;
use crate::ui;
use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fmt::Display;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How long a program has to tidy up after SIGTERM: git removes its lock files then, and `docker build` ends the build.
const TIDY: Duration = Duration::from_secs(1);

/// All that run now and may be ended.
static ALL: Mutex<Vec<Weak<Started>>> = Mutex::new(Vec::new());

/// In which process group a child runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// In that of this process: it may ask at the terminal, and a key that is pressed there reaches it.
    Ours,
    /// In one of its own: no key reaches it, and what is made of its answer is not what a key made of it.
    Own,
}

struct Started {
    handle: duct::Handle,
    group: Group,
    /// As the user sees it.
    command: String,
}

/// A child that runs, or has ended.
pub(super) struct Child(Arc<Started>);

impl Child {
    pub(super) fn start(command: &Command, expr: &duct::Expression, group: Group) -> Result<Child> {
        let handle = match group {
            Group::Ours => start(command, expr)?,
            Group::Own => start(command, &apart(expr))?,
        };
        let started = Arc::new(Started { handle, group, command: command.to_string() });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&started));
        Ok(Child(started))
    }

    /// Its exit status, once it has ended.
    pub(super) fn wait(&self, at_most: Duration) -> Result<Option<ExitStatus>> {
        self.0.wait(at_most)
    }

    /// Ends it: with SIGTERM, and where that is not enough with SIGKILL.
    pub(super) fn end(&self) -> Result<()> {
        self.0.end()
    }

    /// The same, and says so where it goes on all the same.
    pub(super) fn end_or_leave(&self, at_most: Duration) -> Result<()> {
        self.end()?;
        if self.wait(at_most)?.is_none() {
            self.left_behind();
        }
        Ok(())
    }

    /// Says that it goes on, because nothing ends it.
    pub(super) fn left_behind(&self) {
        left_behind(&self.0.command, &self.0.handle.pids());
    }

    /// Kills it with its group, and waits for nothing.
    pub(super) fn leave(&self) {
        self.0.send(Signal::KILL);
    }
}

/// Says that a command goes on, because nothing ends it.
pub(super) fn left_behind(command: impl Display, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    ui::warn(format_args!(
        "`{command}` (process {pids}) could not be ended, not even by SIGKILL, and is left behind: it may wait in the kernel for \
         a file system or a device that does not answer"
    ));
}

impl Started {
    fn wait(&self, at_most: Duration) -> Result<Option<ExitStatus>> {
        let ended = self.handle.wait_timeout(at_most).with_context(|| format!("waiting for `{}`", self.command))?;
        Ok(ended.map(|output| output.status))
    }

    fn end(&self) -> Result<()> {
        self.send(Signal::TERM);
        if self.wait(TIDY)?.is_none() {
            self.send(Signal::KILL);
        }
        self.handle.kill().with_context(|| format!("stopping `{}`", self.command))
    }

    /// Its number is not used again before it was waited for.
    fn send(&self, signal: Signal) {
        let Some(pid) = self.handle.pids().first().and_then(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) else {
            return;
        };
        // It may have ended meanwhile.
        let _ = match self.group {
            Group::Own => kill_process_group(pid, signal),
            Group::Ours => kill_process(pid, signal),
        };
    }
}

/// Ends all that run: this process is about to end.
pub(crate) fn end_all() {
    let all: Vec<_> = ALL.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    std::thread::scope(|scope| {
        for child in &all {
            // Nothing could be done about one that cannot be ended.
            scope.spawn(|| drop(child.end()));
        }
    });
}
