//! Up and proven, and entered by somebody else: what a dev container opens.

use super::signals::Signals;
use super::{does_not_hold, lock, prove, start};
use crate::context::Context;
use crate::engine::compose::container_name;
use crate::engine::docker;
use crate::error::failed;
use crate::exec;
use crate::life::devcontainer;
use crate::life::devcontainer::FOLDER_LABEL;
use crate::life::gather::Ground;
use crate::spec::places::Places;
use crate::spec::settings::Flags;
use anyhow::Result;

/// A sandbox whose every promise was just seen to hold.
pub struct Standing {
    /// Compose's project name.
    pub project: String,
    /// The container's name.
    pub container: String,
    /// Its full id.
    pub id: String,
    /// The image that it was made from, by tag.
    pub image: String,
}

/// Brings up the sandbox of the settings, or takes the one that runs, and proves it.
///
/// # Errors
/// Wrong settings, a host that cannot run it, a promise that does not hold.
pub fn stand(cx: &Context) -> Result<Standing> {
    let ground = Ground::read(cx, &Flags::default())?;
    let _lock = lock(&ground.places)?;
    refuse_others(cx, &ground.places)?;
    let signals = Signals::catch()?;
    let mut wish = ground.gather(cx, true)?;
    let mut started = start::ensure(cx, &mut wish)?;
    let proof = prove(cx, &wish, &mut started, &signals)?;
    if !proof.holds() {
        start::discard(&started);
        return Err(does_not_hold(cx, "the dev container was not opened:", &proof));
    }
    Ok(Standing {
        project: wish.places.project,
        container: started.container,
        id: started.id,
        image: started.entry.promise.image,
    })
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
