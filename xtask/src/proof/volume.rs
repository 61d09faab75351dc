//! The claim about a cache: that it is the user's own volume of the engine, and nothing else of the host.

use super::claim::{Draft, some};
use super::probe::InsideWitness;
use super::witness::HostWitness;
use crate::engine::caches;
use crate::finding::Finding;
use crate::mountinfo::MountLine;
use crate::spec::words::Cache;
use crate::spec::{Mount, Spec};

/// A volume can be told to be a mount of any directory of the host (the local driver's options), and a volume of that
/// name may have been created by somebody else before. So the kernel's tables must place it in the engine's own directory
/// of volumes, and nothing may be mounted there or below. What root mounts in that directory later propagates into the
/// volume, and the engine offers no option against it: so there is no claim `private`, and each entry checks again that
/// there is no such mount.
pub(super) fn source(
    id: &str,
    cache: Cache,
    mount: &Mount,
    spec: &Spec,
    inside: &InsideWitness,
    host: &HostWitness,
) -> Finding {
    let (target, source) = (&mount.target, mount.source.to_string_lossy());
    let volume = mount.volume().unwrap_or_default();
    let mut draft = Draft::new(
        format!("{id}.source"),
        format!("`{target}` is the engine's volume `{volume}`, the user's own, shared as the settings say, and nothing is mounted in it"),
    )
    .hint(format!(
        "see `docker volume inspect {volume}`; `cargo xtask down --caches` removes it, and the next start creates it again"
    ));
    draft.check(caches::is_kept_apart(volume, cache, spec), || {
        format!("`{volume}` is not the cache of sandboxes with these settings (network, secrets that go in, `cache_sharing`)")
    });
    match host.mounted_at(target) {
        Some(seen) => draft.check(seen.name == volume && seen.driver == "local", || {
            format!("the engine has the volume `{}` of the driver `{}` there", seen.name, seen.driver)
        }),
        None => draft.broken("the engine has no mount there"),
    }
    match inside.target(target) {
        Some(seen) => {
            let owner = seen.stat.as_ref().ok().map(|there| there.owner);
            draft.inside(owner.map_or("no owner".into(), |owner| format!("owner {owner}")));
            draft.check(owner == Some(u64::from(spec.uid)), || "inside: it does not belong to the user".into());
        }
        None => draft.broken("the probe has no report on it"),
    }
    let own = host.sources.get(target).and_then(|facts| facts.place.as_ref());
    let lies = own.map_or("nowhere that the host sees".to_owned(), ToString::to_string);
    for (side, process) in draft.views(inside, host) {
        let seen = process.mounts.at(target).map(MountLine::place);
        draft.check(seen.is_some() && seen.as_ref() == own, || {
            let seen = seen.as_ref().map_or("nothing".to_owned(), ToString::to_string);
            format!("{side}: {seen} is mounted there, and the volume lies at {lies}")
        });
        let below: Vec<&str> = process.mounts.below(target).iter().map(|line| line.point.as_str()).collect();
        draft.check(below.is_empty(), || format!("{side}: something else is mounted at {}", some(&below)));
    }
    draft.host(format!("lies at {lies}"));
    draft.check(host.own_mounts.at(&source).is_none(), || {
        format!("on the host, `{source}` is itself a mount of something else")
    });
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{add_line, breaks, broken_ids, good, mounted, on_tables};
    use super::*;
    use crate::mountinfo::MountTable;
    use crate::proof::probe::Linked;
    use crate::spec::words::{CacheSharing, Handed, Network};

    const TARGET: &str = "/home/codex/.cache/pip";

    #[test]
    fn each_fact_about_a_volume_breaks_its_claim() {
        let own = "28 27 254:0 /home/me /docker/volumes/codex-sandbox-cache-pip-open-u1000/_data rw - ext4 d rw\n";
        breaks(
            "cache.pip.source",
            vec![
                mounted(TARGET, |seen| seen.name = "codex-sandbox-cache-pip-u0".into()),
                mounted(TARGET, |seen| seen.driver = "nfs".into()),
                Box::new(|spec, _, _| spec.shape.network = Network::None),
                Box::new(|spec, _, _| spec.env.push("HF_TOKEN".into())),
                Box::new(|spec, _, _| spec.handed.push(Handed::FullLogin)),
                Box::new(|spec, _, _| spec.shape.cache_sharing = CacheSharing::Workspace),
                Box::new(|spec, _, _| spec.shape.cache_sharing = CacheSharing::All),
                Box::new(|_, inside, _| inside.targets[5].stat.as_mut().unwrap().owner = 0),
                Box::new(|_, inside, _| inside.targets[5].stat = Err("ENOENT".into())),
                Box::new(|_, inside, _| _ = inside.targets.pop()),
                Box::new(|_, _, host| host.sources.get_mut(TARGET).unwrap().place = None),
                on_tables("both", |line| line.point == TARGET, |line| line.root = "/home/me".into()),
                on_tables("inside", |line| line.point == TARGET, |line| line.root = "/home/me".into()),
                on_tables("host", |line| line.point == TARGET, |line| line.device = "254:1".into()),
                add_line("900 104 254:0 /home/me /home/codex/.cache/pip/x rw - ext4 d rw", "both"),
                add_line("900 104 254:0 /home/me /home/codex/.cache/pip/x ro - ext4 d rw", "host"),
                Box::new(move |_, _, host| host.own_mounts.lines.extend(MountTable::parse(own).unwrap().lines)),
            ],
        );
        breaks(
            "container.mounts",
            vec![
                mounted(TARGET, |seen| seen.kind = "bind".into()),
                mounted(TARGET, |seen| seen.source = "/home/me".into()),
                mounted(TARGET, |seen| seen.writable = Some(false)),
                add_line("900 80 254:0 /docker/volumes/x/_data /home/codex/.cache/x rw - ext4 d rw", "both"),
            ],
        );
        breaks("cache.pip.writable", vec![Box::new(|_, inside, _| inside.targets[5].access = false)]);
    }

    #[test]
    fn a_user_who_may_not_look_into_the_engines_directory_has_the_tables() {
        let (spec, inside, mut host) = good();
        host.sources.get_mut(TARGET).unwrap().id = Err("Permission denied".into());
        assert_eq!(broken_ids(&spec, &inside, &host), Vec::<String>::new());
    }

    #[test]
    fn a_cache_that_shows_a_data_set_is_an_alias_of_it() {
        breaks(
            "dataset.ssv2.no-alias",
            vec![on_tables("both", |line| line.point == TARGET, |line| line.root = "/data/clips".into())],
        );
    }

    #[test]
    fn a_second_name_of_a_clip_cannot_lie_in_a_cache_but_may_in_the_workspace() {
        let elsewhere = |line: &MountLine| matches!(line.point.as_str(), "/workspace" | "/home/codex/.codex");
        let git = |line: &MountLine| line.point == "/workspace/.git";
        let (mut spec, mut inside, mut host) = good();
        for which in [elsewhere, git] {
            on_tables("both", which, |line| line.device = "8:1".into())(&mut spec, &mut inside, &mut host);
        }
        let sample = inside.targets[1].sample.as_mut().unwrap();
        sample.linked = vec![Linked { path: "/datasets/ssv2/1.webm".into(), links: 2, seen: 1 }];
        let id = "dataset.ssv2.hard-links".to_owned();
        assert!(!broken_ids(&spec, &inside, &host).contains(&id));
        on_tables("both", git, |line| line.device = "254:0".into())(&mut spec, &mut inside, &mut host);
        assert!(broken_ids(&spec, &inside, &host).contains(&id));
    }
}
