//! Claims about one mount: that it is the promised one, cut off from later mounts, and read-only where promised.

use super::mounts::{clean, lines, tables};
use super::{Draft, HostWitness, some};
use crate::finding::Finding;
use crate::proof::mountinfo::MountLine;
use crate::proof::probe::{InsideMount, InsideWitness};
use crate::spec::Spec;
use crate::spec::mount::Mount;

pub(super) fn source(id: &str, mount: &Mount, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let (target, source) = (clean(&mount.target), mount.source.display());
    let mut draft = Draft::new(format!("{id}.source"), format!("`{target}` is the host's `{source}`"))
        .hint("start it anew: `cargo xtask down`, then `cargo xtask sandbox`");
    let here = host.sources.get(&mount.target).map(|facts| &facts.id);
    let there = inside.target(&mount.target).map(|seen| seen.stat.as_ref().map(|there| &there.id));
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
    let places: Vec<_> =
        tables(&mut draft, inside, host).into_iter().map(|(_, table)| table.at(target).map(MountLine::place)).collect();
    draft.check(places.iter().all(|place| place.is_some() && place == &places[0]), || {
        "the witnesses do not see the same mount there".into()
    });
    if let Some(Some(place)) = places.first() {
        draft.inside(format!("mounted from {place}"));
    }
    if let Some(place) = host.sources.get(&mount.target).and_then(|facts| facts.place.as_ref()) {
        draft.host(format!("lies at {place}"));
    }
    draft.done()
}

pub(super) fn private(id: &str, mount: &Mount, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let target = clean(&mount.target);
    let mut draft =
        Draft::new(format!("{id}.private"), format!("nothing that is mounted later on the host appears in `{target}`"));
    for (who, table) in tables(&mut draft, inside, host) {
        let below = table.below(target).into_iter().chain(table.at(target));
        let tied: Vec<String> = below
            .filter(|line| line.propagates())
            .map(|line| format!("{} ({})", line.point, line.tags.join(" ")))
            .collect();
        draft.check(tied.is_empty(), || format!("{who}: mounts propagate at {}", some(&tied)));
        let text = format!("mounts that propagate: {}", some(&tied));
        if who == "inside" { draft.inside(text) } else { draft.host(text) }
    }
    for seen in host.container.mounts.iter().flatten().filter(|seen| clean(&seen.target) == target) {
        if let Some(mode) = draft.told("how its mounts propagate", seen.propagation.as_deref()) {
            draft
                .check(matches!(mode, "rprivate" | "private" | ""), || format!("the engine's propagation is `{mode}`"));
        }
    }
    draft.done()
}

pub(super) fn read_only(
    id: &str,
    mount: &Mount,
    promise: &Spec,
    inside: &InsideWitness,
    host: &HostWitness,
) -> Finding {
    let target = clean(&mount.target);
    let mut draft = Draft::new(
        format!("{id}.read-only"),
        format!("`{target}` and all that is mounted below it refuse every write"),
    )
    .hint("the engine or its client may be too old for recursive read-only mounts (Docker 25, API 1.44, kernel 5.12)");
    for (who, table) in tables(&mut draft, inside, host) {
        let lines = lines(table, mount, promise);
        draft.check(!lines.is_empty(), || format!("{who}: nothing is mounted there"));
        let open: Vec<&str> = lines.iter().filter(|line| !line.read_only()).map(|line| line.point.as_str()).collect();
        draft.check(open.is_empty(), || format!("{who}: mounted for writing: {}", some(&open)));
        let text = format!("{} mounts with `ro`, for writing: {}", lines.len() - open.len(), some(&open));
        if who == "inside" { draft.inside(text) } else { draft.host(text) }
    }
    let Some(seen) = inside.target(&mount.target) else {
        draft.broken("the probe did not try to write there");
        return draft.done();
    };
    let other = |path: &str| promise.mounts.iter().any(|other| clean(&other.target) == path && other != mount);
    let submounts: Vec<&InsideMount> = seen.submounts.iter().filter(|sub| !other(&sub.path)).collect();
    for place in std::iter::once(seen).chain(submounts.iter().copied()) {
        attempts(&mut draft, place);
    }
    let known = lines(&inside.mounts, mount, promise).len();
    if known > submounts.len() + 1 {
        draft.unseen(format!("writing was tried at {} of {known} mounts", submounts.len() + 1));
    }
    draft.done()
}

/// What the probe's attempts say of one place. Only `EROFS` says that the mount refuses: a permission that is missing
/// today proves nothing.
fn attempts(draft: &mut Draft, place: &InsideMount) {
    let (create, touch) =
        (place.create.as_deref().unwrap_or("not tried"), place.touch.as_deref().unwrap_or("not tried"));
    draft.inside(format!("{}: new file {create}, times {touch}", place.path));
    let written = create.starts_with("written") || touch.starts_with("written");
    draft.check(!written, || format!("inside: `{}` was written (new file: {create}, times: {touch})", place.path));
    draft.check(place.st_rdonly != Some(false), || format!("inside: statvfs of `{}` lacks ST_RDONLY", place.path));
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

pub(super) fn writable(id: &str, mount: &Mount, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let target = clean(&mount.target);
    let mut draft = Draft::new(format!("{id}.writable"), format!("the user can write to `{target}`"))
        .hint(format!("it must belong to you on the host: `{}`", mount.source.display()));
    for (who, table) in tables(&mut draft, inside, host) {
        draft.check(table.at(target).is_some_and(|line| !line.read_only()), || {
            format!("{who}: it is not mounted for writing")
        });
    }
    let access = inside.target(&mount.target).is_some_and(|seen| seen.access);
    draft.inside(format!("access {access}"));
    draft.check(access, || "inside: its permissions do not let the user write".into());
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{add_line, breaks, good, mounted, on_tables};
    use super::super::judge;
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn each_fact_about_a_mount_breaks_its_claim() {
        breaks(
            "dataset.ssv2.source",
            vec![
                Box::new(|_, inside, _| inside.targets[1].stat.as_mut().unwrap().id.ino += 1),
                Box::new(|_, inside, _| inside.targets[1].stat = Err("ENOENT".into())),
                on_tables("host", |line| line.point == "/datasets/ssv2", |line| line.root = "/other".into()),
            ],
        );
        breaks(
            "dataset.ssv2.private",
            vec![
                on_tables("both", |line| line.point == "/datasets/ssv2", |line| line.tags = vec!["master:3".into()]),
                on_tables("host", |line| line.point == "/datasets/ssv2", |line| line.tags = vec!["shared:3".into()]),
                mounted("/datasets/ssv2", |seen| seen.propagation = Some("rslave".into())),
            ],
        );
        breaks(
            "dataset.ssv2.read-only",
            vec![
                on_tables("inside", |line| line.point == "/datasets/ssv2", |line| line.options = vec!["rw".into()]),
                on_tables("host", |line| line.point == "/datasets/ssv2", |line| line.options = vec!["rw".into()]),
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
                on_tables("both", |line| line.point == "/home/codex/.codex", |line| line.options = vec!["ro".into()]),
            ],
        );
    }

    #[test]
    fn a_permission_that_is_missing_proves_nothing() {
        let (promise, mut inside, host) = good();
        inside.targets[1].create = Some("EACCES".into());
        let verdict = |inside: &InsideWitness| {
            let claims = judge(&promise, inside, &host);
            claims.iter().find(|claim| claim.id == "dataset.ssv2.read-only").unwrap().verdict
        };
        assert_eq!(verdict(&inside), Verdict::Held, "the times were refused by the mount");
        inside.targets[1].touch = Some("EPERM".into());
        assert_eq!(verdict(&inside), Verdict::NotProvable);
    }
}
