//! Whether a session is held up by something inside: what an agent left running can stop its processes, since signals need
//! only the same user. Codex or a shell does not stop itself there.

use std::time::{Duration, Instant};

/// How long a session may be found stopped before the user is told.
const TOLD: Duration = Duration::from_secs(2);

/// What is stopped within so long a time after its start has done nothing yet that could be lost, and is ended where it
/// stays stopped for this long.
const BEGINNING: Duration = Duration::from_secs(5);
const BOUND: Duration = Duration::from_secs(10);

/// The looks at a session.
pub(super) struct Stall {
    begun: Instant,
    /// Since when it is found stopped.
    since: Option<Instant>,
    told: bool,
}

/// What follows from a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Nothing.
    No,
    /// The user is told that this process is stopped.
    Tell(u32),
    /// It was stopped before it could begin, and is ended.
    End(u32),
}

impl Stall {
    pub(super) fn new(begun: Instant) -> Stall {
        Stall { begun, since: None, told: false }
    }

    /// `stopped` is a process of the session that is stopped now.
    pub(super) fn look(&mut self, stopped: Option<u32>, now: Instant) -> Held {
        let Some(pid) = stopped else {
            (self.since, self.told) = (None, false);
            return Held::No;
        };
        let since = *self.since.get_or_insert(now);
        let stopped_for = now.duration_since(since);
        if stopped_for >= BOUND && since.duration_since(self.begun) <= BEGINNING {
            return Held::End(pid);
        }
        if stopped_for >= TOLD && !self.told {
            self.told = true;
            return Held::Tell(pid);
        }
        Held::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_is_stopped_is_told_once_and_one_that_never_began_is_ended() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut stall = Stall::new(begun);
        let looks = [(1, Some(7)), (2, Some(7)), (3, Some(7)), (4, Some(7)), (10, Some(7)), (11, Some(7))];
        let held: Vec<Held> = looks.map(|(second, stopped)| stall.look(stopped, at(second))).into();
        assert_eq!(held, [Held::No, Held::No, Held::Tell(7), Held::No, Held::No, Held::End(7)]);

        // Later there is work that an end would lose. That it went on in between begins the count anew.
        let mut stall = Stall::new(begun);
        let looks = [
            (4, Some(7)),
            (5, None),
            (20, Some(7)),
            (21, Some(7)),
            (22, Some(7)),
            (99, Some(7)),
            (100, None),
            (101, Some(7)),
        ];
        let held: Vec<Held> = looks.map(|(second, stopped)| stall.look(stopped, at(second))).into();
        let mut expected = vec![Held::No; 8];
        expected[4] = Held::Tell(7);
        assert_eq!(held, expected);
        assert_eq!(stall.look(Some(7), at(103)), Held::Tell(7));
    }
}
