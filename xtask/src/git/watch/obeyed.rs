//! Where git on the host goes by itself, as its own repository and the user's configuration say: submodules, hooks,
//! programs and included files in the workspace.

use super::super::layout::{DOT_GIT, SMALL};
use super::super::{Repository, client};
use super::places::{Place, PlaceKind};
use crate::beneath::Beneath;
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

/// A repository whose configuration is the user's own.
pub(super) struct Trusted {
    pub(super) git_dir: PathBuf,
    work_tree: PathBuf,
    /// Whether git may not take it for a repository.
    may_be_broken: bool,
}

impl Trusted {
    /// The repository of a git directory that may stay; `None` for other places.
    pub(super) fn of(root: &Beneath, place: &Place) -> Option<Trusted> {
        let at = root.path().join(&place.path);
        let work_tree = at.parent()?.to_path_buf();
        let may_be_broken = place.path != Path::new(DOT_GIT);
        let is_dot_git = place.path.file_name() == Some(DOT_GIT.as_ref());
        match place.kind {
            PlaceKind::Directory if is_dot_git => Some(Trusted { git_dir: at, work_tree, may_be_broken }),
            PlaceKind::File if is_dot_git => {
                let text = root.text(&place.path, SMALL).ok()??;
                let named = text.strip_prefix("gitdir:")?.trim();
                Some(Trusted { git_dir: work_tree.join(named).canonicalize().ok()?, work_tree, may_be_broken })
            }
            PlaceKind::Bare => Some(Trusted { git_dir: at.clone(), work_tree: at, may_be_broken }),
            PlaceKind::Directory | PlaceKind::File | PlaceKind::Link | PlaceKind::Other => None,
        }
    }
}

/// The repositories in which the workspace lies as a directory: git that is run beside it, or in it where it has no
/// repository of its own, runs their hooks.
pub(super) fn enclosing(workspace: &Path) -> Vec<Trusted> {
    let git_dir = |dir: &Path| {
        let at = dir.join(DOT_GIT);
        if at.is_dir() {
            return at.canonicalize().ok();
        }
        let text = Beneath::root(dir).ok()?.text(DOT_GIT, SMALL).ok()??;
        dir.join(text.strip_prefix("gitdir:")?.trim()).canonicalize().ok()
    };
    let trusted = |dir: &Path| Some(Trusted { git_dir: git_dir(dir)?, work_tree: dir.to_owned(), may_be_broken: true });
    workspace.ancestors().skip(1).filter_map(trusted).collect()
}

/// What the configuration of git names.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Paths below the workspace.
    pub(super) paths: Vec<PathBuf>,
    /// The directories of hooks, wherever they lie.
    pub(super) hooks: Vec<PathBuf>,
}

/// The paths below the workspace that the configuration of git in a repository (the user's own and the repository's) names
/// as hooks, programs or further configuration, whether they are there or not. The agent writes none of the files that are
/// read here, unless one is included from the workspace: then it is such a path itself.
pub(super) fn paths(workspace: &Path, repo: &Trusted) -> Result<Named> {
    let command = client::users(&repo.git_dir, &repo.work_tree);
    let command = command.args(["config", "--null", "--list", "--show-scope", "--show-origin"]);
    let text = match repo.may_be_broken {
        // What git itself cannot read it does not run, and no agent can mend it.
        true => client::capture(&command).map(|output| if output.ok() { output.stdout } else { String::new() })?,
        false => client::stdout(&command)?,
    };
    let mut fields = text.split('\0');
    let home = if text.contains("~/") { home(repo)? } else { PathBuf::new() };
    let (mut found, mut hooks) = (BTreeSet::new(), Vec::new());
    while let (Some(scope), Some(origin), Some(setting)) = (fields.next(), fields.next(), fields.next()) {
        let (key, value) = setting.split_once('\n').unwrap_or((setting, ""));
        if scope == "command" {
            continue;
        }
        let file = origin.strip_prefix("file:").map(PathBuf::from);
        let named = named(repo, &home, key, value, file.as_deref());
        if key == "core.hookspath" {
            hooks.extend(named.iter().cloned());
        }
        for rel in named.into_iter().chain(file).filter_map(|path| below(workspace, &path)) {
            if rel.as_os_str().is_empty() || workspace.join(&rel) == repo.work_tree {
                return Err(failed(format!(
                    "`{key}` of git's configuration makes it run what lies at the top of `{}`",
                    repo.work_tree.display()
                ))
                .hint("the agent can write there: give the hooks a directory of their own")
                .into());
            }
            // What lies in a git directory is guarded with it.
            if !workspace.join(&rel).starts_with(&repo.git_dir) && !rel.starts_with(DOT_GIT) {
                found.insert(rel);
            }
        }
    }
    Ok(Named { paths: found.into_iter().collect(), hooks })
}

/// The home directory, as git expands `~`.
fn home(repo: &Trusted) -> Result<PathBuf> {
    let command = client::users(&repo.git_dir, &repo.work_tree);
    let command = command.args(["-c", "sandbox.home=~/", "config", "--path", "sandbox.home"]);
    Ok(PathBuf::from(client::stdout(&command)?.trim_end()))
}

/// The paths that a setting names.
fn named(repo: &Trusted, home: &Path, key: &str, value: &str, file: Option<&Path>) -> Vec<PathBuf> {
    let last = key.rsplit('.').next().unwrap_or(key);
    let section = key.split('.').next().unwrap_or(key);
    let path = |text: &str| text.strip_prefix("~/").map_or_else(|| PathBuf::from(text), |rest| home.join(rest));
    match (section, last) {
        ("include" | "includeif", "path") => {
            let dir = file.and_then(Path::parent).unwrap_or(&repo.git_dir);
            vec![dir.join(path(value))]
        }
        ("core", "hookspath") => vec![repo.work_tree.join(path(value))],
        ("alias", _) if value.starts_with('!') => words(repo, home, &value[1..]),
        ("pager", _) => words(repo, home, value),
        (_, last) if COMMANDS.contains(&last) => words(repo, home, value),
        _ => Vec::new(),
    }
}

/// The words of a command that are files of the workspace.
fn words(repo: &Trusted, home: &Path, command: &str) -> Vec<PathBuf> {
    let words = shell_words::split(command).unwrap_or_else(|_| command.split_whitespace().map(str::to_owned).collect());
    let path = |word: &String| match word.trim_start_matches('!') {
        word if word.starts_with("~/") => home.join(&word[2..]),
        word => repo.work_tree.join(word),
    };
    let paths = words.iter().map(path);
    paths.filter(|path| path.symlink_metadata().is_ok_and(|meta| !meta.is_dir())).collect()
}

/// A path as one below the workspace, empty for the workspace itself; `None` where it lies elsewhere.
pub(super) fn below(workspace: &Path, path: &Path) -> Option<PathBuf> {
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
