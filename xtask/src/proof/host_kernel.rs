//! What this host's kernel says of a container, beside `/proc/PID/{status,mountinfo}` of its init: the limits of its
//! cgroup, the security modules, the tables of its network. This file reads and does not judge.

use super::cgroup_limits::{self, CgroupLimits};
use super::modules::Modules;
use super::net_tables::NetTables;
use crate::beneath::Beneath;
use crate::engine::inspect::Container;
use crate::mountinfo::MountTable;
use crate::spec::inside::in_guest;
use crate::spec::words::Network;
use crate::spec::{Role, Spec};
use std::fs;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostKernel {
    pub(crate) cgroup: CgroupLimits,
    /// Whether this machine has no swap; `None` where that cannot be read.
    pub(crate) swapless: Option<bool>,
    pub(crate) modules: Modules,
    /// Read only where no network was promised; `None` where the host cannot see it.
    pub(crate) network: Option<NetTables>,
    /// The mode of the program that sets the filter of sessions; read only where there is one.
    pub(crate) launcher: Option<u32>,
    /// The value of `fs.suid_dumpable`, in the same case.
    pub(crate) suid_dumpable: Option<String>,
}

impl HostKernel {
    pub(super) fn read(container: &Container, own_mounts: &MountTable, spec: &Spec) -> HostKernel {
        let text = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", container.init()?)).ok();
        let launcher = spec.denials().launcher();
        HostKernel {
            cgroup: text("cgroup").map(|text| cgroup_limits::read(&text, own_mounts)).unwrap_or_default(),
            swapless: fs::read_to_string("/proc/swaps").ok().map(|text| cgroup_limits::swapless(&text)),
            modules: Modules::read(),
            network: match spec.shape.network {
                Network::None => NetTables::read(text),
                Network::Open => None,
            },
            launcher: launcher.and_then(|path| mode(spec, path)),
            suid_dumpable: launcher
                .and_then(|_| fs::read_to_string("/proc/sys/fs/suid_dumpable").ok())
                .map(|text| text.trim().to_owned()),
        }
    }
}

/// The permission bits of a file that this tool handed in. That its directory is what is mounted has a claim of its own.
fn mode(spec: &Spec, path: &str) -> Option<u32> {
    let guest = Beneath::root(&spec.mount(&Role::Guest)?.source).ok()?;
    Some(guest.look(in_guest(path)).ok()??.mode & 0o7777)
}
