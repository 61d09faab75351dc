//! What smoke tests have left that were killed: the container, and the directory with its files.
//!
//! Whose a container is, is said by its labels. Its call goes on as long as somebody holds the lock of its directory. Where that
//! directory cannot be seen (the call was made on another machine, or by root of a container with the same engine), or is
//! gone, the container is over once all the time has passed that its call could have taken.

use crate::context::Context;
use crate::engine::docker;
use crate::engine::own::Smoke;
use crate::user::User;
use crate::{context, exec, scratch, ui};
use std::fs::File;
use std::path::Path;

/// How the names of the containers and of their directories begin.
pub(super) const NAME: &str = "codex-sandbox-smoke-";

/// What is known of the call that made a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// Its directory is locked.
    GoesOn,
    /// Its directory is there, and nobody has it locked.
    Ended,
    Unseen,
}

impl Maker {
    fn of(dir: &Path) -> (Maker, Option<File>) {
        match (scratch::hold(dir), dir.is_dir()) {
            (Some(lock), _) => (Maker::Ended, Some(lock)),
            (None, true) => (Maker::GoesOn, None),
            (None, false) => (Maker::Unseen, None),
        }
    }

    fn is_over(self, until: Option<u64>, now: u64) -> bool {
        match self {
            Maker::GoesOn => false,
            Maker::Ended => true,
            Maker::Unseen => until.is_some_and(|until| now > until),
        }
    }
}

/// Removes it. Where the engine does not answer, the run itself says so.
pub(super) fn sweep(cx: &Context, user: &User) {
    let said = exec::stdout_of(&docker::smokes(user.uid)).unwrap_or_default();
    for Smoke { id, name, until, dir } in said.lines().filter_map(Smoke::read) {
        let (maker, _lock) = Maker::of(&dir);
        if maker.is_over(until, context::seconds()) && exec::stdout_of(&docker::remove(&id)).is_ok() {
            ui::say(format_args!("removed `{name}`, the container of a smoke test that was killed"));
        }
    }
    if let Err(err) = scratch::sweep(&cx.scratch(), NAME) {
        ui::warn(format_args!("{err:#}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_over_where_its_call_ended_or_can_have_ended_long_ago() {
        let dir = tempfile::tempdir().unwrap();
        let (maker, lock) = Maker::of(dir.path());
        assert_eq!(maker, Maker::Ended);
        assert_eq!(Maker::of(dir.path()).0, Maker::GoesOn, "somebody has the lock");
        drop(lock);
        assert_eq!(Maker::of(&dir.path().join("gone")).0, Maker::Unseen);
        for (maker, until, over) in [
            (Maker::GoesOn, Some(1), false),
            (Maker::Ended, None, true),
            (Maker::Ended, Some(9), true),
            (Maker::Unseen, Some(1), true),
            (Maker::Unseen, Some(9), false),
            (Maker::Unseen, None, false),
        ] {
            assert_eq!(maker.is_over(until, 5), over, "{maker:?} {until:?}");
        }
    }
}
