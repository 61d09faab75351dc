//! The wanted mounts, and their lines in a mount table. Pure.

use crate::mountinfo::{MountLine, MountTable, within};
use crate::spec::Spec;
use crate::spec::mount::{Mount, ids};

/// The mounts, each with the first part of its claims' ids.
pub(super) fn named(spec: &Spec) -> Vec<(String, &Mount)> {
    ids(&spec.mounts).into_iter().zip(&spec.mounts).collect()
}

/// The line of a mount, and of everything below it that does not belong to another wanted mount.
pub(super) fn lines<'a>(table: &'a MountTable, mount: &Mount, spec: &Spec) -> Vec<&'a MountLine> {
    let target = &mount.target;
    let targets: Vec<&str> = spec.mounts.iter().map(|other| other.target.as_str()).collect();
    let of_another = |line: &MountLine| {
        targets.iter().any(|other| other != target && within(other, target) && within(&line.point, other))
    };
    table.at(target).into_iter().chain(table.below(target).into_iter().filter(|line| !of_another(line))).collect()
}
