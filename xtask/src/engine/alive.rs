//! What is alive in a container beside its init, which is the container's own and out of the agent's reach
//! (`docker/init.py`). Judged by pids, parents and start times, as the host sees them; never by a name.

use crate::engine::cgroup::{self, Cgroup, Process};
use crate::engine::docker;
use crate::engine::inspect::Container;
use crate::error::failed;
use crate::{exec, ui};
use anyhow::Result;
use rustix::param::clock_ticks_per_second;
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long the processes have to end after each signal.
const GRACE: [(Signal, Duration); 2] = [(Signal::TERM, Duration::from_secs(3)), (Signal::KILL, Duration::from_secs(3))];

/// Why a process is left that was sent a signal.
const STAYED: &str = "it did not end";

/// Everything that is alive in a container at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alive {
    all: Vec<Process>,
    init: Option<u32>,
    /// `None` where the host cannot read the cgroup, and the engine was asked.
    cgroup: Option<Cgroup>,
}

/// A process that was ended, or could not be.
pub(crate) type NotEnded = (Process, String);

impl Alive {
    /// Looks at a container that runs.
    ///
    /// # Errors
    /// Neither this host nor the engine says what is alive in it.
    pub(crate) fn read(container: &Container) -> Result<Alive> {
        let init = container.init();
        let cgroup = init.and_then(|init| Cgroup::of(&container.id, init).ok());
        let listed = cgroup.and_then(|cgroup| Some((cgroup.processes().ok()?, cgroup)));
        let init = init.and_then(|init| u32::try_from(init).ok());
        if let Some((all, cgroup)) = listed {
            return Ok(Alive::new(init, all, Some(cgroup)));
        }
        let command = docker::top(&container.id);
        let all = parse_top(&exec::stdout_of(&command)?)
            .ok_or_else(|| failed(format!("`{command}` did not answer as Docker does")))?;
        Ok(Alive::new(init, all, None))
    }

    fn new(init: Option<u32>, all: Vec<Process>, cgroup: Option<Cgroup>) -> Alive {
        Alive { all, init, cgroup }
    }

    /// Whether this host itself sees the processes: only then have they start times that can be kept and compared.
    pub(crate) fn exact(&self) -> bool {
        self.cgroup.is_some()
    }

    /// Everything but the init.
    pub(crate) fn others(&self) -> Vec<&Process> {
        self.all.iter().filter(|process| Some(process.pid) != self.init).collect()
    }

    /// The processes whose parent is outside of the container. What `docker exec` has started is among them, and so is what
    /// such a process starts beside itself, with the parent that it has (`CLONE_PARENT`): so this does not tell whose
    /// process one is. A process whose parent is inside cannot come by another one, since a parent that ends is followed
    /// by the init.
    pub(crate) fn entered(&self) -> Vec<&Process> {
        let inside: BTreeSet<u32> = self.all.iter().map(|process| process.pid).collect();
        let others = self.others().into_iter();
        others.filter(|process| process.was_seen() && !inside.contains(&process.parent)).collect()
    }

    /// Whether nothing inside can start a process whose parent is outside: only one that has such a parent can.
    pub(crate) fn none_entered(&self) -> bool {
        self.entered().is_empty() && self.others().into_iter().all(Process::was_seen)
    }

    /// All but the init in three: what is held or descends from what is, what may be, and the rest.
    pub(crate) fn parted(&self, held: impl Fn(&Process) -> bool, may_be: impl Fn(&Process) -> bool) -> Parted {
        let held = self.with_descendants(self.others().into_iter().filter(|process| held(process)));
        let may_be = self.with_descendants(self.entered().into_iter().filter(|process| may_be(process)));
        let others = self.others().into_iter().cloned();
        let (sessions, rest) = others.partition(|process| held.contains(&process.pid));
        let (in_doubt, left) = Vec::into_iter(rest).partition(|process| may_be.contains(&process.pid));
        Parted { sessions, in_doubt, left }
    }

    fn with_descendants<'a>(&self, roots: impl Iterator<Item = &'a Process>) -> BTreeSet<u32> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        self.others().iter().for_each(|process| children.entry(process.parent).or_default().push(process.pid));
        let mut todo: Vec<u32> = roots.filter(|process| process.was_seen()).map(|process| process.pid).collect();
        let mut within: BTreeSet<u32> = todo.iter().copied().collect();
        while let Some(pid) = todo.pop() {
            let below = children.get(&pid).into_iter().flatten().copied();
            todo.extend(below.filter(|child| within.insert(*child)));
        }
        within
    }
}

/// What is alive, by whether a session holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parted {
    /// What sessions hold that go on.
    pub(crate) sessions: Vec<Process>,
    /// Among these is a session that goes on; it cannot be known which ones are its own.
    pub(crate) in_doubt: Vec<Process>,
    /// What no session holds.
    pub(crate) left: Vec<Process>,
}

/// The answer of `docker top`: the engine lists the members of the cgroup, and asks `ps` about them.
fn parse_top(text: &str) -> Option<Vec<Process>> {
    let up = cgroup::uptime()?.as_secs();
    let process = |line: &str| {
        let mut rest = line;
        let mut number = || {
            let (word, tail) = rest.trim_start().split_once(char::is_whitespace)?;
            rest = tail;
            word.parse::<u64>().ok()
        };
        let [pid, parent, age] = [number()?, number()?, number()?];
        Some(Process {
            pid: u32::try_from(pid).ok()?,
            parent: u32::try_from(parent).ok()?,
            state: 'S',
            started: up.saturating_sub(age).saturating_mul(clock_ticks_per_second()),
            args: rest.trim().to_owned(),
        })
    };
    text.lines().skip(1).map(process).collect()
}

/// Ends what `pick` chooses of all that is alive, until it chooses nothing: a signal, a grace period, and the next signal.
/// It is asked again and again, because what is to be ended may start more; what starts more faster than it is ended is
/// ended while the engine has frozen the container. `stop` ends the waiting early. Returns what is left, each with the
/// reason.
///
/// # Errors
/// What is alive cannot be listed.
pub(crate) fn end(
    container: &Container,
    pick: impl Fn(&Alive) -> Vec<Process>,
    stop: impl Fn() -> bool,
) -> Result<Vec<NotEnded>> {
    let list = || {
        let alive = Alive::read(container)?;
        let picked = pick(&alive);
        Ok((alive, picked))
    };
    rounds(list, || Frozen::new(&container.id), stop)
}

fn rounds<F>(
    list: impl Fn() -> Result<(Alive, Vec<Process>)>,
    freeze: impl FnOnce() -> Result<F>,
    stop: impl Fn() -> bool,
) -> Result<Vec<NotEnded>> {
    let mut left = Vec::new();
    for (signal, grace) in GRACE {
        left = round(&list, signal, grace, &stop)?;
        if left.is_empty() || stop() {
            return Ok(left);
        }
    }
    // What the kernel does not let this user signal is not ended by freezing it.
    if left.iter().all(|(_, why)| why != STAYED) {
        return Ok(left);
    }
    let frozen = freeze()?;
    round(&list, Signal::KILL, Duration::ZERO, &stop)?;
    drop(frozen);
    let (_, grace) = GRACE[1];
    round(&list, Signal::KILL, grace, &stop)
}

/// Sends one signal to all that is listed, once each, until nothing is listed or the time is over. Each list is made once
/// for all that is in it, so that thousands take as long as their number says, and not its square.
fn round(
    list: impl Fn() -> Result<(Alive, Vec<Process>)>,
    signal: Signal,
    grace: Duration,
    stop: impl Fn() -> bool,
) -> Result<Vec<NotEnded>> {
    let (deadline, mut told) = (Instant::now() + grace, BTreeMap::new());
    loop {
        let (alive, now) = list()?;
        let Some(cgroup) = &alive.cgroup else {
            let why = "this host cannot read the container's cgroup";
            return Ok(now.into_iter().map(|process| (process, why.to_owned())).collect());
        };
        if now.is_empty() {
            return Ok(Vec::new());
        }
        let new: Vec<&Process> = now.iter().filter(|process| !told.contains_key(&process.id())).collect();
        let refused = cgroup.signal(new.iter().copied(), signal, &stop).map_err(failed)?;
        told.extend(new.iter().map(|process| (process.id(), STAYED.to_owned())));
        told.extend(refused);
        if stop() || Instant::now() > deadline {
            let why = |process: &Process| told.get(&process.id()).cloned().unwrap_or_else(|| STAYED.to_owned());
            return Ok(now.into_iter().map(|process| (why(&process), process)).map(|(why, it)| (it, why)).collect());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A container whose processes do not run, and start nothing, as long as this lives. What is sent SIGKILL meanwhile ends
/// before it runs again.
struct Frozen<'a> {
    container: &'a str,
}

impl Frozen<'_> {
    fn new(container: &str) -> Result<Frozen<'_>> {
        // Also where the engine has not said in time that it did.
        let frozen = Frozen { container };
        let said = exec::capture(&docker::pause(container))?;
        if said.ok() { Ok(frozen) } else { Err(failed(format!("not frozen: {}", said.stderr.trim())).into()) }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let command = docker::unpause(self.container);
        if !exec::capture(&command).is_ok_and(|said| said.ok()) {
            ui::warn(format_args!("the container may be frozen: `{command}` lets it go on"));
        }
    }
}

/// For the fuzzer: the answer of `docker top`.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let lines = text.lines().skip(1).count();
    assert!(parse_top(text).is_none_or(|all| all.len() == lines), "a process was passed over");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn process(pid: u32, parent: u32, started: u64, args: &str) -> Process {
        Process { pid, parent, state: 'S', started, args: args.into() }
    }

    fn pids<'a>(processes: impl IntoIterator<Item = &'a Process>) -> Vec<u32> {
        processes.into_iter().map(|process| process.pid).collect()
    }

    /// An init (100) of the engine's (90), a session (200, 201), what an ended session left (210), and what was started
    /// after the process ids began anew (50).
    fn inside() -> Vec<Process> {
        vec![
            process(50, 100, 9000, "sleep infinity"),
            process(100, 90, 1000, "python3 /sandbox/init.py"),
            process(200, 90, 5000, "codex"),
            process(201, 200, 5001, "bash"),
            process(210, 100, 4000, "python3 /sandbox/init.py"),
            process(220, 90, 4500, "x -- sleep infinity"),
        ]
    }

    #[test]
    fn the_init_is_the_containers_own_whatever_others_call_themselves() {
        let alive = Alive::new(Some(100), inside(), None);
        assert_eq!(pids(alive.others()), [50, 200, 201, 210, 220]);
        let unknown = Process { state: '?', ..process(300, 0, 0, "") };
        let alive = Alive::new(Some(100), [inside(), vec![unknown]].concat(), None);
        assert_eq!(pids(alive.others()), [50, 200, 201, 210, 220, 300], "what was not seen is nobody's");
        assert_eq!(Alive::new(None, inside(), None).others().len(), 6);
    }

    #[test]
    fn a_session_is_what_descends_from_the_docker_exec_that_a_call_holds() {
        let alive = Alive::new(Some(100), inside(), None);
        assert_eq!(pids(alive.entered()), [200, 220]);
        let parted = |held, may_be: &[u32]| {
            let parted = alive.parted(|root| root.pid == held, |root| may_be.contains(&root.pid));
            [parted.sessions, parted.in_doubt, parted.left].map(|all| pids(&all))
        };
        assert_eq!(parted(200, &[]), [vec![200, 201], vec![], vec![50, 210, 220]]);
        // A program of this tool in the background; what an agent starts is never held.
        assert_eq!(parted(210, &[]), [vec![210], vec![], vec![50, 200, 201, 220]]);
        // What a session holds is in no doubt, and what has its parent inside is no session's first process.
        assert_eq!(parted(220, &[200, 210, 220]), [vec![220], vec![200, 201], vec![50, 210]]);
    }

    #[test]
    fn what_has_such_a_parent_can_start_another_and_what_was_not_seen_may_be_such() {
        let children: Vec<Process> =
            inside().into_iter().filter(|process| ![200, 201, 220].contains(&process.pid)).collect();
        assert!(Alive::new(Some(100), children.clone(), None).none_entered());
        assert!(!Alive::new(Some(100), inside(), None).none_entered());
        let unknown = Process { state: '?', ..process(300, 0, 0, "") };
        assert!(!Alive::new(Some(100), [children, vec![unknown]].concat(), None).none_entered());
    }

    #[test]
    fn the_engines_list_is_read_by_its_numbers_and_what_is_odd_is_not_understood() {
        let text = "PID  PPID  ELAPSED  COMMAND\n100 90 5 python3 /sandbox/init.py\n50 100 1 sleep infinity\n";
        let alive = Alive::new(Some(100), parse_top(text).unwrap(), None);
        assert_eq!(pids(alive.others()), [50]);
        assert_eq!(parse_top("PID\n1 x 3 y\n"), None);
    }

    #[test]
    fn what_starts_more_than_can_be_ended_is_ended_while_the_container_is_frozen() {
        let dir = tempfile::tempdir().unwrap();
        let (me, asked, frozen) = (std::process::id(), Cell::new(0), Cell::new(false));
        std::fs::write(dir.path().join("cgroup.procs"), format!("{me}\n")).unwrap();
        // Each list has a process that has ended by the time of the signal, and another one is there instead.
        let list = || {
            asked.set(asked.get() + 1);
            let hops = if frozen.get() { vec![] } else { vec![process(u32::MAX, 1, asked.get(), "hop")] };
            Ok((Alive::new(Some(me), hops.clone(), Some(Cgroup::at(dir.path().into(), me))), hops))
        };
        let freeze = || {
            frozen.set(true);
            Ok(())
        };
        assert_eq!(rounds(list, freeze, || false).unwrap(), []);
        assert!(frozen.take());
        let left = rounds(list, || -> Result<()> { panic!("it was to stop") }, || true).unwrap();
        assert_eq!(pids(left.iter().map(|(process, _)| process)), [u32::MAX]);
    }

    #[test]
    fn what_ignores_the_first_signal_is_killed_and_what_is_not_wanted_stays() {
        let dir = tempfile::tempdir().unwrap();
        let start = |script| duct::cmd!("sh", "-c", script).unchecked().stdout_null().start().unwrap();
        let (stubborn, other) = (start("trap '' TERM; while :; do sleep 0.1; done"), start("exec sleep 600"));
        let (me, wanted, kept) = (std::process::id(), stubborn.pids()[0], other.pids()[0]);
        std::fs::write(dir.path().join("cgroup.procs"), format!("{me}\n{wanted}\n{kept}\n")).unwrap();
        let list = || {
            let all: Vec<Process> = [me, wanted, kept].into_iter().filter_map(Process::read).collect();
            let to_end = |process: &&Process| process.pid == wanted && process.state != 'Z';
            let listed = all.iter().filter(to_end).cloned().collect();
            Ok((Alive::new(Some(me), all, Some(Cgroup::at(dir.path().into(), me))), listed))
        };
        assert_eq!(rounds(list, || Ok(()), || false).unwrap(), []);
        assert!(stubborn.wait_timeout(Duration::from_secs(20)).unwrap().is_some());
        assert!(other.wait_timeout(Duration::from_millis(100)).unwrap().is_none());
        other.kill().unwrap();
    }
}
