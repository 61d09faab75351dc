//! What the developers of this repository run: its tests, its checks, its measurements. The commands are written with
//! xshell, as a person would type them. What the product runs goes through duct, in `exec`.

pub(crate) mod bench;
pub(crate) mod ci;
pub(crate) mod fuzz;
mod lease;
pub(crate) mod test;

use crate::context::Context;
use anyhow::Result;
use xshell::{Cmd, Shell};

/// A shell at the root of the repository. Its PATH has no directory in which the agent can write.
fn shell(cx: &Context) -> Result<Shell> {
    let sh = Shell::new()?;
    sh.change_dir(&cx.root);
    if let Some(path) = cx.var("PATH") {
        sh.set_var("PATH", path);
    }
    Ok(sh)
}

/// Whether a command succeeds. Its output is not shown.
fn succeeds(command: Cmd<'_>) -> bool {
    command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
}
