//! A call that waits for a file system which answered when it was asked, and hangs since: it is seen by a thread of its own, which
//! can end this process where the thread that waits cannot.

use super::{again, first};
use crate::error::{Failure, flatten};
use crate::signals;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// For how long the main thread must not have run before the file systems are asked again.
const UNMOVED: Duration = Duration::from_secs(5);

/// How this call ends where it hangs.
static END: Mutex<Ending> = Mutex::new(Ending { undone: None, code: None });

#[derive(Debug, Clone, Copy)]
struct Ending {
    /// What is not done then.
    undone: Option<&'static str>,
    /// The exit code, where it is not that of the error.
    code: Option<u8>,
}

/// From here on a call that hangs ends with this exit code, and says what was not done.
pub(crate) fn undone(what: &'static str, code: u8) {
    *END.lock().unwrap_or_else(PoisonError::into_inner) = Ending { undone: Some(what), code: Some(code) };
}

/// Starts the thread. `end` says why this process ends, and ends it; the exit code is that of the error where it is `None`.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn watch(end: fn(&Failure, Option<u8>)) -> std::io::Result<()> {
    let main = format!("/proc/self/task/{}/status", std::process::id());
    let look = move || {
        let mut seen = Seen::default();
        loop {
            std::thread::sleep(LOOK);
            let status = std::fs::read_to_string(&main).unwrap_or_default();
            let at = Instant::now();
            if seen.hangs(&status, signals::waits_for_a_person(), at) && asked_again(&main, &mut seen, end) {
                return;
            }
        }
    };
    std::thread::Builder::new().name("file systems".to_owned()).spawn(look).map(drop)
}

/// Asks; the process ends where one does not answer, and the main thread has not run meanwhile.
fn asked_again(main: &str, seen: &mut Seen, end: fn(&Failure, Option<u8>)) -> bool {
    let Err(err) = again().and_then(first) else { return false };
    let status = std::fs::read_to_string(main).unwrap_or_default();
    if signals::asked() || !seen.hangs(&status, signals::waits_for_a_person(), Instant::now()) {
        return false;
    }
    let Ending { undone, code } = *END.lock().unwrap_or_else(PoisonError::into_inner);
    let why = flatten(&err);
    let why = match undone {
        Some(undone) => Failure { message: format!("{undone}: {}", why.message), ..why },
        None => why.hint("what was half made is taken back by the next call"),
    };
    end(&why, code);
    true
}

/// How often the main thread has run, and since when that has not changed.
#[derive(Debug, Default)]
struct Seen {
    switches: Vec<String>,
    since: Option<Instant>,
}

impl Seen {
    /// Whether the main thread has been waiting in one call for so long that it may be for a file system. `status` is what the
    /// kernel says of it.
    fn hangs(&mut self, status: &str, for_a_person: bool, now: Instant) -> bool {
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let switches =
            ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"].map(|name| line(name).map(str::to_owned));
        let switches: Vec<String> = switches.into_iter().flatten().collect();
        let waits = line("State:").is_some_and(|state| state.starts_with(['S', 'D']));
        if switches != self.switches || !waits || for_a_person {
            (self.switches, self.since) = (switches, Some(now));
            return false;
        }
        self.since.is_some_and(|since| now.saturating_duration_since(since) >= UNMOVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_in_one_call_hangs_and_who_runs_or_waits_for_a_person_does_not() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let status = |state: &str, switches: u32| {
            format!(
                "Name:\txtask\nState:\t{state}\nvoluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t1\n"
            )
        };
        let (disk, run) = (status("D (disk sleep)", 7), status("R (running)", 7));
        let mut seen = Seen::default();
        assert!(
            !seen.hangs(&disk, false, at(0)) && !seen.hangs(&disk, false, at(4)) && seen.hangs(&disk, false, at(5))
        );
        assert!(seen.hangs(&status("S (sleeping)", 7), false, at(6)), "FUSE lets a signal through at first");
        assert!(!seen.hangs(&status("D (disk sleep)", 8), false, at(9)), "it went on meanwhile");
        assert!(!seen.hangs(&run, false, at(20)) && !seen.hangs(&disk, false, at(21)), "it computes");
        assert!(!seen.hangs(&disk, true, at(30)) && !seen.hangs(&disk, false, at(31)));
        assert!(!seen.hangs("", false, at(50)), "what cannot be seen is not ended");
    }

    #[test]
    fn what_was_begun_decides_how_it_ends() {
        undone("what was left is not looked at", 7);
        let end = *END.lock().unwrap();
        assert_eq!((end.undone, end.code), (Some("what was left is not looked at"), Some(7)));
    }
}
