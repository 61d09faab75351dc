//! Second names (hard links) of a file: what an agent writes under a name in its reach changes the file under the other one
//! too, also where that one is mounted read-only or lies far from every sandbox.

use crate::error::{Failure, failed};
use crate::text;
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The most names of one directory that are looked at.
const MOST_NAMES: usize = 20_000;

/// Who could write a file by another name of it, and where that name could lie.
#[derive(Debug, Clone)]
pub(crate) struct Writers {
    /// The agent has the user's number.
    uid: u32,
    /// The file systems on which an agent has a directory to write in: a file has all its names on one.
    devices: BTreeSet<u64>,
    grounds: Vec<PathBuf>,
    /// Directories out of every agent's reach in which other names may lie, such as those of programs.
    closed: Vec<PathBuf>,
}

impl Writers {
    /// `grounds` are the directories that agents can write, `closed` others that they cannot.
    pub(crate) fn of<'a>(grounds: impl Iterator<Item = &'a Path>, closed: Vec<PathBuf>) -> Writers {
        let grounds: Vec<PathBuf> = grounds.filter_map(|ground| ground.canonicalize().ok()).collect();
        let devices = grounds.iter().filter_map(|ground| Some(ground.metadata().ok()?.dev())).collect();
        Writers { uid: rustix::process::geteuid().as_raw(), devices, grounds, closed }
    }

    /// Refuses a file with another name under which an agent could write it. `guarded` are directories in the grounds that
    /// are out of the agent's reach all the same. What is no file, or not there, has none.
    pub(crate) fn refuse(&self, path: &Path, guarded: &[PathBuf]) -> Result<(), Failure> {
        let Ok(real) = path.canonicalize() else { return Ok(()) };
        let Ok(meta) = real.metadata() else { return Ok(()) };
        if !self.can_write(&meta) {
            return Ok(());
        }
        let below = |dir: &Path, all: &[PathBuf]| all.iter().any(|outer| dir.starts_with(outer));
        let closed = self.closed.iter().filter_map(|dir| dir.canonicalize().ok());
        let dirs: BTreeSet<PathBuf> = real.parent().map(Path::to_path_buf).into_iter().chain(closed).collect();
        let dirs = dirs.iter().filter(|dir| !below(dir, &self.grounds) || below(dir, guarded));
        let known: u64 = dirs.map(|dir| names_in(dir, &meta)).sum();
        if known >= meta.nlink() {
            return Ok(());
        }
        let (shown, word) = (text::path(&real), text::word(&real.to_string_lossy()));
        Err(failed(format!(
            "`{shown}` is a file with {} names (hard links), and an agent that can write one of the others writes this one too",
            meta.nlink()
        ))
        .hint(format!("give it a file of its own: `cp -p {word} {word}.own && mv {word}.own {word}`"))
        .hint(format!("`find DIR -samefile {word}` finds its other names")))
    }

    fn can_write(&self, meta: &Metadata) -> bool {
        // Whose file it is can also change who may write it.
        let may = self.uid == 0 || meta.uid() == self.uid || meta.mode() & 0o022 != 0;
        meta.is_file() && meta.nlink() > 1 && may && self.devices.contains(&meta.dev())
    }
}

/// How many of the names of a file lie in a directory.
fn names_in(dir: &Path, file: &Metadata) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().take(MOST_NAMES).flatten();
    let same =
        |path: PathBuf| path.symlink_metadata().is_ok_and(|meta| meta.ino() == file.ino() && meta.dev() == file.dev());
    entries.filter(|entry| entry.ino() == file.ino() && same(entry.path())).map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_second_name_counts_unless_it_cannot_lie_where_an_agent_writes() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().canonicalize().unwrap().join(name);
        for dir in ["work", "safe", "bin"] {
            fs::create_dir(at(dir)).unwrap();
        }
        let writers = |uid: u32, grounds: &[PathBuf]| {
            let grounds = grounds.iter().map(PathBuf::as_path);
            Writers { uid, ..Writers::of(grounds, vec![at("bin")]) }
        };
        let work = [at("work")];
        let me = fs::metadata(at("work")).unwrap().uid();
        fs::write(at("safe/hook"), "").unwrap();
        symlink(at("safe/hook"), at("link")).unwrap();
        writers(me, &work).refuse(&at("safe/hook"), &[]).unwrap();
        fs::hard_link(at("safe/hook"), at("work/other")).unwrap();
        for path in ["safe/hook", "link"] {
            let why = writers(me, &work).refuse(&at(path), &[]).unwrap_err();
            assert!(why.message.contains("safe/hook` is a file with 2 names"), "{why:?}");
            assert!(why.remedies.len() == 2, "{why:?}");
        }
        // On another file system, or where the agent may not write the file.
        writers(me, &[PathBuf::from("/proc")]).refuse(&at("safe/hook"), &[]).unwrap();
        writers(me + 1, &work).refuse(&at("safe/hook"), &[]).unwrap();
        assert!(writers(0, &work).refuse(&at("safe/hook"), &[]).is_err());
        // All names lie in one directory out of reach, or in one of programs.
        fs::remove_file(at("work/other")).unwrap();
        fs::hard_link(at("safe/hook"), at("safe/same")).unwrap();
        fs::hard_link(at("safe/hook"), at("bin/hook")).unwrap();
        writers(me, &work).refuse(&at("safe/hook"), &[]).unwrap();
        let safe = [at("safe")];
        assert!(writers(me, &safe).refuse(&at("safe/hook"), &[]).is_err());
        writers(me, &safe).refuse(&at("safe/hook"), &safe).unwrap();
        writers(me, &work).refuse(&at("work"), &[]).unwrap();
        writers(me, &work).refuse(&at("missing"), &[]).unwrap();
    }
}
