//! `cargo xtask mounts`: validate every mount, on the host and inside the running container.

use crate::cli::Flags;
use crate::context::Context;
use crate::error::failed;
use crate::sandbox::probe::Request;
use crate::sandbox::proof::{self, Claim, Verdict};
use crate::tasks::sandbox::{self, Wish};
use crate::ui;
use anyhow::Result;
use serde_json::json;

/// Runs the task: the host's half always, the inside half where a sandbox runs. Exit code 1 when a claim is broken.
///
/// # Errors
/// Wrong settings, no engine, or a witness that cannot be asked.
pub fn run(cx: &Context, flags: &Flags) -> Result<u8> {
    let wish = sandbox::gather(cx, flags)?;
    let refused = sandbox::refused(cx, &wish)?;
    let proof = match wish.running.as_ref().filter(|running| running.up) {
        None => None,
        Some(running) => {
            let entry = sandbox::read_entry(&wish.places, &running.id).ok_or_else(|| {
                failed("what the running container promised at its start is not known any more")
                    .hint("`cargo xtask down`, then `cargo xtask sandbox`")
            })?;
            let request = Request::new(&entry.promise, sandbox::nonce()?);
            Some(proof::prove(&running.id, &entry.promise, &request)?.0)
        }
    };
    let inside: Vec<Claim> = proof
        .iter()
        .flat_map(|proof| proof.claims.clone())
        .filter(about_mounts)
        .collect();
    if flags.json {
        let claims: Vec<_> = inside.iter().map(Claim::json).collect();
        let container = proof.as_ref().map(|proof| proof.container.clone());
        ui::result(format_args!(
            "{:#}",
            json!({"schema": 1, "refused": refused, "container": container, "claims": claims})
        ));
    } else {
        show(&wish, &refused, &inside, proof.is_some());
    }
    let broken = inside.iter().any(|claim| claim.verdict != Verdict::Held);
    Ok(u8::from(broken || !refused.is_empty()))
}

fn show(wish: &Wish, refused: &[String], inside: &[Claim], running: bool) {
    for line in refused {
        ui::result(format_args!("refused: {line}"));
    }
    if refused.is_empty() {
        ui::result("host: every source can be mounted");
    }
    if running {
        let row = |claim: &Claim| {
            let text = claim.why.as_ref().unwrap_or(&claim.promise);
            vec![claim.verdict.to_string(), claim.id.clone(), ui::printable(text)]
        };
        ui::result(ui::columns(&inside.iter().map(row).collect::<Vec<_>>()).trim_end());
    } else {
        ui::result(format_args!(
            "inside: no sandbox runs for `{}`",
            wish.workspace.display()
        ));
    }
}

/// The claims about mounts and files, without those about limits, network and devices.
fn about_mounts(claim: &Claim) -> bool {
    !["limits.", "network.", "gpu.", "user.", "codex."]
        .iter()
        .any(|prefix| claim.id.starts_with(prefix))
}
