//! The tasks behind `cargo xtask`: a GPU sandbox for the Codex CLI that proves what it promises.
//!
//! ARCHITECTURE.md has the map of the folders and the order of the layers.

pub mod beneath;
pub mod cli;
pub mod codex;
pub mod context;
pub mod demo;
pub mod dev;
pub mod distro;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod exec;
pub mod fingerprint;
pub mod git;
pub mod gpu;
pub mod gpu_smoke;
pub mod image;
pub mod life;
pub mod network;
pub mod proof;
pub mod smoke;
pub mod spec;
pub mod step;
pub mod tasks;
pub mod ui;
pub mod user;

use anyhow::Result;
use cli::{Flags, Task};
use context::Context;
use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cx = Context::read();
    if let Ok(cx) = &cx {
        ui::dress(cx);
    }
    match cli::parse(std::env::args_os()) {
        Err(err) if err.use_stderr() => {
            ui::say(err.to_string().trim_end());
            ExitCode::from(error::Kind::Usage.code())
        }
        Err(help) => {
            ui::result(help.to_string().trim_end());
            ExitCode::SUCCESS
        }
        Ok(parsed) => {
            parsed.and_then(|(task, flags)| dispatch(&outside_workspace(cx?, &task, &flags), task, &flags)).map_or_else(
                |err| {
                    ui::say(error::render(&err).trim_end());
                    ExitCode::from(error::exit_code(&err))
                },
                ExitCode::from,
            )
        }
    }
}

/// An agent writes in the workspace: no program is taken from there, whatever `PATH` says.
fn outside_workspace(mut cx: Context, task: &Task, flags: &Flags) -> Context {
    if matches!(task, Task::Completions { .. } | Task::Complete { .. }) {
        return cx;
    }
    let Ok((settings, _)) = spec::settings::load_what_is_right(&cx, flags) else {
        return cx;
    };
    let (path, left_out) = cx.path_outside(&settings.workspace);
    // The workspace `/` is refused by all that would use it.
    if settings.workspace.parent().is_some() && !left_out.is_empty() {
        let dirs: Vec<_> = left_out.iter().map(|dir| dir.display().to_string()).collect();
        ui::warn(format_args!("`{}` is left out of PATH: the agent writes there", dirs.join("`, `")));
        exec::search(&path);
        cx.env.insert("PATH".into(), path);
    }
    cx
}

fn dispatch(cx: &Context, task: Task, flags: &Flags) -> Result<u8> {
    match task {
        Task::Sandbox { shell, args } => life::run(cx, flags, shell, &args),
        Task::Image { check, pull, no_cache } => {
            image::build::run(cx, flags, check, image::plan::Wishes { pull, no_cache })
        }
        Task::GpuSmoke(wish) => gpu_smoke::run(cx, flags, &wish),
        Task::Mounts => tasks::mounts::run(cx, flags),
        Task::Doctor => doctor::gather::run(cx, flags),
        Task::Status => life::status::run(cx, flags),
        Task::Down { all, caches } => life::down::run(cx, flags, life::down::Wishes { all, caches }),
        Task::Commits { take } => tasks::commits::run(cx, flags, take),
        Task::Test { tier, install } => dev::test::run(cx, tier, install),
        Task::Ci { install } => dev::ci::run(cx, install),
        Task::Demo { install, clean } => demo::run(cx, flags, install, clean),
        Task::Devcontainer => tasks::devcontainer::run(cx),
        Task::Completions { shell } => tasks::completions::script(cx, &shell),
        Task::Complete { line } => tasks::completions::answer(cx, &line),
        Task::Bench { rows, pairs } => dev::bench::run(cx, flags, &rows, pairs),
    }
}
