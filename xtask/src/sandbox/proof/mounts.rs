//! Claims about every mount: that it is the promised one, read-only where promised, and that there is no other.

use super::{Claim, Draft, HostWitness, some};
use crate::sandbox::mountinfo::{MountLine, MountTable, rest, within};
use crate::sandbox::probe::{Inside, InsideMount};
use crate::sandbox::promise::{Gpus, Mount, Promise, Role};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn judge(promise: &Promise, inside: &Inside, host: &HostWitness) -> Vec<Claim> {
    let mut claims = vec![only_promised(promise, inside, host)];
    for (id, mount) in named(promise) {
        claims.push(source(&id, mount, inside, host));
        claims.push(private(&id, mount, inside, host));
        if mount.read_only {
            claims.push(read_only(&id, mount, promise, inside, host));
        } else if mount.role != Role::Workspace {
            claims.push(writable(&id, mount, inside, host));
        }
    }
    claims
}

/// The mounts with the first part of their claims' ids; a second mount of one role gets a number.
pub(super) fn named(promise: &Promise) -> Vec<(String, &Mount)> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut named = Vec::new();
    for mount in &promise.mounts {
        let id = mount.role.id();
        let count = seen.entry(id.clone()).or_default();
        *count += 1;
        named.push((if *count > 1 { format!("{id}-{count}") } else { id }, mount));
    }
    named
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
    inside: &'a Inside,
    host: &'a HostWitness,
) -> Vec<(&'static str, &'a MountTable)> {
    let mut tables = vec![("inside", &inside.mounts)];
    tables.extend(
        draft
            .process(host)
            .map(|process| ("seen from the host", &process.mounts)),
    );
    tables
}

/// The lines of a mount and of everything below it that is not another promised mount.
pub(super) fn lines<'a>(table: &'a MountTable, mount: &Mount, promise: &Promise) -> Vec<&'a MountLine> {
    let target = clean(&mount.target);
    let other = |line: &MountLine| {
        promise
            .mounts
            .iter()
            .map(|other| clean(&other.target))
            .any(|other| other != target && within(other, target) && within(&line.point, other))
    };
    table
        .at(target)
        .into_iter()
        .chain(table.below(target).into_iter().filter(|line| !other(line)))
        .collect()
}

// -- which mounts there are ------------------------------------------------------------------------------------------

fn only_promised(promise: &Promise, inside: &Inside, host: &HostWitness) -> Claim {
    let mut draft = Draft::new(
        "container.mounts",
        "the promised mounts are there, and nothing else of the host is",
    )
    .hint("start it anew: `cargo xtask down`, then `cargo xtask sandbox`");
    let told: Vec<&Value> = host.inspect["Mounts"].as_array().into_iter().flatten().collect();
    engines_word(&mut draft, promise, &told);
    let tmpfs = tmpfs_targets(host, &told);
    let seen = tables(&mut draft, inside, host);
    for (who, table) in &seen {
        for mount in &promise.mounts {
            let target = clean(&mount.target);
            draft.check(table.at(target).is_some(), || {
                format!("{who}: nothing is mounted at `{target}`")
            });
        }
        for line in &table.lines {
            let promised = promise
                .mounts
                .iter()
                .any(|mount| within(&line.point, clean(&mount.target)));
            let expected = promised
                || engines_own(line, host.id())
                || (line.fstype == "tmpfs" && line.root == "/" && tmpfs.contains(&line.point))
                || (promise.gpus != Gpus::None && gpu_driver(line));
            draft.check(expected, || {
                format!(
                    "{who}: `{}` of device {} is mounted at `{}`",
                    line.root, line.device, line.point
                )
            });
        }
    }
    if let [(_, one), (_, other)] = seen.as_slice() {
        draft.check(shape(one) == shape(other), || {
            "the two witnesses see different mounts".into()
        });
        draft.host(format!("{} mounts in the kernel's table", other.lines.len()));
    }
    draft.inside(format!("{} mounts in the kernel's table", inside.mounts.lines.len()));
    draft.done()
}

fn engines_word(draft: &mut Draft, promise: &Promise, told: &[&Value]) {
    draft.host(format!("{} mounts by the engine's word", told.len()));
    for mount in &promise.mounts {
        let target = clean(&mount.target);
        let source = mount.source.display().to_string();
        let Some(seen) = told
            .iter()
            .find(|seen| seen["Destination"].as_str().map(clean) == Some(target))
        else {
            draft.broken(format!("the engine has no mount at `{target}`"));
            continue;
        };
        let from = seen["Source"].as_str().unwrap_or_default();
        draft.check(seen["Type"] == "bind" && clean(from) == clean(&source), || {
            format!(
                "the engine mounts the {} `{from}` at `{target}`, not `{source}`",
                seen["Type"].as_str().unwrap_or("?")
            )
        });
        draft.check(seen["RW"].as_bool() == Some(!mount.read_only), || {
            format!("the engine mounts `{target}` with RW {}", seen["RW"])
        });
    }
    for seen in told.iter().filter(|seen| seen["Type"] != "tmpfs") {
        let target = seen["Destination"].as_str().unwrap_or_default();
        let promised = promise.mounts.iter().any(|mount| clean(&mount.target) == clean(target));
        draft.check(promised, || {
            let kind = seen["Type"].as_str().unwrap_or("?");
            format!(
                "the engine has a {kind} mount of {} at `{target}` that was not promised",
                seen["Source"]
            )
        });
    }
}

fn tmpfs_targets(host: &HostWitness, told: &[&Value]) -> Vec<String> {
    let asked = host
        .setting("Tmpfs")
        .as_object()
        .into_iter()
        .flatten()
        .map(|(target, _)| target.as_str());
    let mounted = told
        .iter()
        .filter(|seen| seen["Type"] == "tmpfs")
        .filter_map(|seen| seen["Destination"].as_str());
    asked.chain(mounted).map(|target| clean(target).to_owned()).collect()
}

/// What of a table must be the same for both witnesses.
fn shape(table: &MountTable) -> Vec<(&str, &str, &str, bool)> {
    let mut shape: Vec<_> = table
        .lines
        .iter()
        .map(|line| {
            (
                line.point.as_str(),
                line.device.as_str(),
                line.root.as_str(),
                line.read_only(),
            )
        })
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
        "/etc/hosts" => own_file("hosts"),
        "/etc/hostname" => own_file("hostname"),
        "/etc/resolv.conf" => own_file("resolv.conf"),
        "/sbin/docker-init" | "/usr/sbin/docker-init" => line.read_only(),
        // Masked files of /proc are the container's own /dev/null.
        point if within(point, "/proc") => {
            of(&["proc"]) || (of(&["tmpfs"]) && matches!(line.root.as_str(), "/" | "/null"))
        }
        point if within(point, "/sys") => of(&["sysfs", "cgroup", "cgroup2"]) || (of(&["tmpfs"]) && line.root == "/"),
        _ => false,
    }
}

/// What NVIDIA's container toolkit mounts: device nodes, and single files of the driver, by name. The daemon's sockets
/// are the only ones that can be written.
fn gpu_driver(line: &MountLine) -> bool {
    let name = line.point.rsplit('/').next().unwrap_or_default();
    let library = [
        "libcuda", "libnv", "libGL", "libEGL", "libGLES", "libvdpau", "gsp_", "nvoptix", "nv-",
    ];
    let named = line.point.contains("nvidia") || library.iter().any(|prefix| name.starts_with(prefix));
    let socket = line.root.ends_with("/socket") || line.root.ends_with("/control");
    let node = within(&line.point, "/dev") && line.fstype == "devtmpfs" && (named || name == "dxg");
    node || (named && (line.read_only() || socket || line.fstype == "tmpfs" || line.fstype == "proc"))
}

// -- one mount -------------------------------------------------------------------------------------------------------

fn source(id: &str, mount: &Mount, inside: &Inside, host: &HostWitness) -> Claim {
    let (target, source) = (clean(&mount.target), mount.source.display());
    let mut draft = Draft::new(format!("{id}.source"), format!("`{target}` is the host's `{source}`"))
        .hint("start it anew: `cargo xtask down`, then `cargo xtask sandbox`");
    let here = host.sources.get(&mount.target).map(|facts| &facts.id);
    let there = inside.target(&mount.target).map(|seen| &seen.id);
    match (there, here) {
        (Some(Ok(there)), Some(Ok(here))) => {
            draft.inside(there.to_string());
            draft.host(here.to_string());
            draft.check(there == here, || format!("inside it is {there}, on the host {here}"));
        }
        (Some(Err(err)), _) => draft.broken(format!("inside it cannot be looked at: {err}")),
        (_, Some(Err(err))) => draft.broken(format!("the host cannot look at it: {err}")),
        _ => draft.broken("a witness did not look at it"),
    }
    let places: Vec<_> = tables(&mut draft, inside, host)
        .into_iter()
        .map(|(_, table)| table.at(target).map(MountLine::place))
        .collect();
    draft.check(
        places.iter().all(|place| place.is_some() && place == &places[0]),
        || "the witnesses do not see the same mount there".into(),
    );
    if let Some(Some(place)) = places.first() {
        draft.inside(format!("mounted from {place}"));
    }
    if let Some(place) = host.sources.get(&mount.target).and_then(|facts| facts.place.as_ref()) {
        draft.host(format!("lies at {place}"));
    }
    draft.done()
}

fn private(id: &str, mount: &Mount, inside: &Inside, host: &HostWitness) -> Claim {
    let target = clean(&mount.target);
    let mut draft = Draft::new(
        format!("{id}.private"),
        format!("nothing that is mounted later on the host appears in `{target}`"),
    );
    for (who, table) in tables(&mut draft, inside, host) {
        let below = table.below(target).into_iter().chain(table.at(target));
        let tied: Vec<String> = below
            .filter(|line| line.propagates())
            .map(|line| format!("{} ({})", line.point, line.tags.join(" ")))
            .collect();
        draft.check(tied.is_empty(), || {
            format!("{who}: mounts propagate at {}", some(&tied))
        });
        let text = format!("mounts that propagate: {}", some(&tied));
        if who == "inside" {
            draft.inside(text)
        } else {
            draft.host(text)
        }
    }
    let told = host.inspect["Mounts"].as_array().into_iter().flatten();
    for seen in told.filter(|seen| seen["Destination"].as_str().map(clean) == Some(target)) {
        let mode = seen["Propagation"].as_str().unwrap_or_default();
        draft.check(matches!(mode, "rprivate" | "private" | ""), || {
            format!("the engine's propagation is `{mode}`")
        });
    }
    draft.done()
}

fn read_only(id: &str, mount: &Mount, promise: &Promise, inside: &Inside, host: &HostWitness) -> Claim {
    let target = clean(&mount.target);
    let mut draft = Draft::new(
        format!("{id}.read-only"),
        format!("`{target}` and all that is mounted below it refuse every write"),
    )
    .hint("the engine or its client may be too old for recursive read-only mounts (Docker 25, API 1.44, kernel 5.12)");
    for (who, table) in tables(&mut draft, inside, host) {
        let lines = lines(table, mount, promise);
        draft.check(!lines.is_empty(), || format!("{who}: nothing is mounted there"));
        let open: Vec<&str> = lines
            .iter()
            .filter(|line| !line.read_only())
            .map(|line| line.point.as_str())
            .collect();
        draft.check(open.is_empty(), || {
            format!("{who}: mounted for writing: {}", some(&open))
        });
        let text = format!(
            "{} mounts with `ro`, for writing: {}",
            lines.len() - open.len(),
            some(&open)
        );
        if who == "inside" {
            draft.inside(text)
        } else {
            draft.host(text)
        }
    }
    let Some(seen) = inside.target(&mount.target) else {
        draft.broken("the probe did not try to write there");
        return draft.done();
    };
    let other = |path: &str| {
        promise
            .mounts
            .iter()
            .any(|other| clean(&other.target) == path && other != mount)
    };
    let submounts: Vec<&InsideMount> = seen.submounts.iter().filter(|sub| !other(&sub.path)).collect();
    for place in std::iter::once(seen).chain(submounts.iter().copied()) {
        attempts(&mut draft, place);
    }
    let known = lines(&inside.mounts, mount, promise).len();
    if known > submounts.len() + 1 {
        draft.unseen(format!(
            "writing was tried at {} of {known} mounts",
            submounts.len() + 1
        ));
    }
    draft.done()
}

/// What the probe's attempts say of one place. Only `EROFS` says that the mount refuses: a permission that is missing
/// today proves nothing.
fn attempts(draft: &mut Draft, place: &InsideMount) {
    let (create, touch) = (
        place.create.as_deref().unwrap_or("not tried"),
        place.touch.as_deref().unwrap_or("not tried"),
    );
    draft.inside(format!("{}: new file {create}, times {touch}", place.path));
    let written = create.starts_with("written") || touch.starts_with("written");
    draft.check(!written, || {
        format!(
            "inside: `{}` was written (new file: {create}, times: {touch})",
            place.path
        )
    });
    draft.check(place.st_rdonly != Some(false), || {
        format!("inside: statvfs of `{}` lacks ST_RDONLY", place.path)
    });
    if place.st_rdonly.is_none() {
        draft.unseen(format!("statvfs of `{}` did not answer", place.path));
    }
    if !written && create != "EROFS" && touch != "EROFS" {
        draft.unseen(format!(
            "writing to `{}` gave {create} and {touch}, which does not show a read-only mount",
            place.path
        ));
    }
}

fn writable(id: &str, mount: &Mount, inside: &Inside, host: &HostWitness) -> Claim {
    let target = clean(&mount.target);
    let mut draft = Draft::new(format!("{id}.writable"), format!("the user can write to `{target}`")).hint(format!(
        "it must belong to you on the host: `{}`",
        mount.source.display()
    ));
    for (who, table) in tables(&mut draft, inside, host) {
        draft.check(table.at(target).is_some_and(|line| !line.read_only()), || {
            format!("{who}: it is mounted read-only")
        });
    }
    let access = inside.target(&mount.target).is_some_and(|seen| seen.access);
    draft.inside(format!("access {access}"));
    draft.check(access, || "inside: its permissions do not let the user write".into());
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, add_line, breaks, broken_ids, good, on_tables};
    use super::super::{Verdict, judge};
    use super::*;
    use serde_json::json;

    fn told(key: &'static str, value: Value) -> Case {
        Box::new(move |_, _, host| host.inspect["Mounts"][0][key] = value.clone())
    }

    #[test]
    fn a_mount_that_was_not_promised_breaks_the_claim() {
        breaks(
            "container.mounts",
            vec![
                told("Source", json!("/elsewhere")),
                told("RW", json!(true)),
                told("Type", json!("volume")),
                told("Destination", json!("/elsewhere")),
                add_line("900 80 254:0 /etc /hostetc ro - ext4 d rw", "both"),
                add_line("900 80 0:20 / /run rw - tmpfs tmpfs rw", "both"),
                add_line("900 80 254:0 /etc/hosts /etc/hosts rw - ext4 d rw", "both"),
                add_line(
                    "900 80 254:0 /x/libcuda.so /usr/lib/libcuda.so.1 ro - ext4 d rw",
                    "both",
                ),
                add_line("900 80 0:5 /null /dev/sda rw - devtmpfs d rw", "both"),
                add_line("900 80 254:0 /ws/sub /workspace/sub rw - ext4 d rw", "host"),
                Box::new(|promise, _, _| _ = promise.mounts.pop()),
            ],
        );
    }

    #[test]
    fn the_drivers_files_are_expected_where_gpus_were_asked_for() {
        let (mut promise, mut inside, mut host) = good();
        promise.gpus = Gpus::All;
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
    fn the_order_of_mounts_and_a_tmpfs_by_name_are_of_no_account() {
        let (mut promise, mut inside, mut host) = good();
        promise.mounts.reverse();
        host.inspect["HostConfig"]["Tmpfs"] = json!({"/tmp": ""});
        add_line("900 80 0:70 / /tmp rw - tmpfs tmpfs rw", "both")(&mut promise, &mut inside, &mut host);
        assert_eq!(broken_ids(&promise, &inside, &host), Vec::<String>::new());
    }

    #[test]
    fn each_fact_about_a_mount_breaks_its_claim() {
        breaks(
            "dataset.ssv2.source",
            vec![
                Box::new(|_, inside, _| inside.targets[1].id.as_mut().unwrap().ino += 1),
                Box::new(|_, inside, _| inside.targets[1].id = Err("ENOENT".into())),
                on_tables(
                    "host",
                    |line| line.point == "/datasets/ssv2",
                    |line| line.root = "/other".into(),
                ),
            ],
        );
        breaks(
            "dataset.ssv2.private",
            vec![
                on_tables(
                    "both",
                    |line| line.point == "/datasets/ssv2",
                    |line| line.tags = vec!["master:3".into()],
                ),
                on_tables(
                    "host",
                    |line| line.point == "/datasets/ssv2",
                    |line| line.tags = vec!["shared:3".into()],
                ),
                told("Propagation", json!("rslave")),
            ],
        );
        breaks(
            "dataset.ssv2.read-only",
            vec![
                on_tables(
                    "inside",
                    |line| line.point == "/datasets/ssv2",
                    |line| line.options = vec!["rw".into()],
                ),
                on_tables(
                    "host",
                    |line| line.point == "/datasets/ssv2",
                    |line| line.options = vec!["rw".into()],
                ),
                add_line("900 98 0:50 / /datasets/ssv2/sub rw - tmpfs tmpfs rw", "host"),
                add_line("900 98 0:50 / /datasets/ssv2/sub rw - tmpfs tmpfs rw", "inside"),
                Box::new(|_, inside, _| inside.targets[1].st_rdonly = Some(false)),
                Box::new(|_, inside, _| inside.targets[1].create = Some("written".into())),
                Box::new(|_, inside, _| inside.targets[1].touch = Some("written".into())),
            ],
        );
        breaks(
            "codex-home.writable",
            vec![
                Box::new(|_, inside, _| inside.targets[2].access = false),
                on_tables(
                    "both",
                    |line| line.point == "/home/codex/.codex",
                    |line| line.options = vec!["ro".into()],
                ),
            ],
        );
    }

    #[test]
    fn a_permission_that_is_missing_proves_nothing() {
        let (promise, mut inside, host) = good();
        inside.targets[1].create = Some("EACCES".into());
        let verdict = |inside: &Inside| {
            let claims = judge(&promise, inside, &host);
            claims
                .iter()
                .find(|claim| claim.id == "dataset.ssv2.read-only")
                .unwrap()
                .verdict
        };
        assert_eq!(verdict(&inside), Verdict::Held, "the times were refused by the mount");
        inside.targets[1].touch = Some("EPERM".into());
        assert_eq!(verdict(&inside), Verdict::NotProvable);
    }
}
