//! File systems whose server hangs: a stopped FUSE server, as an NFS server that cannot be reached, keeps every call waiting.
//! They are named within the bound of the run, and a signal ends the wait.

use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::Xtask;
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A directory that a server of the test's own shows, which does not answer.
struct Stopped {
    at: PathBuf,
    server: Child,
}

impl Stopped {
    fn new(place: &Place, name: &str) -> Stopped {
        let (from, at) = (place.mkdir(&format!("{name}-source/clips")), place.mkdir(name));
        let from = from.parent().expect("a directory around it").to_owned();
        // In the foreground, so that its number is known.
        let args = [PathBuf::from("-f"), from, at.clone()];
        let server = Command::new("bindfs").args(args).stdout(Stdio::null()).spawn().expect("bindfs is installed");
        let stopped = Stopped { at, server };
        proc::wait_for("the mount", 60, || stopped.at.join("clips").exists().then_some(()));
        let pid = Pid::from_raw(i32::try_from(stopped.server.id()).expect("a number")).expect("not 0");
        kill_process(pid, Signal::STOP).expect("it runs");
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = proc::outcome("umount", ["-l".as_ref(), self.at.as_os_str()]);
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn task<'a>(place: &'a Place, task: &str, workspace: &str) -> Xtask<'a> {
    let dir = |name: &str| place.path(name).display().to_string();
    let data = format!("ssv2={}", dir("data"));
    Xtask::at(place).with_network().args([task, "--workspace", &dir(workspace), "--dataset", &data]).within(30)
}

#[test]
fn a_data_set_whose_server_hangs_is_named_by_every_task() {
    let place = Place::new();
    place.mkdir("work");
    let stopped = Stopped::new(&place, "data");
    let at = stopped.at.display();
    let said = format!("the data set `ssv2` at `{at}`: the file system at `{at}` (");
    for name in ["sandbox", "mounts", "status", "doctor"] {
        let run = task(&place, name, "work").run().ended(3);
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(text.contains(&said) && text.contains(") does not answer"), "{name}: {text}");
        assert!(text.contains("umount -l"), "{name}: {text}");
    }
}

#[test]
fn a_link_into_a_file_system_that_hangs_is_followed_by_another_process_only() {
    let place = Place::new();
    place.mkdir("work");
    let stopped = Stopped::new(&place, "far");
    std::os::unix::fs::symlink(stopped.at.join("clips"), place.path("data")).expect("a link");
    let run = task(&place, "status", "work").run().ended(3);
    let said = format!("the file system at `{}` (", stopped.at.display());
    assert!(run.error().contains(&said), "{}", run.error());
}

#[test]
fn down_needs_no_data_set_and_beside_a_workspace_that_hangs_it_touches_the_engine_alone() {
    let place = Place::new();
    for dir in ["work", "data/clips", "state/codex-sandbox"] {
        place.mkdir(dir);
    }
    let stopped = Stopped::new(&place, "far");
    let run = task(&place, "down", "far").args(["--yes"]).run().ended(3);
    assert!(run.error().contains("there was no container `codex-sandbox-far-"), "{}", run.error());
    assert!(run.error().contains("and nothing else: the workspace at"), "{}", run.error());
    drop(stopped);
    let data = Place::new();
    data.mkdir("work");
    let _stopped = Stopped::new(&data, "data");
    // It is known by no sandbox; but it is not refused for its data.
    let run = task(&data, "down", "work").args(["--yes"]).run().ended(0);
    assert!(run.stderr.contains("there was no container"), "{}", run.stderr);
}

#[test]
fn a_signal_ends_the_wait_for_a_file_system() {
    let place = Place::new();
    place.mkdir("work");
    let _stopped = Stopped::new(&place, "data");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let words = task(&place, "status", "work").words();
        let mut call = Command::new(&words[0]).args(&words[1..]).stderr(Stdio::null()).spawn().expect("the tool");
        let pid = Pid::from_raw(i32::try_from(call.id()).expect("a number")).expect("not 0");
        // Until it has started the process that asks.
        let children = format!("/proc/{0}/task/{0}/children", call.id());
        proc::wait_for("the question", 20, || {
            let text = std::fs::read_to_string(&children).unwrap_or_default();
            text.split_whitespace()
                .any(|child| {
                    let line = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
                    line.split('\0').any(|word| word == "answers")
                })
                .then_some(())
        });
        kill_process(pid, signal).expect("it waits");
        let status = proc::wait_for("its end", 20, || call.try_wait().expect("a child"));
        assert_eq!(status.code(), Some(code));
    }
}
