//! Mounts of which one could be used to write what another only shows: directories that lie in each other, and what lies
//! below a file system (see `backing`). Pure, but for the facts of what lies there.

use super::backing::{self, Look};
use super::facts::{self, KnownPaths, PathFacts, Unknown};
use super::ground::Grounds;
use super::{problem, served};
use crate::exposed::Exposed;
use crate::finding::{Finding, Verdict};
use crate::mountinfo::MountTable;
use crate::spec::Role;
use crate::spec::mount::{Mount, ids};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// What is compared: of the whole host, which is refused by itself, everything would be found.
fn known_part(facts: &Result<PathFacts, Unknown>) -> Option<&PathFacts> {
    facts.as_ref().ok().filter(|facts| !facts.is_whole_host())
}

/// Data sets that a writable mount would show, in either direction.
pub(super) fn overlaps(mounts: &[Mount], known: &KnownPaths) -> Vec<Finding> {
    let read = || mounts.iter().zip(&known.sources).filter_map(|(mount, facts)| Some((mount, known_part(facts)?)));
    let mut problems = Vec::new();
    for (data, facts) in read().filter(|(mount, _)| matches!(mount.role, Role::Dataset(_))) {
        for (open, others) in read().filter(|(mount, _)| !mount.read_only) {
            if let Some(how) = overlap(facts, others) {
                let what = format!(
                    "the data set `{}` could be written through `{}`, mounted writable at `{}`: {how}",
                    data.source.display(),
                    open.source.display(),
                    open.target
                );
                let hint = "keep the data and what the sandbox may write in directories apart from each other";
                problems.push(problem(&data.role.id(), data, what, hint));
            }
        }
    }
    problems
}

/// What lies below the file systems of what the sandbox may only read, and of what it must not reach, and could be written
/// through another mount, by this sandbox or another one.
pub(super) fn below(
    mounts: &[Mount],
    known: &KnownPaths,
    grounds: &Grounds,
    exposed: &Exposed,
    look: &Look,
) -> Vec<Finding> {
    let read = |path: &Path| facts::any(path, look.table);
    let own = mounts.iter().zip(&known.sources).zip(ids(mounts));
    let own: Vec<_> = own.filter_map(|((mount, facts), id)| Some((mount, known_part(facts)?, id))).collect();
    let open: Vec<_> = own.iter().filter(|(mount, ..)| !mount.read_only).collect();
    let under = |facts: &PathFacts| look.below(&facts.real.to_string_lossy());
    let mut problems = Vec::new();
    for (mount, facts, id) in own.iter().filter(|(mount, ..)| mount.read_only) {
        let backing = under(facts);
        let mut written = |through: &str, what: &dyn Display, how: &str| {
            let source = mount.source.display();
            let what = format!(
                "`{source}` could be written through {through}: below its file system lies `{what}`, and {how}"
            );
            problems.push(problem(id, mount, what, MOVE));
        };
        let at = |open: &Mount| format!("`{}`, mounted writable at `{}`", open.source.display(), open.target);
        for object in &backing.objects {
            let through = open.iter().find_map(|open| written_through(object, open.1, read).map(|how| (open, how)));
            if let Some(((open, ..), how)) = through {
                written(&at(open), &object.display(), &how);
            } else if let Some(ground) = is_data(mount).then(|| exposed.ground_around(object)).flatten() {
                let other = format!("`{}`, which a sandbox was given for writing", ground.display());
                written(&other, &object.display(), "it lies there");
            }
        }
        for (place, (open, facts, _)) in backing.far.iter().flat_map(|place| open.iter().map(move |open| (place, open)))
        {
            if under(facts).far.iter().any(|other| place.touches(other)) {
                written(&at(open), place, "both show the same place on that server");
            }
        }
        if is_data(mount) && !backing.unknown.is_empty() && !grounds.names(facts) {
            let whys: Vec<&str> = backing.unknown.iter().map(String::as_str).collect();
            let what = format!(
                "whether `{}` could be written below its file system is not provable: {}",
                mount.source.display(),
                whys.join("; ")
            );
            let finding = problem(id, mount, what, &hint(facts));
            problems.push(Finding { verdict: Verdict::NotProvable, ..finding });
        }
    }
    problems.extend(shown(&open, known, look, read));
    problems
}

/// Sources that a FUSE server keeps from the engine, which then could not mount them, or from the user inside.
pub(super) fn closed(mounts: &[Mount], known: &KnownPaths, uid: u32, table: &MountTable) -> Vec<Finding> {
    let own = mounts.iter().zip(&known.sources).zip(ids(mounts));
    let all = own.filter_map(|((mount, facts), id)| {
        let path = known_part(facts)?.real.to_string_lossy();
        let why = table.covering(&path).into_iter().find_map(|line| served::closed(line, uid))?;
        let hint =
            "mount it with `-o allow_other` (for a user who is not root, with `user_allow_other` in /etc/fuse.conf)";
        Some(problem(&id, mount, format!("`{}` cannot be mounted: {why}", mount.source.display()), hint))
    });
    all.collect()
}

const MOVE: &str = "move what lies below to a directory that no sandbox can write, or choose another workspace";

fn is_data(mount: &Mount) -> bool {
    matches!(mount.role, Role::Dataset(_))
}

/// What to do where nobody knows what a server shows.
fn hint(facts: &PathFacts) -> String {
    let path = facts.real.display();
    format!(
        "give a directory of a disk or of a file system of docs/data-sets.md; if you know that no sandbox can write what is behind \
         it, name it by `--allow-ground '{path}'`, or in `allow_ground` of sandbox.local.yaml"
    )
}

/// What this host lives on, and a writable mount shows. What is mounted within a writable mount is the sandbox's, also where
/// that lies in the repository.
fn shown(
    open: &[&(&Mount, &PathFacts, String)],
    known: &KnownPaths,
    look: &Look,
    read: impl Fn(&Path) -> Option<PathFacts> + Copy,
) -> Vec<Finding> {
    let mut problems = Vec::new();
    let apart: Vec<&Path> = open.iter().map(|(_, facts, _)| facts.real.as_path()).collect();
    let under = |facts: &PathFacts| look.below_apart(&facts.real.to_string_lossy(), &apart).objects;
    let kept = [&known.home, &known.repository].into_iter().flatten().flat_map(under);
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    let kept: BTreeSet<PathBuf> = kept.chain(backing::swap_files(&swaps)).collect();
    for (mount, facts, id) in open {
        for object in &kept {
            if let Some(how) = written_through(object, facts, read) {
                let what = format!(
                    "`{}` shows what this host lives on, `{}`: {how}",
                    mount.source.display(),
                    object.display()
                );
                problems.push(problem(id, mount, what, "choose another workspace"));
            }
        }
    }
    problems
}

/// How what lies below a directory could be written through another one.
pub(super) fn below_written(other: &PathFacts, open: &PathFacts, table: &MountTable) -> Option<String> {
    let look = Look::new(table);
    let backing = look.below(&other.real.to_string_lossy());
    let read = |path: &Path| facts::any(path, table);
    let how = |object: &PathBuf| {
        let how = written_through(object, open, read)?;
        Some(format!("below the file system of the first lies `{}`, and {how}", object.display()))
    };
    backing.objects.iter().find_map(how).or_else(|| {
        let others = look.below(&open.real.to_string_lossy()).far;
        let both = backing.far.iter().find(|place| others.iter().any(|other| place.touches(other)))?;
        Some(format!("both show `{both}`"))
    })
}

/// How something that lies below a file system could be written through a mount.
fn written_through(object: &Path, open: &PathFacts, read: impl Fn(&Path) -> Option<PathFacts>) -> Option<String> {
    let facts = read(object)?;
    // A second name of an image can lie anywhere in its file system.
    let linked = || facts.id.dev == open.id.dev && backing::has_another_name(object);
    overlap(&facts, open)
        .map(|how| how.replace("the data set", "it"))
        .or_else(|| linked().then(|| "it has a second name, which can lie there".to_owned()))
}

pub(super) fn overlap(data: &PathFacts, open: &PathFacts) -> Option<String> {
    if data.id == open.id {
        return Some("they are the same directory".into());
    }
    if open.shows(data) {
        return Some("the data set lies in it".into());
    }
    if data.shows(open) {
        return Some("it lies in the data set".into());
    }
    // A mount also shows what is mounted below its source.
    let both = data.places().find(|place| open.places().any(|other| place.touches(other)));
    both.map(|place| format!("both show {} of device {}", place.path, place.device))
}
