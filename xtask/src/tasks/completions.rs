//! `cargo xtask completions`: the script with which a shell completes this command line.

use crate::complete::{self, Shell};
use crate::context::Context;
use crate::ui;
use anyhow::Result;

/// Print the completions for a shell
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    ui::result(complete::script(args.shell, &cx.exe).trim_end());
    Ok(0)
}
