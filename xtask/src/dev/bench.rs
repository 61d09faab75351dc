//! `cargo xtask bench`: this tool beside the bare Docker commands, in pairs in one run, as ratios of medians.
//!
//! A machine's speed drifts. Therefore the two sides of a row take turns, and their ratio is what counts. The rows of the
//! build have no other side: their bounds are seconds, on 2 quiet cores.

mod build;
mod ground;

use crate::context::Context;
use crate::error::failed;
use crate::spec::settings::{Flags, ProjectFlags};
use crate::step::Command;
use crate::{exec, ui};
use anyhow::Result;
use build::Scratch;
use clap::ValueEnum;
use ground::BenchGround;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xshell::Cmd;

/// The bound on each command. A clean build on a busy machine takes minutes.
const BOUND: Duration = Duration::from_secs(900);

/// Measure against the bare commands, in pairs, as ratios of medians
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// enter, start, check, mounts, leave, build, edit [default: all]
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
    pub(crate) fn flags(&self) -> Flags {
        let project = ProjectFlags { cpu: self.cpu, ..ProjectFlags::default() };
        Flags { codex: self.codex.clone(), ..project.into() }
    }
}

/// What can be measured. The help of each row is printed before it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchRow {
    /// enter a running sandbox, all proofs / compose up + compose exec codex --version
    Enter,
    /// enter with no container yet / the same
    Start,
    /// image --check / docker compose build, all cached
    Check,
    /// mounts with 200,000 files / with 10 files
    Mounts,
    /// enter and leave with a workspace of 100,000 files / of 100: by how much more time
    Leave,
    /// xtask from nothing
    Build,
    /// from an edited source file of xtask to the end of `cargo xtask --help`
    Edit,
}

/// The result of a row: its columns behind the name, and whether it is over its bound.
struct Measured {
    columns: [String; 6],
    over: bool,
}

impl Measured {
    /// Two sides, with the time that cargo takes before each of them.
    fn pair(mine: Duration, other: Duration, cargo: [Duration; 2], most: f64, pairs: usize) -> Measured {
        let ratio = |mine: Duration, other: Duration| mine.as_secs_f64() / other.as_secs_f64().max(1e-9);
        let (with_cargo, ratio) = (ratio(mine + cargo[0], other + cargo[1]), ratio(mine, other));
        let [mine, other] = [mine, other].map(|time| format!("{} ms", time.as_millis()));
        let [ratio_text, most_text, with_cargo] = [ratio, most, with_cargo].map(|number| format!("{number:.2}"));
        let columns = [mine, other, ratio_text, most_text, with_cargo, pairs.to_string()];
        Measured { columns, over: ratio > most }
    }

    /// Two sides of this tool, by how much longer one takes than the other.
    fn difference(mine: Duration, other: Duration, most: Duration, pairs: usize) -> Measured {
        let more = mine.saturating_sub(other);
        let ms = |time: Duration| format!("{} ms", time.as_millis());
        let columns =
            [ms(mine), ms(other), format!("+{}", ms(more)), format!("+{}", ms(most)), "-".into(), pairs.to_string()];
        Measured { columns, over: more > most }
    }

    /// The median of some rounds, with a bound in seconds.
    fn alone(took: Duration, what: String, most: u64, rounds: usize) -> Measured {
        let seconds = format!("{:.1} s", took.as_secs_f64());
        let columns = [seconds, what, "-".into(), format!("{most} s"), "-".into(), rounds.to_string()];
        Measured { columns, over: took > Duration::from_secs(most) }
    }
}

/// Measures the rows that were asked for, or all of them.
///
/// # Errors
/// A command fails, or a row is over its bound (exit code 1).
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let rows = if args.rows.is_empty() { BenchRow::value_variants() } else { &args.rows };
    let (mut ground, mut scratch) = (None, None);
    let (projects, copy) = (|| BenchGround::new(cx, args.flags(), args.pairs.max(1)), || Scratch::new(cx));
    let head = ["row", "this tool", "beside it", "ratio", "at most", "ratio with cargo", "pairs"];
    let (mut lines, mut over) = (vec![head.map(str::to_owned).to_vec()], Vec::new());
    for row in rows {
        let word = row.to_possible_value().unwrap_or_else(|| "".into());
        let name = word.get_name().to_owned();
        ui::say(format_args!("{name}: {}", word.get_help().cloned().unwrap_or_default()));
        let measured = match row {
            BenchRow::Enter => once(&mut ground, projects)?.enter()?,
            BenchRow::Start => once(&mut ground, projects)?.start()?,
            BenchRow::Check => once(&mut ground, projects)?.check()?,
            BenchRow::Mounts => once(&mut ground, projects)?.mounts()?,
            BenchRow::Leave => once(&mut ground, projects)?.leave()?,
            BenchRow::Build => once(&mut scratch, copy)?.clean()?,
            BenchRow::Edit => once(&mut scratch, copy)?.edit()?,
        };
        over.extend(measured.over.then(|| name.clone()));
        lines.push([vec![name], measured.columns.to_vec()].concat());
    }
    ui::result(ui::columns(&lines).trim_end());
    if over.is_empty() {
        return Ok(0);
    }
    Err(failed(format!("over the bound: {}", over.join(", "))).hint("measure again on a quiet machine").into())
}

/// What several rows need is made for the first of them.
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

/// Runs a command with its output kept from the terminal, and returns how long it took.
///
/// # Errors
/// The command fails, or runs past the bound.
fn timed(command: Cmd<'_>) -> Result<Duration> {
    let (command, start) = (bounded(command), Instant::now());
    exec::stdout_of(&command)?;
    Ok(start.elapsed())
}

/// The same command with a bound, which xshell does not have.
fn bounded(command: Cmd<'_>) -> Command {
    let command = std::process::Command::from(command);
    let text = |word: &OsStr| word.to_string_lossy().into_owned();
    // `exec` gives every process the PATH.
    let env = command.get_envs().filter(|(name, _)| *name != "PATH");
    Command {
        program: text(command.get_program()),
        args: command.get_args().map(text).collect(),
        env: env.filter_map(|(name, value)| Some((text(name), text(value?)))).collect(),
        dir: command.get_current_dir().map(Path::to_path_buf),
        timeout: Some(BOUND),
        ..Command::default()
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
    fn a_measured_command_has_the_shell_s_directory_and_variables_and_a_bound() {
        let sh = xshell::Shell::new().unwrap();
        sh.change_dir("/");
        sh.set_var("PATH", "/nowhere");
        let command = bounded(xshell::cmd!(sh, "docker compose").arg("a b").env("A", "1"));
        assert_eq!(command.to_string(), "cd / && A=1 docker compose 'a b'");
        assert_eq!(command.timeout, Some(BOUND));
    }

    #[test]
    fn a_row_is_over_its_bound_by_its_ratio_or_by_its_seconds() {
        let ms = Duration::from_millis;
        let pair = |mine| Measured::pair(ms(mine), ms(100), [ms(50); 2], 1.3, 10);
        assert_eq!(pair(130).columns, ["130 ms", "100 ms", "1.30", "1.30", "1.20", "10"]);
        assert!(!pair(130).over && pair(131).over);
        let more = |mine| Measured::difference(ms(mine), ms(400), ms(1500), 10);
        assert_eq!(more(700).columns, ["700 ms", "400 ms", "+300 ms", "+1500 ms", "-", "10"]);
        assert!(!more(1900).over && more(1901).over && !more(100).over);
        let alone = |took| Measured::alone(ms(took), "9 crates".into(), 5, 3);
        assert_eq!(alone(4960).columns, ["5.0 s", "9 crates", "-", "5 s", "-", "3"]);
        assert!(!alone(5000).over && alone(5001).over);
    }
}
