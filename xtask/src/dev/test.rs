//! `cargo xtask test`: the tiers of this repository's tests.

mod plain;
mod tiers;

use super::lease::Lease;
use super::{shell, succeeds};
use crate::context::Context;
use crate::engine::install::Lacks;
use crate::engine::{self, provide};
use crate::error::{failed, interrupted};
use crate::signals::{self, Signals};
use crate::spec::words::Gpus;
use crate::user::User;
use crate::{gpu, ui};
use anyhow::Result;
use std::path::PathBuf;
pub(crate) use tiers::Demand;
use tiers::{Tier, TierPlan};
use xshell::{Shell, cmd};

/// The version that is installed where cargo-nextest is missing.
const NEXTEST: &str = "0.9.143";

/// The programs that the default tier starts.
const DEFAULT_PROGRAMS: &[&str] = &["git", "python3"];

/// The programs that the engine tier starts on the host.
const PROGRAMS: &[&str] = &[
    "mmdebstrap", "ffmpeg", "bindfs", "sshfs", "mergerfs", "rclone", "git", "ps", "python3", "tmux", "setpriv",
    "setsid", "npm", "cc",
];

/// Run the tests of this repository: every tier that this machine can run
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Demand a tier: default, engine, gpu or all
    #[arg(long, hide_possible_values = true)]
    pub(super) tier: Option<Demand>,
    /// Install and start what is missing without asking (Debian, Ubuntu)
    #[arg(long)]
    pub(super) install_engine: bool,
}

/// Runs the tiers that this machine can run, or those that are demanded: the default tier always. The last lines say
/// which ran, how many tests each, and which did not and why.
///
/// # Errors
/// A demanded tier cannot run here (exit code 3), a test fails, or a tier ran no test.
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let &Args { tier: asked, install_engine: install } = args;
    demand_programs(cx, install)?;
    // Ctrl-C ends the tests; the engine that was started for them is stopped all the same.
    let signals = Signals::making();
    let run = |cannot: &[(Tier, String)]| run_plan(cx, &tiers::plan(asked, cannot)?, install, signals);
    if asked == Some(Demand::Default) {
        return run(&[]);
    }
    let (lease, found) = Lease::take(cx, PROGRAMS, install)?;
    let done = run(&cannot_run(cx, found));
    lease.end()?;
    done
}

/// Every run needs these programs. Missing ones are installed with `install`, and otherwise after a question.
fn demand_programs(cx: &Context, install: bool) -> Result<()> {
    let lacks = Lacks { programs: provide::missing(cx, DEFAULT_PROGRAMS), ..Lacks::default() };
    if lacks.is_empty() {
        return Ok(());
    }
    provide::provide(cx, &lacks, install).map(drop)
}

fn run_plan(cx: &Context, plan: &TierPlan, install: bool, signals: &Signals) -> Result<u8> {
    let sh = shell(cx)?;
    let nextest = has_nextest(cx, &sh, install, signals)?;
    let run = |tier| match nextest {
        true => by_nextest(cx, &sh, tier),
        false => plain::run(&sh, tier),
    };
    let (mut lines, mut done): (Vec<String>, Result<u8>) = (Vec::new(), Ok(0));
    for &tier in &plan.tiers {
        if done.is_err() {
            lines.push(tiers::left(tier, "an earlier tier failed"));
            continue;
        }
        let count = match signals::lent(|| run(tier)) {
            _ if signals.any() => Err(interrupted("interrupted").into()),
            Ok(0) => Err(failed(format!("the {tier} tier ran no tests")).into()),
            other => other,
        };
        lines.push(count.as_ref().map_or_else(|_| tiers::failed(tier), |count| tiers::passed(tier, *count)));
        done = count.map(|_| 0);
    }
    lines.extend(plan.left.iter().map(|(tier, why)| tiers::left(*tier, why)));
    lines.iter().for_each(ui::say);
    done.map_err(|err| if signals.any() { err } else { err.context(failed("the tests failed")) })
}

/// The tiers that this machine cannot run, and why.
fn cannot_run(cx: &Context, found: Result<Lacks>) -> Vec<(Tier, String)> {
    let engine = found.and_then(|found| match found.is_empty() {
        true => engine::read(cx).and_then(|engine| engine::refuse(&engine).map(|()| engine)),
        false => {
            let lacks = found.list();
            Err(failed(format!("this machine lacks {lacks}; `--install-engine` installs it on Debian and Ubuntu"))
                .into())
        }
    });
    let gpu = match &engine {
        Ok(engine) => gpu::route(&Gpus::All, engine, &gpu::read(engine, cx.var("PATH"))).err().map(|why| why.message),
        Err(why) => {
            // Where there is no GPU either, that is the better reason.
            let facts = gpu::read_devices(cx.var("PATH"));
            Some(if facts.gpus.is_empty() { gpu::silence(&facts) } else { why.to_string() })
        }
    };
    let engine = engine.map_or_else(|why| Some(why.to_string()), |_| acts_as_others(cx).err());
    [(Tier::Engine, engine), (Tier::Gpu, gpu)].into_iter().filter_map(|(tier, why)| Some((tier, why?))).collect()
}

/// The engine tier runs the tool as other users, and mounts file systems.
fn acts_as_others(cx: &Context) -> Result<(), String> {
    let sudo = || shell(cx).is_ok_and(|sh| succeeds(cmd!(sh, "sudo -n true")));
    if User::read().uid == 0 || sudo() {
        return Ok(());
    }
    Err("its tests act as other users: run it as root, or with a sudo that asks for no password".to_owned())
}

/// Whether cargo-nextest is there. It is installed with `install`, and offered on a terminal.
fn has_nextest(cx: &Context, sh: &Shell, install: bool, signals: &Signals) -> Result<bool> {
    if succeeds(cmd!(sh, "cargo nextest --version")) {
        return Ok(true);
    }
    // It is built without optimisations, because building it faster saves more time than running it faster.
    let command = cmd!(sh, "cargo install --quiet --locked --debug cargo-nextest --version {NEXTEST}");
    let command = command.env("CARGO_PROFILE_DEV_DEBUG", "0");
    if !install {
        ui::say("`cargo-nextest` is missing: `cargo test` runs the same tests, slower");
        let question = format!("Install it (`{command}`, some minutes)?");
        if !cx.stdin_tty || !signals.ask(|| ui::confirm(&question)) {
            return Ok(false);
        }
    }
    command.run()?;
    Ok(true)
}

/// Runs a tier and returns the number of its tests, from nextest's report. The report of an earlier run is removed first.
fn by_nextest(cx: &Context, sh: &Shell, tier: Tier) -> Result<usize> {
    let target = cx.var("CARGO_TARGET_DIR").map(|dir| cx.absolute(&PathBuf::from(dir)));
    let target = target.unwrap_or_else(|| cx.root.join("target"));
    let (report, profile) = (target.join(format!("nextest/{tier}/junit.xml")), tier.to_string());
    sh.remove_path(&report)?;
    cmd!(sh, "cargo nextest run --workspace --locked --profile {profile}").run()?;
    Ok(tiers::count(&sh.read_file(report).unwrap_or_default()))
}
