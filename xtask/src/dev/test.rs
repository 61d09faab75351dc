//! `cargo xtask test`: the tiers of this repository's tests.

mod plain;
mod tiers;

use super::lease::Lease;
use super::{shell, succeeds};
use crate::context::Context;
use crate::engine;
use crate::engine::install::Lacks;
use crate::engine::provide;
use crate::error::failed;
use crate::life::Signals;
use crate::spec::words::Gpus;
use crate::user::User;
use crate::{gpu, ui};
use anyhow::Result;
use std::path::PathBuf;
pub(crate) use tiers::Demand;
use tiers::{Machine, RunOutcome, Tier, TierPlan};
use xshell::{Shell, cmd};

/// The version that is installed where cargo-nextest is missing.
const NEXTEST: &str = "0.9.143";

/// The programs that the default tier starts.
const DEFAULT_PROGRAMS: &[&str] = &["git", "python3"];

/// The programs that the engine tier starts on the host.
const PROGRAMS: &[&str] = &["mmdebstrap", "ffmpeg", "git", "ps", "python3", "tmux", "setpriv", "setsid", "npm", "cc"];

/// Run the tests of this repository: every tier that this machine can run
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Demand a tier: default, engine, gpu or all
    #[arg(long, hide_possible_values = true)]
    tier: Option<Demand>,
    /// Install and start what is missing without asking (Debian, Ubuntu)
    #[arg(long)]
    install_engine: bool,
}

/// Runs the task.
///
/// # Errors
/// As `run_tiers`.
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    run_tiers(cx, args.tier, args.install_engine)
}

/// Runs the tiers that this machine can run, or those that are demanded: the default tier always. The last lines say
/// which ran, how many tests each, and which did not and why.
///
/// # Errors
/// A demanded tier cannot run here (exit code 3), a test fails, or a tier ran no test.
pub(super) fn run_tiers(cx: &Context, asked: Option<Demand>, install: bool) -> Result<u8> {
    demand_programs(cx, install)?;
    // Ctrl-C ends the tests; the engine that was started for them is stopped all the same.
    let signals = Signals::catch()?;
    let run = |machine: &Machine| run_plan(cx, &tiers::plan(asked, machine)?, install, &signals);
    if asked == Some(Demand::Default) {
        return run(&Machine::default());
    }
    let (lease, found) = Lease::take(cx, PROGRAMS, install)?;
    let done = run(&read(cx, found));
    lease.end()?;
    done
}

/// Every run needs these: what is missing is asked for, or brought where that was asked for.
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
    let (mut outcomes, mut done) = (Vec::new(), Ok(0));
    for tier in &plan.tiers {
        if done.is_err() {
            outcomes.push((*tier, RunOutcome::Left("an earlier tier failed".to_owned())));
            continue;
        }
        match run(*tier) {
            _ if signals.any() => done = Err(failed("interrupted").into()),
            Ok(0) => done = Err(failed(format!("the {tier} tier ran no tests")).into()),
            Ok(count) => {
                outcomes.push((*tier, RunOutcome::Passed(count)));
                continue;
            }
            Err(err) => done = Err(err),
        }
        outcomes.push((*tier, RunOutcome::Failed));
    }
    outcomes.extend(plan.left.iter().map(|(tier, why)| (*tier, RunOutcome::Left(why.clone()))));
    tiers::lines(&outcomes).iter().for_each(ui::say);
    done.map_err(|err: anyhow::Error| err.context(failed("the tests failed")))
}

/// What this machine can run.
fn read(cx: &Context, found: Result<Lacks>) -> Machine {
    let ready = match found {
        Ok(found) if found.is_empty() => engine::read(cx).and_then(|engine| engine::refuse(&engine).map(|()| engine)),
        Ok(found) => Err(failed(format!(
            "this machine lacks {}; `--install-engine` brings it on Debian and Ubuntu",
            found.list()
        ))
        .into()),
        Err(err) => Err(err),
    };
    let engine = ready.map_err(|err| err.to_string());
    let gpus = match &engine {
        Ok(engine) => {
            let facts = gpu::read(engine, cx.var("PATH"));
            let route = gpu::route(&Gpus::All, engine, &facts);
            route.map(drop).map_err(|failure| failure.message)
        }
        Err(why) => {
            // That there is no GPU is the better reason.
            let facts = gpu::read_devices(cx.var("PATH"));
            Err(if facts.gpus.is_empty() { gpu::silence(&facts) } else { why.clone() })
        }
    };
    Machine { engine: engine.and_then(|_| acts_as_others(cx)), gpu: gpus }
}

/// The engine tier runs the tool as other users, and mounts.
fn acts_as_others(cx: &Context) -> Result<(), String> {
    let sudo = || shell(cx).is_ok_and(|sh| succeeds(cmd!(sh, "sudo -n true")));
    if User::read().uid == 0 || sudo() {
        return Ok(());
    }
    Err("its tests act as other users: run it as root, or with a sudo that asks for no password".to_owned())
}

/// Whether cargo-nextest is there. It is brought where that was asked for, and on a terminal it is offered.
fn has_nextest(cx: &Context, sh: &Shell, install: bool, signals: &Signals) -> Result<bool> {
    if succeeds(cmd!(sh, "cargo nextest --version")) {
        return Ok(true);
    }
    // Its own speed does not matter here, the time to build it does.
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

/// Runs a tier and returns the number of its tests, from nextest's own report: an older one does not count.
fn by_nextest(cx: &Context, sh: &Shell, tier: Tier) -> Result<usize> {
    let target = cx.var("CARGO_TARGET_DIR").map(|dir| cx.absolute(&PathBuf::from(dir)));
    let target = target.unwrap_or_else(|| cx.root.join("target"));
    let (report, profile) = (target.join(format!("nextest/{tier}/junit.xml")), tier.to_string());
    sh.remove_path(&report)?;
    cmd!(sh, "cargo nextest run --workspace --locked --profile {profile}").run()?;
    Ok(tiers::count(&sh.read_file(report).unwrap_or_default()))
}
