//! The host as a witness: the engine's report (`docker inspect`), `/proc/PID` of the container's init, and the sources
//! of the mounts themselves. This file reads and does not judge. The one thing that it changes is the probe's file in the
//! workspace, which it removes.

use super::Promised;
use super::ask::Alone;
use super::codex_file::CodexFile;
use super::host_kernel::HostKernel;
use super::init::{self, InitNow, InitSeen};
use super::probe::{ProbeRequest, ProcessFacts};
use super::probing::Probing;
use crate::beneath::{Beneath, FileId};
use crate::clock;
use crate::engine::inspect::{Container, Mounted};
use crate::error::failed;
use crate::mountinfo::{DevicePath, MountTable, clean, rest};
use crate::second_name::Writers;
use crate::spec::{Mount, Role, Spec};
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What the host saw.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostWitness {
    /// The engine's description of the container.
    pub(crate) container: Container,
    /// The container's init; or why the host cannot see it.
    pub(crate) process: Result<ProcessFacts, String>,
    /// Whether the inside witness was alone in its group.
    pub(crate) alone: Alone,
    /// That group, which was chosen for this proof.
    pub(crate) group: u32,
    /// What the init says of itself now, where the host sees it.
    pub(crate) init: Option<InitNow>,
    /// The mounts of this process, by which paths of the host are translated.
    pub(crate) own_mounts: MountTable,
    /// What this host's kernel says of the container beside that.
    pub(crate) kernel: HostKernel,
    /// The namespaces of this process.
    pub(crate) own_namespaces: BTreeMap<String, String>,
    /// What lies now at the path of the source of each promised mount, by its target.
    pub(crate) sources: BTreeMap<String, SourceFacts>,
    /// What the container's init has at the target of each bind mount, where that is known.
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
    /// Of a part of the workspace that is mounted read-only: that it can be written under another name.
    pub(crate) second_name: Option<String>,
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
    pub(crate) fn read(container: Container, promised: Promised, alone: Alone, group: u32) -> Result<HostWitness> {
        let spec = promised.spec;
        let own_mounts = MountTable::of_this_process().map_err(failed)?;
        let source = |mount: &Mount| (mount.target.clone(), source_facts(mount, &own_mounts));
        let seen = promised.init.as_ref().map_err(Clone::clone);
        let seen = seen.and_then(|seen| Ok((seen, process_facts(&container, seen)?)));
        let mounted = match &seen {
            Ok((seen, process)) => seen.mounted_now(&process.mounts),
            Err(why) => spec.mounts.iter().map(|mount| (mount.target.clone(), Err(why.clone()))).collect(),
        };
        let process = seen.map(|(_, process)| process);
        Ok(HostWitness {
            init: process.is_ok().then(|| container.init().map(InitNow::read)).flatten(),
            mounted,
            process,
            alone,
            group,
            recorded: promised.sources.clone(),
            sources: spec.mounts.iter().map(source).collect(),
            out_of_reach: spec.out_of_reach.iter().map(|dir| (dir.clone(), place_of(dir, &own_mounts))).collect(),
            codex: CodexFile::of(spec),
            codex_at_start: None,
            real_git: real_git(spec, &own_mounts),
            kernel: HostKernel::read(&container, &own_mounts, spec),
            own_namespaces: init::namespaces("/proc/self/ns"),
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
    pub(super) fn take_workspace_file(&mut self, spec: &Spec, nonce: &str, probing: Probing) {
        let take = |dir| take_and_tidy(dir, &ProbeRequest::workspace_file_name(nonce), probing);
        self.workspace_file = spec.workspace().map(take);
    }
}

/// This call's own file first: where the clock of the file system's server is another one than this host's, no age says of it
/// that it is new.
fn take_and_tidy(dir: &Path, name: &str, probing: Probing) -> Result<WorkspaceFile, String> {
    let taken = take_file(dir, name);
    remove_left(dir, || probing.end_alone());
    taken
}

/// The most entries of the workspace among which is looked for what was left: the cost must not grow with the project.
const LOOKED_THROUGH: usize = 4096;

/// From this age on a probe's file is of a call that has ended, also where others may probe: the probe's own bound is half of it.
const LEFT_AFTER: Duration = Duration::from_secs(60);

/// Removes the files that the probes of ended calls made and nobody took away, as where the terminal closed meanwhile or the
/// engine went: where nobody else probes now, all of them, and else the old ones. They are of the exact form of their name,
/// regular, and with nothing in them but what a probe writes. Everything else of that name is not ours, and stays.
fn remove_left(dir: &Path, alone: impl FnOnce() -> bool) {
    let Ok(dir) = Beneath::root(dir) else { return };
    let names = dir.names_up_to(LOOKED_THROUGH).unwrap_or_default();
    let probes = names.iter().filter_map(|(name, _)| Some((name, ProbeRequest::nonce_of(name.to_str()?)?)));
    let probes: Vec<_> = probes.collect();
    // Asked after the names were read: a call that begins later makes another file.
    let alone = !probes.is_empty() && alone();
    for (name, nonce) in probes {
        let Ok(Some((file, meta))) = dir.file(name) else { continue };
        let old = || meta.modified().is_ok_and(|at| clock::age(at, SystemTime::now()) > LEFT_AFTER);
        let over = alone || old();
        let mut text = Vec::new();
        let read = file.take(nonce.len() as u64 + 1).read_to_end(&mut text).is_ok();
        if over && read && (text.is_empty() || text == nonce.as_bytes()) {
            let _ = dir.unlink(name);
        }
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

/// Of an init that is out of reach already; `seen` is what was read of it before.
fn process_facts(container: &Container, seen: &InitSeen) -> Result<ProcessFacts, String> {
    let pid = init::of_this_host(container)?;
    if !seen.is_of(container) {
        return Err("the container was started again since this tool looked into it".to_owned());
    }
    ProcessFacts::read(seen.namespaces.clone(), seen.limits.clone(), |name| init::text_of(pid, name))
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
        second_name: matches!(mount.role, Role::GitReadOnly(_)).then(|| second_name(source)).flatten(),
    }
}

/// The directory in which it lies is one that the agent can write.
fn second_name(source: &Path) -> Option<String> {
    let writers = Writers::of(source.parent().into_iter(), Vec::new());
    writers.refuse(source, &[]).err().map(|why| why.message)
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

    #[test]
    fn a_second_name_of_a_part_of_the_workspace_is_seen_at_each_entry() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("fsm");
        fs::write(&source, "").unwrap();
        let seen = |role: Role| source_facts(&Mount::new(role, &source), &MountTable::default()).second_name;
        assert_eq!(seen(Role::GitReadOnly("fsm".into())), None);
        fs::hard_link(&source, dir.path().join("other")).unwrap();
        assert!(seen(Role::GitReadOnly("fsm".into())).unwrap().contains("fsm` is a file with 2 names"));
        assert_eq!(seen(Role::CodexHome), None);
    }

    #[test]
    fn what_the_probe_of_an_ended_call_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let nonce = |digit: char| digit.to_string().repeat(24);
        let name = |digit| ProbeRequest::workspace_file_name(&nonce(digit));
        let make = |name: &str, text: &str, age: u64| {
            fs::write(dir.path().join(name), text).unwrap();
            let file = fs::File::options().write(true).open(dir.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
        };
        make(&name('a'), &nonce('a'), 3600);
        make(&name('b'), "", 3600);
        // Of a call that may go on; with another content; with names that are no probe's.
        make(&name('c'), &nonce('c'), 5);
        make(&name('d'), &nonce('e'), 3600);
        let others = [".codex-sandbox-probe-notes", &format!("{}x", name('f')), &name('A')];
        others.iter().for_each(|name| make(name, "", 3600));
        make("precious", &nonce('1'), 3600);
        std::os::unix::fs::symlink("precious", dir.path().join(name('1'))).unwrap();
        fs::create_dir(dir.path().join(name('2'))).unwrap();
        remove_left(dir.path(), || false);
        let there = |name: &str| fs::symlink_metadata(dir.path().join(name)).is_ok();
        assert_eq!(
            ['a', 'b', 'c', 'd', '1', '2'].map(|digit| there(&name(digit))),
            [false, false, true, true, true, true]
        );
        assert!(others.iter().all(|name| there(name)) && there("precious"));
        // The probe of this call is read all the same, whatever the clock says of it.
        for age in [0, 3600, 1_000_000_000] {
            make(&name('3'), &nonce('3'), age);
            let other = Probing::begin(Some(dir.path()));
            let own = Probing::begin(Some(dir.path()));
            assert!(take_and_tidy(dir.path(), &name('3'), own).unwrap().removed, "{age}");
            assert!(there(&name('c')), "another call probes");
            drop(other);
        }
        fs::write(dir.path().join(name('4')), nonce('4')).unwrap();
        let future = SystemTime::now() + Duration::from_secs(3600);
        fs::File::options().write(true).open(dir.path().join(name('4'))).unwrap().set_modified(future).unwrap();
        remove_left(dir.path(), || false);
        assert!(!there(&name('4')), "left before the clock was set back");
        make(&name('5'), &nonce('5'), 0);
        assert!(take_and_tidy(dir.path(), &name('5'), Probing::begin(Some(dir.path()))).is_ok());
        assert!(!there(&name('c')) && there(&name('d')) && there(&name('1')), "nobody else probes");
    }

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
}
