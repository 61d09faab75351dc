//! Programs other than the tool: started, bounded, and their failure shown whole.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
    let said = Command::new(&program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|err| panic!("cannot start `{}`: {err}", program.as_ref().display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (said.status.code().unwrap_or(-1), text(&said.stdout), text(&said.stderr))
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
