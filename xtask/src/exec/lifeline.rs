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
const AGAIN: u64 = 3;

/// Whether the last question was not answered, or it is doubted that the next one will be. There is one server: the engine.
static SILENT: AtomicBool = AtomicBool::new(false);

/// From now on the server is asked before the next command that waits for it: the user wants an end, and what is still to be
/// done must not wait for an engine that hangs.
pub(crate) fn doubt() {
    SILENT.store(true, Ordering::Relaxed);
}

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

#[cfg(test)]
mod tests {
    use crate::error;
    use crate::exec;
    use crate::step::{Command, Lifeline};

    #[test]
    fn a_command_is_ended_where_its_server_does_not_answer_and_the_next_is_not_started() {
        let asks = |question: &str| {
            let question = Command::new(question);
            let lifeline = Lifeline { question, silent: "it is silent", remedy: "wake it" };
            Command::new("sleep").arg("6000").timeout(6000).lifeline(lifeline)
        };
        for run in [exec::run, |command: &Command| exec::capture(command).map(drop)] {
            let err = run(&asks("false")).unwrap_err();
            assert_eq!(error::exit_code(&err), 3);
            assert!(error::render(&err).starts_with("error: it is silent: `sleep 6000` was "), "{err:#}");
            assert!(error::render(&err).contains("hint: wake it"), "{err:#}");
        }
        let err = exec::capture(&asks("false")).unwrap_err();
        assert!(err.to_string().ends_with("was not started"), "{err:#}");
        // One that answers again.
        let command = Command { args: vec!["0".into()], ..asks("true") };
        assert!(exec::capture(&command).unwrap().ok());
    }
}
