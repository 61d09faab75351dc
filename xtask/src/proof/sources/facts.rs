//! What the host knows of each source. Reads each path and its ancestors once, and walks no directory tree.

use super::Rules;
use crate::beneath::{FileId, Held, Why};
use crate::error::Failure;
use crate::exposed::{Exposed, NotOpened};
use crate::mountinfo::{DevicePath, MountTable, within};
use crate::spec::Mount;
use crate::spec::inside::Chosen;
use crate::user::User;
use rustix::fs::{Access, FileType, access};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathFacts {
    /// The path, with its symlinks resolved.
    pub(super) real: PathBuf,
    pub(super) kind: FileType,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The permission bits.
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
    /// Whether it is `/`.
    pub(super) fn is_whole_host(&self) -> bool {
        self.real.parent().is_none()
    }

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

/// Why nothing is known of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is not there, or cannot be opened.
    Missing(String),
    /// A sandbox can write on the way to it.
    Exposed(Failure),
}

/// What is known of every source, and of what the sources are compared with.
#[derive(Debug)]
pub(super) struct KnownPaths {
    /// In the order of the mounts; or why nothing is known.
    pub(super) sources: Vec<Result<PathFacts, Unknown>>,
    /// The same sources, still held open.
    pub(super) held: Vec<Option<Held>>,
    /// The user's home directory.
    pub(super) home: Option<PathFacts>,
    /// This repository.
    pub(super) repository: Option<PathFacts>,
    /// Those of the directories with logins that exist.
    pub(super) private: Vec<PathFacts>,
    /// The engine's sockets that exist.
    pub(super) sockets: Vec<PathFacts>,
}

impl KnownPaths {
    /// Reads the sources of some mounts. With an empty mount table they are compared by path and inode alone.
    pub(super) fn read(mounts: &[Mount], rules: &Rules, exposed: &Exposed, table: &MountTable) -> KnownPaths {
        let user = User::read();
        let source = |mount: &Mount| {
            let held = opened(mount, exposed).map_err(unknown)?;
            let facts = facts(&held, table);
            Ok((PathFacts { by_list: by_list(mount, &held, &facts, rules, &user), ..facts }, held))
        };
        let opened = mounts.iter().map(source);
        let split =
            opened.map(|opened| opened.map_or_else(|why| (Err(why), None), |(facts, held)| (Ok(facts), Some(held))));
        let (sources, held) = split.unzip();
        let read = |path: &Path| any(path, table);
        KnownPaths {
            sources,
            held,
            home: read(&rules.home),
            repository: read(&rules.repository),
            private: rules.private.iter().filter_map(|dir| read(dir)).collect(),
            sockets: rules.sockets.iter().filter_map(|socket| read(socket)).collect(),
        }
    }
}

/// Reads any path of this host, to compare sources with it.
pub(super) fn any(path: &Path, table: &MountTable) -> Option<PathFacts> {
    Some(facts(&Held::open(path).ok()?, table))
}

fn by_list(mount: &Mount, held: &Held, facts: &PathFacts, rules: &Rules, user: &User) -> bool {
    let same_user = user.uid == rules.uid && rules.uid != 0;
    let own_group = user.gid == facts.gid || user.groups.iter().any(|group| group.gid == facts.gid);
    let by_other_group = own_group && !rules.in_group(facts.gid);
    let mut wanted = Access::READ_OK;
    wanted.set(Access::EXEC_OK, facts.kind.is_dir());
    wanted.set(Access::WRITE_OK, !mount.read_only);
    same_user && !by_other_group && access(held.by_handle(), wanted).is_ok()
}

fn opened(mount: &Mount, exposed: &Exposed) -> Result<Held, NotOpened> {
    match mount.role.inside().chosen {
        Chosen::Data => exposed.unwritten(&mount.source),
        Chosen::PartOfWorkspace => exposed.unlinked(&mount.source),
        Chosen::Project | Chosen::Borrowed | Chosen::Tool => exposed.open(&mount.source),
    }
}

fn unknown(why: NotOpened) -> Unknown {
    match why {
        NotOpened::Exposed(failure) => Unknown::Exposed(failure),
        NotOpened::Refused(refused) => Unknown::Missing(match &refused.why {
            Why::Failed(err) if err.kind() == ErrorKind::NotFound => {
                format!("`{}` does not exist", refused.path().display())
            }
            Why::Failed(err) if err.kind() == ErrorKind::PermissionDenied => {
                format!("you have no permission to read `{}`", refused.path().display())
            }
            _ => refused.to_string(),
        }),
    }
}

/// What is told by the open handle: nothing is looked up by name again.
fn facts(held: &Held, table: &MountTable) -> PathFacts {
    let node = held.node();
    let text = held.real().to_string_lossy();
    PathFacts {
        kind: node.kind,
        uid: node.uid,
        gid: node.gid,
        mode: node.mode,
        by_list: false,
        id: node.id,
        ancestors: held.above().to_vec(),
        place: table.place_in(node.mount, &text),
        below: table.below(&text).into_iter().map(|line| line.place()).collect(),
        real: held.real().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Role;
    use crate::user::Group;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    const ME: u32 = 54_321;

    fn rules(uid: u32, groups: &[u32]) -> Rules {
        Rules {
            uid,
            gid: ME,
            groups: groups.to_vec(),
            home: "/".into(),
            repository: "/".into(),
            private: Vec::new(),
            allow_ground: Vec::new(),
            sockets: Vec::new(),
        }
    }

    fn user(uid: u32, gid: u32, groups: &[u32]) -> User {
        let groups = groups.iter().map(|gid| Group { gid: *gid, name: String::new() }).collect();
        User { uid, gid, name: None, groups }
    }

    #[test]
    fn the_kernel_speaks_for_the_containers_user_only_where_it_answers_the_same_user() {
        let dir = tempfile::tempdir().unwrap();
        let held = Held::open(dir.path()).unwrap();
        let facts = facts(&held, &MountTable::default());
        let mount = Mount::new(Role::Workspace, dir.path().to_owned());
        let asked = |rules: Rules, user: User| by_list(&mount, &held, &facts, &rules, &user);
        let (own, other) = (facts.gid, facts.gid + 1);
        assert!(asked(rules(ME, &[]), user(ME, other, &[])));
        assert!(!asked(rules(ME, &[]), user(ME + 1, other, &[])), "it is another user");
        assert!(!asked(rules(0, &[]), user(0, other, &[])), "root is let in anywhere");
        // A group that stays outside may be what lets this process in.
        assert!(!asked(rules(ME, &[]), user(ME, own, &[])) && !asked(rules(ME, &[]), user(ME, other, &[own])));
        assert!(asked(rules(ME, &[own]), user(ME, own, &[])) && asked(rules(ME, &[own]), user(ME, other, &[own])));
    }

    #[test]
    fn a_file_need_not_be_one_that_can_be_started() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("git");
        fs::write(&path, "gitdir: x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let held = Held::open(&path).unwrap();
        let facts = facts(&held, &MountTable::default());
        let mount = Mount::new(Role::Git, path);
        assert!(by_list(&mount, &held, &facts, &rules(ME, &[]), &user(ME, facts.gid + 1, &[])));
    }

    #[test]
    fn one_path_shows_another_by_its_file_its_ancestors_its_place_or_its_name() {
        let table = MountTable::default();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let (outer, inner) = (any(dir.path(), &table).unwrap(), any(&dir.path().join("sub"), &table).unwrap());
        let elsewhere = |facts: &PathFacts| PathFacts { real: "/elsewhere".into(), ..facts.clone() };
        assert!(outer.shows(&inner) && !inner.shows(&outer) && outer.shows(&outer));
        assert!(outer.shows(&elsewhere(&outer)), "by its file");
        assert!(outer.shows(&elsewhere(&inner)), "by its ancestors");
        let apart = |facts: &PathFacts| PathFacts { ancestors: Vec::new(), ..facts.clone() };
        assert!(apart(&outer).shows(&apart(&inner)), "by its name");
        let at = |facts: &PathFacts, path: &str| PathFacts {
            place: Some(DevicePath { device: "8:1".into(), path: path.into() }),
            ..elsewhere(&apart(facts))
        };
        let other = PathFacts { real: "/other".into(), ..at(&inner, "/d/sub") };
        assert!(at(&outer, "/d").shows(&other) && !at(&outer, "/e").shows(&other));
    }

    #[test]
    fn what_is_mounted_below_has_its_place_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        let text = format!("1 0 8:1 / / rw - ext4 d rw\n2 1 8:2 / {}/sub rw - ext4 d rw\n", path.display());
        let facts = any(&path, &MountTable::parse(&text).unwrap()).unwrap();
        assert_eq!(facts.below.iter().map(|place| place.device.as_str()).collect::<Vec<_>>(), ["8:2"]);
        assert_eq!(facts.places().filter(|place| place.device == "8:2").count(), 1);
        assert!(any(&path.join("gone"), &MountTable::default()).is_none());
    }

    #[test]
    fn a_source_that_cannot_be_opened_says_why() {
        let open = || Held::open(Path::new("/gone/away")).err().unwrap();
        let said = |why: Why| {
            let mut refused = open();
            refused.why = why;
            match unknown(NotOpened::Refused(refused)) {
                Unknown::Missing(why) => why,
                Unknown::Exposed(failure) => failure.message,
            }
        };
        let path = format!("`{}`", open().path().display());
        assert_eq!(said(Why::Failed(ErrorKind::NotFound.into())), format!("{path} does not exist"));
        let denied = said(Why::Failed(ErrorKind::PermissionDenied.into()));
        assert_eq!(denied, format!("you have no permission to read {path}"));
        let other = said(Why::Failed(ErrorKind::TimedOut.into()));
        assert!(!other.ends_with("does not exist") && !other.starts_with("you have no permission"), "{other}");
        let exposed = unknown(NotOpened::Exposed(crate::error::usage("a sandbox can write there")));
        assert_eq!(exposed, Unknown::Exposed(crate::error::usage("a sandbox can write there")));
    }
}
