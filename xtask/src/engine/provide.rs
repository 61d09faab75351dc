//! Installs and starts what a task needs and this machine lacks, after asking: programs, and an engine where none
//! answers. An engine that already runs is used as it is. `engine::install` decides which packages are chosen.

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

/// Looks for an engine and programs. Changes nothing.
///
/// # Errors
/// An engine runs and refuses this user, or is one of another machine: this tool does not replace it (exit code 3).
pub(crate) fn look(cx: &Context, programs: &[&str]) -> Result<Lacks> {
    let has = |program: &str| missing(cx, &[program]).is_empty();
    let client = has("docker");
    let ask = |query: Command| client.then(|| exec::capture(&query));
    let silent = match ask(docker::server_version()) {
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
    let parts = [
        (Part::Engine, silent.is_none() || has("dockerd")),
        (Part::Client, client),
        (Part::Compose, plugin("compose")),
        (Part::Buildx, plugin("buildx")),
    ];
    let parts = parts.into_iter().filter(|(_, installed)| !installed).map(|(part, _)| part).collect();
    Ok(Lacks { parts, programs: missing(cx, programs), silent })
}

/// The programs among these that are not installed.
pub(crate) fn missing(cx: &Context, programs: &[&str]) -> Vec<String> {
    // The PATH of an ordinary user leaves out the directories of the system's own programs.
    let path = format!("{}:/usr/sbin:/sbin", cx.var("PATH").unwrap_or_default());
    let missing = programs.iter().filter(|program| which::which_in(program, Some(&path), "/").is_err());
    missing.map(|program| (*program).to_owned()).collect()
}

/// What was installed and started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Provided {
    /// The packages that apt was asked to install.
    pub(crate) packages: Vec<String>,
    /// Whether Debian's next release was added to the sources of apt.
    pub(crate) next: bool,
    /// Whether an engine was started that this tool must stop.
    pub(crate) started: bool,
}

/// Installs and starts what is missing. Without `consent`, which the command line gives, it asks first.
///
/// # Errors
/// Neither a terminal nor `--install-engine`, a no, or a distribution that is not known (exit code 3); a step that fails.
pub(crate) fn provide(cx: &Context, lacks: &Lacks, consent: bool) -> Result<Provided> {
    if lacks.is_empty() {
        ui::say("nothing is missing");
        return Ok(Provided::default());
    }
    let user = User::read();
    let plan = install::plan(lacks, &Distro::read(), user.uid == 0)?;
    agree(cx, lacks, &plan, consent)?;
    install(&plan)?;
    let mut provided = Provided {
        packages: [plan.tools.as_slice(), plan.engine.as_slice()].concat(),
        next: plan.next && !plan.engine.is_empty(),
        started: false,
    };
    if lacks.silent.is_none() && lacks.parts.is_empty() {
        return Ok(provided);
    }
    // The package may have started the engine already, as the distribution does it.
    let now = look(cx, &[])?;
    if now.is_installable() {
        return Err(failed(format!("still missing after the installation: {}", now.list())).into());
    }
    if now.silent.is_some() {
        provided.started = start(cx, &user)?;
    }
    Ok(provided)
}

fn agree(cx: &Context, lacks: &Lacks, plan: &InstallPlan, consent: bool) -> Result<()> {
    let mut lines = plan.lines();
    if lacks.silent.is_some() {
        lines.push(start_line().to_owned());
    }
    let lacking = format!("this machine lacks {}", lacks.list());
    if !consent && !cx.stdin_tty {
        return Err(host(lacking).hint(format!("`--install-engine` does that for you: {}", lines.join("; "))).into());
    }
    ui::say(format_args!("{lacking}. To install and start it{}:", if plan.root { "" } else { ", by sudo" }));
    lines.iter().for_each(|line| ui::say(format_args!("  {line}")));
    if !consent && !ui::confirm("Do that?") {
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
    let second = plan.second();
    let simulated = exec::stdout_of(&second.clone().arg("--simulate").timeout(120))?;
    let touched = install::upgraded(&simulated);
    if !touched.is_empty() {
        return Err(failed(format!("installing the engine would upgrade or remove `{}`", touched.join("`, `")))
            .hint(format!("no package of the engine was installed; to do it by hand: `{second}`"))
            .into());
    }
    exec::run(&second)
}
