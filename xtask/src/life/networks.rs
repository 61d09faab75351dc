//! The networks of sandboxes that are gone: their container was removed by somebody else, or their call was killed. An engine has
//! address ranges for about thirty, so that those that are left behind use them up.

use crate::context::Context;
use crate::engine::removal;
use crate::spec::places::{PROJECT, Places};
use crate::ui;
use anyhow::Result;

/// Removes those of this user's other workspaces, says so, and returns their projects.
///
/// # Errors
/// The engine does not answer.
pub(super) fn sweep(cx: &Context, own: &Places) -> Result<Vec<String>> {
    let mut networks = removal::networks(PROJECT)?;
    networks.retain(|network| network.project != own.project);
    let key = |project: &str| project.strip_prefix(PROJECT).map(str::to_owned);
    let swept = removal::sweep(&networks, key, &cx.state.join("workspaces"))?;
    for project in &swept {
        ui::say(format_args!("removed the network of `{project}`, whose container is gone"));
    }
    Ok(swept)
}

/// The ids of the networks of a project; there is none where no container had one.
pub(super) fn networks_of(project: &str) -> Result<Vec<String>> {
    let networks = removal::networks(project)?.into_iter().filter(|network| network.project == project);
    Ok(networks.map(|network| network.id).collect())
}
