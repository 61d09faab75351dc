//! `cargo xtask demo`: the whole main path on whatever machine there is, with a stand-in for each thing that it lacks.
//!
//! Nothing of it is a mock: the image, the mounts, the proof and Codex are the real ones. What stands in is named first.

mod clean;
mod data;
mod ground;
mod session;
mod stand_ins;

use crate::cli::Flags;
use crate::context::Context;
use crate::error::{failed, usage};
use crate::exec;
use crate::host::codex::{self, pinned};
use crate::host::engine::{self, Engine};
use crate::host::gpu;
use crate::host::network;
use crate::host::user::User;
use crate::image::base;
use crate::sandbox::promise::Gpus;
use crate::sandbox::proof::Verdict;
use crate::sandbox::settings::{self, Settings};
use crate::sandbox::{compose, places};
use crate::step::{Command, Step};
use crate::tasks::provide::{self, Consent, Found};
use crate::tasks::{image, sandbox};
use crate::ui;
use anyhow::{Context as _, Result};
use ground::{Ground, Record};
use serde_json::Value;
use stand_ins::Facts;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Something for Codex to work on.
const EXAMPLE: &str = include_str!("../../../workspace/example.py");

/// Runs the task.
///
/// # Errors
/// Nothing may be installed (exit code 3), or a part of the main path fails.
pub fn run(cx: &Context, flags: &Flags, install: bool, clean: bool) -> Result<u8> {
    let ground = Ground::of(cx);
    if clean {
        return clean::run(cx, &ground);
    }
    if !flags.yes && !cx.stdin_tty {
        return Err(usage("`demo` enters a sandbox, and standard input is no terminal")
            .hint("add `--yes`")
            .into());
    }
    let began = Instant::now();
    let settings = settings::load(cx, flags)?;
    let mut found = provide::look(cx, &[])?;
    let facts = facts(cx, flags, &settings, &found)?;
    ui::say("demo: the main path; what this machine lacks has a stand-in");
    ui::say(facts.table(&tilde(cx, &ground.codex), &tilde(cx, &ground.data)));
    let own = ground.flags(facts.no_gpu.is_some(), facts.dataset.clone(), facts.codex.clone());
    found.lacks.programs = provide::missing(cx, &programs(cx, &ground, &own, &facts)?);
    let mut record = ground.read();
    let provided = stage(1, "engine and programs", || {
        provide::provide(cx, &found, Consent::of(cx, install))
    })?;
    record.provided(&provided);
    ground.write(&record)?;
    let tag = stage(2, "the image", || ensure_image(cx, &ground, &own, &mut record))?;
    let codex = stage(3, "data, project and Codex", || lay_ready(cx, &ground, &facts, &tag))?;
    let own = Flags { codex, ..own };
    let outcome = stage(4, "the sandbox: start, prove, enter", || {
        enter(cx, &ground, &own, &facts)
    })?;
    report(cx, &ground, &own, &facts, &record)?;
    ui::say(format_args!("demo: {:.1} s", began.elapsed().as_secs_f64()));
    Ok(outcome)
}

fn stage<T>(number: u8, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    ui::say(format_args!("\n[{number}/4] {what}"));
    work()
}

fn tilde(cx: &Context, path: &Path) -> String {
    match (path.strip_prefix(&cx.root), path.strip_prefix(&cx.home)) {
        (Ok(rest), _) => rest.display().to_string(),
        (_, Ok(rest)) => format!("~/{}", rest.display()),
        _ => path.display().to_string(),
    }
}

fn facts(cx: &Context, flags: &Flags, settings: &Settings, found: &Found) -> Result<Facts> {
    let engine = match found.silent {
        None => engine::read(cx)?,
        Some(_) => Engine::default(),
    };
    if found.is_ready() {
        engine::refuse(&engine)?;
    }
    let dataset = settings.datasets.iter().find(|dataset| dataset.name == "ssv2");
    let login = settings.host_codex_home.join("auth.json");
    let no_login = match (login.is_file(), cx.stdin_tty) {
        (true, true) => None,
        (true, false) => Some("standard input is no terminal".to_owned()),
        (false, _) => Some(format!("there is no login at `{}`", tilde(cx, &login))),
    };
    Ok(Facts {
        no_engine: found.silent.clone(),
        no_gpu: no_gpu(cx, flags, settings, &engine),
        base: settings.base.clone().unwrap_or_default(),
        dataset: dataset.and_then(|dataset| dataset.source.clone()),
        codex: codex::find(cx, settings.codex.as_deref()).ok(),
        no_login,
    })
}

/// Why NVIDIA's image cannot serve here.
fn no_gpu(cx: &Context, flags: &Flags, settings: &Settings, engine: &Engine) -> Option<String> {
    let Some(reference) = settings.base.as_deref().filter(|_| !flags.cpu) else {
        return Some("`--cpu` was given".to_owned());
    };
    if settings.gpus == Gpus::None {
        return Some("the settings say `gpus: none`".to_owned());
    }
    let facts = gpu::read(engine, cx.var("PATH"));
    if facts.gpus.is_empty() && !facts.cdi_spec {
        let why = facts.silent.unwrap_or_else(|| "`nvidia-smi` lists none".to_owned());
        return Some(format!("no GPU: {why}"));
    }
    if let Err(failure) = gpu::route(&settings.gpus, engine, &facts) {
        return Some(failure.message);
    }
    if let Some(misfit) = base::misfits(reference, &settings.arch_list, &facts).into_iter().next() {
        return Some(misfit);
    }
    let has = |args: &[&str]| {
        let query = Command::new("docker").args(args.iter().copied()).arg(reference);
        exec::capture(&query).is_ok_and(|said| said.ok())
    };
    let there = has(&["image", "inspect", "--format", "{{.ID}}"]) || has(&["manifest", "inspect"]);
    (!there).then(|| format!("`{reference}` cannot be had from here"))
}

/// The programs that the demo needs here.
fn programs(cx: &Context, ground: &Ground, own: &Flags, facts: &Facts) -> Result<Vec<&'static str>> {
    let mut programs = Vec::new();
    if own.cpu && (facts.no_engine.is_some() || needs_base(cx, own)?) {
        programs.push("mmdebstrap");
        if User::read().uid != 0 {
            // mmdebstrap acts as root in a user namespace then.
            programs.push("newuidmap");
        }
    }
    if facts.codex.is_none() && !pinned::bin(&ground.codex).join("codex").is_file() {
        programs.push("npm");
    }
    Ok(programs)
}

fn needs_base(cx: &Context, own: &Flags) -> Result<bool> {
    let state = image::state(cx, &settings::load(cx, own)?, &User::read())?;
    Ok(state.id.is_none() && state.inputs.base_id.is_none())
}

/// Builds the image where it is missing, and records what was made.
fn ensure_image(cx: &Context, ground: &Ground, own: &Flags, record: &mut Record) -> Result<String> {
    let (settings, user) = (settings::load(cx, own)?, User::read());
    let state = image::state(cx, &settings, &user)?;
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
    let (tag, _) = image::ensure(cx, &settings, &user, &state)?;
    record.image(&tag);
    ground.write(record)?;
    Ok(tag)
}

/// Lays ready what the sandbox mounts. Returns the Codex to use.
fn lay_ready(cx: &Context, ground: &Ground, facts: &Facts, tag: &str) -> Result<Option<PathBuf>> {
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
        exec::write_file(
            &ground.codex_home.join("config.toml"),
            session::config().as_bytes(),
            0o600,
        )?;
        exec::all(&[Step::Remove {
            path: ground.project.join(session::FILE),
        }])?;
    }
    match &facts.codex {
        Some(own) => Ok(Some(own.clone())),
        None => pinned::ensure(&ground.codex, network::read(cx).ca.as_deref()).map(Some),
    }
}

/// Enters: the user's own Codex, or the real Codex with scripted replies. Returns Codex's own exit code.
fn enter(cx: &Context, ground: &Ground, own: &Flags, facts: &Facts) -> Result<u8> {
    let cx = ground.context(cx, facts.scripted());
    if !facts.scripted() {
        return sandbox::run(&cx, own, false, &[]);
    }
    let code = sandbox::run(&cx, own, false, &["--version".to_owned()])?;
    if code != 0 {
        return Ok(code);
    }
    let container = container(&cx, ground);
    let said = exec::capture(&session::serve(&container))?;
    if !said.ok() {
        return Err(failed(format!(
            "the stand-in for the model did not start: {}",
            said.stderr.trim()
        ))
        .into());
    }
    ui::say(
        "\nthe same again, for a session. Its replies are SCRIPTED, no model is asked; commands and output are real",
    );
    let code = sandbox::run(&cx, own, false, &session::args())?;
    if code == 0 {
        seen(ground, own)?;
    }
    Ok(code)
}

fn container(cx: &Context, ground: &Ground) -> String {
    let workspace = ground.project.canonicalize().unwrap_or_else(|_| ground.project.clone());
    compose::container_name(&places::of(cx, &workspace, User::read().uid).project)
}

/// What the session did and did not do, seen from the host.
fn seen(ground: &Ground, own: &Flags) -> Result<()> {
    let file = ground.project.join(session::FILE);
    let meta = std::fs::symlink_metadata(&file).map_err(|err| {
        failed(format!(
            "the session ended well, and `{}` is not there: {err}",
            file.display()
        ))
    })?;
    let uid = User::read().uid;
    if meta.uid() != uid {
        return Err(failed(format!(
            "`{}` belongs to {}, not to you ({uid})",
            file.display(),
            meta.uid()
        ))
        .into());
    }
    for (_, dir) in &own.datasets {
        if dir.join(session::FORBIDDEN).symlink_metadata().is_ok() {
            return Err(failed(format!("the session wrote into the data set `{}`", dir.display())).into());
        }
    }
    ui::say("seen from here: its file belongs to you, and the data set is as it was");
    Ok(())
}

/// The whole proof, what was made where, how to remove it, and what comes next.
fn report(cx: &Context, ground: &Ground, own: &Flags, facts: &Facts, record: &Record) -> Result<()> {
    let demo = ground.context(cx, facts.scripted());
    let proof = places::of(&demo, &ground.project.canonicalize()?, User::read().uid).proof;
    let text = std::fs::read(&proof).with_context(|| format!("cannot read `{}`", proof.display()))?;
    let proof: Value = serde_json::from_slice(&text).context("the proof is not JSON")?;
    ui::say("");
    ui::result(proof_table(&proof).trim_end());
    let mut rows = vec![
        vec!["  container".into(), format!("{} (running)", container(&demo, ground))],
        vec!["  project".into(), tilde(cx, &ground.project)],
    ];
    if facts.dataset.is_none() {
        rows.push(vec!["  data set".into(), tilde(cx, &ground.data)]);
    }
    rows.push(vec!["  its Codex home".into(), tilde(cx, &ground.state)]);
    if own
        .codex
        .as_deref()
        .is_some_and(|codex| codex.starts_with(&ground.codex))
    {
        rows.push(vec!["  Codex".into(), tilde(cx, &ground.codex)]);
    }
    rows.extend(record.images.iter().map(|image| vec!["  image".into(), image.clone()]));
    if !record.packages.is_empty() {
        rows.push(vec!["  packages".into(), record.packages.join(" ")]);
    }
    ui::say("\nmade by the demo:");
    ui::say(ui::columns(&rows).trim_end());
    ui::say("remove all of it:\n  cargo xtask demo --clean");
    ui::say(
        "on a machine with a GPU:\n  cargo xtask doctor\n  cargo xtask gpu-smoke\n  cargo xtask sandbox --dataset ssv2=/data/ssv2",
    );
    Ok(())
}

/// Every claim of a saved proof in one line. Pure.
fn proof_table(proof: &Value) -> String {
    let claims = proof["claims"].as_array().into_iter().flatten();
    let text = |claim: &Value, key: &str| claim[key].as_str().map(ui::printable);
    let mut held = 0;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for claim in claims {
        let verdict = text(claim, "verdict").unwrap_or_default();
        held += usize::from(verdict == Verdict::Held.to_string());
        let why = text(claim, "why").or_else(|| text(claim, "promise"));
        rows.push(vec![
            verdict,
            text(claim, "id").unwrap_or_default(),
            why.unwrap_or_default(),
        ]);
    }
    format!("{}{held} of {} promises hold\n", ui::columns(&rows), rows.len())
}
