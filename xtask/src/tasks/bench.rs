//! `cargo xtask bench`: this tool beside the bare Docker commands, in pairs in one run, as ratios of medians.
//!
//! A machine's speed drifts, so the two sides of a row take turns, and what counts is their ratio.

mod ground;

use crate::context::Context;
use crate::error::{failed, usage};
use crate::exec;
use crate::spec::settings::{Flags, ProjectFlags};
use crate::step::Command;
use crate::ui;
use anyhow::Result;
use ground::Ground;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The rows: name, what is measured, and the most that the ratio may be.
const ROWS: &[(&str, &str, f64)] = &[
    ("enter", "enter a running sandbox, all proofs / compose up + compose exec codex --version", 1.0),
    ("start", "enter with no container yet / the same", 1.3),
    ("check", "image --check / docker compose build, all cached", 0.3),
    ("mounts", "mounts with 200,000 files / with 10 files", 1.1),
];

/// The bound on a clean build of xtask, in seconds, on 2 cores.
const BUILD_BOUND: u64 = 45;

/// The bound on one measured command.
const COMMAND_BOUND: u64 = 300;

/// Measure against the bare commands, in pairs, as ratios of medians
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// enter, start, check, mounts, build [default: all]
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
    /// Pairs per row, at least 10 for a figure to quote
    #[arg(long, value_name = "N", default_value_t = 10)]
    pairs: usize,
    /// The host's Codex [default: codex on PATH]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    codex: Option<PathBuf>,
    /// Use the CPU base image; implies --gpus none
    #[arg(long)]
    cpu: bool,
}

impl Args {
    /// The flags that stand above the settings.
    pub(crate) fn flags(&self) -> Flags {
        let project = ProjectFlags { cpu: self.cpu, ..ProjectFlags::default() };
        Flags { codex: self.codex.clone(), ..project.into() }
    }
}

/// Runs the rows that were asked for, all where none was.
///
/// # Errors
/// An unknown row, a command that fails, or a row over its bound (exit code 1).
pub fn run(cx: &Context, args: &Args) -> Result<u8> {
    let (rows, pairs) = (&args.rows, args.pairs);
    let known = |name: &str| name == "build" || ROWS.iter().any(|(row, _, _)| *row == name);
    if let Some(bad) = rows.iter().find(|name| !known(name)) {
        return Err(usage(format!("`{bad}` is no row"))
            .hint("the rows are: enter, start, check, mounts, build")
            .into());
    }
    let wanted = |name: &str| rows.is_empty() || rows.iter().any(|row| row == name);
    let head = ["row", "this tool", "beside it", "ratio", "at most", "ratio with cargo", "pairs"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    let mut over = Vec::new();
    if ROWS.iter().any(|(name, _, _)| wanted(name)) {
        let ground = Ground::new(cx, args.flags())?;
        let cargo = ground.cargo(pairs)?;
        ui::say(format_args!("cargo itself takes {} ms before each call of `cargo xtask`", cargo.as_millis()));
        for (name, what, most) in ROWS.iter().filter(|(name, _, _)| wanted(name)) {
            ui::say(format_args!("{name}: {what}"));
            let (mine, other) = ground.measure(name, pairs)?;
            let ratio = |time: Duration, by: Duration| time.as_secs_f64() / by.as_secs_f64().max(1e-9);
            let ms = |time: Duration| format!("{} ms", time.as_millis());
            // In `mounts` both sides are this tool, so both have cargo before them.
            let beside = if *name == "mounts" { other + cargo } else { other };
            lines.push(vec![
                (*name).to_owned(),
                ms(mine),
                ms(other),
                format!("{:.2}", ratio(mine, other)),
                format!("{most:.2}"),
                format!("{:.2}", ratio(mine + cargo, beside)),
                pairs.to_string(),
            ]);
            let ratio = ratio(mine, other);
            over.extend((ratio > *most).then(|| (*name).to_owned()));
        }
    }
    if wanted("build") {
        let (took, crates) = clean_build(cx)?;
        let side = format!("{crates} crates");
        let most = format!("{BUILD_BOUND} s");
        let seconds = format!("{:.1} s", took.as_secs_f64());
        lines.push(vec!["build".into(), seconds, side, "-".into(), most, "-".into(), "1".into()]);
        over.extend((took.as_secs() >= BUILD_BOUND).then(|| "build".to_owned()));
    }
    ui::result(ui::columns(&lines).trim_end());
    if over.is_empty() {
        return Ok(0);
    }
    Err(failed(format!("over the bound: {}", over.join(", "))).hint("measure again on a quiet machine").into())
}

/// The median; of an even number the mean of the two in the middle.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    let half = times.len() / 2;
    if times.len().is_multiple_of(2) { (times[half - 1] + times[half]) / 2 } else { times[half] }
}

/// Runs a command with its output thrown away and says how long it took. A failure stops the benchmark.
fn quiet(command: &Command) -> Result<Duration> {
    let start = Instant::now();
    exec::stdout_of(command)?;
    Ok(start.elapsed())
}

/// Builds xtask from nothing into a folder of its own, and counts the crates.
fn clean_build(cx: &Context) -> Result<(Duration, usize)> {
    let dir = tempfile::Builder::new().prefix("codex-sandbox-bench-build-").tempdir()?;
    let cargo = |args: &[&str]| Command::new("cargo").args(args.iter().copied()).dir(&cx.root).timeout(COMMAND_BOUND);
    quiet(&cargo(&["fetch", "--locked"]))?;
    let target = dir.path().to_string_lossy().into_owned();
    let took =
        quiet(&cargo(&["build", "--locked", "--package", "xtask", "--bin", "xtask"]).env("CARGO_TARGET_DIR", target))?;
    let tree = exec::stdout_of(&cargo(&[
        "tree",
        "--locked",
        "--package",
        "xtask",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ]))?;
    let mut crates: Vec<&str> =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    crates.sort_unstable();
    crates.dedup();
    Ok((took, crates.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let ms = Duration::from_millis;
        assert_eq!(median(vec![ms(9), ms(1), ms(5)]), ms(5));
        assert_eq!(median(vec![ms(1), ms(9), ms(3), ms(5)]), ms(4));
    }
}
