//! `cargo xtask status`: what runs, in one screen.

mod screen;

use crate::context::Context;
use crate::engine::inspect::Mounted;
use crate::engine::running::{Existing, sessions};
use crate::engine::{compose, docker};
use crate::gpu::smi;
use crate::life::down::caches_of;
use crate::life::find;
use crate::spec::places;
use crate::spec::settings::{self, Flags};
use crate::spec::words::Gpus;
use crate::step::Command;
use crate::user::User;
use crate::{exec, ui};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::SystemTime;

/// The bound on each look into the container: what does not answer by then is left out.
const BOUND: u64 = 3;

/// Show what runs: image, mounts, sessions inside
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task. Exit code 0 also where nothing runs: that is an answer.
///
/// # Errors
/// The engine does not answer.
pub fn run(cx: &Context, args: &Args) -> Result<u8> {
    let settings = settings::load(cx, &args.flags)?;
    let uid = User::read().uid;
    let places = places::of(cx, &settings.workspace, uid);
    let container = compose::container_name(&places.project);
    let (running, volumes) = exec::both(|| find(&container), || caches_of(uid));
    let (running, volumes) = (running?, volumes?);
    let live = match &running {
        Some(running) if running.up => Live::look(running)?,
        _ => Live::default(),
    };
    let mut report = report(&container, running.as_ref(), &live, &places, SystemTime::now());
    report["caches"] = volumes.into();
    if args.json {
        ui::result(format_args!("{report:#}"));
    } else {
        ui::result(screen::screen(&report, ui::stdout().width));
    }
    Ok(0)
}

/// What is asked of a running container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// The programs inside, beside the container's own.
    pub sessions: Vec<String>,
    /// The bytes of `/dev/shm` that are used, and its size.
    pub shm: Option<(u64, u64)>,
    /// The GPUs inside; `None` where there are none by the user's word, or they did not answer.
    pub gpus: Option<Vec<GpuUse>>,
}

/// What a GPU is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuUse {
    /// Its index, as the container counts.
    pub index: String,
    /// The product's name.
    pub name: String,
    /// How busy it is, in percent, by all that use it.
    pub percent: Option<u64>,
    /// Memory in use, in MiB.
    pub used_mib: Option<u64>,
    /// All its memory, in MiB.
    pub total_mib: Option<u64>,
}

impl Live {
    /// Asks side by side, each within its bound.
    fn look(running: &Existing) -> Result<Live> {
        let own = |line: &String| [DF, SMI].iter().any(|query| *line == query.join(" "));
        let top = docker::top(&running.id);
        let with_gpus = running.spec.as_ref().is_ok_and(|spec| spec.shape.gpus != Gpus::None);
        let asked = |program: &[&str]| exec::capture(&inside(&running.id, program)).ok().filter(exec::Output::ok);
        let (top, (shm, gpus)) = exec::both(
            || exec::stdout_of(&top),
            || exec::both(|| asked(DF), || with_gpus.then(|| asked(SMI)).flatten()),
        );
        Ok(Live {
            // The list can catch our own questions.
            sessions: sessions(&top?).into_iter().filter(|line| !own(line)).collect(),
            shm: shm.and_then(|said| parse_df(&said.stdout)),
            gpus: gpus.map(|said| parse_smi(&said.stdout)),
        })
    }
}

const DF: &[&str] = &["/bin/df", "--block-size=1", "--output=used,size", "/dev/shm"];

const SMI: &[&str] =
    &["nvidia-smi", "--query-gpu=index,name,utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"];

fn inside(container: &str, program: &[&str]) -> Command {
    docker::exec(container, &[], program.iter().copied()).timeout(BOUND)
}

/// The numbers of the last line of `df --output=used,size`.
fn parse_df(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.lines().next_back()?.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// One GPU a line; a number that a product does not tell is `[N/A]`.
fn parse_smi(text: &str) -> Vec<GpuUse> {
    let gpu = |&[index, name, percent, used, total]: &[&str; 5]| GpuUse {
        index: index.to_owned(),
        name: name.to_owned(),
        percent: percent.parse().ok(),
        used_mib: used.parse().ok(),
        total_mib: total.parse().ok(),
    };
    smi::rows(text).iter().map(gpu).collect()
}

/// The status as JSON; `state` is `running`, `stopped` or `none`.
pub fn report(
    container: &str,
    running: Option<&Existing>,
    live: &Live,
    places: &places::Places,
    now: SystemTime,
) -> Value {
    let Some(running) = running else {
        return json!({"container": container, "state": "none", "state_folder": places.dir});
    };
    let described = &running.container;
    // The engine gives them in any order.
    let mut mounts: Vec<_> = described.mounts.iter().flatten().filter(|mount| mount.kind == "bind").collect();
    mounts.sort_by_key(|mount| &mount.target);
    let mount = |mount: &&Mounted| json!({"target": mount.target, "source": mount.source, "writable": mount.writable});
    let since = humantime::parse_rfc3339(&described.state.started_at).ok();
    let uptime = since.filter(|_| running.up).and_then(|since| now.duration_since(since).ok());
    let gpu = |gpu: &GpuUse| {
        json!({"index": gpu.index, "name": gpu.name, "percent": gpu.percent, "used_mib": gpu.used_mib,
               "total_mib": gpu.total_mib})
    };
    json!({
        "container": container,
        "state": if running.up { "running" } else { "stopped" },
        "id": running.id,
        "image": described.config.image,
        "image_id": described.image_id,
        "started": described.state.started_at,
        "uptime_s": uptime.map(|uptime| uptime.as_secs()),
        "spec": running.spec.as_ref().ok(),
        "unreadable": running.spec.as_ref().err(),
        "mounts": mounts.iter().map(mount).collect::<Vec<_>>(),
        "sessions": live.sessions,
        "shm": live.shm.map(|(used, size)| json!({"used": used, "size": size})),
        "gpus": live.gpus.as_ref().map(|gpus| gpus.iter().map(gpu).collect::<Vec<_>>()),
        "state_folder": places.dir,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_df_and_nvidia_smi_say_is_read() {
        assert_eq!(parse_df("   Used   1B-blocks\n 4096 34359738368\n"), Some((4096, 32 << 30)));
        assert_eq!(parse_df(""), None);
        let gpus = parse_smi("0, NVIDIA GeForce RTX 5090, 37, 10240, 32607\n1, Orin, [N/A], [N/A], 100\nodd\n");
        assert_eq!(gpus.len(), 2);
        assert_eq!((gpus[0].percent, gpus[0].used_mib, gpus[0].total_mib), (Some(37), Some(10240), Some(32607)));
        assert_eq!((gpus[1].percent, gpus[1].total_mib), (None, Some(100)));
    }
}
