//! `cargo xtask mounts`: validate every mount, on the host and inside the running container.

use crate::context::Context;
use crate::engine::running::Existing;
use crate::finding::{self, Finding};
use crate::life::{self, Gathered, Ground, Purpose};
use crate::proof::probe::{AskCodex, ProbeRequest};
use crate::proof::{self, sources};
use crate::spec::settings::Flags;
use crate::ui;
use anyhow::Result;
use serde_json::json;

/// Checks from the host, and where a sandbox runs also from inside. Exit code 1 where a claim does not hold.
pub(crate) fn run(cx: &Context, flags: &Flags, json: bool) -> Result<u8> {
    let gathered = Ground::read(cx, flags, None)?.gather(cx, Purpose::Look, None)?;
    let (mounts, problems) = life::problems(cx, &gathered);
    let mut claims = sources::claims(&mounts, &problems);
    let running = gathered.existing.as_ref().filter(|running| running.up);
    if let Some(running) = running {
        claims.extend(inside(&gathered, running)?);
    }
    if json {
        let container = running.map(|running| running.id.clone());
        ui::json(&json!({"schema": 1, "container": container, "claims": claims}))?;
    } else {
        ui::table(proof::full_table(&claims, ui::stdout().width).trim_end());
        if running.is_none() {
            ui::say(format_args!(
                "no sandbox runs for `{}`: the mounts were checked from the host only",
                gathered.ground.workspace.display()
            ));
        }
    }
    Ok(u8::from(!finding::all_held(&claims)))
}

fn inside(gathered: &Gathered, running: &Existing) -> Result<Vec<Finding>> {
    let record = life::trusted(&gathered.ground.places, running)?;
    let mut request = ProbeRequest::new(&record.spec, crate::nonce::nonce()?, crate::nonce::number()?);
    request.codex = AskCodex::Nothing;
    let promised = record.promised();
    let mut claims = proof::prove(&running.container, promised, &request)?.proof.claims;
    let programs = life::programs_now(&record.spec, &running.container);
    claims.extend(life::programs_claim(&record, programs.as_deref()));
    Ok(claims.into_iter().filter(about_mounts).collect())
}

/// The claims about mounts and files, without those about limits, network and devices.
fn about_mounts(claim: &Finding) -> bool {
    !["limits.", "network.", "gpu.", "user.", "codex."].iter().any(|prefix| claim.id.starts_with(prefix))
}
