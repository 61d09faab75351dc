//! The one table of file systems: who answers for what is on one, and what its line in the mount table says of that.
//!
//! A type is what stands in `/proc/self/mountinfo`; a FUSE server's is `fuse.` and its subtype. Where a fact comes from stands
//! behind it: a manual page, the server's own source, or `seen` for a mount that was made and looked at (Debian 12).

use crate::mountinfo::{MountLine, MountTable};
use std::collections::BTreeSet;

/// Who answers for a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This kernel, from its own disks, memory or state.
    Own,
    /// This kernel, from disks that other machines write too.
    Shared,
    /// This kernel, from the directory that is the source.
    Layer(Names),
    /// It mounts something else as soon as somebody looks.
    Automount,
    /// Another machine, or the one around a virtual machine.
    Remote(Far),
    /// A program of this host, from directories of this host.
    Program(Shown),
    /// Nobody knows.
    Unknown,
}

/// What the source of a remote file system names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    /// `host:/path`, of NFS: a path of that machine, or below the root of what it exports.
    Export,
    /// `user@host:/path`: a path of that machine.
    Path,
    /// `//host/share/path`, or an address such as `https://host/path`.
    Share,
    /// `host:volume`: the name of a volume or file system of these machines.
    Volume,
    /// `remote:path` by the settings of rclone, or a path of this host.
    Rclone,
    /// An address where a network transport is used (`trans=tcp`), or else a name given by the machine around this one.
    Plan9,
    /// Nothing that says where it lies, such as the name of a bucket.
    Nothing,
}

/// What the source of a program's file system names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The directory that is shown.
    Directory(Names),
    /// A directory that may be shown: the server has no type of its own, and has to show the same inodes.
    Likely,
    /// The branches have to be asked for, by an extended attribute.
    Mergerfs,
    /// A disk, which has a number of its own.
    Disk,
}

/// Whether the names in a file system are those of the directory below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Same,
    /// They are encrypted.
    Other,
}

/// What a claim says of data that can change without this kernel's doing: what is behind the server may be written by other
/// machines and programs, and this host sees no more than what it looks at.
pub(crate) const SAMPLED: &str = "sampled: the server can change it";

const fn remote(far: Far) -> Kind {
    Kind::Remote(far)
}

const NOTHING: Kind = remote(Far::Nothing);
const VOLUME: Kind = remote(Far::Volume);
const SHARE: Kind = remote(Far::Share);
const SAME: Kind = Kind::Program(Shown::Directory(Names::Same));
const ENCRYPTED: Kind = Kind::Program(Shown::Directory(Names::Other));

/// The table. A type that is not in it and has a disk of its own is the kernel's, as all file systems of disks are.
const TABLE: &[(&[&str], Kind)] = &[
    (
        // filesystems(5), and the kernel's documentation of each.
        &[
            "ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "zfs", "f2fs", "jfs", "reiserfs", "nilfs2", "ubifs",
            "overlay", "tmpfs", "ramfs", "rootfs", "squashfs", "erofs", "iso9660", "udf", "vfat", "exfat", "ntfs3",
            "hfsplus",
        ],
        Kind::Own,
    ),
    (
        // The kernel's own trees: no data, and nothing to wait for.
        &[
            "proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "mqueue", "hugetlbfs", "debugfs", "tracefs",
            "securityfs", "pstore", "configfs", "fusectl", "bpf", "binfmt_misc", "efivarfs", "selinuxfs", "rpc_pipefs",
            "nsfs", "nfsd",
        ],
        Kind::Own,
    ),
    (&["gfs2", "ocfs2"], Kind::Shared), // the kernel's documentation: cluster file systems on a shared disk
    (&["ecryptfs"], Kind::Layer(Names::Other)), // ecryptfs(7): the lower directory is the source
    (&["shiftfs"], Kind::Layer(Names::Same)), // its mount options: the source is the marked directory
    (&["autofs"], Kind::Automount),     // autofs(5)
    (&["nfs", "nfs4"], remote(Far::Export)), // nfs(5): `server:path`, with `addr=` and `port=`
    (&["cifs", "smb3"], SHARE),         // mount.cifs(8): `//server/share`, with `addr=`
    (&["9p"], remote(Far::Plan9)),      // the kernel's documentation of 9p: `trans=`, `aname=`
    (&["virtiofs", "vboxsf", "prl_fs", "vmhgfs", "fuse.vmhgfs-fuse"], NOTHING), // shares of the machine around this one
    (&["ceph", "lustre", "wekafs"], VOLUME), // mount.ceph(8): `user@id.name=/path` or `host:/path`; lustre: `host@net:/name`
    (&["gpfs", "beegfs", "afs", "panfs", "pvfs2", "coda"], NOTHING), // `beegfs_nodev`, `/dev/name`, `AFS`: no host in it
    (&["fuse.sshfs"], remote(Far::Path)),                            // sshfs(1), seen: `user@host:/path`
    (&["fuse.rclone"], remote(Far::Rclone)), // rclone mount, seen: `remote:path`, `:local:/path`, `/path`
    (&["fuse.glusterfs", "fuse.mfs", "fuse.moosefs", "fuse.lizardfs", "fuse.sfs"], VOLUME), // mount.glusterfs(8): `host:/volume`
    (&["fuse.davfs", "fuse.davfs2", "fuse.curlftpfs"], SHARE), // mount.davfs(8), curlftpfs(1): an address
    (
        // The source is a bucket, a name in the server's settings, or the server's own name.
        &[
            "fuse.s3fs", "fuse.gcsfuse", "fuse.goofys", "fuse.mount-s3", "fuse.mountpoint-s3", "fuse.blobfuse",
            "fuse.blobfuse2", "fuse.ceph", "fuse.ceph-fuse", "fuse.juicefs", "fuse.JuiceFS", "fuse.seaweedfs",
            "fuse.cvmfs2", "fuse.objectivefs", "fuse.hdfs", "fuse.fuse_dfs", "fuse.beegfs", "fuse.lustre",
        ],
        NOTHING,
    ),
    (&["fuse.bindfs"], SAME),                       // bindfs(1): the source is the directory
    (&["fuse.gocryptfs", "fuse.cryfs"], ENCRYPTED), // seen: `/dir`, `cryfs@/dir`
    (&["fuse.mergerfs"], Kind::Program(Shown::Mergerfs)), // mergerfs(1), seen: the source is what differs in its branches
    (&["fuseblk"], Kind::Program(Shown::Disk)),           // ntfs-3g(8)
];

/// Servers that have no subtype, by what their source is.
const BARE: &[(&str, Kind)] = &[("mountpoint-s3", NOTHING)]; // its own source: `FSName("mountpoint-s3")`, and no subtype

/// Who answers for this one.
pub(crate) fn kind(line: &MountLine) -> Kind {
    let fstype = line.fstype.as_str();
    if let Some((_, kind)) = TABLE.iter().find(|(types, _)| types.contains(&fstype)) {
        return *kind;
    }
    if fstype == "fuse" {
        let bare = BARE.iter().find(|(source, _)| *source == line.source).map(|(_, kind)| *kind);
        // bindfs has no subtype (1.14, seen), and its source is the directory.
        let likely = line.source.starts_with('/').then_some(Kind::Program(Shown::Likely));
        return bare.or(likely).unwrap_or(Kind::Unknown);
    }
    match fstype.starts_with("fuse") || line.device.starts_with("0:") {
        true => Kind::Unknown,
        false => Kind::Own,
    }
}

/// The types of the file systems, at a directory and below it, on which data can change without this kernel's doing.
pub(crate) fn served<'a>(table: &'a MountTable, dir: &str) -> BTreeSet<&'a str> {
    let lines = table.covering(dir).into_iter().chain(table.below(dir));
    lines.filter(|line| kind(line).changes_elsewhere()).map(|line| line.fstype.as_str()).collect()
}

impl Kind {
    /// Whether the kernel may have to wait for somebody else's answer.
    pub(crate) fn waits(self) -> bool {
        match self {
            Kind::Own | Kind::Layer(_) => false,
            Kind::Shared | Kind::Automount | Kind::Remote(_) | Kind::Program(_) | Kind::Unknown => true,
        }
    }

    /// Whether the directories below it are shown as they are, and not encrypted.
    pub(crate) fn shows_as_it_is(self) -> bool {
        match self {
            Kind::Layer(names) | Kind::Program(Shown::Directory(names)) => names == Names::Same,
            Kind::Program(Shown::Likely | Shown::Mergerfs) | Kind::Remote(_) => true,
            Kind::Own | Kind::Shared | Kind::Automount | Kind::Program(Shown::Disk) | Kind::Unknown => false,
        }
    }

    /// Whether what is on it can change without this kernel's doing.
    pub(crate) fn changes_elsewhere(self) -> bool {
        match self {
            Kind::Own | Kind::Layer(_) | Kind::Automount => false,
            Kind::Shared | Kind::Remote(_) | Kind::Program(_) | Kind::Unknown => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(device: &str, fstype: &str, source: &str) -> Kind {
        let text = format!("1 0 {device} / / rw - {fstype} {source} rw\n");
        kind(&MountTable::parse(&text).unwrap().lines[0])
    }

    #[test]
    fn every_type_stands_once_in_the_table_and_is_found_there() {
        let mut types: Vec<&str> = TABLE.iter().flat_map(|(types, _)| types.iter().copied()).collect();
        for (rows, kind) in TABLE {
            assert!(rows.iter().all(|fstype| of("0:40", fstype, "x") == *kind), "{rows:?}");
        }
        let all = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), all);
    }

    #[test]
    fn what_nobody_knows_is_not_taken_for_the_kernels_own() {
        for (fstype, source) in
            [("fuse", "bucket"), ("fuse.encfs", "encfs"), ("fuse.squashfuse", "squashfuse"), ("newfs", "x")]
        {
            assert_eq!(of("0:40", fstype, source), Kind::Unknown, "{fstype}");
        }
        assert_eq!(of("8:1", "minix", "/dev/sda1"), Kind::Own, "it has a disk of its own");
        assert_eq!(of("8:1", "fuse.new", "/dev/sda1"), Kind::Unknown);
    }

    #[test]
    fn a_server_without_a_type_of_its_own_is_known_by_its_source() {
        assert_eq!(of("0:40", "fuse", "mountpoint-s3"), NOTHING);
        assert_eq!(of("0:40", "fuse", "/data"), Kind::Program(Shown::Likely));
    }

    #[test]
    fn what_is_served_is_found_at_a_directory_and_below_it() {
        let text =
            "1 0 8:1 / / rw - ext4 d rw\n2 1 0:40 / /mnt rw - nfs4 s:/ rw\n3 1 0:41 / /data/far rw - fuse.x x rw\n";
        let table = MountTable::parse(text).unwrap();
        let found = |dir: &str| served(&table, dir).into_iter().collect::<Vec<_>>();
        assert_eq!((found("/mnt/a"), found("/data")), (vec!["nfs4"], vec!["fuse.x"]));
        assert_eq!((found("/"), found("/home")), (vec!["fuse.x", "nfs4"], vec![]));
    }

    #[test]
    fn only_what_this_kernel_answers_by_itself_is_not_asked_and_cannot_change_elsewhere() {
        for (kind, waits, changes) in [
            (Kind::Own, false, false),
            (Kind::Layer(Names::Other), false, false),
            (Kind::Automount, true, false),
            (Kind::Shared, true, true),
            (NOTHING, true, true),
            (SAME, true, true),
            (Kind::Program(Shown::Disk), true, true),
            (Kind::Unknown, true, true),
        ] {
            assert_eq!((kind.waits(), kind.changes_elsewhere()), (waits, changes), "{kind:?}");
        }
    }
}
