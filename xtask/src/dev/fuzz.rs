//! `cargo xtask fuzz`: gives the parsers of others' texts what libFuzzer makes up, for a bounded time. The targets are in the
//! crate `fuzz/`, which nothing else builds; the compiler's own instrumentation (`SanitizerCoverage`) tells libFuzzer what
//! an input reaches, so that the stable toolchain is enough.

mod targets;

use super::shell;
use crate::context::Context;
use crate::error::{failed, interrupted};
use crate::signals::{self, Signals};
use crate::ui;
use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use std::path::PathBuf;
pub(crate) use targets::Target;
use xshell::{Shell, cmd};

/// Counters for each branch, and the operands of comparisons, from which libFuzzer learns the words of a format.
const RUSTFLAGS: &str = "--cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
                         -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
                         -C llvm-args=-sanitizer-coverage-trace-compares";

/// An input that takes more seconds than this is a hang; more MiB in all is too much.
const HANG: u32 = 5;
const MOST_MIB: u32 = 256;

/// Bytes of an input, at most.
const LONGEST: u32 = 8192;

/// Fuzz the parsers of others' texts, for a bounded time
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Whose text is read, such as mountinfo; a wrong name lists them [default: all]
    #[arg(value_name = "TARGET", hide_possible_values = true)]
    targets: Vec<Target>,
    /// Executions of each target, at most
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    runs: u64,
    /// Seconds for each target, at most
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u64,
}

/// How a target ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Passed,
    Crash,
    Hang,
    Memory,
}

/// What libFuzzer says at its end.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    executions: Option<u64>,
    peak_mib: Option<u64>,
    ended: Ended,
    /// The input that a parser failed on.
    input: Option<String>,
}

/// Runs the targets that were asked for, or all of them, one after the other.
///
/// # Errors
/// The targets cannot be built, one of them fails, or it was interrupted.
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let sh = shell(cx)?;
    let signals = Signals::making();
    let binary = build(cx, &sh)?;
    let targets = if args.targets.is_empty() { Target::value_variants() } else { &args.targets };
    let mut lines = vec![["target", "executions", "peak memory", "result"].map(str::to_owned).to_vec()];
    let mut wrong = Vec::new();
    for target in targets.iter().take_while(|_| !signals.any()) {
        let name = name(*target);
        ui::say(format_args!("{name}: {}", help(*target)));
        let said = signals::lent(|| fuzz(&sh, &binary, *target, args))?;
        let number =
            |number: Option<u64>, unit: &str| number.map_or("?".to_owned(), |number| format!("{number}{unit}"));
        let result = match (said.ended, &said.input) {
            (Ended::Passed, _) => "no crash, no hang".to_owned(),
            (ended, input) => format!("{}: {}", word(ended), input.as_deref().unwrap_or("the input is not known")),
        };
        if said.ended != Ended::Passed {
            wrong.push(name.clone());
        }
        lines.push(vec![name, number(said.executions, ""), number(said.peak_mib, " MiB"), result]);
    }
    ui::result(ui::columns(&lines).trim_end());
    if signals.any() {
        return Err(interrupted("interrupted").into());
    }
    if wrong.is_empty() {
        return Ok(0);
    }
    Err(failed(format!("a parser fails: {}", wrong.join(", ")))
        .hint("mend it, and put the input into `fuzz/corpus/TARGET/`: a test then reads it")
        .into())
}

/// Builds the targets, apart from all else, and returns the program.
fn build(cx: &Context, sh: &Shell) -> Result<PathBuf> {
    let version = cmd!(sh, "rustc --version --verbose").read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc` names no host")?;
    let target = cx.root.join("target/fuzz/build");
    // For a named target the flags are not used for build scripts, which have no libFuzzer to link with.
    cmd!(
        sh,
        "cargo build --quiet --locked --release --manifest-path fuzz/Cargo.toml --target {host} --target-dir {target}"
    )
    .env("RUSTFLAGS", RUSTFLAGS)
    .run()
    .map_err(|err| {
        anyhow::Error::new(err)
            .context(failed("the fuzz targets cannot be built").hint("they need a C++ compiler: `c++`"))
    })?;
    Ok(target.join(host).join("release/fuzz"))
}

/// Runs one target. What libFuzzer makes of the inputs is kept below `target/`, and used again.
fn fuzz(sh: &Shell, binary: &PathBuf, target: Target, args: &Args) -> Result<Said> {
    let name = name(target);
    let (grown, found) = (format!("target/fuzz/corpus/{name}"), format!("target/fuzz/found/{name}"));
    for dir in [&grown, &found] {
        sh.create_dir(dir)?;
    }
    for (i, seed) in target.seeds().iter().enumerate() {
        sh.write_file(format!("{grown}/seed-{i}"), sh.read_binary_file(seed)?)?;
    }
    let kept = format!("fuzz/corpus/{name}");
    let (runs, seconds) = (args.runs.to_string(), args.seconds.to_string());
    let limits = [format!("-rss_limit_mb={MOST_MIB}"), format!("-timeout={HANG}"), format!("-max_len={LONGEST}")];
    let said = cmd!(sh, "{binary} {grown} {kept} -runs={runs} -max_total_time={seconds} {limits...}")
        .args(["-print_final_stats=1".to_owned(), format!("-artifact_prefix={found}/")])
        .env("FUZZ_TARGET", &name)
        .quiet()
        .ignore_status()
        .read_stderr()?;
    Ok(read(&said))
}

/// Reads what libFuzzer says at its end.
fn read(text: &str) -> Said {
    let number = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        line?.trim_start_matches(':').trim().parse().ok()
    };
    let input = text.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path.trim());
    let ended = match text {
        _ if text.contains("ERROR: libFuzzer: timeout") => Ended::Hang,
        _ if text.contains("ERROR: libFuzzer: out-of-memory") => Ended::Memory,
        _ if text.contains("ERROR: ") || number("number_of_executed_units").is_none() => Ended::Crash,
        _ => Ended::Passed,
    };
    Said {
        executions: number("number_of_executed_units"),
        peak_mib: number("peak_rss_mb"),
        ended,
        input: input.map(str::to_owned),
    }
}

fn word(ended: Ended) -> &'static str {
    match ended {
        Ended::Passed => "passed",
        Ended::Crash => "a crash",
        Ended::Hang => "a hang",
        Ended::Memory => "too much memory",
    }
}

fn name(target: Target) -> String {
    target.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn help(target: Target) -> String {
    target.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_is_read() {
        let passed = "#2\tINITED cov: 1\nDone 1000 runs in 1 second(s)\nstat::number_of_executed_units: 1000\n\
                      stat::average_exec_per_sec:     500\nstat::peak_rss_mb:              41\n";
        let said = Said { executions: Some(1000), peak_mib: Some(41), ended: Ended::Passed, input: None };
        assert_eq!(read(passed), said);
        let crash = "thread panicked\n==1== ERROR: libFuzzer: deadly signal\nartifact_prefix='t/'; Test unit written to t/crash-1\n";
        assert_eq!(read(crash).ended, Ended::Crash);
        assert_eq!(read(crash).input.as_deref(), Some("t/crash-1"));
        assert_eq!(read("==1== ERROR: libFuzzer: timeout after 5 seconds\n").ended, Ended::Hang);
        assert_eq!(read("==1== ERROR: libFuzzer: out-of-memory (used: 300Mb)\n").ended, Ended::Memory);
        assert_eq!(read("").ended, Ended::Crash, "what says nothing did not pass");
    }
}
