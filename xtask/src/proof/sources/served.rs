//! Which directories of this host a program shows as a file system of its own.
//!
//! The programs are the user's: no agent can mount anything here. What they say of themselves is believed where it can be
//! looked at; a server that names a directory and shows other things is not seen.

use crate::answers::{self, Asked, What};
use crate::file_systems::Names;
use crate::mountinfo::{MountLine, join};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The attribute in which mergerfs keeps its branches, and the file that has it: mergerfs(1), "runtime interface".
const BRANCHES: (&str, &str) = ("user.mergerfs.branches", ".mergerfs");

/// The most bytes of an extended attribute: xattr(7).
const MOST: usize = 64 << 10;

/// Why nothing is known of what lies below, a clause.
pub(super) fn unknown(line: &MountLine, why: &str) -> String {
    format!("`{}` is served by `{}` (`{}`), and {why}", line.point, line.fstype, line.source)
}

/// Asks by another process first: what lies below a server that answers can itself lie on one that does not.
fn answers(path: &Path) -> bool {
    let asked = Asked { what: What::Dataset, named: "what lies below a data set".into(), path: path.to_owned() };
    answers::silent(&[asked]).is_ok_and(|silent| silent.is_empty())
}

/// Why a FUSE file system is closed to the engine, which is root, or to the container's user: without `allow_other` the kernel
/// lets in the user who mounted it and nobody else, root included (fuse(8)).
pub(super) fn closed(line: &MountLine, uid: u32) -> Option<String> {
    let mounted_by: u32 = line.super_option("user_id")?.parse().ok()?;
    let open = line.super_options.iter().any(|option| option == "allow_other");
    let all = mounted_by == 0 && uid == 0;
    (line.fstype.starts_with("fuse") && !open && !all).then(|| {
        format!(
            "`{}` ({}) lets in user {mounted_by} alone: the engine is root, and the user inside is {uid}",
            line.point, line.fstype
        )
    })
}

/// A directory that is shown, where it is found; or why it is not known, a clause.
pub(super) type Shows = Result<PathBuf, String>;

/// A directory that is shown.
pub(super) fn found(line: &MountLine, dir: PathBuf) -> Shows {
    match answers(&dir) && dir.is_dir() {
        true => Ok(dir),
        false => Err(unknown(line, &format!("the directory `{}` below it cannot be found", dir.display()))),
    }
}

/// The directory that the source names.
pub(super) fn directory(line: &MountLine, names: Names, part: &str) -> Shows {
    // cryfs writes its own name before the path.
    let at = line.source.find('/').ok_or_else(|| unknown(line, "where from is not known"))?;
    let dir = &line.source[at..];
    match names {
        Names::Same => found(line, join(dir, part).into()),
        Names::Other => found(line, dir.into()),
    }
}

/// The directory that the source names, where it has the inode that the server shows: bindfs passes the numbers on.
pub(super) fn likely(line: &MountLine, part: &str) -> Shows {
    let (shown, dir) = (Path::new(&line.point), join(&line.source, &line.root));
    let number = |path: &Path| answers(path).then(|| path.metadata().ok().map(|meta| meta.ino())).flatten();
    let (ours, theirs) = (number(Path::new(&dir)), number(shown));
    match ours.is_some() && ours == theirs {
        true => found(line, join(&line.source, part).into()),
        false => Err(unknown(line, "where from is not known")),
    }
}

/// All branches, as the server says them.
pub(super) fn mergerfs(line: &MountLine, part: &str) -> Vec<Shows> {
    let (name, file) = BRANCHES;
    let file = Path::new(&line.point).join(file);
    let mut buffer = vec![0; MOST];
    let said = answers(&file).then(|| rustix::fs::getxattr(&file, name, &mut buffer).ok()).flatten();
    let said = said.and_then(|length| String::from_utf8(buffer[..length].to_vec()).ok());
    let branches = said.as_deref().map(branches).unwrap_or_default();
    if branches.is_empty() {
        return vec![Err(unknown(line, "its branches are not known"))];
    }
    branches.into_iter().map(|branch| found(line, nearest(branch, part))).collect()
}

/// The paths in `path=RW:path=NC,4G`.
fn branches(text: &str) -> Vec<&str> {
    let text = text.trim_end_matches('\0');
    text.split(':')
        .map(|one| one.rsplit_once('=').map_or(one, |(path, _)| path))
        .filter(|one| !one.is_empty())
        .collect()
}

/// What a branch has of a part: it can be made there later, so that the nearest directory above counts where it is missing.
fn nearest(branch: &str, part: &str) -> PathBuf {
    let whole = PathBuf::from(join(branch, part));
    let mut dirs = whole.ancestors().take_while(|dir| dir.starts_with(branch));
    dirs.find(|dir| answers(dir) && dir.is_dir()).unwrap_or(Path::new(branch)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mountinfo::MountTable;

    fn line(text: &str) -> MountLine {
        MountTable::parse(&format!("1 0 0:40 / {text} rw\n")).unwrap().lines[0].clone()
    }

    #[test]
    fn a_server_that_names_a_directory_is_believed_where_it_shows_its_inode() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let (path, sub) = (dir.path().display(), dir.path().join("sub"));
        assert_eq!(likely(&line(&format!("{path} rw - fuse {path}")), "/sub"), Ok(sub.clone()));
        for other in [format!("{} rw - fuse {path}", sub.display()), format!("{path} rw - fuse {path}/gone")] {
            assert!(likely(&line(&other), "/").is_err(), "{other}");
        }
    }

    #[test]
    fn a_server_that_lets_in_its_own_user_alone_is_closed_to_the_engine() {
        let at = |options: &str| line(&format!("/mnt rw - fuse.sshfs me@far:/ rw,{options},group_id=0,x"));
        assert!(closed(&at("user_id=1000"), 1000).is_some() && closed(&at("user_id=0"), 1000).is_some());
        for (open, uid) in [("user_id=1000,allow_other", 1000), ("user_id=0", 0), ("y", 1000)] {
            assert_eq!(closed(&at(open), uid), None, "{open}");
        }
    }

    #[test]
    fn encrypted_names_are_those_of_no_part() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let path = dir.path().display();
        let shown = |names, source: &str| directory(&line(&format!("/mnt rw - fuse.cryfs {source}")), names, "/sub");
        assert_eq!(shown(Names::Other, &format!("cryfs@{path}")), Ok(dir.path().to_owned()));
        assert_eq!(shown(Names::Same, &path.to_string()), Ok(dir.path().join("sub")));
        assert!(shown(Names::Same, &format!("{path}/gone")).is_err() && shown(Names::Same, "none").is_err());
    }

    #[test]
    fn branches_are_read_and_a_part_that_one_lacks_counts_as_its_nearest_directory() {
        assert_eq!(branches("/a=RW:/b=c=NC,4G:/d\0"), ["/a", "/b=c", "/d"]);
        assert!(branches("").is_empty());
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let branch = dir.path().to_str().unwrap();
        assert_eq!(nearest(branch, "/sub"), dir.path().join("sub"));
        assert_eq!(nearest(branch, "/sub/a/b"), dir.path().join("sub"));
        assert_eq!(nearest(branch, "/other"), dir.path());
        // This directory is on no mergerfs.
        assert!(mergerfs(&line(&format!("{branch} rw - fuse.mergerfs a:b")), "/")[0].is_err());
    }
}
