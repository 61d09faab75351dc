//! How a command of this tool is spelled for the user: with the workspace that the call was given, so that advice can be
//! pasted as it is and means this very sandbox. All that is printed for people passes through [`spelled`].

use crate::text;
use std::path::Path;
use std::sync::OnceLock;

/// What a call of a task must name.
#[derive(Debug)]
struct Given {
    /// As one word of a shell.
    workspace: String,
    /// The tasks that have the flag.
    tasks: Vec<String>,
}

/// Set once at the start, where the workspace is not the one of the settings files.
static GIVEN: OnceLock<Given> = OnceLock::new();

/// From now on every command of these tasks names this workspace.
pub(crate) fn name(workspace: &Path, tasks: Vec<String>) {
    let workspace = text::word(&workspace.display().to_string());
    let _ = GIVEN.set(Given { workspace, tasks });
}

/// The text, whose commands of this tool (at its start, or behind a backtick) name the workspace.
pub(crate) fn spelled(text: &str) -> String {
    GIVEN.get().map_or_else(|| text.to_owned(), |given| given.spelled(text))
}

impl Given {
    fn spelled(&self, text: &str) -> String {
        const CALL: &str = "cargo xtask ";
        let mut spelled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(CALL) {
            let (before, call) = rest.split_at(at);
            let task =
                call[CALL.len()..].split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default();
            let (head, tail) = call.split_at(CALL.len() + task.len());
            spelled.push_str(before);
            spelled.push_str(head);
            let begins = spelled.len() == head.len() || before.ends_with('`');
            let named = tail.split('`').next().is_some_and(|own| own.contains("--workspace"));
            if begins && !named && self.tasks.iter().any(|known| known == task) {
                spelled.push_str(" --workspace ");
                spelled.push_str(&self.workspace);
            }
            rest = tail;
        }
        spelled + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_workspace_wherever_the_task_takes_one_and_once() {
        let given = Given { workspace: "'/my project'".into(), tasks: vec!["down".into(), "sandbox".into()] };
        for (text, spelled) in [
            ("run `cargo xtask down`", "run `cargo xtask down --workspace '/my project'`"),
            ("cargo xtask down --all", "cargo xtask down --workspace '/my project' --all"),
            ("`cargo xtask down --workspace DIR` ends it", "`cargo xtask down --workspace DIR` ends it"),
            (
                "`cargo xtask down`, then `cargo xtask sandbox --shell`; `cargo xtask image`",
                "`cargo xtask down --workspace '/my project'`, then `cargo xtask sandbox --workspace '/my project' \
                 --shell`; `cargo xtask image`",
            ),
            ("# Made by cargo xtask down", "# Made by cargo xtask down"),
            ("`cargo xtask downer`", "`cargo xtask downer`"),
        ] {
            assert_eq!(given.spelled(text), spelled);
            assert_eq!(given.spelled(spelled), spelled, "a second time");
        }
    }
}
