//! The image of a sandbox: what the engine has of it, and how it is built where it is missing or stale.

use crate::context::Context;
use crate::engine::{self, Engine, docker, errors, pulse};
use crate::error::{Failure, Kind, failed, flatten};
use crate::gpu::{self, GpuFacts};
use crate::image::{INPUTS_LABEL, Inputs, REPOSITORY, base, command, read_files, reasons};
use crate::scratch::{self, Scratch};
use crate::spec::settings::Settings;
use crate::step::{Command, Step};
use crate::user::User;
use crate::{beneath, exec, network, signals, ui};
use anyhow::Result;
use command::Wishes;
use serde_json::{Map, Value};
use std::time::Duration;

/// How the names of the directories begin in which the CPU base is made.
const BASE_DIR: &str = "cpu-base-";

/// How long another call that makes the CPU base is waited for: it takes two to ten minutes.
const BASE_WAIT: Duration = Duration::from_secs(1800);

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

/// Reads the inputs and asks the engine which images there are, and which of them this tool has built: a tag can be anybody's.
///
/// # Errors
/// No engine answers (exit code 3), somebody else has given an image the name, or a file of the build context cannot be read.
pub(crate) fn state(cx: &Context, settings: &Settings, user: &User) -> Result<State> {
    let ask = |query| -> Result<String> {
        let said = exec::capture(&query)?;
        if said.ok() { Ok(said.stdout) } else { Err(engine::no_engine(&said.stderr).into()) }
    };
    let (all, built) = exec::both(|| ask(docker::images()), || ask(docker::images_with(INPUTS_LABEL)));
    let (all, built) = (all?, built?);
    let inputs = inputs(cx, settings, user)?;
    let inputs = Inputs { base_id: id_of(&all, &inputs.base), ..inputs };
    let tag = inputs.tag();
    if id_of(&all, &tag).is_some() && id_of(&built, &tag).is_none() {
        return Err(failed(format!(
            "the image `{tag}` exists and was not made by this tool: it lacks the label `{INPUTS_LABEL}`"
        ))
        .hint(format!("`docker image inspect {tag}` shows what it is; `docker image rm {tag}` removes the name"))
        .into());
    }
    let mine = |tag: &&str| tag.starts_with(&format!("{REPOSITORY}:")) && tag.ends_with(&format!("-u{}", user.uid));
    let newest = images(&built).map(|(_, tag)| tag).find(mine).map(str::to_owned);
    Ok(State { id: id_of(&built, &tag), inputs, newest })
}

/// Ids and tags, by the engine's answer.
fn images(said: &str) -> impl Iterator<Item = (&str, &str)> {
    said.lines().filter_map(|line| line.split_once(' '))
}

fn id_of(said: &str, name: &str) -> Option<String> {
    images(said).find(|(_, tag)| *tag == name).map(|(id, _)| id.to_owned())
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
    if !makes_base(settings, state, wishes) {
        return Vec::new();
    }
    // A build makes a directory of its own there.
    wishes.bound(base::cpu_steps(&state.inputs.base, mirror().as_deref(), &cx.scratch()))
}

/// Whether the CPU base is made before the image.
fn makes_base(settings: &Settings, state: &State, wishes: Wishes) -> bool {
    settings.base.is_none() && (state.inputs.base_id.is_none() || wishes.pull)
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
    if !makes_base(settings, state, wishes) {
        return exec::all(&image_steps(cx, settings, state, wishes));
    }
    // Two calls that made it at once would give its name to two images, and what is built on the first would be stale.
    exec::create_dir(&cx.state, 0o700)?;
    let lock = cx.state.join("cpu-base.lock");
    let at_once = beneath::lock_at(&lock, Duration::from_millis(200), signals::asked)?;
    let late = || {
        ui::say("waiting for another `cargo xtask` that makes the CPU base");
        beneath::lock_at(&lock, BASE_WAIT, signals::asked)
    };
    let _lock = at_once.map_or_else(late, |lock| Ok(Some(lock)))?.ok_or_else(|| {
        failed(format!("another call makes the CPU base: it has `{}` locked", lock.display()))
            .hint("wait for its end, then run this again")
    })?;
    let now = self::state(cx, settings, &User::read())?;
    if makes_base(settings, &now, wishes) {
        let scratch = cx.scratch();
        exec::create_dir(&scratch, 0o755)?;
        scratch::sweep(&scratch, BASE_DIR)?;
        let dir = Scratch::make(&scratch, BASE_DIR)?;
        exec::all(&wishes.bound(base::cpu_steps(&now.inputs.base, mirror().as_deref(), dir.path())))?;
    }
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
