//! The command line, as data: what can be asked for, and the values it was asked with. Nothing runs here.

mod asked;
pub mod complete;
pub mod help;

pub use asked::{Flags, GpuSmoke, Task};

use crate::dev::bench::Row;
use crate::dev::test::Demand;
use crate::error::usage;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::PathBuf;

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn value(name: &'static str, value_name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value_name).help(help)
}

fn path(name: &'static str, value_name: &'static str, help: &'static str) -> Arg {
    value(name, value_name, help).value_parser(value_parser!(PathBuf))
}

fn settings_args(command: Command) -> Command {
    project_args(command)
        .arg(value("network", "NETWORK", "open, or none [default: open]"))
        .arg(path("codex", "PATH", "The host's Codex [default: codex on PATH]"))
        .arg(value("codex-home", "MODE", "mirror, shared or none [default: mirror]"))
}

fn project_args(command: Command) -> Command {
    command
        .arg(path("workspace", "DIR", "The research project, mounted at /workspace [default: workspace/]"))
        .arg(
            value("dataset", "NAME=DIR", "A data set, mounted read-only at /datasets/NAME; repeatable")
                .action(ArgAction::Append),
        )
        .arg(value("gpus", "GPUS", "all, none, or ids: 0,1 or GPU-<uuid> [default: all]"))
        .arg(value("base", "REF", "The base image"))
        .arg(flag("cpu", "Use the CPU base image made from Debian packages; implies --gpus none"))
}

fn image_args(command: Command) -> Command {
    command
        .arg(value("base", "REF", "The base image"))
        .arg(flag("cpu", "Use the CPU base image made from Debian packages"))
}

fn gpu_smoke() -> Command {
    project_args(Command::new("gpu-smoke"))
        .about("Prove that the GPU runs this image: native kernels, decoding, a report")
        .arg(value("image", "REF", "An image of your own in place of the sandbox's").conflicts_with("base"))
        .arg(value("arch", "ARCH", "The compute capability that code must be native for, such as 12.0"))
        .arg(path("json-file", "FILE", "Write the report as JSON").long("json"))
        .arg(path("junit", "FILE", "Write the report as JUnit XML"))
        .arg(
            value("timeout", "SECONDS", "The bound on the run [default: 300, with --full 1800]")
                .value_parser(value_parser!(u64).range(5..=86400)),
        )
        .arg(flag("full", "Also what takes minutes: torch.compile, an extension, NVDEC"))
        .arg(
            flag("here", "In the running sandbox of this workspace, by the path that Codex uses")
                .conflicts_with_all(["image", "base", "cpu", "gpus", "dataset"]),
        )
        .arg(dry_run())
}

fn dry_run() -> Arg {
    flag("dry-run", "Print the settings and every step, run none")
}

fn install_engine() -> Arg {
    flag("install-engine", "Install and start what is missing without asking (Debian, Ubuntu)")
}

fn json() -> Arg {
    flag("json", "Print JSON")
}

/// The whole command line.
pub fn command() -> Command {
    let sandbox = settings_args(Command::new("sandbox"))
        .about("Start the sandbox, prove what it promises, enter Codex")
        .arg(flag("shell", "Enter a shell in place of Codex, also when a claim does not hold"))
        .arg(flag("yes", "Enter without asking"))
        .arg(dry_run())
        .arg(Arg::new("args").last(true).num_args(0..).value_name("CODEX_ARGS").help("Arguments for Codex"));
    let image = image_args(Command::new("image"))
        .about("Build the image where it is missing or stale")
        .arg(flag("check", "Say whether it is up to date and why not; exit 0 or 1"))
        .arg(flag("pull", "Ask the registry for a newer base image"))
        .arg(flag("no-cache", "Build every layer anew"))
        .arg(dry_run());
    let test = Command::new("test")
        .about("Run the tests of this repository: every tier that this machine can run")
        .arg(
            value("tier", "TIER", "Demand a tier: default, engine, gpu or all")
                .value_parser(value_parser!(Demand))
                .hide_possible_values(true),
        )
        .arg(install_engine());
    let demo = Command::new("demo")
        .about("The main path on any machine: what it lacks has a stand-in, named first")
        .arg(flag("yes", "Enter without asking"))
        .arg(install_engine())
        .arg(flag("cpu", "Use the CPU base image; implies --gpus none"))
        .arg(flag("clean", "Remove all that the demo made").conflicts_with_all(["install-engine", "cpu"]));
    let bench = Command::new("bench")
        .about("Measure against the bare commands, in pairs, as ratios of medians")
        .arg(
            Arg::new("rows")
                .num_args(0..)
                .value_name("ROW")
                .value_parser(value_parser!(Row))
                .hide_possible_values(true)
                .help("enter, start, check, mounts, build, edit [default: all]"),
        )
        .arg(
            value("pairs", "N", "Pairs per row, at least 10 for a figure to quote")
                .value_parser(value_parser!(usize))
                .default_value("10"),
        )
        .arg(path("codex", "PATH", "The host's Codex [default: codex on PATH]"))
        .arg(flag("cpu", "Use the CPU base image; implies --gpus none"));
    let tasks = Command::new("cargo xtask")
        .bin_name("cargo xtask")
        .about("A GPU sandbox for Codex that proves what it promises")
        .after_help(
            "Exit codes: 0 done, 1 failed or a promise does not hold, 2 usage or settings,\n\
             3 this host cannot run it.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(sandbox)
        .subcommand(image)
        .subcommand(gpu_smoke())
        .subcommand(
            settings_args(Command::new("mounts")).about("Validate every mount, on the host and inside").arg(json()),
        )
        .subcommand(
            settings_args(Command::new("doctor"))
                .about("Show everything that this host lacks, each with the command that mends it")
                .after_help(
                    "Exit codes: 0 a sandbox can run, 3 the host lacks something, 2 only the settings are wrong.",
                )
                .arg(json()),
        )
        .subcommand(
            settings_args(Command::new("status")).about("Show what runs: image, mounts, sessions inside").arg(json()),
        )
        .subcommand(
            settings_args(Command::new("down"))
                .about("Stop and remove the sandbox; the Codex home stays")
                .arg(flag("all", "Also remove the sandbox's Codex home and git directory, after asking"))
                .arg(flag("caches", "Also remove the caches that your workspaces share, after asking"))
                .arg(flag("yes", "Do not ask"))
                .arg(dry_run()),
        )
        .subcommand(
            settings_args(Command::new("commits"))
                .about("List the commits made in the sandbox, or take them over")
                .arg(flag("take", "Fast-forward the host's branches to them")),
        )
        .subcommand(demo)
        .subcommand(test)
        .subcommand(
            Command::new("devcontainer").about("Start and prove the sandbox that VS Code or `devcontainer up` opens"),
        )
        .subcommand(
            Command::new("ci")
                .about("Run what CI runs: format, lints, docs, every test without a GPU")
                .arg(install_engine()),
        )
        .subcommand(bench)
        .subcommand(
            Command::new("completions").about("Print the completions for a shell").arg(
                Arg::new("shell").value_name("SHELL").required(true).value_parser(complete::SHELLS).help("The shell"),
            ),
        )
        .subcommand(Command::new("complete").hide(true).arg(Arg::new("line").required(true)));
    help::dress(tasks)
}

/// Parses a command line. A clap error carries help and version too: the caller prints it.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<anyhow::Result<(Task, Flags)>, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let Some((name, sub)) = matches.subcommand() else {
        return Err(command().error(clap::error::ErrorKind::MissingSubcommand, "a task is required"));
    };
    Ok(flags(sub).map(|flags| (task(name, sub), flags)))
}

fn task(name: &str, sub: &ArgMatches) -> Task {
    let on = |name: &str| sub.get_flag(name);
    let text = |name: &str| sub.get_one::<String>(name).cloned().unwrap_or_default();
    let list = |name: &str| sub.get_many::<String>(name).map(|list| list.cloned().collect()).unwrap_or_default();
    match name {
        "sandbox" => Task::Sandbox { shell: on("shell"), args: list("args") },
        "image" => Task::Image { check: on("check"), pull: on("pull"), no_cache: on("no-cache") },
        "gpu-smoke" => Task::GpuSmoke(gpu_smoke_flags(sub)),
        "mounts" => Task::Mounts,
        "doctor" => Task::Doctor,
        "status" => Task::Status,
        "down" => Task::Down { all: on("all"), caches: on("caches") },
        "commits" => Task::Commits { take: on("take") },
        "devcontainer" => Task::Devcontainer,
        "test" => Task::Test { tier: sub.get_one::<Demand>("tier").copied(), install: on("install-engine") },
        "demo" => Task::Demo { install: on("install-engine"), clean: on("clean") },
        "completions" => Task::Completions { shell: text("shell") },
        "complete" => Task::Complete { line: text("line") },
        "bench" => Task::Bench {
            rows: sub.get_many::<Row>("rows").map(|rows| rows.copied().collect()).unwrap_or_default(),
            pairs: sub.get_one::<usize>("pairs").copied().unwrap_or(10),
        },
        _ => Task::Ci { install: on("install-engine") },
    }
}

fn gpu_smoke_flags(sub: &ArgMatches) -> GpuSmoke {
    let full = sub.get_flag("full");
    let usual = if full { 1800 } else { 300 };
    GpuSmoke {
        image: sub.get_one::<String>("image").cloned(),
        arch: sub.get_one::<String>("arch").cloned(),
        json: sub.get_one::<PathBuf>("json-file").cloned(),
        junit: sub.get_one::<PathBuf>("junit").cloned(),
        seconds: sub.get_one::<u64>("timeout").copied().unwrap_or(usual),
        full,
        here: sub.get_flag("here"),
    }
}

fn flags(sub: &ArgMatches) -> anyhow::Result<Flags> {
    // A task has only some of the common flags: what it does not declare counts as not given.
    let text = |name: &str| sub.try_get_one::<String>(name).ok().flatten().cloned();
    let path = |name: &str| sub.try_get_one::<PathBuf>(name).ok().flatten().cloned();
    let on = |name: &str| sub.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false);
    let datasets = sub.try_get_many::<String>("dataset").ok().flatten().into_iter().flatten();
    let datasets = datasets.map(|text| dataset(text)).collect::<anyhow::Result<_>>()?;
    Ok(Flags {
        workspace: path("workspace"),
        datasets,
        gpus: text("gpus"),
        base: text("base"),
        cpu: on("cpu"),
        network: text("network"),
        codex: path("codex"),
        codex_home: text("codex-home"),
        yes: on("yes"),
        no_caches: false,
        dry_run: on("dry-run"),
        json: on("json"),
    })
}

fn dataset(text: &str) -> anyhow::Result<(String, PathBuf)> {
    match text.split_once('=') {
        Some((name, dir)) if !dir.is_empty() => Ok((name.to_owned(), PathBuf::from(dir))),
        _ => Err(usage(format!("`--dataset {text}` has no directory")).hint("write it as `--dataset NAME=DIR`").into()),
    }
}

#[cfg(test)]
mod tests;
