//! Signals, from the first instruction of a call to its last: nothing unfinished is left behind, and nobody waits for an end.
//!
//! One thread takes all of them. What a signal does depends on what this process is at:
//!
//! | phase | Ctrl-C, Ctrl-\\ | SIGTERM, SIGHUP (a terminal that closes) |
//! | --- | --- | --- |
//! | free, asking | this process ends at once, with its children | the same |
//! | making | noted: what waits for a program ends that, and what was half made is taken back | the same |
//! | lent | the program's own: it has the terminal | the program is ended, and what follows is done |
//!
//! Where nothing is done about a signal because a file system does not answer, this process ends after ten seconds.

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long what was half made may wait to be taken back: a call of a file system that does not answer cannot be ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// What this process is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing would be left half made.
    Free,
    Making,
    Asking,
    Lent,
}

impl Phase {
    /// Whether something has to be done before this process ends.
    fn leaves_something(self) -> bool {
        match self {
            Phase::Making | Phase::Lent => true,
            Phase::Free | Phase::Asking => false,
        }
    }
}

/// Which signals have arrived, and what was done about them.
pub(crate) struct Signals(Mutex<Noted>);

#[derive(Debug, Clone, Copy)]
struct Noted {
    phase: Phase,
    /// So many that asked for an end, or whose terminal has closed.
    ends: usize,
    /// So many of the keys.
    keys: usize,
    /// So many of both were there when what they ask for was last begun.
    honoured: (usize, usize),
    last: i32,
}

/// The signals of this process.
static CAUGHT: Signals = Signals::none();

/// Takes the signals of this process from now on. `last` is called where it ends at once: it ends what was started, and says why.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn take(last: fn(&str)) -> Result<()> {
    let mut arriving = signal_hook::iterator::Signals::new([SIGHUP, SIGTERM, SIGINT, SIGQUIT])?;
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let on = move || {
        for number in arriving.forever() {
            if CAUGHT.note(number).leaves_something() && CAUGHT.asked() {
                std::thread::spawn(move || end_where_nothing_is_done(number, last));
            }
            if CAUGHT.ends_at_once() {
                end_now(number, "interrupted", last);
            }
        }
    };
    thread.spawn(on).context("cannot start a thread")?;
    Ok(())
}

fn end_where_nothing_is_done(number: i32, last: fn(&str)) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if !CAUGHT.asked() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let why = "interrupted, while a file system or the engine did not answer: the next call takes back what is left";
    end_now(number, why, last);
}

#[expect(clippy::disallowed_methods, reason = "ends this process while another thread waits for what may never end")]
fn end_now(number: i32, why: &str, last: fn(&str)) -> ! {
    last(why);
    std::process::exit(128 + number)
}

/// Whether an end was asked for that nothing was done about yet: then no wait goes on.
pub(crate) fn asked() -> bool {
    CAUGHT.asked()
}

/// Whether this process waits for a person, or for what a person does in a program: that takes as long as it takes.
pub(crate) fn waits_for_a_person() -> bool {
    match CAUGHT.noted().phase {
        Phase::Asking | Phase::Lent => true,
        Phase::Free | Phase::Making => false,
    }
}

/// Ends this process, while another thread of it waits for a file system that does not answer. `last` ends what was started, and
/// says why.
#[expect(clippy::disallowed_methods, reason = "ends this process while another thread waits for what may never end")]
pub(crate) fn end_stuck(code: u8, last: impl FnOnce()) -> ! {
    last();
    std::process::exit(i32::from(code))
}

/// To be called where what was asked for begins: what is done for it, such as to take back what was half made, is not
/// ended by the same signal.
pub(crate) fn honour() {
    CAUGHT.honour();
}

/// The exit code where a signal ends this process.
pub(crate) fn exit_code() -> u8 {
    let last = Some(CAUGHT.noted().last).filter(|last| *last != 0);
    u8::try_from(128 + last.unwrap_or(SIGINT)).unwrap_or(1)
}

/// Lends the terminal to a program: the keys are its own until it ends, and what follows its end is done also where a signal has
/// ended it.
pub(crate) fn lent<T>(work: impl FnOnce() -> T) -> T {
    CAUGHT.lent(work)
}

impl Signals {
    /// From here on the signals are noted, because what is half made has to be taken back.
    pub(crate) fn making() -> &'static Signals {
        CAUGHT.noted().phase = Phase::Making;
        &CAUGHT
    }

    /// None has arrived.
    pub(crate) const fn none() -> Signals {
        Signals(Mutex::new(Noted { phase: Phase::Free, ends: 0, keys: 0, honoured: (0, 0), last: 0 }))
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        // A thread that panicked has left a number behind, and nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, number: i32) -> Phase {
        let mut noted = self.noted();
        match number {
            SIGINT | SIGQUIT => noted.keys += 1,
            _ => noted.ends += 1,
        }
        noted.last = number;
        noted.phase
    }

    fn ends_at_once(&self) -> bool {
        match self.noted().phase {
            Phase::Free | Phase::Asking => true,
            Phase::Making | Phase::Lent => false,
        }
    }

    fn during<T>(&self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let before = std::mem::replace(&mut self.noted().phase, phase);
        let done = work();
        self.noted().phase = before;
        done
    }

    fn lent<T>(&self, work: impl FnOnce() -> T) -> T {
        let done = self.during(Phase::Lent, work);
        self.honour();
        done
    }

    fn asked(&self) -> bool {
        let noted = self.noted();
        let (ends, keys) = noted.honoured;
        match noted.phase {
            Phase::Lent => noted.ends > ends,
            Phase::Free | Phase::Asking | Phase::Making => noted.ends > ends || noted.keys > keys,
        }
    }

    fn honour(&self) {
        let mut noted = self.noted();
        noted.honoured = (noted.ends, noted.keys);
    }

    /// Asks the user: meanwhile each of the signals ends this process at once, and leaves the container as it is.
    pub(crate) fn ask<T>(&self, question: impl FnOnce() -> T) -> T {
        self.during(Phase::Asking, question)
    }

    /// To be called when a session ends: the keys that were pressed in it were meant for Codex, and an end was honoured.
    pub(crate) fn forget_keys(&self) {
        self.noted().keys = 0;
        self.honour();
    }

    /// Whether a key was pressed again: not even what should not be interrupted goes on.
    pub(crate) fn insists(&self) -> bool {
        self.noted().keys > 1
    }

    /// Whether the terminal closed or an end was asked for.
    pub(crate) fn end(&self) -> bool {
        self.noted().ends > 0
    }

    /// Whether a key asked for an end.
    pub(crate) fn key(&self) -> bool {
        self.noted().keys > 0
    }

    /// Whether any of the signals came: before Codex is entered, each of them means to stop.
    pub(crate) fn any(&self) -> bool {
        self.end() || self.key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_presses_a_key_again_insists() {
        let signals = Signals::none();
        assert!(!signals.any() && !signals.insists() && !signals.asked());
        signals.note(SIGINT);
        assert!(signals.any() && !signals.insists() && signals.asked());
        signals.note(SIGQUIT);
        assert!(signals.insists() && signals.any());
        signals.forget_keys();
        assert!(!signals.any() && !signals.insists() && !signals.asked(), "they were meant for Codex");
    }

    #[test]
    fn what_is_done_about_a_signal_is_ended_by_the_next_one_only() {
        let signals = Signals::none();
        signals.note(SIGTERM);
        signals.honour();
        assert!(!signals.asked() && signals.end());
        signals.note(SIGINT);
        assert!(signals.asked());
    }

    #[test]
    fn a_signal_ends_at_once_what_leaves_nothing_and_a_key_of_a_lent_terminal_asks_for_nothing() {
        let signals = Signals::none();
        assert!(signals.ends_at_once());
        signals.during(Phase::Making, || {
            assert!(!signals.ends_at_once());
            assert!(signals.ask(|| signals.ends_at_once()));
            signals.lent(|| {
                signals.note(SIGINT);
                assert!(!signals.asked() && !signals.ends_at_once());
                signals.note(SIGHUP);
                assert!(signals.asked());
            });
            assert!(!signals.asked() && signals.end(), "what follows is done");
        });
    }
}
