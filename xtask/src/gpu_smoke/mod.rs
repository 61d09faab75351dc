//! Runs the smoke test of the GPUs, in a container of its own or in the running sandbox.

pub(crate) mod here;
mod inputs;
pub(crate) mod one_shot;
mod output;
mod swept;

use crate::answers::{self, Asked, What};
use crate::context::Context;
use crate::engine::{Engine, errors, pulse};
use crate::error::{Failure, Kind, host};
use crate::exec::{self, End};
use crate::gpu::{self, GpuFacts, arch};
use crate::smoke::{Extent, Judgement, Report, RunFacts, SmokeRequest, SmokeResult, judge, native};
use crate::spec::Mount;
use crate::spec::settings::{ProjectFlags, Settings};
use crate::spec::words::Gpus;
use crate::step::Command;
use crate::ui;
use anyhow::Result;
use std::path::PathBuf;

/// Prove that the GPU runs this image: native kernels, decoding, a report
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    #[command(flatten)]
    pub(crate) project: ProjectFlags,
    /// An image of your own in place of the sandbox's
    #[arg(long, value_name = "REF", conflicts_with = "base")]
    image: Option<String>,
    /// The compute capability that code must be native for, such as 12.0
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The bound on the run [default: 300, with --full 1800]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=86400))]
    timeout: Option<u64>,
    /// Also what takes minutes: torch.compile, an extension, NVDEC
    #[arg(long)]
    full: bool,
    /// In the running sandbox of this workspace, by the path that Codex uses
    #[arg(long, conflicts_with_all = ["image", "base", "cpu", "gpus", "datasets"])]
    pub(crate) here: bool,
    /// Print the settings and every step, run none
    #[arg(long)]
    dry_run: bool,
}

impl Wish {
    /// Refuses files whose file system does not answer, before the run whose result they would hold.
    ///
    /// # Errors
    /// One does not, or it was interrupted.
    pub(crate) fn answers(&self, cx: &Context) -> Result<()> {
        let files = [("--json", &self.json), ("--junit", &self.junit)];
        let files = files.into_iter().filter_map(|(flag, path)| Some((flag, path.as_ref()?)));
        let asked = files.map(|(flag, path)| Asked {
            what: What::Other,
            named: format!("the file of `{flag}`"),
            path: cx.absolute(path),
        });
        answers::demand(&asked.collect::<Vec<_>>())
    }
}

/// Why there is no GPU to run on, where none was asked for.
fn no_gpu(engine: &Engine, known: &GpuFacts) -> Failure {
    let why = if !known.may_have_gpus() {
        host(gpu::silence(known)).hint("a GPU needs NVIDIA's driver: `cargo xtask doctor` says how it is installed")
    } else {
        match gpu::route(&Gpus::All, engine, known) {
            Err(failure) => failure,
            Ok(_) => host("no GPU was asked for, and this host has one"),
        }
    };
    why.hint("then run this again without `--cpu` and `--gpus none`")
}

/// The report, or why there is none that can be relied on, and the digest that the kernel must have written.
type Answer = (Result<Report, String>, String);

/// One run of the smoke test.
struct SmokeRun<'a> {
    cx: &'a Context,
    wish: &'a Wish,
    request: SmokeRequest,
    facts: RunFacts,
    /// Why there is no GPU, where none was asked for.
    no_gpu: Option<Failure>,
}

impl<'a> SmokeRun<'a> {
    /// What is known before anything is created.
    fn new(
        cx: &'a Context,
        wish: &'a Wish,
        settings: &Settings,
        engine: &Engine,
        known: &GpuFacts,
        gpus: &Gpus,
        dataset: Option<&Mount>,
    ) -> Result<SmokeRun<'a>> {
        let facts = RunFacts {
            engine: engine.version.clone(),
            gpus: gpus.to_string(),
            driver: known.driver.clone(),
            time: crate::context::now(),
            dataset: dataset.map(|mount| mount.source.display().to_string()),
            ..RunFacts::default()
        };
        let (mode, usual) = if wish.full { (Extent::Full, 1800) } else { (Extent::Quick, 300) };
        let seconds = wish.timeout.unwrap_or(usual);
        // The script is to end before its bound stops it: a report that says what hung is worth more than none.
        let margin = (seconds / 20).clamp(2, 15);
        let capabilities: Vec<&str> = known.gpus.iter().map(|gpu| gpu.capability.as_str()).collect();
        let request = SmokeRequest {
            nonce: crate::nonce::nonce()?,
            arch: arch::choose(wish.arch.as_deref(), &settings.arch_list, &capabilities)?,
            mode,
            gpus: match gpus {
                Gpus::None => None,
                Gpus::All => Some(known.gpus.len()).filter(|n| *n > 0),
                Gpus::Ids(ids) => Some(ids.len()),
            },
            gpu: *gpus != Gpus::None,
            dataset: dataset.map(|mount| mount.target.clone()),
            seconds: seconds - margin,
            torch: None,
        };
        let no_gpu = (*gpus == Gpus::None).then(|| no_gpu(engine, known));
        Ok(SmokeRun { cx, wish, request, facts, no_gpu })
    }

    /// Runs the command that gives the report; what the script says goes to standard error as it comes. This host computes
    /// its digest at the same time. The command is stopped where `goes_on`, which is asked all the while, says no.
    fn ask(&self, command: &Command, goes_on: impl FnMut() -> bool + Send) -> Result<Answer> {
        let request = &self.request;
        ui::echo(command);
        let show = |line: &str| ui::say(format_args!("  {}", ui::printable(line)));
        let (said, digest) =
            exec::both(|| exec::follow(command, show, goes_on), || native::digest(&request.nonce, request.arch));
        let (said, end) = said?;
        let report = match (end, Report::read(&said.stdout, request)) {
            (End::Stopped, _) => return Err(interrupted()),
            (_, Ok(report)) => Ok(report),
            (End::Late, Err(_)) => Err(format!(
                "the run passed its bound of {} s and was stopped",
                command.timeout.unwrap_or_default().as_secs()
            )),
            (End::Ended, Err(_)) if command.lifeline.is_some() && !pulse::answers() => {
                return Err(errors::gone(&said.stderr).into());
            }
            (End::Ended, Err(why)) => Err(with_last_words(&why, said.code, &said.stderr)),
        };
        Ok((report, digest))
    }

    /// Judges the answer, shows and writes the result, and returns the exit code.
    fn finish(self, (report, digest): Answer) -> Result<u8> {
        if let Err(why) = &report
            && let Some(known) =
                errors::find(why).filter(|known| known.kind == Kind::Host).or_else(|| errors::lacks(why))
        {
            return self.not_started(host(why).hint(known.remedy));
        }
        let outcome = judge(&self.request, report.as_ref().map_err(String::as_str), &digest, self.no_gpu.clone());
        output::show(self.cx, self.wish, self.result(report.as_ref().ok(), &outcome))?;
        Ok(outcome.ending().code())
    }

    /// Nothing was run, because this host cannot run it: the reports say so too.
    fn not_started(&self, why: Failure) -> Result<u8> {
        let outcome = Judgement::not_started(&self.request, why.clone());
        output::files(self.cx, self.wish, self.result(None, &outcome))?;
        Err(why.into())
    }

    fn result<'b>(&'b self, report: Option<&'b Report>, outcome: &'b Judgement) -> SmokeResult<'b> {
        SmokeResult { facts: &self.facts, request: &self.request, report, outcome }
    }
}

fn interrupted() -> anyhow::Error {
    crate::error::interrupted("interrupted before the report was there").into()
}

fn with_last_words(why: &str, code: i32, stderr: &str) -> String {
    match stderr.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!("{why} (exit code {code}): {}", line.trim()),
        None => format!("{why} (exit code {code})"),
    }
}
