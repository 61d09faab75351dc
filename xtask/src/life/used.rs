//! What a sandbox uses up of this host: processes that were killed because its memory was full, and what was written. The
//! kernel's own counts in the files of the container's cgroup, which nothing inside can change, and the room that is left
//! on the file systems that a sandbox can fill. A few small files: the cost grows with nothing.

use crate::engine::caches;
use crate::engine::free_bytes;
use crate::engine::inspect::Container;
use crate::mountinfo::{MountTable, join};
use crate::proof::{CgroupVersion, directory};
use crate::spec::places::Places;
use crate::spec::{Role, Spec};
use crate::text;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The most bytes of one of the kernel's files: `io.stat` has a line for each disk.
const LONGEST: u64 = 1 << 20;

/// Less than this is not worth a line when a session ends.
const WORTH_A_LINE: u64 = 64 << 20;

/// What was used up to a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Used {
    /// How many processes the kernel has killed for want of memory since the container's start; `None` where it does not say.
    pub(super) oom_kills: Option<u64>,
    /// How often the sandbox's own limit left no room since then; `None` where the kernel does not say.
    pub(super) limit_hits: Option<u64>,
    /// Whether only the most that was ever used says so: version 1 counts the hits on no kernel that was seen.
    pub(super) was_full: bool,
    /// The bytes that the kernel has written to disks for the container since its start. Only cgroup v2 counts what goes
    /// through the page cache, which is nearly all of it; `None` elsewhere.
    pub(super) written_bytes: Option<u64>,
    /// The room on each file system that the sandbox can fill, named by the first directory of ours on it.
    pub(super) free: Vec<Free>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Free {
    pub(super) dir: PathBuf,
    pub(super) free_bytes: u64,
}

impl Used {
    pub(super) fn read(container: &Container, dirs: &[PathBuf]) -> Used {
        let cgroup = container.init().and_then(|init| read(Path::new(&format!("/proc/{init}/cgroup"))));
        let known = cgroup.zip(MountTable::of_this_process().ok());
        let file = |controller, two: Option<&str>, one: Option<&str>| {
            let (cgroup, mounts) = known.as_ref()?;
            let (dir, version) = directory(cgroup, controller, mounts)?;
            let name = match version {
                CgroupVersion::Two => two,
                CgroupVersion::One => one,
            };
            read(Path::new(&join(&dir, name?)))
        };
        let one = |name| file("memory", None, Some(name)).and_then(|text| text.trim().parse::<u64>().ok());
        let was_full =
            one("memory.max_usage_in_bytes").zip(one("memory.limit_in_bytes")).map(|(most, limit)| most >= limit);
        Used {
            oom_kills: file("memory", Some("memory.events"), Some("memory.oom_control"))
                .and_then(|text| oom_kills(&text)),
            // Of the group itself since Linux 5.2; the container has none below it.
            limit_hits: file("memory", Some("memory.events.local"), None)
                .or_else(|| file("memory", Some("memory.events"), None))
                .and_then(|text| limit_hits(&text))
                .or_else(|| was_full.map(u64::from)),
            was_full: was_full == Some(true),
            written_bytes: file("io", Some("io.stat"), None).map(|text| written(&text)),
            free: free(dirs),
        }
    }
}

/// The directories of this host that a sandbox can fill: its workspace, the state folder, and where the engine keeps the
/// container's own files and the caches.
pub(super) fn filled(places: &Places, spec: &Spec) -> Vec<PathBuf> {
    let cache = |role: &Role| matches!(role, Role::Cache(_));
    let volume = spec.mounts.iter().find(|mount| cache(&mount.role)).map(|mount| mount.source.as_path());
    let engine = volume.and_then(|dir| dir.ancestors().nth(3)).unwrap_or(Path::new(caches::USUAL_ROOT));
    let workspace = spec.mount(&Role::Workspace).map(|mount| mount.source.clone());
    workspace.into_iter().chain([places.dir.clone(), engine.to_path_buf()]).collect()
}

fn free(dirs: &[PathBuf]) -> Vec<Free> {
    let (mut seen, mut free) = (Vec::new(), Vec::new());
    for dir in dirs {
        let Ok(device) = fs::metadata(dir).map(|meta| meta.dev()) else { continue };
        if !seen.contains(&device)
            && let Some(free_bytes) = free_bytes(dir)
        {
            seen.push(device);
            free.push(Free { dir: dir.clone(), free_bytes });
        }
    }
    free
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Of `memory.events` (v2) or `memory.oom_control` (v1, since Linux 4.13): both have a line `oom_kill N`.
fn oom_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Of `memory.events.local` (v2), a line `oom N`: the limit was reached and an allocation was about to fail. That of the machine,
/// or of a group around this one, is not counted there.
/// <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>
fn limit_hits(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom ")?.trim().parse().ok())
}

/// The sum of `wbytes=` in `io.stat`, over all disks.
fn written(text: &str) -> u64 {
    let numbers = text.split_whitespace().filter_map(|field| field.strip_prefix("wbytes=")?.parse::<u64>().ok());
    numbers.fold(0, u64::saturating_add)
}

/// What a session has used up between two moments, a line each. `memory` is the limit, `ended` whether the engine says that
/// the container ended for want of memory.
pub(super) fn since(before: &Used, after: &Used, memory: Option<u64>, ended: bool) -> Vec<String> {
    let kills = before.oom_kills.zip(after.oom_kills).map_or(0, |(before, after)| after.saturating_sub(before));
    let hits = before.limit_hits.zip(after.limit_hits).map(|(before, after)| after.saturating_sub(before));
    let by = match (memory, hits) {
        // It was full before, so that it says nothing of this time.
        (Some(limit), Some(0)) if before.was_full => By::Unknown(limit),
        (None, _) | (Some(_), Some(0)) => By::Machine(memory),
        (Some(limit), Some(_)) => By::Limit(limit),
        (Some(limit), None) => By::Unknown(limit),
    };
    let mut lines: Vec<String> = (kills > 0 || ended).then(|| killed(kills, by)).into_iter().collect();
    let written = before.written_bytes.zip(after.written_bytes);
    let written = written.map(|(before, after)| after.saturating_sub(before)).filter(|bytes| *bytes >= WORTH_A_LINE);
    lines.extend(written.map(|bytes| {
        format!("{} were written to disks by the sandbox in this session, as the kernel counts it", text::bytes(bytes))
    }));
    for now in &after.free {
        let was = before.free.iter().find(|was| was.dir == now.dir);
        let less = was.map_or(0, |was| was.free_bytes.saturating_sub(now.free_bytes));
        if less >= WORTH_A_LINE {
            lines.push(format!(
                "the file system of `{}` has {} less room than at the beginning of the session, whoever wrote it; {} are left",
                text::path(&now.dir),
                text::bytes(less),
                text::bytes(now.free_bytes)
            ));
        }
    }
    lines
}

/// What left no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The limit of the sandbox, in bytes.
    Limit(u64),
    /// The machine, or a group around the container, below the limit of the sandbox, if it has one.
    Machine(Option<u64>),
    /// The kernel's counts have gone with the container, or it makes none.
    Unknown(u64),
}

fn killed(kills: u64, by: By) -> String {
    let what = match kills {
        0 => "the sandbox was ended".to_owned(),
        1 => "a process of the sandbox was killed".to_owned(),
        more => format!("{more} processes of the sandbox were killed"),
    };
    match by {
        By::Limit(limit) => format!(
            "{what} because its memory was used up: the limit is {}, and what lies in /dev/shm counts; a larger `memory` in \
             the settings raises it",
            text::bytes(limit)
        ),
        By::Machine(Some(limit)) => format!(
            "{what} because the machine ran short of memory, below the limit of the sandbox, {}: a larger `memory` in the \
             settings would not help, a smaller one leaves more to the rest",
            text::bytes(limit)
        ),
        By::Machine(None) => {
            format!("{what} because the memory of this machine was used up: `memory` in the settings has no limit")
        }
        By::Unknown(limit) => format!(
            "{what} for want of memory: by its limit, {} (`memory` in the settings), or because the machine ran short; the \
             kernel's counts do not say",
            text::bytes(limit)
        ),
    }
}

/// For the fuzzer: `memory.events` and `io.stat` of a cgroup.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    assert!(oom_kills(text).is_none() || text.contains("oom_kill "));
    assert!(limit_hits(text).is_none() || text.bytes().any(|byte| byte.is_ascii_digit()));
    written(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counts_are_read_of_both_versions() {
        assert_eq!(oom_kills("low 0\nhigh 0\nmax 31\noom 2\noom_kill 3\noom_group_kill 0\n"), Some(3));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"), Some(4));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\n"), None, "Linux before 4.13");
        let disks = "259:0 rbytes=1 wbytes=1000 rios=1 wios=2 dbytes=0 dios=0\n8:0 rbytes=0 wbytes=24 rios=0 wios=1\n";
        assert_eq!((written(disks), written("")), (1024, 0));
    }

    fn used(oom_kills: u64, written_bytes: Option<u64>, free_bytes: u64) -> Used {
        Used {
            oom_kills: Some(oom_kills),
            limit_hits: Some(2 * oom_kills),
            was_full: false,
            written_bytes,
            free: vec![Free { dir: "/w".into(), free_bytes }],
        }
    }

    #[test]
    fn what_was_killed_and_written_is_said_with_the_limit_and_its_setting() {
        let lines = since(&used(1, Some(5), 9 << 30), &used(3, Some(5 + (1 << 30)), 8 << 30), Some(2 << 30), false);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with(
            "2 processes of the sandbox were killed because its memory was used up: the limit is 2.0 GiB"
        ));
        assert!(lines[0].contains("`memory` in the settings"));
        assert!(lines[1].starts_with("1.0 GiB were written to disks"));
        assert!(lines[2].starts_with("the file system of `/w` has 1.0 GiB less room"), "{}", lines[2]);
        assert_eq!(since(&used(1, None, 9), &used(1, None, 10), Some(1), false), Vec::<String>::new());
        // The cgroup has gone with its container.
        let lines = since(&used(1, None, 9), &Used::default(), None, true);
        assert_eq!(
            lines,
            [
                "the sandbox was ended because the memory of this machine was used up: `memory` in the settings has no limit"
            ]
        );
    }

    #[test]
    fn a_kill_by_the_machine_is_not_told_as_one_by_the_limit() {
        // Of `oom_kill 1`, as the kernel leaves the two files after each kind of kill.
        assert_eq!(limit_hits("low 0\nhigh 0\nmax 31\noom 2\noom_kill 1\noom_group_kill 0\n"), Some(2));
        assert_eq!(limit_hits("low 0\nhigh 0\nmax 31\noom 0\noom_kill 1\n"), Some(0));
        assert_eq!((limit_hits("17\n"), limit_hits("")), (None, None));
        let (before, after) = (used(1, None, 9), used(2, None, 9));
        let said = |limit_hits, memory| {
            let lines = since(&before, &Used { limit_hits, ..after.clone() }, memory, false);
            lines.into_iter().next().unwrap_or_default()
        };
        let limit = Some(2 << 30);
        assert!(said(Some(3), limit).contains("its memory was used up: the limit is 2.0 GiB"));
        assert!(
            said(Some(2), limit).contains("the machine ran short of memory, below the limit of the sandbox, 2.0 GiB")
        );
        assert!(said(None, limit).contains("the kernel's counts do not say"));
        // Of version 1 it is only known that the limit was reached once.
        let full = Used { was_full: true, ..before.clone() };
        let lines = since(&full, &Used { was_full: true, limit_hits: full.limit_hits, ..after.clone() }, limit, false);
        assert!(lines[0].contains("the kernel's counts do not say"), "{lines:?}");
        assert!(said(Some(3), None).contains("the memory of this machine was used up"));
        let gone = since(&before, &Used::default(), limit, true);
        assert!(gone[0].starts_with("the sandbox was ended for want of memory: by its limit, 2.0 GiB"), "{gone:?}");
    }

    #[test]
    fn each_file_system_is_named_once() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a");
        fs::create_dir(&inner).unwrap();
        let found = free(&[dir.path().to_path_buf(), inner, "/there/is/none".into()]);
        assert_eq!(found.len(), 1);
        assert!(found[0].free_bytes > 0);
    }
}
