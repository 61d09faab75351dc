//! The host-side checks of every mount's source, before anything is started.

use super::gather::Gathered;
use super::rules::rules;
use super::{neighbours, wanted};
use crate::beneath::Held;
use crate::context::{Context, resolved};
use crate::error::failed;
use crate::finding::Finding;
use crate::proof::init::InitSeen;
use crate::proof::sources;
use crate::spec::{Mount, Role};
use crate::ui;
use anyhow::Result;
use std::collections::BTreeMap;

/// The mounts, and what is wrong with them.
pub(crate) fn problems(cx: &Context, gathered: &Gathered) -> (Vec<Mount>, Vec<Finding>) {
    // What this tool fills itself is not there yet before the first start, and is checked right before it.
    let given = |mount: &Mount| matches!(mount.role, Role::Workspace | Role::Dataset(_)) || mount.source.exists();
    let mounts: Vec<Mount> = wanted::mounts(gathered).into_iter().filter(given).collect();
    let problems = look(cx, gathered, &mounts).1;
    (mounts, problems)
}

/// The sources of these mounts by target, still held open, and what is wrong with them.
fn look(cx: &Context, gathered: &Gathered, mounts: &[Mount]) -> (Sources, Vec<Finding>) {
    let ground = &gathered.ground;
    let rules = rules(cx, &ground.user, ground.surroundings.groups.clone(), &ground.settings);
    sources::hold(mounts, &rules, &ground.exposed)
}

/// The sources of the mounts by their target, held open.
pub(super) type Sources = BTreeMap<String, Held>;

/// Checks the sources a last time and holds them, and keeps which of them the sandbox can write from now on.
///
/// # Errors
/// Any source is refused, or the state folder cannot be written.
pub(super) fn hold(cx: &Context, gathered: &Gathered) -> Result<Sources> {
    let mounts = wanted::mounts(gathered);
    let (held, problems) = look(cx, gathered, &mounts);
    if let Some(failure) = sources::failure(&problems) {
        return Err(failure.into());
    }
    // One that does not run was told of before.
    neighbours::refuse(cx, gathered)?;
    let open = mounts.iter().filter(|mount| !mount.read_only).filter_map(|mount| held.get(&mount.target));
    let open: Vec<&Held> = open.collect();
    let shown: Vec<Held> = open.iter().flat_map(|dir| sources::shown_by(dir)).collect();
    gathered.ground.exposed.save(&open.into_iter().chain(&shown).collect::<Vec<_>>())?;
    Ok(held)
}

/// Compares what the container has with what was checked, before any agent runs in it. What the host cannot see is left to
/// the proof.
///
/// # Errors
/// Another object was mounted than the one that was checked.
pub(super) fn compare(sources: &Sources, init: &InitSeen) -> Result<()> {
    let other = |(target, source): (&String, &Held)| match init.mounted.get(target) {
        Some(Ok(placed)) if placed.id != source.node().id => Some(format!(
            "`{target}` is not what was checked: `{}` was {}, and {} was mounted",
            source.asked().display(),
            source.node().id,
            placed.id
        )),
        Some(_) | None => None,
    };
    let others: Vec<String> = sources.iter().filter_map(other).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(failed(others.join("\n  "))
        .hint(
            "a program exchanged it between the check and the mount: look for what still runs, also in other sandboxes \
               (`cargo xtask status`), and do not trust that directory",
        )
        .into())
}

/// Whatever is handed out by the user's word alone, a line each.
pub(super) fn handed_out(gathered: &Gathered) -> Vec<String> {
    let mounts = wanted::mounts(gathered);
    let allowed = gathered.ground.settings.allow_ground.iter().map(|path| resolved(path));
    let handed = allowed.filter(|path| mounts.iter().any(|mount| resolved(&mount.source) == *path));
    handed.map(|path| format!("`{}` is handed out because `allow_ground` names it", path.display())).collect()
}

/// The same as an error that names them all at once.
///
/// # Errors
/// Any source is refused.
pub(super) fn check(cx: &Context, gathered: &Gathered) -> Result<()> {
    sources::failure(&problems(cx, gathered).1).map_or(Ok(()), Err)?;
    neighbours::refuse(cx, gathered)?.iter().for_each(ui::warn);
    Ok(())
}
