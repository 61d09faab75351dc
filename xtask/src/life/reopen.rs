//! The directories that a sandbox has for writing are the user's own, so that an agent can close them to the user: nothing in
//! them would be looked at any more, while other users could still use what an agent left there. They are opened again
//! before they are looked at, like any directory below them.

use crate::beneath::Beneath;
use crate::context::resolved;
use crate::spec::places::Places;
use crate::{text, ui};
use std::path::Path;

/// What is needed to look at a workspace: the user may have a reason not to write there.
const TO_LOOK: u32 = 0o500;

/// What is needed of what this tool writes itself.
const TO_WRITE: u32 = 0o700;

/// Opens what was closed, and says so. To be called before anything reads the workspace or the state folder.
pub(crate) fn reopen(workspace: &Path, places: &Places) {
    let private = [&places.codex_home, &places.git, &places.git.join("git")].map(|dir| (dir.clone(), TO_WRITE));
    for (dir, needed) in [(resolved(workspace), TO_LOOK)].into_iter().chain(private) {
        let shown = text::path(&dir);
        match Beneath::reopen(&dir, needed) {
            Ok(None) => {}
            Ok(Some(mode)) => ui::warn(format_args!(
                "`{shown}` was closed to you (mode {mode:04o}), which an agent can have done: it is opened again (mode {:04o})",
                mode | 0o700
            )),
            Err(err) => ui::warn(format_args!("`{shown}` cannot be looked at: {err}; `chmod u+rwx {shown}` opens it")),
        }
    }
}
