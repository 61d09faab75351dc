//! `cargo xtask devcontainer`: what `.devcontainer/devcontainer.json` runs on the host before anything is opened.

use crate::context::Context;
use crate::engine::compose::container_name;
use crate::engine::devcontainer::{self, FOLDER_LABEL};
use crate::engine::docker;
use crate::error::failed;
use crate::life::{Call, Ground, Outcome};
use crate::spec::places::Places;
use crate::spec::settings::Flags;
use crate::step::Step;
use crate::{exec, ui};
use anyhow::Result;

/// Runs the task: the sandbox is up and proven, and the dev container's Compose file leads to it.
///
/// # Errors
/// Wrong settings, a host that cannot run it, a promise that does not hold.
pub fn run(cx: &Context) -> Result<u8> {
    let file = devcontainer::env_file(&cx.root);
    // Where this run fails, what an earlier one has written must not lead anywhere.
    exec::all(&[Step::Remove { path: file.clone() }])?;
    let ground = Ground::read(cx, &Flags::default())?;
    refuse_others(cx, &ground.places)?;
    let standing = match Call::begin(cx, ground)?.start()?.prove()? {
        Outcome::Proven(proven) => proven.stand(),
        Outcome::Unproven(unproven) => return Err(unproven.refuse("the dev container was not opened:")),
    };
    let text = devcontainer::env_text(&standing.project, &standing.image);
    exec::write_file(&file, text.as_bytes(), 0o644)?;
    ui::result(standing.id);
    ui::say(format_args!("`{}` is proven and ready to be opened; `cargo xtask down` stops it", standing.container));
    Ok(0)
}

/// A dev container is looked for by the directory that was opened: an older one must not be found in its place.
fn refuse_others(cx: &Context, places: &Places) -> Result<()> {
    let root = cx.root.display();
    let listed = exec::stdout_of(&docker::labelled(&format!("{FOLDER_LABEL}={root}")))?;
    let others = devcontainer::others(&listed, &container_name(&places.project));
    if others.is_empty() {
        return Ok(());
    }
    Err(failed(format!("another container is marked as the dev container of `{root}`: `{}`", others.join("`, `")))
        .hint("the sandbox of another workspace was opened from here: `cargo xtask down --workspace DIR` removes it")
        .into())
}
