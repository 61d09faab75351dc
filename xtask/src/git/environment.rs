//! What of the user's environment decides what git on the host runs and obeys. It must not be printed: a setting that is
//! given by the environment can hold a secret.

use crate::context::Context;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Clone, Default)]
pub(crate) struct Environment {
    pub(super) home: PathBuf,
    pub(super) variables: BTreeMap<String, String>,
    /// The state folder of this tool.
    pub(super) state: PathBuf,
}

impl Environment {
    pub(crate) fn of(cx: &Context) -> Environment {
        Environment { home: cx.home.clone(), variables: cx.env.clone(), state: cx.state.clone() }
    }

    fn search(&self) -> impl Iterator<Item = &str> {
        self.variables.get("PATH").into_iter().flat_map(|path| path.split(':'))
    }

    /// Where programs keep data of the user's.
    pub(super) fn data(&self) -> PathBuf {
        let given = self.variables.get("XDG_DATA_HOME").filter(|dir| !dir.is_empty());
        given.map_or_else(|| self.home.join(".local/share"), PathBuf::from)
    }

    /// Whether there is a git to be run at all.
    pub(super) fn has_git(&self) -> bool {
        self.search().any(|dir| Path::new(dir).join("git").is_file())
    }

    /// The program that is started by a name.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let is_name = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
        let mut all = self.search().filter(|dir| is_name && dir.starts_with('/')).map(|dir| Path::new(dir).join(name));
        all.find(|path| path.symlink_metadata().is_ok_and(|meta| !meta.is_dir()))
    }

    /// The directories in which the programs of this host lie, with those of git itself.
    pub(super) fn programs(&self) -> Vec<PathBuf> {
        let own = ["/usr/lib/git-core", "/usr/libexec/git-core", "/usr/local/libexec/git-core"];
        self.search().filter(|dir| dir.starts_with('/')).chain(own).map(PathBuf::from).collect()
    }

    /// The files that git obeys without being told, wherever they lead. Source: git-config(1), gitattributes(5).
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let config = self.variables.get("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty());
        let config = config.map_or_else(|| self.home.join(".config"), PathBuf::from).join("git");
        let own = [self.home.join(".gitconfig"), config.join("config"), config.join("attributes")];
        let own = own.into_iter().filter(|_| !self.home.as_os_str().is_empty());
        own.chain(["/etc/gitconfig", "/etc/gitattributes"].map(PathBuf::from)).collect()
    }

    /// The parts of `PATH` that are other directories wherever git is run. Those that an agent can write by their whole path
    /// were left out of it, and said, before anything was started.
    pub(super) fn relative_search(&self) -> Vec<String> {
        self.search()
            .filter(|dir| !dir.starts_with('/'))
            .map(|dir| if dir.is_empty() { "." } else { dir }.to_owned())
            .collect()
    }

    /// The settings that are given by the environment itself.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&String, &String)> {
        let given = |name: &str| {
            ["GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"].iter().any(|start| name.starts_with(start))
                || ["GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"].contains(&name)
        };
        self.variables.iter().filter(move |(name, _)| given(name))
    }

    /// Where the user's own settings lie: `None` for a variable that is not set.
    pub(super) fn places(&self) -> impl Iterator<Item = (&'static str, Option<String>)> {
        let names = ["XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"];
        let home = Some(self.home.display().to_string());
        let others = names.into_iter().map(|name| (name, self.variables.get(name).cloned()));
        // Of a process that has none, git's own are taken.
        others.chain([("HOME", home)]).filter(|_| !self.home.as_os_str().is_empty())
    }
}
