//! The engine that this tool starts where none answers, and stops again.

use crate::context::Context;
use crate::engine::install::privileged;
use crate::engine::{self, docker, errors};
use crate::error::failed;
use crate::outside;
use crate::step::{Command, Step};
use crate::user::User;
use crate::{exec, ui};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an engine may take to answer after it was started.
const START_BOUND: Duration = Duration::from_secs(120);

fn under_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// What `start` does, for the question to the user.
pub(super) fn start_line() -> &'static str {
    if under_systemd() { "systemctl start docker" } else { "dockerd, in the background" }
}

/// The directory with the log and the process id of an engine that this tool started.
fn engine_dir(cx: &Context) -> PathBuf {
    cx.state.join("engine")
}

fn pid_file(cx: &Context) -> PathBuf {
    engine_dir(cx).join("dockerd.pid")
}

/// Starts the installed engine. Returns true where this tool must also stop it.
///
/// # Errors
/// It does not answer, or refuses this user.
pub(super) fn start(cx: &Context, user: &User) -> Result<bool> {
    let root = user.uid == 0;
    if under_systemd() {
        exec::all(&[Step::Run(privileged(root, "systemctl").args(["start", "docker"]))])?;
        wait(|| true)?;
        return Ok(false);
    }
    exec::create_dir(&cx.state, 0o700)?;
    exec::create_dir(&engine_dir(cx), 0o700)?;
    exec::all(&[Step::Remove { path: pid_file(cx) }, Step::Run(dockerd(&engine_dir(cx), user))])?;
    let (pid, began) = (pid_file(cx), Instant::now());
    // dockerd writes the file before anything else, and removes it when it ends.
    let alive = || pid.exists() || began.elapsed() < Duration::from_secs(10);
    if let Err(err) = wait(alive) {
        let log = outside::text(&engine_dir(cx).join("dockerd.log"), outside::STATE).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].iter().for_each(ui::say);
        stop(cx)?;
        return Err(err);
    }
    Ok(true)
}

/// Starts dockerd in a session of its own, so that neither a closed terminal nor the end of this tool ends it. Its socket
/// belongs to root, and to the group of a user who is not root.
fn dockerd(dir: &Path, user: &User) -> Command {
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let command = privileged(user.uid == 0, "sh")
        .args(["-c", r#"exec setsid --fork "$@" >"$0" 2>&1 </dev/null"#, &file("dockerd.log")])
        .args(["dockerd", "--pidfile", &file("dockerd.pid")]);
    if user.uid == 0 { command } else { command.args(["--group".to_owned(), user.gid.to_string()]) }
}

/// Waits until the engine answers, at most for the bound and only while `alive`.
fn wait(alive: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    let version = docker::server_version().timeout(20);
    while began.elapsed() < START_BOUND && alive() {
        match exec::capture(&version) {
            Ok(said) if said.ok() => return Ok(()),
            Ok(said) if errors::is_denied(&said.stderr) => return Err(engine::no_engine(&said.stderr).into()),
            _ => std::thread::sleep(Duration::from_millis(300)),
        }
    }
    Err(failed("the engine was started and does not answer").into())
}

/// The process id of an engine that this tool started and that still runs.
fn running(cx: &Context) -> Option<String> {
    let pid = outside::text(&pid_file(cx), outside::WRITTEN).ok()?.trim().to_owned();
    // The file may be left from an engine that was killed: because of PID reuse, the number may be that of another program.
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (!pid.is_empty() && name.trim() == "dockerd").then_some(pid)
}

/// Stops the engine that this tool started, and only that one. Returns whether there was one.
///
/// # Errors
/// It does not stop.
pub(crate) fn stop(cx: &Context) -> Result<bool> {
    let Some(pid) = running(cx) else { return Ok(false) };
    exec::all(&[Step::Run(privileged(User::read().uid == 0, "sh").args(["-c", r#"kill "$0""#, &pid]))])?;
    let began = Instant::now();
    while !exec::has_ended(&pid) {
        if began.elapsed() > Duration::from_secs(60) {
            return Err(failed(format!("dockerd ({pid}) does not stop")).into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    exec::all(&[Step::Remove { path: engine_dir(cx) }])?;
    Ok(true)
}
