//! `cargo xtask devcontainer`: what `.devcontainer/devcontainer.json` runs on the host before anything is opened.

use crate::context::Context;
use crate::exec;
use crate::life::devcontainer;
use crate::life::stand;
use crate::step::Step;
use crate::ui;
use anyhow::Result;

/// Runs the task: the sandbox is up and proven, and the dev container's Compose file leads to it.
///
/// # Errors
/// Wrong settings, a host that cannot run it, a promise that does not hold.
pub fn run(cx: &Context) -> Result<u8> {
    let file = devcontainer::env_file(&cx.root);
    // Where this run fails, what an earlier one has written must not lead anywhere.
    exec::all(&[Step::Remove { path: file.clone() }])?;
    let standing = stand(cx)?;
    let text = devcontainer::env_text(&standing.project, &standing.image);
    exec::write_file(&file, text.as_bytes(), 0o644)?;
    ui::result(standing.id);
    ui::say(format_args!("`{}` is proven and ready to be opened; `cargo xtask down` stops it", standing.container));
    Ok(0)
}
