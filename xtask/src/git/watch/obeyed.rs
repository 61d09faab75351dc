//! Where git on the host goes by itself, as its own repository and the user's configuration say: submodules, hooks,
//! programs and included files in the workspace.

use super::super::layout::DOT_GIT;
use super::super::{Repository, client};
use crate::context::resolved;
use crate::error::failed;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// The last parts of keys whose value git runs as a command. Source: git-config(1).
const COMMANDS: &[&str] = &[
    "askpass", "clean", "cmd", "command", "driver", "editor", "external", "fsmonitor", "helper", "pager", "process",
    "program", "smudge", "sshcommand", "textconv", "tool",
];

/// The submodules of the host's index, by their paths: `git status` runs git in each of them.
pub(super) fn submodules(repo: &Repository) -> Result<Vec<PathBuf>> {
    let text = client::stdout(&client::host(repo).timeout(client::LONG).args(["ls-files", "--stage", "-z"]))?;
    // `MODE ID STAGE<tab>PATH`
    let modules = text.split('\0').filter(|line| line.starts_with("160000 "));
    Ok(modules.filter_map(|line| Some(PathBuf::from(line.split_once('\t')?.1))).collect())
}

/// The paths below the workspace that the host's configuration of git names as hooks, programs or further configuration,
/// whether they are there or not. The agent writes none of the files that are read here, unless one is included from the
/// workspace: then it is such a path itself.
pub(super) fn paths(repo: &Repository) -> Result<Vec<PathBuf>> {
    let command = client::host(repo).args(["config", "--null", "--list", "--show-scope", "--show-origin"]);
    let text = client::stdout(&command)?;
    let mut fields = text.split('\0');
    let home = if text.contains("~/") { home(repo)? } else { PathBuf::new() };
    let mut found = BTreeSet::new();
    let mut whole = BTreeSet::new();
    while let (Some(scope), Some(origin), Some(setting)) = (fields.next(), fields.next(), fields.next()) {
        let (key, value) = setting.split_once('\n').unwrap_or((setting, ""));
        if scope == "command" {
            continue;
        }
        let file = origin.strip_prefix("file:").map(PathBuf::from);
        for path in named(repo, &home, key, value, file.as_deref()).into_iter().chain(file) {
            match below(&repo.workspace, &path) {
                Some(rel) if rel.as_os_str().is_empty() => _ = whole.insert(key.to_owned()),
                Some(rel) if rel.starts_with(DOT_GIT) => {}
                Some(rel) => _ = found.insert(rel),
                None => {}
            }
        }
    }
    if let Some(key) = whole.first() {
        return Err(failed(format!("`{key}` of your git configuration makes git run what lies at the top of the workspace"))
            .hint("the agent can write there: give the hooks a directory of their own")
            .into());
    }
    Ok(found.into_iter().collect())
}

/// The home directory, as git expands `~`.
fn home(repo: &Repository) -> Result<PathBuf> {
    let command = client::host(repo).args(["-c", "sandbox.home=~/", "config", "--path", "sandbox.home"]);
    Ok(PathBuf::from(client::stdout(&command)?.trim_end()))
}

/// The paths that a setting names.
fn named(repo: &Repository, home: &Path, key: &str, value: &str, file: Option<&Path>) -> Vec<PathBuf> {
    let last = key.rsplit('.').next().unwrap_or(key);
    let section = key.split('.').next().unwrap_or(key);
    let path = |text: &str| text.strip_prefix("~/").map_or_else(|| PathBuf::from(text), |rest| home.join(rest));
    match (section, last) {
        ("include" | "includeif", "path") => {
            let dir = file.and_then(Path::parent).unwrap_or(&repo.git_dir);
            vec![dir.join(path(value))]
        }
        ("core", "hookspath") => vec![repo.workspace.join(path(value))],
        ("alias", _) if value.starts_with('!') => words(repo, home, &value[1..]),
        ("pager", _) => words(repo, home, value),
        (_, last) if COMMANDS.contains(&last) => words(repo, home, value),
        _ => Vec::new(),
    }
}

/// The words of a command that are files of the workspace.
fn words(repo: &Repository, home: &Path, command: &str) -> Vec<PathBuf> {
    let words = shell_words::split(command).unwrap_or_else(|_| command.split_whitespace().map(str::to_owned).collect());
    let path = |word: &String| match word.trim_start_matches('!') {
        word if word.starts_with("~/") => home.join(&word[2..]),
        word => repo.workspace.join(word),
    };
    let paths = words.iter().map(path);
    paths.filter(|path| path.symlink_metadata().is_ok_and(|meta| !meta.is_dir())).collect()
}

/// A path as one below the workspace, empty for the workspace itself; `None` where it lies elsewhere.
fn below(workspace: &Path, path: &Path) -> Option<PathBuf> {
    // By its text first: a link that an agent put on the way must not take the path out of sight.
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    let rel = plain.strip_prefix(workspace).map(Path::to_path_buf).ok();
    rel.or_else(|| resolved(path).strip_prefix(workspace).map(Path::to_path_buf).ok())
}
