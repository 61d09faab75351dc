//! The demo: the whole main path on any machine, with a stand-in for each thing that the machine lacks.
//!
//! Nothing in it is a mock: the image, the mounts, the proof and Codex are the real ones. Its first lines name what stands
//! in for something else.

mod clean;
mod data;
mod ground;
mod look;
mod report;
mod session;
mod stand_ins;

use crate::codex::pinned;
use crate::context::Context;
use crate::engine::alive::Alive;
use crate::engine::docker::Entrance;
use crate::engine::provide;
use crate::error::failed;
use crate::image::build;
use crate::life::{self, Asked, Program};
use crate::spec::places;
use crate::spec::settings::{self, Flags};
use crate::step::Step;
use crate::user::User;
use crate::{exec, network, ui};
use anyhow::{Context as _, Result};
pub(crate) use clean::clean;
use ground::{DemoGround, MadeByDemo};
use stand_ins::StandIns;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

/// The file in the demo's project for Codex to work on.
const EXAMPLE: &str = include_str!("../../../workspace/example.py");

/// Goes the main path, and returns Codex's own exit code.
///
/// # Errors
/// Nothing may be installed (exit code 3), or a part of the main path fails.
pub(crate) fn demo(cx: &Context, flags: &Flags, yes: bool, install: bool) -> Result<u8> {
    let began = Instant::now();
    let ground = DemoGround::of(cx);
    let mut lacks = provide::look(cx, &[])?;
    let facts = look::facts(cx, &ground, flags, &lacks)?;
    ui::say("demo: the main path; what this machine lacks has a stand-in");
    ui::say(facts.table(&ground.short(cx, &ground.codex), &ground.short(cx, &ground.data)));
    let own = ground.flags(facts.no_gpu.is_some(), facts.dataset.clone(), facts.codex.clone());
    lacks.programs = provide::missing(cx, &look::programs(cx, &ground, &own, &facts)?);
    let mut record = ground.read();
    let provided = stage(1, "engine and programs", || provide::provide(cx, &lacks, install))?;
    record.provided(&provided);
    ground.write(&record)?;
    let tag = stage(2, "the image", || ensure_image(cx, &ground, &own, &mut record))?;
    let codex = stage(3, "data, project and Codex", || make_sources(cx, &ground, &facts, &tag))?;
    let own = Flags { codex: Some(codex), ..own };
    let code = stage(4, "the sandbox: start, prove, enter", || enter(cx, &ground, &own, yes, &facts))?;
    report::report(cx, &ground, &own, &record)?;
    ui::say(format_args!("demo: {:.1} s", began.elapsed().as_secs_f64()));
    Ok(code)
}

/// The project of the demo's sandbox.
pub(crate) fn project(cx: &Context) -> PathBuf {
    DemoGround::of(cx).project
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
        // The base is recorded before it is made, so that an interrupted demo can be cleaned up too.
        record.image(&state.inputs.base);
        ground.write(record)?;
        ui::say("about two minutes, once");
    }
    let tag = build::ensure(cx, &settings, &user, &state)?.inputs.tag();
    record.image(&tag);
    ground.write(record)?;
    Ok(tag)
}

/// Makes what the sandbox mounts, and returns the Codex to use.
fn make_sources(cx: &Context, ground: &DemoGround, facts: &StandIns, tag: &str) -> Result<PathBuf> {
    let user = User::read();
    exec::create_dir(&ground.project, 0o755)?;
    let example = ground.project.join("example.py");
    if !example.exists() {
        exec::write_file(&example, EXAMPLE.as_bytes(), 0o644)?;
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
        Some(own) => Ok(own.clone()),
        None => pinned::ensure(&ground.codex, network::read(cx).ca.as_deref()),
    }
}

/// Enters Codex with the user's login, or else the real Codex with scripted replies. Returns Codex's own exit code.
fn enter(cx: &Context, ground: &DemoGround, own: &Flags, yes: bool, facts: &StandIns) -> Result<u8> {
    let cx = ground.context(cx, facts.scripted());
    let yes = yes || facts.scripted();
    let sandbox = |args, beside| {
        life::sandbox(
            &cx,
            &Asked {
                flags: own.clone(),
                program: Program::Codex(args),
                yes,
                leftovers: None,
                on_change: None,
                dry_run: false,
                beside,
            },
            None,
        )
    };
    if !facts.scripted() {
        return sandbox(Vec::new(), BTreeSet::new());
    }
    let code = sandbox(vec!["--version".to_owned()], BTreeSet::new())?;
    if code != 0 {
        return Ok(code);
    }
    let name = ground.container(&cx);
    let there = life::find(&name)?.ok_or_else(|| failed(format!("the container `{name}` is gone")))?;
    let (spec, container) = (there.spec.map_err(failed)?, there.container);
    let places = places::of(&cx, &ground.project, User::read().uid);
    // What this demo runs beside Codex is no leftover of a session.
    let mut model = life::Session::begin(&places, &crate::nonce::nonce()?, Some(&Alive::read(&container)?))?;
    let said = exec::capture(&session::serve(Entrance::new(&name, spec.denials())))?;
    model.note_background(&Alive::read(&container)?);
    if !said.ok() {
        return Err(failed(format!("the stand-in for the model did not start: {}", said.stderr.trim())).into());
    }
    ui::say(
        "\nthe same again, for a session. Its replies are SCRIPTED, no model is asked; commands and output are real",
    );
    let code = sandbox(session::args(), model.started())?;
    model.end(&container)?;
    if code == 0 {
        report::seen(ground, own)?;
    }
    Ok(code)
}
