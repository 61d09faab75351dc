//! `cargo xtask completions`: the script for a shell; and the hidden `complete`, which that script asks at each TAB.

use crate::cli::{Flags, complete};
use crate::context::Context;
use crate::spec::settings;
use crate::ui;
use anyhow::Result;

/// Prints the script for a shell.
///
/// # Errors
/// None.
pub fn script(cx: &Context, shell: &str) -> Result<u8> {
    ui::result(complete::script(shell, &cx.exe).trim_end());
    Ok(0)
}

/// Answers a command line up to the cursor. Settings that cannot be read name no data sets: a TAB is no place for errors.
///
/// # Errors
/// None.
pub fn answer(cx: &Context, line: &str) -> Result<u8> {
    let datasets = settings::load(cx, &Flags::default()).map_or_else(|_| Vec::new(), |settings| settings.datasets);
    ui::result(complete::answer(line, &datasets));
    Ok(0)
}
