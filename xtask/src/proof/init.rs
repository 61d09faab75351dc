//! The container's init, as the host sees it (`docker/init.py`).
//!
//! Until the host tells it to be out of reach, the host can look into it, and nothing else runs inside. What is read then
//! is kept, because it cannot be read afterwards where the host's user is not root, and because nothing can change it: the
//! init has no capability, and nobody can make it do anything. Its limits are kept for another reason: the same user may
//! lower them from within, and they say nothing of a session, which gets its own from the engine. A process of the same
//! number is told by its start time.

use crate::beneath::{Beneath, FileId};
use crate::engine::cgroup::{Process, ProcessId};
use crate::engine::inspect::Container;
use crate::mountinfo::MountTable;
use crate::spec::codex_command::CARRIED;
use crate::spec::{Mount, Role};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

/// The namespaces of which a container must have its own.
pub(crate) const NAMESPACES: [&str; 5] = ["pid", "ipc", "net", "mnt", "uts"];

/// The name of the init once nothing inside can look into it or change it.
pub(crate) const APART: &str = "sandbox-apart";
/// Its name before that, from the moment at which it can be told.
const OPEN: &str = "sandbox-open";

/// How long the image's entry point may take until it has become the init. NVIDIA's looks at the GPUs and takes seconds.
const ENTRY_POINT: Duration = Duration::from_secs(60);
/// How long the init may take to be out of reach once it was told.
const SHUT: Duration = Duration::from_secs(5);
const EACH: Duration = Duration::from_millis(5);

/// What the host read of the init while it could look into it, before any agent ran inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InitSeen {
    pub(crate) process: ProcessId,
    /// The targets of the links in its `ns/`, by kind.
    pub(crate) namespaces: BTreeMap<String, String>,
    /// The text of `limits`.
    pub(crate) limits: String,
    /// What it has at the target of each bind mount, or why that is not known.
    pub(crate) mounted: BTreeMap<String, Result<Placed, String>>,
    /// The variables that the image's entry point set for it, of those that are carried over to what is entered.
    pub(crate) carried: BTreeMap<String, String>,
}

/// A file or directory that is mounted somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Placed {
    pub(crate) id: FileId,
    /// The id of the mount, by which its line in the mount table is known again.
    pub(crate) mount: u64,
}

/// What the host can see of the init at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InitNow {
    /// The name that it gave itself.
    pub(crate) name: String,
    /// Whether this process, whose user is the agent's unless it is root, may read its variables, for which the kernel asks
    /// for the same right as for its memory.
    pub(crate) readable: bool,
}

impl InitNow {
    pub(super) fn read(pid: u64) -> InitNow {
        InitNow { name: name(pid).unwrap_or_default(), readable: File::open(format!("/proc/{pid}/environ")).is_ok() }
    }
}

impl InitSeen {
    /// Reads it, of an init that can still be looked into.
    ///
    /// # Errors
    /// Why the host cannot see it.
    pub(crate) fn read(container: &Container, mounts: &[Mount]) -> Result<InitSeen, String> {
        let pid = of_this_host(container)?;
        let process = Process::read(pid).ok_or_else(|| format!("process {pid} has ended"))?.id();
        let namespaces = namespaces(&format!("/proc/{pid}/ns"));
        if namespaces.is_empty() {
            return Err(format!("the host cannot read `/proc/{pid}/ns`"));
        }
        let table = text_of(pid, "mountinfo").and_then(|text| MountTable::parse(&text))?;
        let root = Beneath::root(Path::new(&format!("/proc/{pid}/root/."))).map_err(|err| err.to_string())?;
        let bound = mounts.iter().filter(|mount| !matches!(mount.role, Role::Cache(_)));
        let mounted = bound.map(|mount| (mount.target.clone(), placed(&root, &table, &mount.target))).collect();
        Ok(InitSeen { process, namespaces, limits: text_of(pid, "limits")?, mounted, carried: carried(pid) })
    }

    /// Whether the container's init is still this one.
    pub(crate) fn is_of(&self, container: &Container) -> bool {
        let pid = container.init().and_then(|pid| u32::try_from(pid).ok());
        pid.and_then(Process::read).is_some_and(|now| now.id() == self.process)
    }

    /// What lies at the target of each bind mount now. What a mount shows cannot change, so it is what it was where the
    /// mount is the same.
    pub(super) fn mounted_now(&self, table: &MountTable) -> BTreeMap<String, Result<FileId, String>> {
        let now = |(target, placed): (&String, &Result<Placed, String>)| {
            let placed = placed.as_ref().map_err(Clone::clone)?;
            match table.at(target) {
                Some(line) if line.id == placed.mount => Ok(placed.id),
                Some(_) => Err(format!("what is mounted at `{target}` is not what was mounted at the start")),
                None => Err(format!("nothing is mounted at `{target}`")),
            }
        };
        self.mounted.iter().map(|entry| (entry.0.clone(), now(entry))).collect()
    }
}

/// The process id of the init, where it is a process of this host.
///
/// # Errors
/// Elsewhere (a remote engine, one in a virtual machine) the same number names another process or none.
pub(crate) fn of_this_host(container: &Container) -> Result<u32, String> {
    let id = container.id.as_str();
    let pid = container.init().and_then(|pid| u32::try_from(pid).ok());
    let pid = pid.ok_or("the engine names no process of the container")?;
    let named = |file| text_of(pid, file).map(|text| text.contains(id));
    if id.is_empty() || !(named("mountinfo")? || named("cgroup").unwrap_or(false)) {
        return Err(format!("process {pid} of this host is not the container's: the engine runs elsewhere"));
    }
    Ok(pid)
}

/// A file of `/proc/PID`.
pub(super) fn text_of(pid: u32, file: &str) -> Result<String, String> {
    let path = format!("/proc/{pid}/{file}");
    let bytes = fs::read(&path).map_err(|err| format!("the host cannot read `{path}` ({err})"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Waits until the image's entry point has become the init.
///
/// # Errors
/// It does not, or it has ended, or `stop` ended the waiting.
pub(crate) fn opened(pid: u32, stop: impl Fn() -> bool) -> Result<(), String> {
    let name = becomes(pid, OPEN, ENTRY_POINT, stop)?;
    if name == OPEN {
        return Ok(());
    }
    Err(format!(
        "the main process is `{name}`, and not the init of this tool: the image's entry point did not start it"
    ))
}

/// Waits until the init, which was told, is out of reach. That it is not, the proof finds out.
///
/// # Errors
/// It has ended.
pub(crate) fn shut(pid: u32) -> Result<(), String> {
    becomes(pid, APART, SHUT, || false).map(drop)
}

/// The name that the process has when it is the wanted one, or when the time is over.
fn becomes(pid: u32, wanted: &str, bound: Duration, stop: impl Fn() -> bool) -> Result<String, String> {
    let until = Instant::now() + bound;
    loop {
        let name = name(pid.into()).ok_or("the main process has ended")?;
        if name == wanted || Instant::now() > until {
            return Ok(name);
        }
        if stop() {
            return Err("interrupted".to_owned());
        }
        std::thread::sleep(EACH);
    }
}

fn name(pid: u64) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

/// No link is followed, so that the answer is about the mount and nothing else.
fn placed(root: &Beneath, table: &MountTable, target: &str) -> Result<Placed, String> {
    let node = root.look(target.trim_start_matches('/')).map_err(|err| err.to_string())?;
    let node = node.ok_or_else(|| format!("there is no `{target}`"))?;
    let line = table.at(target).ok_or_else(|| format!("nothing is mounted at `{target}`"))?;
    match node.mount {
        Some(mount) if mount == line.id => Ok(Placed { id: node.id, mount }),
        Some(_) => Err(format!("what lies at `{target}` is not what is mounted there")),
        None => Err("this kernel does not tell the mount of a file: use Linux 5.8 or later".to_owned()),
    }
}

fn carried(pid: u32) -> BTreeMap<String, String> {
    let text = text_of(pid, "environ").unwrap_or_default();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| CARRIED.contains(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub(super) fn namespaces(dir: &str) -> BTreeMap<String, String> {
    let link = |name: &&str| {
        let link = fs::read_link(Path::new(dir).join(name)).ok()?;
        Some(((*name).to_owned(), link.to_string_lossy().into_owned()))
    };
    NAMESPACES.iter().chain(&["user", "cgroup"]).filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::inspect::RunState;

    #[test]
    fn a_process_of_another_machine_is_no_init() {
        let container = |id: &str, pid: u32| Container {
            id: id.into(),
            state: RunState { pid: pid.into(), ..RunState::default() },
            ..Container::default()
        };
        let why = of_this_host(&container("0123456789abcdef", std::process::id())).unwrap_err();
        assert!(why.contains("the engine runs elsewhere"), "{why}");
        let why = of_this_host(&container("x", 0)).unwrap_err();
        assert!(why.contains("names no process"), "{why}");
    }

    #[test]
    fn another_mount_at_the_same_place_is_not_what_was_seen() {
        const ROOT: &str = "40 1 254:0 / / rw - ext4 /dev/vda rw\n";
        let parse = |text: &str| MountTable::parse(text).unwrap();
        let table = |id: u32| parse(&format!("{ROOT}{id} 40 254:0 /ws /workspace rw - ext4 /dev/vda rw\n"));
        let id = FileId { dev: 1, ino: 2 };
        let seen = |placed| InitSeen {
            process: ProcessId { pid: 1, started: 1 },
            namespaces: BTreeMap::new(),
            limits: String::new(),
            mounted: [("/workspace".to_owned(), placed)].into(),
            carried: BTreeMap::new(),
        };
        let good = seen(Ok(Placed { id, mount: 41 }));
        assert_eq!(good.mounted_now(&table(41))["/workspace"], Ok(id));
        assert!(good.mounted_now(&table(42))["/workspace"].is_err());
        assert!(good.mounted_now(&parse(ROOT))["/workspace"].is_err());
        assert!(seen(Err("why".into())).mounted_now(&table(41))["/workspace"].is_err());
        let kept = serde_json::to_value(&good).unwrap();
        assert_eq!(serde_json::from_value::<InitSeen>(kept).unwrap(), good);
    }
}
