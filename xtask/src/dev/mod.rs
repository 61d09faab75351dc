//! What the developers of this repository run: its tests, its checks, its measurements. Written with xshell, as they would
//! type it; what the product runs is duct's business (`exec`).

pub(crate) mod bench;
pub(crate) mod ci;
mod lease;
pub(crate) mod test;

use crate::context::Context;
use anyhow::Result;
use xshell::{Cmd, Shell};

/// A shell at the root of the repository, with the PATH that everything else here has.
fn shell(cx: &Context) -> Result<Shell> {
    let sh = Shell::new()?;
    sh.change_dir(&cx.root);
    if let Some(path) = cx.var("PATH") {
        sh.set_var("PATH", path);
    }
    Ok(sh)
}

/// Whether a command succeeds; nothing of it is shown.
fn succeeds(command: Cmd<'_>) -> bool {
    command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
}
