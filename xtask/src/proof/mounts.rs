//! The claims about all mounts: each of them, and that there is no other.

use super::claim::{Draft, RECREATE};
use super::probe::InsideWitness;
use super::targets::named;
use super::witness::HostWitness;
use super::{mount, volume};
use crate::engine::inspect::Mounted;
use crate::finding::Finding;
use crate::mountinfo::{MountLine, MountTable, clean, within};
use crate::spec::inside::Tried;
use crate::spec::words::Gpus;
use crate::spec::{Role, Spec};

pub(super) fn judge(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    let mut claims = vec![only_promised(spec, inside, host)];
    for (id, one) in named(spec) {
        if let Role::Cache(cache) = one.role {
            claims.push(volume::source(&id, cache, one, spec, inside, host));
        } else {
            claims.push(mount::source(&id, one, inside, host));
            claims.push(mount::private(&id, one, inside, host));
        }
        match (one.read_only, one.role.inside().tried) {
            (true, _) => claims.push(mount::read_only(&id, one, spec, inside, host)),
            (false, Tried::Access | Tried::Sample) => claims.push(mount::writable(&id, one, inside, host)),
            // The claim that the file was written and read is in `codex.rs`.
            (false, Tried::File) => {}
        }
    }
    claims
}

fn only_promised(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft =
        Draft::new("container.mounts", "the promised mounts are there, and nothing else of the host is mounted")
            .hint(RECREATE);
    let told = draft.told("what is mounted", host.container.mounts.as_deref()).unwrap_or_default();
    engines_word(&mut draft, spec, told);
    let asked = host.container.host_config.tmpfs.keys();
    let tmpfs = asked.chain(told.iter().filter(|seen| seen.kind == "tmpfs").map(|seen| &seen.target));
    let tmpfs: Vec<&str> = tmpfs.map(|target| clean(target)).collect();
    let expected = |line: &MountLine| {
        spec.mounts.iter().any(|mount| within(&line.point, &mount.target))
            || engines_own(line, host.id())
            || (line.fstype == "tmpfs" && line.root == "/" && tmpfs.contains(&line.point.as_str()))
            || (spec.shape.gpus != Gpus::None && gpu_driver(line))
    };
    let views = draft.views(inside, host);
    for (side, process) in &views {
        for target in spec.mounts.iter().map(|mount| &mount.target) {
            draft.check(process.mounts.at(target).is_some(), || format!("{side}: nothing is mounted at `{target}`"));
        }
        for line in &process.mounts.lines {
            draft.check(expected(line), || {
                format!("{side}: `{}` of device {} is mounted at `{}`", line.root, line.device, line.point)
            });
        }
        draft.saw(*side, format!("{} mounts in the kernel's table", process.mounts.lines.len()));
    }
    let mut shapes = views.iter().map(|(_, process)| shape(&process.mounts));
    let first = shapes.next();
    draft.check(shapes.all(|other| Some(&other) == first.as_ref()), || "the two witnesses see different mounts".into());
    draft.done()
}

fn engines_word(draft: &mut Draft, spec: &Spec, told: &[Mounted]) {
    draft.host(format!("{} mounts according to the engine", told.len()));
    for mount in &spec.mounts {
        let target = &mount.target;
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
                format!("the engine mounts `{target}` {}", if writable { "writable" } else { "read-only" })
            });
        }
    }
    for Mounted { kind, source, target, .. } in told.iter().filter(|seen| seen.kind != "tmpfs") {
        draft.check(spec.mounts.iter().any(|mount| mount.target == clean(target)), || {
            format!("the engine has a {kind} mount of `{source}` at `{target}` that was not promised")
        });
    }
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

/// What a Docker engine mounts by itself. Each place is bound to the kinds of file system that belong there, so that the
/// host's own `/proc` or `/run` mounted at such a place is no exception.
fn engines_own(line: &MountLine, id: &str) -> bool {
    let of = |kinds: &[&str]| kinds.contains(&line.fstype.as_str());
    let own_file = |name: &str| line.root.ends_with(&format!("/{id}/{name}")) && !id.is_empty();
    match line.point.as_str() {
        "/" => true,
        "/dev" | "/dev/shm" => line.root == "/" && of(&["tmpfs"]),
        "/dev/pts" | "/dev/mqueue" => line.root == "/" && of(&["devpts", "mqueue"]),
        "/dev/console" => of(&["devpts"]),
        // An engine that may not create device nodes (rootless, mapped user ids) mounts the harmless ones of the host.
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

/// What NVIDIA's container toolkit mounts: device nodes, and single files of the driver, by name. Of these, only the
/// sockets of NVIDIA's daemons may be writable.
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
                Box::new(|spec, _, _| _ = spec.mounts.pop()),
            ],
        );
    }

    #[test]
    fn the_drivers_files_are_expected_where_gpus_were_asked_for() {
        let (mut spec, mut inside, mut host) = good();
        spec.shape.gpus = Gpus::All;
        for line in [
            "900 80 254:0 /x/libcuda.so /usr/lib/x86_64-linux-gnu/libcuda.so.570.1 ro - ext4 d rw",
            "901 80 254:0 /usr/bin/nvidia-smi /usr/bin/nvidia-smi ro - ext4 d rw",
            "902 80 0:20 /nvidia-persistenced/socket /run/nvidia-persistenced/socket rw - tmpfs d rw",
            "903 82 0:5 /nvidia0 /dev/nvidia0 ro - devtmpfs d rw",
            "904 80 0:99 / /proc/driver/nvidia rw - tmpfs d rw",
        ] {
            add_line(line, "both")(&mut spec, &mut inside, &mut host);
        }
        assert_eq!(only_promised(&spec, &inside, &host).why, None);
        add_line("905 80 254:0 /srv /srv/nvidia rw - ext4 d rw", "both")(&mut spec, &mut inside, &mut host);
        assert!(only_promised(&spec, &inside, &host).why.is_some());
    }

    #[test]
    fn the_nodes_of_an_engine_that_makes_none_are_its_own() {
        let (mut spec, mut inside, mut host) = good();
        for line in [
            "900 82 0:5 /null /dev/null rw - devtmpfs d rw",
            "901 82 0:5 /urandom /dev/urandom rw - devtmpfs d rw",
            "902 81 0:5 /null /proc/timer_list rw - devtmpfs d rw",
        ] {
            add_line(line, "both")(&mut spec, &mut inside, &mut host);
        }
        assert_eq!(only_promised(&spec, &inside, &host).why, None);
        add_line("905 82 0:5 /sda /dev/null rw - devtmpfs d rw", "both")(&mut spec, &mut inside, &mut host);
        assert!(only_promised(&spec, &inside, &host).why.is_some());
    }

    #[test]
    fn two_mounts_of_one_role_have_two_names() {
        let mut spec = good().0;
        let again = spec.mounts[4].clone();
        spec.mounts.push(again);
        let expected = ["codex-package", "cache.pip", "codex-package-2"];
        assert_eq!(crate::spec::mount::ids(&spec.mounts)[4..], expected);
    }

    #[test]
    fn the_order_of_mounts_and_a_tmpfs_by_name_are_of_no_account() {
        let (mut spec, mut inside, mut host) = good();
        spec.mounts.reverse();
        host.container.host_config.tmpfs.insert("/tmp".into(), String::new());
        add_line("900 80 0:70 / /tmp rw - tmpfs tmpfs rw", "both")(&mut spec, &mut inside, &mut host);
        assert_eq!(broken_ids(&spec, &inside, &host), Vec::<String>::new());
        // What the engine reports as a mount of its own, too; but no part of another file system of that kind.
        host.container.host_config.tmpfs.clear();
        assert!(only_promised(&spec, &inside, &host).why.is_some());
        let (kind, target) = ("tmpfs".into(), "/tmp/".into());
        host.container.mounts.as_mut().unwrap().push(Mounted { kind, target, ..Mounted::default() });
        assert_eq!(only_promised(&spec, &inside, &host).why, None);
        for (point, fstype, root) in [("/tmp", "tmpfs", "/sub"), ("/tmp", "ext4", "/"), ("/tmp2", "tmpfs", "/")] {
            let (mut inside, mut host) = (inside.clone(), host.clone());
            for table in [&mut inside.process.mounts, &mut host.process.as_mut().unwrap().mounts] {
                let line = table.lines.last_mut().unwrap();
                (line.point, line.fstype, line.root) = (point.into(), fstype.into(), root.into());
            }
            assert!(only_promised(&spec, &inside, &host).why.is_some(), "{point} {fstype} {root}");
        }
    }
    #[test]
    fn what_the_engine_mounts_beside_the_promised_is_named() {
        let (spec, inside, mut host) = good();
        let more = |kind: &str| Mounted { kind: kind.into(), target: "/more".into(), ..Mounted::default() };
        host.container.mounts.as_mut().unwrap().push(more("bind"));
        let why = only_promised(&spec, &inside, &host).why.unwrap();
        assert!(why.contains("a bind mount of `` at `/more` that was not promised"), "{why}");
    }

    /// The line of a mount, by its point, kind and root.
    fn line(text: &str) -> MountLine {
        let [point, fstype, root, option] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let table = MountTable::parse(&format!("1 0 0:9 {root} {point} {option} - {fstype} x rw\n"));
        table.unwrap().lines.remove(0)
    }

    #[test]
    fn a_place_of_the_engines_own_is_bound_to_what_belongs_there() {
        for own in [
            "/ overlay / rw",
            "/dev tmpfs / rw",
            "/dev/shm tmpfs / rw",
            "/dev/pts devpts / rw",
            "/dev/mqueue mqueue / rw",
            "/dev/console devpts /0 rw",
            "/dev/null devtmpfs /null rw",
            "/dev/tty tmpfs /tty rw",
            "/etc/hosts ext4 /docker/containers/c0/hosts rw",
            "/etc/hostname ext4 /docker/containers/c0/hostname rw",
            "/etc/resolv.conf ext4 /docker/containers/c0/resolv.conf rw",
            "/sbin/docker-init ext4 /x ro",
            "/proc proc / rw",
            "/proc/bus proc /bus ro",
            "/proc/acpi tmpfs / ro",
            "/proc/keys tmpfs /null rw",
            "/proc/keys devtmpfs /null rw",
            "/sys sysfs / ro",
            "/sys/fs/cgroup cgroup2 / ro",
            "/sys/firmware tmpfs / ro",
        ] {
            assert!(engines_own(&line(own), "c0"), "{own}");
        }
        for other in [
            "/dev tmpfs /x rw",
            "/dev ext4 / rw",
            "/dev/shm ext4 / rw",
            "/dev/pts devpts /0 rw",
            "/dev/pts ext4 / rw",
            "/dev/console ext4 /0 rw",
            "/dev/null ext4 /null rw",
            "/dev/null devtmpfs /sda rw",
            "/etc/hosts ext4 /docker/containers/c1/hosts rw",
            "/etc/hosts ext4 /docker/containers/c0/hostname rw",
            "/etc/hostname ext4 /etc/hostname rw",
            "/etc/resolv.conf ext4 /etc/resolv.conf rw",
            "/sbin/docker-init ext4 /x rw",
            "/proc ext4 / rw",
            "/proc/acpi tmpfs /x ro",
            "/proc/keys devtmpfs / rw",
            "/proc/keys ext4 /null rw",
            "/sys ext4 / rw",
            "/sys/firmware tmpfs /x ro",
            "/run tmpfs / rw",
        ] {
            assert!(!engines_own(&line(other), "c0"), "{other}");
        }
        assert!(!engines_own(&line("/etc/hosts ext4 //hosts rw"), ""), "what has no id owns no file");
    }

    #[test]
    fn a_file_of_the_driver_has_its_name_and_is_not_writable() {
        for own in [
            "/usr/lib/libcuda.so.1 ext4 /x ro",
            "/usr/lib/libnvidia-ml.so ext4 /x ro",
            "/dev/nvidia0 devtmpfs /nvidia0 rw",
            "/dev/dxg devtmpfs /dxg rw",
            "/run/nvidia/socket tmpfs /nvidia/socket rw",
            "/run/nvidia-mps/control ext4 /control rw",
            "/proc/driver/nvidia proc /driver/nvidia rw",
            "/proc/driver/nvidia tmpfs / rw",
        ] {
            assert!(gpu_driver(&line(own)), "{own}");
        }
        for other in [
            "/usr/lib/libcuda.so.1 ext4 /x rw",
            "/usr/lib/libc.so.6 ext4 /x ro",
            "/dev/sda devtmpfs /sda rw",
            "/dxg devtmpfs /dxg rw",
            "/srv/socket ext4 /socket rw",
            "/srv/nvidia ext4 /srv rw",
            "/srv tmpfs / rw",
            "/dev/dxg ext4 /dxg rw",
        ] {
            assert!(!gpu_driver(&line(other)), "{other}");
        }
    }
}
