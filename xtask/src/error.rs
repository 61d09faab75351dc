//! Errors that say what failed, with which value, why, and what to do (`hint:`). They determine the exit code.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1 | the task failed, or a promise does not hold |
//! | 2 | usage or settings |
//! | 3 | this host cannot run it (no Docker, no GPU) |
//! | 130, 143, 129 | interrupted by Ctrl-C, SIGTERM, or the end of its terminal |
//!
//! `sandbox` returns Codex's own status once Codex has started.

use crate::text;
use crate::{ours, signals};
use std::fmt;

/// The cause of a failure: it decides the exit code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// The task failed, or a promise does not hold.
    #[default]
    Failed = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// This host cannot run it.
    Host = 3,
    /// A signal asked for an end before it was done: the exit code is 128 + the signal.
    Interrupted,
}

impl Kind {
    /// The process exit code of this kind.
    pub(crate) fn code(self) -> u8 {
        match self {
            Kind::Failed | Kind::Usage | Kind::Host => self as u8,
            Kind::Interrupted => signals::exit_code(),
        }
    }
}

/// One thing to do about a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A sentence, with commands in backticks.
    Do(String),
    /// A command that can be pasted into a shell.
    Run(String),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::Do(text) | Remedy::Run(text) => f.write_str(&ours::spelled(text)),
        }
    }
}

/// All remedies in one sentence; commands in backticks.
pub(crate) fn sentence(remedies: &[Remedy]) -> String {
    let text = |remedy: &Remedy| match remedy {
        Remedy::Do(_) => remedy.to_string(),
        Remedy::Run(_) => format!("`{remedy}`"),
    };
    remedies.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// An error that the user can act on. Lower case, values in backticks, no final stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What failed, with which value, and why.
    pub message: String,
    /// In the order in which they are to be tried; shown last, each on a line of its own.
    pub remedies: Vec<Remedy>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A failure of the given kind, without a hint.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), remedies: Vec::new() }
    }

    /// The same failure with one more remedy, a sentence.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.remedies.push(Remedy::Do(hint.into()));
        self
    }

    /// The same failure with more remedies, which are commands.
    #[must_use]
    pub(crate) fn run<S: Into<String>>(mut self, commands: impl IntoIterator<Item = S>) -> Self {
        self.remedies.extend(commands.into_iter().map(|command| Remedy::Run(command.into())));
        self
    }

    /// The same failure with more remedies.
    #[must_use]
    pub(crate) fn remedies(mut self, remedies: impl IntoIterator<Item = Remedy>) -> Self {
        self.remedies.extend(remedies);
        self
    }
}

/// A failure of the task: exit code 1.
pub(crate) fn failed(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Failed, message)
}

/// Wrong usage or settings: exit code 2.
pub(crate) fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Usage, message)
}

/// A signal asked for an end.
pub(crate) fn interrupted(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Interrupted, message)
}

/// This host cannot run it: exit code 3.
pub fn host(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Host, message)
}

/// The text of an error as the user sees it: `error:`, the chain of causes, then the hints.
pub(crate) fn render(err: &anyhow::Error) -> String {
    let whole = |text: &dyn fmt::Display| text::message(&text.to_string());
    let mut text = format!("error: {}\n", whole(err));
    for cause in err.chain().skip(1) {
        text.push_str(&format!("  caused by: {}\n", whole(&cause)));
    }
    for hint in failures(err).flat_map(|failure| &failure.remedies) {
        text.push_str(&format!("hint: {}\n", whole(hint)));
    }
    text
}

fn failures(err: &anyhow::Error) -> impl DoubleEndedIterator<Item = &Failure> {
    err.chain().filter_map(|cause| cause.downcast_ref::<Failure>())
}

/// The exit code of an error.
pub(crate) fn exit_code(err: &anyhow::Error) -> u8 {
    kind(err).code()
}

/// The innermost `Failure` decides; any other error is a failed task.
pub(crate) fn kind(err: &anyhow::Error) -> Kind {
    failures(err).next_back().map_or(Kind::Failed, |failure| failure.kind)
}

/// An error as one failure: its whole chain is in the message, and it has all remedies of the chain.
pub(crate) fn flatten(err: &anyhow::Error) -> Failure {
    let remedies = failures(err).flat_map(|failure| failure.remedies.clone()).collect();
    Failure { kind: kind(err), message: format!("{err:#}"), remedies }
}

/// The error of a task as it is shown: one that comes of a file system on which nothing can be written is this host's matter, and
/// says what there is to do.
pub(crate) fn of_the_disk(err: anyhow::Error) -> anyhow::Error {
    let failure = flatten(&err);
    let says = |numbers: &[u8]| numbers.iter().any(|number| failure.message.contains(&format!("(os error {number})")));
    let advice = if says(&[NO_SPACE, OVER_QUOTA]) {
        "make room there: `df -h` and `df -i` say which file system has no blocks or no inodes left, `quota` what you may use; \
         what was there is as it was"
    } else if says(&[READ_ONLY]) {
        "that file system is read-only: `dmesg` says whether the kernel found it damaged; what was there is as it was"
    } else {
        return err;
    };
    match failure.kind {
        // What else there was to do would not help.
        Kind::Failed => Failure::new(Kind::Host, failure.message).hint(advice).into(),
        Kind::Usage | Kind::Host | Kind::Interrupted => err,
    }
}

/// As Linux numbers them: ENOSPC, EDQUOT, EROFS.
const NO_SPACE: u8 = 28;
const OVER_QUOTA: u8 = 122;
const READ_ONLY: u8 = 30;

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_disk_without_room_is_this_hosts_matter_and_says_so() {
        let shown = |number: i32| {
            let err = Err::<(), _>(std::io::Error::from_raw_os_error(number)).context("cannot write `/a`").unwrap_err();
            let err = of_the_disk(err);
            (exit_code(&err), render(&err))
        };
        for (number, word) in [(28, "`df -i`"), (122, "`df -i`"), (30, "read-only: ")] {
            let (code, text) = shown(number);
            assert!(code == 3 && text.contains("cannot write `/a`") && text.contains(word), "{code} {text}");
        }
        assert_eq!(shown(13).0, 1);
        let usage = usage("`/a`: No space left on device (os error 28)");
        assert_eq!(exit_code(&of_the_disk(usage.into())), 2);
    }

    #[test]
    fn an_error_shows_its_causes_and_ends_with_the_hint() {
        let err = Err::<(), _>(usage("`/nope` is not a directory").hint("give another with `--dataset ssv2=DIR`"))
            .context("cannot mount the data set `ssv2`")
            .unwrap_err();
        assert_eq!(
            render(&err),
            "error: cannot mount the data set `ssv2`\n  caused by: `/nope` is not a directory\n\
             hint: give another with `--dataset ssv2=DIR`\n"
        );
        assert_eq!(exit_code(&err), 2);
    }
}
