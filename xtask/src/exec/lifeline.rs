//! A command that waits for a server: it is ended where the server answers nobody any more, whatever its own bound is.

use super::capture;
use crate::error::{Failure, host};
use crate::step::{Command, Lifeline};
use anyhow::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long nobody asks, at the beginning and after each answer: what takes less costs no question.
const QUIET: Duration = Duration::from_secs(6);

/// The bound on an answer, in seconds, of a server that has answered so far.
const BOUND: u64 = 8;

/// The same of one that has not answered the last time: each further command would wait for its own bound.
const AGAIN: u64 = 2;

/// Whether the last question was not answered. There is one server: the engine.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Whether the server of this command answers now.
fn answers(lifeline: &Lifeline) -> bool {
    let bound = if SILENT.load(Ordering::Relaxed) { AGAIN } else { BOUND };
    let answered = capture(&lifeline.question.clone().timeout(bound)).is_ok_and(|said| said.ok());
    SILENT.store(!answered, Ordering::Relaxed);
    answered
}

/// What is asked beside a command while it runs.
pub(super) struct Pulse<'a> {
    command: &'a Command,
    next: Instant,
    asked: Option<Receiver<bool>>,
}

impl<'a> Pulse<'a> {
    /// Of a command that is about to be started.
    ///
    /// # Errors
    /// Its server did not answer the last time that it was asked, and does not answer now.
    pub(super) fn of(command: &'a Command) -> Result<Pulse<'a>> {
        let pulse = Pulse { command, next: Instant::now() + QUIET, asked: None };
        let known = command.lifeline.as_ref().filter(|_| SILENT.load(Ordering::Relaxed));
        match known.is_none_or(|lifeline| answers(lifeline)) {
            true => Ok(pulse),
            false => Err(silent(command, "was not started").into()),
        }
    }

    /// Looks; it never waits.
    ///
    /// # Errors
    /// The server of the command does not answer.
    pub(super) fn beat(&mut self) -> Result<()> {
        let Some(lifeline) = &self.command.lifeline else { return Ok(()) };
        if let Some(answer) = &self.asked {
            if let Ok(answered) = answer.try_recv() {
                (self.asked, self.next) = (None, Instant::now() + QUIET);
                return if answered { Ok(()) } else { Err(silent(self.command, "was ended").into()) };
            }
        } else if Instant::now() >= self.next {
            let (sender, receiver) = channel();
            let lifeline = lifeline.clone();
            // Who does not wait for the answer any more has gone.
            std::thread::spawn(move || {
                let _ = sender.send(answers(&lifeline));
            });
            self.asked = Some(receiver);
        }
        Ok(())
    }
}

fn silent(command: &Command, what: &str) -> Failure {
    let (said, remedy) = command.lifeline.as_ref().map_or(("", ""), |lifeline| (lifeline.silent, lifeline.remedy));
    // A question that was cut off by a signal is told as that by whoever shows the error.
    host(format!("{said}: `{command}` {what}")).hint(remedy)
}
