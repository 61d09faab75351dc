//! `cargo xtask doctor`: everything that this host lacks for a sandbox, at once.

use super::ShowArgs;
use crate::context::Context;
use crate::{doctor, ui};
use anyhow::Result;

/// Exit code 0 where a sandbox could run, 3 where the host lacks something, 2 where only the settings are wrong.
pub(crate) fn run(cx: &Context, args: &ShowArgs) -> Result<u8> {
    let findings = doctor::gather::examine(cx, &args.flags)?;
    if args.json {
        ui::result(format_args!("{:#}", doctor::json(&findings)));
    } else {
        ui::table(doctor::table(&findings).trim_end());
        ui::say(doctor::summary(&findings));
    }
    Ok(doctor::exit_code(&findings))
}
