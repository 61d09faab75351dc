//! The command line: what can be asked for, and what runs for it.

mod help;

use crate::context::Context;
use crate::exposed::Exposed;
use crate::spec::settings::Flags;
use crate::{demo, dev, gpu_smoke, ours, tasks};
use anyhow::Result;
use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::path::PathBuf;

/// A GPU sandbox for Codex that proves what it promises
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Exit codes: 0 done, 1 failed or a promise does not hold, 2 usage or settings,\n\
                  3 this host cannot run it, 128 + N interrupted by signal N."
)]
struct CommandLine {
    #[command(subcommand)]
    task: Task,
}

/// A task with its flags, which its file in `tasks/` or `dev/` declares, or the module that reads them. The order is
/// that of the help.
#[derive(Subcommand, Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "a comment here would replace the task's own in the help")]
pub enum Task {
    Sandbox(tasks::sandbox::Args),
    Image(tasks::image::Args),
    GpuSmoke(gpu_smoke::Wish),
    /// Validate every mount, on the host and inside
    Mounts(tasks::ShowArgs),
    /// Show everything that this host lacks, each with the command that fixes it
    Doctor(tasks::ShowArgs),
    /// Show what runs: image, mounts, sessions inside
    Status(tasks::ShowArgs),
    Down(tasks::down::Args),
    Commits(tasks::commits::Args),
    Demo(tasks::demo::Args),
    Test(dev::test::Args),
    /// Start and prove the sandbox that VS Code or `devcontainer up` opens
    Devcontainer,
    Ci(dev::ci::Args),
    Bench(dev::bench::Args),
    Fuzz(dev::fuzz::Args),
    Completions(tasks::completions::Args),
    #[command(hide = true)]
    Complete(tasks::complete::Args),
    #[command(hide = true)]
    Answers(tasks::answers::Args),
    #[command(hide = true)]
    Tied(tasks::tied::Args),
}

/// The command line with all tasks.
pub fn command() -> Command {
    help::dress(CommandLine::command())
}

/// Parses a command line. A request for help is an error of clap too; the caller prints it.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Task, clap::Error> {
    let matches = command().try_get_matches_from(args).map_err(without_hidden)?;
    Ok(CommandLine::from_arg_matches(&matches)?.task)
}

/// The error, which proposes no task that the help does not name: clap proposes those too.
fn without_hidden(mut err: clap::Error) -> clap::Error {
    let command = command();
    let is_hidden = |name: &String| command.get_subcommands().any(|task| task.is_hide_set() && task.get_name() == name);
    if let Some(ContextValue::Strings(names)) = err.get(ContextKind::SuggestedSubcommand) {
        let names: Vec<String> = names.iter().filter(|name| !is_hidden(name)).cloned().collect();
        err.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
    }
    err
}

/// The tasks, each with its flags.
pub(crate) fn taking() -> Vec<ours::Taking> {
    let flag = |arg: &clap::Arg| arg.get_long().map(|name| format!("--{name}"));
    let flags = |task: &Command| (task.get_name().to_owned(), task.get_arguments().filter_map(flag).collect());
    command().get_subcommands().map(flags).collect()
}

impl Task {
    /// Runs it, and returns the exit code.
    pub(crate) fn run(&self, cx: &Context, exposed: Option<Exposed>) -> Result<u8> {
        match self {
            Task::Sandbox(args) => tasks::sandbox::run(cx, args, exposed),
            Task::Image(args) => tasks::image::run(cx, args),
            Task::GpuSmoke(args) => tasks::gpu_smoke::run(cx, args),
            Task::Mounts(args) => tasks::mounts::run(cx, &args.flags, args.json),
            Task::Doctor(args) => tasks::doctor::run(cx, &args.flags, args.json),
            Task::Status(args) => tasks::status::run(cx, &args.flags, args.json),
            Task::Down(args) => tasks::down::run(cx, args),
            Task::Commits(args) => tasks::commits::run(cx, args),
            Task::Demo(args) => tasks::demo::run(cx, args),
            Task::Test(args) => dev::test::run(cx, args),
            Task::Devcontainer => tasks::devcontainer::run(cx),
            Task::Ci(args) => dev::ci::run(cx, args),
            Task::Bench(args) => dev::bench::run(cx, args),
            Task::Fuzz(args) => dev::fuzz::run(cx, args),
            Task::Completions(args) => tasks::completions::run(cx, args),
            Task::Complete(args) => tasks::complete::run(cx, args, &command()),
            Task::Answers(args) => {
                tasks::answers::run(args);
                Ok(0)
            }
            Task::Tied(args) => tasks::tied::run(args),
        }
    }

    /// The workspace that advice has to name: the one of the flag, or the demo's own.
    pub(crate) fn workspace(&self, cx: &Context) -> Option<PathBuf> {
        if let Task::Demo(_) = self {
            return Some(demo::project(cx));
        }
        self.flags()?.project.workspace.map(|path| cx.absolute(&path))
    }

    /// The flags that advice has to repeat beside it, with their values as words of a shell. The demo's own sandbox ends with
    /// the demo, and what a benchmark is given is not the user's sandbox.
    pub(crate) fn given(&self, cx: &Context) -> Vec<(&'static str, Vec<String>)> {
        match self {
            Task::Sandbox(_)
            | Task::Mounts(_)
            | Task::Doctor(_)
            | Task::Status(_)
            | Task::Down(_)
            | Task::Commits(_)
            | Task::GpuSmoke(_)
            | Task::Image(_) => self.flags().map_or_else(Vec::new, |flags| flags.given(cx)),
            Task::Demo(_)
            | Task::Bench(_)
            | Task::Test(_)
            | Task::Devcontainer
            | Task::Ci(_)
            | Task::Fuzz(_)
            | Task::Completions(_)
            | Task::Complete(_)
            | Task::Answers(_)
            | Task::Tied(_) => Vec::new(),
        }
    }

    /// Whether it reads the git repository of the workspace, and with it what that borrows from other directories.
    pub(crate) fn reads_git(&self) -> bool {
        match self {
            Task::Sandbox(_) | Task::Down(_) | Task::Commits(_) | Task::Mounts(_) | Task::Devcontainer => true,
            Task::Image(_)
            | Task::GpuSmoke(_)
            | Task::Doctor(_)
            | Task::Status(_)
            | Task::Demo(_)
            | Task::Test(_)
            | Task::Ci(_)
            | Task::Bench(_)
            | Task::Fuzz(_)
            | Task::Completions(_)
            | Task::Complete(_)
            | Task::Answers(_)
            | Task::Tied(_) => false,
        }
    }

    /// Whether it starts the host's Codex, or reads what that obeys: then `CODEX_HOME` may name nothing that an agent wrote.
    pub(crate) fn obeys_codex_home(&self) -> bool {
        match self {
            // Whatever an agent has done to the Codex home, its sandbox can be looked at and ended.
            Task::Down(_)
            | Task::Status(_)
            | Task::Commits(_)
            | Task::Completions(_)
            | Task::Complete(_)
            | Task::Answers(_)
            | Task::Tied(_) => false,
            Task::Sandbox(_)
            | Task::Mounts(_)
            | Task::Doctor(_)
            | Task::GpuSmoke(_)
            | Task::Image(_)
            | Task::Demo(_)
            | Task::Bench(_)
            | Task::Test(_)
            | Task::Devcontainer
            | Task::Ci(_)
            | Task::Fuzz(_) => true,
        }
    }

    /// The flags from which the workspace of the task follows; `None` where the task starts no program.
    pub(crate) fn flags(&self) -> Option<Flags> {
        Some(match self {
            Task::Sandbox(args) => args.flags.clone(),
            Task::Mounts(args) | Task::Doctor(args) | Task::Status(args) => args.flags.clone(),
            Task::Down(args) => args.flags.clone(),
            Task::Commits(args) => args.flags.clone(),
            Task::GpuSmoke(args) => args.project.clone().into(),
            Task::Image(args) => args.flags(),
            Task::Demo(args) => args.flags(),
            Task::Bench(args) => args.flags(),
            Task::Test(_) | Task::Devcontainer | Task::Ci(_) | Task::Fuzz(_) => Flags::default(),
            Task::Completions(_) | Task::Complete(_) | Task::Answers(_) | Task::Tied(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests;
