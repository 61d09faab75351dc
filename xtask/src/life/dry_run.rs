//! What would be done: the settings, the sandbox, and the plan, printed and not run.

use super::exec_command::Program;
use super::gather::Gathered;
use super::plan::plan;
use super::start::held_back;
use super::{ready, sources};
use crate::context::Context;
use crate::spec::settings::{Origin, Settings};
use crate::{error, ui};
use anyhow::Result;

/// Prints the settings with their origin, the wanted sandbox, and every line of the plan. Runs nothing. Returns the exit
/// code that a run would be refused with, as far as that can be seen: else 0, also where no engine answers.
///
/// # Errors
/// What is wanted cannot be planned.
pub(crate) fn dry_run(cx: &Context, gathered: &Gathered, program: &Program) -> Result<u8> {
    let mut plan = plan(cx, gathered);
    let lacking = gathered.ground.refused.iter().cloned().map(anyhow::Error::from);
    plan.refused.splice(0..0, lacking);
    plan.refused.extend(refusals(cx, gathered, &plan.recreated, &plan.has));
    if plan.entered.is_none() {
        plan.refused.extend(gathered.codex.refuse_copy(&gathered.ground.exposed).err());
    }
    show_settings(&gathered.ground.settings);
    ui::result("# sandbox");
    table(plan.spec.rows().into_iter().map(|row| vec![format!("#   {}", row.name), row.value]));
    for note in ready::notes(gathered) {
        ui::planned(format_args!("# codex home: {note}"));
    }
    plan.text(cx, gathered, program).iter().for_each(ui::planned);
    gathered.unknown.iter().for_each(|why| ui::say(format_args!("not known: {why}")));
    plan.refused.iter().for_each(|why| ui::say(error::render(why).trim_end()));
    let code = plan.refused.first().map_or(0, error::exit_code);
    if code != 0 {
        ui::say(format_args!("a run is refused, with exit code {code}"));
    }
    Ok(code)
}

/// What else a run of the plan would be refused for, as far as it can be seen without running anything.
fn refusals(cx: &Context, gathered: &Gathered, recreated: &[String], has: &[String]) -> Vec<anyhow::Error> {
    let sources = sources::check(cx, gathered).err();
    let held = held_back(gathered, recreated, has).err();
    gathered.foreign.clone().map(Into::into).into_iter().chain(sources).chain(held).collect()
}

/// Prints the settings with their origin, as the first part of a dry run.
pub(crate) fn show_settings(settings: &Settings) {
    ui::result("# settings");
    let row = |o: &Origin| vec![format!("#   {}", o.key), o.value.clone(), format!("({})", o.from)];
    table(settings.origins.iter().map(row));
}

fn table(rows: impl Iterator<Item = Vec<String>>) {
    ui::result(ui::columns(&rows.collect::<Vec<_>>()).trim_end());
}
