//! Where the result goes: standard output, the files that were asked for, and GitHub Actions where it runs there.

use super::Wish;
use crate::context::Context;
use crate::smoke::{SmokeResult, github, json, junit, show};
use crate::{exec, text, ui};
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// Shows the table, and writes everything else.
///
/// # Errors
/// A file cannot be written.
pub(super) fn show(cx: &Context, wish: &Wish, result: SmokeResult) -> Result<()> {
    ui::table(show::table(result, ui::stdout().width).trim_end());
    files(cx, wish, result)
}

/// Writes the files, and what GitHub Actions shows.
///
/// # Errors
/// A file cannot be written.
pub(super) fn files(cx: &Context, wish: &Wish, result: SmokeResult) -> Result<()> {
    if let Some(path) = &wish.json {
        let text = format!("{}\n", text::json(&json::document(result))?);
        exec::write_file(&cx.absolute(path), text.as_bytes(), 0o644)?;
    }
    if let Some(path) = &wish.junit {
        exec::write_file(&cx.absolute(path), junit::document(result)?.as_bytes(), 0o644)?;
    }
    if cx.var("GITHUB_ACTIONS") == Some("true") {
        github::annotations(result.outcome).iter().for_each(ui::result);
    }
    if let Some(path) = cx.var("GITHUB_STEP_SUMMARY") {
        append(&cx.absolute(Path::new(path)), &ui::harmless(&github::summary(result)))?;
    }
    Ok(())
}

/// Other steps of the workflow write to that file too.
fn append(path: &Path, text: &str) -> Result<()> {
    let write = || File::options().create(true).append(true).open(path)?.write_all(text.as_bytes());
    write().with_context(|| format!("cannot write the step summary `{}`", path.display()))
}
