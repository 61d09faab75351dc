//! The smoke test in the running sandbox, by the path that Codex is entered on.

use super::{Answer, Wish, architecture, ask, finish, no_gpu, now, request};
use crate::context::{Context, canonical};
use crate::engine::docker::{self, Terminal};
use crate::engine::{self, compose};
use crate::error::{failed, host};
use crate::life::{Signals, fill_guest, find, reap, trusted};
use crate::smoke::SmokeRequest;
use crate::smoke::show::RunFacts;
use crate::spec::inside::Role;
use crate::spec::settings::Settings;
use crate::spec::words::Gpus;
use crate::spec::{Spec, entering, places};
use crate::step::Command;
use crate::user::User;
use crate::{gpu, network, ui};
use anyhow::Result;
use std::collections::BTreeMap;

/// The engine gets this long beyond the script's own bound.
const START: u64 = 10;

/// Runs it.
///
/// # Errors
/// Nothing runs for this workspace (1), or as `one_shot::run`.
pub(crate) fn run(cx: &Context, settings: &Settings, wish: &Wish) -> Result<u8> {
    let workspace = canonical("the workspace", &settings.workspace)?;
    let places = places::of(cx, &workspace, User::read().uid);
    let container = compose::container_name(&places.project);
    let enter = "`cargo xtask sandbox` starts one";
    let running = find(&container)?
        .filter(|running| running.up)
        .ok_or_else(|| failed(format!("no sandbox runs for `{}`", workspace.display())).hint(enter))?;
    let record =
        trusted(&places, &running).map_err(|why| failed(why).hint("`cargo xtask down`, then `cargo xtask sandbox`"))?;
    let spec = &record.spec;
    let engine = engine::read(cx)?;
    let known = gpu::read(&engine, cx.var("PATH"));
    let arch = architecture(wish, settings, &known)?;
    let request = request(wish, arch, &spec.shape.gpus, &known, dataset(spec))?;
    let command = command(cx, settings, &running.id, &record.carried, &request);
    if wish.dry_run {
        ui::result(command);
        return Ok(0);
    }
    fill_guest(&places, &network::read(cx))?;
    let facts = RunFacts {
        image: spec.image.clone(),
        image_id: Some(running.container.image_id.clone()),
        image_digests: Vec::new(),
        engine: engine.version.clone(),
        container: Some(container),
        gpus: spec.shape.gpus.to_string(),
        driver: known.driver.clone(),
        time: now(),
        dataset: source(spec),
    };
    let no_gpu = (spec.shape.gpus == Gpus::None).then(|| {
        host("this sandbox was started without GPUs")
            .mend(no_gpu(&engine, &known).mend)
            .hint("a sandbox keeps what it was started with: `cargo xtask down` first")
    });
    let signals = Signals::catch()?;
    let answer = ask(&command, &request, &signals)?;
    if !matches!(answer.0, Answer::Report(_)) {
        // The engine leaves a program running whose client was ended.
        reap(&running.id, &request.nonce);
    }
    finish(cx, wish, &facts, &request, answer, no_gpu)
}

/// The command, with the environment that Codex gets and the mark by which what it leaves running is found.
fn command(
    cx: &Context,
    settings: &Settings,
    id: &str,
    carried: &BTreeMap<String, String>,
    request: &SmokeRequest,
) -> Command {
    let env = entering::environment(cx, &settings.env, carried, &request.nonce);
    docker::enter(id, Terminal { tty: false }, &env.shown, &env.named, &request.words())
        .timeout(request.seconds + START)
}

fn chosen(spec: &Spec) -> Option<&crate::spec::mount::Mount> {
    let sets = spec.mounts.iter().filter(|mount| matches!(mount.role, Role::Dataset(_)));
    sets.min_by_key(|mount| mount.role != Role::Dataset("ssv2".into()))
}

fn dataset(spec: &Spec) -> Option<String> {
    chosen(spec).map(|mount| mount.target.clone())
}

fn source(spec: &Spec) -> Option<String> {
    chosen(spec).map(|mount| mount.source.display().to_string())
}
