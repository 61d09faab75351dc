//! The group of the inside witness, as the host sees it: which processes of the container are in it.

use super::probe::field;
use crate::engine::cgroup::{Cgroup, Process};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a process that was sent SIGKILL may take to end.
const DYING: Duration = Duration::from_secs(1);

/// The processes of a container that have a group, whichever kind of group id it is.
pub(super) struct WitnessGroup {
    pub(super) cgroup: Cgroup,
    pub(super) gid: u32,
}

impl WitnessGroup {
    pub(super) fn has(&self, pid: u32) -> Option<bool> {
        is_in(Path::new(&format!("/proc/{pid}")), self.gid)
    }

    /// Its members now.
    ///
    /// # Errors
    /// Why they cannot be seen.
    pub(super) fn members(&self) -> Result<Vec<Process>, String> {
        let seen = self.cgroup.each(|pid| Some((self.has(pid)?, Process::read(pid)?)))?;
        let mut members = Vec::new();
        for (_, seen) in seen {
            let (member, process) = seen.ok_or("processes inside end faster than the host can look at them")?;
            members.extend(member.then_some(process));
        }
        // It may have taken long to see all of them.
        members.retain(|process| self.has(process.pid) != Some(false) && Process::read(process.pid).is_some());
        Ok(members)
    }

    /// Ends what is in the group. Gives what does not end.
    ///
    /// # Errors
    /// As [`WitnessGroup::members`].
    pub(super) fn emptied(&self) -> Result<Vec<u32>, String> {
        let until = Instant::now() + DYING;
        loop {
            let members = self.members()?;
            if members.is_empty() || Instant::now() > until {
                return Ok(members.into_iter().map(|process| process.pid).collect());
            }
            self.kill(&members);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What does not end is found again by the next look.
    pub(super) fn kill(&self, processes: &[Process]) {
        let _ = self.cgroup.signal(processes, Signal::KILL, || false);
    }
}

/// Whether a process is in a group, by its directory in `/proc`; `None` where it ends, or threads of it do, while it is
/// looked at. The kernel keeps user and group ids for each thread, so that each counts.
fn is_in(process: &Path, gid: u32) -> Option<bool> {
    let first = fs::read_to_string(process.join("status")).ok()?;
    let threads = threads(&first)?;
    if threads == 0 {
        return Some(false);
    }
    if has_gid(&first, gid) {
        return Some(true);
    }
    if threads == 1 {
        return Some(false);
    }
    let mut seen = 0;
    for thread in fs::read_dir(process.join("task")).ok()?.flatten() {
        let Ok(status) = fs::read_to_string(thread.path().join("status")) else { continue };
        if has_gid(&status, gid) {
            return Some(true);
        }
        seen += 1;
    }
    // A list that was made while a thread ended may lack others too. The kernel's own number lacks none.
    (seen >= threads).then_some(false)
}

/// How many threads a process still has, by the `status` of its first one. That this one has ended (`Z`, `X`) says nothing
/// of the others: it is kept, and counted, until the last of them has ended too.
fn threads(status: &str) -> Option<usize> {
    let threads: usize = field(status, "Threads")?.trim().parse().ok()?;
    let ended = field(status, "State")?.starts_with(['Z', 'X']);
    Some(if ended && threads <= 1 { 0 } else { threads })
}

fn has_gid(status: &str, gid: u32) -> bool {
    field(status, "Gid").unwrap_or_default().split_whitespace().any(|field| field.parse() == Ok(gid))
}

/// For the fuzzer: the `status` of a process. Only one that is seen to have ended has no thread.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    if threads(text) == Some(0) {
        assert!(field(text, "State").is_some_and(|state| state.starts_with(['Z', 'X'])));
    }
    assert!(!has_gid(text, 7) || text.contains('7'));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, threads: u32, gids: &str) -> String {
        format!("Name:\tx\nState:\t{state}\nUid:\t0\t0\t0\t0\nGid:\t{gids}\nThreads:\t{threads}\n")
    }

    #[test]
    fn each_kind_of_group_id_counts() {
        for gids in ["7\t1\t1\t1", "1\t7\t1\t1", "1\t1\t7\t1", "1\t1\t1\t7"] {
            assert!(has_gid(&status("S (sleeping)", 1, gids), 7), "{gids}");
        }
        assert!(!has_gid(&status("S (sleeping)", 1, "77\t77\t77\t77"), 7));
    }

    #[test]
    fn a_process_has_ended_when_its_last_thread_has() {
        let threads = |state, number| threads(&status(state, number, "7\t7\t7\t7"));
        assert_eq!(threads("Z (zombie)", 1), Some(0));
        assert_eq!(threads("X (dead)", 0), Some(0));
        assert_eq!(threads("Z (zombie)", 2), Some(2), "its first thread alone");
        assert_eq!(threads("T (stopped)", 1), Some(1));
        assert_eq!(super::threads("State:\tZ (zombie)\n"), None);
    }

    #[test]
    fn every_thread_of_a_process_counts_also_where_the_first_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let thread = |number: &str, text: String| {
            let at = dir.path().join("task").join(number);
            fs::create_dir_all(&at).unwrap();
            fs::write(at.join("status"), text).unwrap();
        };
        let is_in = || is_in(dir.path(), 7);
        assert_eq!(is_in(), None, "it is gone");
        for state in ["Z (zombie)", "S (sleeping)"] {
            let first = status(state, 2, "1\t1\t1\t1");
            fs::write(dir.path().join("status"), &first).unwrap();
            thread("10", first.clone());
            let _ = fs::remove_dir_all(dir.path().join("task/11"));
            assert_eq!(is_in(), None, "one of them was not seen");
            thread("11", status("S (sleeping)", 2, "1\t1\t1\t1"));
            assert_eq!(is_in(), Some(false));
            thread("11", status("S (sleeping)", 2, "1\t7\t1\t1"));
            assert_eq!(is_in(), Some(true));
        }
    }

    #[test]
    fn what_is_in_the_group_is_found_and_ended_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let children = [0; 2].map(|_| duct::cmd!("sleep", "600").unchecked().start().unwrap());
        let pids = children.each_ref().map(|child| child.pids()[0]);
        fs::write(dir.path().join("cgroup.procs"), format!("{}\n{}\n", pids[0], pids[1])).unwrap();
        let gid = rustix::process::getgid().as_raw();
        let group = |gid| WitnessGroup { cgroup: Cgroup::at(dir.path().to_owned(), pids[0]), gid };
        let members = |gid| group(gid).members().unwrap().iter().map(|process| process.pid).collect::<Vec<_>>();
        let (own, other) = (group(gid), group(gid + 1));
        assert_eq!((own.has(pids[1]), other.has(pids[1]), own.has(u32::MAX)), (Some(true), Some(false), None));
        let mut both = pids.to_vec();
        both.sort_unstable();
        assert_eq!((members(gid), members(gid + 1)), (both, Vec::new()));
        assert_eq!(other.emptied(), Ok(Vec::new()));
        assert!(children.iter().all(|child| child.try_wait().unwrap().is_none()), "they are in another group");
        assert_eq!(own.emptied(), Ok(Vec::new()));
        for child in children {
            assert!(child.wait_timeout(Duration::from_secs(20)).unwrap().is_some(), "it goes on");
        }
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_is_seen_as_the_kernel_shows_it() {
        // Python cannot end its first thread alone; the system call does.
        let script = "import ctypes, platform, threading, time\n\
                      threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n\
                      ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)";
        let child = duct::cmd!("python3", "-c", script).unchecked().start().unwrap();
        let (pid, until) = (child.pids()[0], Instant::now() + Duration::from_secs(20));
        let proc = format!("/proc/{pid}");
        let dead = || Process::read(pid).is_some_and(|process| process.state == 'Z');
        while !dead() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let gid = rustix::process::getgid().as_raw();
        assert!(dead(), "its first thread goes on");
        assert_eq!((is_in(Path::new(&proc), gid), is_in(Path::new(&proc), gid + 1)), (Some(true), Some(false)));
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL)
            .unwrap();
        let whole = || fs::read_to_string(format!("{proc}/status")).ok().and_then(|status| threads(&status)) == Some(0);
        while !whole() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(is_in(Path::new(&proc), gid), Some(false), "all of it has ended, and nobody has waited for it");
        child.wait().unwrap();
    }
}
