//! The host as a witness: the engine's report (`docker inspect`), `/proc/PID` of the container's init, and the sources
//! of the mounts themselves. This file reads and does not judge. The one thing that it changes is the probe's file in the
//! workspace, which it removes.

use super::Promised;
use super::ask::Alone;
use super::codex_file::CodexFile;
use super::host_kernel::HostKernel;
use super::probe::{ProbeRequest, ProcessFacts};
use crate::beneath::{Beneath, FileId};
use crate::engine::inspect::{Container, Mounted};
use crate::error::failed;
use crate::exec;
use crate::mountinfo::{DevicePath, MountTable, clean, rest};
use crate::spec::codex_command::CARRIED;
use crate::spec::{Mount, Role, Spec};
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The namespaces of which a container must have its own.
pub(crate) const NAMESPACES: [&str; 5] = ["pid", "ipc", "net", "mnt", "uts"];

/// What the host saw.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostWitness {
    /// The engine's description of the container.
    pub(crate) container: Container,
    /// The container's init; or why the host cannot see it.
    pub(crate) process: Result<ProcessFacts, String>,
    /// Whether the inside witness was alone in its group.
    pub(crate) alone: Alone,
    /// Variables that the image's entry point set for the main process, of those that are carried over to what is entered.
    pub(crate) carried: BTreeMap<String, String>,
    /// The mounts of this process, by which paths of the host are translated.
    pub(crate) own_mounts: MountTable,
    /// What this host's kernel says of the container beside that.
    pub(crate) kernel: HostKernel,
    /// The namespaces of this process.
    pub(crate) own_namespaces: BTreeMap<String, String>,
    /// What lies now at the path of the source of each promised mount, by its target.
    pub(crate) sources: BTreeMap<String, SourceFacts>,
    /// What the container's init has at the target of each bind mount.
    pub(crate) mounted: BTreeMap<String, Result<FileId, String>>,
    /// What was checked before the container started and was then mounted, by its target, as it was recorded.
    pub(crate) recorded: BTreeMap<String, FileId>,
    /// The directories that no mount may show for writing, with their places where they exist.
    pub(crate) out_of_reach: Vec<(PathBuf, Option<DevicePath>)>,
    pub(crate) codex: Option<CodexFile>,
    /// The file that answered with the promised version at the container's start, before any agent ran inside.
    pub(crate) codex_at_start: Option<CodexFile>,
    /// What lies on the host where `Role::Git` is mounted inside.
    pub(crate) real_git: Option<(FileId, Option<DevicePath>)>,
    /// The probe's file in the workspace, once it was looked for.
    pub(crate) workspace_file: Option<Result<WorkspaceFile, String>>,
}

/// The source of a mount, as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFacts {
    /// The file, or the error.
    pub(crate) id: Result<FileId, String>,
    pub(crate) place: Option<DevicePath>,
    /// Whether it is a directory with something in it.
    pub(crate) filled: bool,
}

/// The file that the probe made in the workspace, as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkspaceFile {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The first 256 bytes.
    pub(crate) text: String,
    /// The group of the workspace, where new files inherit it (setgid).
    pub(crate) inherited: Option<u32>,
    /// Whether the file could be removed.
    pub(crate) removed: bool,
}

impl HostWitness {
    /// Reads what the host can see of a container that the engine described.
    pub(crate) fn read(container: Container, promised: Promised, alone: Alone) -> Result<HostWitness> {
        let spec = promised.spec;
        let own_mounts = MountTable::of_this_process().map_err(failed)?;
        let source = |mount: &Mount| (mount.target.clone(), source_facts(mount, &own_mounts));
        let process = process_facts(&container);
        Ok(HostWitness {
            carried: container.init().filter(|_| process.is_ok()).map(carried).unwrap_or_default(),
            mounted: mounted_in(&container, &process, &spec.mounts),
            process,
            alone,
            recorded: promised.sources.clone(),
            sources: spec.mounts.iter().map(source).collect(),
            out_of_reach: spec.out_of_reach.iter().map(|dir| (dir.clone(), place_of(dir, &own_mounts))).collect(),
            codex: CodexFile::of(spec),
            codex_at_start: None,
            real_git: real_git(spec, &own_mounts),
            kernel: HostKernel::read(&container, &own_mounts, spec),
            own_namespaces: namespaces("/proc/self/ns"),
            own_mounts,
            container,
            workspace_file: None,
        })
    }

    /// The full id of the container.
    pub(crate) fn id(&self) -> &str {
        &self.container.id
    }

    /// What the engine reports of the mount at this target.
    pub(crate) fn mounted_at(&self, target: &str) -> Option<&Mounted> {
        self.container.mounts.iter().flatten().find(|seen| clean(&seen.target) == target)
    }

    /// Reads the file that the probe made in the workspace, and removes it.
    pub(crate) fn take_workspace_file(&mut self, spec: &Spec, nonce: &str) {
        let take = |mount: &Mount| take_file(&mount.source, &ProbeRequest::workspace_file_name(nonce));
        self.workspace_file = spec.mount(&Role::Workspace).map(take);
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
        let bytes = fs::read(&path).map_err(|err| format!("the host cannot read `{path}` ({err})"))?;
        Ok::<_, String>(String::from_utf8_lossy(&bytes).into_owned())
    };
    // Elsewhere (a remote engine, one in a virtual machine) the same number names another process or none.
    if id.is_empty() || !(read("mountinfo")?.contains(id) || read("cgroup").is_ok_and(|text| text.contains(id))) {
        return Err(format!("process {pid} of this host is not the container's: the engine runs elsewhere"));
    }
    let namespaces = namespaces(&format!("/proc/{pid}/ns"));
    if namespaces.is_empty() {
        return Err(format!("the host cannot read `/proc/{pid}/ns`"));
    }
    ProcessFacts::read(namespaces, read)
}

/// What the container's init has at the target of each bind mount; or why the host cannot see it. No link is followed:
/// the agent has written the container's root.
pub(crate) fn mounted(container: &Container, mounts: &[Mount]) -> BTreeMap<String, Result<FileId, String>> {
    mounted_in(container, &process_facts(container), mounts)
}

fn mounted_in(
    container: &Container,
    process: &Result<ProcessFacts, String>,
    mounts: &[Mount],
) -> BTreeMap<String, Result<FileId, String>> {
    let bound = mounts.iter().filter(|mount| !matches!(mount.role, Role::Cache(_)));
    let root = process.as_ref().map_err(Clone::clone).and_then(|process| Ok((init_root(container)?, &process.mounts)));
    let look = |target: &str| {
        let (root, table) = root.as_ref().map_err(Clone::clone)?;
        let node = root.look(target.trim_start_matches('/')).map_err(|err| err.to_string())?;
        let node = node.ok_or_else(|| format!("there is no `{target}`"))?;
        let line = table.at(target).ok_or_else(|| format!("nothing is mounted at `{target}`"))?;
        match node.mount {
            Some(id) if id == line.id => Ok(node.id),
            Some(_) => Err(format!("what lies at `{target}` is not what is mounted there")),
            None => Err("this kernel does not tell the mount of a file: use Linux 5.8 or later".to_owned()),
        }
    };
    bound.map(|mount| (mount.target.clone(), look(&mount.target))).collect()
}

fn init_root(container: &Container) -> Result<Beneath, String> {
    let pid = container.init().ok_or("the engine names no process of the container")?;
    Beneath::root(Path::new(&format!("/proc/{pid}/root/."))).map_err(|err| err.to_string())
}

/// The variables of the main process, which is the first child of the init. The host reads them, because from inside only
/// the agent itself may.
fn carried(init: u64) -> BTreeMap<String, String> {
    let main = u32::try_from(init).ok().and_then(|init| exec::process_tree(init).into_iter().nth(1));
    let text = main.and_then(|pid| fs::read(format!("/proc/{pid}/environ")).ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| CARRIED.contains(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn namespaces(dir: &str) -> BTreeMap<String, String> {
    let link = |name: &&str| {
        let link = fs::read_link(Path::new(dir).join(name)).ok()?;
        Some(((*name).to_owned(), link.to_string_lossy().into_owned()))
    };
    NAMESPACES.iter().chain(&["user", "cgroup"]).filter_map(link).collect()
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
        place: if matches!(mount.role, Role::Cache(_)) {
            // Most users may not enter the engine's own directories, so the path cannot be resolved; it has no symlinks.
            source.to_str().and_then(|path| mounts.place_of(path))
        } else {
            place_of(source, mounts)
        },
        filled: fs::read_dir(source).is_ok_and(|mut entries| entries.next().is_some()),
    }
}

/// The host's own git directory: what lies in the workspace where the sandbox's git directory is mounted over it.
fn real_git(spec: &Spec, mounts: &MountTable) -> Option<(FileId, Option<DevicePath>)> {
    let (git, workspace) = (spec.mount(&Role::Git)?, spec.mount(&Role::Workspace)?);
    let path = workspace.source.join(rest(&git.target, &workspace.target)?);
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
