//! The host's clock, which can be set: ages that mean something all the same, and whether it was set back.

use std::time::{Duration, Instant, SystemTime};

/// How far a time is away from now. Where the clock was set back since, it lies in the future.
pub(crate) fn age(of: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(of).unwrap_or_else(|err| err.duration())
}

/// The host's clock, watched beside one that nobody can set: whether it was set back meanwhile.
pub(crate) struct Clock {
    begun: (SystemTime, Instant),
    set_back: bool,
}

/// A clock that is only slewed falls behind by less within the time of a session's looks.
const SLEWED: Duration = Duration::from_secs(1);

impl Clock {
    pub(crate) fn begin(now: SystemTime, at: Instant) -> Clock {
        Clock { begun: (now, at), set_back: false }
    }

    /// To be called often. While the machine sleeps only the host's clock goes on, which is no step back.
    pub(crate) fn look(&mut self, now: SystemTime, at: Instant) {
        let (begun, instant) = self.begun;
        let passed = at.saturating_duration_since(instant);
        // From the last look on, so that what it is ahead by is not given back unseen.
        let stepped =
            begun.checked_add(passed).is_none_or(|due| due.duration_since(now).is_ok_and(|behind| behind > SLEWED));
        self.set_back |= stepped;
        self.begun = (now, at);
    }

    /// Whether times of then and of now can be compared.
    pub(crate) fn was_set_back(&self) -> bool {
        self.set_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_one_whichever_way_the_clock_was_set() {
        let (now, day) = (SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800), Duration::from_secs(86_400));
        for of in [now - day, now + day] {
            assert_eq!(age(of, now), day);
        }
        assert_eq!(age(SystemTime::UNIX_EPOCH, now).as_secs(), 4_102_444_800);
        assert_eq!(age(now, SystemTime::UNIX_EPOCH).as_secs(), 4_102_444_800);
    }

    #[test]
    fn a_clock_that_is_set_back_is_seen_and_one_that_jumps_ahead_is_not() {
        let (now, at) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000), Instant::now());
        let looked = |looks: &[(i64, u64)]| {
            let mut clock = Clock::begin(now, at);
            for (wall, passed) in looks {
                let by = Duration::from_secs(wall.unsigned_abs());
                let wall = if *wall < 0 { now - by } else { now + by };
                clock.look(wall, at + Duration::from_secs(*passed));
            }
            clock.was_set_back()
        };
        assert!(!looked(&[(1, 1), (3600, 2), (3601, 3)]), "the machine slept, or the clock was set ahead");
        assert!(looked(&[(-3600, 1)]) && looked(&[(3600, 1), (2, 2), (3, 3)]), "back from where it was meanwhile");
        assert!(looked(&[(-1_800_000_000, 1)]), "1970");
        assert!(looked(&[(1, 1), (2, 10)]) && looked(&[(-10, 1), (100, 2)]), "and ahead again");
    }
}
