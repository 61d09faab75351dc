//! `cargo xtask down`: stop and remove the sandbox. The Codex home stays, unless `--all`.

use crate::cli::Flags;
use crate::context::Context;
use crate::error::{failed, usage};
use crate::exec;
use crate::host::user::User;
use crate::sandbox::places::{self, Places};
use crate::sandbox::{compose, settings};
use crate::step::Step;
use crate::tasks::sandbox::{find, live_sessions, lock};
use crate::ui;
use anyhow::Result;
use std::path::PathBuf;

/// Runs the task.
///
/// # Errors
/// The engine does not answer, or `--all` without a terminal and without `--yes`.
pub fn run(cx: &Context, flags: &Flags, all: bool) -> Result<u8> {
    let settings = settings::load(cx, flags)?;
    let user = User::read();
    let places = places::of(cx, &workspace(&settings.workspace), user.uid);
    let container = compose::container_name(&places.project);
    // Not under a call that starts or proves it.
    let _lock = if flags.dry_run || !places.dir.exists() {
        None
    } else {
        Some(lock(&places)?)
    };
    let found = find(&container)?;
    let mut steps = plan(&places, found.as_ref().map(|running| running.id.as_str()));
    if all {
        steps.extend(kept(&places).into_iter().map(|path| Step::Remove { path }));
    }
    if flags.dry_run {
        steps.iter().for_each(ui::result);
        return Ok(0);
    }
    if all && !flags.yes {
        let running = found.as_ref().filter(|running| running.up);
        let live = running.map_or(Ok(Vec::new()), |running| live_sessions(&running.id))?;
        confirm(cx, &places, &live)?;
    }
    exec::all(&steps)?;
    match found {
        Some(_) => ui::say(format_args!("removed the container `{container}`")),
        None => ui::say(format_args!("no container `{container}` was there")),
    }
    if !all && places.codex_home.exists() {
        ui::say(format_args!(
            "kept `{}`; `cargo xtask down --all` removes it too",
            places.dir.display()
        ));
    }
    Ok(0)
}

/// A workspace that is gone still has a sandbox to remove: its path is then taken as it was written.
pub fn workspace(path: &std::path::Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn plan(places: &Places, container: Option<&str>) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(id) = container {
        steps.push(Step::Run(compose::remove(id)));
    }
    let name = compose::container_name(&places.project);
    steps.push(Step::Run(compose::remove_network(&name)));
    let generated = places.override_file.parent().map(PathBuf::from);
    steps.extend(generated.map(|path| Step::Remove { path }));
    for path in [
        &places.guest,
        &places.agents,
        &places.system_codex,
        &places.entry,
        &places.proof,
    ] {
        steps.push(Step::Remove { path: path.clone() });
    }
    steps
}

/// What `down` keeps and `down --all` removes.
fn kept(places: &Places) -> Vec<PathBuf> {
    vec![places.dir.clone()]
}

fn confirm(cx: &Context, places: &Places, live: &[String]) -> Result<()> {
    if !cx.stdin_tty {
        return Err(usage("`down --all` asks before it removes, and there is no terminal")
            .hint("add `--yes`")
            .into());
    }
    ui::say(format_args!(
        "`{}` holds the sandbox's Codex home (its sessions and login) and its git directory (commits not taken over)",
        places.dir.display()
    ));
    for line in live {
        ui::say(format_args!(
            "this runs inside and ends with it: {}",
            ui::printable(line)
        ));
    }
    match ui::ask("Remove it? [y/N] ").as_deref() {
        Some("y" | "Y" | "yes") => Ok(()),
        _ => Err(failed("nothing was removed").into()),
    }
}
