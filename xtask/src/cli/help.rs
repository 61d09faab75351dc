//! What `--help` shows beside the flags: examples, and which of the common flags a task leaves out.

use crate::spec::settings::Flags;
use clap::{Args as _, Command};

/// The examples of each task, as they are typed. A test parses every line.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "sandbox",
        &[
            "cargo xtask sandbox --dataset ssv2=/data/ssv2",
            "cargo xtask sandbox --workspace ~/project --gpus 0,1",
            "cargo xtask sandbox --cpu --yes -- exec \"summarise this project\"",
        ],
    ),
    (
        "gpu-smoke",
        &[
            "cargo xtask gpu-smoke",
            "cargo xtask gpu-smoke --arch 12.0 --json smoke.json --junit smoke.xml",
            "cargo xtask gpu-smoke --here",
        ],
    ),
    ("image", &["cargo xtask image --check", "cargo xtask image --cpu --dry-run"]),
    ("mounts", &["cargo xtask mounts --dataset ssv2=/data/ssv2", "cargo xtask mounts --json"]),
    ("doctor", &["cargo xtask doctor", "cargo xtask doctor --cpu --dataset ssv2=/data/ssv2"]),
    ("status", &["cargo xtask status --workspace ~/project", "cargo xtask status --json"]),
    ("down", &["cargo xtask down", "cargo xtask down --all --workspace ~/project", "cargo xtask down --caches"]),
    ("commits", &["cargo xtask commits", "cargo xtask commits --take"]),
    ("demo", &["cargo xtask demo", "cargo xtask demo --yes --install-engine", "cargo xtask demo --clean"]),
    ("devcontainer", &["cargo xtask devcontainer"]),
    ("test", &["cargo xtask test", "cargo xtask test --tier engine"]),
    ("ci", &["cargo xtask ci"]),
    ("completions", &["cargo xtask completions bash"]),
    ("fuzz", &["cargo xtask fuzz", "cargo xtask fuzz mountinfo inspect --seconds 60"]),
    ("bench", &["cargo xtask bench", "cargo xtask bench enter start --pairs 3"]),
];

/// The examples of the tool as a whole.
const FIRST_STEPS: &[&str] = &[
    "cargo xtask demo",
    "cargo xtask doctor",
    "cargo xtask sandbox --dataset ssv2=/data/ssv2",
    "cargo xtask sandbox --cpu --dataset ssv2=/data/ssv2",
    "cargo xtask status",
];

/// Tasks that use only the workspace of the common flags. They accept the others too, because people repeat the line that
/// they have just typed.
const BY_WORKSPACE: &[&str] = &["status", "down", "commits"];

/// How to install the script of `completions`.
const LOADING: &str = "\n\nKeep the script in a file, and load that at the end of ~/.bashrc or ~/.zshrc by `source\n\
                       FILE`; for fish, name the file ~/.config/fish/conf.d/xtask.fish.";

/// Adds the examples, and hides the flags that do not matter for a task.
pub(super) fn dress(mut command: Command) -> Command {
    let exit_codes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    command = command.after_help(format!("{}\n\n{exit_codes}", examples(FIRST_STEPS)));
    for (task, lines) in EXAMPLES {
        let more = if *task == "completions" { LOADING } else { "" };
        command = command.mut_subcommand(task, |sub| sub.after_help(examples(lines) + more));
    }
    for task in BY_WORKSPACE {
        let common = Flags::augment_args(Command::new("flags"));
        let other = common.get_arguments().map(|arg| arg.get_id().clone()).filter(|id| id != "workspace");
        command =
            command.mut_subcommand(task, |sub| other.fold(sub, |sub, flag| sub.mut_arg(flag, |arg| arg.hide(true))));
    }
    command
}

fn examples(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
    format!("Examples:{lines}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_task_has_examples_and_every_example_parses() {
        let command = crate::cli::command();
        let tasks = command.get_subcommands().filter(|task| !task.is_hide_set());
        for task in tasks.chain([&command]) {
            let text = task.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  cargo xtask ")).collect();
            assert!(!lines.is_empty(), "`{}` has no examples", task.get_name());
            for line in lines {
                let words = shell_words::split(line).unwrap();
                assert!(std::ptr::eq(task, &command) || words[0] == task.get_name(), "{line}");
                let parsed = crate::cli::parse(["xtask".to_owned()].into_iter().chain(words).map(Into::into));
                parsed.unwrap_or_else(|err| panic!("{line}: {err}"));
            }
        }
    }
}
