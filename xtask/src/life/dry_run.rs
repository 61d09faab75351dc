//! What would be done: the settings, the sandbox, and the plan, printed and not run.

use super::exec_command::Program;
use super::gather::Gathered;
use super::plan::plan;
use super::start::held_back;
use super::{ready, sources};
use crate::context::Context;
use crate::engine::alive::Alive;
use crate::spec::settings::Origin;
use crate::ui;
use anyhow::Result;

/// Prints the settings with their origin, the wanted sandbox, and every line of the plan. Runs nothing.
///
/// # Errors
/// What is wanted cannot be planned.
pub(crate) fn dry_run(cx: &Context, gathered: &Gathered, program: &Program) -> Result<u8> {
    let mut plan = plan(cx, gathered);
    plan.refused.extend(refusals(cx, gathered, &plan.recreated));
    ui::result("# settings");
    let row = |o: &Origin| vec![format!("#   {}", o.key), o.value.clone(), format!("({})", o.from)];
    table(gathered.ground.settings.origins.iter().map(row));
    ui::result("# sandbox");
    table(plan.spec.rows().into_iter().map(|row| vec![format!("#   {}", row.name), row.value]));
    for note in ready::notes(gathered) {
        ui::result(format_args!("# codex home: {note}"));
    }
    plan.text(cx, gathered, program).iter().for_each(ui::result);
    Ok(0)
}

/// What else a run of the plan would be refused for, as far as it can be seen without running anything.
fn refusals(cx: &Context, gathered: &Gathered, recreated: &[String]) -> Vec<anyhow::Error> {
    let sources = sources::check(cx, gathered).err();
    let existing = gathered.existing.as_ref().filter(|existing| existing.up && !recreated.is_empty());
    let live = existing.map(|existing| Alive::read(&existing.container));
    let held = match live {
        Some(Ok(live)) if !live.others().is_empty() => Some(held_back(recreated, &live.others())),
        Some(Err(err)) => Some(err),
        Some(Ok(_)) | None => None,
    };
    gathered.foreign.iter().map(|why| anyhow::anyhow!("{why}")).chain(sources).chain(held).collect()
}

fn table(rows: impl Iterator<Item = Vec<String>>) {
    ui::result(ui::columns(&rows.collect::<Vec<_>>()).trim_end());
}
