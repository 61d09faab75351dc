//! Claims about the kernel's files in `/proc` and `/sys`: what an ordinary container must not see, and what it must not
//! write. A mount table shows what lies over them; the attempts of the probe show that it holds.

use super::claim::{Draft, RECREATE, some};
use super::probe::InsideWitness;
use super::witness::HostWitness;
use crate::finding::Finding;

/// What every engine since 19.03 hides, where the kernel has it. Newer ones hide more. `probe.py` looks at the same.
pub(crate) const MASKED: &[&str] = &[
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
    "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
];

/// What may be seen and not written, with everything below.
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys"];

/// The files and directories that are opened for writing, and never written: each is a way to change the host, or to run
/// a program there. The last two are the directories of cgroups v2 and v1.
pub(crate) const DOORS: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq/default_smp_affinity",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/vm/drop_caches",
    "/proc/sysrq-trigger",
    "/sys/kernel",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/pids",
];

pub(super) fn judge(inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    vec![masked(inside, host), read_only(inside, host)]
}

/// Whether the kernel of this container has no such file: nothing can be mounted over it then.
fn absent(path: &str, inside: &InsideWitness) -> bool {
    inside.masked.get(path).is_some_and(|seen| seen == "absent")
        || inside.kernel.get(path).is_some_and(|door| door.touch == "ENOENT")
}

fn masked(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("kernel.masked", "the kernel's memory, keys, timers and firmware cannot be read inside")
        .hint(RECREATE);
    let mut seen = Vec::new();
    for path in MASKED {
        match inside.masked.get(*path).map(String::as_str) {
            // AppArmor may refuse the look itself.
            Some("absent" | "null" | "empty" | "EACCES" | "EPERM") => {}
            Some(other) => seen.push(format!("{path} ({other})")),
            None => draft.unseen(format!("the probe does not say what `{path}` shows")),
        }
    }
    draft.inside(format!("not hidden: {}", some(&seen)));
    draft.check(seen.is_empty(), || format!("inside these show something: {}", some(&seen)));
    for (side, process) in draft.views(inside, host) {
        // Over a hidden file lies `/dev/null`, over a hidden directory an empty tmpfs.
        let covered = |path: &&&str| process.mounts.at(path).is_some_and(|line| !kernels_own(&line.fstype));
        let bare: Vec<_> = MASKED.iter().filter(|path| !absent(path, inside)).filter(|path| !covered(path)).collect();
        draft.saw(side, format!("nothing mounted over: {}", some(&bare)));
        draft.check(bare.is_empty(), || format!("{side}: nothing hides {}", some(&bare)));
    }
    draft.done()
}

fn kernels_own(fstype: &str) -> bool {
    matches!(fstype, "proc" | "sysfs" | "cgroup" | "cgroup2" | "securityfs" | "debugfs" | "tracefs" | "bpf" | "pstore")
}

fn read_only(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("kernel.read-only", "no setting of the kernel can be written inside").hint(RECREATE);
    let mut written = Vec::new();
    for path in DOORS {
        let Some(door) = inside.kernel.get(*path) else {
            draft.unseen(format!("the probe does not say what `{path}` answers"));
            continue;
        };
        // Who is no owner is refused by any mount: only EROFS shows that this one is read-only.
        let refused = matches!(door.touch.as_str(), "EROFS" | "ENOENT");
        if door.open == "opened" || !refused {
            written.push(format!("{path} ({}, {})", door.open, door.touch));
        }
    }
    draft.inside(format!("{} opened for writing, not refused: {}", DOORS.len(), some(&written)));
    draft.check(written.is_empty(), || format!("inside these can be written: {}", some(&written)));
    for (side, process) in draft.views(inside, host) {
        let closed = |path: &&&str| process.mounts.covering(path).is_some_and(|line| line.read_only());
        let fixed = READ_ONLY.iter().filter(|path| !absent(path, inside)).filter(|path| !closed(path));
        let below = process.mounts.below("/sys").into_iter().chain(process.mounts.below("/proc"));
        let below = below.filter(|line| kernels_own(&line.fstype) && !line.read_only());
        let open: Vec<&str> = fixed.copied().chain(below.map(|line| line.point.as_str())).collect();
        draft.saw(side, format!("mounted writable: {}", some(&open)));
        draft.check(open.is_empty(), || format!("{side}: mounted writable: {}", some(&open)));
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, add_line, breaks, good, on_tables};
    use super::super::probe::Door;
    use super::*;

    fn shows(path: &'static str, what: &'static str) -> Case {
        Box::new(move |_, inside, _| _ = inside.masked.insert(path.into(), what.into()))
    }

    fn answers(path: &'static str, open: &'static str, touch: &'static str) -> Case {
        let door = Door { open: open.into(), touch: touch.into() };
        Box::new(move |_, inside, _| _ = inside.kernel.insert(path.into(), door.clone()))
    }

    #[test]
    fn what_shows_something_breaks_the_claim() {
        let not_keys = |line: &mut crate::mountinfo::MountLine| line.point = "/proc/elsewhere".into();
        breaks(
            "kernel.masked",
            vec![
                shows("/proc/kcore", "shown"),
                shows("/sys/firmware", "shown"),
                // It is there, and nothing lies over it.
                shows("/proc/kcore", "null"),
                on_tables("host", |line| line.point == "/proc/keys", not_keys),
                on_tables("inside", |line| line.point == "/proc/keys", not_keys),
                // What lies over it is the kernel's own file again.
                on_tables("host", |line| line.point == "/proc/keys", |line| line.fstype = "proc".into()),
            ],
        );
    }

    #[test]
    fn what_can_be_written_breaks_the_claim() {
        let open = |line: &mut crate::mountinfo::MountLine| line.options = vec!["rw".into()];
        breaks(
            "kernel.read-only",
            vec![
                answers("/proc/sysrq-trigger", "opened", "EROFS"),
                answers("/proc/sysrq-trigger", "EACCES", "written"),
                // The mount did not refuse it, the owner of the file did.
                answers("/proc/sys/kernel/core_pattern", "EACCES", "EPERM"),
                on_tables("host", |line| line.point == "/proc/sys", open),
                on_tables("inside", |line| line.point == "/sys", open),
                add_line("70 84 0:60 / /sys/fs/bpf rw - bpf bpf rw\n", "host"),
                add_line("70 81 0:44 / /proc/again rw - proc proc rw\n", "host"),
            ],
        );
    }

    #[test]
    fn the_probe_looks_at_all_of_them() {
        let probe = include_str!("../../../docker/probe.py");
        for path in MASKED.iter().chain(DOORS) {
            assert!(probe.contains(&format!("\"{path}\",\n")), "{path}");
        }
    }

    #[test]
    fn a_probe_that_says_nothing_proves_nothing() {
        let (_, mut inside, host) = good();
        inside.masked.clear();
        inside.kernel.clear();
        assert!(judge(&inside, &host).iter().all(|claim| !claim.verdict.held()));
    }

    #[test]
    fn a_kernel_without_the_file_needs_no_mount_over_it() {
        let (spec, mut inside, mut host) = good();
        answers("/proc/sysrq-trigger", "ENOENT", "ENOENT")(&mut spec.clone(), &mut inside, &mut host);
        for process in [&mut inside.process, host.process.as_mut().unwrap()] {
            process.mounts.lines.retain(|line| line.point != "/proc/sysrq-trigger");
        }
        assert_eq!(read_only(&inside, &host).why, None);
    }
}
