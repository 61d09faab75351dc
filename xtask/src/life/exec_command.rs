//! How a container is entered: the program, and the command exactly as it runs. Pure.

use crate::codex::home::disable_flags;
use crate::context::Context;
use crate::engine::docker::{self, Entrance, Terminal, Whose};
use crate::spec::codex_command::{self, Environment};
use crate::spec::insider::Insider;
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

/// A session that has ended; the user has been told what it left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The exit code of what was entered.
    pub code: u8,
}

/// How a container is entered, by Codex and by what runs as Codex would.
pub(crate) struct Entry<'a> {
    /// The container.
    pub(crate) entrance: Entrance<'a>,
    /// What the image's entry point set up there.
    pub(crate) carried: &'a BTreeMap<String, String>,
    /// The variables that pass from the user's environment, by name.
    pub(crate) env: &'a [String],
}

impl Entry<'_> {
    /// The command that enters, exactly as it runs. `missing` are the MCP servers whose program is not inside.
    pub(super) fn command(&self, cx: &Context, missing: &[String], mark: &str, program: &Program) -> Command {
        let words = match program {
            Program::Shell => vec!["/bin/bash".to_owned()],
            Program::Codex(args) => codex_command::codex(&disable_flags(missing), args),
        };
        self.run(cx, Whose::Agents, Terminal { tty: cx.stdin_tty && cx.stdout_tty }, mark, &words)
    }

    /// The same for a program of this tool, whose answer counts: without a terminal, and out of the agent's reach.
    pub(crate) fn apart(&self, cx: &Context, who: Insider, mark: &str, words: &[String]) -> Command {
        self.run(cx, Whose::Tools(who), Terminal { tty: false }, mark, words)
    }

    fn run(&self, cx: &Context, whose: Whose, terminal: Terminal, mark: &str, words: &[String]) -> Command {
        let Environment { shown, named } = codex_command::environment(cx, self.env, self.carried, mark);
        docker::enter(self.entrance, whose, terminal, &shown, &named, words)
    }
}
