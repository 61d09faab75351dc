//! Programs other than the tool: started, bounded, and their failure shown whole.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Runs a program that must succeed and returns its standard output.
#[track_caller]
pub(crate) fn output<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> String {
    let (code, stdout, stderr) = outcome(&program, args);
    assert_eq!(code, 0, "{}: {stdout}{stderr}", program.as_ref().display());
    stdout
}

/// Runs a program and returns its exit code and both its streams. A program that is missing fails the test.
#[track_caller]
pub(crate) fn outcome<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
) -> (i32, String, String) {
    let Said { code, stdout, stderr } = bounded(Command::new(&program).args(args), "", LONGEST);
    (code.unwrap_or(-1), stdout, stderr)
}

/// How long a program may run that no test bounds by itself: more than the image's build takes on a slow machine.
const LONGEST: Duration = Duration::from_secs(1200);

/// How long the rest of an output is waited for after the program that writes it has been ended.
const REST: Duration = Duration::from_secs(2);

/// What a program said.
pub(crate) struct Said {
    /// The exit code; `None` where a signal or the bound ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program within a bound. At the bound it is killed with all that it has started: what goes on alone would hold the
/// pipes open, and the test would hang on what it was to find.
#[track_caller]
pub(crate) fn bounded(command: &mut Command, stdin: &'static str, bound: Duration) -> Said {
    let end = Instant::now() + bound;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|err| panic!("cannot start {command:?}: {err}"));
    let mut input = child.stdin.take().expect("a pipe");
    // A program that ends without reading all of it is none of this function's business.
    std::thread::spawn(move || drop(input.write_all(stdin.as_bytes())));
    let mut streams = [reader(child.stdout.take().expect("a pipe")), reader(child.stderr.take().expect("a pipe"))];
    let mut status = None;
    while Instant::now() < end {
        status = status.or_else(|| child.try_wait().expect("a child of this process"));
        if status.is_some() && streams.iter().all(|(_, thread)| thread.is_finished()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut late = String::new();
    if status.is_none() {
        let tree = descendants(child.id());
        late = format!("(ended by the test after {} s, with the processes {tree:?})\n", bound.as_secs());
        for pid in tree {
            // It may have ended meanwhile.
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not 0");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let rest = Instant::now() + REST;
        while Instant::now() < rest && !streams.iter().all(|(_, thread)| thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    child.wait().expect("a child of this process");
    let [stdout, stderr] = streams
        .each_mut()
        .map(|(read, _)| String::from_utf8_lossy(&read.lock().expect("a reader that does not panic")).into_owned());
    Said { code: status.and_then(|status| status.code()), stdout, stderr: stderr + &late }
}

/// Reads a stream to its end, beside the caller, who can look at what there is before that.
fn reader(mut stream: impl Read + Send + 'static) -> (Arc<Mutex<Vec<u8>>>, JoinHandle<()>) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&all);
    let thread = std::thread::spawn(move || {
        let mut part = [0; 1 << 14];
        while let Ok(n @ 1..) = stream.read(&mut part) {
            kept.lock().expect("a caller that does not panic").extend_from_slice(&part[..n]);
        }
    });
    (all, thread)
}

/// A process and all that descends from it, as the kernel lists them now.
fn descendants(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        all.extend(
            children
                .flat_map(|line| line.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()).collect::<Vec<_>>()),
        );
        next += 1;
    }
    all
}

/// Asks again until there is an answer, for at most `seconds`; then the test fails with what was waited for.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {seconds} s for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The first program of this name on this process's own PATH.
#[track_caller]
pub(crate) fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("`{program}` is not on PATH: `cargo xtask test --install-engine` installs what the tests need")
    })
}

/// Copies a file or a directory with all that is in it, keeping modes and links.
#[track_caller]
pub(crate) fn copy(from: &Path, to: &Path) {
    output("cp", [OsStr::new("-a"), OsStr::new("--reflink=auto"), from.as_os_str(), to.as_os_str()]);
}

/// A program that waits for hours, and can be told from that of every other test by its words.
pub(crate) fn endless() -> String {
    format!("sleep 6{:08}", std::process::id())
}

/// Whether a program with exactly these words runs on this machine.
pub(crate) fn runs(words: &str) -> bool {
    matches(&format!("^{words}$"))
}

/// Whether a program runs whose words match.
pub(crate) fn matches(pattern: &str) -> bool {
    outcome(find("pgrep"), ["--full", pattern]).0 == 0
}

#[test]
fn what_hangs_is_ended_at_its_bound_with_all_that_it_started() {
    let hangs = "echo begun; sleep 1000 & echo $!; cat; sleep 1000";
    let said = bounded(Command::new("sh").args(["-c", hangs]), "read\n", Duration::from_secs(1));
    assert_eq!(said.code, None);
    let (begun, rest) = said.stdout.split_once('\n').expect("lines");
    let (pid, read) = rest.split_once('\n').expect("lines");
    assert_eq!((begun, read), ("begun", "read\n"));
    assert!(said.stderr.starts_with("(ended by the test after 1 s"), "{}", said.stderr);
    wait_for("the end of what it started", 10, || (!Path::new("/proc").join(pid).join("exe").exists()).then_some(()));
}
