//! The command line, as data: what can be asked for, and the values it was asked with. Nothing runs here.

use crate::error::usage;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::PathBuf;

/// The flags that all tasks spell alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--workspace DIR`
    pub workspace: Option<PathBuf>,
    /// `--dataset NAME=DIR`, in the order given.
    pub datasets: Vec<(String, PathBuf)>,
    /// `--gpus all|none|ID[,ID…]`
    pub gpus: Option<String>,
    /// `--base REF`
    pub base: Option<String>,
    /// `--cpu`
    pub cpu: bool,
    /// `--network open|none`
    pub network: Option<String>,
    /// `--codex PATH`
    pub codex: Option<PathBuf>,
    /// `--codex-home mirror|shared|none`
    pub codex_home: Option<String>,
    /// `--yes`
    pub yes: bool,
    /// `--dry-run`
    pub dry_run: bool,
    /// `--json`
    pub json: bool,
}

/// One task with its own flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Build, start, prove, enter.
    Sandbox {
        /// Enter a shell in place of Codex.
        shell: bool,
        /// Codex's own arguments.
        args: Vec<String>,
    },
    /// Build the image.
    Image {
        /// Only say whether it is up to date.
        check: bool,
        /// Ask the registry for a newer base.
        pull: bool,
        /// Build every layer anew.
        no_cache: bool,
    },
    /// Validate every mount.
    Mounts,
    /// What runs.
    Status,
    /// Stop it.
    Down {
        /// Also remove the Codex home and the git directory of this workspace.
        all: bool,
    },
    /// The commits that were made in the sandbox.
    Commits {
        /// Take them over.
        take: bool,
    },
    /// Run the tests of this repository.
    Test {
        /// The tiers that are demanded: `default`, `engine`, `gpu`, `all`; without it those that the machine can run.
        tier: Option<String>,
        /// Install and start what the engine tier needs.
        install: bool,
    },
    /// What CI runs.
    Ci {
        /// Install and start what the engine tier needs.
        install: bool,
    },
    /// The main path with stand-ins for what this machine lacks.
    Demo {
        /// Install and start an engine without asking.
        install: bool,
        /// Remove all that the demo made.
        clean: bool,
    },
    /// Measure against the bare commands.
    Bench {
        /// The rows to measure; empty means all.
        rows: Vec<String>,
        /// Pairs per row.
        pairs: usize,
    },
}

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
    command
        .arg(path(
            "workspace",
            "DIR",
            "The research project, mounted at /workspace [default: workspace/]",
        ))
        .arg(
            value(
                "dataset",
                "NAME=DIR",
                "A data set, mounted read-only at /datasets/NAME; repeatable",
            )
            .action(ArgAction::Append),
        )
        .arg(value(
            "gpus",
            "GPUS",
            "all, none, or ids: 0,1 or GPU-<uuid> [default: all]",
        ))
        .arg(value("base", "REF", "The base image"))
        .arg(flag(
            "cpu",
            "Use the CPU base image made from Debian packages; implies --gpus none",
        ))
        .arg(value("network", "NETWORK", "open, or none [default: open]"))
        .arg(path("codex", "PATH", "The host's Codex [default: codex on PATH]"))
        .arg(value("codex-home", "MODE", "mirror, shared or none [default: mirror]"))
}

fn image_args(command: Command) -> Command {
    command
        .arg(value("base", "REF", "The base image"))
        .arg(flag("cpu", "Use the CPU base image made from Debian packages"))
}

fn dry_run() -> Arg {
    flag("dry-run", "Print the settings and every step, run none")
}

fn install_engine() -> Arg {
    flag(
        "install-engine",
        "Install and start what is missing (Debian, Ubuntu) without asking; an engine that is there is left alone",
    )
}

fn json() -> Arg {
    flag("json", "Print JSON")
}

/// The whole command line.
pub fn command() -> Command {
    let sandbox = settings_args(Command::new("sandbox"))
        .about("Start the sandbox, prove what it promises, enter Codex")
        .arg(flag(
            "shell",
            "Enter a shell in place of Codex, also when a claim does not hold",
        ))
        .arg(flag("yes", "Enter without asking"))
        .arg(dry_run())
        .arg(
            Arg::new("args")
                .last(true)
                .num_args(0..)
                .value_name("CODEX_ARGS")
                .help("Arguments for Codex"),
        );
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
                .value_parser(["default", "engine", "gpu", "all"]),
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
                .help("enter, start, check, mounts, build [default: all]"),
        )
        .arg(
            value("pairs", "N", "Pairs per row, at least 10 for a figure to quote")
                .value_parser(value_parser!(usize))
                .default_value("10"),
        )
        .arg(path("codex", "PATH", "The host's Codex [default: codex on PATH]"))
        .arg(flag("cpu", "Use the CPU base image; implies --gpus none"));
    Command::new("cargo xtask")
        .bin_name("cargo xtask")
        .about("A GPU sandbox for Codex that proves what it promises")
        .after_help(
            "Exit codes: 0 done, 1 failed or a promise does not hold, 2 usage or settings, 3 this host cannot run it.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(sandbox)
        .subcommand(image)
        .subcommand(
            settings_args(Command::new("mounts"))
                .about("Validate every mount, on the host and inside")
                .arg(json()),
        )
        .subcommand(
            settings_args(Command::new("status"))
                .about("Show what runs: image, mounts, sessions inside")
                .arg(json()),
        )
        .subcommand(
            settings_args(Command::new("down"))
                .about("Stop and remove the sandbox; the Codex home stays")
                .arg(flag(
                    "all",
                    "Also remove the sandbox's Codex home and git directory, after asking",
                ))
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
            Command::new("ci")
                .about("Run what CI runs: format, lints, docs, every test without a GPU")
                .arg(install_engine()),
        )
        .subcommand(bench)
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
    let list = |name: &str| {
        sub.get_many::<String>(name)
            .map(|list| list.cloned().collect())
            .unwrap_or_default()
    };
    match name {
        "sandbox" => Task::Sandbox {
            shell: on("shell"),
            args: list("args"),
        },
        "image" => Task::Image {
            check: on("check"),
            pull: on("pull"),
            no_cache: on("no-cache"),
        },
        "mounts" => Task::Mounts,
        "status" => Task::Status,
        "down" => Task::Down { all: on("all") },
        "commits" => Task::Commits { take: on("take") },
        "test" => Task::Test {
            tier: sub.get_one::<String>("tier").cloned(),
            install: on("install-engine"),
        },
        "demo" => Task::Demo {
            install: on("install-engine"),
            clean: on("clean"),
        },
        "bench" => Task::Bench {
            rows: list("rows"),
            pairs: sub.get_one::<usize>("pairs").copied().unwrap_or(10),
        },
        _ => Task::Ci {
            install: on("install-engine"),
        },
    }
}

fn flags(sub: &ArgMatches) -> anyhow::Result<Flags> {
    // A task has only some of the common flags: what it does not declare counts as not given.
    let text = |name: &str| sub.try_get_one::<String>(name).ok().flatten().cloned();
    let path = |name: &str| sub.try_get_one::<PathBuf>(name).ok().flatten().cloned();
    let on = |name: &str| sub.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false);
    let datasets = sub
        .try_get_many::<String>("dataset")
        .ok()
        .flatten()
        .into_iter()
        .flatten();
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
        dry_run: on("dry-run"),
        json: on("json"),
    })
}

fn dataset(text: &str) -> anyhow::Result<(String, PathBuf)> {
    match text.split_once('=') {
        Some((name, dir)) if !dir.is_empty() => Ok((name.to_owned(), PathBuf::from(dir))),
        _ => Err(usage(format!("`--dataset {text}` has no directory"))
            .hint("write it as `--dataset NAME=DIR`")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &str) -> (Task, Flags) {
        parse(format!("xtask {args}").split(' ').map(Into::into))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn codex_arguments_come_after_two_dashes() {
        let (task, flags) = parsed("sandbox --cpu --yes --dataset ssv2=/d --dataset k=a=b -- --version -m x");
        assert_eq!(
            task,
            Task::Sandbox {
                shell: false,
                args: vec!["--version".into(), "-m".into(), "x".into()]
            }
        );
        assert_eq!(
            flags.datasets,
            [("ssv2".into(), "/d".into()), ("k".into(), "a=b".into())]
        );
        assert!(flags.cpu && flags.yes && !flags.dry_run);
    }

    #[test]
    fn a_data_set_without_a_directory_is_a_usage_error() {
        let err = parse(["xtask", "mounts", "--dataset", "ssv2"].map(Into::into))
            .unwrap()
            .unwrap_err();
        assert_eq!(crate::error::exit_code(&err), 2);
    }
}
