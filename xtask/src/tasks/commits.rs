//! `cargo xtask commits`: lists the commits made in the sandbox, or takes them over.

use crate::context::{Context, directory};
use crate::error::usage;
use crate::signals::Signals;
use crate::spec::places;
use crate::spec::settings::{self, Flags};
use crate::user::User;
use crate::{git, life, ui};
use anyhow::Result;

/// List the commits made in the sandbox, or take them over
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Fast-forward the host's branches to them
    #[arg(long)]
    take: bool,
}

/// # Errors
/// The workspace is no repository, or git refuses the commits of the sandbox.
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let settings = settings::load(cx, &args.flags)?;
    let workspace = directory("the workspace", &settings.workspace)?;
    let places = places::of(cx, &workspace, User::read().uid);
    places.known_layout()?;
    life::reopen(&workspace, &places);
    let repository = git::detect(&workspace)?.ok_or_else(|| {
        usage(format!("`{}` is not the root of a git repository", workspace.display()))
            .hint("`git init` there makes it one before the next start, or `--workspace DIR` names another workspace")
    })?;
    life::confirmed(&repository, &life::exposed_but(cx, None, &args.flags.confirm)?)?;
    // Caught, so that what was copied to be checked is removed when it is interrupted.
    let signals = Signals::making();
    let stop = || signals.any();
    if args.take {
        let lines = git::take(&repository, &places.git, &stop)?;
        lines.iter().for_each(ui::table);
        if lines.is_empty() {
            ui::result(git::NOTHING_NEW);
        }
        return Ok(0);
    }
    let listing = git::list(&repository, &places.git, &stop)?;
    listing.notes.iter().for_each(ui::warn);
    ui::table(git::describe(&listing).trim_end());
    Ok(0)
}
