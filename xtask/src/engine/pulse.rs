//! Whether the engine still answers, while something is waited for that may take long.

use crate::engine::docker;
use crate::error::{Failure, host, interrupted};
use crate::exec::{self, End, Output};
use crate::step::Command;
use anyhow::Result;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long nobody asks, at the beginning and after each answer: no usual start takes as long.
const QUIET: Duration = Duration::from_secs(8);

/// The bound on an answer, in seconds. The engine asks containerd for its version on the way, so that both are seen.
const BOUND: u64 = 8;

/// Runs a command of the client that may take long. It is ended where the engine answers nobody meanwhile.
///
/// # Errors
/// As `exec::capture`, and the engine does not answer: exit code 3.
pub(crate) fn capture(command: &Command) -> Result<Output> {
    let mut pulse = Pulse { next: Instant::now() + QUIET, asked: None, silent: false };
    match exec::follow(command, |_| {}, || pulse.beats())? {
        (output, End::Ended) => Ok(output),
        (_, End::Stopped) if !pulse.silent => Err(interrupted("interrupted").into()),
        (_, End::Stopped | End::Late) => Err(hangs(command).into()),
    }
}

/// Whether the engine answers now: where it does not, each of several further commands would wait for its own bound.
pub(crate) fn answers() -> bool {
    exec::capture(&docker::server_version().timeout(BOUND)).is_ok_and(|said| said.ok())
}

fn hangs(command: &Command) -> Failure {
    host(format!("the engine does not answer any more: `{command}` was ended")).hint(
        "restart the engine (`sudo systemctl restart docker`), then try again: the next call removes what is left",
    )
}

struct Pulse {
    next: Instant,
    asked: Option<Receiver<bool>>,
    silent: bool,
}

impl Pulse {
    fn beats(&mut self) -> bool {
        if let Some(answer) = &self.asked {
            if let Ok(answered) = answer.try_recv() {
                self.silent = !answered;
                (self.asked, self.next) = (None, Instant::now() + QUIET);
            }
        } else if Instant::now() >= self.next {
            let (sender, receiver) = channel();
            // Who does not wait for the answer any more has gone.
            std::thread::spawn(move || {
                let _ = sender.send(answers());
            });
            self.asked = Some(receiver);
        }
        !self.silent
    }
}
