//! Claims about what the container must not reach: the engine, the host's launcher and state, the host's git directory.

use super::claim::{Draft, some};
use super::probe::InsideWitness;
use super::witness::HostWitness;
use crate::engine::sockets;
use crate::finding::Finding;
use crate::mountinfo::{DevicePath, MountLine, MountTable, join, rest, touches, within};
use crate::spec::inside::MayLieIn;
use crate::spec::{Mount, Role, Spec};
use std::collections::BTreeSet;

pub(super) fn judge(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    let mut claims = vec![no_socket(inside, host), out_of_reach(spec, inside, host)];
    claims.extend(spec.mount(&Role::Git).map(|git| airlock(git, inside, host)));
    claims
}

fn no_socket(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("engine.no-socket", "nothing inside can talk to a container engine")
        .hint("whoever can talk to the engine is root on the host: remove the mount of its socket");
    draft.inside(format!("sockets: {}", some(&inside.sockets)));
    draft.check(inside.sockets.is_empty(), || format!("inside: {} is there", some(&inside.sockets)));
    for (side, process) in draft.views(inside, host) {
        let lines = process.mounts.lines.iter();
        let seen = lines.filter(|line| sockets::is_named(&line.root) || sockets::is_named(&line.point));
        let seen: Vec<&str> = seen.map(|line| line.point.as_str()).collect();
        draft.check(seen.is_empty(), || format!("{side}: an engine's socket is mounted at {}", some(&seen)));
        draft.saw(side, format!("mounted sockets: {}", some(&seen)));
    }
    let told = draft.told("what is mounted", host.container.mounts.as_deref()).unwrap_or_default();
    for seen in told.iter().filter(|seen| sockets::is_named(&seen.source)) {
        draft.broken(format!("the engine mounts `{}`", seen.source));
    }
    draft.done()
}

// -- the host's own directories --------------------------------------------------------------------------------------

fn out_of_reach(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new(
        "host.out-of-reach",
        "no writable mount shows this repository, the sandbox's state, the host's Codex home or its git directory",
    )
    .hint("choose another workspace with `--workspace DIR`");
    draft.host(format!("{} directories compared", spec.out_of_reach.len()));
    for mount in spec.mounts.iter().filter(|mount| !mount.read_only) {
        for dir in &spec.out_of_reach {
            let (source, dir) = (mount.source.to_string_lossy(), dir.to_string_lossy());
            let excepted =
                allowed(mount, &source, &dir) || covered(&mount.target, &source, &dir, &inside.process.mounts);
            draft.check(!touches(&source, &dir) || excepted, || {
                format!("`{source}`, mounted at `{}`, shows `{dir}`", mount.target)
            });
        }
    }
    for (side, process) in draft.views(inside, host) {
        let mut shown = BTreeSet::new();
        for line in process.mounts.lines.iter().filter(|line| !line.read_only()) {
            for (dir, place) in &host.out_of_reach {
                if let Some(place) = place
                    && line.place().touches(place)
                    && !excused(line, place, &dir.to_string_lossy(), spec, &process.mounts)
                {
                    shown.insert(format!("{} at {}", dir.display(), line.point));
                }
            }
        }
        draft.check(shown.is_empty(), || format!("{side}: shown by a writable mount: {}", some(&shown)));
        draft.saw(side, format!("shown by a writable mount: {}", some(&shown)));
    }
    draft.done()
}

/// What may lie in a directory that is out of reach: the sandbox's own Codex home and git directory in the state
/// folder, and the default project, `workspace/` of this repository.
fn allowed(mount: &Mount, source: &str, dir: &str) -> bool {
    match mount.role.inside().may_lie_in {
        MayLieIn::StateFolder => rest(source, dir).is_some_and(|inner| !inner.is_empty()),
        MayLieIn::DefaultProject => within(source, &join(dir, "workspace")),
        MayLieIn::Nothing => false,
    }
}

/// Whether `dir` lies below what a mount shows of the host, and is hidden inside by another mount, as the host's `.git`
/// is by the sandbox's own.
fn covered(point: &str, shown: &str, dir: &str, table: &MountTable) -> bool {
    rest(dir, shown).filter(|inner| !inner.is_empty()).is_some_and(|inner| {
        let over = table.covering(&join(point, inner));
        over.is_some_and(|line| line.point != point && within(&line.point, point))
    })
}

/// The same exceptions, with the directories named by their places in the file system.
fn excused(line: &MountLine, place: &DevicePath, dir: &str, spec: &Spec, table: &MountTable) -> bool {
    let mount = spec.mounts.iter().find(|mount| mount.target == line.point);
    mount.is_some_and(|mount| {
        allowed(mount, &mount.source.to_string_lossy(), dir) && allowed(mount, &line.root, &place.path)
    }) || covered(&line.point, &line.root, &place.path, table)
}

fn airlock(git: &Mount, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let target = &git.target;
    let mut draft = Draft::new("git.airlock", format!("`{target}` is the sandbox's own, not the host's git directory"));
    for (side, process) in draft.views(inside, host) {
        let line = process.mounts.at(target);
        draft.check(line.is_some(), || format!("{side}: nothing is mounted at `{target}`"));
        if let (Some(line), Some((_, Some(real)))) = (line, &host.real_git) {
            draft.check(!line.place().touches(real), || format!("{side}: it is the host's own, {real}"));
        }
    }
    let seen = inside.target(target).and_then(|seen| seen.stat.as_ref().ok());
    match (seen, &host.real_git) {
        (Some(seen), Some((real, _))) => {
            draft.inside(seen.id.to_string());
            draft.host(format!("the host's own is {real}"));
            draft.check(seen.id != *real, || format!("inside it is the host's own, {real}"));
        }
        (None, _) => draft.broken("inside it cannot be read"),
        (_, None) => draft.host("the host has none there"),
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{add_line, breaks, good, mounted, on_tables};
    use super::*;
    use crate::beneath::FileId;

    #[test]
    fn each_way_to_the_host_breaks_its_claim() {
        breaks(
            "engine.no-socket",
            vec![
                Box::new(|_, inside, _| inside.sockets.push("/run/docker.sock".into())),
                mounted("/datasets/ssv2", |seen| seen.source = "/var/run/docker.sock".into()),
                add_line("900 80 0:20 /docker.sock /tmp/x rw - tmpfs tmpfs rw", "host"),
                add_line("900 80 0:20 /x /tmp/podman.sock rw - tmpfs tmpfs rw", "inside"),
            ],
        );
        breaks(
            "host.out-of-reach",
            vec![
                Box::new(|spec, _, _| spec.out_of_reach.push("/ws".into())),
                Box::new(|spec, _, _| spec.out_of_reach.push("/ws/xtask".into())),
                Box::new(|spec, _, _| spec.out_of_reach.push("/".into())),
                // The Codex home may lie in the state folder; it may not be the folder itself.
                Box::new(|spec, _, _| spec.out_of_reach.push("/state/home".into())),
                on_tables("both", |line| line.point == "/workspace", |line| line.root = "/repo".into()),
                on_tables("inside", |line| line.point == "/workspace", |line| line.root = "/repo/xtask".into()),
                on_tables("host", |line| line.point == "/workspace", |line| line.root = "/".into()),
                add_line("900 80 254:0 /state /mnt rw - ext4 d rw", "both"),
                // What lies at a mount counts, whatever it was made from.
                on_tables("both", |line| line.point == "/home/codex/.codex", |line| line.root = "/state".into()),
            ],
        );
        breaks(
            "git.airlock",
            vec![
                on_tables("both", |line| line.point == "/workspace/.git", |line| line.point = "/workspace/x".into()),
                on_tables("host", |line| line.point == "/workspace/.git", |line| line.root = "/ws/.git".into()),
                Box::new(|_, inside, _| inside.targets[3].stat.as_mut().unwrap().id = FileId { dev: 1, ino: 66 }),
                Box::new(|_, inside, _| inside.targets[3].stat = Err("ENOENT".into())),
            ],
        );
    }

    #[test]
    fn the_default_workspace_may_lie_in_this_repository_and_no_other_part_of_it() {
        let mount = |source: &str| Mount {
            role: Role::Workspace,
            source: source.into(),
            target: "/workspace".into(),
            read_only: false,
        };
        assert!(allowed(&mount("/repo/workspace"), "/repo/workspace", "/repo"));
        assert!(allowed(&mount("/repo/workspace/a"), "/repo/workspace/a", "/repo"));
        assert!(!allowed(&mount("/repo/workspaces"), "/repo/workspaces", "/repo"));
        assert!(!allowed(&mount("/repo/docker"), "/repo/docker", "/repo"));
        assert!(!allowed(&mount("/repo"), "/repo", "/repo"));
    }

    #[test]
    fn the_hosts_git_directory_is_out_of_reach_only_below_the_airlock() {
        let (mut spec, inside, host) = good();
        spec.out_of_reach.push("/ws/.git".into());
        assert_eq!(out_of_reach(&spec, &inside, &host).why, None);
        let (mut without, mut blind) = (host.clone(), inside.clone());
        for table in [&mut blind.process.mounts, &mut without.process.as_mut().unwrap().mounts] {
            table.lines.retain(|line| line.point != "/workspace/.git");
        }
        assert!(out_of_reach(&spec, &blind, &without).why.is_some());
    }
}
