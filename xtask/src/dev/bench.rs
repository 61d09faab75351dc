//! `cargo xtask bench`: this tool beside the bare Docker commands, in pairs in one run, as ratios of medians.
//!
//! A machine's speed drifts, so the two sides of a row take turns, and what counts is their ratio. The rows of the build
//! have nothing beside them: their bounds are seconds, on 2 quiet cores.

mod build;
mod ground;

use crate::context::Context;
use crate::error::failed;
use crate::spec::settings::{Flags, ProjectFlags};
use crate::ui;
use anyhow::Result;
use build::Scratch;
use clap::ValueEnum;
use ground::BenchGround;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xshell::Cmd;

/// Measure against the bare commands, in pairs, as ratios of medians
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// enter, start, check, mounts, build, edit [default: all]
    #[arg(value_name = "ROW", hide_possible_values = true)]
    rows: Vec<BenchRow>,
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

/// What can be measured. The words are the command line's, their help what is said before each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchRow {
    /// enter a running sandbox, all proofs / compose up + compose exec codex --version
    Enter,
    /// enter with no container yet / the same
    Start,
    /// image --check / docker compose build, all cached
    Check,
    /// mounts with 200,000 files / with 10 files
    Mounts,
    /// xtask from nothing
    Build,
    /// from an edited source file of xtask to the end of `cargo xtask --help`
    Edit,
}

/// What a row came to, with the most that it may be.
enum Measured {
    /// Two sides, and what cargo takes before each of them.
    Pair { mine: Duration, other: Duration, cargo: [Duration; 2], most: f64, pairs: usize },
    /// In seconds, the median of so many rounds.
    Alone { took: Duration, what: String, most: u64, rounds: usize },
}

impl Measured {
    fn is_over(&self) -> bool {
        match self {
            Measured::Pair { mine, other, most, .. } => ratio(*mine, *other) > *most,
            Measured::Alone { took, most, .. } => took.as_secs_f64() > *most as f64,
        }
    }

    /// The columns behind the row's name.
    fn columns(&self) -> [String; 6] {
        let ms = |time: &Duration| format!("{} ms", time.as_millis());
        match self {
            Measured::Pair { mine, other, cargo, most, pairs } => {
                let with_cargo = ratio(*mine + cargo[0], *other + cargo[1]);
                let [ratio, most, with_cargo] = [ratio(*mine, *other), *most, with_cargo].map(|n| format!("{n:.2}"));
                [ms(mine), ms(other), ratio, most, with_cargo, pairs.to_string()]
            }
            Measured::Alone { took, what, most, rounds } => {
                let seconds = format!("{:.1} s", took.as_secs_f64());
                [seconds, what.clone(), "-".into(), format!("{most} s"), "-".into(), rounds.to_string()]
            }
        }
    }
}

fn ratio(time: Duration, by: Duration) -> f64 {
    time.as_secs_f64() / by.as_secs_f64().max(1e-9)
}

/// Measures the rows that were asked for, all where none was.
///
/// # Errors
/// A command that fails, or a row over its bound (exit code 1).
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let rows = if args.rows.is_empty() { BenchRow::value_variants() } else { &args.rows };
    let sh = super::shell(cx)?;
    let (mut ground, mut scratch) = (None, None);
    let (lay, copy) = (|| BenchGround::new(cx, args.flags(), &sh, args.pairs.max(1)), || Scratch::new(cx));
    let head = ["row", "this tool", "beside it", "ratio", "at most", "ratio with cargo", "pairs"];
    let (mut lines, mut over) = (vec![head.map(str::to_owned).to_vec()], Vec::new());
    for row in rows {
        let word = row.to_possible_value().unwrap_or_else(|| "".into());
        let name = word.get_name().to_owned();
        ui::say(format_args!("{name}: {}", word.get_help().cloned().unwrap_or_default()));
        let measured = match row {
            BenchRow::Enter => once(&mut ground, lay)?.enter()?,
            BenchRow::Start => once(&mut ground, lay)?.start()?,
            BenchRow::Check => once(&mut ground, lay)?.check()?,
            BenchRow::Mounts => once(&mut ground, lay)?.mounts()?,
            BenchRow::Build => once(&mut scratch, copy)?.clean()?,
            BenchRow::Edit => once(&mut scratch, copy)?.edit()?,
        };
        over.extend(measured.is_over().then(|| name.clone()));
        lines.push([vec![name], measured.columns().to_vec()].concat());
    }
    ui::result(ui::columns(&lines).trim_end());
    if over.is_empty() {
        return Ok(0);
    }
    Err(failed(format!("over the bound: {}", over.join(", "))).hint("measure again on a quiet machine").into())
}

/// What several rows stand on is made for the first of them.
fn once<T>(slot: &mut Option<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    Ok(match slot {
        Some(made) => made,
        None => slot.insert(make()?),
    })
}

/// The median; of an even number the mean of the two in the middle.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    let half = times.len() / 2;
    if times.len().is_multiple_of(2) { (times[half - 1] + times[half]) / 2 } else { times[half] }
}

/// Runs a command with its output kept from the terminal and says how long it took. A failure stops the benchmark.
fn timed(command: Cmd<'_>) -> Result<Duration> {
    let (text, start) = (command.to_string(), Instant::now());
    let said = command.quiet().ignore_status().output()?;
    let took = start.elapsed();
    match said.status.success() {
        true => Ok(took),
        false => Err(failed(format!("`{text}`: {}: {}", said.status, String::from_utf8_lossy(&said.stderr))).into()),
    }
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

    #[test]
    fn a_row_is_over_its_bound_by_its_ratio_or_by_its_seconds() {
        let ms = Duration::from_millis;
        let pair = |mine| Measured::Pair { mine: ms(mine), other: ms(100), cargo: [ms(50); 2], most: 1.3, pairs: 10 };
        assert_eq!(pair(130).columns(), ["130 ms", "100 ms", "1.30", "1.30", "1.20", "10"]);
        assert!(!pair(130).is_over() && pair(131).is_over());
        let alone = |took| Measured::Alone { took: ms(took), what: "9 crates".into(), most: 5, rounds: 3 };
        assert_eq!(alone(4960).columns(), ["5.0 s", "9 crates", "-", "5 s", "-", "3"]);
        assert!(!alone(5000).is_over() && alone(5001).is_over());
    }
}
