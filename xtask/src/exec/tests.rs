//! Processes that end, hang, and leave others behind.

use super::*;
use std::time::Instant;

/// How long the end of a process is waited for. What hangs in these tests would do so for 6,000 s, so that a wait for it is
/// ended by the test runner's own bound: no test says how fast this machine is.
const ENDS: Duration = Duration::from_secs(120);

#[test]
fn a_watched_command_is_ended_with_all_that_it_started() {
    // One child in the group, one that left it; neither ends when the input does.
    let command = Command::new("sh").args(["-c", "sleep 6000 & setsid sleep 6000 & wait"]).timeout(6000);
    let seen = watch(&command, |pid| Some(process_tree(pid)).filter(|tree| tree.len() == 3)).unwrap();
    let tree = seen.expect("a shell and two children");
    let alive = |pid: &u32| !has_ended(&pid.to_string());
    let deadline = Instant::now() + ENDS;
    while tree.iter().any(alive) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!tree.iter().any(alive), "{tree:?}");
}

#[test]
fn a_followed_command_shows_its_errors_as_they_come_and_keeps_both_streams() {
    let command = Command::new("sh").args(["-c", "echo one >&2; echo out; echo two >&2; exit 7"]);
    let mut lines = Vec::new();
    let (said, end) = follow(&command, |line| lines.push(line.to_owned()), || true).unwrap();
    assert_eq!((said.code, said.stdout.as_str(), end), (7, "out\n", End::Ended));
    assert_eq!((said.stderr.as_str(), lines), ("one\ntwo\n", vec!["one".to_owned(), "two".to_owned()]));
}

#[test]
fn a_followed_command_ends_when_it_is_told_to_or_when_its_bound_passes() {
    let hangs = Command::new("sleep").arg("6000").timeout(1);
    assert_eq!(follow(&hangs, |_| {}, || true).unwrap().1, End::Late);
    assert_eq!(follow(&hangs, |_| {}, || false).unwrap().1, End::Stopped);
}

#[test]
fn what_says_more_than_is_kept_is_ended() {
    let endless = |script: &str| Command::new("sh").args(["-c", script]).timeout(6000).at_most(1 << 20);
    let text = capture(&endless("exec head -c 200000000 /dev/zero")).unwrap_err().to_string();
    assert!(text.ends_with("said more than 1 MiB on its standard output, and was ended"), "{text}");
    let text = follow(&endless("exec yes >&2"), |_| {}, || true).unwrap_err().to_string();
    assert!(text.ends_with("said more than 1 MiB on its standard error, and was ended"), "{text}");
    let text = stdout_of(&endless("while :; do echo; done")).unwrap_err().to_string();
    assert!(text.contains("more than 1 MiB"), "{text}");
    let most = capture(&endless("exec head -c 1048576 /dev/zero")).unwrap();
    assert_eq!((most.ok(), most.stdout.len()), (true, 1 << 20));
}

#[test]
fn what_a_killed_command_has_started_keeps_nobody_waiting() {
    let left = Command::new("sh").args(["-c", "echo said; sleep 6000 & exec sleep 6000"]).timeout(1);
    let (said, end) = follow(&left, |_| {}, || true).unwrap();
    assert_eq!((said.stdout.as_str(), end), ("said\n", End::Late));
}

#[test]
fn a_watched_command_that_ends_or_hangs_has_no_answer() {
    assert_eq!(watch(&Command::new("true"), |_| None::<u32>).unwrap(), None);
    let hangs = Command::new("sleep").arg("6000").timeout(1);
    assert_eq!(watch(&hangs, |_| None::<u32>).unwrap(), None);
}

#[test]
fn a_process_that_nobody_waits_for_has_ended() {
    // The shell becomes `sleep`, which waits for none of its children.
    let command = Command::new("sh").args(["-c", "sh -c 'exit 0' & exec sleep 30"]).timeout(5);
    let seen = watch(&command, |pid| {
        let child = *process_tree(pid).get(1)?;
        has_ended(&child.to_string()).then(|| fs::metadata(format!("/proc/{child}")).is_ok())
    });
    assert_eq!(seen.unwrap(), Some(true), "it is in the process table still");
    assert!(has_ended("4194305"), "a number that no process can have");
    assert!(!has_ended(&std::process::id().to_string()));
}

#[test]
fn a_query_ends_when_it_is_not_wanted_any_more() {
    let text = capture_unless(&Command::new("sleep").arg("6000").timeout(6000), || true).unwrap_err().to_string();
    assert_eq!(text, "interrupted");
    let text = capture_unless(&Command::new("sleep").arg("6000").timeout(1), || false).unwrap_err().to_string();
    assert_eq!(text, "`sleep 6000` did not answer within 1 s");
    assert!(capture_unless(&Command::new("true"), || true).is_ok());
}

#[test]
fn a_tree_that_is_closed_to_its_owner_is_removed_and_what_its_links_lead_to_stays() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let set = |name: &str, mode| fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir_all(at("home/skills/deep/deeper")).unwrap();
    fs::create_dir_all(at("home/listed")).unwrap();
    fs::create_dir(at("outside")).unwrap();
    fs::write(at("outside/kept"), "").unwrap();
    fs::write(at("home/skills/deep/deeper/file"), "").unwrap();
    fs::write(at("home/listed/file"), "").unwrap();
    std::os::unix::fs::symlink(at("outside"), at("home/skills/deep/link")).unwrap();
    for closed in ["home/skills/deep/deeper", "home/skills/deep", "home/skills", "home", "outside"] {
        set(closed, 0o000);
    }
    set("home", 0o700);
    set("home/listed", 0o444);
    set("home", 0o555);
    all(&[Step::Remove { path: at("home") }, Step::Remove { path: at("home") }]).unwrap();
    all(&[Step::Remove { path: at("missing/home") }]).unwrap();
    set("outside", 0o700);
    assert!(at("outside/kept").exists() && !at("home").exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Starts a shell command of which nobody learns that it has ended, as of one that waits in the kernel for a file system: as long
/// as another process traces it, and does not ask, the kernel does not tell its parent.
fn unending(dir: &Path) -> Command {
    let script = "import ctypes, os, time\n\
                  libc = ctypes.CDLL(None, use_errno=True)\n\
                  traced, (ready, done) = os.getpid(), os.pipe()\n\
                  libc.prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)\n\
                  if os.fork() == 0:\n    \
                      os.setsid()\n    \
                      assert libc.ptrace(0x4206, traced, None, None) == 0\n    \
                      open('tracer', 'w').write(str(os.getpid()))\n    \
                      os.write(done, b'x')\n    \
                      os.close(1); os.close(2); time.sleep(6000)\n\
                  os.read(ready, 1)\n\
                  print('said', flush=True)\n\
                  time.sleep(6000)\n";
    Command::new("python3").args(["-c", script]).dir(dir).timeout(6000)
}

/// Ends what an [`unending`] command has left.
fn end_tracer(dir: &Path) {
    let pid = fs::read_to_string(dir.join("tracer")).unwrap().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
}

#[test]
fn what_nothing_ends_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let traced = || dir.path().join("tracer").metadata().is_ok_and(|file| file.len() > 0);
    let hangs = unending(dir.path());
    let (said, end) = follow(&hangs, |_| {}, || !traced()).unwrap();
    assert_eq!((said.code, end), (KILLED, End::Stopped));
    end_tracer(dir.path());
    fs::remove_file(dir.path().join("tracer")).unwrap();
    assert_eq!(attach(&hangs, || !traced()).unwrap(), KILLED);
    end_tracer(dir.path());
    fs::remove_file(dir.path().join("tracer")).unwrap();
    let late = run(&hangs.timeout(2)).unwrap_err().to_string();
    assert!(late.contains("did not end within 2 s"), "{late}");
    end_tracer(dir.path());
}

#[test]
fn a_bound_that_is_longer_than_any_clock_goes_is_one() {
    let command = Command::new("true").timeout(u64::MAX);
    assert!(capture(&command).unwrap().ok());
    run(&command).unwrap();
}
