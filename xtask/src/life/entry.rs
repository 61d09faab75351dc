//! How a container is entered: the program, and the command exactly as it runs. Pure.

use crate::codex::home::disable_flags;
use crate::context::Context;
use crate::engine::docker::{self, Terminal};
use crate::spec::entering::{self, Environment};
use crate::spec::settings::Settings;
use crate::step::Command;
use std::collections::BTreeMap;

/// What is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
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
pub(super) struct Entry<'a> {
    /// The container, by id.
    pub container: &'a str,
    /// What the image's entry point set up there.
    pub carried: &'a BTreeMap<String, String>,
    /// MCP servers whose program is not inside.
    pub missing: &'a [String],
}

impl Entry<'_> {
    /// The command that enters, exactly as it runs.
    pub(super) fn command(&self, cx: &Context, settings: &Settings, mark: &str, program: &Program) -> Command {
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
