//! The image of a sandbox: what the engine has of it, and how it is built where it is missing or stale.

use crate::context::Context;
use crate::engine::{self, Engine, docker, errors, pulse};
use crate::error::{Failure, Kind, failed, flatten};
use crate::gpu::{self, GpuFacts};
use crate::image::{INPUTS_LABEL, Inputs, REPOSITORY, base, command, read_files, reasons};
use crate::spec::settings::Settings;
use crate::step::{Command, Step};
use crate::user::User;
use crate::{exec, network, ui};
use anyhow::Result;
use command::Wishes;
use serde_json::{Map, Value};

/// What is known of the image before anything is built.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// What the tag is made from.
    pub(crate) inputs: Inputs,
    /// The id of the image of these inputs; `None` means it must be built.
    pub(crate) id: Option<String>,
    /// The tag of the user's newest image of other inputs.
    pub(crate) newest: Option<String>,
}

impl State {
    /// Why the image must be built, one line a reason; empty where it is up to date.
    pub(crate) fn reasons(&self) -> Result<Vec<String>> {
        if self.id.is_some() {
            return Ok(Vec::new());
        }
        let newest = self.newest.as_deref().map(inputs_of).transpose()?;
        Ok(reasons(&self.inputs, newest.flatten().as_ref()))
    }
}

/// Builds the image of these settings where it is missing or stale, and returns its new state.
///
/// # Errors
/// The build fails, or this host cannot build.
pub(crate) fn ensure(cx: &Context, settings: &Settings, user: &User, state: &State) -> Result<State> {
    if state.id.is_some() {
        return Ok(state.clone());
    }
    build(cx, settings, state, Wishes::default())?;
    let now = self::state(cx, settings, user)?;
    match now.id {
        Some(_) => Ok(now),
        None => Err(failed(format!("the build succeeded, but there is no image `{}`", now.inputs.tag())).into()),
    }
}

/// The inputs that are known without asking the engine.
///
/// # Errors
/// A file of the build context cannot be read.
pub(crate) fn inputs(cx: &Context, settings: &Settings, user: &User) -> Result<Inputs> {
    Ok(Inputs {
        base: settings.base.clone().unwrap_or_else(base::cpu_reference),
        base_id: None,
        arch_list: settings.arch_list.clone(),
        uid: user.uid,
        gid: user.gid,
        files: read_files(&cx.root.join("docker"))?,
    })
}

/// Reads the inputs and asks the engine, in one query, which images there are.
///
/// # Errors
/// No engine answers (exit code 3), or a file of the build context cannot be read.
pub(crate) fn state(cx: &Context, settings: &Settings, user: &User) -> Result<State> {
    let said = exec::capture(&docker::images())?;
    if !said.ok() {
        return Err(engine::no_engine(&said.stderr).into());
    }
    let images: Vec<(&str, &str)> = said.stdout.lines().filter_map(|line| line.split_once(' ')).collect();
    let id_of = |name: &str| images.iter().find(|(_, tag)| *tag == name).map(|(id, _)| (*id).to_owned());
    let inputs = inputs(cx, settings, user)?;
    let inputs = Inputs { base_id: id_of(&inputs.base), ..inputs };
    let mine = |tag: &&str| tag.starts_with(&format!("{REPOSITORY}:")) && tag.ends_with(&format!("-u{}", user.uid));
    let newest = images.iter().map(|(_, tag)| *tag).find(mine).map(str::to_owned);
    Ok(State { id: id_of(&inputs.tag()), inputs, newest })
}

fn inputs_of(tag: &str) -> Result<Option<Map<String, Value>>> {
    let format = format!("{{{{index .Config.Labels \"{INPUTS_LABEL}\"}}}}");
    let said = exec::stdout_of(&docker::image(&format, tag))?;
    Ok(serde_json::from_str(said.trim()).ok())
}

/// Every step of a build: the CPU base where it is asked for and missing, then the image.
pub(crate) fn steps(cx: &Context, settings: &Settings, state: &State, wishes: Wishes) -> Vec<Step> {
    let mut steps = cpu_base_steps(cx, settings, state, wishes);
    steps.extend(image_steps(cx, settings, state, wishes));
    steps
}

fn cpu_base_steps(cx: &Context, settings: &Settings, state: &State, wishes: Wishes) -> Vec<Step> {
    if settings.base.is_some() || (state.inputs.base_id.is_some() && !wishes.pull) {
        return Vec::new();
    }
    wishes.bound(base::cpu_steps(&state.inputs.base, mirror().as_deref(), &cx.scratch()))
}

fn image_steps(cx: &Context, settings: &Settings, state: &State, wishes: Wishes) -> Vec<Step> {
    // No registry has the CPU base: with `--pull` it is rebuilt instead.
    let wishes = Wishes { pull: wishes.pull && settings.base.is_some(), ..wishes };
    let build = command::build(&cx.root.join("docker"), &state.inputs, wishes, &network::read(cx));
    wishes.bound(vec![note(settings, state), build])
}

/// The mirror of Debian's packages that this host itself uses. A host that is not Debian has none, and `mmdebstrap` then
/// uses Debian's own.
fn mirror() -> Option<String> {
    let query = Command::new("apt-get").args(["indextargets", "--format", "$(SITE) $(ORIGIN) $(CREATED_BY)"]);
    let said = exec::capture(&query).ok().filter(exec::Output::ok);
    said.and_then(|said| base::mirror_of(&said.stdout))
}

pub(crate) fn build(cx: &Context, settings: &Settings, state: &State, wishes: Wishes) -> Result<()> {
    let engine = engine::read(cx)?;
    engine::refuse(&engine)?;
    check_host(&engine, cx, settings, state)?;
    for reason in state.reasons()? {
        ui::say(format_args!("image: {reason}"));
    }
    run(cx, settings, state, wishes).map_err(|err| why(err, &engine))
}

fn run(cx: &Context, settings: &Settings, state: &State, wishes: Wishes) -> Result<()> {
    let base = cpu_base_steps(cx, settings, state, wishes);
    if base.is_empty() {
        return exec::all(&image_steps(cx, settings, state, wishes));
    }
    exec::all(&base)?;
    // The base's id is an input: the image is built with the id that it has now.
    let now = self::state(cx, settings, &User::read())?;
    exec::all(&image_steps(cx, settings, &now, wishes))
}

/// The engine's disk is called full where it has less: what a step could not write, the engine has taken back by then.
const FULL: u64 = 512 << 20;

/// Why a build failed: its output went to the user, so that nothing is known of it here. The engine may have gone, or its disk
/// may be full.
fn why(err: anyhow::Error, engine: &Engine) -> anyhow::Error {
    let failure = flatten(&err);
    if failure.kind != Kind::Failed || !failure.remedies.is_empty() {
        return err;
    }
    if !pulse::answers() {
        return errors::gone(&failure.message).into();
    }
    match engine::free_bytes(&engine.root_dir).filter(|free| *free < FULL) {
        None => err,
        Some(free) => errors::full(&failure.message, &engine.root_dir, free).into(),
    }
}

/// What the user is told before a build starts.
fn note(settings: &Settings, state: &State) -> Step {
    let fetched = settings.base.is_some() && state.inputs.base_id.is_none();
    Step::Note(if fetched {
        let base = &state.inputs.base;
        format!("building the image: its base `{base}` is pulled first, which is many gigabytes")
    } else {
        "building the image: a few minutes the first time, seconds where its layers are cached".to_owned()
    })
}

/// That the engine's disk has too little room left for a build. A directory whose free space this user cannot read is no
/// reason to refuse: the build itself will fail.
fn room(engine: &Engine, settings: &Settings) -> Option<Failure> {
    let free = engine::free_bytes(&engine.root_dir)?;
    engine::low_room(&engine.root_dir, free, base::room(settings.base.as_deref()))
}

/// Fails where this host cannot build the image.
fn check_host(engine: &Engine, cx: &Context, settings: &Settings, state: &State) -> Result<()> {
    let room = room(engine, settings);
    let buildx = engine::no_buildx(engine);
    let other = if settings.base.is_some() {
        let facts: GpuFacts = gpu::read(engine, cx.var("PATH"));
        base::misfit(&state.inputs.base, &settings.arch_list, &facts)
    } else {
        let missing = state.inputs.base_id.is_none() && !can_make_base(cx);
        missing.then(|| base::no_mmdebstrap(&engine.distro))
    };
    buildx.or(room).or(other).map_or(Ok(()), |failure| Err(failure.into()))
}

/// Whether the program that makes the CPU base is on PATH.
pub(crate) fn can_make_base(cx: &Context) -> bool {
    which::which_in("mmdebstrap", cx.var("PATH"), &cx.cwd).is_ok()
}
