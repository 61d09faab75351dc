//! What the host knows of each source. Reads each path and its ancestors once; walks nothing.

use super::Rules;
use crate::beneath::FileId;
use crate::proof::mountinfo::{DevicePath, MountTable, within};
use crate::spec::promise::Mount;
use crate::user::User;
use rustix::fs::{Access, access};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFacts {
    /// The path, symlinks resolved.
    pub real: PathBuf,
    /// Whether it is a directory.
    pub directory: bool,
    /// Whether it is a regular file.
    pub file: bool,
    /// Whether it is a socket.
    pub socket: bool,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its type and permission bits.
    pub mode: u32,
    /// Whether an access list lets the container's user in where the permission bits do not: the kernel's own answer,
    /// known only where this process is that user, and not by a group that stays outside.
    pub by_list: bool,
    /// Device and inode.
    pub id: FileId,
    /// Those of its ancestors, up to the root.
    pub ancestors: Vec<FileId>,
    /// Its place by the mount table.
    pub place: Option<DevicePath>,
    /// The places of what is mounted below it.
    pub below: Vec<DevicePath>,
}

impl PathFacts {
    /// Whether this is the other, or contains it.
    pub fn shows(&self, other: &PathFacts) -> bool {
        let by_place = match (&self.place, &other.place) {
            (Some(own), Some(other)) => own.device == other.device && within(&other.path, &own.path),
            _ => false,
        };
        self.id == other.id
            || other.ancestors.contains(&self.id)
            || by_place
            || within(&other.real.to_string_lossy(), &self.real.to_string_lossy())
    }

    /// Whether this lies in the other.
    pub fn lies_in(&self, other: &PathFacts) -> bool {
        other.shows(self) && self.id != other.id
    }
}

/// What is known of every source, and of what they are held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPaths {
    /// In the order of the mounts; or why nothing is known.
    pub sources: Vec<Result<PathFacts, String>>,
    /// The user's home directory.
    pub home: Option<PathFacts>,
    /// This repository.
    pub repository: Option<PathFacts>,
    /// The engine's sockets that exist.
    pub sockets: Vec<PathFacts>,
}

impl KnownPaths {
    /// Reads the sources of some mounts. Without a mount table of this host they are compared by path and inode alone.
    pub fn read(mounts: &[Mount], rules: &Rules) -> KnownPaths {
        let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let table = MountTable::parse(&String::from_utf8_lossy(&table)).unwrap_or_default();
        let user = User::read();
        let read = |path: &Path| facts(path, &table);
        let mut sources: Vec<Result<PathFacts, String>> = mounts.iter().map(|mount| read(&mount.source)).collect();
        for (mount, source) in mounts.iter().zip(&mut sources) {
            if let Ok(source) = source {
                source.by_list = by_list(mount, source, rules, &user);
            }
        }
        KnownPaths {
            sources,
            home: read(&rules.home).ok(),
            repository: read(&rules.repository).ok(),
            sockets: rules.sockets.iter().filter_map(|socket| read(socket).ok()).collect(),
        }
    }
}

fn by_list(mount: &Mount, facts: &PathFacts, rules: &Rules, user: &User) -> bool {
    let same_user = user.uid == rules.uid && rules.uid != 0;
    let inside = facts.gid == rules.gid || rules.groups.contains(&facts.gid);
    let by_other_group = !inside && (user.gid == facts.gid || user.groups.iter().any(|group| group.gid == facts.gid));
    let mut wanted = Access::READ_OK;
    if facts.directory {
        wanted |= Access::EXEC_OK;
    }
    if !mount.read_only {
        wanted |= Access::WRITE_OK;
    }
    same_user && !by_other_group && access(&facts.real, wanted).is_ok()
}

fn facts(path: &Path, table: &MountTable) -> Result<PathFacts, String> {
    let said = |err: std::io::Error| match err.kind() {
        ErrorKind::NotFound => format!("`{}` does not exist", path.display()),
        ErrorKind::PermissionDenied => format!("you may not look at `{}`", path.display()),
        _ => format!("`{}` cannot be looked at: {err}", path.display()),
    };
    let real = path.canonicalize().map_err(said)?;
    let meta = fs::metadata(&real).map_err(said)?;
    let text = real.to_string_lossy();
    Ok(PathFacts {
        directory: meta.is_dir(),
        file: meta.is_file(),
        socket: meta.file_type().is_socket(),
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
