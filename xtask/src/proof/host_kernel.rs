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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::fixture::{good, spec};
    use crate::spec::Mount;
    use crate::spec::settings::Ptrace;
    use std::os::unix::fs::PermissionsExt as _;

    /// A sandbox that denies tracing, with the launcher in a directory of its own.
    fn launched() -> (tempfile::TempDir, Spec) {
        let (dir, mut spec) = (tempfile::tempdir().unwrap(), spec());
        let source = dir.path().to_owned();
        spec.mounts.push(Mount { role: Role::Guest, source, target: "/sandbox".into(), read_only: true });
        spec.shape.ptrace = Ptrace::Deny;
        let file = dir.path().join(in_guest(spec.denials().launcher().unwrap()));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4711)).unwrap();
        (dir, spec)
    }

    #[test]
    fn the_mode_of_the_launcher_is_that_of_the_file_that_was_handed_in() {
        let (_dir, launched) = launched();
        let path = launched.denials().launcher().unwrap();
        assert_eq!(mode(&launched, path), Some(0o4711));
        assert_eq!((mode(&launched, "/sandbox/none"), mode(&spec(), path)), (None, None));
    }

    #[test]
    fn what_only_some_sandboxes_have_is_read_of_those_alone() {
        let (_, _, host) = good();
        let mut container = host.container;
        container.state.pid = u64::from(std::process::id());
        let table = MountTable::of_this_process().unwrap();
        let (_dir, mut launched) = launched();
        let seen = HostKernel::read(&container, &table, &launched);
        assert_eq!((seen.launcher, seen.network), (Some(0o4711), None));
        assert_eq!(seen.swapless.is_some(), fs::read_to_string("/proc/swaps").is_ok());
        launched.shape = spec().shape;
        launched.shape.network = Network::None;
        let seen = HostKernel::read(&container, &table, &launched);
        assert_eq!((seen.launcher, seen.suid_dumpable), (None, None));
        assert_eq!(seen.network.is_some(), fs::read_to_string("/proc/self/net/fib_trie").is_ok());
    }
}
