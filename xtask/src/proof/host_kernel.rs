//! What this host's kernel says of a container, beside `/proc/PID/{status,mountinfo}` of its init: the limits of its
//! cgroup, the security modules, the tables of its network. This file reads and does not judge.

use super::cgroup_limits::{self, CgroupLimits};
use super::modules::Modules;
use super::net_tables::NetTables;
use crate::engine::inspect::Container;
use crate::mountinfo::MountTable;
use crate::spec::words::Network;
use std::fs;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostKernel {
    pub(crate) cgroup: CgroupLimits,
    pub(crate) modules: Modules,
    /// Read only where no network was promised; `None` where the host cannot see it.
    pub(crate) network: Option<NetTables>,
}

impl HostKernel {
    pub(super) fn read(container: &Container, own_mounts: &MountTable, network: Network) -> HostKernel {
        let text = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", container.init()?)).ok();
        HostKernel {
            cgroup: text("cgroup").map(|text| cgroup_limits::read(&text, own_mounts)).unwrap_or_default(),
            modules: Modules::read(),
            network: match network {
                Network::None => NetTables::read(text),
                Network::Open => None,
            },
        }
    }
}
