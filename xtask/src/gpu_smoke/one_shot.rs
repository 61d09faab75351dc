//! The smoke test in a container of its own: made, looked at, started, removed.

use super::inputs::{dataset, image_of};
use super::{Answer, Wish, architecture, ask, finish, no_gpu, not_started, now, request};
use crate::context::Context;
use crate::engine::compose::one_shot::OneShot;
use crate::engine::inspect::Container;
use crate::engine::{self, docker, errors};
use crate::error::{Failure, Kind, failed, host};
use crate::image::build;
use crate::life::Signals;
use crate::proof::misasked;
use crate::smoke::SmokeRequest;
use crate::smoke::request::FILES;
use crate::smoke::show::RunFacts;
use crate::spec::inside::{Role, in_guest};
use crate::spec::mount::Mount;
use crate::spec::settings::{Settings, Shape};
use crate::spec::words::{GpuRoute, Gpus, Mode, Network};
use crate::spec::{Schema, Spec};
use crate::step::Step;
use crate::user::User;
use crate::{exec, gpu, ui};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// The container gets this long beyond the script's own bound.
const START: u64 = 20;

/// Everything that is known before anything is made.
struct Planned {
    route: Option<GpuRoute>,
    request: SmokeRequest,
    user: User,
    dataset: Option<Mount>,
    no_gpu: Option<Failure>,
    facts: RunFacts,
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
    let arch = architecture(wish, settings, &known)?;
    let inside = dataset.as_ref().map(|mount| mount.target.clone());
    let request = request(wish, arch, &settings.shape.gpus, &known, inside)?;
    let facts = RunFacts {
        image: wish.image.clone().unwrap_or_default(),
        image_id: None,
        image_digests: Vec::new(),
        engine: engine.version.clone(),
        container: None,
        gpus: settings.shape.gpus.to_string(),
        driver: known.driver.clone(),
        time: now(),
        dataset: dataset.as_ref().map(|mount| mount.source.display().to_string()),
    };
    let route = match gpu::route(&settings.shape.gpus, &engine, &known) {
        Ok(route) => route,
        Err(why) if wish.dry_run => return Err(why.into()),
        Err(why) => return not_started(cx, wish, &facts, &request, why),
    };
    let no_gpu = (settings.shape.gpus == Gpus::None).then(|| no_gpu(&engine, &known));
    let plan = Planned { route, request, user, dataset, no_gpu, facts };
    if wish.dry_run {
        return dry_run(cx, settings, wish, &plan);
    }
    start(cx, settings, wish, plan)
}

fn start(cx: &Context, settings: &Settings, wish: &Wish, plan: Planned) -> Result<u8> {
    let image = image_of(cx, settings, wish, &plan.user)?;
    // From here on nothing half made may be left behind.
    let signals = Signals::catch()?;
    let facts = RunFacts {
        image: image.reference.clone(),
        image_id: Some(image.id.clone()),
        image_digests: image.digests.clone(),
        ..plan.facts.clone()
    };
    let one = one_shot(cx, settings, &plan, &image.reference);
    let made = Made { one: &one };
    exec::all(&files(cx, &one)?)?;
    let create = one.create();
    ui::echo(&create);
    let said = exec::capture(&create)?;
    if !said.ok() {
        let why = errors::last_line(&said.stderr);
        return match errors::find(&why).filter(|known| known.kind == Kind::Host) {
            Some(known) => not_started(cx, wish, &facts, &plan.request, host(&why).hint(known.remedy)),
            None => Err(failed(format!("the container was not made: {why}"))
                .hint("`cargo xtask gpu-smoke --dry-run` prints what Compose is told")
                .into()),
        };
    }
    let facts = RunFacts { container: Some(one.name.clone()), ..facts };
    let answer = match dropped(&one)? {
        Some(why) => (Answer::None(why), String::new()),
        None if signals.any() => (Answer::Interrupted, String::new()),
        None => ask(&one.start(plan.request.seconds + START), &plan.request, &signals)?,
    };
    drop(made);
    finish(cx, wish, &facts, &plan.request, answer, plan.no_gpu)
}

fn one_shot(cx: &Context, settings: &Settings, plan: &Planned, image: &str) -> OneShot {
    let name = format!("codex-sandbox-smoke-{}", &plan.request.nonce[..12]);
    let dir = cx.scratch().join(&name);
    let guest = Mount::new(Role::Guest, dir.join("guest"));
    OneShot {
        file: dir.join("compose.yaml"),
        name,
        spec: Spec {
            schema: Schema,
            uid: plan.user.uid,
            gid: plan.user.gid,
            groups: plan.user.groups_for(plan.dataset.iter().map(|mount| mount.source.as_path())),
            mounts: [guest].into_iter().chain(plan.dataset.clone()).collect(),
            out_of_reach: Vec::new(),
            shape: Shape { network: Network::None, codex_home: Mode::None, ..settings.shape.clone() },
            gpu_route: plan.route,
            image: image.to_owned(),
            image_id: None,
            image_inputs: String::new(),
            // No Codex, and nothing of the user's beside the data set.
            codex_version: String::new(),
            codex_bin: PathBuf::new(),
            ca_bundle: false,
            env: Vec::new(),
            compose_file: String::new(),
            dev_container: false,
        },
        program: plan.request.words(),
    }
}

fn files(cx: &Context, one: &OneShot) -> Result<Vec<Step>> {
    let base = cx.root.join("docker/docker-compose.yaml");
    let base = std::fs::read_to_string(&base).with_context(|| format!("cannot read `{}`", base.display()))?;
    let guest = guest(one);
    let write = |path: PathBuf, text: String| Step::WriteFile { path, text };
    let mut steps = vec![Step::CreateDir { path: guest.join("smoke"), mode: 0o755 }];
    steps.extend(FILES.iter().map(|(name, text)| write(guest.join(in_guest(name)), (*text).to_owned())));
    steps.push(write(one.file.clone(), one.text(&base)?));
    Ok(steps)
}

fn guest(one: &OneShot) -> &Path {
    &one.spec.mounts[0].source
}

/// Why the container that was made is not what was asked for: an old Compose drops GPUs without a word.
fn dropped(one: &OneShot) -> Result<Option<String>> {
    let said = exec::stdout_of(&docker::inspect(&one.name))?;
    let why = match Container::parse(&said)?.host_config.device_requests {
        Some(requests) => misasked(&one.spec.shape.gpus, one.spec.gpu_route, &requests),
        None => Some("the engine does not say which devices it was asked for".into()),
    };
    Ok(why.map(|why| format!("{why}, and the GPUs that were asked for are: {}", one.spec.shape.gpus)))
}

/// What was made for this run, gone at its end whatever the end is.
struct Made<'a> {
    one: &'a OneShot,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        let said = exec::capture(&docker::remove(&self.one.name));
        let gone = |said: &exec::Output| said.ok() || errors::is_no_container(&said.stderr);
        if !said.is_ok_and(|said| gone(&said)) {
            ui::warn(format_args!("`{}` could not be removed: `docker rm -f` it", self.one.name));
        }
        if let Some(dir) = self.one.file.parent() {
            let _ = exec::all(&[Step::Remove { path: dir.to_path_buf() }]);
        }
    }
}

/// Prints what would be done, and does none of it.
fn dry_run(cx: &Context, settings: &Settings, wish: &Wish, plan: &Planned) -> Result<u8> {
    ui::result("# settings");
    let row =
        |o: &crate::spec::settings::Origin| vec![format!("#   {}", o.key), o.value.clone(), format!("({})", o.from)];
    ui::result(ui::columns(&settings.origins.iter().map(row).collect::<Vec<_>>()).trim_end());
    if let Some(why) = &plan.no_gpu {
        ui::result(format_args!("# without a GPU: {}", why.message));
    }
    let image = match &wish.image {
        Some(reference) => reference.clone(),
        None => {
            let state = build::state(cx, settings, &plan.user)?;
            if state.id.is_none() {
                let wishes = crate::image::plan::Wishes::default();
                build::steps(cx, settings, &state, wishes).iter().for_each(ui::result);
            }
            state.inputs.tag()
        }
    };
    let one = one_shot(cx, settings, plan, &image);
    let guest = guest(&one).display();
    ui::result(format_args!("# before this, the script and its package are laid ready in `{guest}`"));
    // The last step is the Compose file; those before it are the script's own files.
    files(cx, &one)?.last().into_iter().for_each(ui::result);
    ui::result(one.create());
    ui::result(docker::inspect(&one.name));
    ui::result(one.start(plan.request.seconds + START));
    ui::result(docker::remove(&one.name));
    Ok(0)
}
