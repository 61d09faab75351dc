//! From what is wanted to a running container that was proven.

use super::early::{self, Early};
use super::{home, mounts, native};
use crate::codex::home::McpServer;
use crate::context::Context;
use crate::engine;
use crate::engine::caches;
use crate::engine::compose;
use crate::engine::compose::Project;
use crate::engine::docker;
use crate::engine::errors;
use crate::engine::inspect::Container;
use crate::engine::running;
use crate::engine::running::{Running, differences, sessions};
use crate::error::failed;
use crate::exec;
use crate::image::build;
use crate::life::gather::{Engined, Wish};
use crate::life::record;
use crate::life::record::Entry;
use crate::proof;
use crate::proof::Proof;
use crate::proof::probe::Inside;
use crate::proof::witness::codex_file;
use crate::spec::promise::{Gpus, Promise};
use crate::step::Step;
use crate::ui;
use crate::{codex, gpu};
use anyhow::Result;

/// A container that runs and is what is wanted.
pub struct Started {
    /// The container's name.
    pub container: String,
    /// Its full id.
    pub id: String,
    /// Whether this call started it.
    pub ours: bool,
    /// What it promises, and what was read of it before any agent ran inside.
    pub entry: Entry,
    /// What the engine says of it.
    pub described: Container,
    /// MCP servers of the user's configuration whose program is not inside, once that was asked.
    pub missing: Vec<String>,
    /// What it has said of itself already.
    pub early: Option<Early>,
}

/// Asks the engine for a container by name.
///
/// # Errors
/// No engine answers, or the container of that name is not ours.
pub fn find(container: &str) -> Result<Option<Running>> {
    let said = exec::capture(&docker::inspect(container))?;
    running::parse(container, said.code, &said.stdout, &said.stderr)
}

/// Brings the wanted container up, or takes the one that runs.
///
/// # Errors
/// The host cannot run it, a source is refused, or a live session would lose its container.
pub fn ensure(cx: &Context, wish: &mut Wish) -> Result<Started> {
    let early = wish.early.take();
    let Some(running) = wish.running.as_ref().filter(|running| running.up) else {
        return create(cx, wish);
    };
    if running.container.state.paused {
        let name = compose::container_name(&wish.places.project);
        return Err(failed(format!("the container `{name}` is paused"))
            .hint(format!("`docker unpause {name}`, or `cargo xtask down` to end what is in it"))
            .into());
    }
    let mut found = differences(&running.settings, &mounts::label(cx, wish).into());
    let entry = record::read(&wish.places, &running.id);
    if entry.is_none() {
        found.blocking.push("what it promised when it was started is not known any more".to_owned());
    }
    match entry {
        Some(entry) if found.blocking.is_empty() => {
            let line = |line| ui::say(format_args!("at the next start: {line}"));
            found.deferred.iter().for_each(line);
            return Ok(Started {
                container: compose::container_name(&wish.places.project),
                id: running.id.clone(),
                ours: false,
                entry,
                described: running.container.clone(),
                missing: Vec::new(),
                early: early.filter(|early| early.container == running.id),
            });
        }
        _ => {}
    }
    let live = live_sessions(&running.id)?;
    if !live.is_empty() {
        return Err(held_back(&found.blocking, &live));
    }
    ui::say("the container is made anew, nothing runs inside:");
    found.blocking.iter().for_each(|line| ui::say(format_args!("  {line}")));
    create(cx, wish)
}

/// What runs inside beside the container's own processes.
///
/// # Errors
/// The engine does not answer.
pub fn live_sessions(id: &str) -> Result<Vec<String>> {
    let top = exec::stdout_of(&docker::top(id))?;
    Ok(sessions(&top))
}

fn held_back(changes: &[String], live: &[String]) -> anyhow::Error {
    let short = |line: &String| ui::printable(line).chars().take(60).collect::<String>();
    failed(format!("the running container is not what is asked for now: {}", changes.join("; ")))
        .hint(format!(
            "leave what runs inside ({}) and call again, or end it with `cargo xtask down`, or ask for what the \
             container has",
            live.iter().map(short).collect::<Vec<_>>().join(", ")
        ))
        .into()
}

fn create(cx: &Context, wish: &mut Wish) -> Result<Started> {
    mounts::check(cx, wish)?;
    // The engine takes a while to describe itself; the home is laid ready meanwhile.
    let known = wish.engine.take();
    let (known, ready) =
        exec::both(|| known.map_or_else(|| Engined::read(cx, &wish.settings, &wish.user), Ok), || home::refresh(wish));
    let Engined { engine, image } = known?;
    engine::refuse(&engine)?;
    let gpus = &wish.settings.gpus;
    let facts = if *gpus == Gpus::None { gpu::GpuFacts::default() } else { gpu::read(&engine, cx.var("PATH")) };
    let route = gpu::route(gpus, &engine, &facts)?;
    ready?.iter().for_each(ui::say);
    let (tag, id) = build::ensure(cx, &wish.settings, &wish.user, &image)?;
    // Again, with what was just laid ready: nothing of it may be wrong either.
    mounts::check(cx, wish)?;
    let mut project = mounts::project(cx, wish, &tag, route)?;
    project.promise.mounts.extend(mounts::caches(wish, &engine.root_dir));
    wish.codex.notes.iter().for_each(ui::warn);
    up(&project)?;
    let container = project.container();
    let entry = Entry::new(Promise { image_id: Some(id), ..project.promise });
    // No agent has run inside yet: the programs are looked at while the probe is still busy.
    let look = || {
        let missing = || failed(format!("`docker compose up` ended well, and there is no container `{container}`"));
        let running = find(&container)?.ok_or_else(missing)?;
        let programs = record::programs_now(&entry.promise, &running.container);
        anyhow::Ok((running, programs))
    };
    let ask = || early::ask(container.clone(), &entry, &wish.workspace, &wish.mirror);
    let (there, early) = exec::both(look, ask);
    let there = there.and_then(|there| Ok((there, early?)));
    let ((running, programs), early) = there.inspect_err(|_| {
        take_back(&container, &container);
    })?;
    let entry = Entry { programs, ..entry };
    Ok(Started {
        container,
        id: running.id,
        ours: true,
        entry,
        described: running.container,
        missing: Vec::new(),
        early: Some(early),
    })
}

fn up(project: &Project) -> Result<()> {
    exec::all(&[Step::WriteFile { path: project.override_file.clone(), text: project.override_text() }])?;
    let command = project.up();
    ui::echo(&command);
    ui::say("starting the container: usually 1 to 2 s");
    let mut said = exec::capture(&command)?;
    if caches::is_missing(&said.stderr) {
        // The user's first sandbox on this engine. Asking for them each time would cost each start a process.
        exec::all(&project.cache_steps())?;
        said = exec::capture(&command)?;
    }
    if said.ok() {
        return Ok(());
    }
    // What was half made is not left behind.
    take_back(&project.container(), &project.container());
    Err(errors::not_started(&said.stderr, &project.promise.gpus).into())
}

/// Removes a container, by its id or its name, and the network beside the one of that name. Returns whether it is gone.
fn take_back(container: &str, name: &str) -> bool {
    let removed = exec::capture(&docker::remove(container));
    let _ = exec::capture(&compose::remove_network(name));
    removed.is_ok_and(|said| said.ok())
}

/// Proves a container and saves the proof. Where nothing runs inside one that was there before, what comes from the
/// host is set anew.
///
/// # Errors
/// A witness cannot be asked, or the proof cannot be saved.
pub fn prove(cx: &Context, wish: &Wish, started: &mut Started) -> Result<Proof> {
    let promise = &started.entry.promise;
    let (mut proof, inside) = match started.early.take() {
        Some(mut early) => {
            let answer = std::mem::replace(&mut early.answer, Ok(String::new()));
            proof::conclude(answer, &started.described, promise, &early.request)?
        }
        None => {
            home::guest(&wish.places, &wish.network)?;
            let request = early::request(&started.entry, &wish.mirror)?;
            proof::prove(&started.id, &started.described, promise, &request)?
        }
    };
    if started.ours && promise.gpus != Gpus::None {
        started.entry.native = Some(native::prove(cx, wish, started, &inside.env())?);
    }
    proof.claims.extend(native::claim(&started.entry));
    // After the answer: what was put in the interpreter's place to give it shows by its time of change ever after.
    let programs = match started.ours {
        true => started.entry.programs.clone(),
        false => record::programs_now(promise, &started.described),
    };
    proof.claims.extend(record::programs_claim(&started.entry, programs.as_deref()));
    let text = format!("{}\n", serde_json::to_string_pretty(&proof)?);
    exec::write_file(&wish.places.proof, text.as_bytes(), 0o600)?;
    exec::write_file(&copy_of_proof(cx), text.as_bytes(), 0o644)?;
    if started.ours {
        // Before any agent ran inside: what the image's entry point set up.
        started.entry.carried = inside.env();
        let answered = record::answered(&proof.claims);
        started.entry.codex = answered.then(|| codex_file(&started.entry.promise)).flatten();
        record::write(&wish.places, &started.id, &started.entry)?;
        for old in codex::prune(cx, &record::mounted(cx)) {
            ui::say(format_args!("removed `{}`: an older Codex that nothing mounts", old.display()));
        }
    } else if inside.sessions().is_empty() {
        // While an agent is live its files are left alone: it could bend the paths that they are written through.
        home::refresh(wish)?.iter().for_each(ui::say);
    }
    started.missing = missing(&wish.mirror.mcp, &inside);
    Ok(proof)
}

/// Where the newest proof can be read by hand and by scripts.
pub fn copy_of_proof(cx: &Context) -> std::path::PathBuf {
    cx.scratch().join("proof.json")
}

fn missing(mcp: &[McpServer], inside: &Inside) -> Vec<String> {
    let lacks = |server: &&McpServer| inside.programs.get(&server.command).is_none_or(Option::is_none);
    mcp.iter().filter(lacks).map(|server| server.name.clone()).collect()
}

/// Removes a container that this call started, with its network; one that ran before is left as it was.
pub fn discard(started: &Started) {
    if started.ours {
        if take_back(&started.id, &started.container) {
            ui::say(format_args!("removed `{}` again", started.container));
        } else {
            ui::warn(format_args!("`{}` could not be removed: `cargo xtask down`", started.container));
        }
    }
}
