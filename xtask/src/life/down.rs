//! `cargo xtask down`: stop and remove the sandbox. The Codex home stays, unless `--all`; the caches, unless `--caches`.

use crate::context::Context;
use crate::engine::running::live_sessions;
use crate::engine::{caches, compose, docker};
use crate::error::{failed, usage};
use crate::life::{find, lock};
use crate::spec::places::{self, Places};
use crate::spec::settings::{self, Flags};
use crate::step::Step;
use crate::user::User;
use crate::{exec, ui};
use anyhow::Result;
use std::path::PathBuf;

/// Stop and remove the sandbox; the Codex home stays
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Also remove the sandbox's Codex home and git directory, after asking
    #[arg(long)]
    pub(crate) all: bool,
    /// Also remove the caches that your workspaces share, after asking
    #[arg(long)]
    pub(crate) caches: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the settings and every step, run none
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Runs the task.
///
/// # Errors
/// The engine does not answer, `--all` or `--caches` without a terminal and without `--yes`, or a cache is in use.
pub fn run(cx: &Context, args: &Args) -> Result<u8> {
    let settings = settings::load(cx, &args.flags)?;
    let user = User::read();
    let places = places::of(cx, &settings.workspace, user.uid);
    let container = compose::container_name(&places.project);
    // Not under a call that starts or proves it.
    let _lock = if args.dry_run || !places.dir.exists() { None } else { Some(lock(&places)?) };
    let found = find(&container)?;
    let volumes = if args.caches { caches_of(user.uid)? } else { Vec::new() };
    let mut steps = plan(&places, found.as_ref().map(|running| running.id.as_str()));
    if !volumes.is_empty() {
        // Two workspaces of a user may remove their common caches at the same time.
        steps.push(Step::Run(docker::remove_volumes(&volumes)));
    }
    if args.all {
        steps.extend(kept(&places).into_iter().map(|path| Step::Remove { path }));
    }
    if args.dry_run {
        steps.iter().for_each(ui::result);
        return Ok(0);
    }
    if (args.all || args.caches) && !args.yes {
        let running = found.as_ref().filter(|running| running.up);
        let live = running.map_or(Ok(Vec::new()), |running| live_sessions(&running.id))?;
        confirm(cx, &goes(&places, args, &volumes), &live)?;
    }
    exec::all(&steps).map_err(|err| if volumes.is_empty() { err } else { err.context(in_use()) })?;
    match found {
        Some(_) => ui::say(format_args!("removed the container `{container}`")),
        None => ui::say(format_args!("no container `{container}` was there")),
    }
    if args.caches && volumes.is_empty() {
        ui::say("no caches were there");
    }
    if !args.all && places.codex_home.exists() {
        ui::say(format_args!("kept `{}`; `cargo xtask down --all` removes it too", places.dir.display()));
    }
    Ok(0)
}

/// The volumes of a user's caches.
///
/// # Errors
/// The engine does not answer.
pub fn caches_of(uid: u32) -> Result<Vec<String>> {
    Ok(caches::parse_list(&exec::stdout_of(&caches::list())?, uid))
}

fn in_use() -> crate::error::Failure {
    failed("not everything was removed: the caches may be in use by the sandbox of another workspace")
        .hint("`cargo xtask down --workspace DIR` ends that one; then call this again")
}

fn plan(places: &Places, container: Option<&str>) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(id) = container {
        steps.push(Step::Run(docker::remove(id)));
    }
    let name = compose::container_name(&places.project);
    steps.push(Step::Run(compose::remove_network(&name)));
    let generated = places.override_file.parent().map(PathBuf::from);
    steps.extend(generated.map(|path| Step::Remove { path }));
    for path in [&places.guest, &places.agents, &places.system_codex, &places.record, &places.proof] {
        steps.push(Step::Remove { path: path.clone() });
    }
    steps
}

/// What `down` keeps and `down --all` removes.
fn kept(places: &Places) -> Vec<PathBuf> {
    vec![places.dir.clone()]
}

/// What is about to go for good, a line each.
fn goes(places: &Places, args: &Args, volumes: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    if args.all {
        lines.push(format!(
            "`{}` holds the sandbox's Codex home (its sessions and login) and its git directory (commits not taken over)",
            places.dir.display()
        ));
    }
    let line = |volume: &String| format!("the volume `{volume}` is shared by all your workspaces");
    lines.extend(volumes.iter().map(line));
    lines
}

fn confirm(cx: &Context, goes: &[String], live: &[String]) -> Result<()> {
    if goes.is_empty() {
        return Ok(());
    }
    if !cx.stdin_tty {
        return Err(usage("`down --all` and `down --caches` ask before they remove, and there is no terminal")
            .hint("add `--yes`")
            .into());
    }
    goes.iter().for_each(ui::say);
    for line in live {
        ui::say(format_args!("this runs inside and ends with it: {}", ui::printable(line)));
    }
    match ui::ask("Remove it? [y/N] ").as_deref() {
        Some("y" | "Y" | "yes") => Ok(()),
        _ => Err(failed("nothing was removed").into()),
    }
}
