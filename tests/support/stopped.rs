//! A file system whose server can be stopped: bindfs, which shows a directory under another name or over itself.

use crate::support::place::Place;
use crate::support::proc;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a server of the test's own shows, as long as it runs.
pub(crate) struct Served {
    pub(crate) at: PathBuf,
    server: Child,
}

impl Served {
    /// Shows a new directory of the place, which has `clips` in it.
    pub(crate) fn new(place: &Place, name: &str) -> Served {
        let from = place.mkdir(&format!("{name}-source/clips"));
        Served::show(from.parent().expect("a directory around it"), &place.mkdir(name))
    }

    /// Shows what is in a directory over that directory.
    pub(crate) fn over(dir: &Path) -> Served {
        Served::show(dir, dir)
    }

    fn show(from: &Path, at: &Path) -> Served {
        // In the foreground, so that its number is known.
        let args = [Path::new("-f"), from, at];
        let server = Command::new("bindfs").args(args).stdout(Stdio::null()).spawn().expect("bindfs is installed");
        let served = Served { at: at.to_owned(), server };
        let here = format!(" {} ", at.display());
        proc::wait_for("the mount", 60, || {
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
            mounts.contains(&here).then_some(())
        });
        served
    }

    fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.server.id()).expect("a number")).expect("not 0");
        kill_process(pid, signal).expect("it runs");
    }

    /// From now on it does not answer.
    pub(crate) fn stop(&self) {
        self.send(Signal::STOP);
    }

    /// It answers again.
    pub(crate) fn go_on(&self) {
        self.send(Signal::CONT);
    }

    /// The same, stopped.
    pub(crate) fn stopped(self) -> Served {
        self.stop();
        self
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = proc::outcome("umount", ["-l".as_ref(), self.at.as_os_str()]);
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
