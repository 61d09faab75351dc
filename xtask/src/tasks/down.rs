//! `cargo xtask down`: stop and remove the sandbox. The Codex home stays, unless `--all`; the caches, unless `--caches`.

use crate::context::Context;
use crate::error::{failed, usage};
use crate::life::down::Removal;
use crate::spec::settings::Flags;
use crate::ui;
use anyhow::Result;

/// Stop and remove the sandbox; the Codex home stays
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Also remove the sandbox's Codex home and git directory, after asking
    #[arg(long)]
    all: bool,
    /// Also remove the caches that your workspaces share, after asking
    #[arg(long)]
    caches: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print the settings and every step, run none
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let removal = Removal::read(cx, &args.flags, args.all, args.caches, args.dry_run)?;
    let alive = removal.alive()?;
    if args.dry_run {
        alive.iter().for_each(|line| ui::result(format_args!("# this runs inside and ends with it: {line}")));
        removal.steps().iter().for_each(ui::result);
        return Ok(0);
    }
    // Said also where nobody is asked.
    alive.iter().for_each(|line| ui::warn(format_args!("this runs inside and ends with it: {line}")));
    if args.yes {
        // Nobody can take these over afterwards.
        removal.commits().iter().for_each(ui::warn);
    } else {
        confirm(cx, &removal, !alive.is_empty())?;
    }
    removal.run()?;
    let copies = cx.state.join("codex");
    if args.all && copies.exists() {
        let dir = copies.display();
        ui::say(format_args!(
            "kept `{dir}`: the copies of Codex itself, of which a later start removes what no sandbox mounts"
        ));
    }
    Ok(0)
}

/// Asks before anything is removed that cannot be restored, and on a terminal before somebody's work is ended.
fn confirm(cx: &Context, removal: &Removal, alive: bool) -> Result<()> {
    let losses = removal.losses();
    if losses.is_empty() && !(alive && cx.stdin_tty) {
        return Ok(());
    }
    if !cx.stdin_tty {
        return Err(usage("`down --all` and `down --caches` ask before they remove, and there is no terminal")
            .hint("add `--yes`")
            .into());
    }
    losses.iter().for_each(ui::say);
    if ui::agree("Remove it?") { Ok(()) } else { Err(failed("nothing was removed").into()) }
}
