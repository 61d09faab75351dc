//! Which of the programs inside belong to a session of this tool that still goes on: each session holds a lock on a file
//! in the state folder, which no container reaches, and the kernel lets go of it when the call ends, however it ends.
//! The file names the processes that the session's `docker exec` started.

use crate::engine::alive::{self, Alive};
use crate::engine::cgroup::{Process, ProcessId};
use crate::engine::inspect::Container;
use crate::exec;
use crate::spec::places::Places;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

/// A session of this call.
pub(crate) struct Session {
    file: File,
    path: PathBuf,
    /// What was alive before.
    before: BTreeSet<ProcessId>,
    /// What it has started, as far as that is noted.
    started: Vec<ProcessId>,
    noted: Noted,
}

/// How far the processes of a session are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noted {
    NotYet,
    Known,
    /// This host cannot read the container's cgroup.
    Never,
}

impl Session {
    /// Begins one, before anything of it runs: `alive` is what is alive by then.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub(crate) fn begin(places: &Places, mark: &str, alive: Option<&Alive>) -> Result<Session> {
        let path = places.sessions.join(mark);
        let open = || -> Result<File> {
            exec::create_dir(&places.sessions, 0o700)?;
            // Locked before it has its name: nobody can take it for that of a call that has ended.
            let new = places.sessions.join(format!(".new-{mark}"));
            let file = File::options().create_new(true).write(true).open(&new)?;
            file.try_lock()?;
            fs::rename(&new, &path)?;
            Ok(file)
        };
        let file = open().with_context(|| format!("cannot write `{}`", path.display()))?;
        let before = alive.iter().flat_map(|alive| alive.others()).map(Process::id).collect();
        let noted = if alive.is_some_and(Alive::exact) { Noted::NotYet } else { Noted::Never };
        Ok(Session { file, path, before, started: Vec::new(), noted })
    }

    /// Whether another call sees from now on which processes are this session's, as far as it ever will.
    pub(super) fn is_noted(&self) -> bool {
        self.noted != Noted::NotYet
    }

    /// Notes what was started since it began, once there is anything. No other session of this sandbox may begin
    /// meanwhile. Where nothing can be noted, the session is shown among what nobody holds, and is nowhere ended unasked.
    pub(crate) fn note(&mut self, look: impl FnOnce() -> Option<Alive>) {
        if self.is_noted() {
            return;
        }
        if let Some(alive) = look() {
            self.keep(&alive.entered());
        }
    }

    /// The same for a program of this tool that goes on in the background: its parent has ended, so that it is no child of
    /// the engine. Nothing else may have been started meanwhile.
    pub(crate) fn note_background(&mut self, alive: &Alive) {
        if !self.is_noted() {
            self.keep(&alive.others());
        }
    }

    fn keep(&mut self, alive: &[&Process]) {
        let new: Vec<ProcessId> = alive.iter().map(|one| one.id()).filter(|id| !self.before.contains(id)).collect();
        if !new.is_empty() {
            let text = serde_json::to_string(&new).unwrap_or_default();
            self.noted = if self.file.write_all(text.as_bytes()).is_ok() { Noted::Known } else { Noted::Never };
            self.started = new;
        }
    }

    /// A process of it that is stopped now.
    pub(super) fn stopped(&self) -> Option<u32> {
        let now = self.started.iter().filter_map(|id| Process::read(id.pid).filter(|now| now.id() == *id));
        now.filter(Process::stopped).map(|process| process.pid).next()
    }

    /// Ends what it has started.
    ///
    /// # Errors
    /// What is alive cannot be listed.
    pub(crate) fn end(self, container: &Container) -> Result<()> {
        let own = |alive: &Alive| {
            let own = alive.others().into_iter().filter(|process| self.started.contains(&process.id()));
            own.cloned().collect()
        };
        alive::end(container, own, || false).map(drop)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The processes that the sessions of all calls that still go on have started. What an ended call left is removed.
fn held(places: &Places) -> BTreeSet<ProcessId> {
    let mut held = BTreeSet::new();
    for entry in fs::read_dir(&places.sessions).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        let Ok(file) = File::open(&path) else { continue };
        match file.try_lock_shared() {
            Ok(()) => drop(fs::remove_file(&path)),
            Err(_) => held.extend(fs::read(&path).ok().and_then(|text| known(&text)).into_iter().flatten()),
        }
    }
    held
}

fn known(text: &[u8]) -> Option<Vec<ProcessId>> {
    serde_json::from_slice(text).ok()
}

/// The programs inside in two: those of sessions that go on, and what no session of this tool holds.
pub(super) fn parted(places: &Places, alive: &Alive) -> (Vec<Process>, Vec<Process>) {
    let held = held(places);
    alive.parted(|process| held.contains(&process.id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::spec::places;
    use std::path::Path;

    #[test]
    fn a_session_is_held_as_long_as_its_call_lives_and_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context { state: dir.path().into(), ..Context::default() };
        let places = places::of(&cx, Path::new("/project"), 1000);
        assert_eq!(held(&places), BTreeSet::new());
        let id = ProcessId { pid: 7, started: 9 };
        let mut session = Session::begin(&places, "0a", None).unwrap();
        session.file.write_all(&serde_json::to_vec(&[id]).unwrap()).unwrap();
        assert_eq!(held(&places), [id].into());
        // A call that was killed removes nothing: its lock is gone, its file is not.
        let left = places.sessions.join("0b");
        fs::write(&left, serde_json::to_vec(&[ProcessId { pid: 8, started: 9 }]).unwrap()).unwrap();
        assert_eq!(held(&places), [id].into());
        assert!(!left.exists());
        drop(session);
        assert_eq!(held(&places), BTreeSet::new());
        assert_eq!(fs::read_dir(&places.sessions).unwrap().count(), 0);
    }
}
