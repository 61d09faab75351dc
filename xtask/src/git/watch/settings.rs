//! What the settings of git name, of every scope: git itself reads them, and says which file has each.

use super::super::layout::DOT_GIT;
use super::super::{Environment, client};
use super::command::{self, Known, Words};
use super::interpreter::{self, MOST_SCRIPTS};
use super::keys::{self, Names, VARIABLES};
use super::obeyed::{NOWHERE, Trusted, below};
use crate::context::resolved;
use crate::error::failed;
use crate::exec::Output;
use crate::text;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// How often files that are included by a condition may include others so.
const MOST_INCLUDED: usize = 5;

/// The scope of what git does not list.
const ENVIRONMENT: &str = "environment";

/// What the settings name.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Paths below the workspace, with what names them.
    pub(super) paths: BTreeMap<PathBuf, String>,
    /// The directories of hooks, wherever they lie.
    pub(super) hooks: Vec<PathBuf>,
    /// Paths outside of the workspace, with what names them.
    pub(super) elsewhere: BTreeMap<PathBuf, String>,
    /// What cannot be known without running it, a line each.
    pub(super) unknown: BTreeSet<String>,
}

/// One value of one key.
#[derive(Debug)]
struct Setting {
    scope: String,
    /// The file that has it, or what else gives it.
    origin: String,
    key: String,
    value: String,
}

impl Setting {
    fn of_the_environment(key: &str, value: &str) -> Setting {
        let [scope, origin] = [ENVIRONMENT, "the environment"].map(str::to_owned);
        Setting { scope, origin, key: key.to_owned(), value: value.to_owned() }
    }

    fn of_a_script(file: &Path) -> Setting {
        let origin = format!("file:{}", file.display());
        Setting { scope: String::new(), origin, key: "#!".to_owned(), value: String::new() }
    }

    fn file(&self) -> Option<PathBuf> {
        self.origin.strip_prefix("file:").map(PathBuf::from)
    }

    fn said(&self) -> String {
        let origin = self.origin.strip_prefix("file:").unwrap_or(&self.origin);
        format!("`{}` in `{}`", text::name(&self.key), text::name(origin))
    }
}

/// Reads the settings of repositories.
pub(super) struct Reader<'a> {
    workspace: &'a Path,
    env: &'a Environment,
    /// What git makes of `~name/` and `%(prefix)/`.
    expanded: BTreeMap<String, PathBuf>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(workspace: &'a Path, env: &'a Environment) -> Reader<'a> {
        Reader { workspace, env, expanded: BTreeMap::new() }
    }

    /// What the settings of git in a repository (the system's, the user's, the environment's and its own) name as hooks,
    /// programs or further settings, whether it is there or not. The agent writes none of the files that are read here,
    /// unless one is included from the workspace: then it is such a path itself.
    pub(super) fn read(&mut self, repo: &Trusted) -> Result<Named> {
        let mut settings = self.list(repo, &[])?;
        let mut included = BTreeSet::new();
        for _ in 0..MOST_INCLUDED {
            let passing = |setting: &&Setting| keys::is_passing_condition(&setting.key, repo.is_there());
            let more = self.paths_of(repo, &settings.iter().filter(passing).collect::<Vec<_>>())?;
            let more: Vec<PathBuf> =
                more.into_iter().filter(|file| file.is_file() && included.insert(file.clone())).collect();
            if more.is_empty() {
                break;
            }
            settings.extend(self.list(repo, &more)?);
        }
        let mut named = Named::default();
        if repo.work_tree == self.workspace {
            settings.extend(self.variables());
            let setting = Setting::of_the_environment("the files of git's settings", "");
            for path in self.env.files() {
                self.sort(repo, &setting, path, &mut named)?;
            }
        }
        for repo in self.work_trees(repo, &settings) {
            for setting in &settings {
                self.judge(&repo, setting, &mut named)?;
            }
        }
        Ok(named)
    }

    /// The repository with the working tree in which it was found, and with the one that its own settings name.
    fn work_trees(&self, repo: &Trusted, settings: &[Setting]) -> Vec<Trusted> {
        let named = settings.iter().filter(|setting| setting.key == "core.worktree");
        let named = named.map(|setting| resolved(&repo.git_dir.join(&setting.value)));
        let mut trees: Vec<PathBuf> = [repo.work_tree.clone()].into_iter().chain(named).collect();
        trees.dedup();
        trees.into_iter().map(|work_tree| Trusted { work_tree, ..repo.clone() }).collect()
    }

    /// The settings, as if these files were included, too.
    fn list(&self, repo: &Trusted, included: &[PathBuf]) -> Result<Vec<Setting>> {
        let mut command = client::settings(self.env, &repo.git_dir, &repo.work_tree);
        for file in included {
            command = command.args(["-c".to_owned(), format!("include.path={}", file.display())]);
        }
        let command = command.args(["config", "--null", "--list", "--show-scope", "--show-origin"]);
        let text = match repo.may_be_broken {
            // What git itself cannot read it does not run, and no agent can mend it.
            true => client::capture(&command).map(|output| if output.ok() { output.stdout } else { String::new() })?,
            false => client::stdout(&command)?,
        };
        Ok(parse(&text))
    }

    fn variables(&self) -> Vec<Setting> {
        let of = |(name, _): &(&str, Names)| Some(Setting::of_the_environment(name, self.env.variables.get(*name)?));
        VARIABLES.iter().filter_map(of).collect()
    }

    fn paths_of(&mut self, repo: &Trusted, settings: &[&Setting]) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for setting in settings {
            let dir = setting.file().and_then(|file| Some(file.parent()?.to_path_buf()));
            paths.push(dir.unwrap_or_else(|| repo.git_dir.clone()).join(self.path(&setting.value)?));
        }
        Ok(paths)
    }

    fn judge(&mut self, repo: &Trusted, setting: &Setting, named: &mut Named) -> Result<()> {
        if setting.scope == "command" && client::is_ours(&setting.key, &setting.value) {
            return Ok(());
        }
        let variable = VARIABLES.iter().find(|(name, _)| setting.scope == ENVIRONMENT && *name == setting.key);
        let kind = variable.map(|(_, names)| *names).or_else(|| keys::names(&setting.key));
        let mut paths: Vec<PathBuf> = setting.file().into_iter().collect();
        match kind {
            None => {}
            Some(Names::Included) => paths.extend(self.paths_of(repo, &[setting])?),
            Some(Names::Hooks) => {
                let dir = repo.work_tree.join(self.path(&setting.value)?);
                named.hooks.push(dir.clone());
                paths.push(dir);
            }
            Some(Names::Template) => {
                // New repositories get the hooks from there as they are, also where they are links.
                let dir = repo.work_tree.join(self.path(&setting.value)?);
                named.hooks.push(dir.join("hooks"));
                paths.push(dir);
            }
            Some(Names::Path) => paths.push(repo.work_tree.join(self.path(&setting.value)?)),
            Some(Names::Command) => paths.extend(self.command(repo, setting, &setting.value, named)?),
            Some(Names::MarkedCommand) if setting.value.starts_with('!') => {
                paths.extend(self.command(repo, setting, &setting.value, named)?);
            }
            Some(Names::MarkedCommand) => {}
            Some(Names::Address) => paths.extend(self.address(repo, setting, &setting.value, named)?),
        }
        if let Some(address) = keys::address(&setting.key) {
            paths.extend(self.address(repo, setting, address, named)?);
        }
        for path in paths {
            self.sort(repo, setting, path, named)?;
        }
        Ok(())
    }

    /// What the first lines of these files name.
    pub(super) fn interpreters(&self, repo: &Trusted, files: impl Iterator<Item = PathBuf>) -> Result<Named> {
        let mut named = Named::default();
        for file in files {
            self.scripts(repo, file, &mut named)?;
        }
        Ok(named)
    }

    fn scripts(&self, repo: &Trusted, file: PathBuf, named: &mut Named) -> Result<()> {
        let (mut files, mut seen) = (BTreeSet::from([file]), BTreeSet::new());
        for _ in 0..MOST_SCRIPTS {
            let mut next = BTreeSet::new();
            for file in files {
                for program in interpreter::programs(&file, self.env, &repo.work_tree) {
                    if seen.insert(program.clone()) {
                        self.sort_one(repo, &Setting::of_a_script(&file), program.clone(), named)?;
                        next.insert(program);
                    }
                }
            }
            files = next;
        }
        Ok(())
    }

    fn sort(&self, repo: &Trusted, setting: &Setting, path: PathBuf, named: &mut Named) -> Result<()> {
        self.scripts(repo, path.clone(), named)?;
        self.sort_one(repo, setting, path, named)
    }

    fn sort_one(&self, repo: &Trusted, setting: &Setting, path: PathBuf, named: &mut Named) -> Result<()> {
        let Some(rel) = below(self.workspace, &path) else {
            named.elsewhere.entry(path).or_insert_with(|| setting.said());
            return Ok(());
        };
        if rel.components().any(|part| part == Component::ParentDir) {
            return Err(failed(format!(
                "{} makes git run or obey `{}`, which leads by `..` through the workspace",
                setting.said(),
                text::path(&path)
            ))
            .hint("let it name what is meant without that")
            .into());
        }
        if rel.as_os_str().is_empty() || self.workspace.join(&rel) == repo.work_tree {
            return Err(failed(format!(
                "{} makes git run or obey what lies at the top of `{}`",
                setting.said(),
                repo.work_tree.display()
            ))
            .hint("the agent can write there: give the hooks, or whatever it is, a directory of their own")
            .into());
        }
        // What lies in a git directory is guarded with it.
        if !self.workspace.join(&rel).starts_with(&repo.git_dir) && !rel.starts_with(DOT_GIT) {
            named.paths.entry(rel).or_insert_with(|| setting.said());
        }
        Ok(())
    }

    fn address(&mut self, repo: &Trusted, setting: &Setting, text: &str, named: &mut Named) -> Result<Vec<PathBuf>> {
        // Other transports are found by their names, where git finds its own programs.
        text.strip_prefix("ext::").map_or(Ok(Vec::new()), |text| self.command(repo, setting, text, named))
    }

    /// The words of a command that are files, and lines about those that cannot be known.
    fn command(&mut self, repo: &Trusted, setting: &Setting, text: &str, named: &mut Named) -> Result<Vec<PathBuf>> {
        let known = Known { variables: &self.env.variables, work_tree: &repo.work_tree, git_dir: &repo.git_dir };
        let Words { words, unknown } = command::words(text, &known);
        let mut paths = Vec::new();
        let line = |what: &str| {
            let what = text::name(what);
            format!(
                "git: {} names `{what}`, and what that is cannot be known before it runs: if it lies in the workspace, git on \
                 this host runs what an agent writes there",
                setting.said()
            )
        };
        named.unknown.extend(unknown.iter().map(|word| line(word)));
        for word in words {
            // A program that is found by its name can be a link into the workspace.
            paths.extend(self.env.program(&word));
            paths.extend(self.env.program(&format!("git-credential-{word}")));
            let path = repo.work_tree.join(self.path(&word)?);
            let Ok(meta) = path.symlink_metadata() else { continue };
            let is_bare = !word.contains('/');
            let inside = below(self.workspace, &path).is_some_and(|rel| !rel.as_os_str().is_empty());
            let entered = ["cd", "-C"].iter().any(|option| text.contains(&format!("{option} {word}")));
            // A word of the command that is only by chance the name of a symlink must not keep a sandbox from its start.
            let by_chance = is_bare && meta.is_symlink();
            // Of a directory it is not known what is taken from it.
            let open = by_chance || (meta.is_dir() && (!is_bare || entered));
            if inside && path != repo.work_tree && open {
                named.unknown.insert(line(&word));
            } else if !by_chance && !meta.is_dir() {
                paths.push(path);
            }
        }
        Ok(paths)
    }

    /// A path as git expands it.
    fn path(&mut self, text: &str) -> Result<PathBuf> {
        let text = text.strip_prefix(":(optional)").unwrap_or(text);
        let Some(start) = expandable(text) else { return Ok(PathBuf::from(text)) };
        let rest = text[start.len()..].trim_start_matches('/');
        if start == "~" && !self.env.home.as_os_str().is_empty() {
            return Ok(self.env.home.join(rest));
        }
        if !self.expanded.contains_key(start) {
            // Without a repository: the answer is the same in each.
            let command = client::settings(self.env, Path::new(NOWHERE), Path::new("/"));
            let command = command.args(["-c".to_owned(), format!("sandbox.path={start}/")]);
            let said: Output = client::capture(&command.args(["config", "--path", "sandbox.path"]))?;
            // Of a user that does not exist git makes nothing either.
            let path = if said.ok() { PathBuf::from(said.stdout.trim_end()) } else { PathBuf::from(NOWHERE) };
            self.expanded.insert(start.to_owned(), path);
        }
        Ok(self.expanded.get(start).map_or_else(|| PathBuf::from(text), |dir| dir.join(rest)))
    }
}

/// The start of a path that git replaces: `~`, `~name`, `%(prefix)`.
fn expandable(text: &str) -> Option<&str> {
    let start = text.split('/').next().unwrap_or(text);
    let is_whole = start.len() < text.len() || start == "~";
    (is_whole && (start.starts_with('~') || start == "%(prefix)")).then_some(start)
}

/// Scope, origin and setting, each ended by a zero byte.
fn parse(text: &str) -> Vec<Setting> {
    let mut fields = text.split('\0');
    let mut settings = Vec::new();
    while let (Some(scope), Some(origin), Some(setting)) = (fields.next(), fields.next(), fields.next()) {
        let (key, value) = setting.split_once('\n').unwrap_or((setting, ""));
        let [scope, origin, key, value] = [scope, origin, key, value].map(str::to_owned);
        settings.push(Setting { scope, origin, key, value });
    }
    settings
}

/// For the fuzzer: what `git config --list --show-origin --show-scope -z` says. Each key is one that can be judged.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let all = parse(text);
    assert_eq!(all.len(), text.split('\0').count() / 3);
    for setting in &all {
        _ = (setting.file(), setting.said(), keys::names(&setting.key), keys::is_passing_condition(&setting.key, true));
        assert!(keys::address(&setting.key).is_none_or(|address| setting.key.contains(address)));
        assert!(expandable(&setting.value).is_none_or(|start| setting.value.starts_with(start)));
    }
}
