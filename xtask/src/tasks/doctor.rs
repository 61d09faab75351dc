//! `cargo xtask doctor`: everything that this host lacks for a sandbox, at once.

use crate::context::Context;
use crate::spec::settings::Flags;
use crate::{doctor, ui};
use anyhow::Result;

/// Exit code 0 where a sandbox could run, 3 where the host lacks something, 2 where only the settings are wrong.
pub(crate) fn run(cx: &Context, flags: &Flags, json: bool) -> Result<u8> {
    let findings = doctor::gather::examine(cx, flags)?;
    if json {
        ui::json(&doctor::json(&findings))?;
    } else {
        ui::table(doctor::table(&findings).trim_end());
        ui::say(doctor::summary(&findings));
    }
    Ok(doctor::exit_code(&findings))
}
