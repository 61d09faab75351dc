//! A question whose program may hang in the kernel: it is left behind.

use super::child::{Child, Group};
use super::{QUERY_BOUND, TICK, deadline, without_input};
use crate::error::interrupted;
use crate::signals;
use crate::step::Command;
use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader, Read as _};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Instant;

/// So many bytes of its answer are read.
const MOST: u64 = 1 << 20;

/// Starts a program and hands each line of its answer to `line`, until that says that all is known, the program has ended, or
/// its bound has passed: no error. What still runs then is killed, and not waited for: a process that waits for a file
/// system may end only when that answers.
///
/// # Errors
/// It cannot be started, or a signal asks for an end.
pub(crate) fn until(command: &Command, line: &mut dyn FnMut(&str) -> bool) -> Result<()> {
    let (out, to_out) = std::io::pipe().context("cannot make a pipe")?;
    // The expression must not outlive this line: it holds the pipe open.
    let child = Child::start(command, &without_input(command)?.stdout_file(to_out).stderr_null(), Group::Own)?;
    let (sender, lines) = sync_channel(64);
    std::thread::spawn(move || {
        let read = BufReader::new(out.take(MOST)).lines().map_while(Result::ok);
        read.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
    });
    let deadline = deadline(command.timeout.unwrap_or(QUERY_BOUND));
    let done = loop {
        if signals::asked() {
            break Err(interrupted("interrupted").into());
        }
        let now = Instant::now();
        if now >= deadline {
            break Ok(());
        }
        match lines.recv_timeout(TICK.min(deadline - now)) {
            Ok(said) if line(&said) => break Ok(()),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
        }
    };
    child.leave();
    done
}
