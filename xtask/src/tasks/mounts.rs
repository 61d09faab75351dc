//! `cargo xtask mounts`: validate every mount, on the host and inside the running container.

use crate::context::Context;
use crate::engine::running::Running;
use crate::error::failed;
use crate::finding::{self, Finding};
use crate::life;
use crate::life::Wish;
use crate::proof;
use crate::proof::probe::{AskCodex, ProbeRequest};
use crate::proof::sources;
use crate::spec::settings::Flags;
use crate::ui;
use anyhow::Result;
use serde_json::json;

/// Validate every mount, on the host and inside
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the task: the host's half always, the inside half where a sandbox runs. Exit code 1 when a claim is broken.
///
/// # Errors
/// Wrong settings, no engine, or a witness that cannot be asked.
pub fn run(cx: &Context, args: &Args) -> Result<u8> {
    let wish = life::gather(cx, &args.flags)?;
    let (mounts, problems) = life::problems(cx, &wish)?;
    let mut claims = sources::claims(&mounts, &problems);
    let running = wish.running.as_ref().filter(|running| running.up);
    if let Some(running) = running {
        claims.extend(inside(&wish, running)?);
    }
    if args.json {
        let container = running.map(|running| running.id.clone());
        ui::result(format_args!("{:#}", json!({"schema": 1, "container": container, "claims": claims})));
    } else {
        ui::table(proof::full_table(&claims, ui::stdout().width).trim_end());
        if running.is_none() {
            ui::say(format_args!(
                "inside: nothing runs for `{}`, only the host's half was checked",
                wish.workspace.display()
            ));
        }
    }
    Ok(u8::from(!finding::all_held(&claims)))
}

fn inside(wish: &Wish, running: &Running) -> Result<Vec<Finding>> {
    let entry = life::read_entry(&wish.places, &running.id).ok_or_else(|| {
        failed("what the running container promised at its start is not known any more")
            .hint("`cargo xtask down`, then `cargo xtask sandbox`")
    })?;
    let mut request = ProbeRequest::new(&entry.promise, life::nonce()?);
    request.codex = AskCodex::Nothing;
    let mut claims = proof::prove(&running.id, &running.container, &entry.promise, &request)?.0.claims;
    let programs = life::programs_now(&entry.promise, &running.container);
    claims.extend(life::programs_claim(&entry, programs.as_deref()));
    Ok(claims.into_iter().filter(about_mounts).collect())
}

/// The claims about mounts and files, without those about limits, network and devices.
fn about_mounts(claim: &Finding) -> bool {
    !["limits.", "network.", "gpu.", "user.", "codex."].iter().any(|prefix| claim.id.starts_with(prefix))
}
