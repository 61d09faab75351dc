//! Where things lie inside the container, and what a mount of each kind is there: the one table. No other file spells a
//! path of the container.

use super::words::Cache;
use serde::{Deserialize, Serialize};

/// The research project, and the working directory of what is entered.
pub const WORKSPACE: &str = "/workspace";
/// The project's git directory, or for a linked worktree the file that leads to it.
pub const DOT_GIT: &str = "/workspace/.git";
/// The home of the container's user.
pub const HOME: &str = "/home/codex";
/// Codex's own home.
pub const CODEX_HOME: &str = "/home/codex/.codex";
/// Codex as it is entered: on its read-only mount, where root inside can put nothing before it.
pub const CODEX: &str = "/opt/codex/bin/codex";
/// The name by which users know Codex; it leads to [`CODEX`].
pub const CODEX_ON_PATH: &str = "/usr/local/bin/codex";
/// What this tool hands to the container, read-only.
pub const GUEST: &str = "/sandbox";
/// The host's CA bundle.
pub const CA: &str = "/sandbox/ca.pem";
/// The inside witness.
pub const PROBE: &str = "/sandbox/probe.py";
/// The program that ends what was entered from a terminal that has been closed.
pub const REAP: &str = "/sandbox/reap.py";
/// The container's init.
pub const INIT: &str = "/sandbox/init.py";
/// The programs that set a filter of system calls and then become the program that they are given: see `engine::launcher`.
/// This one denies setuid and setgid files.
pub const NO_SETUID: &str = "/sandbox/launch/no-setuid";
/// The same for tracing.
pub const NO_PTRACE: &str = "/sandbox/launch/no-ptrace";
/// The same for both.
pub const NO_SETUID_NO_PTRACE: &str = "/sandbox/launch/no-setuid-no-ptrace";
/// The GPU smoke test.
pub const SMOKE: &str = "/sandbox/gpu_smoke.py";
/// The image's own interpreter.
pub const PYTHON: &str = "/usr/bin/python3";
/// The same by a link on the read-only mount. Python looks for a `pyvenv.cfg`, which would lead it to another library,
/// beside the name by which it was started and in the directory above: both are out of the agent's reach there.
pub const PYTHON_LINK: &str = "/sandbox/bin/python3";
/// Where Codex reads what an administrator has set; the host has it at the same place.
pub const SYSTEM_CODEX: &str = "/etc/codex";

/// A file below the guest mount, on the host: the part of a path of this table after [`GUEST`].
pub fn in_guest(path: &str) -> &str {
    path.strip_prefix(GUEST).map_or(path, |rest| rest.trim_start_matches('/'))
}

/// What a mount is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The research project.
    Workspace,
    /// A data set, by name. Always read-only.
    Dataset(String),
    /// The snapshot of the host's Codex package.
    CodexPackage,
    /// What is mounted at `/home/codex/.codex`.
    CodexHome,
    /// `~/.agents` of the host, as a read-only copy.
    Agents,
    /// The host's `/etc/codex`, with the sandbox's own defaults added.
    SystemCodex,
    /// What `xtask` hands to the container, read-only: the probe, the CA bundle.
    Guest,
    /// The sandbox's own git directory (or, for a linked worktree, its `.git` file).
    Git,
    /// The host's git objects.
    GitObjects,
    /// What git on the host runs or obeys in the workspace, by its path there: the git directory of a submodule or of
    /// another nested repository, hooks. Read-only.
    GitReadOnly(String),
    /// A cache that outlives the container: a volume of the engine.
    Cache(Cache),
}

impl Role {
    /// The first part of the ids of the claims about this mount, such as `dataset.ssv2`.
    pub fn id(&self) -> String {
        match self {
            Role::Workspace => "workspace".into(),
            Role::Dataset(name) => format!("dataset.{name}"),
            Role::CodexPackage => "codex-package".into(),
            Role::CodexHome => "codex-home".into(),
            Role::Agents => "agents".into(),
            Role::SystemCodex => "system-codex".into(),
            Role::Guest => "guest".into(),
            Role::Git => "git".into(),
            Role::GitObjects => "git-objects".into(),
            Role::GitReadOnly(_) => "git-read-only".into(),
            Role::Cache(cache) => format!("cache.{cache}"),
        }
    }
}

/// When a changed setting or mount reaches a sandbox that already runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The container must be recreated: it lacks what is asked for now.
    Now,
    /// At the next start; the running container may still be entered.
    NextStart,
    /// At each entry, so that the container never lags behind.
    EachEntry,
}

/// What a mount of one kind is inside the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// The absolute path.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
    /// When another source reaches a running container.
    pub taken: Taken,
    /// What another source is told by.
    pub told_by: ToldBy,
    /// Whether the source may be a file as well as a directory.
    pub may_be_a_file: bool,
    /// Which directory that is out of reach the source may lie in all the same.
    pub may_lie_in: MayLieIn,
    /// Who chose the source.
    pub chosen: Chosen,
    /// How the witness inside tries it.
    pub tried: Tried,
    /// What to do where the source is missing.
    pub missing: String,
}

/// Who chose the source of a mount, and so what it is held to before it is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// The user, for the agent to work in: it shows no logins, and nothing that others trust.
    Project,
    /// The user, to be read: the same, and no sandbox may write where it lies.
    Data,
    /// The workspace's repository names it: it shows no logins.
    Borrowed,
    /// A part of the workspace, shown where the agent has it already: no link may lead out.
    PartOfWorkspace,
    /// This tool made or chose it; a shared Codex home is the user's own wish.
    Tool,
}

/// How the witness inside tries a mount, beside reading its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Only whether it can be written.
    Access,
    /// A sample of its files is read.
    Sample,
    /// A file is written, which the host then reads and removes.
    File,
}

/// The folders in the workspace's part of the state folder that this tool fills anew at each start, and that are removed
/// with the container.
pub const FILLED: [(Role, &str); 3] =
    [(Role::Guest, "guest"), (Role::Agents, "agents"), (Role::SystemCodex, "etc-codex")];

/// What the container gets only where the host has it, at this path (`~/` is the user's home): the host's own, or what is
/// filled for it.
pub const OPTIONAL: [(Role, &str); 1] = [(Role::SystemCodex, SYSTEM_CODEX)];

/// Which of the directories that no mount may reach for writing a mount may lie in all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayLieIn {
    /// None of them.
    Nothing,
    /// The state folder, below its top.
    StateFolder,
    /// This repository's `workspace/`, which is the default project.
    DefaultProject,
}

/// By what two mounts of a kind are told apart where a running container is compared with what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldBy {
    /// The directory of the host.
    Source,
    /// The name of the engine's volume; where it lies follows from the engine.
    Volume,
    /// Only whether the mount is there: its source is compared in a line of its own, or follows from the engine.
    Presence,
}

impl Role {
    /// Its name in [`FILLED`].
    pub fn filled(&self) -> Option<&'static str> {
        FILLED.into_iter().find(|(role, _)| role == self).map(|(_, name)| name)
    }

    /// The row of this kind of mount. The airlock places further mounts of its kinds itself (`git/mounts.rs`).
    pub fn inside(&self) -> Inside {
        let row = |target: &str| Inside {
            target: target.to_owned(),
            read_only: true,
            taken: Taken::Now,
            told_by: ToldBy::Source,
            may_be_a_file: false,
            may_lie_in: MayLieIn::Nothing,
            chosen: Chosen::Data,
            tried: Tried::Access,
            missing: "check the path, and that you may read it".to_owned(),
        };
        let ours = |target: &str| Inside { chosen: Chosen::Tool, ..row(target) };
        let writable = |target: &str, may_lie_in| Inside { read_only: false, may_lie_in, ..ours(target) };
        match self {
            Role::Workspace => Inside {
                chosen: Chosen::Project,
                tried: Tried::File,
                missing: "give the project's directory with `--workspace DIR`".to_owned(),
                ..writable(WORKSPACE, MayLieIn::DefaultProject)
            },
            Role::Dataset(name) => Inside {
                tried: Tried::Sample,
                missing: format!("give the directory with `--dataset {name}=DIR`"),
                ..row(&format!("/datasets/{name}"))
            },
            Role::CodexPackage => Inside { taken: Taken::NextStart, told_by: ToldBy::Presence, ..ours("/opt/codex") },
            Role::CodexHome => writable(CODEX_HOME, MayLieIn::StateFolder),
            Role::Agents => ours("/home/codex/.agents"),
            Role::SystemCodex => ours(SYSTEM_CODEX),
            Role::Guest => ours(GUEST),
            Role::Git => Inside { may_be_a_file: true, ..writable(DOT_GIT, MayLieIn::StateFolder) },
            Role::GitObjects => Inside { chosen: Chosen::Borrowed, ..row(&format!("{GUEST}/objects")) },
            // What is found at the next start does not make a running container useless.
            Role::GitReadOnly(path) => {
                let chosen = Chosen::PartOfWorkspace;
                Inside { chosen, may_be_a_file: true, taken: Taken::NextStart, ..row(&format!("{WORKSPACE}/{path}")) }
            }
            Role::Cache(cache) => {
                let target = format!("{HOME}/.cache/{cache}");
                Inside { told_by: ToldBy::Volume, ..writable(&target, MayLieIn::Nothing) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_the_guest_mount_is_named_from_there() {
        assert_eq!(in_guest(PYTHON_LINK), "bin/python3");
        assert_eq!(in_guest(PROBE), "probe.py");
    }

    #[test]
    fn the_codex_that_is_entered_lies_on_its_mount() {
        assert!(CODEX.starts_with(&format!("{}/", Role::CodexPackage.inside().target)));
    }

    #[test]
    fn every_kind_has_an_id_and_a_place_of_its_own_and_is_read_back() {
        let all = [
            Role::Workspace,
            Role::Dataset("ssv2".into()),
            Role::CodexPackage,
            Role::CodexHome,
            Role::Agents,
            Role::SystemCodex,
            Role::Guest,
            Role::Git,
            Role::GitObjects,
            Role::GitReadOnly("sub/.git".into()),
            Role::Cache(Cache::Pip),
        ];
        let unique = |texts: Vec<String>| texts.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(unique(all.iter().map(Role::id).collect()), all.len());
        assert_eq!(unique(all.iter().map(|role| role.inside().target).collect()), all.len());
        for role in all {
            let kept = serde_json::to_string(&role).unwrap();
            assert_eq!(serde_json::from_str::<Role>(&kept).unwrap(), role);
        }
    }
}
