//! Claims about every mount: that it is the promised one, read-only where promised, and that there is no other.

use super::{Draft, HostWitness, mount, volume};
use crate::engine::inspect::Mounted;
use crate::finding::Finding;
use crate::proof::mountinfo::{MountLine, MountTable, rest, within};
use crate::proof::probe::InsideWitness;
use crate::spec::Spec;
use crate::spec::inside::Role;
use crate::spec::mount::Mount;
use crate::spec::words::Gpus;
use std::collections::BTreeMap;

pub(super) fn judge(promise: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    let mut claims = vec![only_promised(promise, inside, host)];
    for (id, one) in named(promise) {
        if let Role::Cache(cache) = one.role {
            claims.push(volume::source(&id, cache, one, promise, inside, host));
        } else {
            claims.push(mount::source(&id, one, inside, host));
            claims.push(mount::private(&id, one, inside, host));
        }
        if one.read_only {
            claims.push(mount::read_only(&id, one, promise, inside, host));
        } else if one.role != Role::Workspace {
            claims.push(mount::writable(&id, one, inside, host));
        }
    }
    claims
}

/// The mounts with the first part of their claims' ids.
pub(super) fn named(promise: &Spec) -> Vec<(String, &Mount)> {
    ids(&promise.mounts).into_iter().zip(&promise.mounts).collect()
}

/// The first part of the ids of each mount's claims; a second mount of one role gets a number.
pub(crate) fn ids(mounts: &[Mount]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut name = |mount: &Mount| {
        let id = mount.role.id();
        let count = seen.entry(id.clone()).or_default();
        *count += 1;
        if *count > 1 { format!("{id}-{count}") } else { id }
    };
    mounts.iter().map(&mut name).collect()
}

/// The path of one target below another: `.git` for `/workspace/.git` and `/workspace`.
pub(super) fn below(target: &str, dir: &str) -> Option<String> {
    rest(clean(target), clean(dir)).map(str::to_owned)
}

/// A target as the kernel writes it: without a trailing slash.
pub(super) fn clean(target: &str) -> &str {
    match target.trim_end_matches('/') {
        "" => "/",
        target => target,
    }
}

/// The mount tables of both witnesses, the host's where it can see.
pub(super) fn tables<'a>(
    draft: &mut Draft,
    inside: &'a InsideWitness,
    host: &'a HostWitness,
) -> Vec<(&'static str, &'a MountTable)> {
    let mut tables = vec![("inside", &inside.mounts)];
    tables.extend(draft.process(host).map(|process| ("seen from the host", &process.mounts)));
    tables
}

/// The lines of a mount and of everything below it that is not another promised mount.
pub(super) fn lines<'a>(table: &'a MountTable, mount: &Mount, promise: &Spec) -> Vec<&'a MountLine> {
    let target = clean(&mount.target);
    let other = |line: &MountLine| {
        promise
            .mounts
            .iter()
            .map(|other| clean(&other.target))
            .any(|other| other != target && within(other, target) && within(&line.point, other))
    };
    table.at(target).into_iter().chain(table.below(target).into_iter().filter(|line| !other(line))).collect()
}

// -- which mounts there are ------------------------------------------------------------------------------------------

fn only_promised(promise: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("container.mounts", "the promised mounts are there, and nothing else of the host is")
        .hint("start it anew: `cargo xtask down`, then `cargo xtask sandbox`");
    let told = draft.told("what is mounted", host.container.mounts.as_deref()).unwrap_or_default();
    engines_word(&mut draft, promise, told);
    let tmpfs = tmpfs_targets(host, told);
    let seen = tables(&mut draft, inside, host);
    for (who, table) in &seen {
        for mount in &promise.mounts {
            let target = clean(&mount.target);
            draft.check(table.at(target).is_some(), || format!("{who}: nothing is mounted at `{target}`"));
        }
        for line in &table.lines {
            let promised = promise.mounts.iter().any(|mount| within(&line.point, clean(&mount.target)));
            let expected = promised
                || engines_own(line, host.id())
                || (line.fstype == "tmpfs" && line.root == "/" && tmpfs.contains(&line.point))
                || (promise.shape.gpus != Gpus::None && gpu_driver(line));
            draft.check(expected, || {
                format!("{who}: `{}` of device {} is mounted at `{}`", line.root, line.device, line.point)
            });
        }
    }
    if let [(_, one), (_, other)] = seen.as_slice() {
        draft.check(shape(one) == shape(other), || "the two witnesses see different mounts".into());
        draft.host(format!("{} mounts in the kernel's table", other.lines.len()));
    }
    draft.inside(format!("{} mounts in the kernel's table", inside.mounts.lines.len()));
    draft.done()
}

fn engines_word(draft: &mut Draft, promise: &Spec, told: &[Mounted]) {
    draft.host(format!("{} mounts by the engine's word", told.len()));
    for mount in &promise.mounts {
        let target = clean(&mount.target);
        let source = mount.source.display().to_string();
        let Some(seen) = told.iter().find(|seen| clean(&seen.target) == target) else {
            draft.broken(format!("the engine has no mount at `{target}`"));
            continue;
        };
        let kind = if matches!(mount.role, Role::Cache(_)) { "volume" } else { "bind" };
        draft.check(seen.kind == kind && clean(&seen.source) == clean(&source), || {
            format!("the engine mounts the {} `{}` at `{target}`, not `{source}`", seen.kind, seen.source)
        });
        if let Some(writable) = draft.told("whether its mounts are read-only", seen.writable) {
            draft.check(writable != mount.read_only, || {
                format!("the engine mounts `{target}` {}", if writable { "for writing" } else { "read-only" })
            });
        }
    }
    for seen in told.iter().filter(|seen| seen.kind != "tmpfs") {
        let promised = promise.mounts.iter().any(|mount| clean(&mount.target) == clean(&seen.target));
        draft.check(promised, || {
            let Mounted { kind, source, target, .. } = seen;
            format!("the engine has a {kind} mount of `{source}` at `{target}` that was not promised")
        });
    }
}

fn tmpfs_targets(host: &HostWitness, told: &[Mounted]) -> Vec<String> {
    let asked = host.container.host_config.tmpfs.keys();
    let mounted = told.iter().filter(|seen| seen.kind == "tmpfs").map(|seen| &seen.target);
    asked.chain(mounted).map(|target| clean(target).to_owned()).collect()
}

/// What of a table must be the same for both witnesses.
fn shape(table: &MountTable) -> Vec<(&str, &str, &str, bool)> {
    let mut shape: Vec<_> = table
        .lines
        .iter()
        .map(|line| (line.point.as_str(), line.device.as_str(), line.root.as_str(), line.read_only()))
        .collect();
    shape.sort_unstable();
    shape
}

/// What a Docker engine mounts by itself. The kinds are named, so that the host's own `/proc` or `/run` at such a place
/// is no exception.
fn engines_own(line: &MountLine, id: &str) -> bool {
    let of = |kinds: &[&str]| kinds.contains(&line.fstype.as_str());
    let own_file = |name: &str| line.root.ends_with(&format!("/{id}/{name}")) && !id.is_empty();
    match line.point.as_str() {
        "/" => true,
        "/dev" => line.root == "/" && of(&["tmpfs"]),
        "/dev/shm" => line.root == "/" && of(&["tmpfs"]),
        "/dev/pts" | "/dev/mqueue" => line.root == "/" && of(&["devpts", "mqueue"]),
        "/dev/console" => of(&["devpts"]),
        // An engine that may not make device nodes (rootless, mapped user ids) mounts the harmless ones.
        "/dev/null" | "/dev/zero" | "/dev/full" | "/dev/tty" | "/dev/random" | "/dev/urandom" => {
            of(&["devtmpfs", "tmpfs"]) && Some(line.root.as_str()) == line.point.strip_prefix("/dev")
        }
        "/etc/hosts" => own_file("hosts"),
        "/etc/hostname" => own_file("hostname"),
        "/etc/resolv.conf" => own_file("resolv.conf"),
        "/sbin/docker-init" | "/usr/sbin/docker-init" => line.read_only(),
        // Masked files of /proc are /dev/null, masked directories an empty tmpfs.
        point if within(point, "/proc") => {
            of(&["proc"])
                || (of(&["tmpfs"]) && line.root == "/")
                || (of(&["tmpfs", "devtmpfs"]) && line.root == "/null")
        }
        point if within(point, "/sys") => of(&["sysfs", "cgroup", "cgroup2"]) || (of(&["tmpfs"]) && line.root == "/"),
        _ => false,
    }
}

/// What NVIDIA's container toolkit mounts: device nodes, and single files of the driver, by name. The daemon's sockets
/// are the only ones that can be written.
fn gpu_driver(line: &MountLine) -> bool {
    let name = line.point.rsplit('/').next().unwrap_or_default();
    let library = ["libcuda", "libnv", "libGL", "libEGL", "libGLES", "libvdpau", "gsp_", "nvoptix", "nv-"];
    let named = line.point.contains("nvidia") || library.iter().any(|prefix| name.starts_with(prefix));
    let socket = line.root.ends_with("/socket") || line.root.ends_with("/control");
    let node = within(&line.point, "/dev") && line.fstype == "devtmpfs" && (named || name == "dxg");
    node || (named && (line.read_only() || socket || line.fstype == "tmpfs" || line.fstype == "proc"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{add_line, breaks, broken_ids, good, mounted};
    use super::*;

    const TARGET: &str = "/datasets/ssv2";

    #[test]
    fn a_mount_that_was_not_promised_breaks_the_claim() {
        breaks(
            "container.mounts",
            vec![
                mounted(TARGET, |seen| seen.source = "/elsewhere".into()),
                mounted(TARGET, |seen| seen.writable = Some(true)),
                mounted(TARGET, |seen| seen.kind = "volume".into()),
                mounted(TARGET, |seen| seen.target = "/elsewhere".into()),
                add_line("900 80 254:0 /etc /hostetc ro - ext4 d rw", "both"),
                add_line("900 80 0:20 / /run rw - tmpfs tmpfs rw", "both"),
                add_line("900 80 254:0 /etc/hosts /etc/hosts rw - ext4 d rw", "both"),
                add_line("900 80 254:0 /x/libcuda.so /usr/lib/libcuda.so.1 ro - ext4 d rw", "both"),
                add_line("900 80 0:5 /null /dev/sda rw - devtmpfs d rw", "both"),
                add_line("900 80 254:0 /ws/sub /workspace/sub rw - ext4 d rw", "host"),
                Box::new(|promise, _, _| _ = promise.mounts.pop()),
            ],
        );
    }

    #[test]
    fn the_drivers_files_are_expected_where_gpus_were_asked_for() {
        let (mut promise, mut inside, mut host) = good();
        promise.shape.gpus = Gpus::All;
        for line in [
            "900 80 254:0 /x/libcuda.so /usr/lib/x86_64-linux-gnu/libcuda.so.570.1 ro - ext4 d rw",
            "901 80 254:0 /usr/bin/nvidia-smi /usr/bin/nvidia-smi ro - ext4 d rw",
            "902 80 0:20 /nvidia-persistenced/socket /run/nvidia-persistenced/socket rw - tmpfs d rw",
            "903 82 0:5 /nvidia0 /dev/nvidia0 ro - devtmpfs d rw",
            "904 80 0:99 / /proc/driver/nvidia rw - tmpfs d rw",
        ] {
            add_line(line, "both")(&mut promise, &mut inside, &mut host);
        }
        assert_eq!(only_promised(&promise, &inside, &host).why, None);
        add_line("905 80 254:0 /srv /srv/nvidia rw - ext4 d rw", "both")(&mut promise, &mut inside, &mut host);
        assert!(only_promised(&promise, &inside, &host).why.is_some());
    }

    #[test]
    fn the_nodes_of_an_engine_that_makes_none_are_its_own() {
        let (mut promise, mut inside, mut host) = good();
        for line in [
            "900 82 0:5 /null /dev/null rw - devtmpfs d rw",
            "901 82 0:5 /urandom /dev/urandom rw - devtmpfs d rw",
            "902 81 0:5 /null /proc/timer_list rw - devtmpfs d rw",
        ] {
            add_line(line, "both")(&mut promise, &mut inside, &mut host);
        }
        assert_eq!(only_promised(&promise, &inside, &host).why, None);
        add_line("905 82 0:5 /sda /dev/null rw - devtmpfs d rw", "both")(&mut promise, &mut inside, &mut host);
        assert!(only_promised(&promise, &inside, &host).why.is_some());
    }

    #[test]
    fn two_mounts_of_one_role_have_two_names() {
        let mut promise = good().0;
        let again = promise.mounts[4].clone();
        promise.mounts.push(again);
        let expected = ["codex-package", "cache.pip", "codex-package-2"];
        assert_eq!(ids(&promise.mounts)[4..], expected);
    }

    #[test]
    fn the_order_of_mounts_and_a_tmpfs_by_name_are_of_no_account() {
        let (mut promise, mut inside, mut host) = good();
        promise.mounts.reverse();
        host.container.host_config.tmpfs.insert("/tmp".into(), String::new());
        add_line("900 80 0:70 / /tmp rw - tmpfs tmpfs rw", "both")(&mut promise, &mut inside, &mut host);
        assert_eq!(broken_ids(&promise, &inside, &host), Vec::<String>::new());
    }
}
