//! `cargo xtask status`: what runs, in one screen.

use crate::context::Context;
use crate::life::status::Status;
use crate::spec::settings::{self, Flags};
use crate::ui;
use anyhow::Result;

/// Exit code 0 also where nothing runs: that is an answer.
pub(crate) fn run(cx: &Context, flags: &Flags, json: bool) -> Result<u8> {
    let settings = settings::load(cx, flags)?;
    let status = Status::read(cx, &settings)?;
    if json {
        ui::json(&status)?;
    } else {
        ui::table(status.screen(ui::stdout().width));
    }
    Ok(0)
}
