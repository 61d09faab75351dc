//! A program that is asked over its standard input, line by line, while that stays open.

use super::{QUERY_BOUND, apart, deadline, expression, judged, kill, start};
use crate::beneath::Lock;
use crate::error::failed;
use crate::step::Command;
use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// The longest line that is read, and the most lines, where the command names no other ceiling on the bytes.
const MOST: u64 = 4 << 20;

/// How often it is asked whether the conversation may go on.
const TICK: Duration = Duration::from_millis(100);

/// How long a program may take to end once its input has ended.
const REST: Duration = Duration::from_secs(1);

/// What a line of the program leads to.
pub(crate) enum Next {
    /// More lines are waited for.
    Wait,
    /// This is said next, a line.
    Say(String),
    /// All is known: its input ends.
    Done,
}

/// Whether a conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    /// Nobody wants to know any more: the program is ended.
    End,
    /// The same, but it may come to its own end, which its input's end tells it: what it does must not be cut off.
    Leave,
}

/// How a conversation came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    Done,
    /// The program ended, or closed its output, before all was known.
    Broken,
    /// It was to end.
    Stopped,
    /// Its bound passed.
    Late,
}

/// Starts a command, says `first` to it, and passes each line of its standard output to `heard`. Its standard error is thrown
/// away, and no error shows what it said: it may be a secret. `wish` is asked about every 100 ms. A `lock` is held until the
/// program has ended, too, however this process ends.
///
/// # Errors
/// It cannot be started.
pub(crate) fn talk(
    command: &Command,
    first: &str,
    lock: Option<&Lock>,
    mut heard: impl FnMut(&str) -> Next,
    wish: impl Fn() -> Wish,
) -> Result<Talk> {
    let ((input, mut to_input), (output, to_output)) = (pipe()?, pipe()?);
    // Ctrl-C in the terminal is for this process, which decides whether the program is ended.
    let expr = holding(command, lock)?.stdin_file(input).stdout_file(to_output);
    let handle = start(command, &apart(&expr))?;
    // The expression holds the other ends of the pipes open.
    drop(expr);
    let lines = reader(output, command.most.map_or(MOST, |most| most as u64));
    let deadline = deadline(command.timeout.unwrap_or(QUERY_BOUND));
    // A program that has ended already takes nothing: then its output ends too.
    let _ = to_input.write_all(first.as_bytes());
    let end = loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => match heard(&line) {
                Next::Wait => {}
                Next::Say(text) => drop(to_input.write_all(text.as_bytes())),
                Next::Done => break Talk::Done,
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break Talk::Broken,
        }
        match wish() {
            Wish::GoOn => {}
            Wish::End => break Talk::Stopped,
            // Its input ends here.
            Wish::Leave => return Ok(Talk::Stopped),
        }
        if Instant::now() > deadline {
            break Talk::Late;
        }
    };
    drop(to_input);
    let rest = match end {
        Talk::Done | Talk::Broken => REST,
        Talk::Stopped | Talk::Late => Duration::ZERO,
    };
    if !matches!(handle.wait_timeout(rest), Ok(Some(_))) {
        kill(command, &handle)?;
    }
    Ok(end)
}

/// Hands a descriptor on as number 9, since standard error is the only one that can be given: a shell moves it, and becomes the
/// program.
const HANDS_ON: &str = "exec 9>&2 2>/dev/null; exec \"$0\" \"$@\"";

/// The command, which has a share of the lock. What is not there is left to the start, which says so.
fn holding(command: &Command, lock: Option<&Lock>) -> Result<duct::Expression> {
    let program = judged(command)?;
    let Some(lock) = lock.filter(|_| Path::new(&program).exists()) else {
        return Ok(expression(command)?.stderr_null());
    };
    let mut shell = command.clone();
    shell.program = "/bin/sh".into();
    shell.args = vec!["-c".into(), HANDS_ON.into(), program.to_string_lossy().into_owned()];
    shell.args.extend(command.args.iter().cloned());
    Ok(expression(&shell)?.stderr_file(lock.share().context("cannot share a lock")?))
}

fn pipe() -> Result<(PipeReader, std::io::PipeWriter)> {
    std::io::pipe().map_err(|err| failed(format!("a pipe cannot be made: {err}"))).context("cannot ask a program")
}

/// Reads lines until the end, the ceiling, or until nobody wants to know.
fn reader(output: PipeReader, most: u64) -> Receiver<String> {
    let (sender, lines) = sync_channel(8);
    std::thread::spawn(move || {
        let mut output = BufReader::new(output.take(most));
        let mut line = Vec::new();
        while let Ok(1..) = output.read_until(b'\n', &mut line) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::lock_fd;

    fn sh(script: &str) -> Command {
        Command::new("sh").args(["-c", script]).timeout(20)
    }

    #[test]
    fn a_program_is_answered_while_its_input_stays_open() {
        let mut said = Vec::new();
        let heard = |line: &str| {
            said.push(line.trim().to_owned());
            match line.trim() {
                "got one" => Next::Say("two\n".into()),
                "got two" => Next::Done,
                _ => Next::Wait,
            }
        };
        let end = talk(&sh("while read x; do echo got $x; done"), "one\n", None, heard, || Wish::GoOn).unwrap();
        assert_eq!((end, said), (Talk::Done, vec!["got one".to_owned(), "got two".to_owned()]));
    }

    #[test]
    fn what_ends_early_goes_on_for_ever_or_says_too_much_is_told_apart() {
        let talk = |command: &Command, stop: bool| {
            talk(command, "x\n", None, |_| Next::Wait, || if stop { Wish::End } else { Wish::GoOn }).unwrap()
        };
        assert_eq!(talk(&sh("exit 3"), false), Talk::Broken);
        assert_eq!(talk(&sh("exec sleep 600"), true), Talk::Stopped);
        assert_eq!(talk(&sh("exec sleep 600").timeout(1), false), Talk::Late);
        assert_eq!(talk(&sh("exec yes").at_most(1 << 16), false), Talk::Broken);
    }

    #[test]
    fn what_is_left_to_itself_comes_to_its_own_end() {
        let dir = tempfile::tempdir().unwrap();
        let (done, begun) = (dir.path().join("done"), Instant::now());
        let program = sh("while read x; do :; done; sleep 0.3; : > done").dir(dir.path()).timeout(600);
        assert_eq!(talk(&program, "x\n", None, |_| Next::Wait, || Wish::Leave).unwrap(), Talk::Stopped);
        while !done.exists() && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(TICK);
        }
        assert!(done.exists());
    }

    #[test]
    fn a_lock_is_held_until_the_program_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let open = || std::fs::File::options().create(true).truncate(false).write(true).open(&path).unwrap();
        let again = || lock_fd(open(), Duration::ZERO).unwrap();
        let lock = again().unwrap();
        let goes_on = "while read x; do :; done; while [ ! -e end ]; do sleep 0.05; done; echo said >&2";
        let program = sh(goes_on).dir(dir.path()).timeout(600);
        assert_eq!(talk(&program, "x\n", Some(&lock), |_| Next::Wait, || Wish::Leave).unwrap(), Talk::Stopped);
        drop(lock);
        assert!(again().is_none(), "it goes on");
        std::fs::write(dir.path().join("end"), "").unwrap();
        assert!(lock_fd(open(), Duration::from_secs(60)).unwrap().is_some());
        assert_eq!(std::fs::read(&path).unwrap(), b"", "what it says goes nowhere");
        let missing = Command::new("/nowhere/program");
        assert!(talk(&missing, "", again().as_ref(), |_| Next::Wait, || Wish::GoOn).is_err());
    }
}
