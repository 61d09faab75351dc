//! The processes of a container as the kernel counts them: the members of its cgroup, read on this host.
//!
//! A process cannot leave its cgroup, whatever it calls itself and whoever its parent is: the container's own view of
//! `/sys/fs/cgroup` is read-only, and no process in it has a capability. Nothing here is judged by a name.

use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where the hierarchies are mounted, by systemd's convention, which Docker's own documentation follows.
const MOUNT: &str = "/sys/fs/cgroup";

/// How deep groups below the container's own are looked for, and how many. Only an engine's administrator makes any.
const DEEPEST: usize = 8;
const MOST: usize = 256;

/// The most bytes of a command line that are read: a process can make its own as long as it likes.
const LONGEST: u64 = 4096;

/// How often the processes are listed again where one of them ended before it could be looked at, and the pause before.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// The cgroup of a container. Where there are several hierarchies (v1), the engine puts all that it starts into the same
/// group of each, and nothing inside can leave it in any: so one hierarchy says which processes there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cgroup {
    dir: PathBuf,
    init: u32,
}

/// A process, as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// The kernel's letter: `T` is stopped, `t` is stopped by a tracer, `Z` has ended and was not reaped.
    pub(crate) state: char,
    /// The time of its start, in clock ticks since the host's.
    pub(crate) started: u64,
    /// Its arguments, joined by spaces; the name in brackets where it has none. Both are the process's own to choose.
    pub(crate) args: String,
}

/// A process id, and the time of the process's start in clock ticks: a later process of the same number has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    pub(crate) started: u64,
}

impl Cgroup {
    /// The cgroup of a container, by its full id and the process id of its init.
    ///
    /// # Errors
    /// Why it cannot be read on this host: then another witness must be asked.
    pub(crate) fn of(container: &str, init: u64) -> Result<Cgroup, String> {
        let pid = u32::try_from(init).map_err(|_| format!("`{init}` is no process id"))?;
        let file = format!("/proc/{pid}/cgroup");
        let text = fs::read_to_string(&file).map_err(|err| format!("`{file}`: {err}"))?;
        let dir = places(&text, container).into_iter().find(|dir| dir.is_dir());
        let dir = dir.ok_or_else(|| format!("`{file}` leads to no cgroup of the container below `{MOUNT}`"))?;
        Ok(Cgroup { dir, init: pid })
    }

    /// The process ids of all that is alive in it now. The init is always among them.
    ///
    /// # Errors
    /// A part cannot be read, or the init is not among them: nothing is then known of any process.
    pub(crate) fn pids(&self) -> Result<BTreeSet<u32>, String> {
        let found = members(&self.dir)?;
        if found.contains(&self.init) { Ok(found) } else { Err(format!("`{}` is in none of it", self.init)) }
    }

    /// All members, each with what `look` says of it. One that ends while it is looked at may have started another
    /// meanwhile, which is in no list yet: so the list is made again until each member was seen, and what was seen is not
    /// looked at again. What cannot be seen even then is `None`.
    ///
    /// # Errors
    /// As [`Cgroup::pids`].
    pub(crate) fn each<T>(&self, look: impl Fn(u32) -> Option<T>) -> Result<Vec<(u32, Option<T>)>, String> {
        let (mut seen, mut tries) = (BTreeMap::new(), 0);
        loop {
            let listed = self.pids()?;
            let mut missed = false;
            for pid in listed.iter().filter(|pid| !seen.contains_key(*pid)).copied().collect::<Vec<_>>() {
                match look(pid) {
                    Some(found) => _ = seen.insert(pid, found),
                    None => missed = true,
                }
            }
            tries += 1;
            if tries == TRIES || !missed {
                return Ok(listed.into_iter().map(|pid| (pid, seen.remove(&pid))).collect());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// All processes in it.
    ///
    /// # Errors
    /// As [`Cgroup::pids`].
    pub(crate) fn processes(&self) -> Result<Vec<Process>, String> {
        let seen = self.each(Process::read)?.into_iter();
        Ok(seen.map(|(pid, seen)| seen.unwrap_or_else(|| Process::unseen(pid))).collect())
    }

    /// Sends a signal to processes that were seen in it, and to no others. All of them need one list: what was that very
    /// process before the list was made and still is afterwards, when a pidfd holds it, was it in between. `stop` ends the
    /// sending early. That one has ended is no error. Returns what the kernel does not let this user signal.
    ///
    /// # Errors
    /// The cgroup cannot be read: nothing was sent.
    pub(crate) fn signal<'a>(
        &self,
        processes: impl IntoIterator<Item = &'a Process>,
        signal: Signal,
        stop: impl Fn() -> bool,
    ) -> Result<Vec<(ProcessId, String)>, String> {
        let members = self.pids()?;
        let mut refused = Vec::new();
        for process in processes.into_iter().filter(|process| members.contains(&process.pid)) {
            if stop() {
                break;
            }
            match send(process, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(err) => refused.push((process.id(), err.to_string())),
            }
        }
        Ok(refused)
    }

    #[cfg(test)]
    pub(crate) fn at(dir: PathBuf, init: u32) -> Cgroup {
        Cgroup { dir, init }
    }
}

/// A pidfd stays with its process, and whether that is the one that was seen is asked when the pidfd is already held.
fn send(process: &Process, signal: Signal) -> Result<(), Errno> {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let held = pidfd_open(pid, PidfdFlags::empty())?;
    match Process::read(process.pid) {
        Some(now) if now.id() == process.id() => pidfd_send_signal(held, signal),
        Some(_) | None => Ok(()),
    }
}

/// The lines of `/proc/PID/cgroup`: the controllers of each hierarchy, and the group's path in it. The hierarchy of version
/// 2 has no controllers there.
pub(crate) fn hierarchies(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'))
}

/// The directories in which the container's group may be found: in each hierarchy the part of the path up to the
/// component with the container's id, since its processes may be in groups below that. The hierarchy by which the kernel
/// counts processes comes first.
fn places(text: &str, container: &str) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for (controllers, path) in hierarchies(text) {
        let Some(group) = own_part(Path::new(path), container) else { continue };
        match controllers {
            // v2: alone, or beside v1 under a name of its own.
            "" => dirs.extend(["", "unified"].map(|mount| Path::new(MOUNT).join(mount).join(&group))),
            // v1: `name=systemd` is mounted as `systemd`.
            _ => {
                let name = controllers.strip_prefix("name=").unwrap_or(controllers);
                // A name is one component: anything else would lead elsewhere.
                if !Path::new(name).components().eq([Component::Normal(name.as_ref())]) {
                    continue;
                }
                dirs.push(Path::new(MOUNT).join(name).join(&group));
            }
        }
    }
    dirs.sort_by_key(|dir| !dir.starts_with(Path::new(MOUNT).join("pids")));
    dirs
}

/// `docker/ID` or `system.slice/docker-ID.scope`, with what the engine's administrator put above it. A path with `..`
/// leads out of this process's own view of the hierarchy.
fn own_part(path: &Path, container: &str) -> Option<PathBuf> {
    let mut group = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => {
                group.push(name);
                if !container.is_empty() && name.to_string_lossy().contains(container) {
                    return Some(group);
                }
            }
            Component::RootDir => {}
            Component::ParentDir | Component::CurDir | Component::Prefix(_) => return None,
        }
    }
    None
}

fn members(top: &Path) -> Result<BTreeSet<u32>, String> {
    let mut found = BTreeSet::new();
    let (mut todo, mut seen) = (vec![(top.to_path_buf(), 0)], 0);
    while let Some((dir, depth)) = todo.pop() {
        seen += 1;
        if depth > DEEPEST || seen > MOST {
            return Err(format!("`{}` has more groups below it than are looked at", top.display()));
        }
        let file = dir.join("cgroup.procs");
        let failed = |why: &dyn std::fmt::Display| format!("`{}`: {why}", file.display());
        match fs::read_to_string(&file) {
            Ok(text) => found.extend(parse_pids(&text).map_err(|why| failed(&why))?),
            // A group below, which was removed meanwhile: only an empty one can be.
            Err(err) if depth > 0 && err.kind() == ErrorKind::NotFound => continue,
            Err(err) => return Err(failed(&err)),
        }
        let below = fs::read_dir(&dir).map_err(|err| failed(&err))?.flatten();
        todo.extend(below.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| (e.path(), depth + 1)));
    }
    Ok(found)
}

/// A process of another PID namespace than this one's is listed as 0: then the numbers here are not this host's.
fn parse_pids(text: &str) -> Result<Vec<u32>, String> {
    let pid = |line: &str| line.trim().parse().ok().filter(|pid| *pid > 0);
    text.lines().map(|line| pid(line).ok_or_else(|| format!("`{line}` is no process of this host"))).collect()
}

impl Process {
    /// `None` where there is no such process (any more).
    pub(crate) fn read(pid: u32) -> Option<Process> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let args = File::open(format!("/proc/{pid}/cmdline")).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(LONGEST).read_to_end(&mut bytes).map(|_| bytes)
        });
        Process::parse(&String::from_utf8_lossy(&stat), &String::from_utf8_lossy(&args.unwrap_or_default()))
    }

    /// Reads `/proc/PID/stat` and `/proc/PID/cmdline`. The name in the first stands in parentheses, and may itself have
    /// parentheses, spaces and digits: the fields are counted from the last one.
    fn parse(stat: &str, cmdline: &str) -> Option<Process> {
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // `proc_pid_stat(5)` counts from 1; the state is its field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        let args = cmdline.trim_end_matches('\0').replace('\0', " ");
        Some(Process {
            pid: pid.parse().ok()?,
            parent: field(4)?.parse().ok()?,
            state: field(3)?.chars().next()?,
            started: field(22)?.parse().ok()?,
            args: if args.is_empty() { format!("[{name}]") } else { args },
        })
    }

    /// A member that ended before it could be looked at, or that this user may not look at.
    fn unseen(pid: u32) -> Process {
        Process { pid, parent: 0, state: '?', started: 0, args: "(could not be looked at)".into() }
    }

    /// What no other process ever has, as long as this host runs.
    pub(crate) fn id(&self) -> ProcessId {
        ProcessId { pid: self.pid, started: self.started }
    }

    /// Whether anything is known of it but its pid.
    pub(crate) fn was_seen(&self) -> bool {
        self.state != '?'
    }

    /// Whether it was stopped, by a signal or by a tracer: it does not go on by itself.
    pub(crate) fn stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }

    /// When it was started, by this host's clock.
    pub(crate) fn since(&self) -> Option<SystemTime> {
        let up = self.was_seen().then(uptime).flatten()?;
        let started = Duration::from_millis(self.started.checked_mul(1000)? / clock_ticks_per_second().max(1));
        SystemTime::now().checked_sub(up.checked_sub(started)?)
    }
}

/// For how long this host runs.
pub(super) fn uptime() -> Option<Duration> {
    let up = fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(up.split_whitespace().next()?.parse().ok()?).ok()
}

/// For the fuzzer: the files of `/proc/PID` and of a cgroup. Nothing leads out of the hierarchies.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    for dir in places(text, "c0") {
        assert!(dir.starts_with(MOUNT) && dir.components().all(|part| part != Component::ParentDir), "{dir:?}");
    }
    if let Ok(pids) = parse_pids(text) {
        assert!(pids.len() == text.lines().count() && !pids.contains(&0));
    }
    let (stat, cmdline) = text.split_once('\n').unwrap_or((text, ""));
    if let Some(process) = Process::parse(stat, cmdline) {
        process.since();
        assert!(!process.args.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "34754489e40c9766fc664db97b987104bce39ca6e72dff672094eb879daa3149";

    fn named(text: &str, container: &str) -> Vec<String> {
        places(text, container).iter().map(|dir| dir.display().to_string()).collect()
    }

    #[test]
    fn each_hierarchy_of_version_1_leads_to_the_containers_group() {
        // As it was seen with Docker 26.1 on a host with v1, and v2 beside it.
        let dirs = named(include_str!("fixtures/cgroup-v1.txt"), ID);
        assert_eq!(dirs[0], format!("/sys/fs/cgroup/pids/docker/{ID}"), "it is the one that is read");
        assert!(dirs.contains(&format!("/sys/fs/cgroup/systemd/docker/{ID}")), "{dirs:?}");
        assert!(dirs.contains(&format!("/sys/fs/cgroup/cpu,cpuacct/docker/{ID}")), "{dirs:?}");
        assert!(dirs.contains(&format!("/sys/fs/cgroup/unified/docker/{ID}")), "{dirs:?}");
    }

    #[test]
    fn the_one_hierarchy_of_version_2_leads_there_and_a_group_below_is_not_the_whole() {
        // With the systemd driver, and with the cgroupfs driver and a parent; from the documentation of both drivers.
        let scope = format!("0::/system.slice/docker-{ID}.scope\n");
        assert_eq!(named(&scope, ID)[0], format!("/sys/fs/cgroup/system.slice/docker-{ID}.scope"));
        let below = format!("0::/parent/{ID}/init\n");
        assert_eq!(named(&below, ID)[0], format!("/sys/fs/cgroup/parent/{ID}"));
    }

    #[test]
    fn a_group_that_is_not_known_to_be_the_containers_is_not_taken() {
        for other in ["0::/\n", "0::/user.slice/user-0.slice\n", "0::/../../x\n", "8:pids:/\n", "odd\n", ""] {
            assert_eq!(named(other, ID), Vec::<String>::new(), "{other}");
        }
        for controller in ["/etc", "name=..", "a/b", "name=", "pids/"] {
            let text = format!("8:{controller}:/docker/{ID}\n");
            assert_eq!(named(&text, ID), Vec::<String>::new(), "{text} leads out of the hierarchies");
        }
        assert_eq!(named(&format!("0::/../docker/{ID}\n"), ID), Vec::<String>::new());
        assert_eq!(named(&format!("0::/docker/{ID}\n"), ""), Vec::<String>::new());
        assert!(Cgroup::of(ID, u64::from(std::process::id())).is_err(), "this test is in no container's group");
        assert!(Cgroup::of(ID, u64::MAX).is_err());
    }

    #[test]
    fn members_are_read_from_groups_below_too_and_what_is_odd_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (top, below) = (dir.path().join("cgroup.procs"), dir.path().join("a/b"));
        fs::create_dir_all(&below).unwrap();
        fs::write(&top, "10\n12\n").unwrap();
        fs::write(dir.path().join("a/cgroup.procs"), "").unwrap();
        fs::write(below.join("cgroup.procs"), "11\n12\n").unwrap();
        let group = |init| Cgroup::at(dir.path().to_path_buf(), init);
        assert_eq!(group(10).pids(), Ok([10, 11, 12].into()));
        assert!(group(9).pids().is_err(), "without its init it is another group");
        fs::write(&top, "10\n0\n").unwrap();
        assert!(group(10).pids().unwrap_err().contains("no process of this host"));
        fs::remove_file(&top).unwrap();
        assert!(group(10).pids().is_err());
    }

    #[test]
    fn a_signal_reaches_the_process_that_was_seen_and_no_later_one_of_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let (me, child) = (std::process::id(), duct::cmd!("sleep", "600").unchecked().start().unwrap());
        let pid = child.pids()[0];
        let members = |text: String| fs::write(dir.path().join("cgroup.procs"), text).unwrap();
        let group = Cgroup::at(dir.path().to_path_buf(), me);
        let seen = Process::read(pid).unwrap();
        let alive = || child.wait_timeout(Duration::from_millis(100)).unwrap().is_none();
        let kill = |process: &Process| group.signal([process], Signal::KILL, || false);

        members(format!("{me}\n{pid}\n"));
        let earlier = Process { started: seen.started - 1, ..seen.clone() };
        assert_eq!((kill(&earlier), alive()), (Ok(Vec::new()), true), "another had its number");
        members(format!("{me}\n"));
        assert_eq!((kill(&seen), alive()), (Ok(Vec::new()), true), "it is in no container's group");
        members(format!("{me}\n{pid}\n"));
        assert_eq!((group.signal([&seen], Signal::KILL, || true), alive()), (Ok(Vec::new()), true), "stopped in time");
        assert_eq!(kill(&seen), Ok(Vec::new()));
        assert!(child.wait_timeout(Duration::from_secs(20)).unwrap().is_some());
        assert_eq!(kill(&seen), Ok(Vec::new()), "it has ended");
        let listed = group.processes().unwrap();
        assert!(listed.iter().any(|process| process.pid == pid && !process.was_seen()), "{listed:?}");
    }

    #[test]
    fn the_fields_are_counted_behind_whatever_a_process_calls_itself() {
        let fields = "S 7 1 1 0 -1 4194560 1 2 0 0 3 4 5 6 20 0 1 0 1193394 9 9";
        let read = |name: &str, cmdline: &str| Process::parse(&format!("42 ({name}) {fields}\n"), cmdline).unwrap();
        let sleep = read("sleep", "sleep\0infinity\0");
        let expected = Process { pid: 42, parent: 7, state: 'S', started: 1_193_394, args: "sleep infinity".into() };
        assert_eq!(sleep, expected);
        let odd = read("a) Z 1 1 (b\n", "");
        assert_eq!((odd.parent, odd.state, odd.args.as_str()), (7, 'S', "[a) Z 1 1 (b\n]"));
        assert!(!odd.stopped() && Process { state: 't', ..odd }.stopped());
        assert_eq!(Process::parse("42 (sleep) S 7\n", ""), None);
        let me = Process::read(std::process::id()).unwrap();
        assert!(me.since().is_some_and(|since| since <= SystemTime::now()) && !me.stopped());
    }
}
