//! Which of the programs inside belong to a session of this tool that still goes on: each session holds a lock on a file
//! in the state folder, which no container reaches, and the kernel lets go of it when the call ends, however it ends.
//! The file names the process that the session's `docker exec` started: a session is that process and what descends from
//! it.
//!
//! Which one it is must be found out, since an agent can start processes that have the same parent (see
//! [`Alive::entered`]), and the engine's client does not say. Nobody inside knows the mark of a session before the session's
//! own process has it in its environment. From then on others can copy it, but that process is there too, as long as the
//! session goes on: so one that has the mark and is the only new one is the session's. Of a process that lets nobody read
//! its environment, as Codex may be, it is enough that nothing inside could start another one. Everything else is in
//! doubt: it is shown as that, and never ended with what was left.

use crate::engine::alive::{self, Alive, Parted};
use crate::engine::cgroup::{Process, ProcessId};
use crate::engine::inspect::Container;
use crate::exec;
use crate::outside;
use crate::spec::codex_command::MARK;
use crate::spec::places::Places;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// For how long after its beginning it is looked which process is the session's.
const LOOKED_FOR: Duration = Duration::from_secs(10);

/// The most bytes that are read of a process's environment, which is its own to choose.
const LONGEST: u64 = 1 << 20;

/// A session of this call.
pub(crate) struct Session {
    file: File,
    path: PathBuf,
    mark: String,
    begun: Instant,
    /// What was alive before.
    before: BTreeSet<ProcessId>,
    /// Whether nothing inside could start a process whose parent is outside, before the session did.
    alone: bool,
    /// What it has started, as far as that is noted.
    started: Vec<ProcessId>,
    /// What it may have started, as of the last look.
    may_be: Vec<ProcessId>,
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

/// What a line of a session's file says of its processes; the last line counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Known {
    /// They are these, and what descends from them.
    Are(BTreeSet<ProcessId>),
    /// They are none of these.
    AreNot(BTreeSet<ProcessId>),
}

impl Session {
    /// Begins one, before anything of it runs: `alive` is what is alive by then.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub(crate) fn begin(places: &Places, mark: &str, alive: Option<&Alive>) -> Result<Session> {
        let path = places.sessions.join(mark);
        let alive = alive.filter(|alive| alive.exact());
        let before: BTreeSet<ProcessId> = alive.iter().flat_map(|alive| alive.others()).map(Process::id).collect();
        let open = || -> Result<File> {
            exec::create_dir(&places.sessions, 0o700)?;
            // Locked before it has its name: nobody can take it for that of a call that has ended.
            let new = places.sessions.join(format!(".new-{mark}"));
            let mut file = File::options().create_new(true).write(true).mode(0o600).open(&new)?;
            file.try_lock()?;
            say(&mut file, &Known::AreNot(before.clone()))?;
            fs::rename(&new, &path)?;
            Ok(file)
        };
        let file = open().with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Session {
            file,
            path,
            mark: mark.to_owned(),
            begun: Instant::now(),
            before,
            alone: alive.is_some_and(Alive::none_entered),
            started: Vec::new(),
            may_be: Vec::new(),
            noted: if alive.is_some() { Noted::NotYet } else { Noted::Never },
        })
    }

    /// Whether another call sees from now on which processes are this session's, as far as it ever will.
    pub(super) fn is_noted(&self) -> bool {
        self.noted != Noted::NotYet
    }

    /// Notes what was started since it began, once that is known. No other session of this sandbox may begin meanwhile.
    /// As long as nothing is noted, all that may be the session's is in doubt.
    pub(crate) fn note(&mut self, look: impl FnOnce() -> Option<Alive>) {
        if self.is_noted() || self.begun.elapsed() > LOOKED_FOR {
            return;
        }
        let Some(alive) = look() else { return };
        let new: Vec<&Process> =
            alive.entered().into_iter().filter(|process| !self.before.contains(&process.id())).collect();
        self.may_be = new.iter().map(|process| process.id()).collect();
        let own = own(&new, self.alone, |process| Marked::read(process, &self.mark));
        self.keep(own.into_iter().collect());
    }

    /// The same for a program of this tool that goes on in the background: its parent has ended, so that it is no child of
    /// the engine. Nothing else may have been started meanwhile.
    pub(crate) fn note_background(&mut self, alive: &Alive) {
        if !self.is_noted() {
            self.keep(alive.others().into_iter().map(Process::id).filter(|id| !self.before.contains(id)).collect());
        }
    }

    /// What it has started, as far as that is noted.
    pub(crate) fn started(&self) -> BTreeSet<ProcessId> {
        self.started.iter().copied().collect()
    }

    fn keep(&mut self, started: BTreeSet<ProcessId>) {
        if !started.is_empty() {
            self.started = started.iter().copied().collect();
            self.noted = if say(&mut self.file, &Known::Are(started)).is_ok() { Noted::Known } else { Noted::Never };
        }
    }

    /// A process of it that is stopped now.
    pub(super) fn stopped(&self) -> Option<u32> {
        let own = if self.started.is_empty() { &self.may_be } else { &self.started };
        let now = own.iter().filter_map(|id| Process::read(id.pid).filter(|now| now.id() == *id));
        now.filter(Process::stopped).map(|process| process.pid).next()
    }

    /// Ends what it has started, where that is known.
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

fn say(file: &mut File, known: &Known) -> Result<()> {
    Ok(file.write_all(format!("{}\n", serde_json::to_string(known)?).as_bytes())?)
}

/// Whether a process has the mark of a session in its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marked {
    Yes,
    No,
    /// It does not let this user look: Codex may be such a program.
    Unseen,
}

impl Marked {
    fn read(process: &Process, mark: &str) -> Marked {
        let mut env = Vec::new();
        let file = File::open(format!("/proc/{}/environ", process.pid));
        if file.and_then(|file| file.take(LONGEST).read_to_end(&mut env)).is_err() {
            return Marked::Unseen;
        }
        let wanted = format!("{MARK}={mark}");
        let has = env.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes());
        if has && Process::read(process.pid).is_some_and(|now| now.id() == process.id()) {
            Marked::Yes
        } else {
            Marked::No
        }
    }
}

/// The session's own process among the new ones whose parent is outside, where it can be known. `alone`: nothing inside
/// could start another one.
fn own(new: &[&Process], alone: bool, marked: impl Fn(&Process) -> Marked) -> Option<ProcessId> {
    let [only] = new else { return None };
    let known = match marked(only) {
        Marked::Yes => true,
        Marked::Unseen => alone,
        Marked::No => false,
    };
    known.then(|| only.id())
}

/// What the sessions of all calls that still go on say of their processes. What an ended call left is removed.
fn said(places: &Places) -> Vec<Known> {
    let mut said = Vec::new();
    for entry in fs::read_dir(&places.sessions).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        let Ok(file) = outside::open(&path) else { continue };
        match file.try_lock_shared() {
            Ok(()) => drop(fs::remove_file(&path)),
            Err(_) => said.push(known(&outside::all_of(&file, outside::WRITTEN).unwrap_or_default())),
        }
    }
    said
}

/// Of what is not understood nothing is known: any process may be that session's.
fn known(text: &[u8]) -> Known {
    let lines = text.split(|byte| *byte == b'\n');
    let last = lines.filter_map(|line| serde_json::from_slice(line).ok()).next_back();
    last.unwrap_or(Known::AreNot(BTreeSet::new()))
}

/// The programs inside: those of sessions that go on, those that may be, and what no session of this tool holds.
pub(super) fn parted(places: &Places, alive: &Alive) -> Parted {
    let said = said(places);
    let is = |process: &Process| {
        said.iter().any(|known| match known {
            Known::Are(own) => own.contains(&process.id()),
            Known::AreNot(_) => false,
        })
    };
    let may_be = |process: &Process| {
        said.iter().any(|known| match known {
            Known::Are(_) => false,
            Known::AreNot(others) => !others.contains(&process.id()),
        })
    };
    alive.parted(is, may_be)
}

/// For the fuzzer: the file of a session.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    known(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::spec::places;
    use std::path::Path;

    fn ids(pids: &[u32]) -> BTreeSet<ProcessId> {
        pids.iter().map(|pid| ProcessId { pid: *pid, started: 9 }).collect()
    }

    #[test]
    fn a_session_is_held_as_long_as_its_call_lives_and_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context { state: dir.path().into(), ..Context::default() };
        let places = places::of(&cx, Path::new("/project"), 1000);
        assert_eq!(said(&places), []);
        let mut session = Session::begin(&places, "0a", None).unwrap();
        assert_eq!(said(&places), [Known::AreNot(ids(&[]))], "from its beginning on");
        session.keep(ids(&[7]));
        assert_eq!(said(&places), [Known::Are(ids(&[7]))]);
        // A call that was killed removes nothing: its lock is gone, its file is not.
        let left = places.sessions.join("0b");
        fs::write(&left, serde_json::to_vec(&Known::Are(ids(&[8]))).unwrap()).unwrap();
        assert_eq!(said(&places), [Known::Are(ids(&[7]))]);
        assert!(!left.exists());
        drop(session);
        assert_eq!(said(&places), []);
        assert_eq!(fs::read_dir(&places.sessions).unwrap().count(), 0);
    }

    #[test]
    fn what_a_session_says_last_counts_and_what_is_not_understood_is_in_doubt() {
        let line = |known: &Known| format!("{}\n", serde_json::to_string(known).unwrap());
        let (doubt, sure) = (Known::AreNot(ids(&[1, 2])), Known::Are(ids(&[3])));
        assert_eq!(known(line(&doubt).as_bytes()), doubt);
        assert_eq!(known((line(&doubt) + &line(&sure)).as_bytes()), sure);
        let half = line(&doubt) + line(&sure).trim_end_matches("}\n");
        assert_eq!(known(half.as_bytes()), doubt, "it is just being written");
        assert_eq!(known(b""), Known::AreNot(ids(&[])));
        assert_eq!(known(b"[{\"pid\":7,\"started\":9}]"), Known::AreNot(ids(&[])), "of an earlier version");
    }

    fn process(pid: u32, started: u64) -> Process {
        Process { pid, parent: 90, state: 'S', started, args: String::new() }
    }

    #[test]
    fn a_session_is_one_process_and_where_others_may_be_it_there_is_doubt() {
        let (own, beside) = (process(30, 500), process(20, 499));
        let found = |new: &[&Process], marked: &[u32]| {
            super::own(new, true, |one| if marked.contains(&one.pid) { Marked::Yes } else { Marked::No })
        };
        assert_eq!(found(&[&own], &[30]), Some(own.id()));
        assert_eq!(found(&[&beside], &[]), None, "it has not started yet");
        assert_eq!(found(&[], &[]), None);
        // The mark can be copied, and taken away from the one that had it.
        for marked in [vec![], vec![20], vec![30], vec![20, 30]] {
            assert_eq!(found(&[&beside, &own], &marked), None, "{marked:?}");
        }
    }

    #[test]
    fn a_process_that_lets_nobody_look_is_the_session_where_nothing_could_start_another() {
        let own = process(30, 500);
        let found = |alone| super::own(&[&own], alone, |_| Marked::Unseen);
        assert_eq!((found(true), found(false)), (Some(own.id()), None));
    }

    #[test]
    fn the_mark_is_read_of_the_environment() {
        let start = |value: &str| duct::cmd!("sleep", "600").env(MARK, value).unchecked().start().unwrap();
        let child = start("0a1b");
        let seen = Process::read(child.pids()[0]).unwrap();
        assert_eq!(Marked::read(&seen, "0a1b"), Marked::Yes);
        assert_eq!(Marked::read(&seen, "0a1"), Marked::No);
        let earlier = Process { started: seen.started - 1, ..seen.clone() };
        assert_eq!(Marked::read(&earlier, "0a1b"), Marked::No, "another had its number");
        child.kill().unwrap();
        assert_eq!(Marked::read(&Process { pid: u32::MAX, ..seen }, "0a1b"), Marked::Unseen);
    }
}
