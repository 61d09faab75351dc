//! Claims about one mount: that it is the promised one, that later mounts do not reach it, and that it can be written or
//! not, as promised.

use super::claim::{Draft, RECREATE, some};
use super::probe::{InsideMount, InsideWitness};
use super::targets::lines;
use super::witness::HostWitness;
use crate::beneath::FileId;
use crate::finding::Finding;
use crate::mountinfo::MountLine;
use crate::spec::{Mount, Spec};

/// The mounted object is compared with the one that was checked before the container started, not with what its path leads
/// to now: whoever can write a directory on the way can put something else there.
pub(super) fn source(id: &str, mount: &Mount, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let (target, source) = (&mount.target, mount.source.display());
    let mut draft = Draft::new(format!("{id}.source"), format!("`{target}` is the host's `{source}`")).hint(RECREATE);
    let recorded = host.recorded.get(target);
    match recorded {
        Some(recorded) => draft.host(format!("checked before the start: {recorded}")),
        None => draft.unseen("the record does not say what was checked before the start"),
    }
    let same = |draft: &mut Draft, seen: FileId, where_: &str| {
        draft.check(recorded.is_none_or(|recorded| *recorded == seen), || {
            let recorded = recorded.map(ToString::to_string).unwrap_or_default();
            format!("{where_} it is {seen}, and `{source}` was {recorded} when it was checked")
        });
    };
    match inside.target(target).map(|seen| seen.stat.as_ref()) {
        Some(Ok(there)) => {
            draft.inside(there.id.to_string());
            same(&mut draft, there.id, "inside");
        }
        Some(Err(err)) => draft.broken(format!("inside it cannot be read: {err}")),
        None => draft.broken("a witness has no report on it"),
    }
    match host.mounted.get(target) {
        Some(Ok(there)) => {
            draft.host(format!("mounted: {there}"));
            same(&mut draft, *there, "seen from the host");
        }
        Some(Err(why)) => draft.unseen(why),
        None => draft.unseen("the host did not look at it"),
    }
    let facts = host.sources.get(target);
    match facts.map(|facts| &facts.id) {
        Some(Ok(now)) => {
            draft.host(format!("at its path now: {now}"));
            let as_it_was = recorded.is_none_or(|recorded| recorded == now);
            draft.check(as_it_was, || format!("`{source}` was replaced on the host since the start: it is {now} now"));
        }
        Some(Err(err)) => draft.broken(format!("the host cannot read it: {err}")),
        None => draft.broken("a witness has no report on it"),
    }
    let views = draft.views(inside, host);
    let places: Vec<_> = views.iter().map(|(_, process)| process.mounts.at(target).map(MountLine::place)).collect();
    draft.check(places.iter().all(|place| place.is_some() && place == &places[0]), || {
        "the witnesses do not see the same mount there".into()
    });
    if let Some(Some(place)) = places.first() {
        draft.inside(format!("mounted from {place}"));
    }
    if let Some(place) = facts.and_then(|facts| facts.place.as_ref()) {
        draft.host(format!("lies at {place}"));
    }
    draft.done()
}

pub(super) fn private(id: &str, mount: &Mount, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let target = &mount.target;
    let mut draft =
        Draft::new(format!("{id}.private"), format!("nothing that is mounted later on the host appears in `{target}`"));
    for (side, process) in draft.views(inside, host) {
        let below = process.mounts.below(target).into_iter().chain(process.mounts.at(target));
        let tied = below.filter(|line| line.propagates());
        let tied: Vec<String> = tied.map(|line| format!("{} ({})", line.point, line.tags.join(" "))).collect();
        draft.check(tied.is_empty(), || format!("{side}: mounts propagate at {}", some(&tied)));
        draft.saw(side, format!("mounts that propagate: {}", some(&tied)));
    }
    if let Some(seen) = host.mounted_at(target)
        && let Some(mode) = draft.told("how its mounts propagate", seen.propagation.as_deref())
    {
        let own = matches!(mode, "rprivate" | "private" | "");
        draft.check(own, || format!("the engine's propagation is `{mode}`"));
    }
    draft.done()
}

pub(super) fn read_only(id: &str, mount: &Mount, spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let target = &mount.target;
    let mut draft = Draft::new(
        format!("{id}.read-only"),
        format!("`{target}` and all that is mounted below it refuse every write"),
    )
    .hint("the engine or its client may be too old for recursive read-only mounts (Docker 25, API 1.44, kernel 5.12)");
    for (side, process) in draft.views(inside, host) {
        let lines = lines(&process.mounts, mount, spec);
        draft.check(!lines.is_empty(), || format!("{side}: nothing is mounted there"));
        let open: Vec<&str> = lines.iter().filter(|line| !line.read_only()).map(|line| line.point.as_str()).collect();
        draft.check(open.is_empty(), || format!("{side}: mounted writable: {}", some(&open)));
        draft.saw(side, format!("{} mounts with `ro`, writable: {}", lines.len() - open.len(), some(&open)));
    }
    if let Some(why) = host.sources.get(target).and_then(|source| source.second_name.as_ref()) {
        draft.broken(format!("host: {why}"));
    }
    let Some(seen) = inside.target(target) else {
        draft.broken("the probe did not try to write there");
        return draft.done();
    };
    let other = |path: &str| spec.mounts.iter().any(|other| other.target == path && other != mount);
    let tried: Vec<&InsideMount> =
        std::iter::once(seen).chain(seen.submounts.iter().filter(|sub| !other(&sub.path))).collect();
    tried.iter().for_each(|place| attempts(&mut draft, place));
    let known = lines(&inside.process.mounts, mount, spec).len();
    if known > tried.len() {
        draft.unseen(format!("writing was tried at {} of {known} mounts", tried.len()));
    }
    draft.done()
}

/// What the probe's attempts say of one place. Only `EROFS` shows that the mount refuses the write: a permission that
/// is missing today proves nothing.
fn attempts(draft: &mut Draft, place: &InsideMount) {
    let [create, touch] = [&place.create, &place.touch].map(|tried| tried.as_deref().unwrap_or("not tried"));
    let path = &place.path;
    draft.inside(format!("{path}: new file {create}, times {touch}"));
    let written = create.starts_with("written") || touch.starts_with("written");
    draft.check(!written, || format!("inside: `{path}` was written (new file: {create}, times: {touch})"));
    draft.check(place.st_rdonly != Some(false), || format!("inside: statvfs of `{path}` lacks ST_RDONLY"));
    if place.st_rdonly.is_none() {
        draft.unseen(format!("statvfs of `{path}` did not answer"));
    }
    if !written && create != "EROFS" && touch != "EROFS" {
        draft.unseen(format!("writing to `{path}` gave {create} and {touch}, which does not show a read-only mount"));
    }
}

pub(super) fn writable(id: &str, mount: &Mount, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let target = &mount.target;
    let mut draft = Draft::new(format!("{id}.writable"), format!("the user can write to `{target}`"))
        .hint(format!("it must belong to you on the host: `{}`", mount.source.display()));
    for (side, process) in draft.views(inside, host) {
        let open = process.mounts.at(target).is_some_and(|line| !line.read_only());
        draft.check(open, || format!("{side}: it is not mounted writable"));
    }
    let access = inside.target(target).is_some_and(|seen| seen.access);
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

    const DATA: &str = "/datasets/ssv2";
    const OTHER: FileId = FileId { dev: 9, ino: 9 };

    #[test]
    fn what_was_not_recorded_or_cannot_be_seen_is_not_proven() {
        let (spec, inside, good) = good();
        let verdict = |host: &HostWitness| {
            let claims = judge(&spec, &inside, host);
            claims.iter().find(|claim| claim.id == "dataset.ssv2.source").unwrap().verdict
        };
        assert_eq!(verdict(&good), Verdict::Held);
        let mut host = good.clone();
        host.recorded.remove(DATA);
        assert_eq!(verdict(&host), Verdict::NotProvable);
        host = good;
        host.mounted.insert(DATA.into(), Err("the host cannot look into the container".into()));
        assert_eq!(verdict(&host), Verdict::NotProvable);
    }

    #[test]
    fn each_fact_about_a_mount_breaks_its_claim() {
        breaks(
            "dataset.ssv2.source",
            vec![
                Box::new(|_, inside, _| inside.targets[1].stat.as_mut().unwrap().id.ino += 1),
                Box::new(|_, inside, _| inside.targets[1].stat = Err("ENOENT".into())),
                // The mounted object, the recorded one, and what lies at the path now: each alone.
                Box::new(|_, _, host| _ = host.mounted.insert(DATA.into(), Ok(OTHER))),
                Box::new(|_, _, host| _ = host.recorded.insert(DATA.into(), OTHER)),
                Box::new(|_, _, host| host.sources.get_mut(DATA).unwrap().id = Ok(OTHER)),
                // What the agent exchanged before the mount is the same by both eyes of today.
                Box::new(|_, inside, host| {
                    inside.targets[1].stat.as_mut().unwrap().id = OTHER;
                    host.mounted.insert(DATA.into(), Ok(OTHER));
                    host.sources.get_mut(DATA).unwrap().id = Ok(OTHER);
                }),
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
                Box::new(|_, _, host| host.sources.get_mut(DATA).unwrap().second_name = Some("2 names".into())),
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
        let (spec, mut inside, host) = good();
        inside.targets[1].create = Some("EACCES".into());
        let verdict = |inside: &InsideWitness| {
            let claims = judge(&spec, inside, &host);
            claims.iter().find(|claim| claim.id == "dataset.ssv2.read-only").unwrap().verdict
        };
        assert_eq!(verdict(&inside), Verdict::Held, "the times were refused by the mount");
        (inside.targets[1].create, inside.targets[1].touch) = (Some("EROFS".into()), Some("EPERM".into()));
        assert_eq!(verdict(&inside), Verdict::Held, "the new file was refused by the mount");
        inside.targets[1].create = Some("EACCES".into());
        inside.targets[1].touch = Some("EPERM".into());
        assert_eq!(verdict(&inside), Verdict::NotProvable);
    }
    #[test]
    fn what_is_mounted_below_is_tried_too_unless_it_is_promised_by_itself() {
        const SUB: &str = "/datasets/ssv2/sub";
        let (mut spec, mut inside, mut host) = good();
        let below = InsideMount { path: SUB.into(), ..inside.targets[1].clone() };
        let verdict = |spec: &Spec, inside: &InsideWitness, host: &HostWitness| {
            read_only("d", &spec.mounts[1], spec, inside, host).verdict
        };
        inside.targets[1].submounts = vec![below.clone()];
        assert_eq!(verdict(&spec, &inside, &host), Verdict::Held, "the probe sees a mount that is gone by now");
        add_line("900 98 0:50 / /datasets/ssv2/sub ro - tmpfs tmpfs rw", "both")(&mut spec, &mut inside, &mut host);
        assert_eq!(verdict(&spec, &inside, &host), Verdict::Held);
        inside.targets[1].submounts = Vec::new();
        assert_eq!(verdict(&spec, &inside, &host), Verdict::NotProvable, "writing was not tried there");
        inside.targets[1].submounts = vec![InsideMount { create: Some("written".into()), ..below }];
        assert_eq!(verdict(&spec, &inside, &host), Verdict::Broken);
        let own = Mount { target: SUB.into(), read_only: false, ..spec.mounts[0].clone() };
        spec.mounts.push(own);
        assert_eq!(verdict(&spec, &inside, &host), Verdict::Held, "it has claims of its own");
    }
}
