//! Signals from the first change on the host to the last: nothing unfinished is left behind.

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Which signals have arrived.
pub(crate) struct Signals {
    end: Arc<AtomicBool>,
    keys: Arc<AtomicBool>,
    asking: Arc<AtomicBool>,
    /// How often a key was pressed, as far as somebody has looked.
    presses: AtomicUsize,
}

impl Signals {
    /// Catches SIGHUP (a terminal that closes) and SIGTERM, and Ctrl-C and Ctrl-\\: once Codex owns the terminal
    /// these two are its own, and this process only waits.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn catch() -> Result<Signals> {
        let new = || Arc::new(AtomicBool::new(false));
        let signals = Signals { end: new(), keys: new(), asking: new(), presses: AtomicUsize::new(0) };
        let (end, keys) = (&signals.end, &signals.keys);
        for (number, flag) in [(SIGHUP, end), (SIGTERM, end), (SIGINT, keys), (SIGQUIT, keys)] {
            signal_hook::flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&signals.asking))?;
            signal_hook::flag::register(number, Arc::clone(flag))?;
        }
        Ok(signals)
    }

    /// None are caught: each ends this process.
    pub(crate) fn none() -> Signals {
        let new = || Arc::new(AtomicBool::new(false));
        Signals { end: new(), keys: new(), asking: new(), presses: AtomicUsize::new(0) }
    }

    /// Asks the user: meanwhile each of the signals ends this process at once, and leaves the container as it is.
    pub(crate) fn ask<T>(&self, question: impl FnOnce() -> T) -> T {
        self.asking.store(true, Ordering::SeqCst);
        let answer = question();
        self.asking.store(false, Ordering::SeqCst);
        answer
    }

    /// To be called when a session ends: the keys that were pressed in it were meant for Codex.
    pub(crate) fn forget_keys(&self) {
        self.keys.store(false, Ordering::SeqCst);
        self.presses.store(0, Ordering::SeqCst);
    }

    fn pressed(&self) -> usize {
        if self.keys.swap(false, Ordering::SeqCst) {
            self.presses.fetch_add(1, Ordering::SeqCst);
        }
        self.presses.load(Ordering::SeqCst)
    }

    /// Whether a key was pressed again after the first one was noticed: not even what should not be interrupted goes on.
    pub(crate) fn insists(&self) -> bool {
        self.pressed() > 1
    }

    /// Whether the terminal closed or an end was asked for.
    pub(crate) fn end(&self) -> bool {
        self.end.load(Ordering::SeqCst)
    }

    /// Whether a key asked for an end.
    pub(crate) fn key(&self) -> bool {
        self.pressed() > 0
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
    fn who_presses_a_key_again_after_it_was_noticed_insists() {
        let signals = Signals::catch().unwrap();
        let press = || signals.keys.store(true, Ordering::SeqCst);
        assert!(!signals.any() && !signals.insists());
        press();
        assert!(signals.any() && !signals.insists());
        press();
        assert!(signals.insists() && signals.any());
        signals.forget_keys();
        assert!(!signals.any() && !signals.insists(), "they were meant for Codex");
    }
}
