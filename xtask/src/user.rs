//! The user who runs the task, and which of the user's groups are passed into the sandbox.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Groups that give power over the host: they are never passed on, whatever they own.
const PRIVILEGED_GROUPS: &[&[&str]] = &[
    // Containers and virtual machines.
    &["docker", "podman", "lxd", "incus", "libvirt", "kvm"],
    // Administration, and the files of the system.
    &["root", "sudo", "wheel", "admin", "staff", "sys", "bin", "daemon"],
    // Devices, memory, passwords and logs of the whole host.
    &["disk", "kmem", "shadow", "adm", "systemd-journal"],
];

/// A group by number and, where it has one, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) gid: u32,
    /// Empty where the number has no name.
    pub(crate) name: String,
}

/// The user who runs the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Login name, where the user database has one.
    pub(crate) name: Option<String>,
    /// Supplementary groups of this process, without the effective one.
    pub(crate) groups: Vec<Group>,
}

impl User {
    pub(crate) fn read() -> User {
        let (uid, gid) = (users::get_effective_uid(), users::get_effective_gid());
        let name = users::get_user_by_uid(uid).map(|user| user.name().to_string_lossy().into_owned());
        let groups = users::group_access_list().unwrap_or_default();
        let groups = groups
            .iter()
            .filter(|group| group.gid() != gid)
            .map(|group| Group { gid: group.gid(), name: group.name().to_string_lossy().into_owned() })
            .collect();
        User { uid, gid, name, groups }
    }

    /// The supplementary groups that may be passed on to a container that mounts these directories, sorted.
    pub(crate) fn groups_for<'a>(&self, sources: impl Iterator<Item = &'a Path>) -> Vec<u32> {
        let owners: Vec<u32> = sources.filter_map(|path| path.metadata().ok()).map(|meta| meta.gid()).collect();
        self.passed_on(&owners).iter().map(|group| group.gid).collect()
    }

    /// The supplementary groups that may be passed on: those that own one of `owners` and have no power over the host.
    pub(crate) fn passed_on(&self, owners: &[u32]) -> Vec<Group> {
        let mut passed: Vec<Group> = self
            .groups
            .iter()
            .filter(|group| owners.contains(&group.gid) && group.gid != 0)
            .filter(|group| !PRIVILEGED_GROUPS.concat().contains(&group.name.as_str()))
            .cloned()
            .collect();
        passed.sort_by_key(|group| group.gid);
        passed.dedup();
        passed
    }
}

/// The home of a user, where the user database has one.
pub(crate) fn home_of(uid: u32) -> Option<PathBuf> {
    use users::os::unix::UserExt as _;
    users::get_user_by_uid(uid).map(|user| user.home_dir().to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_own_a_mount_are_passed_on_and_privileged_ones_never() {
        let group = |gid, name: &str| Group { gid, name: name.to_owned() };
        let user = User {
            uid: 1000,
            gid: 1000,
            name: None,
            groups: vec![group(2000, "video-data"), group(998, "docker"), group(3000, "unused"), group(0, "root")],
        };
        assert_eq!(user.passed_on(&[2000, 998, 0]), [group(2000, "video-data")]);
    }
}
