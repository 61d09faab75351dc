//! `cargo xtask doctor`: everything that this host lacks for a sandbox, at once. Reads, and changes nothing but the
//! memory of Codex's version.

use crate::codex::login;
use crate::context::{Context, resolved};
use crate::distro::Distro;
use crate::doctor::{self, AboutHost, codex, data, engine, gpu, project};
use crate::engine::{Engine, Local};
use crate::error::{Failure, failed, flatten};
use crate::finding::Finding;
use crate::gpu::GpuFacts;
use crate::image::base;
use crate::image::build::{self, State};
use crate::proof::mountinfo::MountTable;
use crate::proof::sources::{self, Rules};
use crate::spec::inside::Role;
use crate::spec::mount::Mount;
use crate::spec::settings::{self, Flags, Settings};
use crate::spec::words::Gpus;
use crate::user::User;
use crate::{codex as host_codex, engine as host_engine, exec, gpu as host_gpu, life, ui};
use anyhow::Result;
use rustix::fs::{Access, access};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Seconds within which a file system must have answered. One whose server is gone never does.
const FILES_BOUND: u64 = 5;

/// Variables by which Codex takes an API key.
const KEYS: &[&str] = &["CODEX_API_KEY", "OPENAI_API_KEY"];

/// Show everything that this host lacks, each with the command that mends it
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task. Exit code 0 where a sandbox could run, 3 where the host lacks something, 2 where only the settings
/// are wrong.
///
/// # Errors
/// Nothing can be known at all.
pub fn run(cx: &Context, args: &Args) -> Result<u8> {
    let findings = doctor::doctor(&gather(cx, &args.flags)?);
    if args.json {
        ui::result(format_args!("{:#}", doctor::json(&findings)));
    } else {
        ui::table(doctor::table(&findings).trim_end());
        ui::say(doctor::summary(&findings));
    }
    Ok(doctor::exit_code(&findings))
}

/// Asks everything side by side. What fails is a fact too.
fn gather(cx: &Context, flags: &Flags) -> Result<AboutHost> {
    let (settings, errors) = settings::load_what_is_right(cx, flags)?;
    let (user, distro) = (User::read(), Distro::read());
    let files = read_files(cx, &settings, &user);
    let path = cx.var("PATH");
    let gpus = || match settings.shape.gpus {
        Gpus::None => (GpuFacts::default(), None),
        _ => exec::both(|| host_gpu::read_devices(path), || host_gpu::toolkit_version(path)),
    };
    let ((engine, image), ((devices, toolkit), found)) = exec::both(
        || exec::both(|| host_engine::look(cx), || build::state(cx, &settings, &user)),
        || exec::both(gpus, || look_for_codex(cx, &settings)),
    );
    let files = files();
    let answers = engine.as_ref().ok();
    let image = image_of(answers, image, &settings);
    Ok(AboutHost {
        gpu: gpu::AboutGpus {
            wanted: settings.shape.gpus.clone(),
            base: settings.base.clone().unwrap_or_else(base::cpu_reference),
            arch_list: settings.arch_list.clone(),
            devices: answers.map_or(devices.clone(), |engine| host_gpu::seen_by(engine, devices)),
            engine: engine.as_ref().ok().cloned(),
            toolkit,
            distro: distro.clone(),
        },
        codex: codex::AboutCodex {
            present: found.0,
            found: found.1,
            npm: which::which_in("npm", path, &cx.cwd).is_ok(),
            mode: settings.shape.codex_home,
            home: settings.host_codex_home.clone(),
            home_exists: settings.host_codex_home.is_dir(),
            login: login::of_host(&settings.host_codex_home),
            keys: keys(cx, &settings),
            distro: distro.clone(),
        },
        engine: engine::AboutEngine {
            build: image.as_ref().map_or(true, |image| image.built.is_none()),
            submounts: submounts(&files),
            local: Local::read(path),
            engine,
        },
        project: project::AboutProject {
            settings: errors.iter().map(flatten).collect(),
            workspace: settings.workspace.clone(),
            problems: files.as_ref().map(|files| files.workspace.clone()).map_err(Clone::clone),
            state_closed: closed(&cx.state),
            state_free: host_engine::free_bytes(nearest(&cx.state)),
            state: cx.state.clone(),
            image,
            mmdebstrap: build::can_make_base(cx),
            distro,
        },
        data: files.map(|files| files.sets),
    })
}

/// Whether there is a `codex`, and what it leads to. One that an agent can have written is not started.
fn look_for_codex(cx: &Context, settings: &Settings) -> (bool, Result<host_codex::Codex, Failure>) {
    let explicit = settings.codex.as_deref();
    let launcher = match host_codex::find(cx, explicit) {
        Ok(launcher) => launcher,
        Err(err) => return (explicit.is_some(), Err(flatten(&err))),
    };
    let workspace = resolved(&settings.workspace);
    let found = life::refuse_own_codex(&launcher, &workspace).and_then(|()| host_codex::resolve(cx, explicit));
    (true, found.map_err(|err| flatten(&err)))
}

fn keys(cx: &Context, settings: &Settings) -> Vec<String> {
    let passed = settings.env.iter().filter(|name| KEYS.contains(&name.as_str()));
    passed.filter(|name| cx.var(name).is_some()).cloned().collect()
}

fn image_of(engine: Option<&Engine>, state: Result<State>, settings: &Settings) -> Result<project::AboutImage, String> {
    let engine = engine.ok_or("no engine answers")?;
    let state = state.map_err(|err| format!("{err:#}"))?;
    Ok(project::AboutImage {
        built: state.id.is_some().then(|| state.inputs.tag()),
        base: settings.base.clone(),
        base_there: state.inputs.base_id.is_some(),
        free: host_engine::free_bytes(&engine.root_dir),
        root: engine.root_dir.clone(),
    })
}

fn closed(dir: &Path) -> Option<String> {
    access(nearest(dir), Access::WRITE_OK | Access::EXEC_OK).err().map(|err| std::io::Error::from(err).to_string())
}

/// The directory itself, or the nearest above it that is there.
fn nearest(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"))
}

/// What is known of the directories that are to be mounted.
struct Files {
    sets: Vec<data::DataSet>,
    /// What is wrong with the workspace, and with a shared Codex home.
    workspace: Vec<Finding>,
}

fn submounts(files: &Result<Files, Failure>) -> Vec<String> {
    let sets = files.iter().flat_map(|files| &files.sets);
    sets.filter(|set| set.submounts).map(|set| set.name.clone()).collect()
}

/// Looks at the directories in a thread of its own, and says how to wait for it. It is given up after its bound: a
/// network file system whose server is gone lets nobody go.
fn read_files(cx: &Context, settings: &Settings, user: &User) -> impl FnOnce() -> Result<Files, Failure> + use<> {
    let mut mounts = vec![mount(Role::Workspace, &settings.workspace, "/workspace", false)];
    if settings.shape.codex_home == crate::codex::home::Mode::Shared && settings.host_codex_home.is_dir() {
        mounts.push(mount(Role::CodexHome, &settings.host_codex_home, "/home/codex/.codex", false));
    }
    for set in &settings.datasets {
        if let Some(source) = &set.source {
            mounts.push(Mount::new(Role::Dataset(set.name.clone()), source));
        }
    }
    let (cx, user, names) = (cx.clone(), user.clone(), settings.datasets.clone());
    let (answer, answered) = mpsc::channel();
    std::thread::spawn(move || {
        let sources: Vec<&Path> = mounts.iter().map(|mount| mount.source.as_path()).collect();
        let rules = life::rules(&cx, &user, &sources);
        // Nobody listens any more where the bound has passed.
        let _ = answer.send(look_at(&mounts, &rules, &names));
    });
    move || {
        answered.recv_timeout(Duration::from_secs(FILES_BOUND)).map_err(|_| {
            failed(format!("the directories of the data sets and the workspace did not answer within {FILES_BOUND} s"))
                .hint("is one on a network file system whose server is gone? `findmnt` lists them")
        })
    }
}

fn mount(role: Role, source: &Path, target: &str, read_only: bool) -> Mount {
    Mount { role, source: source.to_path_buf(), target: target.to_owned(), read_only }
}

fn look_at(mounts: &[Mount], rules: &Rules, names: &[settings::Dataset]) -> Files {
    let problems = sources::check(mounts, rules);
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let table = MountTable::parse(&String::from_utf8_lossy(&table)).unwrap_or_default();
    let set = |set: &settings::Dataset| {
        let id = Role::Dataset(set.name.clone()).id();
        let real = set.mount().ok().flatten().map(|mount| mount.source);
        let text = real.as_deref().unwrap_or(Path::new("")).to_string_lossy();
        let entries = real.as_ref().and_then(|real| std::fs::read_dir(real).ok());
        data::DataSet {
            name: set.name.clone(),
            source: set.source.clone(),
            problems: problems.iter().filter(|problem| problem.id == id).cloned().collect(),
            empty: entries.is_some_and(|mut entries| entries.next().is_none()),
            file_system: table.covering(&text).map(|line| line.fstype.clone()).unwrap_or_default(),
            submounts: real.is_some() && !table.below(&text).is_empty(),
        }
    };
    let sets = names.iter().map(set).collect();
    let workspace = problems.iter().filter(|problem| !problem.id.starts_with("dataset."));
    Files { sets, workspace: workspace.cloned().collect() }
}
