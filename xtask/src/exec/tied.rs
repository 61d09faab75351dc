//! A program that ends with the call that started it, however that ends: also where the call was killed (SIGKILL), and can end
//! nothing any more. Else a build, and whatever it waits for, would go on for ever, and nobody would know of it.
//!
//! The kernel sends a signal to a process whose parent has ended, once the process has asked for it. So this program is
//! started first: it asks, and becomes the other program, which has the same process id.

use super::code_of;
use crate::error::failed;
use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::ExitStatus;
use std::sync::OnceLock;

/// The task by which this program is started first.
const TASK: &str = "tied";

/// The program that is started first; without it, the other one is started at once.
static PROGRAM: OnceLock<&str> = OnceLock::new();

/// From now on this program can be started first.
pub(crate) fn by_this_program() {
    // By this name it is found also where a build has replaced the file.
    let _ = PROGRAM.set("/proc/self/exe");
}

/// The words before those of a program by which it is tied to this process.
pub(super) fn before(program: &OsStr) -> Vec<OsString> {
    // What was not found is told by the start itself.
    let first = PROGRAM.get().filter(|_| program.as_encoded_bytes().starts_with(b"/"));
    let own = getpid().as_raw_nonzero().to_string();
    first.map_or_else(Vec::new, |first| [*first, TASK, &own, "--"].map(OsString::from).into())
}

/// Becomes the program, tied to the parent of this process, which is `parent`: SIGTERM is what `docker build` and others take as
/// the wish to end, with all that they have begun.
///
/// # Errors
/// There is no such program. It does not return otherwise.
#[expect(clippy::disallowed_methods, reason = "it starts no process: this one becomes another program")]
pub(crate) fn become_tied(parent: i32, words: &[OsString]) -> Result<u8> {
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot ask for the end of the parent")?;
    // It may have ended before that was asked for.
    if getppid() != Pid::from_raw(parent) {
        return Ok(u8::try_from(code_of(ExitStatus::from_raw(Signal::TERM.as_raw()))).unwrap_or(1));
    }
    let (program, args) = words.split_first().context("no program is named")?;
    let err = std::process::Command::new(program).args(args).exec();
    Err(failed(format!("could not start `{}`: {err}", program.display())).into())
}
