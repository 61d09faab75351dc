//! Where the result goes: standard output, the files that were asked for, and GitHub Actions where it runs there.

use super::Wish;
use crate::context::Context;
use crate::smoke::show::{self, RunFacts};
use crate::smoke::{Judgement, Report, SmokeRequest, github, json, junit};
use crate::{exec, ui};
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// Shows the table and writes everything else.
///
/// # Errors
/// A file cannot be written.
pub fn show(
    cx: &Context,
    wish: &Wish,
    facts: &RunFacts,
    request: &SmokeRequest,
    report: Option<&Report>,
    outcome: &Judgement,
) -> Result<()> {
    let text = show::table(facts, request, report, outcome, ui::stdout().width);
    ui::table(text.trim_end());
    files(cx, wish, facts, request, report, outcome)
}

/// Writes the files, and what GitHub Actions shows.
///
/// # Errors
/// A file cannot be written.
pub fn files(
    cx: &Context,
    wish: &Wish,
    facts: &RunFacts,
    request: &SmokeRequest,
    report: Option<&Report>,
    outcome: &Judgement,
) -> Result<()> {
    if let Some(path) = &wish.json {
        let text = format!("{:#}\n", json::document(facts, request, report, outcome));
        exec::write_file(&cx.absolute(path), text.as_bytes(), 0o644)?;
    }
    if let Some(path) = &wish.junit {
        let seconds = report.map_or(0.0, |report| report.seconds);
        let text = junit::document(facts, request, seconds, outcome)?;
        exec::write_file(&cx.absolute(path), text.as_bytes(), 0o644)?;
    }
    if cx.var("GITHUB_ACTIONS") == Some("true") {
        github::annotations(outcome).iter().for_each(ui::result);
    }
    if let Some(path) = cx.var("GITHUB_STEP_SUMMARY") {
        append(&cx.absolute(Path::new(path)), &github::summary(facts, request, report, outcome))?;
    }
    Ok(())
}

/// Other steps write to that file too.
fn append(path: &Path, text: &str) -> Result<()> {
    let write = || File::options().create(true).append(true).open(path)?.write_all(text.as_bytes());
    write().with_context(|| format!("cannot write the step summary `{}`", path.display()))
}
