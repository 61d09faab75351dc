//! The smoke test in the running sandbox, started in the same way as Codex.

use super::{SmokeRun, Wish};
use crate::context::{Context, directory};
use crate::engine::alive::Alive;
use crate::engine::docker::{Entrance, Whose};
use crate::engine::{self, compose};
use crate::error::{failed, host};
use crate::life::{Entry, Session, exposed, fill_guest, find, reap, trusted};
use crate::signals::{self, Signals};
use crate::smoke::RunFacts;
use crate::spec::insider::Insider;
use crate::spec::settings::Settings;
use crate::spec::{Mount, Role, Spec, places};
use crate::user::User;
use crate::{gpu, network, ui};
use anyhow::Result;

/// The seconds that the engine gets beyond the script's own bound.
const START: u64 = 10;

/// Runs it.
///
/// # Errors
/// Nothing runs for this workspace (1), or as `one_shot::run`.
pub(crate) fn run(cx: &Context, settings: &Settings, wish: &Wish) -> Result<u8> {
    let workspace = directory("the workspace", &settings.workspace)?;
    let places = places::of(cx, &workspace, User::read().uid);
    let container = compose::container_name(&places.project);
    let running = find(&container)?.filter(|running| running.up).ok_or_else(|| {
        failed(format!("no sandbox runs for `{}`", workspace.display())).hint("`cargo xtask sandbox` starts one")
    })?;
    let record = trusted(&places, &running)?;
    let spec = &record.spec;
    let engine = engine::read(cx)?;
    let known = gpu::read(&engine, cx.var("PATH"));
    let mut run = SmokeRun::new(cx, wish, settings, &engine, &known, &spec.shape.gpus, dataset(spec))?;
    run.no_gpu = run.no_gpu.map(|why| {
        host("this sandbox was started without GPUs")
            .remedies(why.remedies)
            .hint("a sandbox keeps what it was started with: `cargo xtask down` first")
    });
    run.facts = RunFacts {
        image: spec.image.clone(),
        image_id: Some(running.container.image_id.clone()),
        container: Some(container),
        ..run.facts
    };
    // The environment is that of Codex; by the mark in it, what is left running is found.
    let nonce = run.request.nonce.clone();
    let entrance = Entrance::new(&running.id, spec.denials());
    let entry = Entry { entrance, carried: record.carried(), env: &settings.env };
    let who = Insider::apart(spec, crate::nonce::number()?);
    let command = entry.apart(cx, who, &nonce, &run.request.words()).timeout(run.request.seconds + START);
    if wish.dry_run {
        ui::result(command);
        return Ok(0);
    }
    fill_guest(&places, &network::read(cx), &exposed(cx)?, spec.denials())?;
    let signals = Signals::making();
    let look = || Alive::read(&running.container).ok();
    let mut session = Session::begin(&places, &nonce, look().as_ref())?;
    let answer = run.ask(&command, || {
        session.note(look);
        !signals.any()
    });
    if !matches!(answer, Ok((Ok(_), _))) {
        // The engine leaves a program running when only its client was ended.
        signals::honour();
        reap(entrance, Whose::Tools(who), &nonce);
    }
    run.finish(answer?)
}

/// The data set of which a clip is decoded.
fn dataset(spec: &Spec) -> Option<&Mount> {
    let sets = spec.mounts.iter().filter(|mount| matches!(mount.role, Role::Dataset(_)));
    sets.min_by_key(|mount| mount.role != Role::Dataset("ssv2".into()))
}
