//! Where the limits of a container stand on this host: the files of its cgroup, of version 2 or 1. Pure but for `read`.

use crate::engine::cgroup::hierarchies;
use crate::mountinfo::{MountTable, join, rest};
use serde::Deserialize;
use std::fs;

/// The limits in the cgroup's files, as the kernel writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct CgroupLimits {
    /// On the number of processes.
    pub(crate) pids: Option<String>,
    /// On memory, in bytes.
    pub(crate) memory: Option<String>,
    /// On memory and swap together, in bytes: version 1, where the kernel counts swap.
    #[serde(default)]
    pub(crate) memory_and_swap: Option<String>,
    /// On swap alone, in bytes: version 2, where the kernel counts swap.
    #[serde(default)]
    pub(crate) swap: Option<String>,
    /// The weight of version 1, of which everything has 1024.
    #[serde(default)]
    pub(crate) cpu_shares: Option<String>,
    /// The weight of version 2, of which everything has 100.
    #[serde(default)]
    pub(crate) cpu_weight: Option<String>,
}

/// The number from which on version 1 means no limit: the greatest one, rounded down to a page of any size.
const NO_LIMIT: u64 = 1 << 62;

/// The limits on the processes of a container, by the text of its init's `/proc/PID/cgroup`.
pub(crate) fn read(cgroup: &str, own_mounts: &MountTable) -> CgroupLimits {
    // Of version 2 and 1, where each has such a file.
    let value = |controller, two: Option<&str>, one: Option<&str>| {
        let (dir, version) = directory(cgroup, controller, own_mounts)?;
        let name = match version {
            CgroupVersion::Two => two,
            CgroupVersion::One => one,
        };
        Some(fs::read_to_string(join(&dir, name?)).ok()?.trim().to_owned())
    };
    CgroupLimits {
        pids: value("pids", Some("pids.max"), Some("pids.max")),
        memory: value("memory", Some("memory.max"), Some("memory.limit_in_bytes")),
        memory_and_swap: value("memory", None, Some("memory.memsw.limit_in_bytes")),
        swap: value("memory", Some("memory.swap.max"), None),
        cpu_shares: value("cpu", None, Some("cpu.shares")),
        cpu_weight: value("cpu", Some("cpu.weight"), None),
    }
}

/// The weights of version 2 that runc makes of Docker's shares. Until opencontainers/cgroups 0.0.5 it was a straight line
/// from 2..262144 to 1..10000; since then it is a curve on which 1024 shares are weight 100.
pub(super) fn weights_of(shares: u64) -> [u64; 2] {
    let shares = shares.clamp(2, 262_144);
    let line = 1 + ((shares - 2) * 9999) / 262_142;
    let log = f64::from(u32::try_from(shares).unwrap_or(u32::MAX)).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    // At most 10000, and at least 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 1 to 10000")]
    let curve = 10_f64.powf(exponent).ceil().clamp(1.0, 10_000.0) as u64;
    [line, curve]
}

/// Whether this machine has no swap at all, by the text of `/proc/swaps`: a line of titles, and one for each.
pub(super) fn swapless(swaps: &str) -> bool {
    swaps.starts_with("Filename") && swaps.lines().filter(|line| !line.trim().is_empty()).count() == 1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CgroupVersion {
    One,
    Two,
}

/// The directory in which the files of a controller lie: where the controller has a hierarchy of version 1 it is that
/// one, otherwise the one of version 2. `None` where this process does not see it mounted.
pub(crate) fn directory(cgroup: &str, controller: &str, own_mounts: &MountTable) -> Option<(String, CgroupVersion)> {
    let named = hierarchies(cgroup).find(|(names, _)| names.split(',').any(|name| name == controller));
    let ((_, path), version) = match named {
        Some(line) => (line, CgroupVersion::One),
        None => (hierarchies(cgroup).find(|(names, _)| names.is_empty())?, CgroupVersion::Two),
    };
    // A group outside of this process's own cgroup namespace is written with `..`, which would lead out of the mount.
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    // Both paths are as the cgroup namespace of this process sees them.
    let shown = own_mounts.lines.iter().filter(|line| match version {
        CgroupVersion::One => line.fstype == "cgroup" && line.super_options.iter().any(|option| option == controller),
        CgroupVersion::Two => line.fstype == "cgroup2",
    });
    let dirs = shown.filter_map(|line| Some(join(&line.point, rest(path, &line.root)?)));
    Some((dirs.into_iter().next()?, version))
}

/// A limit on memory as bytes: `Some(None)` is none, and `None` an odd text.
pub(super) fn bytes(text: &str) -> Option<Option<u64>> {
    match text {
        "max" => Some(None),
        number => number.parse().ok().map(|bytes| Some(bytes).filter(|bytes| *bytes < NO_LIMIT)),
    }
}

/// For the fuzzer.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let (cgroup, table) = text.split_once("\n\n").unwrap_or((text, ""));
    if let Ok(table) = MountTable::parse(table) {
        let found = directory(cgroup, "memory", &table);
        let within = |dir: &str| {
            table.lines.iter().any(|line| dir.starts_with(crate::mountinfo::clean(&line.point)))
                && !dir.contains("/../")
        };
        assert!(found.is_none_or(|(dir, _)| table.lines.iter().any(|line| line.point.contains("..")) || within(&dir)));
    }
    assert!(bytes(text).flatten().is_none_or(|bytes| bytes < NO_LIMIT));
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "9:name=systemd:/docker/c0\n8:pids:/docker/c0\n4:memory:/docker/c0\n1:cpu,cpuacct:/docker/c0\n\
                          0::/docker/c0\n";

    #[test]
    fn the_files_of_both_versions_are_found() {
        let one = MountTable::parse(
            "1 0 8:1 / / rw - ext4 d rw\n2 1 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
             3 1 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             4 1 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        )
        .unwrap();
        let found = |cgroup, controller, table| directory(cgroup, controller, table);
        assert_eq!(found(HYBRID, "pids", &one), Some(("/sys/fs/cgroup/pids/docker/c0".into(), CgroupVersion::One)));
        assert_eq!(found(HYBRID, "cpuacct", &one).unwrap().0, "/sys/fs/cgroup/cpu,cpuacct/docker/c0");
        assert_eq!(found(HYBRID, "memory", &one), None, "its hierarchy is not mounted here");

        let two = MountTable::parse(
            "1 0 8:1 / / rw - ext4 d rw\n2 1 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
        )
        .unwrap();
        let path = "0::/system.slice/docker-c0.scope\n";
        let dir = "/sys/fs/cgroup/system.slice/docker-c0.scope";
        assert_eq!(found(path, "pids", &two), Some((dir.into(), CgroupVersion::Two)));
        assert_eq!(found("1:cpu:/docker/c0\n", "pids", &two), None);
        assert_eq!(found("", "pids", &two), None);
        assert_eq!(found("0::/../../docker/c0\n", "pids", &two), None, "it leads out of what is mounted");
    }

    #[test]
    fn what_the_kernel_writes_is_read_as_bytes() {
        assert_eq!(bytes("max"), Some(None));
        assert_eq!(bytes("9223372036854771712"), Some(None));
        assert_eq!(bytes("536870912"), Some(Some(536_870_912)));
        assert_eq!(bytes(&NO_LIMIT.to_string()), Some(None));
        assert_eq!(bytes(&(NO_LIMIT - 1).to_string()), Some(Some(NO_LIMIT - 1)));
        assert_eq!(bytes("some"), None);
    }

    #[test]
    fn dockers_shares_are_weights_of_version_two() {
        // Of the documentation of both formulas: 1024 shares were 39, and are 100.
        assert_eq!(weights_of(1024), [39, 100]);
        assert_eq!(weights_of(512), [20, 59]);
        assert_eq!(weights_of(2), [1, 1]);
        assert_eq!(weights_of(262_144), [10_000, 10_000]);
    }

    #[test]
    fn a_machine_without_swap_is_known() {
        let titles = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert!(swapless(titles));
        assert!(!swapless(&format!("{titles}/dev/sda2 partition 8388604 0 -2\n")));
        assert!(!swapless(""));
    }

    #[test]
    fn this_process_own_limits_are_found() {
        let (cgroup, table) =
            (fs::read_to_string("/proc/self/cgroup").unwrap(), MountTable::of_this_process().unwrap());
        if let Some((dir, _)) = directory(&cgroup, "pids", &table) {
            assert!(fs::metadata(join(&dir, "cgroup.procs")).is_ok(), "{dir}");
        }
    }

    #[test]
    fn the_files_of_a_group_are_read_where_its_hierarchy_is_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let (group, at) = (dir.path().join("c0"), dir.path().display());
        fs::create_dir(&group).unwrap();
        for (name, text) in [
            ("pids.max", "4096\n"),
            ("memory.max", "max\n"),
            ("memory.swap.max", "0\n"),
            ("cpu.weight", "39\n"),
            ("memory.limit_in_bytes", "1\n"),
            ("memory.memsw.limit_in_bytes", "2\n"),
            ("cpu.shares", "512\n"),
        ] {
            fs::write(group.join(name), text).unwrap();
        }
        let some = |text: &str| Some(text.to_owned());
        let two = MountTable::parse(&format!("2 1 0:25 / {at} rw - cgroup2 cgroup2 rw\n")).unwrap();
        let limits = CgroupLimits {
            pids: some("4096"),
            memory: some("max"),
            swap: some("0"),
            cpu_weight: some("39"),
            ..CgroupLimits::default()
        };
        assert_eq!(read("0::/c0\n", &two), limits);
        let one = MountTable::parse(&format!("2 1 0:25 / {at} rw - cgroup cgroup rw,pids,memory,cpu\n")).unwrap();
        let limits = CgroupLimits {
            pids: some("4096"),
            memory: some("1"),
            memory_and_swap: some("2"),
            cpu_shares: some("512"),
            ..CgroupLimits::default()
        };
        assert_eq!(read("4:pids,memory,cpu:/c0\n", &one), limits);
        assert_eq!(read("0::/c1\n", &two), CgroupLimits::default(), "it has no such files");
    }
}
