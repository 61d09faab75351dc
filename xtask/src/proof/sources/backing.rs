//! What lies below a file system: the image of a loop device, the devices of device-mapper and md, the directories of an
//! overlay, what a server of this host shows. A data set can be mounted read-only, and still be written through these.
//!
//! Disks and other machines are the bottom: who can write those is not in the sandbox, unless another mount shows the same
//! place there.

use super::far::{self, FarPlace, Place};
use super::here::Here;
use super::served;
use crate::file_systems::{self, Kind, Shown};
use crate::mountinfo::{MountLine, MountTable, join, rest};
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What lies below some mounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Backing {
    /// Files and directories of this host.
    pub(super) objects: BTreeSet<PathBuf>,
    /// Those of the directories that a server shows as they are: what is read and written through it is read and written there.
    pub(super) shown: BTreeSet<PathBuf>,
    /// Places on other machines.
    pub(super) far: BTreeSet<FarPlace>,
    /// Why something cannot be known, a clause each.
    pub(super) unknown: BTreeSet<String>,
}

/// File systems of which one mount has several block devices, or whose mount does not name its device by number.
const SEVERAL: &[&str] = &["btrfs", "bcachefs"];

/// Devices that a program of this host serves.
const SERVED: &[&str] = &["nbd", "ublkb"];

/// With what is looked below mounts.
pub(super) struct Look<'a> {
    pub(super) table: &'a MountTable,
    /// `/sys`.
    pub(super) sys: &'a Path,
    /// Read where something is served from somewhere.
    pub(super) here: OnceCell<Here>,
}

impl<'a> Look<'a> {
    pub(super) fn new(table: &'a MountTable) -> Look<'a> {
        Look { table, sys: Path::new("/sys"), here: OnceCell::new() }
    }

    /// What lies below a directory, and what is mounted in it; and below that.
    pub(super) fn below(&self, path: &str) -> Backing {
        self.below_apart(path, &[])
    }

    /// The same without what is mounted at or in one of the directories `apart`.
    pub(super) fn below_apart(&self, path: &str, apart: &[&Path]) -> Backing {
        let whole = |line: &'a MountLine| (line, line.root.clone());
        let mut waiting: Vec<(&MountLine, String)> = self.part(path).into_iter().collect();
        let counts = |line: &&MountLine| !apart.iter().any(|dir| Path::new(&line.point).starts_with(dir));
        waiting.extend(self.table.below(path).into_iter().filter(counts).map(whole));
        let (mut found, mut seen) = (Backing::default(), BTreeSet::new());
        while let Some((line, part)) = waiting.pop() {
            if !seen.insert((line.id, part.clone())) {
                continue;
            }
            let own = self.of_one(line, &part);
            // What lies below is itself on a file system.
            waiting.extend(own.objects.iter().filter_map(|path| self.part(path.to_str()?)));
            found.objects.extend(own.objects);
            found.shown.extend(own.shown);
            found.far.extend(own.far);
            found.unknown.extend(own.unknown);
        }
        found
    }

    /// The mount on which a path lies, and its path in that file system.
    fn part(&self, path: &str) -> Option<(&'a MountLine, String)> {
        let line = self.table.covering(path)?;
        Some((line, join(&line.root, rest(path, &line.point)?)))
    }

    /// What lies below this part of a file system.
    fn of_one(&self, line: &MountLine, part: &str) -> Backing {
        let mut found = Backing::default();
        if !line.device.starts_with("0:") {
            device(&self.sys.join("dev/block").join(&line.device), &mut found, &mut BTreeSet::new());
        }
        let kind = file_systems::kind(line);
        let shows = match kind {
            Kind::Own => {
                if line.device.starts_with("0:") {
                    own(line, self.sys, &mut found);
                }
                Vec::new()
            }
            Kind::Shared | Kind::Automount | Kind::Program(Shown::Disk) => Vec::new(),
            Kind::Layer(names) | Kind::Program(Shown::Directory(names)) => vec![served::directory(line, names, part)],
            Kind::Program(Shown::Likely) => vec![served::likely(line, part)],
            Kind::Program(Shown::Mergerfs) => served::mergerfs(line, part),
            Kind::Remote(far) => match far::place(line, far, part, self.here.get_or_init(Here::read)) {
                Place::Far(place) => {
                    found.far.insert(place);
                    Vec::new()
                }
                Place::Here(dir) => vec![served::found(line, dir)],
                Place::Unsaid => Vec::new(),
                Place::Unknown(why) => vec![Err(why)],
            },
            Kind::Unknown => vec![Err(served::unknown(line, "where from is not known"))],
        };
        for one in shows {
            match one {
                Ok(dir) => {
                    found.shown.extend(kind.shows_as_it_is().then(|| dir.clone()));
                    found.objects.insert(dir);
                }
                Err(why) => drop(found.unknown.insert(why)),
            }
        }
        found
    }
}

/// What lies below a file system of the kernel's own that has no number of a device.
fn own(line: &MountLine, sys: &Path, found: &mut Backing) {
    if SEVERAL.contains(&line.fstype.as_str()) {
        for name in line.source.split(':').filter_map(|path| Path::new(path).file_name()) {
            let name = name_of_device(name.as_ref(), &line.source);
            for dir in siblings(sys, &name).unwrap_or_else(|| vec![sys.join("class/block").join(&name)]) {
                device(&dir, found, &mut BTreeSet::new());
            }
        }
    } else if line.fstype == "overlay" {
        overlay(line, found);
    } else if line.source.starts_with('/') && Path::new(&line.source).is_file() {
        // An image that is mounted without a loop device, as erofs can be.
        found.objects.insert(line.source.clone().into());
    }
}

/// The kernel's name of a device: what `/dev/mapper/x` leads to.
fn name_of_device(name: &Path, source: &str) -> PathBuf {
    let real = source.split(':').find(|path| path.ends_with(name.to_string_lossy().as_ref()));
    let real = real.and_then(|path| Path::new(path).canonicalize().ok());
    real.and_then(|path| Some(path.file_name()?.into())).unwrap_or_else(|| name.into())
}

/// All devices of the btrfs that has this one.
fn siblings(sys: &Path, name: &Path) -> Option<Vec<PathBuf>> {
    let all = fs::read_dir(sys.join("fs/btrfs")).ok()?.flatten().map(|entry| entry.path().join("devices"));
    let mut own = all.filter(|devices| devices.join(name).symlink_metadata().is_ok());
    let devices = fs::read_dir(own.next()?).ok()?.flatten();
    Some(devices.map(|device| sys.join("class/block").join(device.file_name())).collect())
}

/// Follows a block device down to files: partitions to their disk, device-mapper and md to their parts, loop devices to their
/// images. `dir` is its directory in sysfs.
fn device(dir: &Path, found: &mut Backing, seen: &mut BTreeSet<PathBuf>) {
    // Without sysfs, or for a file system whose number is no block device's, there is nothing to follow.
    let Ok(dir) = dir.canonicalize() else { return };
    if !seen.insert(dir.clone()) {
        return;
    }
    if dir.join("partition").exists() {
        return dir.parent().map_or((), |disk| device(disk, found, seen));
    }
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Ok(text) = fs::read_to_string(dir.join("loop/backing_file")) {
        // The kernel follows the file when it is renamed. Of a removed one it says so, and nobody can open it by a name.
        let path = text.trim_end_matches('\n');
        if path.starts_with('/') && fs::metadata(path).is_ok() {
            found.objects.insert(path.into());
        } else {
            found.unknown.insert(format!("the image `{path}` of `{name}` cannot be found"));
        }
        return;
    }
    let is_served = SERVED.iter().any(|kind| name.starts_with(kind));
    if is_served {
        let client = fs::read_to_string(dir.join("pid")).unwrap_or_default();
        let client = client.trim();
        let by = if client.is_empty() { String::new() } else { format!(" (process {client})") };
        found.unknown.insert(format!("the device `{name}` is served by a program{by}, and where from is not known"));
    }
    for part in fs::read_dir(dir.join("slaves")).into_iter().flatten().flatten() {
        device(&part.path(), found, seen);
    }
}

fn overlay(line: &MountLine, found: &mut Backing) {
    // A colon in a name is written with a backslash.
    let lower = all_of(line, "lowerdir").chain(all_of(line, "lowerdir+")).chain(all_of(line, "datadir+"));
    let lower = lower.flat_map(|dirs| split(dirs, ':'));
    let dirs: Vec<String> =
        lower.chain(all_of(line, "upperdir").map(str::to_owned)).filter(|dir| !dir.is_empty()).collect();
    for dir in &dirs {
        if dir.starts_with('/') && Path::new(dir).is_dir() {
            found.objects.insert(dir.into());
        } else if line.point != "/" {
            // The root of a container is an overlay of directories that are not seen in it; nobody can mount those.
            found.unknown.insert(format!("the directory `{dir}` of the overlay at `{}` cannot be found", line.point));
        }
    }
    if dirs.is_empty() && line.point != "/" {
        found.unknown.insert(format!("the directories of the overlay at `{}` are not known", line.point));
    }
}

/// The values of an option that can be given more than once.
fn all_of<'a>(line: &'a MountLine, name: &'a str) -> impl Iterator<Item = &'a str> {
    line.super_options.iter().filter_map(move |option| option.strip_prefix(name)?.strip_prefix('='))
}

fn split(text: &str, at: char) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for c in text.chars() {
        match (escaped, c) {
            (false, '\\') => {
                escaped = true;
                continue;
            }
            (false, c) if c == at => parts.push(String::new()),
            (_, c) => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
        escaped = false;
    }
    parts
}

/// Whether a file has another name besides the one that is known.
pub(super) fn has_another_name(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.nlink() > 1)
}

/// The files in which this host keeps memory, by the text of `/proc/swaps`. Partitions are not among them.
pub(super) fn swap_files(swaps: &str) -> Vec<PathBuf> {
    let files = swaps.lines().skip(1).filter(|line| line.split_whitespace().nth(1) == Some("file"));
    files.filter_map(|line| Some(line.split_whitespace().next()?.replace("\\040", " ").into())).collect()
}

/// For the fuzzer.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    swap_files(text);
    assert!(split(text, ':').iter().map(String::len).sum::<usize>() <= text.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A made-up `/sys`, and files that lie beside it.
    struct Sys(tempfile::TempDir);

    impl Sys {
        fn new() -> Sys {
            Sys(tempfile::tempdir().unwrap())
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn write(&self, path: &str, text: &str) -> String {
            fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
            fs::write(self.path(path), text).unwrap();
            self.path(path).display().to_string()
        }

        /// A device with this number, in `devices/`, with these files.
        fn device(&self, number: &str, path: &str) {
            fs::create_dir_all(self.path("sys/devices").join(path)).unwrap();
            for dir in ["sys/dev/block", "sys/class/block"] {
                fs::create_dir_all(self.path(dir)).unwrap();
            }
            let (to, name) =
                (self.path("sys/devices").join(path), Path::new(path).file_name().unwrap().to_str().unwrap());
            symlink(&to, self.path("sys/dev/block").join(number)).unwrap();
            symlink(&to, self.path("sys/class/block").join(name)).unwrap();
        }

        fn part(&self, of: &str, part: &str) {
            let slaves = self.path("sys/devices").join(of).join("slaves");
            fs::create_dir_all(&slaves).unwrap();
            let name = Path::new(part).file_name().unwrap();
            symlink(self.path("sys/devices").join(part), slaves.join(name)).unwrap();
        }

        fn below(&self, line: &str) -> Backing {
            let text = format!("1 0 254:0 / / rw - ext4 /dev/vda rw\n{line}\n");
            let table = MountTable::parse(&text).unwrap();
            self.look(&table, &table.lines[1].point)
        }

        fn look(&self, table: &MountTable, path: &str) -> Backing {
            Look { sys: &self.path("sys"), ..Look::new(table) }.below(path)
        }
    }

    fn only(object: &str) -> Backing {
        Backing { objects: [object.into()].into(), ..Backing::default() }
    }

    #[test]
    fn ordinary_file_systems_have_nothing_below() {
        let sys = Sys::new();
        sys.device("259:3", "pci/nvme/nvme0n1/nvme0n1p3");
        sys.write("sys/devices/pci/nvme/nvme0n1/nvme0n1p3/partition", "3\n");
        sys.device("254:1", "virtual/block/dm-1");
        sys.device("254:2", "virtual/block/dm-2");
        sys.part("virtual/block/dm-1", "virtual/block/dm-2");
        sys.part("virtual/block/dm-2", "pci/nvme/nvme0n1/nvme0n1p3");
        sys.device("9:0", "virtual/block/md0");
        sys.part("virtual/block/md0", "pci/nvme/nvme0n1/nvme0n1p3");
        for line in [
            "2 1 259:3 / /data rw - ext4 /dev/nvme0n1p3 rw",
            "2 1 254:1 / /data rw - xfs /dev/mapper/vg-data rw",
            "2 1 9:0 / /data rw - ext4 /dev/md0 rw",
            "2 1 8:17 / /data rw - fuseblk /dev/sdb1 rw",
            "2 1 0:50 /@data /data rw - btrfs /dev/nvme0n1p3 rw,subvol=/@data",
            "2 1 0:51 / /data rw - zfs tank/data rw,xattr",
            "2 1 0:52 / /data rw - nfs4 server:/export rw",
            "2 1 0:53 / /data rw - cifs //server/share rw",
            "2 1 0:54 / /data rw - lustre 10.0.0.1@tcp:/scratch rw",
            "2 1 0:55 / /data rw - ceph 10.0.0.1:/ rw",
            "2 1 0:56 / /data rw - virtiofs share rw",
            "2 1 0:57 / /data rw - tmpfs tmpfs rw",
            "2 1 0:58 / /data rw - fuse.sshfs me@server:/data rw",
            "2 1 0:59 / /data rw - fuse.gcsfuse bucket rw",
        ] {
            let found = sys.below(line);
            assert!(found.objects.is_empty() && found.unknown.is_empty(), "{line}: {found:?}");
            assert_eq!(
                found.far.is_empty(),
                !["nfs4", "cifs", "lustre", "ceph", "sshfs"].iter().any(|kind| line.contains(kind))
            );
        }
    }

    #[test]
    fn images_are_found_below_every_kind_of_device() {
        let sys = Sys::new();
        let image = sys.write("ws/image", "");
        sys.device("7:0", "virtual/block/loop0");
        sys.write("sys/devices/virtual/block/loop0/loop/backing_file", &format!("{image}\n"));
        sys.device("259:0", "virtual/block/loop0/loop0p1");
        sys.write("sys/devices/virtual/block/loop0/loop0p1/partition", "1\n");
        sys.device("254:1", "virtual/block/dm-1");
        sys.device("254:2", "virtual/block/dm-2");
        sys.part("virtual/block/dm-1", "virtual/block/dm-2");
        sys.part("virtual/block/dm-2", "virtual/block/loop0/loop0p1");
        sys.device("9:0", "virtual/block/md0");
        sys.part("virtual/block/md0", "virtual/block/loop0");
        fs::create_dir_all(sys.path("sys/fs/btrfs/UUID/devices")).unwrap();
        for name in ["sda1", "loop0"] {
            symlink("/x", sys.path("sys/fs/btrfs/UUID/devices").join(name)).unwrap();
        }
        for line in [
            "2 1 7:0 / /data rw - ext4 /dev/loop0 rw",
            "2 1 259:0 / /data rw - ext4 /dev/loop0p1 rw",
            "2 1 254:1 / /data rw - xfs /dev/mapper/secret rw",
            "2 1 9:0 / /data rw - ext4 /dev/md0 rw",
            "2 1 0:50 / /data rw - btrfs /dev/loop0 rw",
            "2 1 0:50 / /data rw - btrfs /dev/sda1 rw",
        ] {
            assert_eq!(sys.below(line), only(&image), "{line}");
        }
        let plain = format!("2 1 0:60 / /data ro - erofs {image} ro");
        assert_eq!(sys.below(&plain), only(&image));
    }

    #[test]
    fn directories_are_found_below_overlays_and_servers_that_name_them() {
        let sys = Sys::new();
        let lower = sys.write("a/lower/x", "").replace("/x", "");
        let colon = sys.write("a/b:c/x", "").replace("/x", "");
        let line = format!(
            "2 1 0:60 / /data rw - overlay o rw,lowerdir={lower}:{},upperdir={lower}",
            colon.replace(':', "\\134:")
        );
        assert_eq!(sys.below(&line).objects, [lower.clone().into(), colon.into()].into());
        let shown = Backing { shown: [lower.clone().into()].into(), ..only(&lower) };
        assert_eq!(sys.below(&format!("2 1 0:60 / /data rw - fuse.bindfs {lower} rw")), shown);
        assert_eq!(sys.below(&format!("2 1 0:60 / /data rw - fuse.gocryptfs {lower} rw")).shown, [].into());
        // A directory below can itself lie on an image.
        let text = format!(
            "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:60 / /data rw - fuse.bindfs {lower} rw\n3 1 0:61 / {lower} rw - fuse.x y rw\n"
        );
        let table = MountTable::parse(&text).unwrap();
        assert_eq!(sys.look(&table, "/data").unknown.len(), 1);
    }

    #[test]
    fn what_a_program_serves_from_an_unknown_place_is_not_known() {
        let sys = Sys::new();
        sys.device("43:0", "virtual/block/nbd0");
        sys.write("sys/devices/virtual/block/nbd0/pid", "4711\n");
        sys.device("7:1", "virtual/block/loop1");
        sys.write("sys/devices/virtual/block/loop1/loop/backing_file", "/gone/image (deleted)\n");
        for (line, says) in [
            ("2 1 43:0 / /data rw - ext4 /dev/nbd0 rw", "process 4711"),
            ("2 1 7:1 / /data rw - ext4 /dev/loop1 rw", "(deleted)` of `loop1` cannot be found"),
            ("2 1 0:60 / /data rw - fuse.mergerfs a:b rw", "served by `fuse.mergerfs`"),
            ("2 1 0:60 / /data rw - fuse x rw", "served by `fuse`"),
            ("2 1 0:60 / /data rw - overlay o rw,lowerdir=/gone", "`/gone` of the overlay"),
            ("2 1 0:60 / /data rw - overlay o rw", "are not known"),
        ] {
            let found = sys.below(line);
            assert!(found.unknown.iter().any(|why| why.contains(says)), "{line}: {found:?}");
        }
    }

    #[test]
    fn swap_files_are_told_from_partitions() {
        let text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sda2 partition 8 0 -2\n/my\\040dir/swapfile file 8 0 -3\n";
        assert_eq!(swap_files(text), [PathBuf::from("/my dir/swapfile")]);
        assert!(swap_files("").is_empty());
    }

    #[test]
    fn a_second_name_is_one_of_a_file() {
        let sys = Sys::new();
        let file = sys.write("a/file", "");
        let (file, dir) = (Path::new(&file), sys.path("a"));
        fs::create_dir(dir.join("sub")).unwrap();
        assert!(!has_another_name(file) && !has_another_name(&dir) && !has_another_name(&sys.path("gone")));
        fs::hard_link(file, sys.path("second")).unwrap();
        assert!(has_another_name(file));
    }

    #[test]
    fn a_device_is_known_by_what_its_name_leads_to() {
        let sys = Sys::new();
        let image = sys.write("ws/image", "");
        sys.device("7:0", "virtual/block/loop0");
        sys.write("sys/devices/virtual/block/loop0/loop/backing_file", &format!("{image}\n"));
        let (node, mapped) = (sys.write("dev/loop0", ""), sys.path("dev/vault"));
        symlink(node, &mapped).unwrap();
        assert_eq!(sys.below(&format!("2 1 0:50 / /data rw - btrfs {} rw", mapped.display())), only(&image));
    }

    #[test]
    fn an_overlay_whose_directories_are_found_has_nothing_unknown() {
        let sys = Sys::new();
        let lower = sys.write("lower/x", "").replace("/x", "");
        assert_eq!(sys.below(&format!("2 1 0:60 / /data rw - overlay o rw,lowerdir={lower}")), only(&lower));
        assert_eq!(sys.below("2 1 0:60 / / rw - overlay o rw"), Backing::default(), "nobody can mount those");
    }
}
