//! Brings up what a task needs and this machine lacks, after asking: programs, and an engine where none answers. An
//! engine that is there is used as it is. What is chosen is decided in `host::install`.

mod dockerd;

pub(crate) use dockerd::stop;
use dockerd::{start, start_line};

use crate::context::Context;
use crate::distro::Distro;
use crate::engine::install::{self, InstallPlan, Lacks, Part};
use crate::engine::{self, docker, errors};
use crate::error::{failed, host};
use crate::step::Command;
use crate::user::User;
use crate::{exec, ui};
use anyhow::Result;

/// Whether something may be installed and started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// It was asked for on the command line.
    Given,
    /// There is a terminal: ask.
    Ask,
    /// Neither.
    None,
}

impl Consent {
    /// From the flag and the terminal.
    pub(crate) fn of(cx: &Context, flag: bool) -> Consent {
        match (flag, cx.stdin_tty) {
            (true, _) => Consent::Given,
            (false, true) => Consent::Ask,
            (false, false) => Consent::None,
        }
    }
}

/// What was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// What is missing.
    pub lacks: Lacks,
    /// Why no engine answers; `None` where one does.
    pub silent: Option<String>,
}

impl Found {
    /// Whether there is nothing to do.
    pub(crate) fn is_ready(&self) -> bool {
        self.lacks.is_empty() && self.silent.is_none()
    }

    /// What is missing, for a sentence.
    pub(crate) fn list(&self) -> String {
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
pub(crate) fn look(cx: &Context, programs: &[&str]) -> Result<Found> {
    let has = |program: &str| missing(cx, &[program]).is_empty();
    let client = has("docker");
    let ask = |query: Command| client.then(|| exec::capture(&query));
    let answer = ask(docker::server_version());
    let silent = match answer {
        None => Some("there is no `docker` on PATH".to_owned()),
        Some(Ok(said)) if said.ok() => None,
        Some(Ok(said)) => {
            let elsewhere = cx.var("DOCKER_HOST").is_some() || said.stderr.contains("tcp://");
            if elsewhere || errors::is_denied(&said.stderr) {
                return Err(engine::no_engine(&said.stderr).into());
            }
            Some(said.stderr.trim().lines().next_back().unwrap_or_default().to_owned())
        }
        Some(Err(err)) => Some(err.to_string()),
    };
    let plugin = |name: &str| ask(docker::plugin(name)).is_some_and(|said| said.is_ok_and(|said| said.ok()));
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
    Ok(Found { lacks: Lacks { parts, programs }, silent })
}

/// The programs among these that are not installed.
pub(crate) fn missing(cx: &Context, programs: &[&str]) -> Vec<String> {
    // An ordinary user's PATH leaves out where the system's own programs lie.
    let path = format!("{}:/usr/sbin:/sbin", cx.var("PATH").unwrap_or_default());
    let missing = programs.iter().filter(|program| which::which_in(program, Some(&path), "/").is_err());
    missing.map(|program| (*program).to_owned()).collect()
}

/// What was brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Provided {
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
pub(crate) fn provide(cx: &Context, found: &Found, consent: Consent) -> Result<Provided> {
    if found.is_ready() {
        ui::say("nothing is missing");
        return Ok(Provided::default());
    }
    let user = User::read();
    let root = user.uid == 0;
    let plan = match found.lacks.is_empty() {
        true => InstallPlan { root, ..InstallPlan::default() },
        false => install::plan(&found.lacks, &Distro::read(), root)?,
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

fn agree(found: &Found, plan: &InstallPlan, consent: Consent) -> Result<()> {
    let mut lines = plan.lines();
    if found.silent.is_some() {
        lines.push(start_line().to_owned());
    }
    let lacking = format!("this machine lacks {}", found.list());
    if consent == Consent::None {
        return Err(host(lacking).hint(format!("`--install-engine` brings it: {}", lines.join("; "))).into());
    }
    ui::say(format_args!("{lacking}. To bring it{}:", if plan.root { "" } else { ", by sudo" }));
    lines.iter().for_each(|line| ui::say(format_args!("  {line}")));
    if consent == Consent::Ask && !ui::confirm("Do that?") {
        return Err(failed("nothing was installed").hint("install it by hand, then run this again").into());
    }
    Ok(())
}

fn install(plan: &InstallPlan) -> Result<()> {
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
        return Err(failed(format!("installing the engine would upgrade or remove `{}`", touched.join("`, `")))
            .hint(format!("nothing of it was installed; by hand: `{}`", plan.second()))
            .into());
    }
    exec::all(&[plan.second()])
}
