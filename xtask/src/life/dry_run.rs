//! What would be done: the settings, the sandbox, and the plan, printed and not run.

use super::exec_command::Program;
use super::gather::Gathered;
use super::plan::plan;
use super::ready;
use crate::context::Context;
use crate::spec::settings::Origin;
use crate::ui;
use anyhow::Result;

/// Prints the settings with their origin, the wanted sandbox, and every line of the plan. Runs nothing.
///
/// # Errors
/// What is wanted cannot be planned.
pub(crate) fn dry_run(cx: &Context, gathered: &Gathered, program: &Program) -> Result<u8> {
    let plan = plan(cx, gathered)?;
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

fn table(rows: impl Iterator<Item = Vec<String>>) {
    ui::result(ui::columns(&rows.collect::<Vec<_>>()).trim_end());
}
