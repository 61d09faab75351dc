//! Commands whose output is kept, up to a ceiling.

use super::child::{Child, Group};
use super::lifeline::Pulse;
use super::{KILLED, Output, QUERY_BOUND, TICK, UNENDING, code_of, cut_off, deadline, without_input};
use crate::error::failed;
use crate::signals;
use crate::step::Command;
use anyhow::{Context as _, Result};
use std::io::{PipeReader, Read as _};
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// The most bytes that are kept of each of the two outputs of a command that names no other ceiling.
const MOST: usize = 64 << 20;

/// For how long what a killed command has said is still waited for: something that it started may hold its output open.
const REST: Duration = Duration::from_secs(1);

/// How a followed command came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Ended,
    /// `tick` answered `false`.
    Stopped,
    /// Its bound passed.
    Late,
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Out,
    Err,
}

/// What was read at once of one of them.
type Piece = (Stream, Vec<u8>);

/// Starts a command whose standard output is the result. Each line of its standard error is passed to `line` as it comes,
/// and kept. `tick` is called about every 100 ms; when it answers `false`, a signal has
/// arrived that nothing was done about, or the bound passes, the command is ended. One that not even SIGKILL ends is left behind.
///
/// # Errors
/// It cannot be started, says more than is kept, or its server does not answer: then it is ended too.
pub(crate) fn follow(
    command: &Command,
    mut line: impl FnMut(&str),
    mut tick: impl FnMut() -> bool,
) -> Result<(Output, End)> {
    let mut pulse = Pulse::of(command)?;
    let ((out, to_out), (err, to_err)) = (pipe()?, pipe()?);
    // The expression must not outlive this line: it holds the pipes open.
    let child = Child::start(command, &without_input(command)?.stdout_file(to_out).stderr_file(to_err), Group::Own)?;
    let (mut said, pieces) = (Said::new(command.most.unwrap_or(MOST)), readers(out, err));
    let mut deadline = deadline(command.timeout.unwrap_or(QUERY_BOUND));
    let (mut end, mut next) = (End::Ended, Instant::now() + TICK);
    let mut open = true;
    let status = loop {
        if open {
            match pieces.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(piece) => {
                    if let Err(why) = said.take(piece, &mut line) {
                        child.end()?;
                        return Err(failed(format!("`{command}` {why}, and was ended")).into());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => open = false,
            }
        } else {
            let left = next.saturating_duration_since(Instant::now());
            if let Some(status) = child.wait(left)? {
                break Some(status);
            }
        }
        let now = Instant::now();
        if now < next {
            continue;
        }
        next = now + TICK;
        if end == End::Ended {
            if let Err(silent) = pulse.beat() {
                child.end()?;
                return Err(silent);
            }
            end = match tick() && !signals::asked() {
                true if now < deadline => continue,
                true => End::Late,
                false => End::Stopped,
            };
            child.end()?;
            deadline = now + REST;
        }
        open = open && now < deadline;
        if now >= deadline + UNENDING {
            child.left_behind();
            break None;
        }
    };
    let said = said.end(status, &mut line);
    Ok((said, if end == End::Ended && status.is_some_and(cut_off) { End::Stopped } else { end }))
}

fn pipe() -> Result<(PipeReader, std::io::PipeWriter)> {
    std::io::pipe().context("cannot make a pipe")
}

/// Reads both to their ends, or until nobody wants to know.
fn readers(out: PipeReader, err: PipeReader) -> Receiver<Piece> {
    let (sender, pieces) = sync_channel(8);
    for (stream, reader) in [(Stream::Out, out), (Stream::Err, err)] {
        let sender = sender.clone();
        std::thread::spawn(move || read(stream, reader, &sender));
    }
    pieces
}

fn read(stream: Stream, mut reader: PipeReader, sender: &SyncSender<Piece>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(length @ 1..) = reader.read(&mut bytes) {
        if sender.send((stream, bytes.get(..length).unwrap_or_default().to_vec())).is_err() {
            return;
        }
    }
}

/// What a command has said so far.
struct Said {
    out: Vec<u8>,
    err: Vec<u8>,
    /// So much of the second was passed on as lines.
    shown: usize,
    most: usize,
}

impl Said {
    fn new(most: usize) -> Said {
        Said { out: Vec::new(), err: Vec::new(), shown: 0, most }
    }

    /// # Errors
    /// It would be more than is kept.
    fn take(&mut self, (stream, piece): Piece, line: &mut impl FnMut(&str)) -> Result<(), String> {
        let (name, kept) = match stream {
            Stream::Out => ("output", &mut self.out),
            Stream::Err => ("error", &mut self.err),
        };
        if kept.len() + piece.len() > self.most {
            return Err(format!("said more than {} MiB on its standard {name}", self.most >> 20));
        }
        kept.extend(&piece);
        if let (Stream::Err, Some(last)) = (stream, piece.iter().rposition(|byte| *byte == b'\n')) {
            self.show(self.err.len() - piece.len() + last, line);
        }
        Ok(())
    }

    /// Passes on the lines up to this place.
    fn show(&mut self, end: usize, line: &mut impl FnMut(&str)) {
        let bytes = self.err.get(self.shown..end).unwrap_or_default();
        bytes.split(|byte| *byte == b'\n').for_each(|bytes| line(String::from_utf8_lossy(bytes).trim_end()));
        self.shown = end + 1;
    }

    /// Without a status: as what was killed.
    fn end(mut self, status: Option<ExitStatus>, line: &mut impl FnMut(&str)) -> Output {
        if self.shown < self.err.len() {
            self.show(self.err.len(), line);
        }
        Output::new(status.map_or(KILLED, code_of), &self.out, &self.err)
    }
}
