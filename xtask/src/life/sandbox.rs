//! A whole call: from the settings into Codex and out again.

use super::ground::lacking;
use super::{Call, Ground, Outcome, Policy, Program, Purpose, dry_run};
use crate::context::Context;
use crate::engine::cgroup::ProcessId;
use crate::error::{self, usage};
use crate::exposed::Exposed;
use crate::spec::settings::Flags;
use crate::spec::words::{Leftovers, OnChange};
use crate::ui;
use anyhow::Result;
use std::collections::BTreeSet;

/// What is asked of a call.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The flags above the settings.
    pub flags: Flags,
    /// What is entered.
    pub program: Program,
    /// Enter without asking.
    pub yes: bool,
    /// What is done with processes that no session holds.
    pub leftovers: Option<Leftovers>,
    /// What is done with changes that act by themselves.
    pub on_change: Option<OnChange>,
    /// Print the plan, run none of it.
    pub dry_run: bool,
    /// Programs that this tool itself runs beside the session. No agent has written them.
    pub beside: BTreeSet<ProcessId>,
}

/// Starts, proves, asks, enters. `exposed` is the list where it was just read. Returns the exit code of what was entered.
///
/// # Errors
/// Wrong settings, a host that cannot run it, a promise that does not hold.
pub(crate) fn sandbox(cx: &Context, asked: &Asked, exposed: Option<Exposed>) -> Result<u8> {
    if !asked.yes && !asked.dry_run && !cx.stdin_tty {
        // Everything that can be seen now, so that nobody has to come back for the next one.
        let refused = usage("`sandbox` asks before it enters, and standard input is no terminal").hint("add `--yes`");
        let all = lacking(cx, &asked.flags)?.into_iter().fold(refused, |all, why| {
            all.hint(format!("{}, which is refused too", why.message)).remedies(why.remedies)
        });
        return Err(all.into());
    }
    if asked.dry_run {
        let cx = &Context { dry_run: true, ..cx.clone() };
        let mut ground = Ground::read(cx, &asked.flags, exposed)?;
        ground.preview_git()?;
        let lacking = ground.refused.clone();
        // Without a Codex there is no plan; what was found until then is said all the same.
        let gathered = ground.gather(cx, Purpose::DryRun, None).inspect_err(|_| {
            lacking.iter().for_each(|why| {
                ui::say(format_args!(
                    "a run is refused for this too: {}",
                    error::render(&why.clone().into()).trim_end()
                ))
            });
        })?;
        return dry_run(cx, &gathered, &asked.program);
    }
    let ground = Ground::read(cx, &asked.flags, exposed)?;
    let can_ask = cx.stdin_tty && !asked.yes;
    let call = Call::begin(cx, ground, Policy::new(asked.leftovers, can_ask))?;
    let call = call.on_change(asked.on_change, can_ask).beside(&asked.beside);
    let left = match (call.start()?.prove()?, &asked.program) {
        (Outcome::Proven(proven), Program::Codex(args)) => proven.enter(asked.yes, args)?,
        (Outcome::Proven(proven), Program::Shell) => proven.shell(asked.yes)?,
        (Outcome::Unproven(unproven), Program::Shell) => unproven.shell(asked.yes)?,
        (Outcome::Unproven(unproven), Program::Codex(_)) => return Err(unproven.refuse("Codex was not started:")),
    };
    Ok(left.code)
}
