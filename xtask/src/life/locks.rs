//! The lock of a workspace: who holds it starts, proves, ends or writes down what concerns its sandbox.

use crate::error::{failed, interrupted};
use crate::spec::places::Places;
use crate::{outside, signals, ui};
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Takes the lock of a workspace, so that two calls never start or prove its sandbox at the same time.
///
/// # Errors
/// The state folder cannot be written, or a newer version of this tool made it.
pub(crate) fn lock(places: &Places) -> Result<File> {
    crate::exec::create_dir(&places.dir, 0o700)?;
    let open = || -> std::io::Result<File> {
        // What is there and is no file of this tool's is not waited for.
        match outside::open(&places.lock) {
            Err(err) if err.kind() == ErrorKind::NotFound => {}
            there => drop(there?),
        }
        let made = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(&places.lock);
        let file = match made {
            // A lock needs nothing to be written: a sandbox can be ended all the same.
            Err(err) if err.kind() == ErrorKind::ReadOnlyFilesystem => outside::open(&places.lock)?,
            file => file?,
        };
        Ok(file)
    };
    let lock = open().with_context(|| format!("cannot lock `{}`", places.lock.display()))?;
    wait(&lock, &places.lock)?;
    places.claim_schema()?;
    Ok(lock)
}

/// A call that builds the image meanwhile has the lock for two hours at most, and one at whose terminal nobody answers for ever.
const BOUND: Duration = Duration::from_secs(3 * 3600);

/// How often it is said for whom is waited.
const REMINDER: Duration = Duration::from_secs(60);

/// Waits until no other call has the lock.
fn wait(lock: &File, path: &Path) -> Result<()> {
    let (begun, mut next) = (Instant::now(), Duration::ZERO);
    while lock.try_lock().is_err() {
        let passed = begun.elapsed();
        let holder = || {
            let table = outside::bytes(Path::new("/proc/locks"), MOST).unwrap_or_default();
            let pid = holder(&String::from_utf8_lossy(&table), lock.metadata().ok()?.ino())?;
            Some(format!(" (process {pid})"))
        };
        if passed >= BOUND {
            let who = holder().unwrap_or_default();
            return Err(failed(format!("another `cargo xtask`{who} has `{}` locked for hours", path.display()))
                .hint("answer it where it asks, or end it; then try again")
                .into());
        }
        if passed >= next {
            let who = holder().unwrap_or_default();
            ui::say(format_args!(
                "waiting for another `cargo xtask`{who} that starts or proves this sandbox, or asks something at its terminal; \
                 Ctrl-C ends the wait"
            ));
            next += REMINDER;
        }
        if signals::asked() {
            return Err(interrupted("interrupted").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The most bytes of the kernel's table of locks that are read.
const MOST: u64 = 1 << 20;

/// The process that has the lock of this inode, by the text of `/proc/locks`: proc_locks(5).
fn holder(table: &str, inode: u64) -> Option<u32> {
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[_, "FLOCK", _, "WRITE", pid, file, ..] = fields.as_slice() else { return None };
        (file.rsplit(':').next()?.parse() == Ok(inode)).then(|| pid.parse().ok())?
    })
}

/// The same lock, where no other call has it; nothing is waited for, and nothing is made.
pub(super) fn free_lock(places: &Places) -> Option<File> {
    outside::open(&places.lock).ok().filter(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_lock_is_read_from_the_kernels_table() {
        let table = "1: POSIX  ADVISORY  WRITE 7 08:01:99 0 EOF\n2: FLOCK  ADVISORY  READ 8 08:01:99 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 08:01:99 0 EOF\n3: FLOCK  ADVISORY  WRITE 1234 08:01:99 0 EOF\nodd\n";
        assert_eq!(holder(table, 99), Some(1234));
        assert_eq!(holder(table, 98), None);
    }
}
