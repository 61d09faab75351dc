//! The plan: what a call of `sandbox` does, as values. A dry run prints the very list that a run goes through. Pure.

use super::exec_command::{Entry, Program};
use super::gather::Gathered;
use super::ready::{Fill, fills};
use super::record::{self, Record};
use super::{native, sources, wanted};
use crate::context::Context;
use crate::engine::compose::Project;
use crate::engine::docker::Entrance;
use crate::engine::running::Existing;
use crate::error::failed;
use crate::image::build;
use crate::image::command::Wishes;
use crate::proof::probe::ProbeRequest;
use crate::spec::Spec;
use crate::spec::words::{GpuRoute, Gpus};
use crate::step::Step;
use crate::text;
use crate::{engine, gpu};
use anyhow::Result;

/// One thing that is done before the container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// The image is built. Its tag holds the id of its base, which is known once that is there.
    Image(Vec<Step>),
    /// The host's Codex is copied to where no update of the host reaches it, unless the copy is there.
    Snapshot,
    /// A directory of the host is filled for the container.
    Fill(Fill),
    /// The override is written.
    Override(Step),
    /// The volumes of the caches are made: only where Compose misses one.
    Caches(Vec<Step>),
    /// The container is created and started.
    Up,
}

/// What a call does, up to the container that is proven and entered.
pub(crate) struct Plan {
    /// The sandbox: of the running container where that is entered, else the wanted one.
    pub spec: Spec,
    /// The record of the running container, where that is entered as it is.
    pub entered: Option<Record>,
    /// Why the running container is recreated, a line each.
    pub recreated: Vec<String>,
    /// The flags that ask for what the running container has, as words of a shell.
    pub has: Vec<String>,
    /// What changes at the next start, a line each.
    pub deferred: Vec<String>,
    /// Why a run is refused: a dry run says it beside the plan, a run ends with the first.
    pub refused: Vec<anyhow::Error>,
    /// What is done, in this order; nothing where the running container is entered.
    pub acts: Vec<Act>,
    /// What Compose is told.
    pub project: Project,
}

/// Plans a call. This host may be unable to run it, the running container may be paused: that is in `refused`.
pub(crate) fn plan(cx: &Context, gathered: &Gathered) -> Plan {
    let mut refused = Vec::new();
    let route = route(gathered).unwrap_or_else(|err| {
        refused.push(err);
        usual_route(gathered)
    });
    let spec = wanted::spec(cx, gathered, route);
    let (mut recreated, mut has) = (Vec::new(), Vec::new());
    let unreadable = |existing: &&Existing| existing.up || existing.spec.is_err();
    if let Some(existing) = gathered.existing.as_ref().filter(unreadable) {
        refused.extend(existing.container.state.paused.then(|| paused(gathered)));
        match record::trusted(&gathered.ground.places, existing) {
            Err(why) => recreated.push(why.message),
            Ok(_) if !existing.up => {}
            Ok(record) => {
                let shape = gathered.ground.settings.shape_beside(&record.spec.shape, cx.memory);
                let found = record.spec.differences(&Spec { shape, ..spec.clone() });
                if found.blocking.is_empty() {
                    let project = project(cx, gathered, record.spec.clone());
                    let (spec, entered, deferred) = (record.spec.clone(), Some(record), found.deferred);
                    return Plan { spec, entered, recreated, has, deferred, refused, acts: Vec::new(), project };
                }
                (recreated, has) = (found.blocking, found.has);
            }
        }
    }
    let project = project(cx, gathered, spec.clone());
    let acts = acts(cx, gathered, &project);
    Plan { spec, entered: None, recreated, has, deferred: Vec::new(), refused, acts, project }
}

fn paused(gathered: &Gathered) -> anyhow::Error {
    let name = crate::engine::compose::container_name(&gathered.ground.places.project);
    failed(format!("the container `{name}` is paused"))
        .hint(format!("`docker unpause {name}`, or `cargo xtask down` to end what is in it"))
        .into()
}

/// How the GPUs are asked for. The engine is not asked where a running container is examined, or where a dry run has no
/// engine: the route is then the usual one, and is not compared with anything.
fn route(gathered: &Gathered) -> Result<Option<GpuRoute>> {
    let gpus = &gathered.ground.settings.shape.gpus;
    match &gathered.engine {
        Some(known) => {
            engine::refuse(&known.engine)?;
            Ok(gpu::route(gpus, &known.engine, &known.gpus)?)
        }
        None => Ok(usual_route(gathered)),
    }
}

fn usual_route(gathered: &Gathered) -> Option<GpuRoute> {
    match gathered.ground.settings.shape.gpus {
        Gpus::None => None,
        Gpus::All | Gpus::Ids(_) => Some(GpuRoute::Nvidia),
    }
}

fn project(cx: &Context, gathered: &Gathered, spec: Spec) -> Project {
    Project {
        name: gathered.ground.places.project.clone(),
        root: cx.root.clone(),
        override_file: gathered.ground.places.override_file.clone(),
        spec,
    }
}

fn acts(cx: &Context, gathered: &Gathered, project: &Project) -> Vec<Act> {
    let mut acts = Vec::new();
    let unknown = build::State { inputs: gathered.image.clone(), id: None, newest: None };
    let image = gathered.engine.as_ref().map_or(&unknown, |known| &known.image);
    if image.id.is_none() {
        acts.push(Act::Image(build::steps(cx, &gathered.ground.settings, image, Wishes::default())));
    }
    acts.push(Act::Snapshot);
    acts.extend(fills(gathered).into_iter().map(Act::Fill));
    acts.push(Act::Override(project.override_step()));
    let caches = project.cache_steps();
    if !caches.is_empty() {
        acts.push(Act::Caches(caches));
    }
    acts.push(Act::Up);
    acts
}

impl Plan {
    /// The lines of an act, as a dry run prints them.
    fn lines(&self, act: &Act, gathered: &Gathered) -> Vec<String> {
        let all = |steps: &[Step]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
        match act {
            Act::Image(steps) => {
                let tag = "# the tag changes with the id of the base image, where that is not there yet";
                all(steps).into_iter().chain([tag.to_owned()]).collect()
            }
            Act::Snapshot => {
                let (from, to) = (gathered.codex.binary.display(), gathered.codex.package.display());
                vec![format!("# copy the Codex of `{from}` to `{to}`, unless it is there")]
            }
            Act::Fill(fill) => vec![fill.to_string()],
            Act::Override(step) => vec![step.to_string()],
            Act::Caches(steps) => {
                let only = "# the volumes, only where `docker compose up` says that one is missing";
                [only.to_owned()].into_iter().chain(all(steps)).collect()
            }
            Act::Up => vec![self.project.up().to_string()],
        }
    }

    /// The whole plan, as a dry run prints it: pasteable lines, and comments for what this tool does itself.
    pub(crate) fn text(&self, cx: &Context, gathered: &Gathered, program: &Program) -> Vec<String> {
        let mut lines: Vec<String> = gathered.unknown.iter().map(|why| format!("# not known: {why}")).collect();
        lines.extend(sources::handed_out(gathered).iter().map(|line| format!("# {line}")));
        let name = self.project.container();
        // Every line of a reason is a comment, because the plan can be pasted.
        for why in &self.refused {
            lines.extend(format!("a run is refused: {why:#}").lines().map(|line| format!("# {line}")));
        }
        if self.entered.is_some() {
            lines.push(format!("# `{name}` runs and is what is wanted: it is entered"));
            lines.extend(fills(gathered).iter().map(|fill| format!("{fill}, where nothing runs inside")));
        }
        lines.extend(self.deferred.iter().map(|line| format!("# at the next start: {line}")));
        lines.extend(self.recreated.iter().map(|line| format!("# `{name}` is recreated: {line}")));
        if let Some(repository) = &gathered.ground.repository {
            let dirs = repository.readable_objects().iter().map(|dir| format!("`{}`", dir.display()));
            let dirs = dirs.collect::<Vec<_>>().join(", ");
            lines.push(format!("# every commit and file of these object directories is readable inside: {dirs}"));
        }
        for (variable, value) in self.project.exports() {
            lines.push(format!("export {variable}={}", text::word(&value)));
        }
        for act in &self.acts {
            lines.extend(self.lines(act, gathered));
        }
        lines.push(ProbeRequest::new(&self.spec, "NONCE", 0).command(&name).to_string());
        lines.extend(native::dry_run(cx, gathered, &name, &self.spec).map(|command| command.to_string()));
        let carried = self.entered.as_ref().map(|record| record.carried().clone()).unwrap_or_default();
        let entrance = Entrance::new(&name, self.spec.denials());
        let entry = Entry { entrance, carried: &carried, env: &gathered.ground.settings.env };
        lines.push(entry.command(cx, &[], "SESSION", program).to_string());
        lines
    }
}
