//! What is alive in a container beside its init, which is the container's own and out of the agent's reach
//! (`docker/init.py`). Judged by pids, parents and start times, as the host sees them; never by a name.

use crate::engine::cgroup::{self, Cgroup, Process};
use crate::engine::docker;
use crate::engine::inspect::Container;
use crate::error::failed;
use crate::exec;
use anyhow::Result;
use rustix::param::clock_ticks_per_second;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long the processes have to end after each signal.
const GRACE: [(Signal, Duration); 2] = [(Signal::TERM, Duration::from_secs(3)), (Signal::KILL, Duration::from_secs(3))];

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

    /// The first processes of each `docker exec`. Their parent is the engine's, outside of the container: no process
    /// inside can make itself one, since a parent that ends is followed by the init.
    pub(crate) fn entered(&self) -> Vec<&Process> {
        let inside: BTreeSet<u32> = self.all.iter().map(|process| process.pid).collect();
        let others = self.others().into_iter();
        others.filter(|process| process.was_seen() && !inside.contains(&process.parent)).collect()
    }

    /// The others in two: those that are held or descend from one that is, and the rest.
    pub(crate) fn parted(&self, held: impl Fn(&Process) -> bool) -> (Vec<Process>, Vec<Process>) {
        let others = self.others();
        let seen = others.iter().filter(|process| process.was_seen() && held(process));
        let mut within: BTreeSet<u32> = seen.map(|process| process.pid).collect();
        loop {
            let known = within.len();
            within.extend(
                others.iter().filter(|process| within.contains(&process.parent)).map(|p| p.pid).collect::<Vec<_>>(),
            );
            if within.len() == known {
                break;
            }
        }
        others.into_iter().cloned().partition(|process| within.contains(&process.pid))
    }
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

/// Ends what `wanted` lists, until it lists nothing: a signal, a grace period, and the next signal. It is asked again
/// and again, because what is to be ended may start more. `stop` ends the waiting early. Returns what is left, each
/// with the reason.
///
/// # Errors
/// What is alive cannot be listed.
pub(crate) fn end(
    mut wanted: impl FnMut() -> Result<(Alive, Vec<Process>)>,
    stop: impl Fn() -> bool,
) -> Result<Vec<NotEnded>> {
    let mut left = Vec::new();
    for (signal, grace) in GRACE {
        let (deadline, mut told) = (Instant::now() + grace, BTreeSet::new());
        loop {
            let (alive, now) = wanted()?;
            let Some(cgroup) = &alive.cgroup else {
                let why = "this host cannot read the container's cgroup";
                return Ok(now.into_iter().map(|process| (process, why.to_owned())).collect());
            };
            left.retain(|(process, _): &NotEnded| now.iter().any(|other| other.id() == process.id()));
            for process in now.iter().filter(|process| told.insert(process.id())) {
                if stop() {
                    break;
                }
                if let Err(why) = cgroup.signal(process, signal) {
                    left.push((process.clone(), why));
                }
            }
            if now.is_empty() {
                return Ok(Vec::new());
            }
            if stop() || Instant::now() > deadline {
                left.extend(now.into_iter().map(|process| (process, "it did not end".to_owned())));
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if stop() {
            break;
        }
    }
    let mut seen = BTreeSet::new();
    left.retain(|(process, _)| seen.insert(process.id()));
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (sessions, leftovers) = alive.parted(|root| root.pid == 200);
        assert_eq!((pids(&sessions), pids(&leftovers)), (vec![200, 201], vec![50, 210, 220]));
        // A program of this tool in the background; what an agent starts is never held, since it is in `entered` nowhere.
        let (sessions, leftovers) = alive.parted(|process| process.pid == 210);
        assert_eq!((pids(&sessions), pids(&leftovers)), (vec![210], vec![50, 200, 201, 220]));
    }

    #[test]
    fn the_engines_list_is_read_by_its_numbers_and_what_is_odd_is_not_understood() {
        let text = "PID  PPID  ELAPSED  COMMAND\n100 90 5 python3 /sandbox/init.py\n50 100 1 sleep infinity\n";
        let alive = Alive::new(Some(100), parse_top(text).unwrap(), None);
        assert_eq!(pids(alive.others()), [50]);
        assert_eq!(parse_top("PID\n1 x 3 y\n"), None);
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
        assert_eq!(end(list, || false).unwrap(), []);
        assert!(stubborn.wait_timeout(Duration::from_secs(20)).unwrap().is_some());
        assert!(other.wait_timeout(Duration::from_millis(100)).unwrap().is_none());
        other.kill().unwrap();
    }
}
