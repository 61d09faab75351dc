//! A file that is written beside the one that it will replace.
//!
//! Its name follows from the other's, and whoever writes it holds its lock. What a killed call left under that name is held by
//! nobody, and is the file that the next call writes: nothing has to be looked for, and no age decides.

use crate::beneath::FileId;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsString;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// So many calls may write the same file at once before one takes a name that nobody can know.
const AT_ONCE: usize = 8;

/// The most bytes of a name on almost every file system.
const LONGEST: usize = 255;

/// An empty file (0600) in the same directory, and its path. Whoever has it renames or removes it before it is closed.
pub(super) fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    for number in 0..AT_ONCE {
        let mut half = OsString::from(if number == 0 { ".new-".to_owned() } else { format!(".new-{number}-") });
        half.push(name);
        if half.as_bytes().len() > LONGEST {
            break;
        }
        let half = path.with_file_name(half);
        if let Some(file) = alone(&half)? {
            return Ok((half, file));
        }
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let (file, half) = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?.keep()?;
    Ok((half, file))
}

/// The file of this name, empty and for this call alone. `None` where another call writes it, or something else is there.
fn alone(half: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(half, flags, Mode::from_raw_mode(0o600)) {
        Ok(file) => File::from(file),
        // No room, or no right to write there, is nobody else's file.
        Err(err) if half.symlink_metadata().is_err() => return Err(err.into()),
        Err(_) => return Ok(None),
    };
    let meta = file.metadata()?;
    let is_ours = meta.is_file() && meta.nlink() == 1 && meta.uid() == rustix::process::geteuid().as_raw();
    if !is_ours {
        return Ok(None);
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        // Where the file system has no locks, no name is anybody's.
        Err(TryLockError::Error(_)) => return fs::remove_file(half).map(|()| None),
    }
    // Who had it before may have given it its name meanwhile.
    if !half.symlink_metadata().is_ok_and(|there| FileId::from(&there) == FileId::from(&meta)) {
        return Ok(None);
    }
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::write_file;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_call_left_half_is_written_anew_and_what_another_call_writes_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let (path, half) = (dir.path().join("a"), dir.path().join(".new-a"));
        fs::write(&half, "longer than what is written now").unwrap();
        fs::set_permissions(&half, Permissions::from_mode(0o644)).unwrap();
        write_file(&path, b"first", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!((names(dir.path()), fs::metadata(&path).unwrap().mode() & 0o777), (vec!["a".to_owned()], 0o600));

        let (other, held) = beside(&path).unwrap();
        assert_eq!(other, half);
        write_file(&path, b"second", 0o644).unwrap();
        assert_eq!(names(dir.path()), [".new-a", "a"]);
        drop(held);
        write_file(&path, b"third", 0o644).unwrap();
        assert_eq!((names(dir.path()), fs::read_to_string(&path).unwrap()), (vec!["a".to_owned()], "third".to_owned()));
    }

    #[test]
    fn what_is_no_file_of_this_tools_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("precious"), "precious").unwrap();
        std::os::unix::fs::symlink("precious", at(".new-a")).unwrap();
        fs::hard_link(at("precious"), at(".new-1-a")).unwrap();
        fs::create_dir(at(".new-2-a")).unwrap();
        write_file(&at("a"), b"new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(at("precious")).unwrap(), "precious");
        assert_eq!(names(dir.path()), [".new-1-a", ".new-2-a", ".new-a", "a", "precious"]);
        let long = "n".repeat(LONGEST);
        write_file(&at(&long), b"new", 0o600).unwrap();
        assert_eq!(names(dir.path()).len(), 6);
        assert!(write_file(&at("a/b"), b"", 0o600).is_err());
    }

    #[test]
    fn calls_that_write_one_file_at_once_leave_one_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::thread::scope(|scope| {
            for n in 0..16_u8 {
                let path = &path;
                scope.spawn(move || (0..20).for_each(|_| write_file(path, &[b'a' + n; 5000], 0o600).unwrap()));
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 5000 && bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(names(dir.path()), ["a"]);
    }
}
