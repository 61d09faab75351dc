//! From a plan to a container that runs.

use super::call::Call;
use super::gather::{Engined, Gathered, Purpose, find};
use super::ground::Ground;
use super::plan::{Act, Plan, plan};
use super::record::{self, Record};
use super::running::Running;
use super::sources::{self, Sources};
use super::{early, leftovers};
use crate::context::Context;
use crate::engine::alive::Alive;
use crate::engine::compose::{self, Project};
use crate::engine::inspect::Container;
use crate::engine::running::{self, Existing, Taken};
use crate::engine::{caches, docker, errors};
use crate::error::{failed, interrupted};
use crate::exec::{self, Output};
use crate::image::build;
use crate::outside;
use crate::proof::init::{self, InitSeen};
use crate::spec::inside::PROBE;
use crate::step::Command;
use crate::{text, ui};
use anyhow::Result;

const UNANSWERED: &str = "answer it, or say `--leftovers keep` or `--leftovers end`";

impl<'a> Call<'a> {
    /// Brings the wanted container up, or takes the one that runs.
    ///
    /// # Errors
    /// The host cannot run it, a source is refused, or a live session would lose its container.
    pub(crate) fn start(mut self) -> Result<Running<'a>> {
        let early = self.gathered.early.take();
        let mut plan = self.plan()?;
        if let Some((record, existing)) = plan.entered.take().zip(self.gathered.existing.clone()) {
            let alive = self.settle(&existing.container)?;
            self.gathered.look_at_entry(&alive, &self.decision())?;
            plan.deferred.iter().for_each(|line| ui::say(format_args!("at the next start: {line}")));
            let early = early.filter(|early| early.container == existing.id);
            let name = plan.project.container();
            return Ok(Running { name, ours: false, record, container: existing.container, early, call: self });
        }
        drop(early);
        // What refuses a start is found before anything is stopped or set aside for it.
        sources::check(self.cx, &self.gathered)?;
        self.ask_engine()?;
        plan = self.plan()?;
        if self.make_way(&plan)? {
            // Whatever was read until now was read while an agent could change it.
            let Ground { settings, confirm, .. } = &self.gathered.ground;
            let ground = Ground::under(self.cx, settings.clone(), confirm, None)?;
            self.gathered = ground.gather(self.cx, Purpose::Start, Some(self.signals))?;
        }
        let (seen, when) = self.gathered.protect_git(self.cx, &|| self.signals.any())?;
        if let Some(look) = seen {
            let ground = &self.gathered.ground;
            self.decision().settle(look, &ground.workspace, &ground.places, when)?;
        }
        sources::check(self.cx, &self.gathered)?;
        self.ask_engine()?;
        // With the engine's answers and the git directories that were just found.
        plan = self.plan()?;
        self.run(plan)
    }

    /// Asks the engine what a start has to know, unless that was done.
    fn ask_engine(&mut self) -> Result<()> {
        if self.gathered.engine.is_none() {
            let ground = &self.gathered.ground;
            self.gathered.engine = Some(Engined::read(self.cx, &ground.settings, &ground.user)?);
        }
        Ok(())
    }

    /// The plan, unless a run of it is refused.
    fn plan(&self) -> Result<Plan> {
        let mut plan = plan(self.cx, &self.gathered);
        if !plan.refused.is_empty() {
            return Err(plan.refused.swap_remove(0));
        }
        if let Some(known) = &self.gathered.engine {
            caches::refuse_foreign(&plan.project.spec, &known.volumes)?;
        }
        Ok(plan)
    }

    /// Names what no session holds, and ends it where the user wants that. Gives what is alive afterwards.
    fn settle(&self, container: &Container) -> Result<Alive> {
        let unanswered = || failed("the question was not answered").hint(UNANSWERED);
        let ask = || Ok(self.signals.ask(|| ui::agree("End them?")).ok_or_else(unanswered)?);
        let (places, alive) = (&self.gathered.ground.places, Alive::read(container)?);
        leftovers::settle(container, places, alive, self.leftovers, ask, || self.signals.any())
    }

    /// A running container that is not what is asked for may be stopped only where nobody works in it. Returns whether
    /// one was stopped.
    fn make_way(&self, plan: &Plan) -> Result<bool> {
        let Some(existing) = self.gathered.existing.as_ref().filter(|existing| existing.up) else { return Ok(false) };
        if !self.was_never_proven(existing)? {
            self.settle(&existing.container)?;
            held_back(&self.gathered, &plan.recreated, &plan.has)?;
        }
        self.gathered.note_unseen()?;
        ui::say("the container is stopped and recreated, nothing runs inside:");
        plan.recreated.iter().for_each(|line| ui::say(format_args!("  {line}")));
        exec::stdout_of(&docker::stop(&existing.id))?;
        Ok(true)
    }

    /// Whether a start has left this container before its proof, with nothing inside but the probe: nobody was let in. An
    /// editor that was attached to it without this tool would have a program inside.
    fn was_never_proven(&self, existing: &Existing) -> Result<bool> {
        let places = &self.gathered.ground.places;
        let proven = record::last(places).is_some_and(|record| record.container == existing.id);
        if proven || existing.spec.is_err() {
            return Ok(false);
        }
        let alive = Alive::read(&existing.container)?;
        Ok(alive.others().iter().all(|process| process.args.contains(PROBE)))
    }

    fn run(mut self, mut plan: Plan) -> Result<Running<'a>> {
        if plan.acts.iter().any(|act| matches!(act, Act::Image(_))) {
            self.image()?;
            plan = self.plan()?;
        }
        if !plan.recreated.is_empty() {
            ui::say("the container is recreated, nothing runs inside:");
            plan.recreated.iter().for_each(|line| ui::say(format_args!("  {line}")));
        }
        for act in &plan.acts {
            self.act(act, &plan.project)?;
        }
        self.look(plan)
    }

    /// Builds the image, and notes its tag and id.
    fn image(&mut self) -> Result<()> {
        let gathered = &mut self.gathered;
        if let Some(known) = &mut gathered.engine {
            known.image = build::ensure(self.cx, &gathered.ground.settings, &gathered.ground.user, &known.image)?;
        }
        Ok(())
    }

    fn act(&mut self, act: &Act, project: &Project) -> Result<()> {
        match act {
            Act::Image(_) => Err(failed("the image was built, and the engine does not list it").into()),
            Act::Snapshot => self.gathered.codex.snapshot(self.cx, &self.gathered.ground.exposed),
            Act::Fill(fill) => {
                fill.run(&self.gathered, &|| self.signals.any())?.iter().for_each(ui::say);
                Ok(())
            }
            Act::Override(step) => {
                // Checked again, now with the directories that were just filled; held until the container is compared.
                self.held = sources::hold(self.cx, &self.gathered)?;
                self.gathered.codex.notes.iter().for_each(ui::warn);
                exec::all(std::slice::from_ref(step))
            }
            // Asking for the volumes would cost each start a process: Compose reports it where one is missing.
            Act::Caches(_) => Ok(()),
            Act::Up => {
                self.gathered.note_unseen()?;
                self.gathered.ground.settings.lowered().iter().for_each(ui::say);
                overruled(project).iter().for_each(ui::warn);
                up(self.cx, project, &self.gathered)
            }
        }
    }

    /// No agent has run inside yet: the host looks into the container, while the probe is still busy. Where that ends in an
    /// error, the container is removed at once, so that the probe does not wait for the init either.
    fn look(mut self, plan: Plan) -> Result<Running<'a>> {
        let name = plan.project.container();
        let held = std::mem::take(&mut self.held);
        let ids = held.iter().map(|(target, source)| (target.clone(), source.node().id)).collect();
        let record = Record::new(name.clone(), plan.spec, ids);
        let signals = self.signals;
        let look = || {
            look_into(&record, &held, || signals.any()).inspect_err(|_| {
                running::take_back(Taken::Named(&name), compose::project_of(&name));
            })
        };
        let ask = || early::first(&record, &self.gathered.ground.workspace, &self.gathered.mirror);
        let (there, early) = exec::both(look, ask);
        let (existing, init, programs) = there?;
        let early = early.inspect_err(|_| {
            running::take_back(Taken::Named(&name), compose::project_of(&name));
        })?;
        let record = Record { container: existing.id, init, programs, ..record };
        Ok(Running { name, ours: true, record, container: existing.container, early: Some(early), call: self })
    }
}

/// What is found out in the container by its name, and what is read of its init and of its programs, before the init is
/// told to be out of reach. Where the host cannot see the init, the proof says so.
///
/// # Errors
/// There is no such container, it does not start, or another object was mounted than the one that was checked.
fn look_into(
    record: &Record,
    held: &Sources,
    stop: impl Fn() -> bool,
) -> Result<(Existing, Result<InitSeen, String>, Option<String>)> {
    let name = &record.container;
    let missing = || failed(format!("`docker compose up` ended well, and there is no container `{name}`"));
    let existing = find(name)?.ok_or_else(missing)?;
    let pid = init::of_this_host(&existing.container);
    let odd = |why: String| {
        failed(format!("the container `{name}` did not come up: {why}")).hint(format!("`docker logs {name}`"))
    };
    if !existing.up {
        return Err(odd("its main process has ended".to_owned()).into());
    }
    if let Ok(pid) = pid {
        init::opened(pid, &stop)
            .map_err(|why| if stop() { interrupted("interrupted").into() } else { anyhow::Error::from(odd(why)) })?;
    }
    let seen = InitSeen::read(&existing.container, &record.spec.mounts);
    if let Ok(seen) = &seen {
        sources::compare(held, seen)?;
    }
    let programs = record::programs_now(&record.spec, &existing.container);
    exec::stdout_of(&docker::tell_init(name, "USR1"))?;
    if let Ok(pid) = pid {
        init::shut(pid).map_err(odd)?;
    }
    Ok((existing, seen, programs))
}

/// A running container that is not what is asked for may be stopped only where nobody works in it. `has` are the flags that
/// ask for what it has.
///
/// # Errors
/// Something runs in it.
pub(super) fn held_back(gathered: &Gathered, recreated: &[String], has: &[String]) -> Result<()> {
    let existing = gathered.existing.as_ref().filter(|existing| existing.up && !recreated.is_empty());
    let Some(alive) = existing.map(|existing| Alive::read(&existing.container)).transpose()? else { return Ok(()) };
    let live: Vec<String> = leftovers::named(alive.others(), leftovers::line);
    if live.is_empty() {
        return Ok(());
    }
    let why = failed(format!("the running container is not what is asked for now:\n{}", recreated.join("\n")))
        .hint(format!("quit what runs inside, or end it with `cargo xtask down`:\n{}", live.join("\n")));
    Err(match has {
        [] => why,
        has => why.hint(format!("or ask for what the container has: `cargo xtask sandbox {}`", has.join(" "))),
    }
    .into())
}

/// What a user has said to Compose in vain.
fn overruled(project: &Project) -> Vec<String> {
    let dir = project.root.join("docker");
    let text = outside::text(&dir.join("docker-compose.yaml"), outside::WRITTEN).unwrap_or_default();
    let mut lines = compose::overruled(&text, &project.spec);
    let more = [&dir, &project.root].map(|dir| compose::UNREAD.map(|name| dir.join(name))).concat();
    lines.extend(
        more.iter()
            .filter(|path| path.exists())
            .map(|path| format!("`{}` is not read: the settings say what the sandbox is", text::path(path))),
    );
    lines
}

/// Removes the networks of this user's sandboxes that are gone, and says how many.
fn sweep(cx: &Context, gathered: &Gathered) -> usize {
    super::networks::sweep(cx, &gathered.ground.places).map_or(0, |swept| swept.len())
}

fn up(cx: &Context, project: &Project, gathered: &Gathered) -> Result<()> {
    let command = project.up();
    ui::echo(&command);
    ui::say("starting the container: usually 1 to 2 s");
    let said = exec::capture(&command).and_then(|said| match caches::is_missing(&said.stderr) {
        true => with_caches(project, &command),
        false => Ok(said),
    });
    let said = match said {
        Ok(said) if errors::wants_networks(&said.stderr) && sweep(cx, gathered) > 0 => exec::capture(&command),
        said => said,
    };
    if said.as_ref().is_ok_and(|said| said.ok()) {
        return Ok(());
    }
    // A container that was only half started is not left behind.
    if running::take_back(Taken::Named(&project.container()), &project.name) {
        gathered.note_not_started()?;
    }
    Err(errors::not_started(&said?.stderr, &project.spec.shape.gpus).into())
}

/// The user's first sandbox on this engine that shares its caches in this way.
fn with_caches(project: &Project, up: &Command) -> Result<Output> {
    exec::told(&project.cache_steps())?;
    exec::capture(up)
}
