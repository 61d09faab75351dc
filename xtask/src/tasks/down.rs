//! `cargo xtask down`: stop and remove the sandbox. The Codex home stays, unless `--all`; the caches, unless `--caches`.

use crate::context::Context;
use crate::error::usage;
use crate::life::changes::Decision;
use crate::life::down::Removal;
use crate::signals::Signals;
use crate::spec::settings::Flags;
use crate::spec::words::OnChange;
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
    /// What acts by itself and changed: keep, restore or aside [default: ask]
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    on_change: Option<OnChange>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print the settings and every step, run none
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let signals = Signals::making();
    let removal = Removal::read(cx, &args.flags, args.all, args.caches, args.dry_run, &|| signals.any())?;
    let losses = removal.losses();
    if !args.yes && !args.dry_run && !losses.is_empty() && !cx.stdin_tty {
        return Err(usage("`down --all` and `down --caches` ask before they remove, and there is no terminal")
            .hint("add `--yes`")
            .into());
    }
    // What cannot be listed is ended all the same.
    let alive = removal.alive().unwrap_or_else(|err| vec![format!("what it is cannot be listed: {err:#}")]);
    let named = alive.iter().map(|line| format!("this runs inside and ends with it: {line}"));
    if args.dry_run {
        named.for_each(|line| ui::planned(format_args!("# {line}")));
        removal.undecided().iter().for_each(|line| ui::planned(format_args!("# undecided, asked about then: {line}")));
        removal.steps().iter().for_each(ui::planned);
        return Ok(0);
    }
    // Said also where nobody is asked.
    named.for_each(ui::warn);
    let last = removal.last_chance().filter(|_| args.on_change.is_none());
    if args.yes {
        last.iter().for_each(ui::warn);
        // Nobody can take these over afterwards.
        removal.commits().iter().for_each(ui::warn);
    } else if !losses.is_empty() || (cx.stdin_tty && !alive.is_empty()) {
        losses.iter().for_each(ui::say);
        if signals.ask(|| ui::agree("Remove all of that?")) != Some(true) {
            // The user's own answer is no error.
            ui::say("nothing was removed");
            return Ok(1);
        }
    }
    let can_ask = cx.stdin_tty && !args.yes;
    let decision = Decision::new(args.on_change, can_ask, signals);
    removal.run(&if args.all { decision.last() } else { decision }, &|| signals.any())?;
    let copies = cx.state.join("codex");
    if args.all && copies.exists() {
        let dir = copies.display();
        ui::say(format_args!(
            "kept `{dir}`: the copies of Codex itself, of which a later start removes what no sandbox mounts"
        ));
    }
    Ok(0)
}
