//! The facts for the doctor, read from this host. Nothing is changed except the cached version of Codex.

use super::data::{DataSet, Files};
use super::project::{AboutImage, AboutState};
use super::{AboutHost, doctor};
use crate::answers;
use crate::codex::{self, Codex, home, login};
use crate::context::{Context, resolved};
use crate::distro::Distro;
use crate::engine::{self, Engine, Local, Silence};
use crate::error::{Failure, flatten};
use crate::exposed::Exposed;
use crate::file_systems;
use crate::finding::Finding;
use crate::gpu::{self, GpuFacts};
use crate::image::build::{self, State};
use crate::mountinfo::MountTable;
use crate::proof::sources::{self, Rules};
use crate::spec::settings::{self, Dataset, Flags, Settings};
use crate::spec::words::Gpus;
use crate::spec::{Mount, Role};
use crate::user::User;
use crate::{exec, life};
use anyhow::Result;
use rustix::fs::{Access, access};
use std::path::Path;

/// Variables by which Codex takes an API key.
const KEYS: &[&str] = &["CODEX_API_KEY", "OPENAI_API_KEY"];

/// Asks everything side by side, and judges the answers. What fails is a fact too.
pub(crate) fn examine(cx: &Context, flags: &Flags) -> Result<Vec<Finding>> {
    let (settings, errors) = settings::load_what_is_right(cx, flags)?;
    let exposed = life::exposed_but(cx, None, &flags.confirm)?;
    let user = User::read();
    let path = cx.var("PATH");
    let gpus = || match settings.shape.gpus {
        Gpus::None => (GpuFacts::default(), None),
        Gpus::All | Gpus::Ids(_) => exec::both(|| gpu::read_devices(path), || gpu::toolkit_version(path)),
    };
    let ((engine, image), (((devices, toolkit), (codex_present, codex)), files)) = exec::both(
        || exec::both(|| engine::look(cx), || build::state(cx, &settings, &user)),
        || {
            let files = || read_files(cx, &settings, &user, &exposed);
            exec::both(|| exec::both(gpus, || look_for_codex(cx, &settings, &exposed)), files)
        },
    );
    Ok(doctor(&AboutHost {
        errors: errors.iter().map(flatten).collect(),
        distro: Distro::read(),
        local: Local::read(path),
        devices: match &engine {
            Ok(engine) => gpu::seen_by(engine, devices),
            Err(_) => devices,
        },
        image: image_of(&engine, image),
        engine,
        toolkit,
        codex,
        codex_present,
        npm: which::which_in("npm", path, &cx.cwd).is_ok(),
        home_exists: settings.host_codex_home.is_dir(),
        login: login::of_host(&login::HostCodex::new(&settings.host_codex_home)),
        keys: keys(cx, &settings),
        files,
        state: AboutState {
            dir: cx.state.clone(),
            closed: closed(&cx.state),
            free: engine::free_bytes(nearest(&cx.state)),
        },
        mmdebstrap: build::can_make_base(cx),
        settings,
    }))
}

/// Whether there is a `codex`, and what it leads to. A program that an agent may have written is not started.
fn look_for_codex(cx: &Context, settings: &Settings, exposed: &Exposed) -> (bool, Result<Codex, Failure>) {
    let explicit = settings.codex.as_deref();
    let launcher = match codex::find(cx, explicit) {
        Ok(launcher) => launcher,
        Err(err) => return (explicit.is_some(), Err(flatten(&err))),
    };
    let workspace = resolved(&settings.workspace);
    let found = life::refuse_own_codex(&launcher, &workspace).and_then(|()| codex::resolve(cx, explicit, exposed));
    (true, found.map_err(|err| flatten(&err)))
}

fn keys(cx: &Context, settings: &Settings) -> Vec<String> {
    let passed = settings.env.iter().filter(|name| KEYS.contains(&name.as_str()));
    passed.filter(|name| cx.var(name).is_some()).cloned().collect()
}

fn image_of(engine: &Result<Engine, Silence>, state: Result<State>) -> Result<AboutImage, String> {
    let engine = engine.as_ref().map_err(|_| "no engine answers")?;
    let state = state.map_err(|err| format!("{err:#}"))?;
    Ok(AboutImage {
        built: state.id.is_some().then(|| state.inputs.tag()),
        base_there: state.inputs.base_id.is_some(),
        free: engine::free_bytes(&engine.root_dir),
        root: engine.root_dir.clone(),
    })
}

fn closed(dir: &Path) -> Option<String> {
    access(nearest(dir), Access::WRITE_OK | Access::EXEC_OK).err().map(|err| std::io::Error::from(err).to_string())
}

/// The directory itself, or the nearest one above it that exists.
fn nearest(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"))
}

/// Reads the directories, where all of them answer.
fn read_files(cx: &Context, settings: &Settings, user: &User, exposed: &Exposed) -> Result<Files, Failure> {
    answers::demand(&settings.paths(cx)).map_err(|err| flatten(&err))?;
    let mut mounts = vec![Mount::new(Role::Workspace, &settings.workspace)];
    if settings.shape.codex_home == home::Mode::Shared && settings.host_codex_home.is_dir() {
        mounts.push(Mount::new(Role::CodexHome, &settings.host_codex_home));
    }
    let data = |set: &Dataset| Some(Mount::new(Role::Dataset(set.name.clone()), set.source.as_ref()?));
    mounts.extend(settings.datasets.iter().filter_map(data));
    let groups = user.groups_for(mounts.iter().map(|mount| mount.source.as_path()));
    let rules = life::rules(cx, user, groups, settings);
    Ok(look_at(&mounts, &rules, &settings.datasets, exposed))
}

fn look_at(mounts: &[Mount], rules: &Rules, sets: &[Dataset], exposed: &Exposed) -> Files {
    let problems = sources::check(mounts, rules, exposed);
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let table = MountTable::parse(&String::from_utf8_lossy(&table)).unwrap_or_default();
    let look = |set: &Dataset| {
        let id = Role::Dataset(set.name.clone()).id();
        let real = set.mount(exposed).ok().flatten().map(|mount| mount.source);
        let text = real.as_deref().unwrap_or(Path::new("")).to_string_lossy();
        let entries = real.as_ref().and_then(|real| std::fs::read_dir(real).ok());
        DataSet {
            name: set.name.clone(),
            source: set.source.clone(),
            problems: problems.iter().filter(|problem| problem.id == id).cloned().collect(),
            empty: entries.is_some_and(|mut entries| entries.next().is_none()),
            served: file_systems::served(&table, &text).into_iter().map(str::to_owned).collect(),
            submounts: real.is_some() && !table.below(&text).is_empty(),
        }
    };
    let sets = sets.iter().map(look).collect();
    let workspace = problems.iter().filter(|problem| !problem.id.starts_with("dataset."));
    Files { sets, workspace: workspace.cloned().collect() }
}
