//! How git is run on the host: never in a directory that an agent wrote, never with hooks, fsmonitor, transports or lazy
//! fetches, and never with the variables of the user's shell: of those, `exec` hands on none of git's.

use super::environment::Environment;
use super::repository::Repository;
use crate::error::failed;
use crate::exec::{self, Output};
use crate::step::Command;
use anyhow::Result;
use std::path::Path;

/// Set on the command line, because that takes precedence over every configuration file.
const OFF: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.alternateRefsCommand=true",
    "submodule.recurse=false",
    "maintenance.auto=false",
    "gc.auto=0",
];

/// The bound on work with many objects, in seconds.
pub(super) const LONG: u64 = 600;

/// Whether a setting is one of those that we give on the command line.
pub(super) fn is_ours(key: &str, value: &str) -> bool {
    OFF.iter().any(|off| off.split_once('=').is_some_and(|(name, own)| name.eq_ignore_ascii_case(key) && own == value))
}

/// What every call has, whatever else it is given.
const ALWAYS: &[(&str, &str)] = &[("LC_ALL", "C"), ("GIT_TERMINAL_PROMPT", "0"), ("GIT_NO_LAZY_FETCH", "1")];

fn bare<'a>(variables: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Command {
    let command = Command::new("git").args(OFF.iter().flat_map(|off| ["-c", off])).dir("/");
    let variables = variables.into_iter().chain(ALWAYS);
    variables.fold(command, |command, (name, value)| command.env(*name, *value))
}

/// Git in the host's own repository, with the user's own configuration.
pub(super) fn host(repo: &Repository) -> Command {
    users(&repo.git_dir, &repo.workspace)
}

/// The paths of the submodules of the host's index.
pub(super) fn submodules(repo: &Repository) -> Result<Vec<String>> {
    let text = stdout(&host(repo).timeout(LONG).args(["ls-files", "--stage", "-z"]))?;
    // `MODE ID STAGE<tab>PATH`
    let modules = text.split('\0').filter(|line| line.starts_with("160000 "));
    Ok(modules.filter_map(|line| Some(line.split_once('\t')?.1.to_owned())).collect())
}

/// Lets git pass over these paths by an index: they are neither looked at nor added.
pub(super) fn pass_over(repo: &Repository, index: &Path, paths: &[String]) -> Result<()> {
    let listed: String = paths.iter().map(|path| format!("{path}\0")).collect();
    let index = index.display().to_string();
    let command = with(&[("GIT_INDEX_FILE", &index)], &repo.git_dir, &repo.workspace).timeout(LONG);
    stdout(&command.args(["update-index", "--skip-worktree", "-z", "--stdin"]).stdin(listed)).map(drop)
}

/// The same in another repository of the user's.
fn users(git_dir: &Path, work_tree: &Path) -> Command {
    with(&[], git_dir, work_tree)
}

fn with(variables: &[(&str, &str)], git_dir: &Path, work_tree: &Path) -> Command {
    bare([("GIT_ALLOW_PROTOCOL", "none")].iter().chain(variables))
        .arg(format!("--git-dir={}", git_dir.display()))
        .arg(format!("--work-tree={}", work_tree.display()))
}

/// The settings of every scope that git would have in a repository of the user's, or where none is yet, also those that the
/// environment gives: git reads them and runs nothing that they name, because `git config` has no hook, no fsmonitor and no
/// alias, and its pager needs a terminal.
pub(super) fn settings(env: &Environment, git_dir: &Path, work_tree: &Path) -> Command {
    let mut command = bare(&[("GIT_ALLOW_PROTOCOL", "none")]);
    // Git takes an empty `XDG_CONFIG_HOME` for one that is not set; of its own variables none is handed on anyway.
    let value_of = |name: &str, value: Option<String>| value.or_else(|| (name == "XDG_CONFIG_HOME").then(String::new));
    for (name, value) in env.places() {
        command = value_of(name, value).into_iter().fold(command, |command, value| command.env(name, value));
    }
    command = env.settings().fold(command, |command, (name, value)| command.secret_env(name, value));
    command.arg(format!("--git-dir={}", git_dir.display())).arg(format!("--work-tree={}", work_tree.display()))
}

/// Git in a bare repository that we made, with its configuration and no other. `objects` replaces its object directory.
pub(super) fn ours(dir: &Path, objects: Option<&Path>) -> Command {
    let objects = objects.map(|path| path.display().to_string());
    let mut variables = vec![
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        // For git before 2.32, which ignores `GIT_CONFIG_GLOBAL`.
        ("HOME", "/nonexistent"),
        ("XDG_CONFIG_HOME", "/nonexistent"),
        ("GIT_ALLOW_PROTOCOL", "file"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        // An object that says that it is larger is not unpacked in memory.
        ("GIT_ALLOC_LIMIT", "2g"),
    ];
    if let Some(objects) = &objects {
        variables.push(("GIT_OBJECT_DIRECTORY", objects));
    }
    bare(&variables).arg(format!("--git-dir={}", dir.display())).timeout(LONG)
}

/// Runs git and returns what it said, whatever its exit code.
pub(super) fn capture(command: &Command) -> Result<Output> {
    exec::capture(command)
}

/// Runs git and returns its standard output.
pub(super) fn stdout(command: &Command) -> Result<String> {
    let output = capture(command)?;
    if output.ok() {
        return Ok(output.stdout);
    }
    // Without the settings, which are the same for each command.
    let words = shell_words::join(command.args.iter().skip(2 * OFF.len()));
    Err(failed(format!("`git {words}` failed: {}", output.stderr.trim())).into())
}
