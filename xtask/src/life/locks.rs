//! The lock of a workspace: who holds it starts, proves, ends or writes down what concerns its sandbox.

use crate::spec::places::Places;
use crate::ui;
use anyhow::{Context as _, Result};
use std::fs::File;

/// Takes the lock of a workspace, so that two calls never start or prove its sandbox at the same time.
///
/// # Errors
/// The state folder cannot be written, or a newer version of this tool made it.
pub(crate) fn lock(places: &Places) -> Result<File> {
    crate::exec::create_dir(&places.dir, 0o700)?;
    let open = || -> std::io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(&places.lock)?;
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
    File::open(&places.lock).ok().filter(|file| file.try_lock().is_ok())
}
