//! Claims about what the container must not reach: the engine, the host's launcher and state, the host's git.

use super::mounts::{below, clean, tables};
use super::{Draft, HostWitness, some};
use crate::engine::sockets;
use crate::finding::Finding;
use crate::proof::mountinfo::{DevicePath, MountLine, MountTable, rest, touches, within};
use crate::proof::probe::InsideWitness;
use crate::spec::Spec;
use crate::spec::inside::Role;
use crate::spec::mount::Mount;
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn judge(promise: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    let mut claims = vec![no_socket(inside, host), out_of_reach(promise, inside, host)];
    let git = promise.mounts.iter().find(|mount| mount.role == Role::Git);
    claims.extend(git.map(|git| airlock(git, inside, host)));
    claims
}

fn no_socket(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("engine.no-socket", "no container engine can be spoken to from inside")
        .hint("who speaks to the engine is root on the host: take the socket's mount away");
    draft.inside(format!("sockets: {}", some(&inside.sockets)));
    draft.check(inside.sockets.is_empty(), || format!("inside: {} is there", some(&inside.sockets)));
    for (who, table) in tables(&mut draft, inside, host) {
        let seen: Vec<&str> = table
            .lines
            .iter()
            .filter(|line| sockets::is_named(&line.root) || sockets::is_named(&line.point))
            .map(|line| line.point.as_str())
            .collect();
        draft.check(seen.is_empty(), || format!("{who}: an engine's socket is mounted at {}", some(&seen)));
        if who != "inside" {
            draft.host(format!("mounted sockets: {}", some(&seen)));
        }
    }
    let told = draft.told("what is mounted", host.container.mounts.as_deref()).unwrap_or_default();
    for seen in told.iter().filter(|seen| sockets::is_named(&seen.source)) {
        draft.broken(format!("the engine mounts `{}`", seen.source));
    }
    draft.done()
}

// -- the host's own directories --------------------------------------------------------------------------------------

fn out_of_reach(promise: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new(
        "host.out-of-reach",
        "no mount for writing shows this repository, the sandbox's state, the host's Codex home or its git directory",
    )
    .hint("choose another workspace with `--workspace DIR`");
    draft.host(format!("{} directories compared", promise.out_of_reach.len()));
    for mount in promise.mounts.iter().filter(|mount| !mount.read_only) {
        for dir in &promise.out_of_reach {
            let (source, dir) = (mount.source.to_string_lossy(), dir.to_string_lossy());
            if touches(&source, &dir)
                && !allowed(mount, &source, &dir)
                && !covered(mount, &source, &dir, &inside.mounts)
            {
                draft.broken(format!("`{source}`, mounted at `{}`, shows `{dir}`", clean(&mount.target)));
            }
        }
    }
    for (who, table) in tables(&mut draft, inside, host) {
        let mut shown = BTreeSet::new();
        for line in table.lines.iter().filter(|line| !line.read_only()) {
            for (dir, place) in &host.out_of_reach {
                if let Some(place) = place {
                    let seen = line.place().touches(place) && !excused(line, place, dir, promise, table);
                    shown.extend(seen.then(|| format!("{} at {}", dir.display(), line.point)));
                }
            }
        }
        draft.check(shown.is_empty(), || format!("{who}: shown for writing: {}", some(&shown)));
        let text = format!("shown for writing: {}", some(&shown));
        if who == "inside" { draft.inside(text) } else { draft.host(text) }
    }
    draft.done()
}

/// What may lie in a directory that is out of reach: the sandbox's own Codex home and git directory in the state
/// folder, and the default project, `workspace/` of this repository.
fn allowed(mount: &Mount, source: &str, dir: &str) -> bool {
    match rest(source, dir) {
        None | Some("") => false,
        Some(inner) => match mount.role {
            Role::CodexHome | Role::Git => true,
            Role::Workspace => within(&format!("/{inner}"), "/workspace"),
            _ => false,
        },
    }
}

/// Whether a directory below a mount's source is hidden inside by another mount, as the host's `.git` is.
fn covered(mount: &Mount, source: &str, dir: &str, table: &MountTable) -> bool {
    let target = clean(&mount.target);
    rest(dir, source).is_some_and(|inner| !inner.is_empty() && hidden(target, inner, table))
}

fn hidden(point: &str, inner: &str, table: &MountTable) -> bool {
    let path = format!("{}/{inner}", point.trim_end_matches('/'));
    table.covering(&path).is_some_and(|line| line.point != point && within(&line.point, point))
}

/// The same exceptions, by place.
fn excused(line: &MountLine, place: &DevicePath, dir: &Path, promise: &Spec, table: &MountTable) -> bool {
    let mount = promise.mounts.iter().find(|mount| clean(&mount.target) == line.point);
    let dir = dir.to_string_lossy();
    let inner = mount.is_some_and(|mount| allowed(mount, &mount.source.to_string_lossy(), &dir))
        && mount.is_some_and(|mount| allowed(mount, &line.root, &place.path));
    let over =
        rest(&place.path, &line.root).is_some_and(|inner| !inner.is_empty() && hidden(&line.point, inner, table));
    inner || over
}

fn airlock(git: &Mount, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let target = clean(&git.target);
    let mut draft = Draft::new("git.airlock", format!("`{target}` is the sandbox's own, not the host's git directory"));
    for (who, table) in tables(&mut draft, inside, host) {
        let line = table.at(target);
        draft.check(line.is_some(), || format!("{who}: nothing is mounted at `{target}`"));
        let real = host.real_git.as_ref().and_then(|(_, place)| place.as_ref());
        if let (Some(line), Some(real)) = (line, real) {
            draft.check(!line.place().touches(real), || format!("{who}: it is the host's own, {real}"));
        }
    }
    let seen = inside.target(&git.target).and_then(|seen| seen.stat.as_ref().ok());
    match (seen, &host.real_git) {
        (Some(seen), Some((real, _))) => {
            draft.inside(seen.id.to_string());
            draft.host(format!("the host's own is {real}"));
            draft.check(seen.id != *real, || format!("inside it is the host's own, {real}"));
        }
        (None, _) => draft.broken("inside it cannot be looked at"),
        (_, None) => draft.host("the host has none there"),
    }
    draft.done()
}

/// Kept here so that the path rule of the airlock has one home: where the host's own git directory lies.
pub(super) fn real_git_path(promise: &Spec) -> Option<std::path::PathBuf> {
    let find = |role: Role| promise.mounts.iter().find(|mount| mount.role == role);
    let (git, workspace) = (find(Role::Git)?, find(Role::Workspace)?);
    Some(workspace.source.join(below(&git.target, &workspace.target)?))
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
                Box::new(|promise, _, _| promise.out_of_reach.push("/ws".into())),
                Box::new(|promise, _, _| promise.out_of_reach.push("/ws/xtask".into())),
                Box::new(|promise, _, _| promise.out_of_reach.push("/".into())),
                // The Codex home may lie in the state folder; it may not be the folder itself.
                Box::new(|promise, _, _| promise.out_of_reach.push("/state/home".into())),
                on_tables("both", |line| line.point == "/workspace", |line| line.root = "/repo".into()),
                on_tables("inside", |line| line.point == "/workspace", |line| line.root = "/repo/xtask".into()),
                on_tables("host", |line| line.point == "/workspace", |line| line.root = "/".into()),
                add_line("900 80 254:0 /state /mnt rw - ext4 d rw", "both"),
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
        let (mut promise, inside, host) = good();
        promise.out_of_reach.push("/ws/.git".into());
        assert_eq!(out_of_reach(&promise, &inside, &host).why, None);
        let (mut without, mut blind) = (host.clone(), inside.clone());
        for table in [&mut blind.mounts, &mut without.process.as_mut().unwrap().mounts] {
            table.lines.retain(|line| line.point != "/workspace/.git");
        }
        assert!(out_of_reach(&promise, &blind, &without).why.is_some());
    }
}
