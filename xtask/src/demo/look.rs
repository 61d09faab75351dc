//! Finds out what this machine has of what the main path needs. Changes nothing.

use super::ground::DemoGround;
use super::stand_ins::StandIns;
use crate::codex::login::{self, HostCodex, HostLogin};
use crate::codex::{self, pinned};
use crate::context::Context;
use crate::engine::install::Lacks;
use crate::engine::{self, Engine, docker};
use crate::image::{base, build};
use crate::spec::settings::{self, Flags, Settings};
use crate::spec::words::Gpus;
use crate::user::User;
use crate::{exec, gpu};
use anyhow::Result;

/// Reads the facts.
///
/// # Errors
/// The engine that answers cannot keep a sandbox's promises (exit code 3).
pub(super) fn facts(cx: &Context, ground: &DemoGround, flags: &Flags, lacks: &Lacks) -> Result<StandIns> {
    let settings = settings::load(cx, flags)?;
    let engine = match lacks.silent {
        None => engine::read(cx)?,
        Some(_) => Engine::default(),
    };
    if lacks.is_empty() {
        engine::refuse(&engine)?;
    }
    let dataset = settings.datasets.iter().find(|dataset| dataset.name == "ssv2");
    let file = settings.host_codex_home.join("auth.json");
    let has_login = match login::of_host(&HostCodex::new(&settings.host_codex_home)) {
        HostLogin::ChatGpt | HostLogin::ApiKey | HostLogin::Keyring | HostLogin::Odd => true,
        HostLogin::Barred | HostLogin::None => false,
    };
    let no_login = match (has_login, cx.stdin_tty) {
        (true, true) => None,
        (true, false) => Some("standard input is no terminal".to_owned()),
        (false, _) => Some(format!("there is no login at `{}`", ground.short(cx, &file))),
    };
    Ok(StandIns {
        no_engine: lacks.silent.clone(),
        no_gpu: no_gpu(cx, flags.project.cpu, &settings, &engine),
        base: settings.base.clone().unwrap_or_default(),
        dataset: dataset.and_then(|dataset| dataset.source.clone()),
        codex: codex::find(cx, settings.codex.as_deref()).ok(),
        no_login,
    })
}

/// Why NVIDIA's image cannot be used here.
fn no_gpu(cx: &Context, cpu: bool, settings: &Settings, engine: &Engine) -> Option<String> {
    if cpu {
        return Some("`--cpu` was given".to_owned());
    }
    let Some(reference) = settings.base.as_deref() else {
        return Some("the settings say `base: cpu`".to_owned());
    };
    if settings.shape.gpus == Gpus::None {
        return Some("the settings say `gpus: none`".to_owned());
    }
    let facts = gpu::read(engine, cx.var("PATH"));
    if !facts.may_have_gpus() {
        let why = facts.silent.unwrap_or_else(|| "`nvidia-smi` lists none".to_owned());
        return Some(format!("no GPU: {why}"));
    }
    if let Err(failure) = gpu::route(&settings.shape.gpus, engine, &facts) {
        return Some(failure.message);
    }
    if let Some(misfit) = base::misfits(reference, &settings.arch_list, &facts).into_iter().next() {
        return Some(misfit);
    }
    let has = |query| exec::capture(&query).is_ok_and(|said| said.ok());
    let there = has(docker::image("{{.ID}}", reference)) || has(docker::manifest(reference));
    (!there).then(|| format!("`{reference}` is not on this machine, and its registry does not offer it"))
}

/// The programs that the demo starts on this host.
pub(super) fn programs(cx: &Context, ground: &DemoGround, own: &Flags, facts: &StandIns) -> Result<Vec<&'static str>> {
    // A project that is a repository gets a git directory of its own.
    let mut programs = vec!["git"];
    if own.project.cpu && (facts.no_engine.is_some() || needs_base(cx, own)?) {
        programs.push("mmdebstrap");
        if User::read().uid != 0 {
            // As an ordinary user, mmdebstrap acts as root in a user namespace.
            programs.push("newuidmap");
        }
    }
    if facts.codex.is_none() && !pinned::bin(&ground.codex).join("codex").is_file() {
        programs.push("npm");
    }
    Ok(programs)
}

fn needs_base(cx: &Context, own: &Flags) -> Result<bool> {
    let state = build::state(cx, &settings::load(cx, own)?, &User::read())?;
    Ok(state.id.is_none() && state.inputs.base_id.is_none())
}
