//! Who probes a workspace now. The probe makes a file there, which its call reads and removes; calls of other users, by other
//! paths, or without the lock of the state folder (`mounts`) may do the same in the same directory. So each shares the lock of
//! the directory itself meanwhile. Nothing is waited for: an agent can hold that lock too, and a file system may have none.

use crate::scratch;
use std::fs::File;
use std::path::Path;

/// A call that probes.
pub(crate) struct Probing(Option<File>);

impl Probing {
    /// From before the probe is asked.
    pub(crate) fn begin(workspace: Option<&Path>) -> Probing {
        Probing(workspace.and_then(scratch::share))
    }

    /// Ends it, and says whether no other call probed then. It is not known where the lock could not be shared.
    pub(super) fn end_alone(self) -> bool {
        self.0.is_some_and(|dir| dir.try_lock().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_alone_where_no_other_one_shares_or_has_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let probing = || Probing::begin(Some(dir.path()));
        let (first, second) = (probing(), probing());
        assert!(scratch::hold(dir.path()).is_none() && !first.end_alone());
        assert!(second.end_alone(), "the first has ended");
        // As an agent can.
        let held = scratch::hold(dir.path());
        assert!(held.is_some() && !probing().end_alone());
        drop(held);
        assert!(probing().end_alone() && !Probing::begin(None).end_alone());
    }
}
