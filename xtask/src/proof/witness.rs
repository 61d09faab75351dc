//! The host as a witness: the engine's word (`docker inspect`), `/proc/PID` of the container's init, and the sources
//! of the mounts themselves. This file reads; it does not judge. The one thing it changes is the probe's file in the
//! workspace, which it removes.

use crate::beneath::{Beneath, FileId};
use crate::engine::inspect::Container;
use crate::error::failed;
use crate::proof::mountinfo::{DevicePath, MountTable};
use crate::proof::probe::ProbeRequest;
use crate::spec::Spec;
use crate::spec::inside::Role;
use crate::spec::mount::Mount;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The namespaces of which a container must have its own.
pub const NAMESPACES: [&str; 5] = ["pid", "ipc", "net", "mnt", "uts"];

/// What the host saw.
#[derive(Debug, Clone, PartialEq)]
pub struct HostWitness {
    /// The engine's description of the container.
    pub container: Container,
    /// What `/proc` says of the container's init; or why it says nothing.
    pub process: Result<ProcessFacts, String>,
    /// The mounts of this process, by which paths of the host are translated.
    pub own_mounts: MountTable,
    /// The namespaces of this process.
    pub own_namespaces: BTreeMap<String, String>,
    /// The source of each promised mount, by its target.
    pub sources: BTreeMap<String, SourceFacts>,
    /// The promised directories that are out of reach, with their places where they exist.
    pub out_of_reach: Vec<(PathBuf, Option<DevicePath>)>,
    /// The file of the mounted Codex.
    pub codex: Option<CodexFile>,
    /// The file that answered with the promised version at the container's start, before any agent ran inside.
    pub codex_at_start: Option<CodexFile>,
    /// What lies on the host where `Role::Git` is mounted inside.
    pub real_git: Option<(FileId, Option<DevicePath>)>,
    /// The probe's file in the workspace, once looked for.
    pub workspace_file: Option<Result<WorkspaceFile, String>>,
}

/// What `/proc/PID` says of the container's init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessFacts {
    /// `mountinfo`.
    pub mounts: MountTable,
    /// `status`.
    pub status: String,
    /// `limits`.
    pub limits: String,
    /// `ns/*`.
    pub namespaces: BTreeMap<String, String>,
}

/// A file of Codex, by what changes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodexFile {
    /// Which file.
    pub id: FileId,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last changed in any way, as only the kernel sets it: seconds and nanoseconds.
    pub changed: (i64, i64),
}

impl std::fmt::Display for CodexFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, nanoseconds) = self.changed;
        write!(f, "{}, {} bytes, changed {seconds}.{nanoseconds:09}", self.id, self.size)
    }
}

/// The source of a mount, as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    /// Its identity, or the error.
    pub id: Result<FileId, String>,
    /// Its place by the host's mounts.
    pub place: Option<DevicePath>,
    /// Whether it is a directory with something in it.
    pub filled: bool,
}

/// The file that the probe made in the workspace, as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceFile {
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its first bytes.
    pub text: String,
    /// The group of the workspace where it hands its group on (setgid).
    pub inherited: Option<u32>,
    /// Whether it could be removed.
    pub removed: bool,
}

impl HostWitness {
    /// Reads what the host can see of a container that the engine described.
    pub fn read(container: Container, promise: &Spec) -> Result<HostWitness> {
        let own_mounts = fs::read("/proc/self/mountinfo")
            .map_err(|err| err.to_string())
            .and_then(|bytes| MountTable::parse(&String::from_utf8_lossy(&bytes)))
            .map_err(failed)?;
        let sources =
            promise.mounts.iter().map(|mount| (mount.target.clone(), source_facts(mount, &own_mounts))).collect();
        let out_of_reach = promise.out_of_reach.iter().map(|dir| (dir.clone(), place_of(dir, &own_mounts))).collect();
        Ok(HostWitness {
            process: process_facts(&container),
            sources,
            out_of_reach,
            codex: codex_file(promise),
            codex_at_start: None,
            real_git: real_git(promise, &own_mounts),
            own_namespaces: namespaces("/proc/self/ns"),
            own_mounts,
            container,
            workspace_file: None,
        })
    }

    /// The full id of the container.
    pub fn id(&self) -> &str {
        &self.container.id
    }

    /// Looks at the file that the probe made in the workspace, and removes it.
    pub fn take_workspace_file(&mut self, promise: &Spec, nonce: &str) {
        let workspace = promise.mounts.iter().find(|mount| mount.role == Role::Workspace);
        self.workspace_file =
            workspace.map(|mount| take_file(&mount.source, &ProbeRequest::workspace_file_name(nonce)));
    }
}

/// Never follows a symlink and never waits: what lies there was written by the other side.
fn take_file(dir: &Path, name: &str) -> Result<WorkspaceFile, String> {
    let dir = Beneath::root(dir).map_err(|err| err.to_string())?;
    let opened = dir.file(name).map_err(|err| err.to_string());
    let removed = dir.unlink(name).is_ok();
    let (file, meta) = opened?.ok_or_else(|| format!("there is no `{name}` in `{}`", dir.path().display()))?;
    let mut bytes = Vec::new();
    file.take(256).read_to_end(&mut bytes).map_err(|err| err.to_string())?;
    let node = dir.node();
    Ok(WorkspaceFile {
        uid: meta.uid(),
        gid: meta.gid(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
        inherited: (node.mode & 0o2000 != 0).then_some(node.gid),
        removed,
    })
}

fn process_facts(container: &Container) -> Result<ProcessFacts, String> {
    let id = container.id.as_str();
    let pid = container.init().ok_or("the engine names no process of the container")?;
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read(&path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|err| format!("the host cannot read `{path}` ({err})"))
    };
    let mounts = read("mountinfo")?;
    // Elsewhere (a remote engine, one in a virtual machine) the same number names another process or none.
    if id.is_empty() || !(mounts.contains(id) || read("cgroup").is_ok_and(|text| text.contains(id))) {
        return Err(format!("process {pid} of this host is not the container's: the engine runs elsewhere"));
    }
    let namespaces = namespaces(&format!("/proc/{pid}/ns"));
    if namespaces.is_empty() {
        return Err(format!("the host cannot read `/proc/{pid}/ns`"));
    }
    Ok(ProcessFacts {
        mounts: MountTable::parse(&mounts)?,
        status: read("status")?,
        limits: read("limits")?,
        namespaces,
    })
}

fn namespaces(dir: &str) -> BTreeMap<String, String> {
    let link = |name: &str| {
        let link = fs::read_link(Path::new(dir).join(name)).ok()?;
        Some((name.to_owned(), link.to_string_lossy().into_owned()))
    };
    NAMESPACES.iter().chain(&["user", "cgroup"]).filter_map(|name| link(name)).collect()
}

fn file_id(path: &Path) -> Result<FileId, String> {
    let meta = fs::metadata(path).map_err(|err| format!("`{}`: {err}", path.display()))?;
    Ok(FileId::from(&meta))
}

fn place_of(path: &Path, mounts: &MountTable) -> Option<DevicePath> {
    mounts.place_of(path.canonicalize().ok()?.to_str()?)
}

fn source_facts(mount: &Mount, mounts: &MountTable) -> SourceFacts {
    let source = &mount.source;
    SourceFacts {
        id: file_id(source),
        place: match mount.role {
            // The engine's own directories are closed to most users: its path, which has no symlinks, must do.
            Role::Cache(_) => source.to_str().and_then(|path| mounts.place_of(path)),
            _ => place_of(source, mounts),
        },
        filled: fs::read_dir(source).is_ok_and(|mut entries| entries.next().is_some()),
    }
}

/// The file of the mounted Codex, as the host sees it now.
pub fn codex_file(promise: &Spec) -> Option<CodexFile> {
    let package = promise.mounts.iter().find(|mount| mount.role == Role::CodexPackage)?;
    let meta = fs::metadata(package.source.join("bin/codex")).ok()?;
    Some(CodexFile { id: FileId::from(&meta), size: meta.size(), changed: (meta.ctime(), meta.ctime_nsec()) })
}

fn real_git(promise: &Spec, mounts: &MountTable) -> Option<(FileId, Option<DevicePath>)> {
    let path = super::reach::real_git_path(promise)?;
    Some((file_id(&path).ok()?, place_of(&path, mounts)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::inspect::RunState;

    #[test]
    fn the_probes_file_is_read_and_removed_and_a_symlink_is_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "nonce").unwrap();
        let file = take_file(dir.path(), "f").unwrap();
        assert_eq!((file.text.as_str(), file.removed), ("nonce", true));
        assert!(!dir.path().join("f").exists());

        let precious = dir.path().join("precious");
        fs::write(&precious, "keep").unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join("f")).unwrap();
        assert!(take_file(dir.path(), "f").is_err());
        assert!(precious.exists() && fs::symlink_metadata(dir.path().join("f")).is_err());
    }

    #[test]
    fn a_process_of_another_machine_is_no_witness() {
        let container = |id: &str, pid: u32| Container {
            id: id.into(),
            state: RunState { pid: pid.into(), ..RunState::default() },
            ..Container::default()
        };
        let why = process_facts(&container("0123456789abcdef", std::process::id())).unwrap_err();
        assert!(why.contains("the engine runs elsewhere"), "{why}");
        let why = process_facts(&container("x", 0)).unwrap_err();
        assert!(why.contains("names no process"), "{why}");
    }
}
