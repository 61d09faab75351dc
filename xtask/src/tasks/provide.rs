//! Brings up what a task needs and this machine lacks, after asking: programs, and an engine where none answers. An
//! engine that is there is used as it is. What is chosen is decided in `host::install`.

use crate::context::Context;
use crate::error::{failed, host, usage};
use crate::exec;
use crate::host::engine;
use crate::host::install::{self, Distribution, Lacks, Part, Plan, privileged};
use crate::host::user::User;
use crate::step::{Command, Step};
use crate::ui;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an engine may take to answer after it was started.
const START_BOUND: Duration = Duration::from_secs(120);

/// Whether something may be installed and started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// It was asked for on the command line.
    Given,
    /// There is a terminal: ask.
    Ask,
    /// Neither.
    None,
}

impl Consent {
    /// From the flag and the terminal.
    pub fn of(cx: &Context, flag: bool) -> Consent {
        match (flag, cx.stdin_tty) {
            (true, _) => Consent::Given,
            (false, true) => Consent::Ask,
            (false, false) => Consent::None,
        }
    }
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// What is missing.
    pub lacks: Lacks,
    /// Why no engine answers; `None` where one does.
    pub silent: Option<String>,
}

impl Found {
    /// Whether there is nothing to do.
    pub fn is_ready(&self) -> bool {
        self.lacks.is_empty() && self.silent.is_none()
    }

    /// What is missing, for a sentence.
    pub fn list(&self) -> String {
        match &self.silent {
            Some(_) if !self.lacks.parts.contains(&Part::Engine) => {
                let lacks = self.lacks.list();
                let more = if lacks.is_empty() { "" } else { ", " };
                format!("an engine that answers{more}{lacks}")
            }
            _ => self.lacks.list(),
        }
    }
}

/// Looks for an engine and programs. Reads only.
///
/// # Errors
/// An engine that is there and does not answer to this user: it is nobody's to be replaced (exit code 3).
pub fn look(cx: &Context, programs: &[&str]) -> Result<Found> {
    let has = |program: &str| missing(cx, &[program]).is_empty();
    let client = has("docker");
    let ask = |args: &[&str]| client.then(|| exec::capture(&Command::new("docker").args(args.iter().copied())));
    let answer = ask(&["version", "--format", "{{.Server.Version}}"]);
    let silent = match answer {
        None => Some("there is no `docker` on PATH".to_owned()),
        Some(Ok(said)) if said.ok() => None,
        Some(Ok(said)) => {
            let elsewhere = cx.var("DOCKER_HOST").is_some() || said.stderr.contains("tcp://");
            if elsewhere || said.stderr.contains("permission denied") {
                return Err(engine::no_engine(&said.stderr).into());
            }
            Some(said.stderr.trim().lines().next_back().unwrap_or_default().to_owned())
        }
        Some(Err(err)) => Some(err.to_string()),
    };
    let plugin = |name: &str| ask(&[name, "version"]).is_some_and(|said| said.is_ok_and(|said| said.ok()));
    let mut parts = Vec::new();
    for (part, there) in [
        (Part::Engine, silent.is_none() || has("dockerd")),
        (Part::Client, client),
        (Part::Compose, plugin("compose")),
        (Part::Buildx, plugin("buildx")),
    ] {
        if !there {
            parts.push(part);
        }
    }
    let programs = missing(cx, programs);
    Ok(Found {
        lacks: Lacks { parts, programs },
        silent,
    })
}

/// The programs among these that are not installed.
pub fn missing(cx: &Context, programs: &[&str]) -> Vec<String> {
    // An ordinary user's PATH leaves out where the system's own programs lie.
    let path = format!("{}:/usr/sbin:/sbin", cx.var("PATH").unwrap_or_default());
    let missing = programs
        .iter()
        .filter(|program| which::which_in(program, Some(&path), "/").is_err());
    missing.map(|program| (*program).to_owned()).collect()
}

/// What was brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provided {
    /// The packages that were asked of the distribution.
    pub packages: Vec<String>,
    /// Whether Debian's next release was made known to apt.
    pub next: bool,
    /// Whether an engine was started that is this tool's to stop.
    pub started: bool,
}

/// Installs and starts what is missing, after asking.
///
/// # Errors
/// Neither a terminal nor `--install-engine`, a no, or a distribution that is not known (exit code 3); a step that fails.
pub fn provide(cx: &Context, found: &Found, consent: Consent) -> Result<Provided> {
    if found.is_ready() {
        ui::say("nothing is missing");
        return Ok(Provided::default());
    }
    let user = User::read();
    let root = user.uid == 0;
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let plan = match found.lacks.is_empty() {
        true => Plan {
            root,
            ..Plan::default()
        },
        false => install::plan(&found.lacks, &Distribution::parse(&text), root)?,
    };
    agree(found, &plan, consent)?;
    install(&plan)?;
    let mut provided = Provided {
        packages: [plan.tools.as_slice(), plan.engine.as_slice()].concat(),
        next: plan.next && !plan.engine.is_empty(),
        started: false,
    };
    if found.silent.is_none() && found.lacks.parts.is_empty() {
        return Ok(provided);
    }
    // A package may have started the engine already, in its distribution's own way.
    let now = look(cx, &[])?;
    if !now.lacks.is_empty() {
        return Err(failed(format!("still missing after the installation: {}", now.lacks.list())).into());
    }
    if now.silent.is_some() {
        provided.started = start(cx, &user)?;
    }
    Ok(provided)
}

fn agree(found: &Found, plan: &Plan, consent: Consent) -> Result<()> {
    let mut lines = plan.lines();
    if found.silent.is_some() {
        lines.push(start_line().to_owned());
    }
    let lacking = format!("this machine lacks {}", found.list());
    if consent == Consent::None {
        return Err(host(lacking)
            .hint(format!("`--install-engine` brings it: {}", lines.join("; ")))
            .into());
    }
    ui::say(format_args!(
        "{lacking}. To bring it{}:",
        if plan.root { "" } else { ", by sudo" }
    ));
    lines.iter().for_each(|line| ui::say(format_args!("  {line}")));
    if consent == Consent::Ask && !ui::confirm("Do that?") {
        return Err(usage("nothing was installed")
            .hint("install it by hand, then run this again")
            .into());
    }
    Ok(())
}

fn install(plan: &Plan) -> Result<()> {
    if plan.tools.is_empty() && plan.engine.is_empty() {
        return Ok(());
    }
    exec::all(&plan.first())?;
    if plan.engine.is_empty() {
        return Ok(());
    }
    let query = Command::new("apt-get").args(["indextargets", "--format", install::SOURCES]);
    exec::all(&plan.prepare(&exec::stdout_of(&query)?)?)?;
    let simulated = exec::stdout_of(&plan.simulation())?;
    let touched = install::upgraded(&simulated);
    if !touched.is_empty() {
        return Err(failed(format!(
            "installing the engine would upgrade or remove `{}`",
            touched.join("`, `")
        ))
        .hint(format!("nothing of it was installed; by hand: `{}`", plan.second()))
        .into());
    }
    exec::all(&[plan.second()])
}

fn under_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn start_line() -> &'static str {
    if under_systemd() {
        "systemctl start docker"
    } else {
        "dockerd, in the background"
    }
}

/// Where an engine that this tool started keeps its log and its process id.
fn engine_dir(cx: &Context) -> PathBuf {
    cx.state.join("engine")
}

fn pid_file(cx: &Context) -> PathBuf {
    engine_dir(cx).join("dockerd.pid")
}

/// Starts the installed engine; true where it is this tool's to stop.
fn start(cx: &Context, user: &User) -> Result<bool> {
    let root = user.uid == 0;
    if under_systemd() {
        exec::all(&[Step::Run(privileged(root, &["systemctl", "start", "docker"]))])?;
        wait(|| true)?;
        return Ok(false);
    }
    exec::create_dir(&cx.state, 0o700)?;
    exec::create_dir(&engine_dir(cx), 0o700)?;
    exec::all(&[
        Step::Remove { path: pid_file(cx) },
        Step::Run(dockerd(&engine_dir(cx), user)),
    ])?;
    let (pid, began) = (pid_file(cx), Instant::now());
    // dockerd writes the file first of all, and takes it away when it ends.
    let alive = || pid.exists() || began.elapsed() < Duration::from_secs(10);
    if let Err(err) = wait(alive) {
        let log = std::fs::read_to_string(engine_dir(cx).join("dockerd.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].iter().for_each(ui::say);
        stop(cx)?;
        return Err(err);
    }
    Ok(true)
}

/// dockerd in a session of its own: neither this terminal nor this tool's end ends it. Its socket is for root, and for
/// the group of a user who is not.
fn dockerd(dir: &Path, user: &User) -> Command {
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let command = privileged(
        user.uid == 0,
        &[
            "sh",
            "-c",
            r#"exec setsid --fork "$@" >"$0" 2>&1 </dev/null"#,
            &file("dockerd.log"),
        ],
    );
    let command = command.args(["dockerd".to_owned(), "--pidfile".to_owned(), file("dockerd.pid")]);
    if user.uid == 0 {
        command
    } else {
        command.args(["--group".to_owned(), user.gid.to_string()])
    }
}

/// Waits until the engine answers, as long as it may still.
fn wait(alive: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    let version = Command::new("docker").arg("version").timeout(20);
    while began.elapsed() < START_BOUND && alive() {
        match exec::capture(&version) {
            Ok(said) if said.ok() => return Ok(()),
            Ok(said) if said.stderr.contains("permission denied") => {
                return Err(host("the engine runs, and you may not use it yet")
                    .hint("`sudo usermod --append --groups docker $USER`, log in anew, then run this again")
                    .into());
            }
            _ => std::thread::sleep(Duration::from_millis(300)),
        }
    }
    Err(failed("the engine was started and does not answer").into())
}

/// The process id of an engine that this tool started and that still runs.
fn running(cx: &Context) -> Option<String> {
    let pid = std::fs::read_to_string(pid_file(cx)).ok()?.trim().to_owned();
    // A pid file that outlived its engine may name anything by now.
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (!pid.is_empty() && name.trim() == "dockerd").then_some(pid)
}

/// Stops the engine that this tool started, and only that one. Returns whether there was one.
///
/// # Errors
/// It does not stop.
pub fn stop(cx: &Context) -> Result<bool> {
    let Some(pid) = running(cx) else { return Ok(false) };
    exec::all(&[Step::Run(privileged(
        User::read().uid == 0,
        &["sh", "-c", r#"kill "$0""#, &pid],
    ))])?;
    let began = Instant::now();
    while Path::new("/proc").join(&pid).exists() {
        if began.elapsed() > Duration::from_secs(60) {
            return Err(failed(format!("dockerd ({pid}) does not stop")).into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    exec::all(&[Step::Remove { path: engine_dir(cx) }])?;
    Ok(true)
}
