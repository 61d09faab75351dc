//! Settings of every scope, as git itself reads them.

use super::*;
use crate::exposed::Exposed;
use std::collections::BTreeMap;

/// A user with a `~/.gitconfig` and variables of their own.
pub(super) struct Set {
    pub(super) w: Watched,
    pub(super) env: Environment,
}

impl Set {
    pub(super) fn new(config: &str) -> Set {
        let w = Watched::new();
        let home = w.f.path("user");
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join(".gitconfig"), config).unwrap();
        let variables: BTreeMap<String, String> = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("HOME", home.display().to_string()),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        Set { w, env: Environment { home, variables, ..Environment::default() } }
    }

    /// In a workspace without a repository of its own.
    pub(super) fn bare(config: &str) -> Set {
        let set = Set::new(config);
        for name in [".git", ".gitmodules", "sub", "vendor"] {
            let path = set.w.at(name);
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
        set
    }

    pub(super) fn var(mut self, name: &str, value: &str) -> Set {
        self.env.variables.insert(name.into(), value.into());
        self
    }

    pub(super) fn files(self, names: &[&str]) -> Set {
        names.iter().for_each(|name| self.w.program(name));
        self
    }

    pub(super) fn start(&self) -> Result<Told> {
        let repo = super::super::super::detect(&self.w.f.workspace).unwrap();
        protect(&self.w.f.workspace, repo.as_ref(), &self.w.state(), &self.env, Doubt::default())
    }

    #[track_caller]
    pub(super) fn guards(&self, names: &[&str]) -> Told {
        let told = self.start().unwrap();
        let mut mounted = self.w.mounted();
        mounted.retain(|path| !path.ends_with(".git"));
        assert_eq!(mounted, names.iter().map(|name| format!("/workspace/{name}")).collect::<Vec<_>>());
        told
    }
}

#[test]
fn the_users_own_settings_count_where_the_workspace_has_no_repository() {
    let set = Set::bare(
        "[core]\n\thooksPath = hooks\n\tpager = ./pager | cat\n[filter \"x\"]\n\tclean = git-lfs filter-process\n\
         [includeIf \"gitdir:~/x/\"]\n\tpath = more\n",
    );
    fs::write(set.env.home.join("more"), "[diff]\n\texternal = 'my tools/diff'\n[init]\n\ttemplateDir = made\n")
        .unwrap();
    let set = set.files(&["hooks/pre-commit", "pager", "my tools/diff", "made/hooks/x", "git-lfs-is-no-file"]);
    let told = set.guards(&["hooks", "made", "my tools/diff", "pager"]);
    assert_eq!(told.warnings, Vec::<String>::new());
    // What is not there yet is the agent's when it comes.
    fs::remove_dir_all(set.w.at("hooks")).unwrap();
    fs::create_dir(set.w.at("hooks")).unwrap();
    let said = look(&set.w.f.workspace, None, &set.w.state(), &set.env, Now::Busy).unwrap().warnings;
    assert!(said[0].starts_with("`hooks` was not there"), "{said:?}");
}

#[test]
fn every_scope_is_read() {
    // $XDG_CONFIG_HOME, the system's file, the environment, a condition, and another home.
    let set = Set::new("[includeIf \"onbranch:some-day\"]\n\tpath = later\n[user]\n\tname = x\n");
    fs::write(set.env.home.join("later"), "[core]\n\tsshCommand = ./by-branch\n").unwrap();
    let at = |name: &str| set.w.f.path(name);
    fs::create_dir_all(at("xdg/git")).unwrap();
    fs::write(at("xdg/git/config"), "[core]\n\teditor = ./by-xdg\n").unwrap();
    fs::write(at("system"), "[remote \"o\"]\n\tuploadpack = ./by-system\n").unwrap();
    let (xdg, system) = (at("xdg").display().to_string(), at("system").display().to_string());
    let set = set
        .var("XDG_CONFIG_HOME", &xdg)
        .var("GIT_CONFIG_SYSTEM", &system)
        .var("GIT_CONFIG_COUNT", "1")
        .var("GIT_CONFIG_KEY_0", "core.gitProxy")
        .var("GIT_CONFIG_VALUE_0", "./by-environment for kernel.org")
        .var("GIT_SSH_COMMAND", "sh -c './by-variable $@'");
    set.w.f.host(&["config", "extensions.worktreeConfig", "true"]);
    set.w.f.host(&["config", "--worktree", "sequence.editor", "./by-worktree"]);
    let mut set = set.files(&["by-branch", "by-xdg", "by-system", "by-environment", "by-variable", "by-worktree"]);
    set.env.variables.remove("GIT_CONFIG_NOSYSTEM");
    set.guards(&["by-branch", "by-environment", "by-system", "by-variable", "by-worktree", "by-xdg"]);
}

#[test]
fn values_are_expanded_as_git_and_a_shell_do() {
    let set = Set::bare("").files(&["a", "b", "c", "tools/d", "tools/e"]);
    let workspace = set.w.f.workspace.clone();
    std::os::unix::fs::symlink(&workspace, set.env.home.join("project")).unwrap();
    let text = "[core]\n\tattributesFile = ~/project/a\n\tpager = \"\\\"$HOME/project/b\\\"\"\n\
                [credential \"https://x.y\"]\n\thelper = \"!f() { exec \\\"$(git rev-parse --show-toplevel)/c\\\"; }; f\"\n\
                [alias]\n\tx = \"!sh -c 'tools/d \\\"$@\\\"'\"\n\tst = status -s\n\
                [submodule \"s\"]\n\tupdate = !tools/e\n[url \"ext::./never %S\"]\n\tinsteadOf = x:\n";
    fs::write(set.env.home.join(".gitconfig"), text).unwrap();
    let told = set.guards(&["a", "b", "c", "tools/d", "tools/e"]);
    assert_eq!(told.notes.len(), 1, "{told:#?}");
}

#[test]
fn what_cannot_be_known_is_said() {
    let text =
        "[core]\n\tpager = $NOWHERE/pager\n[alias]\n\tx = \"!cd tools && ./build\"\n\tok = \"!git log \\\"$@\\\"\"\n";
    let set = Set::bare(text).files(&["tools/build"]).var("PATH", "bin:/usr/bin:/bin").var("GIT_PAGER", "sh by-chance");
    symlink("tools/build", set.w.at("by-chance")).unwrap();
    let told = set.start().unwrap();
    let file = set.env.home.join(".gitconfig").display().to_string();
    assert!(told.notes.len() == 3 && told.notes[0].contains("`GIT_PAGER` in `the environment`"), "{told:#?}");
    let told = Told { notes: told.notes[1..].to_vec(), ..told };
    assert!(told.notes.iter().all(|line| line.contains(&file)), "{told:#?}");
    assert!(told.notes[0].contains("`alias.x`") && told.notes[0].contains("`tools`"), "{told:#?}");
    assert!(told.notes[1].contains("`core.pager`") && told.notes[1].contains("`$NOWHERE/pager`"), "{told:#?}");
    assert!(told.warnings[0].contains("PATH has the relative part `bin`"), "{told:#?}");
}

#[test]
fn what_lies_where_another_sandbox_can_write_starts_nothing() {
    let set = Set::bare("");
    let (other, list) = (set.w.f.path("other project"), set.w.f.path("list"));
    fs::create_dir_all(other.join("hooks")).unwrap();
    let file = set.env.home.join(".gitconfig");
    fs::write(&file, format!("[core]\n\thooksPath = {}\n", other.join("hooks").display())).unwrap();
    let named = |named: &[PathBuf]| Exposed::read(&list, Vec::new()).and_then(|list| list.naming(named)).unwrap();
    let exposed = named(&[]);
    exposed.save(&[&exposed.look(&other).unwrap()]).unwrap();
    let start = |state: PathBuf, named: Exposed| {
        let suspect = named.suspect(&named.look(&set.w.f.workspace).unwrap(), false);
        let doubt = Doubt { suspect, states: vec![state] };
        protect(&set.w.f.workspace, None, &set.w.state(), &set.env, doubt)
    };
    let state = set.w.f.path("other-state");
    let said = crate::error::render(&start(state.clone(), named(&[])).unwrap_err());
    for part in ["`core.hookspath`", &file.display().to_string(), "another sandbox can write", "hint: "] {
        assert!(said.contains(part), "{said}");
    }
    start(state.clone(), named(&[other.join("hooks")])).unwrap();
    // The other sandbox has it read-only once it was started with that setting.
    protect(&other, None, &state, &set.env, Doubt::default()).unwrap();
    start(state, named(&[])).unwrap();
}

#[test]
fn reading_the_settings_runs_nothing_that_they_name() {
    let set = Set::new("");
    let trap = set.w.trap.clone();
    let text = format!(
        "[core]\n\tfsmonitor = {trap}\n\tpager = {trap}\n\thooksPath = {0}\n[pager]\n\tconfig = {trap}\n\
         [alias]\n\tconfig = !{trap}\n\tls-files = !{trap}\n[filter \"x\"]\n\tprocess = {trap}\n",
        set.w.f.path("hooks").display()
    );
    fs::create_dir_all(set.w.f.path("hooks")).unwrap();
    for hook in [HOOK, "pre-auto-gc", "reference-transaction"] {
        fs::copy(&trap, set.w.f.path("hooks").join(hook)).unwrap();
    }
    fs::write(set.env.home.join(".gitconfig"), &text).unwrap();
    for line in text.lines().filter(|line| line.contains("fsmonitor")) {
        set.w.f.host(&["config", "core.fsmonitor", line.rsplit(' ').next().unwrap()]);
    }
    assert!(set.w.runs(""), "the trap is none");
    fs::remove_file(&set.w.mark).unwrap();
    set.start().unwrap();
    assert!(!set.w.mark.exists());
}

#[test]
fn links_of_the_users_that_lead_into_the_workspace_are_followed() {
    let set = Set::bare("").files(&["dot/gitconfig", "dot/attributes", "dot/lfs", "dot/post-checkout", "dot/tool"]);
    let (home, workspace) = (set.env.home.clone(), set.w.f.workspace.clone());
    let link = |to: &str, at: &str| {
        fs::create_dir_all(home.join(at).parent().unwrap()).unwrap();
        let _ = fs::remove_file(home.join(at));
        symlink(workspace.join(to), home.join(at)).unwrap();
    };
    link("dot/gitconfig", ".gitconfig");
    link("dot/attributes", ".config/git/attributes");
    link("dot/lfs", "bin/git-lfs");
    link("dot/post-checkout", "template/hooks/post-checkout");
    link("dot/tool", "tool");
    let text = "[filter \"lfs\"]\n\tprocess = git-lfs filter-process\n[init]\n\ttemplateDir = ~/template\n\
                [difftool \"x\"]\n\tpath = ~/tool\n";
    fs::write(set.w.at("dot/gitconfig"), text).unwrap();
    let bin = home.join("bin").display().to_string();
    let set = set.var("PATH", &format!("{bin}:/usr/bin:/bin"));
    set.guards(&["dot/attributes", "dot/gitconfig", "dot/lfs", "dot/post-checkout", "dot/tool"]);
    // What is not there yet is the agent's when it comes, also where only the way leads through the workspace.
    link("later/attributes", ".config/git/attributes");
    fs::remove_file(set.w.state()).unwrap();
    set.start().unwrap();
    set.w.program("later/attributes");
    let said = look(&workspace, None, &set.w.state(), &set.env, Now::Busy).unwrap().warnings;
    assert!(said.len() == 1 && said[0].starts_with("`later/attributes` was not there"), "{said:?}");
    symlink(&home, set.w.at("way")).unwrap();
    link("way/x", "tool");
    fs::remove_file(set.w.state()).unwrap();
    let said = set.start().unwrap_err().to_string();
    assert!(said.contains("way` is or leads through a symlink"), "{said}");
}

#[test]
fn hooks_are_looked_for_from_the_working_tree_that_the_repository_names() {
    let set = Set::new("").files(&["src/hooks/pre-commit"]);
    set.w.f.host(&["config", "core.hooksPath", "hooks"]);
    set.w.f.host(&["config", "core.worktree", &set.w.at("src").display().to_string()]);
    set.guards(&["src/hooks"]);
}
