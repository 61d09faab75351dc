//! The host-side checks of every mount's source, before anything is started.

use super::gather::Gathered;
use super::wanted;
use crate::context::Context;
use crate::engine::sockets;
use crate::finding::Finding;
use crate::proof::sources::{self, Rules};
use crate::spec::{Mount, Role};
use crate::user::User;
use anyhow::Result;
use std::path::PathBuf;

/// Who the container's user will be, with these supplementary groups, and what no mount may show.
pub(crate) fn rules(cx: &Context, user: &User, groups: Vec<u32>) -> Rules {
    let mut sockets = sockets::usual(user.uid);
    sockets.extend(cx.var("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from));
    Rules { home: cx.home.clone(), repository: cx.root.clone(), uid: user.uid, gid: user.gid, groups, sockets }
}

/// The mounts, and what is wrong with them.
pub(crate) fn problems(cx: &Context, gathered: &Gathered) -> (Vec<Mount>, Vec<Finding>) {
    let rules = rules(cx, &gathered.ground.user, gathered.ground.surroundings.groups.clone());
    // What this tool fills itself is not there yet before the first start, and is checked by the proof.
    let given = |mount: &Mount| matches!(mount.role, Role::Workspace | Role::Dataset(_)) || mount.source.exists();
    let mounts: Vec<Mount> = wanted::mounts(gathered).into_iter().filter(given).collect();
    let problems = sources::check(&mounts, &rules);
    (mounts, problems)
}

/// The same as an error that names them all at once.
///
/// # Errors
/// Any source is refused.
pub(super) fn check(cx: &Context, gathered: &Gathered) -> Result<()> {
    sources::failure(&problems(cx, gathered).1).map_or(Ok(()), |failure| Err(failure.into()))
}
