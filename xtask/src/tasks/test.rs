//! `cargo xtask test` and `cargo xtask ci`: the tiers of this repository's tests, and everything that CI runs.

mod plain;
mod tiers;

use crate::context::Context;
use crate::engine;
use crate::engine::install::Lacks;
use crate::engine::provide;
use crate::engine::provide::{Consent, Found};
use crate::error::failed;
use crate::exec;
use crate::gpu;
use crate::spec::promise::Gpus;
use crate::step::{Command, Step};
use crate::ui;
use crate::user::User;
use anyhow::Result;
use std::path::PathBuf;
pub use tiers::Tier;
use tiers::{Machine, Outcome, Plan};

/// The version that is offered where cargo-nextest is missing.
const NEXTEST: &str = "0.9.143";

/// The programs that the default tier starts.
const DEFAULT_PROGRAMS: &[&str] = &["git", "python3"];

/// The programs that the engine tier starts on the host.
const PROGRAMS: &[&str] = &["mmdebstrap", "ffmpeg", "git", "ps", "python3", "tmux", "setpriv", "setsid", "npm", "cc"];

/// Run the tests of this repository: every tier that this machine can run
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Demand a tier: default, engine, gpu or all
    #[arg(long, value_parser = ["default", "engine", "gpu", "all"], hide_possible_values = true)]
    tier: Option<String>,
    /// Install and start what is missing without asking (Debian, Ubuntu)
    #[arg(long)]
    install_engine: bool,
}

/// Run what CI runs: format, lints, docs, every test without a GPU
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct CiArgs {
    /// Install and start what is missing without asking (Debian, Ubuntu)
    #[arg(long)]
    install_engine: bool,
}

/// Runs the tiers that this machine can run, or those that are demanded: the default tier always. The last lines say
/// which ran, how many tests each, and which did not and why.
///
/// # Errors
/// A demanded tier cannot run here (exit code 3), or a test fails.
pub fn run(cx: &Context, args: &Args) -> Result<u8> {
    tiers_of(cx, args.tier.as_deref(), args.install_engine)
}

fn tiers_of(cx: &Context, asked: Option<&str>, install: bool) -> Result<u8> {
    demand_programs(cx, install)?;
    let (machine, started) = read(cx, asked, install)?;
    let done = tiers::plan(asked, &machine).map_err(anyhow::Error::from).and_then(|plan| run_plan(cx, &plan));
    if started {
        provide::stop(cx)?;
    }
    done
}

/// Every run needs these: what is missing is asked for, or brought where that was asked for.
fn demand_programs(cx: &Context, install: bool) -> Result<()> {
    let lacks = Lacks { programs: provide::missing(cx, DEFAULT_PROGRAMS), ..Lacks::default() };
    let found = Found { lacks, silent: None };
    if found.is_ready() {
        return Ok(());
    }
    provide::provide(cx, &found, Consent::of(cx, install)).map(drop)
}

fn run_plan(cx: &Context, plan: &Plan) -> Result<u8> {
    let nextest = has_nextest(cx)?;
    let mut outcomes = Vec::new();
    let mut failure = None;
    for tier in &plan.tiers {
        let ran = match (&failure, nextest) {
            (Some(_), _) => Ok(None),
            (None, true) => by_nextest(cx, *tier).map(Some),
            (None, false) => plain::run(cx, *tier).map(Some),
        };
        match ran {
            Ok(Some(0)) => {
                failure = Some(failed(format!("the {tier} tier ran no tests")).into());
                outcomes.push((*tier, Outcome::Failed));
            }
            Ok(Some(count)) => outcomes.push((*tier, Outcome::Passed(count))),
            Ok(None) => outcomes.push((*tier, Outcome::Left("an earlier tier failed".to_owned()))),
            Err(err) => {
                failure = Some(err);
                outcomes.push((*tier, Outcome::Failed));
            }
        }
    }
    let left = plan.left.iter().map(|(tier, why)| (*tier, Outcome::Left(why.clone())));
    outcomes.extend(left);
    tiers::lines(&outcomes).iter().for_each(ui::say);
    failure.map_or(Ok(0), |err| Err(err.context(failed("the tests failed"))))
}

/// What this machine can run, and whether an engine was started for it.
fn read(cx: &Context, asked: Option<&str>, install: bool) -> Result<(Machine, bool)> {
    if asked == Some("default") {
        return Ok((Machine::default(), false));
    }
    let mut started = false;
    let found = match provide::look(cx, PROGRAMS) {
        Ok(found) if install && !found.is_ready() => {
            started = provide::provide(cx, &found, Consent::of(cx, true))?.started;
            provide::look(cx, PROGRAMS)
        }
        found => found,
    };
    let ready = match found {
        Ok(found) if found.is_ready() => engine::read(cx).and_then(|engine| engine::refuse(&engine).map(|()| engine)),
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
    let acts = engine.and_then(|_| acts_as_others());
    Ok((Machine { engine: acts, gpu: gpus }, started))
}

/// The engine tier runs the tool as other users, and mounts.
fn acts_as_others() -> Result<(), String> {
    let sudo = || exec::capture(&Command::new("sudo").args(["-n", "true"])).is_ok_and(|said| said.ok());
    if User::read().uid == 0 || sudo() {
        return Ok(());
    }
    Err("its tests act as other users: run it as root, or with a sudo that asks for no password".to_owned())
}

/// Whether cargo-nextest is there; on a terminal it is offered.
fn has_nextest(cx: &Context) -> Result<bool> {
    if exec::capture(&cargo(cx, &["nextest", "--version"])).is_ok_and(|said| said.ok()) {
        return Ok(true);
    }
    let install = cargo(cx, &["install", "--locked", "cargo-nextest", "--version", NEXTEST]);
    ui::say("`cargo-nextest` is missing: `cargo test` runs the same tests, slower");
    if !cx.stdin_tty || !ui::confirm(&format!("Install it (`{install}`, some minutes)?")) {
        return Ok(false);
    }
    exec::run(&install)?;
    Ok(true)
}

/// Runs a tier and returns the number of its tests, from nextest's own report.
fn by_nextest(cx: &Context, tier: Tier) -> Result<usize> {
    let target = cx.var("CARGO_TARGET_DIR").map(|dir| cx.absolute(&PathBuf::from(dir)));
    let target = target.unwrap_or_else(|| cx.root.join("target"));
    let report = target.join("nextest").join(tier.to_string()).join("junit.xml");
    let profile = tier.to_string();
    exec::all(&[
        Step::Remove { path: report.clone() },
        Step::Run(cargo(cx, &["nextest", "run", "--workspace", "--locked", "--profile", &profile])),
    ])?;
    Ok(tiers::count(&std::fs::read_to_string(report).unwrap_or_default()))
}

/// Runs what CI runs: format, lints, docs, the default and the engine tier.
///
/// # Errors
/// The first step that fails.
pub fn ci(cx: &Context, args: &CiArgs) -> Result<u8> {
    let lints = ["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"];
    exec::all(&[
        Step::Run(cargo(cx, &["fmt", "--all", "--check"])),
        Step::Run(cargo(cx, &lints)),
        Step::Run(cargo(cx, &["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "--deny warnings")),
    ])?;
    if exec::capture(&cargo(cx, &["deny", "--version"])).is_ok_and(|said| said.ok()) {
        exec::all(&[Step::Run(cargo(cx, &["deny", "check"]))])?;
    } else {
        ui::say("cargo-deny is not installed: licences and advisories were not checked");
    }
    tiers_of(cx, Some("engine"), args.install_engine)
}

fn cargo(cx: &Context, args: &[&str]) -> Command {
    Command::new("cargo").args(args.iter().copied()).dir(&cx.root)
}
