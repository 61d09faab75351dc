//! Runs the smoke test of the GPUs, in a container of its own or in the running sandbox.

pub(crate) mod here;
mod inputs;
pub(crate) mod one_shot;
mod output;

use crate::context::Context;
use crate::distro::Package;
use crate::engine::{Engine, errors};
use crate::error::{Failure, Kind, failed, host};
use crate::exec::{self, End};
use crate::gpu::{self, GpuFacts, arch};
use crate::life::Signals;
use crate::smoke::show::RunFacts;
use crate::smoke::{Arch, Extent, Judgement, Report, SmokeRequest, judge, native};
use crate::spec::settings::{ProjectFlags, Settings};
use crate::spec::words::Gpus;
use crate::step::Command;
use crate::ui;
use anyhow::Result;
use std::path::PathBuf;
use std::time::SystemTime;

/// What is asked of a run.
pub(crate) struct Wish {
    pub(crate) project: ProjectFlags,
    /// An image of the user's own in place of the sandbox's.
    pub(crate) image: Option<String>,
    /// The compute capability that code must be native for, such as `12.0`.
    pub(crate) arch: Option<String>,
    /// Where the report goes as JSON.
    pub(crate) json: Option<PathBuf>,
    /// Where the report goes as JUnit XML.
    pub(crate) junit: Option<PathBuf>,
    /// The bound on the run.
    pub(crate) seconds: u64,
    pub(crate) extent: Extent,
    pub(crate) dry_run: bool,
}

/// What is asked of the inside half.
fn request(wish: &Wish, arch: Arch, gpus: &Gpus, known: &GpuFacts, dataset: Option<String>) -> Result<SmokeRequest> {
    // The script ends before it is ended: a report that says what hung is worth more than none.
    let margin = (wish.seconds / 20).clamp(2, 15);
    Ok(SmokeRequest {
        nonce: crate::life::nonce()?,
        arch,
        mode: wish.extent,
        gpus: match gpus {
            Gpus::None => None,
            Gpus::All => Some(known.gpus.len()).filter(|n| *n > 0),
            Gpus::Ids(ids) => Some(ids.len()),
        },
        gpu: *gpus != Gpus::None,
        dataset,
        seconds: wish.seconds - margin,
        torch: None,
    })
}

/// The architecture, by the flag, the settings or this host's GPUs.
fn architecture(wish: &Wish, settings: &Settings, known: &GpuFacts) -> Result<Arch> {
    let capabilities: Vec<&str> = known.gpus.iter().map(|gpu| gpu.capability.as_str()).collect();
    arch::choose(wish.arch.as_deref(), &settings.arch_list, &capabilities)
}

/// Why there is no GPU to run on, where none was asked for.
fn no_gpu(engine: &Engine, known: &GpuFacts) -> Failure {
    let why = if !known.may_have_gpus() {
        host(gpu::silence(known))
            .hint("install NVIDIA's driver, with open kernel modules for Blackwell")
            .mend(engine.distro.install(Package::Driver, false))
    } else {
        match gpu::route(&Gpus::All, engine, known) {
            Err(failure) => failure,
            Ok(_) => host("no GPU was asked for, and this host has one"),
        }
    };
    why.hint("then run `cargo xtask gpu-smoke` without `--cpu` and `--gpus none`")
}

/// What the program inside came to.
enum Answer {
    /// A report that can be relied on.
    Report(Report),
    /// Why there is none.
    None(String),
    /// The user ended it.
    Interrupted,
}

/// Runs the command that gives the report; the words of the script go to standard error as they come. The digest that
/// the kernel must have written is computed meanwhile.
fn ask(command: &Command, request: &SmokeRequest, signals: &Signals) -> Result<(Answer, String)> {
    ui::echo(command);
    let show = |line: &str| ui::say(format_args!("  {}", ui::printable(line)));
    let (said, digest) =
        exec::both(|| exec::follow(command, show, || !signals.any()), || native::digest(&request.nonce, request.arch));
    let (said, end) = said?;
    let answer = match (end, Report::read(&said.stdout, request)) {
        (End::Stopped, _) => Answer::Interrupted,
        (_, Ok(report)) => Answer::Report(report),
        (End::Late, Err(_)) => Answer::None(format!(
            "the run passed its bound of {} s and was stopped",
            command.timeout.unwrap_or_default().as_secs()
        )),
        (End::Ended, Err(why)) => Answer::None(with_last_words(&why, said.code, &said.stderr)),
    };
    Ok((answer, digest))
}

fn with_last_words(why: &str, code: i32, stderr: &str) -> String {
    match stderr.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!("{why} (exit code {code}): {}", line.trim()),
        None => format!("{why} (exit code {code})"),
    }
}

/// Judges the answer, shows and writes the result, and returns the exit code.
fn finish(
    cx: &Context,
    wish: &Wish,
    facts: &RunFacts,
    request: &SmokeRequest,
    answer: (Answer, String),
    no_gpu: Option<Failure>,
) -> Result<u8> {
    let (answer, digest) = answer;
    let report = match answer {
        Answer::Interrupted => return Err(failed("interrupted before the report was there").into()),
        Answer::Report(report) => Ok(report),
        Answer::None(why) => Err(why),
    };
    if let Err(why) = &report
        && let Some(known) = errors::find(why).filter(|known| known.kind == Kind::Host)
    {
        return not_started(cx, wish, facts, request, host(why).hint(known.remedy));
    }
    let outcome = judge(request, report.as_ref().map_err(String::as_str), &digest, no_gpu);
    output::show(cx, wish, facts, request, report.as_ref().ok(), &outcome)?;
    Ok(outcome.ending().code())
}

/// Nothing was run, because this host cannot: the reports say so too.
fn not_started(cx: &Context, wish: &Wish, facts: &RunFacts, request: &SmokeRequest, why: Failure) -> Result<u8> {
    let outcome = Judgement::not_started(request, why.clone());
    output::files(cx, wish, facts, request, None, &outcome)?;
    Err(why.into())
}

/// This moment, as the reports have it.
fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
