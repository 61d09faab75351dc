//! The one place that starts processes. Each of these functions does it in another way:
//!
//! - [`capture`]: a query; its output is a value. Not echoed, always bounded.
//! - [`run`]: work that the user should see; echoed, its output passes through to standard error.
//! - [`follow`]: both at once; its standard output is a value, its standard error is shown as it comes.
//! - [`talk()`]: a query in several lines, whose input stays open until all is known.
//! - [`until()`]: a question to what may never answer; it is left behind then.
//! - [`attach`]: the child owns the terminal, and its exit status is the result.
//! - [`watch()`]: the output is thrown away; a function observes the process from outside, then the process and all its
//!   descendants are ended.
//!
//! What is kept of an output has a ceiling: a program inside a container may be one that the agent has put there.
//!
//! duct runs all of them (pipes, timeouts). `std::process::Command` starts nothing.

mod child;
mod half;
mod kept;
mod lifeline;
mod talk;
mod tied;
mod until;
mod watch;

pub(crate) use child::end_all;
use child::{Child, Group};
pub(crate) use kept::{End, follow};
use lifeline::Pulse;
pub(crate) use lifeline::doubt;
pub(crate) use talk::{Next, Talk, Wish, talk};
pub(crate) use tied::{become_tied, by_this_program as tie_by_this_program};
pub(crate) use until::until;
pub(crate) use watch::{has_ended, process_tree, watch};

use crate::beneath::Beneath;
use crate::distro::Distro;
use crate::error::{self, Failure, failed, interrupted};
use crate::step::{Command, Step};
use crate::{context, inherited, signals, ui};
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

/// How often it is asked whether a command may go on.
const TICK: Duration = Duration::from_millis(100);

/// The bound on a query that names none.
const QUERY_BOUND: Duration = Duration::from_secs(20);

/// The same for work that the user sees, such as the installation of packages.
const WORK_BOUND: Duration = Duration::from_secs(3600);

/// A bound that nobody lives to see.
const LONGEST: Duration = Duration::from_secs(3_000_000_000);

/// How long the end of a child is waited for after SIGKILL: in a call of a file system that does not answer it may never come.
const UNENDING: Duration = Duration::from_secs(2);

/// The exit code of what SIGKILL has ended.
const KILLED: i32 = 128 + 9;

/// The PATH of everything that is started, where it differs from the PATH of this process.
static SEARCH: OnceLock<String> = OnceLock::new();

/// Sets the PATH by which this process looks for programs from now on; all that it starts gets this PATH too.
pub(crate) fn search(path: &str) {
    let _ = SEARCH.set(path.to_owned());
}

/// What of this process's environment is handed on to everything that it starts.
static HANDED_ON: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    inherited::handed_on(context::variables().filter_map(|(name, value)| Some((name, value.into_string().ok()?))))
});

/// Variables that are left out of it, because they name what a sandbox can write.
static LEFT_OUT: OnceLock<Vec<String>> = OnceLock::new();

/// Where sandboxes can write: no program of these directories is started.
static GROUNDS: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Sets what is left out of the environment of everything that is started from now on, and where no program may lie.
pub(crate) fn keep_out(variables: Vec<String>, grounds: Vec<PathBuf>) {
    _ = (LEFT_OUT.set(variables), GROUNDS.set(grounds));
}

/// The environment of a command, built from nothing: a variable that nobody thought of is in none.
fn environment(command: &Command) -> BTreeMap<&str, &str> {
    let left_out = |name: &String| LEFT_OUT.get().is_some_and(|left_out| left_out.contains(name));
    let handed_on = HANDED_ON.iter().filter(|(name, _)| !left_out(name));
    let mut env: BTreeMap<&str, &str> = handed_on.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    env.extend(SEARCH.get().map(|path| ("PATH", path.as_str())));
    env.extend(command.env.iter().chain(&command.secret_env).map(|(name, value)| (name.as_str(), value.as_str())));
    env
}

/// The output of a process.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The exit code; 128 + N where signal N ended the process.
    pub(crate) code: i32,
    /// Invalid UTF-8 is replaced.
    pub(crate) stdout: String,
    /// Invalid UTF-8 is replaced.
    pub(crate) stderr: String,
}

impl Output {
    fn new(code: i32, stdout: &[u8], stderr: &[u8]) -> Output {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Output { code, stdout: text(stdout), stderr: text(stderr) }
    }

    pub(crate) fn ok(&self) -> bool {
        self.code == 0
    }
}

/// An exit status as one number, as a shell gives it: the code, or 128 + the signal.
fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The program's own path: the standard library starts it by `posix_spawn` then. By a name it would `fork`, which copies the
/// page tables of this whole process. What is not found is left to the start, which says so.
fn program(command: &Command) -> OsString {
    let found = match SEARCH.get() {
        Some(path) => which::which_in(&command.program, Some(path), "/"),
        None => which::which(&command.program),
    };
    // A name must not become a `Path`: `duct` takes such for one in the working directory.
    found.map_or_else(|_| OsString::from(&command.program), PathBuf::into_os_string)
}

/// The same, which must lie where no sandbox can write.
fn judged(command: &Command) -> Result<OsString> {
    let program = program(command);
    GROUNDS.get().map_or(Ok(()), |grounds| inherited::refuse_program(Path::new(&program), grounds))?;
    Ok(program)
}

fn expression(command: &Command) -> Result<duct::Expression> {
    let program = judged(command)?;
    let before = if command.tied { tied::before(&program) } else { Vec::new() };
    let mut words = before.into_iter().chain([program]).chain(command.args.iter().map(OsString::from));
    let first = words.next().unwrap_or_default();
    let mut expr = duct::cmd(first, words).full_env(environment(command));
    if let Some(dir) = &command.dir {
        expr = expr.dir(dir);
    }
    if let Some(bytes) = &command.stdin {
        expr = expr.stdin_bytes(bytes.clone());
    }
    Ok(expr.unchecked())
}

/// The same with an empty standard input, where the command brings no text for it.
fn without_input(command: &Command) -> Result<duct::Expression> {
    let expr = expression(command)?;
    Ok(if command.stdin.is_none() { expr.stdin_null() } else { expr })
}

/// When a bound that begins now has passed. One that a user gives may be longer than any clock goes.
fn deadline(bound: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(bound).unwrap_or_else(|| now + LONGEST)
}

fn start(command: &Command, expr: &duct::Expression) -> Result<duct::Handle> {
    expr.start().map_err(|err| match err.kind() {
        ErrorKind::NotFound => Distro::read().without(&command.program).into(),
        _ => failed(format!("could not start `{}`: {err}", command.program)).into(),
    })
}

/// An expression whose program runs in a process group of its own, which no key of the terminal reaches.
fn apart(expr: &duct::Expression) -> duct::Expression {
    expr.before_spawn(|child| {
        child.process_group(0);
        Ok(())
    })
}

fn kill(command: &Command, handle: &duct::Handle) -> Result<()> {
    handle.kill().with_context(|| format!("stopping `{command}`"))
}

/// Runs a query and returns its output, whatever its exit code. Fails where it cannot start, runs past its bound, or says
/// more than is kept.
pub(crate) fn capture(command: &Command) -> Result<Output> {
    capture_unless(command, || false)
}

/// The same, and it is killed where `stop` answers `true`, which is asked about every 100 ms.
pub(crate) fn capture_unless(command: &Command, stop: impl Fn() -> bool) -> Result<Output> {
    match kept::follow(command, |_| {}, || !stop())? {
        (output, End::Ended) => Ok(output),
        (_, End::Stopped) => Err(interrupted("interrupted").into()),
        (_, End::Late) => {
            let bound = command.timeout.unwrap_or(QUERY_BOUND).as_secs();
            Err(failed(format!("`{command}` did not answer within {bound} s")).into())
        }
    }
}

/// Runs a query and returns its standard output. An exit code other than 0 is an error with its standard error.
pub(crate) fn stdout_of(command: &Command) -> Result<String> {
    let output = capture(command)?;
    if output.ok() { Ok(output.stdout) } else { Err(exit_error(&command.to_string(), output.code, &output.stderr)) }
}

fn exit_error(command: &str, code: i32, stderr: &str) -> anyhow::Error {
    let said = stderr.trim();
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    failed(format!("`{command}` ended with exit code {code}{said}")).into()
}

/// Runs a command that the user should see: echoed first, its output passes through to standard error.
pub(crate) fn run(command: &Command) -> Result<()> {
    ui::echo(command);
    let mut pulse = Pulse::of(command)?;
    let child = Child::start(command, &without_input(command)?.stdout_to_stderr(), Group::Ours)?;
    let bound = command.timeout.unwrap_or(WORK_BOUND);
    let deadline = deadline(bound);
    loop {
        if let Some(status) = child.wait(TICK)? {
            if cut_off(status) {
                return Err(interrupted("interrupted").into());
            }
            return if status.success() { Ok(()) } else { Err(exit_error(&command.name(), code_of(status), "")) };
        }
        if signals::asked() {
            child.end_or_leave(UNENDING)?;
            return Err(interrupted("interrupted").into());
        }
        if let Err(silent) = pulse.beat() {
            child.end()?;
            return Err(silent);
        }
        if Instant::now() >= deadline {
            child.end_or_leave(UNENDING)?;
            let late = failed(format!("`{}` did not end within {} s, and was ended", command.name(), bound.as_secs()));
            return Err(command.longer.into_iter().fold(late, Failure::hint).into());
        }
    }
}

/// Runs steps as [`all`]; what a program of them says of its failure is part of the error too. For programs that have no
/// progress to show.
pub(crate) fn told(steps: &[Step]) -> Result<()> {
    steps.iter().try_for_each(|step| match step {
        Step::Run(command) => {
            ui::echo(command);
            stdout_of(command)?.lines().for_each(ui::say);
            Ok(())
        }
        Step::Note(_) | Step::CreateDir { .. } | Step::WriteFile { .. } | Step::Remove { .. } => one(step),
    })
}

/// Whether a child failed because of a signal that is for this process too: a key in the terminal may reach the child first,
/// also one that has only just left this process's group.
fn cut_off(status: ExitStatus) -> bool {
    let by_signal = code_of(status) > 128;
    if by_signal && !signals::asked() {
        std::thread::sleep(TICK);
    }
    !status.success() && signals::asked()
}

/// Starts a command that owns the terminal: all three streams are ours. `tick` is called about every 200 ms while it
/// runs; when it answers `false` the child is killed, and left behind where not even that ends it. Returns the exit code.
pub(crate) fn attach(command: &Command, mut tick: impl FnMut() -> bool) -> Result<i32> {
    signals::lent(|| {
        let handle = start(command, &expression(command)?)?;
        let pause = Duration::from_millis(200);
        let mut killed: Option<Instant> = None;
        loop {
            if let Some(output) = handle.wait_timeout(pause).with_context(|| format!("waiting for `{command}`"))? {
                return Ok(code_of(output.status));
            }
            if killed.is_some_and(|since| since.elapsed() >= UNENDING) {
                child::left_behind(command, &handle.pids());
                return Ok(KILLED);
            }
            if killed.is_none() && !tick() {
                kill(command, &handle)?;
                killed = Some(Instant::now());
            }
        }
    })
}

/// Runs the steps of a plan in order and stops at the first that fails.
pub(crate) fn all(steps: &[Step]) -> Result<()> {
    steps.iter().try_for_each(one)
}

fn one(step: &Step) -> Result<()> {
    match step {
        Step::Note(text) => {
            ui::say(text);
            Ok(())
        }
        Step::Run(command) => run(command),
        Step::CreateDir { path, mode } => create_dir(path, *mode),
        Step::WriteFile { path, text } => write_file(path, text.as_bytes(), 0o644),
        Step::Remove { path } => remove(path),
    }
}

/// Makes a directory and its parents, and gives it exactly these permission bits.
pub(crate) fn create_dir(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .and_then(|()| {
            // What is as it should be can be used on a file system that is read-only by now.
            let is_so = fs::metadata(path)?.permissions().mode() & 0o7777 == mode;
            if is_so { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(mode)) }
        })
        .with_context(|| format!("cannot make the directory `{}`", path.display()))
}

/// Replaces a file whole (write beside it, then rename), so that a reader never sees half of it.
pub(crate) fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(dir)?;
        let (temp, mut file) = half::beside(path)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)))
            .and_then(|()| fs::rename(&temp, path));
        written.inspect_err(|_| drop(fs::remove_file(&temp)))
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Runs the steps of a plan in order, also those after one that fails, until `stop` says that the user wants it to end: for
/// what tidies up, where each thing that is removed is worth something.
///
/// # Errors
/// All that failed.
pub(crate) fn each(steps: &[Step], stop: &dyn Fn() -> bool) -> Result<()> {
    let mut errors: Vec<anyhow::Error> = Vec::new();
    for step in steps {
        let done = match step {
            Step::Remove { path } => remove_unless(path, stop),
            Step::Note(_) | Step::Run(_) | Step::CreateDir { .. } | Step::WriteFile { .. } => one(step),
        };
        errors.extend(done.err());
        if stop() {
            return Err(
                interrupted("interrupted: the rest stays, and `cargo xtask down` removes it another time").into()
            );
        }
    }
    let Some(first) = errors.first() else { return Ok(()) };
    let whys = errors.iter().map(|err| format!("{err:#}")).collect::<Vec<_>>().join("; ");
    Err(Failure { message: whys, ..error::flatten(first) }.into())
}

/// Removes a file, a link, or a tree, also one that an agent wrote. The directory in which it lies is trusted.
pub(crate) fn remove(path: &Path) -> Result<()> {
    remove_unless(path, &|| false)
}

fn remove_unless(path: &Path, stop: &dyn Fn() -> bool) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(format!("`{}` has no name that could be removed", path.display())).into());
    };
    let parent = match parent.canonicalize() {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(()),
        parent => parent.with_context(|| format!("cannot remove `{}`", path.display()))?,
    };
    Beneath::root_if_there(&parent)?.map_or(Ok(()), |parent| parent.remove_unless(name, stop))
}

/// Runs two independent queries at the same time.
pub(crate) fn both<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let other = scope.spawn(b);
        let first = a();
        match other.join() {
            Ok(second) => (first, second),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests;
