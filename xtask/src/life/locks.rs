//! The lock of a workspace: who holds it starts, proves, ends or writes down what concerns its sandbox.

use crate::outside;
use crate::spec::places::Places;
use crate::ui;
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;

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
        if file.try_lock().is_err() {
            ui::say("waiting for another `cargo xtask` that starts or proves this sandbox");
            file.lock()?;
        }
        Ok(file)
    };
    let lock = open().with_context(|| format!("cannot lock `{}`", places.lock.display()))?;
    places.claim_schema()?;
    Ok(lock)
}

/// The same lock, where no other call has it; nothing is waited for, and nothing is made.
pub(super) fn free_lock(places: &Places) -> Option<File> {
    outside::open(&places.lock).ok().filter(|file| file.try_lock().is_ok())
}
