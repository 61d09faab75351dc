//! File systems on which nothing can be written any more: full, without inodes, read-only. What fails says where; nothing that
//! this tool keeps is lost; and once there is room again, the next call works.

use super::faults::waiting::Leaving;
use crate::support::proc;
use crate::support::run::{Run, Xtask};
use crate::support::sandbox::Sandbox;
use std::fs;
use std::path::{Path, PathBuf};

/// A file system of its own in memory, over a directory and with what was in it.
struct Small(PathBuf);

impl Small {
    fn over(dir: &Path) -> Small {
        fs::create_dir_all(dir).expect("a directory");
        let kept = dir.with_extension("kept");
        proc::output("cp", ["-a".as_ref(), dir.as_os_str(), kept.as_os_str()]);
        proc::output(
            "mount",
            ["-t", "tmpfs", "-o", "size=1g,nr_inodes=40k,mode=700", "none"]
                .map(AsRef::as_ref)
                .into_iter()
                .chain([dir.as_os_str()]),
        );
        proc::output("cp", ["-a".into(), format!("{}/.", kept.display()), dir.display().to_string()]);
        fs::remove_dir_all(kept).expect("the copy");
        Small(dir.to_owned())
    }

    fn mount(&self, options: &str) {
        proc::output("mount", ["-o".as_ref(), options.as_ref(), self.0.as_os_str()]);
    }

    /// Makes it so that nothing can be written, and calls; then takes that back.
    fn during<T>(&self, fault: Fault, call: impl FnOnce() -> T) -> T {
        let filler = self.0.join("filler");
        match fault {
            Fault::Full => {
                // The last page too: a file of a few bytes must not fit either.
                proc::outcome("sh", ["-c", "cat /dev/zero > \"$0\" 2>/dev/null; true", &filler.display().to_string()]);
            }
            Fault::NoInodes => {
                fs::create_dir(&filler).expect("a directory");
                for n in 0.. {
                    if fs::write(filler.join(n.to_string()), "").is_err() {
                        break;
                    }
                }
            }
            Fault::ReadOnly => self.mount("remount,ro"),
        }
        let done = call();
        match fault {
            Fault::Full => fs::remove_file(&filler).expect("what filled it"),
            Fault::NoInodes => fs::remove_dir_all(&filler).expect("what filled it"),
            Fault::ReadOnly => self.mount("remount,rw"),
        }
        done
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = proc::outcome("umount", ["-l".as_ref(), self.0.as_os_str()]);
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Full,
    NoInodes,
    ReadOnly,
}

const TASKS: &[&[&str]] = &[
    &["status"],
    &["doctor"],
    &["image", "--check"],
    &["gpu-smoke", "--dry-run"],
    &["commits", "--take"],
    &["sandbox", "--yes", "--", "--version"],
    &["down", "--yes"],
];

/// All that this tool keeps and reads again is whole.
#[track_caller]
fn is_whole(dir: &Path, what: &str) {
    let files = proc::output("find", [&dir.display().to_string(), "-name", "*.json", "-type", "f", "-size", "-1000k"]);
    for file in files.lines().filter(|file| !file.contains("/codex/") && !file.contains("codex-home")) {
        let text = fs::read_to_string(file).expect("a file that is kept");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{what}: `{file}` is cut off: {text}");
    }
}

/// What was said is one error with the place, or nothing failed.
#[track_caller]
fn is_said(run: &Run<'_>, place: &Path, what: &str) {
    let text = format!("{}{}", run.stdout, run.stderr);
    assert!(!text.contains("panicked"), "{what}: {text}");
    match run.code {
        Some(0) => {}
        Some(1..=3) => {
            let names = text.contains(&place.display().to_string());
            let why = ["No space left", "Read-only", "ENOSPC", "EROFS"].iter().any(|why| text.contains(why));
            assert!(names && why && text.contains("`df -i`") | text.contains("read-only"), "{what}: {text}");
        }
        code => panic!("{what}: {code:?} {text}"),
    }
}

fn task<'a>(sandbox: &'a Sandbox, tmp: &Path, task: &[&str]) -> Xtask<'a> {
    let without = ["image", "gpu-smoke", "commits", "down"].contains(&task[0]);
    let run = match task[0] {
        "commits" | "down" => sandbox.task_by_settings(task[0]),
        _ if without => sandbox.task_without_data(task[0]),
        _ => sandbox.task(task[0]),
    };
    run.args(task[1..].iter().copied()).env("TMPDIR", tmp.as_os_str())
}

/// Every task beside each fault, with a sandbox that runs.
fn nothing_can_be_written(dir: impl Fn(&Sandbox) -> PathBuf) {
    let sandbox = Sandbox::new();
    let tmp = sandbox.place.mkdir("tmp");
    let git = |args: &[&str]| proc::output("git", [&["-C", &sandbox.workspace().display().to_string()], args].concat());
    git(&["init", "-q"]);
    git(&["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first"]);
    let dir = dir(&sandbox);
    let small = Small::over(&dir);
    for fault in [Fault::Full, Fault::NoInodes, Fault::ReadOnly] {
        task(&sandbox, &tmp, &["sandbox", "--yes", "--", "--version"]).run().ok();
        for words in TASKS {
            let what = format!("{words:?}, {fault:?}");
            let run = small.during(fault, || task(&sandbox, &tmp, words).within(120).run());
            is_said(&run, &dir, &what);
            is_whole(&sandbox.place.path("state"), &what);
        }
    }
    task(&sandbox, &tmp, &["sandbox", "--yes", "--", "--version"]).run().ok();
    task(&sandbox, &tmp, &["down", "--yes"]).run().ok();
}

/// Each fault comes while a session goes on: its leave can write nothing there.
fn nothing_can_be_written_at_the_leave(dir: impl Fn(&Sandbox) -> PathBuf, faults: &[Fault], is_kept: bool) {
    let leaving = Leaving::new();
    // Made here, so that there is something to be covered.
    leaving.sandbox.enter(["--version"]).ok();
    let small = Small::over(&dir(&leaving.sandbox));
    // The container has the directories that were there before.
    leaving.sandbox.task("down").args(["--yes"]).run().ok();
    for fault in faults {
        let what = format!("{fault:?}");
        let call = leaving.begin();
        let (code, stderr) = small.during(*fault, || {
            leaving.goes();
            call.end()
        });
        let why = ["No space left", "Read-only"].iter().any(|why| stderr.contains(why));
        assert!(code == Some(7) && !stderr.contains("panicked"), "{what}: {code:?} {stderr}");
        assert!(why || !is_kept, "{what}: what is not recorded is not said: {stderr}");
        is_whole(&leaving.sandbox.place.path("state"), &what);
        leaving.after(&what);
    }
}

#[test]
fn the_state_folder_at_the_leave_of_a_session() {
    // A session has files open there, so that nobody can make it read-only meanwhile.
    let faults = [Fault::Full, Fault::NoInodes];
    nothing_can_be_written_at_the_leave(|sandbox| sandbox.place.path("state"), &faults, true);
}

#[test]
fn the_home_directory_at_the_leave_of_a_session() {
    let faults = [Fault::Full, Fault::NoInodes, Fault::ReadOnly];
    nothing_can_be_written_at_the_leave(|sandbox| sandbox.place.path("home"), &faults, false);
}

/// What takes the last inode can be removed by this tool itself.
#[test]
fn a_sandbox_is_removed_whole_where_no_inode_is_left() {
    let sandbox = Sandbox::new();
    let small = Small::over(&sandbox.place.path("state"));
    for fault in [Fault::NoInodes, Fault::Full] {
        sandbox.enter(["--version"]).ok();
        small.during(fault, || sandbox.task("down").args(["--all", "--yes"]).run().ok());
        let workspaces = fs::read_dir(sandbox.place.path("state/codex-sandbox/workspaces")).expect("the folder");
        assert_eq!(workspaces.count(), 0, "{fault:?}");
    }
}

/// A sandbox can be ended though nothing can be noted.
#[test]
fn down_ends_a_sandbox_whose_state_folder_is_read_only() {
    let sandbox = Sandbox::new();
    let small = Small::over(&sandbox.place.path("state"));
    sandbox.enter(["--version"]).ok();
    let run = small.during(Fault::ReadOnly, || sandbox.task("down").args(["--yes"]).run().ended(3));
    assert!(run.error().contains("Read-only file system") && run.error().contains("hint: "), "{}", run.stderr);
    assert_eq!(sandbox.containers(), Vec::<String>::new());
    sandbox.task("down").args(["--yes"]).run().ok();
}

#[test]
fn the_state_folder() {
    nothing_can_be_written(|sandbox| sandbox.place.path("state"));
}

#[test]
fn the_target_directory() {
    nothing_can_be_written(|sandbox| sandbox.place.root().join("target"));
}

#[test]
fn the_workspace() {
    nothing_can_be_written(Sandbox::workspace);
}

#[test]
fn the_directory_for_temporary_files() {
    nothing_can_be_written(|sandbox| sandbox.place.path("tmp"));
}

#[test]
fn the_home_directory() {
    nothing_can_be_written(|sandbox| sandbox.place.path("home"));
}
