//! How a command of this tool is spelled for the user: with the workspace and the settings that the call was given by flags, so
//! that advice can be pasted as it is and means this very sandbox. All that is printed for people passes through [`spelled`].

use crate::text;
use std::path::Path;
use std::sync::OnceLock;

/// The tasks whose commands mean another sandbox, or none, without the settings of the call.
const SHAPED: [&str; 5] = ["sandbox", "mounts", "image", "gpu-smoke", "doctor"];

/// What a call of a task must name.
#[derive(Debug)]
struct Given {
    /// The workspace, as one word of a shell, where it is not the one of the settings files.
    workspace: Option<String>,
    /// The tasks, each with its flags.
    tasks: Vec<Taking>,
    /// The other flags that shape the sandbox, each with its values as words of a shell.
    settings: Vec<(&'static str, Vec<String>)>,
}

/// A task, and the flags that it takes.
pub(crate) type Taking = (String, Vec<String>);

/// Set once at the start, where flags say what the settings files do not.
static GIVEN: OnceLock<Given> = OnceLock::new();

/// From now on every command of these tasks that takes it names this workspace, and where they depend on the settings, these too.
pub(crate) fn name(workspace: Option<&Path>, tasks: Vec<Taking>, settings: Vec<(&'static str, Vec<String>)>) {
    let workspace = workspace.map(|dir| text::word(&dir.display().to_string()));
    let _ = GIVEN.set(Given { workspace, tasks, settings });
}

/// The text, whose commands of this tool (at its start, or behind a backtick) name what the call was given.
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
            if let Some(taking) = self.tasks.iter().find(|(known, _)| begins && known == task) {
                spelled.push_str(&self.missing(taking, tail.split('`').next().unwrap_or_default()));
            }
            rest = tail;
        }
        spelled + rest
    }

    /// What a command lacks whose own flags are these. One that names a workspace itself means another sandbox.
    fn missing(&self, (task, flags): &Taking, own: &str) -> String {
        let names = |flag: &str| own.split_whitespace().any(|word| word.split('=').next() == Some(flag));
        let takes = |flag: &str| flags.iter().any(|known| known == flag);
        let mut more = String::new();
        let same = self.workspace.as_ref().is_some_and(|workspace| own.contains(workspace.as_str()));
        if let Some(workspace) = self.workspace.as_ref().filter(|_| takes("--workspace") && !names("--workspace")) {
            more.push_str(" --workspace ");
            more.push_str(workspace);
        } else if names("--workspace") && !same {
            return more;
        }
        let lacks = |flag: &str| SHAPED.contains(&task.as_str()) && takes(flag) && !names(flag);
        for (flag, values) in self.settings.iter().filter(|(flag, _)| lacks(flag)) {
            let each = |value: &String| if value.is_empty() { format!(" {flag}") } else { format!(" {flag} {value}") };
            more.extend(values.iter().map(each));
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taking<const N: usize>(tasks: [(&str, &str); N]) -> Vec<Taking> {
        tasks.map(|(task, flags)| (task.to_owned(), flags.split(' ').map(str::to_owned).collect())).into()
    }

    #[test]
    fn advice_names_the_workspace_wherever_the_task_takes_one_and_once() {
        let tasks = taking([("down", "--workspace"), ("sandbox", "--workspace")]);
        let given = Given { workspace: Some("'/my project'".into()), tasks, settings: Vec::new() };
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

    #[test]
    fn advice_has_the_settings_of_the_call_where_the_command_depends_on_them() {
        let all = "--workspace --cpu --dataset";
        let tasks = taking([("down", all), ("sandbox", all), ("mounts", all), ("image", "--cpu")]);
        let settings = vec![("--cpu", vec![String::new()]), ("--dataset", vec!["a=/a".into(), "'b=/b c'".into()])];
        let given = Given { workspace: Some("/p".into()), tasks: tasks.clone(), settings: settings.clone() };
        let all = "--cpu --dataset a=/a --dataset 'b=/b c'";
        for (text, spelled) in [
            (
                "`cargo xtask sandbox --leftovers end`",
                format!("`cargo xtask sandbox --workspace /p {all} --leftovers end`"),
            ),
            ("`cargo xtask mounts`", format!("`cargo xtask mounts --workspace /p {all}`")),
            ("`cargo xtask down`", "`cargo xtask down --workspace /p`".to_owned()),
            ("`cargo xtask image`", "`cargo xtask image --cpu`".to_owned()),
            (
                "`cargo xtask sandbox --dataset a=DIR`",
                "`cargo xtask sandbox --workspace /p --cpu --dataset a=DIR`".to_owned(),
            ),
            ("`cargo xtask sandbox --workspace /other`", "`cargo xtask sandbox --workspace /other`".to_owned()),
        ] {
            assert_eq!(given.spelled(text), spelled);
            assert_eq!(given.spelled(&spelled), spelled, "a second time");
        }
        let given = Given { workspace: None, tasks, settings };
        assert_eq!(
            given.spelled("`cargo xtask sandbox`; `cargo xtask down`"),
            format!("`cargo xtask sandbox {all}`; `cargo xtask down`")
        );
    }
}
