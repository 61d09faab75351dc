//! The end of the demo: what the host sees of the session, the whole proof, what was made, and what comes next.

use super::ground::{DemoGround, MadeByDemo};
use super::session;
use crate::context::Context;
use crate::error::failed;
use crate::outside;
use crate::proof::{self, Proof};
use crate::spec::places;
use crate::spec::settings::Flags;
use crate::user::User;
use crate::{finding, ui};
use anyhow::{Context as _, Result};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// Checks on the host what the session did and did not do.
///
/// # Errors
/// Its file is missing or is not this user's, or the data set has a new file.
pub(super) fn seen(ground: &DemoGround, own: &Flags) -> Result<()> {
    let file = ground.project.join(session::FILE);
    let meta = std::fs::symlink_metadata(&file)
        .map_err(|err| failed(format!("the session ended well, and `{}` is not there: {err}", file.display())))?;
    let uid = User::read().uid;
    if meta.uid() != uid {
        return Err(failed(format!("`{}` belongs to {}, not to you ({uid})", file.display(), meta.uid())).into());
    }
    for (_, dir) in &own.project.datasets {
        if dir.join(session::FORBIDDEN).symlink_metadata().is_ok() {
            return Err(failed(format!("the session wrote into the data set `{}`", dir.display())).into());
        }
    }
    ui::say("seen from the host: its file belongs to you, and the data set is unchanged");
    Ok(())
}

/// The whole proof, what was made where, how to remove it, and what comes next.
///
/// # Errors
/// The proof cannot be read.
pub(super) fn report(cx: &Context, ground: &DemoGround, own: &Flags, record: &MadeByDemo) -> Result<()> {
    let demo = ground.context(cx, false);
    let proof = places::of(&demo, &ground.project, User::read().uid).proof;
    let text = outside::bytes(&proof, outside::STATE).with_context(|| format!("cannot read `{}`", proof.display()))?;
    let proof: Proof = serde_json::from_slice(&text).context("the saved proof is damaged")?;
    ui::say("");
    ui::table(proof_table(&proof));
    let codex = own.codex.as_deref().filter(|codex| codex.starts_with(&ground.codex)).map(|_| &ground.codex);
    let data = own.project.datasets.iter().any(|(_, dir)| *dir == ground.data).then_some(&ground.data);
    let short = |path: &PathBuf| ground.short(cx, path);
    let packages = Some(record.packages.join(" ")).filter(|packages| !packages.is_empty());
    let parts = [
        ("container", Some(format!("{} (running)", ground.container(&demo)))),
        ("project", Some(short(&ground.project))),
        ("data set", data.map(short)),
        ("its Codex home", Some(short(&ground.state))),
        ("Codex", codex.map(short)),
    ];
    let images = record.images.iter().map(|image| ("image", Some(image.clone())));
    let parts = parts.into_iter().chain(images).chain([("packages", packages)]);
    let rows: Vec<_> = parts.filter_map(|(name, what)| Some(vec![format!("  {name}"), what?])).collect();
    ui::say("\nmade by the demo:");
    ui::say(ui::columns_within(&rows, ui::stderr().width).trim_end());
    ui::say("remove all of it:\n  cargo xtask demo --clean");
    ui::say(
        "on a machine with a GPU:\n  cargo xtask doctor\n  cargo xtask gpu-smoke\n  cargo xtask sandbox --dataset ssv2=/data/ssv2",
    );
    Ok(())
}

/// One line for each claim of a saved proof, and how many are held. Pure.
fn proof_table(proof: &Proof) -> String {
    let (all, odd) = (proof.claims.len(), finding::not_held(&proof.claims).len());
    format!("{}{} of {all} promises hold", proof::full_table(&proof.claims, None), all - odd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_table_has_every_claim_and_counts_those_that_hold() {
        let claim = |verdict: &str, why: Value| json!({"id": "a.b", "verdict": verdict, "promise": "p", "why": why});
        let claims = [claim("held", Value::Null), claim("not provable", "no \u{1b}[2J eyes".into())];
        let mut proof = json!({"schema": 1, "container": "c", "nonce": "n", "time": "t", "image": "i", "codex": "x",
                               "claims": claims});
        let table = "not provable  a.b  no \\u{1b}[2J eyes\nheld          a.b  p\n1 of 2 promises hold";
        assert_eq!(proof_table(&serde_json::from_value(proof.clone()).unwrap()), table);
        proof["claims"][0]["verdict"] = "fine".into();
        assert!(serde_json::from_value::<Proof>(proof).is_err(), "an unknown verdict is none");
    }
}
