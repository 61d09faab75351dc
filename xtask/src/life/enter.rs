//! Into the sandbox, and out of it again.

use super::home;
use super::signals::Signals;
use super::start::Started;
use crate::codex::home::{Mode, disable_flags};
use crate::codex::login;
use crate::codex::login::LoginOutcome;
use crate::context::Context;
use crate::engine::docker;
use crate::engine::docker::Terminal;
use crate::exec;
use crate::git;
use crate::life::audit;
use crate::life::gather::Wish;
use crate::spec::entering;
use crate::spec::entering::Environment;
use crate::spec::settings::{Origin, Settings};
use crate::step::Command;
use crate::ui;
use anyhow::Result;
use serde_json::{Map, Value};
use std::fs::File;
use std::time::{Duration, Instant, SystemTime};

/// How often a login that was renewed inside is carried over while Codex runs.
const LOGIN_INTERVAL: Duration = Duration::from_secs(10);

/// How long another call could take a session that was just started for none, and put another container in its place.
const UNSEEN: Duration = Duration::from_secs(1);

/// Enters Codex (or a shell), waits, and says what was left and what changed. Returns the program's exit code.
///
/// # Errors
/// The program cannot be started, or the host cannot be tidied afterwards.
pub fn enter(
    cx: &Context,
    wish: &Wish,
    started: &Started,
    signals: &Signals,
    lock: File,
    shell: bool,
    args: &[String],
) -> Result<u8> {
    let mark = super::nonce()?;
    for name in &started.missing {
        ui::say(format_args!("the MCP server `{name}` is off: its program is not in the container"));
    }
    let command = command(cx, wish, started, &mark, shell, args);
    let before = baseline(wish)?;
    ui::echo(&command);
    let (start, since) = (Instant::now(), SystemTime::now());
    let (mut last, mut lock) = (start, Some(lock));
    let code = exec::attach(&command, || {
        if start.elapsed() > UNSEEN {
            // From here on another call may enter beside this one.
            drop(lock.take());
        }
        if last.elapsed() > LOGIN_INTERVAL && wish.settings.codex_home == Mode::Mirror {
            last = Instant::now();
            // While Codex owns the terminal nothing is printed; what happened is said on the way out.
            let _ = home::reconcile(wish);
        }
        !signals.end()
    })?;
    if signals.end() {
        reap(&started.id, &mark);
    }
    leave(wish, started, &before, since);
    Ok(u8::try_from(code).unwrap_or(1))
}

/// The command that enters, exactly as it runs.
pub fn command(cx: &Context, wish: &Wish, started: &Started, mark: &str, shell: bool, args: &[String]) -> Command {
    let missing: Vec<&str> = started.missing.iter().map(String::as_str).collect();
    let program = if shell { vec!["/bin/bash".to_owned()] } else { entering::codex(&disable_flags(&missing), args) };
    let Environment { shown, named } = entering::environment(cx, &wish.settings.env, &started.entry.carried, mark);
    let terminal = Terminal { tty: cx.stdin_tty && cx.stdout_tty };
    docker::enter(&started.id, terminal, &shown, &named, &program)
}

fn baseline(wish: &Wish) -> Result<Map<String, Value>> {
    let snapshot = audit::snapshot(&wish.workspace);
    exec::write_file(&wish.places.baseline, Value::Object(snapshot.clone()).to_string().as_bytes(), 0o600)?;
    Ok(snapshot)
}

/// Ends the Codex or the shell of a session whose terminal is gone: the engine would leave it running.
pub fn reap(container: &str, mark: &str) {
    let command = ["/usr/bin/env", "-i", "/usr/bin/python3", "-I", "-S", "/sandbox/reap.py", mark];
    let command = docker::exec(container, &[], command).timeout(20);
    if !exec::capture(&command).is_ok_and(|said| said.ok()) {
        ui::warn(format_args!("what was entered may still run inside: `cargo xtask down` ends it"));
    }
}

/// Says what became of the login; a login that cannot be read is no reason to keep the exit code back.
fn leave_login(wish: &Wish, since: SystemTime) {
    let (host, private) = (&wish.settings.host_codex_home, &wish.places.codex_home);
    let burnt = login::burnt(host, private, &wish.places.login, since);
    match home::reconcile(wish) {
        // What stayed as it was when Codex was entered was said then.
        Ok(outcome @ (LoginOutcome::ToHost | LoginOutcome::Refused(_) | LoginOutcome::Busy)) => ui::say(outcome),
        Ok(_) => {}
        Err(err) => ui::warn(format_args!("the login was not carried over: {err:#}")),
    }
    if let Ok(Some(burnt)) = burnt {
        ui::warn(burnt);
    }
}

fn leave(wish: &Wish, started: &Started, before: &Map<String, Value>, since: SystemTime) {
    if wish.settings.codex_home == Mode::Mirror {
        leave_login(wish, since);
    }
    for line in audit::changes(before, &audit::snapshot(&wish.workspace)) {
        ui::warn(format_args!("in the workspace, {line}"));
    }
    if wish.user.uid == 0 {
        let cleared = audit::clear_setuid(&wish.workspace);
        for path in cleared.files {
            ui::warn(format_args!(
                "removed the setuid bit of `{}`: it would have made anyone root",
                ui::printable(&path.to_string_lossy())
            ));
        }
        for (path, why) in cleared.failed {
            ui::warn(format_args!(
                "`{}` could not be looked at for setuid bits: {why}",
                ui::printable(&path.to_string_lossy())
            ));
        }
    }
    if let Some(repository) = &wish.repository {
        match git::list(repository, &wish.places.git) {
            Ok(listing) => git::summary(&listing).into_iter().chain(listing.notes).for_each(ui::say),
            Err(err) => ui::warn(format_args!("the commits of the sandbox could not be read: {err:#}")),
        }
    }
    ui::say(format_args!("`{}` keeps running; `{}` stops it", started.container, down(&wish.settings)));
}

/// The command that stops this very sandbox.
pub fn down(settings: &Settings) -> String {
    let given = |origin: &&Origin| origin.key == "workspace" && origin.from == "flag";
    match settings.origins.iter().find(given) {
        Some(workspace) => format!("cargo xtask down --workspace {}", shell_words::quote(&workspace.value)),
        None => "cargo xtask down".to_owned(),
    }
}
