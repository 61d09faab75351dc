//! `cargo xtask demo`: the whole main path on whatever machine there is, with a stand-in for each thing that it lacks.
//!
//! Nothing of it is a mock: the image, the mounts, the proof and Codex are the real ones. What stands in is named first.

mod clean;
mod data;
mod ground;
mod look;
mod report;
mod session;
mod stand_ins;

use crate::codex::pinned;
use crate::context::Context;
use crate::engine::provide;
use crate::error::{failed, usage};
use crate::image::build;
use crate::life::{self, Asked, Program};
use crate::spec::settings::{self, Flags, ProjectFlags};
use crate::step::Step;
use crate::user::User;
use crate::{exec, network, ui};
use anyhow::{Context as _, Result};
use ground::{DemoGround, MadeByDemo};
use stand_ins::StandIns;
use std::path::PathBuf;
use std::time::Instant;

/// Something for Codex to work on.
const EXAMPLE: &str = include_str!("../../../workspace/example.py");

/// The main path on any machine: what it lacks has a stand-in, named first
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Enter without asking
    #[arg(long)]
    yes: bool,
    /// Install and start what is missing without asking (Debian, Ubuntu)
    #[arg(long)]
    install_engine: bool,
    /// Use the CPU base image; implies --gpus none
    #[arg(long)]
    cpu: bool,
    /// Remove all that the demo made
    #[arg(long, conflicts_with_all = ["install_engine", "cpu"])]
    clean: bool,
}

impl Args {
    /// The flags that stand above the settings.
    pub(crate) fn flags(&self) -> Flags {
        ProjectFlags { cpu: self.cpu, ..ProjectFlags::default() }.into()
    }
}

/// Runs the task.
///
/// # Errors
/// Nothing may be installed (exit code 3), or a part of the main path fails.
pub fn run(cx: &Context, args: &Args) -> Result<u8> {
    let ground = DemoGround::of(cx);
    if args.clean {
        return clean::run(cx, &ground);
    }
    if !args.yes && !cx.stdin_tty {
        return Err(usage("`demo` enters a sandbox, and standard input is no terminal").hint("add `--yes`").into());
    }
    let began = Instant::now();
    let settings = settings::load(cx, &args.flags())?;
    let mut lacks = provide::look(cx, &[])?;
    let facts = look::facts(cx, &ground, args.cpu, &settings, &lacks)?;
    ui::say("demo: the main path; what this machine lacks has a stand-in");
    ui::say(facts.table(&ground.short(cx, &ground.codex), &ground.short(cx, &ground.data)));
    let own = ground.flags(facts.no_gpu.is_some(), facts.dataset.clone(), facts.codex.clone());
    lacks.programs = provide::missing(cx, &look::programs(cx, &ground, &own, &facts)?);
    let mut record = ground.read();
    let provided = stage(1, "engine and programs", || provide::provide(cx, &lacks, args.install_engine))?;
    record.provided(&provided);
    ground.write(&record)?;
    let tag = stage(2, "the image", || ensure_image(cx, &ground, &own, &mut record))?;
    let codex = stage(3, "data, project and Codex", || lay_ready(cx, &ground, &facts, &tag))?;
    let own = Flags { codex, ..own };
    let outcome = stage(4, "the sandbox: start, prove, enter", || enter(cx, &ground, &own, args.yes, &facts))?;
    report::report(cx, &ground, &own, &facts, &record)?;
    ui::say(format_args!("demo: {:.1} s", began.elapsed().as_secs_f64()));
    Ok(outcome)
}

fn stage<T>(number: u8, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    ui::say(format_args!("\n[{number}/4] {what}"));
    work()
}

/// Builds the image where it is missing, and records what was made.
fn ensure_image(cx: &Context, ground: &DemoGround, own: &Flags, record: &mut MadeByDemo) -> Result<String> {
    let (settings, user) = (settings::load(cx, own)?, User::read());
    let state = build::state(cx, &settings, &user)?;
    if state.id.is_some() {
        ui::say("up to date");
        return Ok(state.inputs.tag());
    }
    if state.inputs.base_id.is_none() {
        // Before it is made: an interrupted demo is cleaned up too.
        record.image(&state.inputs.base);
        ground.write(record)?;
        ui::say("about two minutes, once");
    }
    let tag = build::ensure(cx, &settings, &user, &state)?.inputs.tag();
    record.image(&tag);
    ground.write(record)?;
    Ok(tag)
}

/// Lays ready what the sandbox mounts. Returns the Codex to use.
fn lay_ready(cx: &Context, ground: &DemoGround, facts: &StandIns, tag: &str) -> Result<Option<PathBuf>> {
    let user = User::read();
    exec::create_dir(&ground.project, 0o755)?;
    if !ground.project.join("example.py").exists() {
        exec::write_file(&ground.project.join("example.py"), EXAMPLE.as_bytes(), 0o644)?;
    }
    if facts.dataset.is_none() && !ground.data.exists() {
        let half = ground.data.with_extension("half");
        exec::all(&[Step::Remove { path: half.clone() }])?;
        exec::all(&data::steps(&half, tag, user.uid, user.gid))?;
        std::fs::rename(&half, &ground.data).context("cannot put the data set in its place")?;
    }
    if facts.scripted() {
        exec::create_dir(&ground.codex_home, 0o700)?;
        exec::write_file(&ground.codex_home.join("config.toml"), session::config().as_bytes(), 0o600)?;
        exec::all(&[Step::Remove { path: ground.project.join(session::FILE) }])?;
    }
    match &facts.codex {
        Some(own) => Ok(Some(own.clone())),
        None => pinned::ensure(&ground.codex, network::read(cx).ca.as_deref()).map(Some),
    }
}

/// Enters: the user's own Codex, or the real Codex with scripted replies. Returns Codex's own exit code.
fn enter(cx: &Context, ground: &DemoGround, own: &Flags, yes: bool, facts: &StandIns) -> Result<u8> {
    let cx = ground.context(cx, facts.scripted());
    let yes = yes || facts.scripted();
    let sandbox = |args| {
        let (flags, program) = (own.clone(), Program::Codex(args));
        life::sandbox(&cx, &Asked { flags, program, yes, dry_run: false })
    };
    if !facts.scripted() {
        return sandbox(Vec::new());
    }
    let code = sandbox(vec!["--version".to_owned()])?;
    if code != 0 {
        return Ok(code);
    }
    let container = ground.container(&cx);
    let said = exec::capture(&session::serve(&container))?;
    if !said.ok() {
        return Err(failed(format!("the stand-in for the model did not start: {}", said.stderr.trim())).into());
    }
    ui::say(
        "\nthe same again, for a session. Its replies are SCRIPTED, no model is asked; commands and output are real",
    );
    let code = sandbox(session::args())?;
    if code == 0 {
        report::seen(ground, own)?;
    }
    Ok(code)
}
