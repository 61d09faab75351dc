//! `cargo xtask doctor`: everything that this host lacks for a sandbox, at once.

use crate::context::Context;
use crate::spec::settings::Flags;
use crate::{doctor, ui};
use anyhow::Result;

/// Show everything that this host lacks, each with the command that fixes it
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Exit code 0 where a sandbox could run, 3 where the host lacks something, 2 where only the settings are wrong.
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let findings = doctor::gather::examine(cx, &args.flags)?;
    if args.json {
        ui::result(format_args!("{:#}", doctor::json(&findings)));
    } else {
        ui::table(doctor::table(&findings).trim_end());
        ui::say(doctor::summary(&findings));
    }
    Ok(doctor::exit_code(&findings))
}
