//! Ground that nobody should hand out: directories that hold other things' trust. By rule, in one table; the user may name a
//! directory that is handed out all the same. Pure but for [`Grounds::read`].
//!
//! The places themselves are compared as all sources are: by path, by device and inode, and by their place in the file
//! system, so that a bind mount of one of them is that one.

use super::facts::PathFacts;
use crate::spec::Mount;
use crate::spec::inside::Chosen;
use std::path::{Path, PathBuf};

/// What of a place a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The directory itself; what lies in it is fine.
    Itself,
    /// It and everything in it, but for what lies below these.
    Tree(&'static [&'static str]),
}

/// Which mounts a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// Also those for reading: there are secrets in it.
    Every,
    /// Those that can be written.
    Writable,
}

struct Rule {
    path: &'static str,
    reach: Reach,
    mounts: For,
    holds: &'static str,
}

const fn rule(path: &'static str, reach: Reach, mounts: For, holds: &'static str) -> Rule {
    Rule { path, reach, mounts, holds }
}

const ALL: Reach = Reach::Tree(&[]);
const HOMES: &str = "holds the homes of this host's users";
const PROGRAMS: &str = "holds programs that this host runs";
const SHARED: &str = "is the directory in which everybody keeps temporary files";
const MOUNTS: &str = "is where whole file systems are mounted";

/// The table; the first rule that is about a directory says why. On hosts with an immutable system, homes and mounts lie in `/var`.
const RULES: &[Rule] = &[
    rule("/tmp", Reach::Itself, For::Every, SHARED),
    rule("/var/tmp", Reach::Itself, For::Every, SHARED),
    rule("/dev/shm", Reach::Itself, For::Every, SHARED),
    rule("/var/home", Reach::Itself, For::Every, HOMES),
    rule("/etc", ALL, For::Every, "holds the settings and secrets of this host"),
    rule("/boot", ALL, For::Every, "holds what this host starts from"),
    rule("/usr", Reach::Tree(&["/usr/local/share", "/usr/local/data"]), For::Writable, PROGRAMS),
    rule("/bin", ALL, For::Writable, PROGRAMS),
    rule("/sbin", ALL, For::Writable, PROGRAMS),
    rule("/lib", ALL, For::Writable, PROGRAMS),
    rule("/lib64", ALL, For::Writable, PROGRAMS),
    rule("/nix", ALL, For::Writable, PROGRAMS),
    rule("/opt", Reach::Itself, For::Writable, PROGRAMS),
    rule(
        "/var",
        Reach::Tree(&[
            "/var/tmp", "/var/data", "/var/datasets", "/var/scratch", "/var/local", "/var/home", "/var/roothome",
            "/var/mnt", "/var/srv", "/var/opt",
        ]),
        For::Every,
        "holds the state of this host's services",
    ),
    // Removable disks are mounted below `/run/media`.
    rule("/run", Reach::Tree(&["/run/media"]), For::Every, "is where this host's services listen"),
    rule("/root", Reach::Itself, For::Every, HOMES),
    rule("/home", Reach::Itself, For::Every, HOMES),
    rule("/srv", Reach::Itself, For::Writable, MOUNTS),
    rule("/mnt", Reach::Itself, For::Writable, MOUNTS),
    rule("/media", Reach::Itself, For::Writable, MOUNTS),
    rule("/run/media", Reach::Itself, For::Writable, MOUNTS),
];

/// What of the home holds secrets: no mount shows it, also not one for reading. Everything else that begins with a dot
/// directly below the home is refused for writing, because programs obey what lies there.
const SECRETS: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".config",
    ".kube",
    ".docker",
    ".codex",
    ".claude",
    ".gemini",
    ".oci",
    ".password-store",
    ".pki",
    ".mozilla",
    ".thunderbird",
    ".cargo",
    ".terraform.d",
    ".local/share/keyrings",
    ".local/state",
    ".cache/huggingface/token",
];

/// A place of this host that a rule is about, where it exists.
#[derive(Debug, Clone)]
struct RuledPlace {
    rule: usize,
    facts: PathFacts,
    spared: Vec<PathFacts>,
}

/// What the sources are compared with.
#[derive(Debug, Clone, Default)]
pub(super) struct Grounds {
    places: Vec<RuledPlace>,
    home: Option<PathFacts>,
    secrets: Vec<PathFacts>,
    /// What the user has named.
    allowed: Vec<PathFacts>,
}

impl Grounds {
    /// Reads the places that exist.
    pub(super) fn read(home: &Path, allowed: &[PathBuf], read: impl Fn(&Path) -> Option<PathFacts>) -> Grounds {
        let place = |(number, rule): (usize, &Rule)| {
            let spared = match rule.reach {
                Reach::Itself => &[],
                Reach::Tree(spared) => spared,
            };
            let facts = read(Path::new(rule.path))?;
            Some(RuledPlace {
                rule: number,
                facts,
                spared: spared.iter().filter_map(|path| read(Path::new(path))).collect(),
            })
        };
        Grounds {
            places: RULES.iter().enumerate().filter_map(place).collect(),
            home: read(home),
            secrets: SECRETS.iter().filter_map(|path| read(&home.join(path))).collect(),
            allowed: allowed.iter().filter_map(|path| read(path)).collect(),
        }
    }

    /// Why a source is not handed out. `owners_home` is the home of the user who owns it.
    pub(super) fn refused(&self, mount: &Mount, source: &PathFacts, owners_home: Option<&Path>) -> Option<String> {
        match mount.role.inside().chosen {
            Chosen::Project | Chosen::Data => {}
            Chosen::Borrowed | Chosen::PartOfWorkspace | Chosen::Tool => return None,
        }
        if self.names(source) {
            return None;
        }
        let place = self.places.iter().find(|place| place.is_about(mount, source));
        let by_rule = place.map(|place| RULES[place.rule].holds.to_owned());
        by_rule.or_else(|| self.in_a_home(mount, source, owners_home)).or_else(|| shared(mount, source))
    }

    /// Whether the user has named this very directory.
    pub(super) fn names(&self, source: &PathFacts) -> bool {
        self.allowed.iter().any(|allowed| allowed.id == source.id)
    }

    /// What in a home is not handed out: the home of somebody, and what begins with a dot.
    fn in_a_home(&self, mount: &Mount, source: &PathFacts, owners_home: Option<&Path>) -> Option<String> {
        if owners_home.is_some_and(|home| home == source.real) {
            return Some("is somebody's home directory".into());
        }
        if let Some(secret) = self.secrets.iter().find(|secret| secret.shows(source) || source.shows(secret)) {
            return Some(format!("shows `{}`, where programs keep their settings and secrets", secret.real.display()));
        }
        let home = self.home.as_ref()?;
        let by_path = source.real.strip_prefix(&home.real).ok().map(Path::to_path_buf);
        let by_place = home.place.as_ref().zip(source.place.as_ref()).and_then(|(home, source)| {
            let same = home.device == source.device;
            Path::new(&source.path).strip_prefix(&home.path).ok().filter(|_| same).map(Path::to_path_buf)
        });
        let dotted = by_path.into_iter().chain(by_place).any(|inner| begins_with_a_dot(&inner));
        (!mount.read_only && dotted)
            .then(|| "lies in a dot directory of your home: programs obey what they find there".to_owned())
    }
}

fn begins_with_a_dot(inner: &Path) -> bool {
    inner.components().next().is_some_and(|first| first.as_os_str().as_encoded_bytes().starts_with(b"."))
}

/// A directory like `/tmp`, whatever its name: everybody can write there, and nobody but the owner of a file removes it.
fn shared(mount: &Mount, source: &PathFacts) -> Option<String> {
    const STICKY_AND_OPEN: u32 = 0o1002;
    let open = source.kind.is_dir() && source.mode & STICKY_AND_OPEN == STICKY_AND_OPEN;
    (open && !mount.read_only).then(|| "is a directory that all users of this host share (mode 1777)".to_owned())
}

impl RuledPlace {
    fn is_about(&self, mount: &Mount, source: &PathFacts) -> bool {
        let rule = &RULES[self.rule];
        let mount_counts = match rule.mounts {
            For::Every => true,
            For::Writable => !mount.read_only,
        };
        // What is spared lies below those directories: they themselves belong to the rule.
        let spared = || self.spared.iter().any(|spared| spared.id != source.id && spared.shows(source));
        let reached = match rule.reach {
            Reach::Itself => self.facts.id == source.id,
            Reach::Tree(_) => self.facts.shows(source) && !spared(),
        };
        mount_counts && reached
    }
}

/// What helps: another directory, or the word for this one.
pub(super) fn hint(source: &PathFacts) -> String {
    let path = source.real.display();
    format!(
        "choose a directory that holds only the project or only the data; if it must be this one, name it by \
         `--allow-ground '{path}'`, or in `allow_ground` of sandbox.local.yaml"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::FileId;
    use crate::mountinfo::DevicePath;
    use crate::spec::Role;
    use rustix::fs::FileType;

    /// A directory of a made-up host: its inode is the hash of its path.
    fn dir(path: &Path) -> Option<PathFacts> {
        let ino = |path: &Path| {
            path.to_str().unwrap().bytes().fold(7_u64, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte))
        };
        let id = |path: &Path| FileId { dev: 1, ino: ino(path) };
        let mode = if path.ends_with("tmp") || path.ends_with("scratch") { 0o1777 } else { 0o755 };
        Some(PathFacts {
            real: path.into(),
            kind: FileType::Directory,
            uid: 1000,
            gid: 1000,
            mode,
            by_list: false,
            id: id(path),
            ancestors: path.ancestors().skip(1).map(id).collect(),
            place: Some(DevicePath { device: "8:1".into(), path: path.to_str().unwrap().into() }),
            below: Vec::new(),
        })
    }

    fn refused_with(allowed: &[PathBuf], source: PathFacts, read_only: bool) -> Option<String> {
        let grounds = Grounds::read(Path::new("/home/me"), allowed, dir);
        let role = if read_only { Role::Dataset("d".into()) } else { Role::Workspace };
        let mount = Mount { read_only, ..Mount::new(role, source.real.clone()) };
        grounds.refused(&mount, &source, Some(Path::new("/home/her")))
    }

    fn refused(path: &str, read_only: bool) -> bool {
        refused_with(&[], dir(Path::new(path)).unwrap(), read_only).is_some()
    }

    #[test]
    fn ground_that_holds_other_things_trust_is_refused() {
        for path in [
            "/home/me/.ssh",
            "/home/me/.config",
            "/home/me/.config/git",
            "/home/me/.cargo/registry",
            "/etc",
            "/etc/ssh",
            "/boot",
            "/root",
            "/home",
            "/home/her",
            "/tmp",
            "/var/tmp",
            "/dev/shm",
            "/var",
            "/var/lib/docker",
            "/run/user",
            "/home/me/.local/state/x/workspaces",
            "/home/me/.local/state",
            "/home/me/.local",
            "/home/me/.cache/huggingface",
        ] {
            assert!(refused(path, false) && refused(path, true), "{path}");
        }
        // Only who can write there does harm.
        for path in [
            "/home/me/.vim", "/home/me/.cache/pip", "/home/me/.local/bin", "/usr", "/usr/share/data", "/usr/local",
            "/usr/local/bin", "/opt", "/srv", "/mnt", "/media", "/run/media", "/cluster/scratch", "/bin", "/lib64",
        ] {
            assert!(refused(path, false) && !refused(path, true) || path == "/run/media", "{path}");
        }
    }

    #[test]
    fn ordinary_ground_is_fine() {
        for path in [
            "/home/me/project", "/home/me/a/.hidden", "/tmp/mine", "/var/tmp/mine", "/dev/shm/mine", "/data",
            "/opt/app", "/srv/data", "/mnt/disk", "/media/me/disk", "/run/media/me/disk", "/cluster/scratch/me",
            "/var/data/ssv2", "/var/home/me/project", "/var/mnt/disk", "/usr/local/share/data", "/etcetera",
            "/home/her/shared", "/root/x",
        ] {
            assert!(!refused(path, false) && !refused(path, true), "{path}");
        }
        assert!(!refused("/home/me/.cache/codex-sandbox-demo/ssv2", true), "the demo's data");
        assert!(!refused("/home/me/.cache/huggingface/hub", true), "people's data sets");
    }

    #[test]
    fn a_word_opens_exactly_the_directory_that_it_names() {
        let with = |allowed: &str, path: &str| refused_with(&[allowed.into()], dir(Path::new(path)).unwrap(), false);
        assert_eq!(with("/opt", "/opt"), None);
        assert_eq!(with("/home/me/.vim", "/home/me/.vim"), None);
        assert!(with("/home/me/.vim", "/home/me/.vim/pack").is_some());
        assert!(with("/etc", "/etc/ssh").is_some());
    }

    #[test]
    fn another_name_for_the_same_ground_is_the_same_ground() {
        let alias =
            |of: &str| PathFacts { real: "/data/alias".into(), ancestors: Vec::new(), ..dir(Path::new(of)).unwrap() };
        for of in ["/etc", "/etc/ssh", "/home/me/.ssh", "/home/me/.vim/pack", "/tmp"] {
            assert!(refused_with(&[], alias(of), false).is_some(), "{of}");
        }
        assert_eq!(refused_with(&[], alias("/home/me/project"), false), None);
    }

    #[test]
    fn the_hint_has_the_word_for_this_very_directory() {
        assert!(hint(&dir(Path::new("/opt")).unwrap()).contains("by `--allow-ground '/opt'`, or in `allow_ground`"));
    }
}
