//! The judges against whole hosts: cgroup of version 1 and 2, with AppArmor, with SELinux, with neither. One was recorded on
//! a machine; the others follow the documentation, because no machine of this project has them
//! (`docs/never-seen-live.md`).

use super::fixture::good;
use super::judge;
use super::modules::Modules;
use super::probe::{Door, InsideWitness};
use super::witness::HostWitness;
use super::{cgroup_limits, limits};
use crate::finding::{Finding, Verdict};
use crate::mountinfo::MountTable;
use crate::spec::Spec;
use serde::Deserialize;
use std::collections::BTreeMap;

const HOSTS: [(&str, &str); 4] = [
    ("cgroup v1, no module", include_str!("hosts/seen-debian-12-v1.json")),
    ("Ubuntu, v2, AppArmor", include_str!("hosts/documented-ubuntu-24-v2-apparmor.json")),
    ("Fedora, v2, SELinux", include_str!("hosts/documented-fedora-41-v2-selinux.json")),
    ("Debian, v2, AppArmor, cgroupfs", include_str!("hosts/documented-debian-12-v2-apparmor-cgroupfs.json")),
];

/// What differs between hosts, as the kernel and the engine write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Host {
    /// Where it comes from.
    #[serde(rename = "what")]
    _what: String,
    /// Of the container's init.
    mountinfo: MountTable,
    /// The hidden files that this kernel has.
    masked: BTreeMap<String, String>,
    /// The answers that differ from `EACCES`, `EROFS`.
    doors: BTreeMap<String, Door>,
    /// `/proc/PID/cgroup` of the container's init.
    cgroup: String,
    own_mountinfo: MountTable,
    /// Where the limits stand, by controller.
    directories: BTreeMap<String, String>,
    /// The kernel's text for no limit on memory.
    memory: String,
    /// The weight in a hierarchy of version 2 where the settings say 50.
    cpu_weight: Option<String>,
    label: Option<String>,
    apparmor: String,
    selinux: String,
    lsm: String,
    apparmor_enabled: Option<String>,
    selinux_enforce: Option<String>,
    /// A part of the promise about the module.
    promise: String,
}

impl Host {
    fn of(text: &str) -> Host {
        serde_json::from_str(text).unwrap()
    }

    fn good(&self) -> (Spec, InsideWitness, HostWitness) {
        let (spec, mut inside, mut host) = good();
        for process in [&mut inside.process, host.process.as_mut().unwrap()] {
            process.mounts = self.mountinfo.clone();
            process.label.clone_from(&self.label);
        }
        for (path, seen) in &mut inside.masked {
            *seen = self.masked.get(path).cloned().unwrap_or("absent".into());
        }
        inside.kernel.extend(self.doors.iter().map(|(path, door)| (path.clone(), door.clone())));
        let mut cgroup = limits::cgroup_in_force(&spec.shape);
        // In a hierarchy of version 2 other files say the same; the weight is that of the older runc or of the newer one.
        if let Some(weight) = self.cpu_weight.clone() {
            (cgroup.memory_and_swap, cgroup.swap) = (None, Some("0".into()));
            (cgroup.cpu_shares, cgroup.cpu_weight) = (None, Some(weight));
        }
        (inside.cgroup, host.kernel.cgroup) = (cgroup.clone(), cgroup);
        let (enabled, enforce) = (self.apparmor_enabled.as_deref(), self.selinux_enforce.as_deref());
        host.kernel.modules = Modules::of(&self.lsm, enabled, enforce);
        host.container.apparmor = Some(self.apparmor.clone());
        host.container.selinux = Some(self.selinux.clone());
        (spec, inside, host)
    }
}

fn claim<'a>(claims: &'a [Finding], id: &str) -> &'a Finding {
    claims.iter().find(|claim| claim.id == id).unwrap()
}

#[test]
fn every_promise_holds_on_every_kind_of_host() {
    for (name, text) in HOSTS {
        let known = Host::of(text);
        let (spec, inside, host) = known.good();
        let claims = judge(&spec, &inside, &host);
        let odd: Vec<_> = claims.iter().filter(|claim| claim.verdict != Verdict::Held).collect();
        assert!(odd.is_empty(), "{name}: {odd:?}");
        assert!(claim(&claims, "user.lsm").promise.contains(&known.promise), "{name}");
        for (controller, directory) in &known.directories {
            let found = cgroup_limits::directory(&known.cgroup, controller, &known.own_mountinfo);
            assert_eq!(found.map(|found| found.0), Some(directory.clone()), "{name}");
        }
    }
}

#[test]
fn what_breaks_a_promise_breaks_it_on_every_kind_of_host() {
    for (name, text) in HOSTS {
        let known = Host::of(text);
        let (spec, inside, host) = known.good();
        let verdict = |inside: &InsideWitness, host: &HostWitness, id| claim(&judge(&spec, inside, host), id).verdict;

        let mut other = host.clone();
        other.kernel.cgroup.pids = Some("max".into());
        assert_eq!(verdict(&inside, &other, "limits.pids"), Verdict::Broken, "{name}");

        let mut other = host.clone();
        other.container.host_config.memory = Some(1 << 30);
        assert_eq!(verdict(&inside, &other, "limits.memory"), Verdict::Broken, "{name}");

        let mut other = host.clone();
        other.kernel.cgroup.memory = Some(known.memory.clone());
        assert_eq!(verdict(&inside, &other, "limits.memory"), Verdict::Broken, "{name}: the kernel has no limit");

        let mut other = host.clone();
        let cgroup = &mut other.kernel.cgroup;
        for swap in [&mut cgroup.swap, &mut cgroup.memory_and_swap].into_iter().flatten() {
            known.memory.clone_into(swap);
        }
        assert_eq!(verdict(&inside, &other, "limits.memory"), Verdict::Broken, "{name}: there is swap");

        let mut other = host.clone();
        let cgroup = &mut other.kernel.cgroup;
        for weight in [&mut cgroup.cpu_shares, &mut cgroup.cpu_weight].into_iter().flatten() {
            "100".clone_into(weight);
        }
        assert_eq!(verdict(&inside, &other, "limits.cpu-weight"), Verdict::Broken, "{name}");

        // The directory of the cgroup can be written, or a hidden file is bare.
        let mut other = host.clone();
        let lines = &mut other.process.as_mut().unwrap().mounts.lines;
        let cgroups = lines.iter_mut().filter(|line| line.fstype.starts_with("cgroup"));
        cgroups.for_each(|line| line.options = vec!["rw".into()]);
        lines.retain(|line| line.point != "/proc/keys");
        assert_eq!(verdict(&inside, &other, "kernel.read-only"), Verdict::Broken, "{name}");
        assert_eq!(verdict(&inside, &other, "kernel.masked"), Verdict::Broken, "{name}");

        if host.process.as_ref().unwrap().label.is_some() {
            let mut other = inside.clone();
            other.process.label = Some("unconfined".into());
            assert_eq!(verdict(&other, &host, "user.lsm"), Verdict::Broken, "{name}");
        }
    }
}
