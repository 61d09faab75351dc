//! The one place that prints. Standard output carries the result; everything else goes to standard error.

mod layout;
mod terminal;

use layout::folded;
pub(crate) use layout::{columns, columns_within, paint, shortened};
pub(crate) use terminal::lend;

use crate::context::Context;
use crate::ours;
use crate::text;
pub(crate) use crate::text::{harmless, printable};
use anyhow::Result;
use serde::Serialize;
use std::fmt::Display;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How one of the two output streams is formatted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Whether marks such as `error:` are coloured. The text says everything that a colour says.
    pub(crate) colour: bool,
    /// The columns of the terminal; `None` where the stream is no terminal: then nothing is wrapped or shortened.
    pub(crate) width: Option<usize>,
}

impl Look {
    /// The look of a stream. As with cargo itself, `CARGO_TERM_COLOR` decides first, then `NO_COLOR`, then whether the
    /// stream is a terminal that can show colours.
    pub(crate) fn of(cx: &Context, terminal: bool) -> Look {
        let auto = terminal && cx.var("NO_COLOR").is_none() && cx.var("TERM") != Some("dumb");
        Look {
            colour: match cx.var("CARGO_TERM_COLOR") {
                Some("always") => true,
                Some("never") => false,
                _ => auto,
            },
            width: cx.columns.filter(|_| terminal),
        }
    }
}

/// The looks of standard output and standard error, set once at the start; plain until then.
static LOOKS: OnceLock<(Look, Look)> = OnceLock::new();

/// Sets the look of both streams, once.
pub(crate) fn dress(cx: &Context) {
    let _ = LOOKS.set((Look::of(cx, cx.stdout_tty), Look::of(cx, cx.stderr_tty)));
}

pub(crate) fn stdout() -> Look {
    LOOKS.get().copied().unwrap_or_default().0
}

pub(crate) fn stderr() -> Look {
    LOOKS.get().copied().unwrap_or_default().1
}

/// Prints a result to standard output. Nothing of it moves the cursor, turns the text round or is invisible, whoever wrote
/// it: no text of this tool's own needs that, so that no caller has to think of it. That the reader has closed the pipe
/// (`| head`) is not an error.
pub(crate) fn result(text: impl Display) {
    put(std::io::stdout(), &harmless(&text.to_string()));
}

/// Prints a result for programs, as JSON. A parser reads the exact text; what a terminal must not get is an escape of JSON.
///
/// # Errors
/// The value is none that JSON has.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    result(text::json(value)?);
    Ok(())
}

/// The only place that writes to the two streams of this process.
fn put(mut stream: impl std::io::Write, text: &str) {
    let _ = writeln!(stream, "{text}");
}

/// Prints a result for people, with coloured marks. On a terminal a line that is longer goes on indented, as in [`say`].
pub(crate) fn table(text: impl Display) {
    put(std::io::stdout(), &laid(&ours::spelled(&harmless(&text.to_string())), stdout()));
}

/// Prints a line of a plan: a comment is one line whatever stands in it, since the plan can be pasted into a shell.
pub(crate) fn planned(line: impl Display) {
    let line = line.to_string();
    result(if line.starts_with('#') { printable(&line) } else { line });
}

/// Tells the user something, on standard error. Much of it comes from other programs, some of them in the sandbox: the
/// only control characters that reach the terminal are newlines and tabs, and a line that is longer than the terminal goes on
/// indented.
pub(crate) fn say(text: impl Display) {
    let text = ours::spelled(&harmless(&text.to_string()));
    put(std::io::stderr(), &laid(&text, stderr()));
}

/// Only what a line begins with is a mark, and is coloured.
fn laid(text: &str, look: Look) -> String {
    let line = |line: &str| {
        let mut lines = folded(line, look.width);
        lines[0] = paint(&lines[0], look.colour);
        lines.join("\n")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Tells the user something that deserves attention, on standard error.
pub(crate) fn warn(text: impl Display) {
    say(format_args!("warning: {}", text::message(&text.to_string())));
}

/// Shows the command that is about to run, exactly as it runs: it can be pasted, and is left to the terminal to break.
pub(crate) fn echo(command: impl Display) {
    let text = ours::spelled(&harmless(&format!("$ {command}")));
    put(std::io::stderr(), &paint(&text, stderr().colour));
}

/// How long what a terminal answers to a program that has just ended may take to come.
const SETTLE: Duration = Duration::from_millis(100);

/// A line that is said later; dropping it before that keeps it from being said.
pub(crate) struct Late {
    _waits: Sender<()>,
}

/// Says what is waited for, once it takes longer than this.
pub(crate) fn late(after: Duration, line: &'static str) -> Late {
    let (waits, over) = channel();
    std::thread::spawn(move || {
        if over.recv_timeout(after) == Err(RecvTimeoutError::Timeout) {
            say(line);
        }
    });
    Late { _waits: waits }
}

/// How often a question is asked whose answer is none of its words; then it counts as not answered.
const TRIES: usize = 3;

/// Asks a question. An empty line means yes; the end of input means no.
pub(crate) fn confirm(question: &str) -> bool {
    let prompt = format!("{question} [Y/n] ");
    answered(true, || ask(&prompt), || say("y or Enter means yes, n means no")).unwrap_or(false)
}

/// Asks a question whose usual answer is no: an empty line means that. `None` where nobody answers.
pub(crate) fn agree(question: &str) -> Option<bool> {
    let prompt = format!("{question} [y/N] ");
    answered(false, || ask(&prompt), || say("y means yes, n or Enter means no"))
}

/// The answer to a question of yes and no, which is explained and asked again where the answer is neither. `usual` is what an
/// empty line means. `None` at the end of input, and where none of the answers was one.
fn answered(usual: bool, mut ask: impl FnMut() -> Option<String>, explain: impl Fn()) -> Option<bool> {
    for _ in 0..TRIES {
        match ask()?.to_lowercase().as_str() {
            "" => return Some(usual),
            "y" | "yes" => return Some(true),
            "n" | "no" => return Some(false),
            _ => explain(),
        }
    }
    None
}

/// Asks for one line. `None` at the end of input. What a terminal has sent before the question is no answer to it: a program
/// that ran there before can make it send anything (the place of the cursor, the mouse).
pub(crate) fn ask(prompt: &str) -> Option<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        std::thread::sleep(SETTLE);
        let _ = rustix::termios::tcflush(&stdin, rustix::termios::QueueSelector::IFlush);
    }
    let _ = write!(std::io::stderr(), "{}", harmless(prompt));
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_answer_is_explained_and_asked_again_and_the_end_of_input_is_none() {
        let answer = |usual, said: &[&str]| {
            let (mut said, explained) = (said.iter(), std::cell::Cell::new(0));
            let got = answered(usual, || said.next().map(|s| (*s).to_owned()), || explained.set(explained.get() + 1));
            (got, explained.get())
        };
        assert_eq!(answer(false, &[""]), (Some(false), 0));
        assert_eq!(answer(true, &[""]), (Some(true), 0));
        assert_eq!(answer(false, &["YES"]), (Some(true), 0));
        assert_eq!(answer(false, &["what", "?", "y"]), (Some(true), 2));
        assert_eq!(answer(true, &["maybe", "n", "y"]), (Some(false), 1));
        assert_eq!(answer(true, &[]), (None, 0));
        assert_eq!(answer(true, &["a", "b", "c", "y"]), (None, 3), "it ends");
    }

    #[test]
    fn a_line_that_goes_on_is_indented_and_has_no_mark() {
        let look = Look { colour: true, width: Some(40) };
        let said = laid(&format!("warning: `{} warning: all is well`", "x".repeat(30)), look);
        assert_eq!(said, format!("\u{1b}[1;33mwarning:\u{1b}[0m `{}\n    warning: all is well`", "x".repeat(30)));
        assert_eq!(laid("hint: a\nb", Look { colour: false, width: Some(40) }), "hint: a\nb");
    }

    #[test]
    fn colours_are_for_terminals_and_for_those_who_ask() {
        let look = |env: &[(&str, &str)], terminal| {
            let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let cx = Context { env, columns: Some(80), ..Context::default() };
            Look::of(&cx, terminal)
        };
        assert_eq!(look(&[], true), Look { colour: true, width: Some(80) });
        assert_eq!(look(&[], false), Look::default());
        assert!(!look(&[("NO_COLOR", "1")], true).colour);
        assert!(look(&[("NO_COLOR", "")], true).colour, "an empty one says nothing");
        assert!(!look(&[("TERM", "dumb")], true).colour);
        assert!(!look(&[("CARGO_TERM_COLOR", "never")], true).colour);
        assert!(look(&[("CARGO_TERM_COLOR", "always"), ("NO_COLOR", "1")], false).colour);
        assert!(look(&[("CARGO_TERM_COLOR", "auto")], true).colour);
        assert_eq!(look(&[("CARGO_TERM_COLOR", "always")], false).width, None);
    }
}
