//! What calls that have ended left behind: known by its age, however the clock was set since, and by a lock that no call holds.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What this call holds until it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// How far a time is away from now. Where the clock was set back since, it lies in the future.
pub(crate) fn age(of: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(of).unwrap_or_else(|err| err.duration())
}

/// The lock of a directory, unless a call has it, or the file system has no locks. The kernel lets go of it however a call ends.
pub(crate) fn hold(dir: &Path) -> Option<File> {
    let dir = open(dir)?;
    dir.try_lock().is_ok().then_some(dir)
}

/// This call uses a directory until it ends, as others may: none of them gets its lock.
pub(crate) fn use_to_the_end(dir: &Path) {
    let held = open(dir).filter(|dir| dir.try_lock_shared().is_ok());
    HELD.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
}

/// As if the call had ended that uses a directory.
#[cfg(test)]
pub(crate) fn let_go(dir: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let inode = dir.metadata().unwrap().ino();
    HELD.lock().unwrap().retain(|held| held.metadata().unwrap().ino() != inode);
}

fn open(dir: &Path) -> Option<File> {
    let flags = rustix::fs::OFlags::DIRECTORY.union(rustix::fs::OFlags::NOFOLLOW).union(rustix::fs::OFlags::CLOEXEC);
    Some(File::from(rustix::fs::open(dir, flags, rustix::fs::Mode::empty()).ok()?))
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
    fn what_a_call_uses_no_other_one_gets() {
        let dir = tempfile::tempdir().unwrap();
        drop(hold(dir.path()).unwrap());
        use_to_the_end(dir.path());
        use_to_the_end(dir.path());
        assert!(hold(dir.path()).is_none());
        let_go(dir.path());
        assert!(hold(dir.path()).is_some());
        assert!(hold(&dir.path().join("missing")).is_none());
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
