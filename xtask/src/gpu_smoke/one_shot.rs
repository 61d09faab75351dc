//! The smoke test in a container of its own: created, inspected, started, removed.

use super::inputs::{dataset, image_of};
use super::{SmokeRun, Wish, interrupted, swept};
use crate::context::{self, Context};
use crate::engine::compose::one_shot::OneShot;
use crate::engine::inspect::Container;
use crate::engine::running::{self, Taken};
use crate::engine::{self, docker, errors};
use crate::error::{Kind, failed, host};
use crate::image::build;
use crate::life::show_settings;
use crate::outside;
use crate::proof::misasked;
use crate::signals::Signals;
use crate::smoke::RunFacts;
use crate::smoke::request::FILES;
use crate::spec::settings::{Settings, Shape};
use crate::spec::words::{GpuRoute, Mode, Network};
use crate::spec::{Mount, Role, Schema, Spec};
use crate::step::Step;
use crate::user::User;
use crate::{exec, gpu, scratch, ui};
use anyhow::{Context as _, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The seconds that the container gets beyond the script's own bound.
const START: u64 = 20;

/// The seconds that everything before its start can take.
const CREATE: u64 = 600;

/// Everything that is known before anything is created.
struct Planned<'a> {
    run: SmokeRun<'a>,
    settings: &'a Settings,
    route: Option<GpuRoute>,
    user: User,
    dataset: Option<Mount>,
}

/// Runs it.
///
/// # Errors
/// Wrong settings (2), no GPU, toolkit or engine (3), an image that cannot be built or started (1).
pub(crate) fn run(cx: &Context, settings: &Settings, wish: &Wish) -> Result<u8> {
    let user = User::read();
    let dataset = dataset(cx, &wish.project, settings, &user)?;
    let engine = engine::read(cx)?;
    engine::refuse(&engine)?;
    let known = gpu::read(&engine, cx.var("PATH"));
    let mut run = SmokeRun::new(cx, wish, settings, &engine, &known, &settings.shape.gpus, dataset.as_ref())?;
    run.facts.image = wish.image.clone().unwrap_or_default();
    let route = match gpu::route(&settings.shape.gpus, &engine, &known) {
        Ok(route) => route,
        Err(why) if wish.dry_run => return Err(why.into()),
        Err(why) => return run.not_started(why),
    };
    let plan = Planned { run, settings, route, user, dataset };
    if wish.dry_run { dry_run(&plan) } else { start(plan) }
}

fn start(plan: Planned) -> Result<u8> {
    let (cx, wish) = (plan.run.cx, plan.run.wish);
    swept::sweep(cx, &plan.user);
    let (reference, image) = image_of(cx, plan.settings, wish, &plan.user)?;
    // From here on nothing unfinished may be left behind.
    let signals = Signals::making();
    let one = one_shot(&plan, &reference);
    let facts =
        RunFacts { image: reference, image_id: Some(image.id), image_digests: image.repo_digests, ..plan.run.facts };
    let mut run = SmokeRun { facts, ..plan.run };
    let dir = one.file.parent().unwrap_or(&one.file);
    exec::create_dir(dir, 0o755)?;
    let made = Made { one: &one, _held: scratch::hold(dir) };
    exec::all(&files(cx, &one)?)?;
    let create = one.create();
    ui::echo(&create);
    let said = exec::capture(&create)?;
    if !said.ok() {
        let why = errors::last_line(&said.stderr);
        let known = errors::find(&why).filter(|known| known.kind == Kind::Host);
        return match known.or_else(|| errors::trouble(&said.stderr)) {
            Some(known) => run.not_started(host(&why).hint(known.remedy)),
            None => Err(failed(format!("the container was not created: {why}"))
                .hint("`cargo xtask gpu-smoke --dry-run` prints the Compose file")
                .into()),
        };
    }
    run.facts.container = Some(one.name.clone());
    let answer = match dropped(&one)? {
        Some(why) => (Err(why), String::new()),
        None if signals.any() => return Err(interrupted()),
        None => run.ask(&one.start(run.request.seconds + START), || !signals.any())?,
    };
    drop(made);
    run.finish(answer)
}

fn one_shot(plan: &Planned, image: &str) -> OneShot {
    let Planned { run, settings, route, user, dataset } = plan;
    let name = format!("{}{}", swept::NAME, &run.request.nonce[..12]);
    let dir = run.cx.scratch().join(&name);
    let guest = Mount::new(Role::Guest, dir.join("guest"));
    OneShot {
        until: context::seconds() + CREATE + run.request.seconds + START,
        file: dir.join("compose.yaml"),
        name,
        spec: Spec {
            schema: Schema,
            uid: user.uid,
            gid: user.gid,
            groups: user.groups_for(dataset.iter().map(|mount| mount.source.as_path())),
            mounts: [guest].into_iter().chain(dataset.clone()).collect(),
            out_of_reach: Vec::new(),
            shape: Shape { network: Network::None, codex_home: Mode::None, ..settings.shape.clone() },
            gpu_route: *route,
            image: image.to_owned(),
            image_id: None,
            image_inputs: String::new(),
            // No Codex, and nothing of the user's except the data set.
            codex_version: String::new(),
            codex_bin: PathBuf::new(),
            ca_bundle: false,
            env: Vec::new(),
            handed: Vec::new(),
            compose_file: String::new(),
            dev_container: false,
        },
        program: run.request.words(),
    }
}

fn files(cx: &Context, one: &OneShot) -> Result<Vec<Step>> {
    let base = cx.root.join("docker/docker-compose.yaml");
    let base = outside::text(&base, outside::WRITTEN).with_context(|| format!("cannot read `{}`", base.display()))?;
    let guest = guest(one);
    let write = |path: PathBuf, text: String| Step::WriteFile { path, text };
    let mut steps = vec![Step::CreateDir { path: guest.join("smoke"), mode: 0o755 }];
    steps.extend(FILES.iter().map(|(name, text)| write(guest.join(name), (*text).to_owned())));
    steps.push(write(one.file.clone(), one.text(&base)?));
    Ok(steps)
}

fn guest(one: &OneShot) -> &Path {
    &one.spec.mounts[0].source
}

/// Why the container is not what was asked for: an old Compose drops the request for GPUs and reports no error.
fn dropped(one: &OneShot) -> Result<Option<String>> {
    let said = exec::stdout_of(&docker::inspect(&one.name))?;
    let why = match Container::parse(&said)?.host_config.device_requests {
        Some(requests) => misasked(&one.spec.shape.gpus, one.spec.gpu_route, &requests),
        None => Some("the engine does not say which devices it was asked for".into()),
    };
    Ok(why.map(|why| format!("{why}, and the GPUs that were asked for are: {}", one.spec.shape.gpus)))
}

/// What was created for this run. It is removed when this is dropped, however the run ends. Where the container cannot be,
/// its directory stays, by whose lock the next call knows that this one is over.
struct Made<'a> {
    one: &'a OneShot,
    /// The lock of its directory, by which the next call knows that this one goes on.
    _held: Option<File>,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if !running::take_back(Taken::This(&self.one.name), &self.one.name) {
            ui::warn(format_args!(
                "`{0}` could not be removed: the next `cargo xtask gpu-smoke` does it, or `docker rm -f {0}`",
                self.one.name
            ));
            return;
        }
        if let Some(dir) = self.one.file.parent() {
            let _ = exec::all(&[Step::Remove { path: dir.to_path_buf() }]);
        }
    }
}

/// Prints what would be done, and does none of it.
fn dry_run(plan: &Planned) -> Result<u8> {
    let Planned { run: SmokeRun { cx, wish, request, no_gpu, .. }, settings, user, .. } = plan;
    show_settings(settings);
    if let Some(why) = no_gpu {
        ui::planned(format_args!("# without a GPU: {}", why.message));
    }
    let image = match &wish.image {
        Some(reference) => reference.clone(),
        None => {
            let state = build::state(cx, settings, user)?;
            if state.id.is_none() {
                let wishes = crate::image::command::Wishes::default();
                build::steps(cx, settings, &state, wishes).iter().for_each(ui::planned);
            }
            state.inputs.tag()
        }
    };
    let one = one_shot(plan, &image);
    let guest = guest(&one).display();
    ui::planned(format_args!("# before this, the script and its package are written to `{guest}`"));
    // The last step is the Compose file; those before it are the script's own files.
    files(cx, &one)?.last().into_iter().for_each(ui::planned);
    ui::planned(one.create());
    ui::planned(docker::inspect(&one.name));
    ui::planned(one.start(request.seconds + START));
    ui::planned(docker::remove(&one.name));
    Ok(0)
}
