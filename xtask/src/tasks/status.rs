//! `cargo xtask status`: what runs, in one screen.

use super::ShowArgs;
use crate::context::Context;
use crate::life::status::Status;
use crate::spec::settings;
use crate::ui;
use anyhow::Result;

/// Exit code 0 also where nothing runs: that is an answer.
pub(crate) fn run(cx: &Context, args: &ShowArgs) -> Result<u8> {
    let settings = settings::load(cx, &args.flags)?;
    let status = Status::read(cx, &settings.workspace)?;
    if args.json {
        ui::result(serde_json::to_string_pretty(&status)?);
    } else {
        ui::result(status.screen(ui::stdout().width));
    }
    Ok(0)
}
