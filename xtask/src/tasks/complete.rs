//! `cargo xtask complete`, which the scripts of `completions` call at each TAB.

use crate::context::Context;
use crate::spec::settings::{self, Flags};
use crate::{complete, ui};
use anyhow::Result;

/// The question of a script.
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// The command line up to the cursor.
    line: String,
}

/// Settings that cannot be read name no data sets: a TAB is no place for errors.
pub(crate) fn run(cx: &Context, args: &Args, command: &clap::Command) -> Result<u8> {
    let datasets = settings::load(cx, &Flags::default()).map_or_else(|_| Vec::new(), |settings| settings.datasets);
    ui::result(complete::answer(&args.line, command, &datasets));
    Ok(0)
}
