//! A process that is observed from outside, and then ended with all its descendants.

use super::{QUERY_BOUND, apart, deadline, expression, kill, start};
use crate::step::Command;
use anyhow::{Context as _, Result};
use std::fs;
use std::time::{Duration, Instant};

/// Starts a command in a process group of its own. Its standard input is an open pipe without a byte in it, and its
/// output is thrown away. `look` is called about every 20 ms with its process id, until it has an answer, the command
/// ends, or its bound passes (`None`). Then the command and all its descendants are ended.
pub(crate) fn watch<T>(command: &Command, mut look: impl FnMut(u32) -> Option<T>) -> Result<Option<T>> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let expr = expression(command)?.stdin_file(reader).stdout_null().stderr_null();
    let handle = start(command, &apart(&expr))?;
    let leader = handle.pids().first().copied().unwrap_or_default();
    let deadline = deadline(command.timeout.unwrap_or(QUERY_BOUND));
    let mut seen = None;
    while seen.is_none() && Instant::now() < deadline && matches!(handle.try_wait(), Ok(None)) {
        seen = look(leader);
        if seen.is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // A descendant that left the group is ended too. A pidfd is safe against PID reuse: it stays with its process.
    let started: Vec<_> = process_tree(leader)
        .into_iter()
        .skip(1)
        .filter_map(|pid| rustix::process::pidfd_open(pid_of(pid)?, rustix::process::PidfdFlags::empty()).ok())
        .collect();
    drop(writer);
    // Most programs end when their input ends; half a second gives them time to close their files.
    let ended = handle.wait_timeout(Duration::from_millis(500));
    // The kernel does not reuse the number of a group that still has members, so the members left in it are ours.
    if let Some(group) = pid_of(leader) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    for process in started {
        let _ = rustix::process::pidfd_send_signal(process, rustix::process::Signal::KILL);
    }
    if !matches!(ended, Ok(Some(_))) {
        kill(command, &handle)?;
    }
    Ok(seen)
}

fn pid_of(pid: u32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)
}

/// The process ids of a process and all its descendants, itself first. A process that has ended meanwhile is left out.
pub(crate) fn process_tree(pid: u32) -> Vec<u32> {
    let mut tree = vec![pid];
    let mut next = 0;
    while let Some(pid) = tree.get(next).copied() {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            tree.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    tree
}

/// Whether a process has ended. A zombie counts as ended: in a container whose first process is not an init, it stays in
/// the process table for good.
pub(crate) fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program stands in parentheses, and may itself contain parentheses.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, None | Some('Z' | 'X'))
}
