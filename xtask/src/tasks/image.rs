//! `cargo xtask image`: build the image where it is missing or stale.

use crate::context::Context;
use crate::image::build;
use crate::image::command::Wishes;
use crate::spec::settings::{self, Flags, ProjectFlags};
use crate::ui;
use crate::user::User;
use anyhow::Result;

/// Build the image where it is missing or stale
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// The base image
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// Use the CPU base image made from Debian packages
    #[arg(long)]
    cpu: bool,
    /// Say whether it is up to date and why not; exit 0 or 1
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    wishes: Wishes,
    /// Print the settings and every step, run none
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(crate) fn flags(&self) -> Flags {
        ProjectFlags { base: self.base.clone(), cpu: self.cpu, ..ProjectFlags::default() }.into()
    }
}

/// Prints the tag of the image; with `--check` whether it is up to date, and then exit code 1 where it is not.
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let settings = settings::load(cx, &args.flags())?;
    let user = User::read();
    let state = build::state(cx, &settings, &user)?;
    if args.check {
        let reasons = state.reasons()?;
        if reasons.is_empty() {
            ui::result("up to date");
            return Ok(0);
        }
        ui::result(format_args!("not up to date:\n{}", reasons.join("\n")));
        ui::say("`cargo xtask image` builds it, and so does the next start of a sandbox");
        return Ok(1);
    }
    if args.dry_run {
        build::steps(cx, &settings, &state, args.wishes).iter().for_each(ui::planned);
        return Ok(0);
    }
    if state.id.is_some() && !args.wishes.builds_anyway() {
        ui::say("the image is up to date: nothing to build");
    } else {
        build::build(cx, &settings, &state, args.wishes)?;
    }
    // The state is read again because building the CPU base gives the base an id, and with it the image its final tag.
    ui::result(build::state(cx, &settings, &user)?.inputs.tag());
    Ok(0)
}
