//! Enters the sandbox, and reports what changed after the session.

use super::exec_command::{Entry, Left, Program};
use super::leave::leave;
use super::ready;
use super::running::Running;
use crate::engine::docker;
use crate::spec::inside::{PYTHON, REAP};
use crate::spec::settings::{Origin, Settings};
use crate::spec::words::Mode;
use crate::{exec, ui};
use anyhow::Result;
use std::time::{Duration, Instant, SystemTime};

/// How often a login that was renewed inside is carried over while Codex runs.
const LOGIN_INTERVAL: Duration = Duration::from_secs(10);

/// For this long after its start, another call may not see the session yet, and could recreate the container.
const UNSEEN: Duration = Duration::from_secs(1);

impl Running<'_> {
    /// Asks whether to enter, unless the user has said so already.
    fn asks(&self, yes: bool, program: &Program) -> bool {
        let question = match program {
            Program::Codex(_) => "Enter Codex?",
            Program::Shell => "Enter a shell?",
        };
        if yes || self.call.signals.ask(|| ui::confirm(question)) {
            return true;
        }
        let down = down(&self.call.gathered.ground.settings);
        ui::say(format_args!("not entered; `{}` keeps running, `{down}` stops it", self.name));
        false
    }

    /// Enters, waits for the end of the session, and reports what it left and what changed.
    ///
    /// # Errors
    /// The program cannot be started, or the host cannot be tidied afterwards.
    pub(super) fn go_in(self, missing: &[String], yes: bool, program: &Program) -> Result<Left> {
        if !self.asks(yes, program) {
            return Ok(Left { code: 0 });
        }
        let Running { call, name, record, .. } = self;
        let mark = super::nonce()?;
        for server in missing {
            ui::say(format_args!("the MCP server `{server}` is disabled: its program is not in the container"));
        }
        let gathered = &call.gathered;
        let entry =
            Entry { container: &record.container, carried: &record.carried, env: &gathered.ground.settings.env };
        let command = entry.command(call.cx, missing, &mark, program);
        let before = super::audit::snapshot(&gathered.ground.workspace);
        ui::echo(&command);
        let (start, since) = (Instant::now(), SystemTime::now());
        let (mut last, mut lock) = (start, Some(call.lock));
        let signals = &call.signals;
        let code = exec::attach(&command, || {
            if start.elapsed() > UNSEEN {
                // From here on another call may enter the same container.
                drop(lock.take());
            }
            if last.elapsed() > LOGIN_INTERVAL && gathered.ground.settings.shape.codex_home == Mode::Mirror {
                last = Instant::now();
                // While Codex owns the terminal nothing is printed; the user is told afterwards.
                let _ = ready::reconcile(gathered);
            }
            !signals.end()
        })?;
        if signals.end() {
            reap(&record.container, &mark);
        }
        leave(gathered, &before, since);
        ui::say(format_args!("`{name}` keeps running; `{}` stops it", down(&gathered.ground.settings)));
        Ok(Left { code: u8::try_from(code).unwrap_or(1) })
    }
}

/// Ends the Codex or the shell of a session whose terminal was closed: the engine would leave it running.
pub(crate) fn reap(container: &str, mark: &str) {
    let program = ["/usr/bin/env", "-i", PYTHON, "-I", "-S", REAP, mark];
    let command = docker::exec(container, &[], program).timeout(20);
    if !exec::capture(&command).is_ok_and(|said| said.ok()) {
        ui::warn(format_args!("what ran in that session may still run inside: `cargo xtask down` ends it"));
    }
}

/// The command that stops this very sandbox.
pub(super) fn down(settings: &Settings) -> String {
    let given = |origin: &&Origin| origin.key == "workspace" && origin.from == "flag";
    match settings.origins.iter().find(given) {
        Some(workspace) => format!("cargo xtask down --workspace {}", shell_words::quote(&workspace.value)),
        None => "cargo xtask down".to_owned(),
    }
}
