//! File systems that answered when a session began, and do not when it has ended: what needs them is not done, and said.

use crate::answers::{self, Silent, What};
use crate::context::Context;
use crate::ui;
use std::path::Path;

/// What can still be done after a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    All,
    /// What the session left in the workspace cannot be looked at.
    NoLook,
    /// Not even what this tool keeps can be read.
    Nothing,
}

/// What every look needs, which is not only the workspace: git reads the home directory, and programs are looked for in `PATH`.
const UNDONE: &str = "what the session left in the workspace was not looked at: run no git there before the next entry or \
                      `cargo xtask down` has looked";

impl After {
    /// Asks again, and says what does not answer. `code` is that of the session, with which this call ends where a file system
    /// hangs later.
    pub(super) fn ask(cx: &Context, codex_home: &Path, code: i32) -> After {
        answers::undone(UNDONE, u8::try_from(code).unwrap_or(1));
        // Who does not want to wait is obeyed by what follows.
        let silent = answers::again().unwrap_or_default();
        let after = After::of(&silent, &[&cx.state, &cx.root], codex_home);
        silent.iter().for_each(|silent| ui::warn(&silent.why.message));
        match after {
            After::All => {}
            After::NoLook | After::Nothing => ui::warn(UNDONE),
        }
        after
    }

    /// What a look gives, where one can be made.
    pub(super) fn looks<T>(self, look: impl FnOnce() -> Option<T>) -> Option<T> {
        match self {
            After::All => look(),
            After::NoLook | After::Nothing => None,
        }
    }

    /// `kept` is where this tool keeps what it has to read and write.
    fn of(silent: &[Silent], kept: &[&Path], codex_home: &Path) -> After {
        let needed = silent.iter().filter(|silent| match silent.what {
            What::Workspace => true,
            What::Dataset => false,
            What::Other => silent.path != codex_home,
        });
        needed.fold(After::All, |after, silent| {
            match after == After::Nothing || kept.contains(&silent.path.as_path()) {
                true => After::Nothing,
                false => After::NoLook,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::host;

    #[test]
    fn what_does_not_answer_decides_what_can_be_done() {
        let [state, home] = ["/state", "/home/.codex"].map(Path::new);
        let of = |all: &[(What, &str)]| {
            let silent = |(what, path): &(What, &str)| Silent {
                what: *what,
                path: path.into(),
                real: path.into(),
                why: host("x"),
            };
            After::of(&all.iter().map(silent).collect::<Vec<_>>(), &[state], home)
        };
        assert_eq!(of(&[]), After::All);
        assert_eq!(of(&[(What::Dataset, "/data"), (What::Other, "/home/.codex")]), After::All);
        assert_eq!(of(&[(What::Workspace, "/work"), (What::Dataset, "/data")]), After::NoLook);
        assert_eq!(of(&[(What::Other, "/opt/bin")]), After::NoLook);
        assert_eq!(of(&[(What::Other, "/state"), (What::Workspace, "/work")]), After::Nothing);
    }
}
