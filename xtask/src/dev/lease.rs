//! Several runs of the tests share one engine. A run that has started the engine stops it at its end, but not while another
//! run uses it.

use crate::context::Context;
use crate::engine::install::Lacks;
use crate::engine::provide;
use crate::{exec, ui};
use anyhow::{Context as _, Result};
use std::fs::File;
use std::path::Path;

/// Held while the tests use the engine.
pub(super) struct Lease<'a> {
    cx: &'a Context,
    lock: File,
    /// Whether this run has started the engine, and must stop it.
    started: bool,
}

impl<'a> Lease<'a> {
    /// Looks for an engine and programs. With `install`, what is missing is installed and started.
    pub(super) fn take(cx: &'a Context, programs: &[&str], install: bool) -> Result<(Lease<'a>, Result<Lacks>)> {
        exec::create_dir(&cx.state, 0o700)?;
        let mut lease = Lease { cx, lock: open(&cx.state.join("tests.lock"))?, started: false };
        let mut brought = false;
        loop {
            lease.lock.lock_shared().context("cannot share the lock on the engine")?;
            let found = provide::look(cx, programs);
            if !install || brought || found.as_ref().map_or(true, Lacks::is_empty) {
                return Ok((lease, found));
            }
            // The exclusive lock keeps two runs from starting an engine each. What was found may be out of date once the
            // lock is taken. It may be so again when the lock is shared, because that releases it for a moment.
            alone(&lease.lock)?;
            let found = provide::look(cx, programs)?;
            if !found.is_empty() {
                lease.started = provide::provide(cx, &found, true)?.started;
                brought = true;
            }
        }
    }

    /// Stops the engine where this run has started it, once no other run uses it.
    pub(super) fn end(self) -> Result<()> {
        if self.started {
            alone(&self.lock)?;
            provide::stop(self.cx)?;
        }
        Ok(())
    }
}

fn open(file: &Path) -> Result<File> {
    let opened = File::options().create(true).truncate(false).write(true).open(file);
    opened.with_context(|| format!("cannot open `{}`", file.display()))
}

/// Takes the lock exclusively.
fn alone(lock: &File) -> Result<()> {
    if lock.try_lock().is_err() {
        ui::say("waiting for another run of the tests that uses the engine");
        lock.lock().context("cannot lock the engine")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_run_that_ends_waits_until_no_other_uses_the_engine() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lock");
        let (ends, other) = (open(&file).unwrap(), open(&file).unwrap());
        ends.lock_shared().unwrap();
        other.lock_shared().unwrap();
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                alone(&ends).unwrap();
                send.send(()).unwrap();
            });
            assert!(receive.recv_timeout(Duration::from_millis(300)).is_err(), "it did not wait");
            drop(other);
            receive.recv_timeout(Duration::from_secs(20)).unwrap();
        });
    }
}
