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
use std::path::{Path, PathBuf};

/// Who the container's user will be where these directories are mounted, and what no mount may show.
pub(crate) fn rules(cx: &Context, user: &User, sources: &[&Path]) -> Rules {
    let mut sockets = sockets::usual(user.uid);
    sockets.extend(cx.var("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from));
    Rules {
        home: cx.home.clone(),
        repository: cx.root.clone(),
        uid: user.uid,
        gid: user.gid,
        groups: user.groups_for(sources.iter().copied()),
        sockets,
    }
}

/// The mounts, and what is wrong with them.
pub(crate) fn problems(cx: &Context, gathered: &Gathered) -> (Vec<Mount>, Vec<Finding>) {
    let datasets = gathered.ground.datasets.iter().map(|mount| mount.source.as_path());
    let sources: Vec<&Path> = datasets.chain([gathered.ground.workspace.as_path()]).collect();
    let rules = rules(cx, &gathered.ground.user, &sources);
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
    match sources::failure(&problems(cx, gathered).1) {
        None => Ok(()),
        Some(failure) => Err(failure.into()),
    }
}
