//! `cargo xtask sandbox`: build, start, prove, show, ask, enter; on the way out say what changed.

pub mod audit;
pub mod devcontainer;
pub mod down;
mod dry_run;
mod early;
mod enter;
mod gather;
mod home;
mod mounts;
mod native;
mod record;
mod signals;
mod stand;
mod start;
pub mod status;

pub use crate::life::gather::{Wish, gather, refuse_own_codex};
pub use crate::life::record::{programs_claim, programs_now, read as read_entry};
pub use enter::reap;
pub use home::guest;
pub use mounts::{groups_of, problems, rules};

use crate::life::gather::Ground;
pub use signals::Signals;
pub use stand::{Standing, stand};
use start::Started;
pub use start::{copy_of_proof, find, live_sessions};

use crate::context::Context;
use crate::engine::caches;
use crate::engine::compose::Project;
use crate::error::{failed, usage};
use crate::finding;
use crate::image::build::State;
use crate::proof::Proof;
use crate::spec::places::Places;
use crate::spec::promise::{GpuRoute, Gpus};
use crate::spec::settings::Flags;
use crate::ui;
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Start the sandbox, prove what it promises, enter Codex
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Enter a shell in place of Codex, also when a claim does not hold
    #[arg(long)]
    pub(crate) shell: bool,
    /// Enter without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the settings and every step, run none
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Arguments for Codex
    #[arg(last = true, num_args = 0.., value_name = "CODEX_ARGS")]
    pub(crate) args: Vec<String>,
}

/// Runs the task. Returns Codex's own exit code once Codex has started.
///
/// # Errors
/// Wrong settings, a host that cannot run it, a promise that does not hold.
pub fn run(cx: &Context, asked: &Args) -> Result<u8> {
    let Args { flags, shell, yes, dry_run, args } = asked;
    if !yes && !dry_run && !cx.stdin_tty {
        return Err(usage("`sandbox` asks before it enters, and standard input is no terminal")
            .hint("add `--yes`")
            .into());
    }
    let ground = Ground::read(cx, flags)?;
    if *dry_run {
        return dry_run::dry_run(cx, &ground.gather(cx, false)?, *shell, args);
    }
    let lock = lock(&ground.places)?;
    let signals = Signals::catch()?;
    let mut wish = ground.gather(cx, true)?;
    let mut started = start::ensure(cx, &mut wish)?;
    let proof = prove(cx, &wish, &mut started, &signals)?;
    if !proof.holds() {
        if !*shell {
            start::discard(&started);
            return Err(does_not_hold(cx, "Codex was not started:", &proof));
        }
        ui::warn("a promise does not hold; this shell is for looking into it, nothing in it is safe to rely on");
    }
    let question = if *shell { "Enter a shell?" } else { "Enter Codex?" };
    if !yes && !signals.ask(|| ui::confirm(question)) {
        ui::say(format_args!(
            "not entered; `{}` keeps running, `{}` stops it",
            started.container,
            enter::down(&wish.settings)
        ));
        return Ok(0);
    }
    enter::enter(cx, &wish, &started, &signals, lock, *shell, args)
}

/// Proves what was started and shows the proof; what cannot be proven at all is taken back.
fn prove(cx: &Context, wish: &Wish, started: &mut Started, signals: &Signals) -> Result<Proof> {
    let proven = match start::prove(cx, wish, started) {
        Ok(_) if signals.any() => Err(failed("interrupted before Codex was entered").into()),
        proven => proven,
    };
    let proof = proven.inspect_err(|_| start::discard(started))?;
    ui::say(proof.table(ui::stderr().width).trim_end());
    Ok(proof)
}

/// What Compose would be told of a wanted sandbox.
///
/// # Errors
/// It cannot be planned.
pub fn plan(cx: &Context, wish: &Wish, image: &State) -> Result<Project> {
    let route = (wish.settings.gpus != Gpus::None).then_some(GpuRoute::Nvidia);
    let mut project = mounts::project(cx, wish, &image.inputs.tag(), route)?;
    project.promise.mounts.extend(mounts::caches(wish, Path::new(caches::USUAL_ROOT)));
    Ok(project)
}

/// Two calls for one workspace take turns until both have entered.
///
/// # Errors
/// The state folder cannot be written.
pub fn lock(places: &Places) -> Result<File> {
    crate::exec::create_dir(&places.dir, 0o700)?;
    let open = || -> std::io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(&places.lock)?;
        if file.try_lock().is_err() {
            ui::say("waiting for another `cargo xtask` that starts or proves this sandbox");
            file.lock()?;
        }
        Ok(file)
    };
    open().with_context(|| format!("cannot lock `{}`", places.lock.display()))
}

/// Letters and digits that no earlier run has used.
///
/// # Errors
/// The kernel gives none.
pub fn nonce() -> Result<String> {
    let mut bytes = [0; 12];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).context("no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn does_not_hold(cx: &Context, outcome: &str, proof: &Proof) -> anyhow::Error {
    let ids: Vec<&str> = finding::not_held(&proof.claims).iter().map(|claim| claim.id.as_str()).collect();
    let verb = if ids.len() == 1 { "does not hold" } else { "do not hold" };
    failed(format!("{outcome} `{}` {verb}", ids.join("`, `")))
        .hint(format!(
            "the evidence is in `{}`; `cargo xtask sandbox --shell` looks into it",
            start::copy_of_proof(cx).display()
        ))
        .into()
}
