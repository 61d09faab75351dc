//! Claims about each data set beyond its mount: there is no other way to write to it, and it can be read.

use super::claim::{Draft, some};
use super::probe::{InsideWitness, LeadsOut, Linked, Sample};
use super::targets::{lines, named};
use super::witness::HostWitness;
use crate::file_systems;
use crate::finding::Finding;
use crate::mountinfo::{DevicePath, MountLine, MountTable};
use crate::spec::{Mount, Role, Spec};
use std::collections::BTreeSet;

pub(super) fn judge(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    let sets = named(spec).into_iter().filter(|(_, mount)| matches!(mount.role, Role::Dataset(_)));
    let claims = |(id, mount): (String, &Mount)| {
        [
            readable(&id, mount, inside, host),
            no_alias(&id, mount, spec, inside, host),
            hard_links(&id, mount, spec, inside),
            symlinks(&id, mount, spec, inside),
        ]
    };
    sets.flat_map(claims).collect()
}

fn sample<'a>(draft: &mut Draft, mount: &Mount, inside: &'a InsideWitness) -> Option<&'a Sample> {
    let sample = inside.target(&mount.target).and_then(|seen| seen.sample.as_ref());
    if sample.is_none() {
        draft.unseen("the probe took no sample of it");
    }
    sample
}

fn readable(id: &str, mount: &Mount, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new(format!("{id}.readable"), format!("the user can read `{}`", mount.target)).hint(
        format!("see `ls -l {}`: its files must be readable by you, and there must be some", mount.source.display()),
    );
    if let Some(sample) = sample(&mut draft, mount, inside) {
        draft.inside(format!("{} entries, {} of them files, {} read", sample.entries, sample.files, sample.read));
        if let Some((path, err)) = sample.errors.first() {
            draft.broken(format!("inside: `{path}` cannot be listed: {err}"));
        }
        draft.check(sample.entries > 0, || "inside it is empty".into());
        if let Some((path, err)) = sample.unreadable.first() {
            draft.broken(format!("inside: `{path}` cannot be read: {err}"));
        }
        let dangling = sample.symlinks.iter().filter(|link| !link.exists).count();
        draft.check(sample.read > 0 || dangling == 0, || {
            format!("inside: {dangling} symlinks lead to nothing, and no file was found")
        });
    }
    let filled = host.sources.get(&mount.target).is_some_and(|facts| facts.filled);
    draft.host(if filled { "not empty" } else { "empty, or not a directory" });
    draft.check(filled, || "on the host it is empty, or not a directory".into());
    draft.done()
}

/// No other writable mount shows the data set, a part of it or a directory around it. Both are named by device and path
/// in the file system, so it does not matter through which symlink or bind mount they were reached.
fn no_alias(id: &str, mount: &Mount, spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let target = &mount.target;
    let mut draft = Draft::new(
        format!("{id}.no-alias"),
        format!("no writable mount shows `{target}`, a part of it or a directory around it"),
    )
    .hint("keep the data set and every directory that the sandbox may write apart from each other");
    for (side, process) in draft.views(inside, host) {
        let data = lines(&process.mounts, mount, spec);
        let own: BTreeSet<u64> = data.iter().map(|line| line.id).collect();
        let open = process.mounts.lines.iter().filter(|line| !line.read_only() && !own.contains(&line.id));
        let open: Vec<(&str, Vec<DevicePath>)> =
            open.map(|line| (line.point.as_str(), places(line, &host.own_mounts))).collect();
        let mut aliases = BTreeSet::new();
        for part in &data {
            let places = places(part, &host.own_mounts);
            let shows = |others: &[DevicePath]| places.iter().any(|place| others.iter().any(|o| place.touches(o)));
            aliases.extend(open.iter().filter(|(_, others)| shows(others)).map(|(point, _)| *point));
        }
        draft.check(aliases.is_empty(), || format!("{side}: a writable mount shows it at {}", some(&aliases)));
        let (parts, others) = (data.len(), open.len());
        draft.saw(side, format!("{parts} mounts compared with {others} writable ones, aliases: {}", some(&aliases)));
    }
    served(&mut draft, mount, spec, inside);
    draft.done()
}

/// That nothing below what others serve can be written from here was seen before the start, as far as it can be (`sources`).
fn served(draft: &mut Draft, mount: &Mount, spec: &Spec, inside: &InsideWitness) {
    let lines = lines(&inside.process.mounts, mount, spec);
    let served = lines.iter().filter(|line| file_systems::kind(line).changes_elsewhere());
    draft.served(&mount.target, &served.map(|line| line.fstype.as_str()).collect());
}

/// Where what is written to a mount, or read from it, lies: its own place, and for an overlay those of its layers.
fn places(line: &MountLine, own: &MountTable) -> Vec<DevicePath> {
    let mut places = vec![line.place()];
    if line.fstype == "overlay" {
        let layers = ["upperdir", "lowerdir"].iter().filter_map(|name| line.super_option(name));
        let layers = layers.flat_map(|paths| paths.split(':')).filter(|path| path.starts_with('/'));
        places.extend(layers.filter_map(|path| own.place_of(path)).map(|place| place.join(&line.root)));
    }
    places
}

fn hard_links(id: &str, mount: &Mount, spec: &Spec, inside: &InsideWitness) -> Finding {
    let mut draft = Draft::new(
        format!("{id}.hard-links"),
        "no file of the data set has another name in a directory that can be written (a sample)",
    )
    .hint("a second name of the same file is a way to write to it: keep the data set on a file system of its own, or copy it");
    let Some(sample) = sample(&mut draft, mount, inside) else {
        return draft.done();
    };
    let elsewhere: Vec<&Linked> = sample.linked.iter().filter(|file| file.links > file.seen).collect();
    draft.inside(format!("{} files sampled, {} have a name elsewhere", sample.files, elsewhere.len()));
    let table = &inside.process.mounts;
    // A hard link never leaves its file system.
    let devices: BTreeSet<&str> = lines(table, mount, spec).iter().map(|line| line.device.as_str()).collect();
    // The container cannot make a link from one mount to another, and nobody else writes to a cache.
    let written = spec.mounts.iter().filter(|other| !other.read_only && !matches!(other.role, Role::Cache(_)));
    let shared = written.filter_map(|other| table.at(&other.target)).filter(|line| devices.contains(&*line.device));
    let shared: Vec<&str> = shared.map(|line| line.point.as_str()).collect();
    if let Some(Linked { path, links, .. }) = elsewhere.first() {
        draft.check(shared.is_empty(), || {
            format!("`{path}` has {links} names, and {} can be written on the same file system", some(&shared))
        });
    }
    served(&mut draft, mount, spec, inside);
    draft.done()
}

fn symlinks(id: &str, mount: &Mount, spec: &Spec, inside: &InsideWitness) -> Finding {
    let mut draft = Draft::new(
        format!("{id}.symlinks"),
        "no symlink of the data set leads to files that can be written (a sample)",
    )
    .hint("mount the directory in which the files really lie, or copy them in place of the symlinks");
    let Some(sample) = sample(&mut draft, mount, inside) else {
        return draft.done();
    };
    draft.inside(format!("{} entries sampled, {} symlinks lead out of it", sample.entries, sample.symlinks.len()));
    for LeadsOut { path, to, .. } in sample.symlinks.iter().filter(|link| link.exists) {
        let open = inside.process.mounts.covering(to).filter(|line| !line.read_only());
        let promised = open.is_some_and(|line| spec.mounts.iter().any(|mount| mount.target == line.point));
        draft.check(!promised, || format!("`{path}` leads to `{to}`, which can be written"));
    }
    served(&mut draft, mount, spec, inside);
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, add_line, breaks, good, on_tables};
    use super::super::judge;
    use super::MountLine;
    use crate::finding::Verdict;

    fn leads(to: &str, exists: bool) -> super::LeadsOut {
        super::LeadsOut { path: "/datasets/ssv2/a".into(), to: to.into(), exists }
    }

    fn linked(links: u64, seen: u64) -> super::Linked {
        super::Linked { path: "/datasets/ssv2/a".into(), links, seen }
    }

    fn sampled(change: fn(&mut super::Sample)) -> Case {
        Box::new(move |_, inside, _| change(inside.targets[1].sample.as_mut().unwrap()))
    }

    #[test]
    fn each_fact_about_a_data_set_breaks_its_claim() {
        breaks(
            "dataset.ssv2.readable",
            vec![
                sampled(|sample| sample.entries = 0),
                sampled(|sample| sample.errors.push(("/datasets/ssv2".into(), "EACCES".into()))),
                sampled(|sample| sample.unreadable.push(("/datasets/ssv2/a".into(), "EACCES".into()))),
                sampled(|sample| {
                    sample.read = 0;
                    sample.symlinks.push(leads("/gone", false));
                }),
                Box::new(|_, _, host| host.sources.get_mut("/datasets/ssv2").unwrap().filled = false),
            ],
        );
        breaks("dataset.ssv2.hard-links", vec![sampled(|sample| sample.linked.push(linked(2, 1)))]);
        breaks(
            "dataset.ssv2.symlinks",
            vec![sampled(|sample| {
                sample.symlinks.push(leads("/workspace/a", true));
            })],
        );
        breaks(
            "dataset.ssv2.no-alias",
            vec![
                // The same directory, one around it, one in it; below the workspace, and as its whole.
                add_line("900 99 254:0 /data /workspace/data rw - ext4 d rw", "both"),
                add_line("900 99 254:0 /data/clips /workspace/data rw - ext4 d rw", "inside"),
                add_line("900 99 254:0 / /workspace/data rw - ext4 d rw", "host"),
                on_tables("both", |line| line.point == "/workspace", |line| line.root = "/data".into()),
                // What is mounted below the data set is data, too.
                Box::new(|spec, inside, host| {
                    add_line("900 98 0:50 / /datasets/ssv2/sub ro - tmpfs t rw", "both")(spec, inside, host);
                    add_line("901 99 0:50 / /workspace/sub rw - tmpfs t rw", "both")(spec, inside, host);
                }),
                // An overlay whose upper directory lies in the data set.
                on_tables(
                    "both",
                    |line| line.fstype == "overlay",
                    |line| line.super_options = vec!["upperdir=/data/up".into()],
                ),
            ],
        );
    }

    #[test]
    fn links_without_a_writable_neighbour_are_only_told() {
        let (spec, mut inside, mut host) = good();
        let sample = inside.targets[1].sample.as_mut().unwrap();
        // A file all of whose names are in the sample has none elsewhere.
        sample.linked.extend([linked(2, 1), linked(2, 2)]);
        let tables = [&mut inside.process.mounts, &mut host.process.as_mut().unwrap().mounts];
        for table in tables {
            let line = table.lines.iter_mut().find(|line| line.point == "/datasets/ssv2").unwrap();
            line.device = "8:17".into();
        }
        let claims = judge(&spec, &inside, &host);
        let claim = claims.iter().find(|claim| claim.id == "dataset.ssv2.hard-links").unwrap();
        assert_eq!(claim.verdict, Verdict::Held);
        assert!(claim.evidence.inside.contains("1 have a name elsewhere"));
    }

    #[test]
    fn what_a_server_shows_is_a_sample_and_the_claims_say_so() {
        for fstype in ["nfs4", "cifs", "9p", "lustre", "fuse.sshfs", "fuse", "gfs2"] {
            let (mut spec, mut inside, mut host) = good();
            let change = |line: &mut MountLine, fstype: &str| line.fstype = fstype.into();
            let tables = [&mut inside.process.mounts, &mut host.process.as_mut().unwrap().mounts];
            for table in tables {
                change(table.lines.iter_mut().find(|line| line.point == "/datasets/ssv2").unwrap(), fstype);
            }
            let claims = judge(&spec, &inside, &host);
            for id in ["dataset.ssv2.no-alias", "dataset.ssv2.hard-links", "dataset.ssv2.symlinks"] {
                let claim = claims.iter().find(|claim| claim.id == id).unwrap();
                let why = format!("sampled: the server can change it (`/datasets/ssv2` is on `{fstype}`)");
                assert_eq!((claim.verdict, claim.why.as_deref()), (Verdict::Sampled, Some(&*why)), "{id}");
            }
            assert!(crate::finding::all_held(&claims), "{fstype}");
            // What is seen to be wrong counts all the same.
            add_line("900 99 254:0 /data /workspace/data rw - ext4 d rw", "both")(&mut spec, &mut inside, &mut host);
            let claims = judge(&spec, &inside, &host);
            let claim = claims.iter().find(|claim| claim.id == "dataset.ssv2.no-alias").unwrap();
            assert_eq!(claim.verdict, Verdict::Broken);
        }
    }

    #[test]
    fn what_a_link_leads_to_counts_where_it_can_be_written() {
        let (spec, mut inside, host) = good();
        let why = |inside: &super::InsideWitness, id: &str| {
            let claims = judge(&spec, inside, &host);
            claims.iter().find(|claim| claim.id == id).unwrap().why.clone()
        };
        inside.targets[1].sample.as_mut().unwrap().symlinks = vec![
            leads("/datasets/ssv2/b", true),
            leads("/opt/codex/a", true),
            leads("/etc/a", true),
            leads("/workspace/a", false),
        ];
        assert_eq!(why(&inside, "dataset.ssv2.symlinks"), None, "read-only, of the container's own, and gone");
        assert_eq!(why(&inside, "dataset.ssv2.readable"), None, "one that leads nowhere, among files that were read");
        // Links alone are no files, but nothing is broken where none of them is.
        let sample = inside.targets[1].sample.as_mut().unwrap();
        (sample.read, sample.symlinks) = (0, Vec::new());
        assert_eq!(why(&inside, "dataset.ssv2.readable"), None);
    }

    #[test]
    fn another_mount_of_it_that_cannot_be_written_is_no_alias() {
        let (mut spec, mut inside, mut host) = good();
        add_line("900 80 254:0 /data /mnt/data ro - ext4 d rw", "both")(&mut spec, &mut inside, &mut host);
        let claims = judge(&spec, &inside, &host);
        let claim = claims.iter().find(|claim| claim.id == "dataset.ssv2.no-alias").unwrap();
        assert_eq!(claim.why, None);
    }
}
