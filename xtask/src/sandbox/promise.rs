//! What a sandbox promises: the values that the compose override is made from and that the proof is held against.

use std::path::PathBuf;

/// What a bind mount is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
        }
    }
}

/// A bind mount of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What it is for.
    pub role: Role,
    /// The host's side: absolute, symlinks resolved.
    pub source: PathBuf,
    /// The container's side: absolute, as the user named it.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// Which GPUs a sandbox gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpus {
    /// Every GPU of the host.
    All,
    /// None, by the user's own word.
    None,
    /// These, by index or UUID.
    Ids(Vec<String>),
}

impl std::fmt::Display for Gpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gpus::All => f.write_str("all"),
            Gpus::None => f.write_str("none"),
            Gpus::Ids(ids) => f.write_str(&ids.join(",")),
        }
    }
}

/// How GPUs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuRoute {
    /// `deploy.resources.reservations.devices` with `driver: nvidia`.
    Nvidia,
    /// The same with `driver: cdi` and CDI device names.
    Cdi,
}

/// Which network a sandbox gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The engine's bridge network.
    Open,
    /// Loopback only.
    None,
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Network::Open => "open",
            Network::None => "none",
        })
    }
}

/// Everything a running sandbox is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The user id that everything inside runs as, the host user's own.
    pub uid: u32,
    /// The group id, the host user's own.
    pub gid: u32,
    /// Supplementary groups, sorted: those that own a mount.
    pub groups: Vec<u32>,
    /// Every bind mount, and no other may be there.
    pub mounts: Vec<Mount>,
    /// Directories of the host that no mount may reach for writing: this repository, the state folder, the host's
    /// Codex home, the host's git directory.
    pub out_of_reach: Vec<PathBuf>,
    /// The size of `/dev/shm`, in bytes.
    pub shm_bytes: u64,
    /// The most processes.
    pub pids_limit: u64,
    /// The GPUs.
    pub gpus: Gpus,
    /// How they are asked for; `None` with `Gpus::None`.
    pub gpu_route: Option<GpuRoute>,
    /// The network.
    pub network: Network,
    /// The version that the mounted Codex gave on the host, such as `0.169.0`.
    pub codex_version: String,
    /// The image, by tag.
    pub image: String,
    /// The id of that image, `sha256:…`, where the engine has told it.
    pub image_id: Option<String>,
}
