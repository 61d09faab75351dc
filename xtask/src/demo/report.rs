//! What the demo says at its end: what was seen from the host, the whole proof, what was made, what comes next.

use super::ground::{Ground, Record};
use super::session;
use super::stand_ins::Facts;
use crate::context::Context;
use crate::error::failed;
use crate::proof::Verdict;
use crate::spec::places;
use crate::spec::settings::Flags;
use crate::ui;
use crate::user::User;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::os::unix::fs::MetadataExt as _;

/// What the session did and did not do, seen from the host.
///
/// # Errors
/// Its file is missing or is not this user's, or the data set has a new file.
pub fn seen(ground: &Ground, own: &Flags) -> Result<()> {
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
    ui::say("seen from here: its file belongs to you, and the data set is as it was");
    Ok(())
}

/// The whole proof, what was made where, how to remove it, and what comes next.
///
/// # Errors
/// The proof cannot be read.
pub fn report(cx: &Context, ground: &Ground, own: &Flags, facts: &Facts, record: &Record) -> Result<()> {
    let demo = ground.context(cx, facts.scripted());
    let proof = places::of(&demo, &ground.project.canonicalize()?, User::read().uid).proof;
    let text = std::fs::read(&proof).with_context(|| format!("cannot read `{}`", proof.display()))?;
    let proof: Value = serde_json::from_slice(&text).context("the proof is not JSON")?;
    ui::say("");
    ui::result(proof_table(&proof).trim_end());
    let mut rows = vec![
        vec!["  container".into(), format!("{} (running)", ground.container(&demo))],
        vec!["  project".into(), ground.short(cx, &ground.project)],
    ];
    if facts.dataset.is_none() {
        rows.push(vec!["  data set".into(), ground.short(cx, &ground.data)]);
    }
    rows.push(vec!["  its Codex home".into(), ground.short(cx, &ground.state)]);
    if own.codex.as_deref().is_some_and(|codex| codex.starts_with(&ground.codex)) {
        rows.push(vec!["  Codex".into(), ground.short(cx, &ground.codex)]);
    }
    rows.extend(record.images.iter().map(|image| vec!["  image".into(), image.clone()]));
    if !record.packages.is_empty() {
        rows.push(vec!["  packages".into(), record.packages.join(" ")]);
    }
    ui::say("\nmade by the demo:");
    ui::say(ui::columns(&rows).trim_end());
    ui::say("remove all of it:\n  cargo xtask demo --clean");
    ui::say(
        "on a machine with a GPU:\n  cargo xtask doctor\n  cargo xtask gpu-smoke\n  cargo xtask sandbox --dataset ssv2=/data/ssv2",
    );
    Ok(())
}

/// Every claim of a saved proof in one line. Pure.
fn proof_table(proof: &Value) -> String {
    let claims = proof["claims"].as_array().into_iter().flatten();
    let text = |claim: &Value, key: &str| claim[key].as_str().map(ui::printable);
    let mut held = 0;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for claim in claims {
        let verdict = text(claim, "verdict").unwrap_or_default();
        held += usize::from(verdict == Verdict::Held.to_string());
        let why = text(claim, "why").or_else(|| text(claim, "promise"));
        rows.push(vec![verdict, text(claim, "id").unwrap_or_default(), why.unwrap_or_default()]);
    }
    format!("{}{held} of {} promises hold\n", ui::columns(&rows), rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_has_every_claim_and_counts_those_that_hold() {
        let claim = |verdict: &str, why: Value| json!({"id": "a.b", "verdict": verdict, "promise": "p", "why": why});
        let proof = json!({"claims": [claim("held", Value::Null), claim("not provable", "no \u{1b}[2J eyes".into())]});
        let table = "held          a.b  p\nnot provable  a.b  no \\u{1b}[2J eyes\n1 of 2 promises hold\n";
        assert_eq!(proof_table(&proof), table);
    }
}
