//! The tasks behind `cargo xtask`: a GPU sandbox for the Codex CLI that proves what it promises.
//!
//! ARCHITECTURE.md has the map of the folders and the order of the layers.

pub(crate) mod answers;
pub(crate) mod beneath;
pub mod cli;
pub(crate) mod clock;
pub mod codex;
pub(crate) mod complete;
pub mod context;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod distro;
pub(crate) mod doctor;
pub(crate) mod engine;
pub mod error;
pub(crate) mod exec;
pub(crate) mod exposed;
pub(crate) mod file_systems;
pub(crate) mod finding;
pub mod fingerprint;
pub(crate) mod git;
pub(crate) mod gpu;
pub(crate) mod gpu_smoke;
pub(crate) mod image;
pub(crate) mod inherited;
pub(crate) mod kept_path;
pub mod life;
pub(crate) mod mountinfo;
pub(crate) mod network;
pub(crate) mod nonce;
pub(crate) mod obeyed;
pub(crate) mod ours;
pub(crate) mod outside;
pub(crate) mod proof;
pub(crate) mod scratch;
pub(crate) mod second_name;
pub(crate) mod signals;
pub mod smoke;
pub mod spec;
pub(crate) mod step;
pub(crate) mod tasks;
pub(crate) mod text;
pub(crate) mod ui;
pub(crate) mod user;

use answers::{Asked, What};
use anyhow::Context as _;
use cli::Task;
use context::Context;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let taken = signals::take(|why| {
        exec::end_all();
        ui::say(format_args!("error: {why}"));
    });
    let taken = taken.and_then(|()| answers::watch(end_stuck).context("cannot start a thread"));
    let parsed = cli::parse(std::env::args_os());
    // It reads nothing of its surroundings, because these may be what hangs.
    if let Ok(Task::Answers(args)) = &parsed {
        tasks::answers::run(args);
        return ExitCode::SUCCESS;
    }
    answers::by_this_program(exec::until);
    exec::tie_by_this_program();
    let cx = taken.and_then(|()| surroundings());
    if let Ok(cx) = &cx {
        ui::dress(cx);
    }
    match parsed {
        Err(err) if err.use_stderr() => {
            ui::say(err.to_string().trim_end());
            ExitCode::from(error::Kind::Usage.code())
        }
        Err(help) => {
            ui::result(help.to_string().trim_end());
            ExitCode::SUCCESS
        }
        // It becomes another program, whose surroundings are that one's business.
        Ok(Task::Tied(args)) => ended(tasks::tied::run(&args)),
        Ok(task) => ended(cx.and_then(|cx| run(cx, &task))),
    }
}

/// Reads the surroundings, once what they are read from has answered.
fn surroundings() -> anyhow::Result<Context> {
    let asked =
        context::read_first().into_iter().map(|(named, path)| Asked { what: What::Other, named: named.into(), path });
    answers::demand(&asked.collect::<Vec<_>>())?;
    Context::read()
}

/// The exit code of a task; where it failed, why is said.
fn ended(result: anyhow::Result<u8>) -> ExitCode {
    result.map_or_else(
        |err| {
            // Whatever an error says that came of a signal: it was the signal.
            let err = match signals::asked() {
                true => error::interrupted("interrupted").into(),
                false => waited(error::of_the_disk(engine::errors::explained(err, engine::pulse::answers))),
            };
            ui::say(error::render(&err).trim_end());
            ExitCode::from(error::exit_code(&err))
        },
        ExitCode::from,
    )
}

/// The error of a query that was not answered in time: its program may have waited for a file system that does not answer either.
fn waited(err: anyhow::Error) -> anyhow::Error {
    let failure = error::flatten(&err);
    if !engine::errors::is_late(&failure.message) {
        return err;
    }
    let Some(silent) = answers::anywhere().into_iter().next() else { return err };
    let message = format!("{}; it may wait for {}", failure.message, silent.why.message);
    error::host(message).remedies(silent.why.remedies.into_iter().chain(failure.remedies)).into()
}

/// A file system does not answer any more, and this call waits for it.
fn end_stuck(why: &error::Failure, code: Option<u8>) {
    signals::end_stuck(code.unwrap_or(why.kind.code()), || {
        exec::end_all();
        ui::say(error::render(&why.clone().into()).trim_end());
    })
}

/// A fuzz target by its name: it panics on an input that is read wrongly. Only the fuzzer's own build has it.
#[cfg(fuzzing)]
pub fn fuzz(target: &str) -> Option<Box<dyn Fn(&[u8]) + Send + Sync>> {
    let target = spec::words::parse::<dev::fuzz::Target>(target)?;
    Some(Box::new(move |bytes| target.read(bytes)))
}

/// Runs a task. Where it fails because of a path, the error says who gave that path.
fn run(cx: Context, task: &Task) -> anyhow::Result<u8> {
    let flags = task.flags();
    let (workspace, given) = (task.workspace(&cx), task.given(&cx));
    if workspace.is_some() || !given.is_empty() {
        ours::name(workspace.as_deref(), cli::taking(), given);
    }
    if flags.is_some() {
        inherited::said(&cx).iter().for_each(ui::warn);
        codex::login::server_said(&cx).iter().for_each(ui::warn);
    }
    let settings = flags.as_ref().and_then(|flags| spec::settings::load_what_is_right(&cx, flags).ok());
    let Some((settings, _)) = settings else { return task.run(&cx, None) };
    if task.reads_git() && answers::found().is_empty() {
        git::ask_borrowed(&settings.workspace)?;
    }
    // A list that cannot be read is refused by every task that starts something.
    let exposed = if answers::found().is_empty() { life::exposed(&cx).ok() } else { None };
    let silent = answers::found();
    if !silent.is_empty() {
        return beside(&cx, task, &settings, &silent);
    }
    let cx = outside_workspace(cx, &settings, exposed.as_ref());
    refuse_inherited(&cx, &settings, exposed.as_ref(), &flags.unwrap_or_default().confirm, task.obeys_codex_home())?;
    task.run(&cx, exposed).map_err(|err| {
        let why = error::flatten(&err);
        match (why.kind, settings.givers(&why.message).as_slice()) {
            (error::Kind::Failed | error::Kind::Host | error::Kind::Interrupted, _) | (error::Kind::Usage, []) => err,
            (error::Kind::Usage, givers) => why.hint(givers.join("; ")).into(),
        }
    })
}

/// What a call needs does not answer: a container can still be removed.
fn beside(
    cx: &Context,
    task: &Task,
    settings: &spec::settings::Settings,
    silent: &[answers::Silent],
) -> anyhow::Result<u8> {
    if let Task::Down(args) = task
        && !args.is_dry_run()
    {
        life::down::beside(cx, settings, silent)?;
    }
    answers::first(silent.to_vec()).map(|()| 0)
}

/// Refuses to start anything while the environment names what an agent can write.
fn refuse_inherited(
    cx: &Context,
    settings: &spec::settings::Settings,
    exposed: Option<&exposed::Exposed>,
    confirm: &[PathBuf],
    obeys_codex_home: bool,
) -> anyhow::Result<()> {
    // The workspace `/` is refused by every task that uses it.
    let workspace = context::resolved(&settings.workspace);
    let dirs = exposed
        .into_iter()
        .flat_map(exposed::Exposed::paths)
        .chain(workspace.parent().is_some().then(|| workspace.clone()));
    let confirmed = confirm.iter().map(|path| cx.absolute(path));
    let home = &settings.host_codex_home;
    let may_be_written = match settings.shape.codex_home {
        // Who shares the Codex home hands it out by its name.
        spec::words::Mode::Shared => true,
        // What would be obeyed without the variable is obeyed with it.
        spec::words::Mode::Mirror | spec::words::Mode::None => !obeys_codex_home || *home == cx.home.join(".codex"),
    };
    let home = may_be_written.then(|| home.clone());
    let allowed = settings.allow_ground.iter().cloned().chain(confirmed.filter(|path| *path != workspace)).collect();
    let grounds = inherited::Grounds { dirs: dirs.collect(), exposed, allowed, home };
    inherited::refuse(cx, &grounds)?;
    let left_out = inherited::left_out(cx, &grounds);
    left_out.iter().map(inherited::left_out_line).for_each(ui::warn);
    let dirs = grounds.dirs.into_iter().filter(|dir| !grounds.allowed.contains(dir)).collect();
    exec::keep_out(left_out.into_iter().map(|(name, _)| name).collect(), dirs);
    Ok(())
}

/// Removes the directories of the workspace, and of everything else that a sandbox can write, from PATH, because an agent
/// can write programs there.
fn outside_workspace(
    mut cx: Context,
    settings: &spec::settings::Settings,
    exposed: Option<&exposed::Exposed>,
) -> Context {
    let mut dirs = exposed.map_or_else(Vec::new, exposed::Exposed::paths);
    dirs.push(settings.workspace.clone());
    let (path, left_out) = cx.path_outside(&dirs);
    // With the workspace `/` nothing would be left of PATH. Every task that uses the workspace refuses it.
    if settings.workspace.parent().is_some() && !left_out.is_empty() {
        let dirs: Vec<_> = left_out.iter().map(|dir| text::path(dir)).collect();
        let verb = if dirs.len() == 1 { "is" } else { "are" };
        ui::warn(format_args!("`{}` {verb} left out of PATH: the agent can write there", dirs.join("`, `")));
        exec::search(&path);
        cx.env.insert("PATH".into(), path);
    }
    cx
}
