//! `cargo xtask sandbox`: builds, starts, proves, shows the proof, asks, enters, and afterwards says what changed.

use crate::context::Context;
use crate::exposed::Exposed;
use crate::life::{self, Asked, Program};
use crate::spec::settings::Flags;
use crate::spec::words::{Leftovers, OnChange};
use anyhow::Result;
use std::collections::BTreeSet;

/// Start the sandbox, prove what it promises, enter Codex
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Enter a shell in place of Codex, also when a promise does not hold
    #[arg(long)]
    pub(crate) shell: bool,
    /// Enter without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Processes that ended sessions left: keep or end them [default: ask]
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub(crate) leftovers: Option<Leftovers>,
    /// What acts by itself and changed: keep, restore or aside [default: ask]
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub(crate) on_change: Option<OnChange>,
    /// Print the settings and every step, run none
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Arguments for Codex
    #[arg(last = true, num_args = 0.., value_name = "CODEX_ARGS")]
    pub(crate) args: Vec<String>,
}

/// Returns Codex's own exit code once Codex has started.
pub(crate) fn run(cx: &Context, args: &Args, exposed: Option<Exposed>) -> Result<u8> {
    let program = if args.shell { Program::Shell } else { Program::Codex(args.args.clone()) };
    let Args { flags, yes, leftovers, on_change, dry_run, .. } = args.clone();
    let beside = BTreeSet::new();
    life::sandbox(cx, &Asked { flags, program, yes, leftovers, on_change, dry_run, beside }, exposed)
}
