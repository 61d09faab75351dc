//! Where things lie inside the container, and what a mount of each kind is there: the one table. No other file spells a
//! path of the container.

use super::mount::Role;

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
/// The program that ends what was entered from a terminal that is gone.
pub const REAP: &str = "/sandbox/reap.py";
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

/// When a changed wish reaches a sandbox that already runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The container must be recreated: what was asked for now is not there.
    Now,
    /// At the next start; entering the running container is right all the same.
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
}

impl Role {
    /// The row of this kind of mount. The airlock places further mounts of its kinds itself (`git/mounts.rs`).
    pub fn inside(&self) -> Inside {
        use Taken::{NextStart, Now};
        let (target, read_only, taken) = match self {
            Role::Workspace => (WORKSPACE.to_owned(), false, Now),
            Role::Dataset(name) => (format!("/datasets/{name}"), true, Now),
            Role::CodexPackage => ("/opt/codex".to_owned(), true, NextStart),
            Role::CodexHome => (CODEX_HOME.to_owned(), false, Now),
            Role::Agents => ("/home/codex/.agents".to_owned(), true, Now),
            Role::SystemCodex => (SYSTEM_CODEX.to_owned(), true, Now),
            Role::Guest => (GUEST.to_owned(), true, Now),
            Role::Git => (DOT_GIT.to_owned(), false, Now),
            Role::GitObjects => (format!("{GUEST}/objects"), true, Now),
            Role::Cache(cache) => (format!("{HOME}/.cache/{cache}"), false, Now),
        };
        Inside { target, read_only, taken }
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
}
