//! Into the sandbox, and out of it again.

use super::leave::leave;
use super::ready;
use super::running::Running;
use crate::codex::home::disable_flags;
use crate::context::Context;
use crate::engine::docker::{self, Terminal};
use crate::spec::entering::{self, Environment};
use crate::spec::inside::{PYTHON, REAP};
use crate::spec::settings::{Origin, Settings};
use crate::spec::words::Mode;
use crate::step::Command;
use crate::{exec, ui};
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

/// How often a login that was renewed inside is carried over while Codex runs.
const LOGIN_INTERVAL: Duration = Duration::from_secs(10);

/// How long another call could take a session that was just started for none, and put another container in its place.
const UNSEEN: Duration = Duration::from_secs(1);

/// What is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Codex, with the user's arguments.
    Codex(Vec<String>),
    /// A shell, to look around.
    Shell,
}

/// A session that has ended; what it left behind was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The exit code of what was entered.
    pub code: u8,
}

/// How a container is entered.
pub struct Entry<'a> {
    /// The container, by id.
    pub container: &'a str,
    /// What the image's entry point set up there.
    pub carried: &'a BTreeMap<String, String>,
    /// MCP servers whose program is not inside.
    pub missing: &'a [String],
}

impl Entry<'_> {
    /// The command that enters, exactly as it runs.
    pub fn command(&self, cx: &Context, settings: &Settings, mark: &str, program: &Program) -> Command {
        let missing: Vec<&str> = self.missing.iter().map(String::as_str).collect();
        let words = match program {
            Program::Shell => vec!["/bin/bash".to_owned()],
            Program::Codex(args) => entering::codex(&disable_flags(&missing), args),
        };
        let Environment { shown, named } = entering::environment(cx, &settings.env, self.carried, mark);
        let terminal = Terminal { tty: cx.stdin_tty && cx.stdout_tty };
        docker::enter(self.container, terminal, &shown, &named, &words)
    }
}

/// Enters, waits, and says what was left and what changed.
///
/// # Errors
/// The program cannot be started, or the host cannot be tidied afterwards.
pub(super) fn enter(running: Running<'_>, missing: &[String], program: &Program) -> Result<Left> {
    let Running { call, name, record, .. } = running;
    let mark = super::nonce()?;
    for server in missing {
        ui::say(format_args!("the MCP server `{server}` is off: its program is not in the container"));
    }
    let gathered = &call.gathered;
    let entry = Entry { container: &record.container, carried: &record.carried, missing };
    let command = entry.command(call.cx, &gathered.settings, &mark, program);
    let before = super::audit::baseline(&gathered.places, &gathered.workspace)?;
    ui::echo(&command);
    let (start, since) = (Instant::now(), SystemTime::now());
    let (mut last, mut lock) = (start, Some(call.lock));
    let signals = &call.signals;
    let code = exec::attach(&command, || {
        if start.elapsed() > UNSEEN {
            // From here on another call may enter beside this one.
            drop(lock.take());
        }
        if last.elapsed() > LOGIN_INTERVAL && gathered.settings.codex_home == Mode::Mirror {
            last = Instant::now();
            // While Codex owns the terminal nothing is printed; what happened is said on the way out.
            let _ = ready::reconcile(gathered);
        }
        !signals.end()
    })?;
    if signals.end() {
        reap(&record.container, &mark);
    }
    leave(gathered, &before, since);
    ui::say(format_args!("`{name}` keeps running; `{}` stops it", down(&gathered.settings)));
    Ok(Left { code: u8::try_from(code).unwrap_or(1) })
}

/// Ends the Codex or the shell of a session whose terminal is gone: the engine would leave it running.
pub fn reap(container: &str, mark: &str) {
    let program = ["/usr/bin/env", "-i", PYTHON, "-I", "-S", REAP, mark];
    let command = docker::exec(container, &[], program).timeout(20);
    if !exec::capture(&command).is_ok_and(|said| said.ok()) {
        ui::warn(format_args!("what was entered may still run inside: `cargo xtask down` ends it"));
    }
}

/// The command that stops this very sandbox.
pub fn down(settings: &Settings) -> String {
    let given = |origin: &&Origin| origin.key == "workspace" && origin.from == "flag";
    match settings.origins.iter().find(given) {
        Some(workspace) => format!("cargo xtask down --workspace {}", shell_words::quote(&workspace.value)),
        None => "cargo xtask down".to_owned(),
    }
}
