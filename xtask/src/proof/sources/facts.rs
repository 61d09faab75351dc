//! What the host knows of each source. Reads each path and its ancestors once, and walks no directory tree.

use super::Rules;
use crate::beneath::FileId;
use crate::proof::mountinfo::{DevicePath, MountTable, within};
use crate::spec::Mount;
use crate::user::User;
use rustix::fs::{Access, FileType, access};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathFacts {
    /// The path, with its symlinks resolved.
    pub(super) real: PathBuf,
    pub(super) kind: FileType,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The type and the permission bits.
    pub(super) mode: u32,
    /// Whether a POSIX ACL lets the container's user in where the permission bits do not. The kernel itself is asked,
    /// so it is known only where this process is that user, and has not been let in by a group that stays outside.
    pub(super) by_list: bool,
    pub(super) id: FileId,
    /// Those of its ancestors, up to the root.
    pub(super) ancestors: Vec<FileId>,
    /// Its place by the mount table.
    pub(super) place: Option<DevicePath>,
    /// The places of what is mounted below it.
    pub(super) below: Vec<DevicePath>,
}

impl PathFacts {
    /// Whether this is the other, or contains it.
    pub(super) fn shows(&self, other: &PathFacts) -> bool {
        let places = self.place.as_ref().zip(other.place.as_ref());
        self.id == other.id
            || other.ancestors.contains(&self.id)
            || places.is_some_and(|(own, other)| own.contains(other))
            || within(&other.real.to_string_lossy(), &self.real.to_string_lossy())
    }

    /// Its own place, and those of what is mounted below it.
    pub(super) fn places(&self) -> impl Iterator<Item = &DevicePath> {
        self.place.iter().chain(&self.below)
    }
}

/// What is known of every source, and of what the sources are compared with.
#[derive(Debug, Clone)]
pub(super) struct KnownPaths {
    /// In the order of the mounts; or why nothing is known.
    pub(super) sources: Vec<Result<PathFacts, String>>,
    /// The user's home directory.
    pub(super) home: Option<PathFacts>,
    /// This repository.
    pub(super) repository: Option<PathFacts>,
    /// The engine's sockets that exist.
    pub(super) sockets: Vec<PathFacts>,
}

impl KnownPaths {
    /// Reads the sources of some mounts. Without a mount table of this host they are compared by path and inode alone.
    pub(super) fn read(mounts: &[Mount], rules: &Rules) -> KnownPaths {
        let table = MountTable::of_this_process().unwrap_or_default();
        let user = User::read();
        let read = |path: &Path| facts(path, &table);
        let source = |mount: &Mount| {
            let facts = read(&mount.source)?;
            Ok(PathFacts { by_list: by_list(mount, &facts, rules, &user), ..facts })
        };
        KnownPaths {
            sources: mounts.iter().map(source).collect(),
            home: read(&rules.home).ok(),
            repository: read(&rules.repository).ok(),
            sockets: rules.sockets.iter().filter_map(|socket| read(socket).ok()).collect(),
        }
    }
}

/// Reads any path of this host, to compare sources with it.
pub(super) fn reader() -> impl Fn(&Path) -> Option<PathFacts> {
    let table = MountTable::of_this_process().unwrap_or_default();
    move |path| facts(path, &table).ok()
}

fn by_list(mount: &Mount, facts: &PathFacts, rules: &Rules, user: &User) -> bool {
    let same_user = user.uid == rules.uid && rules.uid != 0;
    let own_group = user.gid == facts.gid || user.groups.iter().any(|group| group.gid == facts.gid);
    let by_other_group = own_group && !rules.in_group(facts.gid);
    let mut wanted = Access::READ_OK;
    wanted.set(Access::EXEC_OK, facts.kind.is_dir());
    wanted.set(Access::WRITE_OK, !mount.read_only);
    same_user && !by_other_group && access(&facts.real, wanted).is_ok()
}

fn facts(path: &Path, table: &MountTable) -> Result<PathFacts, String> {
    let said = |err: std::io::Error| match err.kind() {
        ErrorKind::NotFound => format!("`{}` does not exist", path.display()),
        ErrorKind::PermissionDenied => format!("you have no permission to read `{}`", path.display()),
        _ => format!("`{}` cannot be read: {err}", path.display()),
    };
    let real = path.canonicalize().map_err(said)?;
    let meta = fs::metadata(&real).map_err(said)?;
    let text = real.to_string_lossy();
    Ok(PathFacts {
        kind: FileType::from_raw_mode(meta.mode()),
        uid: meta.uid(),
        gid: meta.gid(),
        mode: meta.mode(),
        by_list: false,
        id: FileId::from(&meta),
        ancestors: real.ancestors().skip(1).filter_map(|dir| Some(FileId::from(&fs::metadata(dir).ok()?))).collect(),
        place: table.place_of(&text),
        below: table.below(&text).into_iter().map(|line| line.place()).collect(),
        real: real.clone(),
    })
}
