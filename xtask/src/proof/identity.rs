//! Claims about the container itself and its user.

use super::ask::Alone;
use super::claim::{Draft, RECREATE};
use super::confinement::same;
use super::init::APART;
use super::probe::{InsideWitness, field};
use super::witness::HostWitness;
use crate::finding::Finding;
use crate::spec::Spec;
use crate::spec::inside::HOME;
use std::collections::BTreeSet;

/// The name of the container's user, unless that is root.
const USER: &str = "codex";

pub(super) fn judge(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    vec![container(spec, inside, host), user(spec, inside, host), init(spec, inside, host), witness(spec, inside, host)]
}

fn numbers(text: Option<&str>) -> Vec<u64> {
    text.unwrap_or_default().split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn container(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let config = &host.container.config;
    let (image, image_id) = (config.image.as_str(), host.container.image_id.as_str());
    let mut draft = Draft::new(
        "container.identity",
        format!("both witnesses see the same running container of the image `{}`", spec.image),
    )
    .hint(RECREATE);
    draft.inside(format!("host name {}, nonce {} repeated", inside.hostname, inside.nonce));
    draft.host(format!("container {}, image {image} ({image_id})", host.id()));
    draft.check(host.container.state.running, || "the container does not run".into());
    if let Some(hostname) = draft.told("which host name it has", config.hostname.as_ref()) {
        draft.check(*hostname == inside.hostname, || {
            format!("the host name inside is `{}`, the engine says `{hostname}`", inside.hostname)
        });
    }
    draft.check(image == spec.image, || format!("it was made from the image `{image}`"));
    draft.check(spec.image_id.as_deref().is_none_or(|id| id == image_id), || {
        format!("it was made from another build of `{image}`: {image_id}")
    });
    if let Some(process) = draft.process(host) {
        draft.check(same(process.namespaces.get("mnt"), inside.process.namespaces.get("mnt")), || {
            "the probe does not run beside the container's main process".into()
        });
    }
    draft.done()
}

fn user(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let (uid, gid) = (u64::from(spec.uid), u64::from(spec.gid));
    let wanted: BTreeSet<u64> = spec.groups.iter().map(|gid| u64::from(*gid)).filter(|group| *group != gid).collect();
    let witness = u64::from(host.group);
    let others = |groups: &[u64]| groups.iter().copied().filter(|group| *group != gid).collect::<BTreeSet<u64>>();
    let init = |name| numbers(inside.init.status.as_deref().and_then(|status| field(status, name)));
    let mut draft = Draft::new("user.identity", format!("everything runs as {uid}:{gid}, with the home {HOME}"))
        .hint("the image belongs to another user: `cargo xtask image`");
    let name = inside.passwd.as_ref().map_or("no name", |entry| &entry.name);
    draft.inside(format!("uid {} ({name}), groups {:?}, the init's gid {:?}", inside.uid, inside.groups, init("Gid")));
    draft.host(format!("started as user `{}`", host.container.config.user));
    // The witness has the user and the groups of everything inside; only its own first group is another.
    let of_witness: BTreeSet<u64> = others(&inside.groups).into_iter().filter(|group| *group != witness).collect();
    draft.check(inside.uid == uid, || format!("inside the user is {}", inside.uid));
    draft.check(init("Uid") == [uid; 4] && init("Gid") == [gid; 4], || {
        format!("inside the main process is uid {:?}, gid {:?}", init("Uid"), init("Gid"))
    });
    draft.check(of_witness == wanted && inside.groups.contains(&gid), || {
        format!("the groups inside are {:?}, promised were {wanted:?}", inside.groups)
    });
    draft.check(uid == 0 || name == USER, || format!("the user's name inside is `{name}`"));
    draft.check(inside.home.access && inside.home.stat.as_ref().is_ok_and(|home| home.owner == uid), || {
        format!("{HOME} does not belong to the user, or the user cannot write there")
    });
    if let Some(process) = draft.process(host) {
        let [uids, gids, groups] = ["Uid", "Gid", "Groups"].map(|name| numbers(process.status(name)));
        draft.host(format!("/proc: uid {uids:?}, gid {gids:?}, groups {groups:?}"));
        // An engine that maps user ids shows others here; which user they are on the host is shown by the owner of the
        // workspace's file.
        if same(process.namespaces.get("user"), host.own_namespaces.get("user")) {
            // Real, effective, saved and file system id.
            draft.check(uids == [uid; 4] && gids == [gid; 4], || {
                format!("the host sees the main process as uid {uids:?}, gid {gids:?}")
            });
            draft.check(others(&groups) == wanted, || {
                format!("the host sees the main process in the groups {groups:?}, promised were {wanted:?}")
            });
        }
    }
    draft.done()
}

/// The init runs as everything inside does, and stays when all else has ended. So nothing of an agent's may live on in it.
/// The name that it gave itself tells that it is out of reach: no other process can change it, and nothing else ran inside
/// when it did. Where the user is not root, the kernel's own answers are seen too: whose its memory is, and that the same
/// user is refused on the host.
fn init(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft =
        Draft::new("init.apart", "no program inside can trace, read or change the container's init").hint(RECREATE);
    let named = |draft: &mut Draft, name: &str, who| {
        draft.check(name == APART, || format!("{who} the init is called `{name}`, not `{APART}`"));
    };
    named(&mut draft, &inside.init.name, "inside");
    match &inside.init.owner {
        Ok(stat) => {
            draft.inside(format!("named `{}`, its memory is of user {}", inside.init.name, stat.owner));
            draft.check(stat.owner == 0, || format!("inside the memory of the init is of user {}", stat.owner));
        }
        Err(err) => draft.broken(format!("inside nobody's memory of the init is seen: {err}")),
    }
    if draft.process(host).is_some() {
        match &host.init {
            Some(init) => {
                named(&mut draft, &init.name, "seen from the host");
                let may = if init.readable { "may" } else { "may not" };
                draft.host(format!("named `{}`, this user {may} look into it", init.name));
                draft.check(spec.uid == 0 || !init.readable, || "its own user can look into it on the host".into());
            }
            None => draft.unseen("the host did not look at it"),
        }
    }
    draft.done()
}

/// What makes the answer of the inside witness its own: the kernel lets no process look into it that has not its user and
/// its group, and nothing else has that group.
fn witness(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let gid = u64::from(host.group);
    let mut draft = Draft::new("witness.apart", "no program inside can trace, read or change the inside witness")
        .hint("end what runs inside: `cargo xtask down`");
    let gids = numbers(inside.process.status("Gid"));
    draft.inside(format!("gid {gids:?}, dumpable {:?}", inside.dumpable));
    draft.check(gids == [gid; 4], || format!("the inside witness runs with the gid {gids:?}, not {gid}"));
    draft.check(host.group != spec.gid && !spec.groups.contains(&host.group), || {
        format!("the agent is in the witness's group {gid}")
    });
    draft.check(inside.dumpable == Some(0), || "what the inside witness starts can read its memory".into());
    if let Some(process) = draft.process(host) {
        let groups = [process.status("Gid"), process.status("Groups")].map(numbers).concat();
        draft.check(!groups.contains(&gid), || format!("the main process is in the witness's group {gid}"));
    }
    match &host.alone {
        Alone::First => draft.host("no other program had run inside"),
        Alone::Seen => draft.host(format!("nothing else was in the group {gid}, before and after")),
        Alone::Not(why) => draft.broken(why),
        Alone::Unseen(why) => draft.unseen(why),
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{breaks, good, proc, status, with};
    use super::*;
    use crate::proof::probe::Passwd;

    #[test]
    fn each_fact_about_the_user_and_the_container_breaks_its_claim() {
        breaks(
            "container.identity",
            vec![
                Box::new(|_, inside, _| inside.hostname = "other".into()),
                Box::new(|_, _, host| host.container.state.running = false),
                Box::new(|_, _, host| host.container.image_id = "sha256:other".into()),
                Box::new(|spec, _, _| spec.image = "other:tag".into()),
            ],
        );
        breaks(
            "user.identity",
            vec![
                Box::new(|_, inside, _| inside.uid = 0),
                Box::new(|_, inside, _| inside.init.status = None),
                Box::new(|_, inside, _| {
                    inside.init.status = Some(with(inside.init.status.as_ref().unwrap(), "Gid", "0\t0\t0\t0"))
                }),
                Box::new(|_, inside, _| inside.groups.push(999)),
                Box::new(|_, inside, _| inside.groups.retain(|group| *group != 1000)),
                Box::new(|spec, _, _| spec.groups.push(44)),
                Box::new(|_, inside, _| inside.passwd = None),
                Box::new(|_, inside, _| inside.home.access = false),
                proc("Uid", "0\t0\t0\t0"),
                proc("Uid", "1000\t0\t1000\t1000"),
                proc("Groups", "1000 999"),
            ],
        );
        breaks(
            "init.apart",
            vec![
                Box::new(|_, inside, _| inside.init.name = "sandbox-open".into()),
                Box::new(|_, inside, _| inside.init.owner.as_mut().unwrap().owner = 1000),
                Box::new(|_, inside, _| inside.init.owner = Err("EACCES".into())),
                Box::new(|_, _, host| host.init.as_mut().unwrap().name = "sleep".into()),
                Box::new(|_, _, host| host.init.as_mut().unwrap().readable = true),
            ],
        );
        breaks(
            "witness.apart",
            vec![
                status("Gid", "1000\t1000\t1000\t1000"),
                status("Gid", "2147483000\t2147483000\t1000\t2147483000"),
                Box::new(|_, inside, _| inside.dumpable = None),
                Box::new(|_, inside, _| inside.dumpable = Some(1)),
                Box::new(|spec, _, _| spec.groups.push(2_147_483_000)),
                Box::new(|_, _, host| host.group = 2_147_483_001),
                Box::new(|_, _, host| host.alone = Alone::Not("process 7".into())),
                proc("Groups", "1000 2147483000"),
            ],
        );
    }

    #[test]
    fn root_of_the_host_keeps_its_name_inside() {
        let (mut spec, mut inside, mut host) = good();
        (spec.uid, inside.uid) = (0, 0);
        inside.home.stat.as_mut().unwrap().owner = 0;
        inside.passwd = Some(Passwd { name: "root".into() });
        inside.init.status = inside.init.status.map(|status| with(&status, "Uid", "0\t0\t0\t0"));
        let process = host.process.as_mut().unwrap();
        process.status = with(&process.status, "Uid", "0\t0\t0\t0");
        assert_eq!(user(&spec, &inside, &host).why, None);
    }
}
