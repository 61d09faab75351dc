//! What is kept in the state folder of the directories that a sandbox can write: `exposed.json`.

use crate::beneath::{Beneath, Born, FileId, Node};
use crate::error::{failed, host};
use crate::kept_path::KeptPath;
use crate::outside;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = "exposed.json";
const LOCK: &str = "exposed.lock";
/// How long another call may take to write the list.
const WAIT: Duration = Duration::from_secs(10);
const FORMAT: u32 = 1;

/// A file or directory, to be recognized later, also after a restart of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LastingId {
    dev: u64,
    ino: u64,
    born: Option<Born>,
    /// The run of the kernel in which it was seen.
    boot: String,
}

impl LastingId {
    pub(super) fn of(node: &Node, boot: &str) -> LastingId {
        LastingId { dev: node.id.dev, ino: node.id.ino, born: node.born, boot: boot.to_owned() }
    }

    pub(super) fn id(&self) -> FileId {
        FileId { dev: self.dev, ino: self.ino }
    }

    /// Whether both are the same object. A device can get another number at the next start of the machine (btrfs, LVM,
    /// network file systems); then the inode and the time at which it was made decide, which nobody can choose.
    pub(super) fn is(&self, other: &LastingId) -> bool {
        let restarted = self.boot != other.boot && self.born.is_some();
        self.ino == other.ino && self.born == other.born && (self.dev == other.dev || restarted)
    }
}

/// The run of the kernel.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptList {
    format: u32,
    /// Every directory that a sandbox was given for writing.
    pub(super) exposed: BTreeMap<KeptPath, Option<LastingId>>,
    /// What lay at these paths when no sandbox could write on the way, or what the user named.
    pub(super) confirmed: BTreeMap<KeptPath, LastingId>,
    /// What was given at a path where something else was given since: it may lie anywhere now.
    #[serde(default)]
    pub(super) former: Vec<Former>,
    /// The given workspaces that were looked through after their container was removed, with nothing left open.
    #[serde(default)]
    pub(super) settled: Vec<LastingId>,
}

/// A directory that was given, and is no longer what its path leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Former {
    #[serde(with = "crate::kept_path")]
    pub(super) path: PathBuf,
    pub(super) given: LastingId,
}

impl KeptList {
    /// Reads the list. Directories of which only the path is known are added to it.
    pub(super) fn read(state: &Path, earlier: Vec<PathBuf>) -> Result<KeptList> {
        let mut kept = of_file(&state.join(FILE))?;
        for path in earlier {
            kept.exposed.entry(path.into()).or_insert(None);
        }
        Ok(kept)
    }
}

fn of_file(path: &Path) -> Result<KeptList> {
    let odd = |why: String| {
        host(format!("`{}`, the list of the directories that sandboxes can write, cannot be read: {why}", path.display()))
            .hint("use the newest version of this tool; if the file is damaged, remove it, and check the links in your projects first")
    };
    match outside::bytes(path, outside::STATE) {
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(KeptList {
            format: FORMAT,
            exposed: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            former: Vec::new(),
            settled: Vec::new(),
        }),
        Err(err) => Err(odd(err.to_string()).into()),
        Ok(bytes) => match serde_json::from_slice::<KeptList>(&bytes) {
            Ok(kept) if kept.format == FORMAT => Ok(kept),
            Ok(kept) => Err(odd(format!("its format is {}", kept.format)).into()),
            Err(err) => Err(odd(err.to_string()).into()),
        },
    }
}

impl KeptList {
    fn give(&mut self, path: PathBuf, given: LastingId) {
        self.settled.retain(|settled| !settled.is(&given));
        let before = self.exposed.insert(path.clone().into(), Some(given.clone())).flatten();
        // The directory that was moved away can be written by what runs in its container, and holds what agents left.
        if let Some(before) = before.filter(|before| !before.is(&given)) {
            self.former.push(Former { path, given: before });
        }
    }
}

/// Adds to the list.
pub(super) fn add(
    state: &Path,
    given: BTreeMap<PathBuf, LastingId>,
    confirmed: BTreeMap<PathBuf, LastingId>,
) -> Result<()> {
    change(state, |list| {
        given.into_iter().for_each(|(path, identity)| list.give(path, identity));
        list.confirmed.extend(confirmed.into_iter().map(|(path, seen)| (path.into(), seen)));
    })
}

/// Notes that what agents left in a directory was looked through, and that none can write there any more.
pub(super) fn settle(state: &Path, own: LastingId) -> Result<()> {
    change(state, |list| {
        if !list.settled.iter().any(|settled| settled.is(&own)) {
            list.settled.push(own);
        }
    })
}

/// Two calls for two workspaces can change the list at the same time.
fn change(state: &Path, change: impl FnOnce(&mut KeptList)) -> Result<()> {
    let dir = Beneath::make_root(state, 0o700)?;
    let _lock =
        dir.lock(LOCK, WAIT)?.ok_or_else(|| failed(format!("`{}` stays locked", state.join(LOCK).display())))?;
    let before = of_file(&state.join(FILE))?;
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        return Ok(());
    }
    dir.write(FILE, format!("{:#}\n", serde_json::to_value(&after)?), 0o600, &|| false)
}

/// For the fuzzer. What is kept reads back as it was.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(list) = serde_json::from_slice::<KeptList>(bytes) else { return };
    let again = serde_json::to_value(&list).and_then(serde_json::from_value::<KeptList>);
    assert_eq!(again.ok(), Some(list));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_recognized_after_a_restart_and_another_one_is_not() {
        let seen = LastingId { dev: 1, ino: 2, born: Some(Born(3, 4)), boot: "a".into() };
        assert!(seen.is(&seen.clone()));
        assert!(seen.is(&LastingId { dev: 9, boot: "b".into(), ..seen.clone() }));
        for other in [
            LastingId { dev: 9, ..seen.clone() },
            LastingId { ino: 9, ..seen.clone() },
            LastingId { born: Some(Born(3, 5)), ..seen.clone() },
            LastingId { born: None, ..seen.clone() },
        ] {
            assert!(!seen.is(&other), "{other:?}");
        }
        let dateless = LastingId { born: None, ..seen };
        assert!(!dateless.is(&LastingId { dev: 9, boot: "b".into(), ..dateless.clone() }));
    }

    #[test]
    fn the_list_only_grows_and_a_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let one = |ino| LastingId { dev: 1, ino, born: None, boot: String::new() };
        add(dir.path(), [("/a".into(), one(1))].into(), [("/x".into(), one(2))].into()).unwrap();
        add(dir.path(), [("/b".into(), one(3))].into(), BTreeMap::new()).unwrap();
        let kept = KeptList::read(dir.path(), Vec::new()).unwrap();
        assert_eq!(kept.exposed.keys().collect::<Vec<_>>(), [&KeptPath::from("/a"), &KeptPath::from("/b")]);
        assert_eq!(kept.confirmed.len(), 1);
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(KeptList::read(dir.path(), Vec::new()).unwrap_err().to_string().contains("cannot be read"));
    }
}
