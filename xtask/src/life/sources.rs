//! The host-side checks of every mount's source, before anything is started.

use super::gather::Gathered;
use super::wanted;
use crate::context::{Context, resolved};
use crate::engine::sockets;
use crate::finding::Finding;
use crate::proof::sources::{self, Rules};
use crate::spec::settings::Settings;
use crate::spec::{Mount, Role};
use crate::user::User;
use anyhow::Result;
use std::path::PathBuf;

/// Who the container's user will be, with these supplementary groups, and what no mount may show.
pub(crate) fn rules(cx: &Context, user: &User, groups: Vec<u32>, settings: &Settings) -> Rules {
    let mut sockets = sockets::usual(user.uid);
    sockets.extend(cx.var("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from));
    Rules {
        home: cx.home.clone(),
        repository: cx.root.clone(),
        uid: user.uid,
        gid: user.gid,
        groups,
        state: cx.state.clone(),
        allow_ground: settings.allow_ground.clone(),
        sockets,
    }
}

/// The mounts, and what is wrong with them.
pub(crate) fn problems(cx: &Context, gathered: &Gathered) -> (Vec<Mount>, Vec<Finding>) {
    let ground = &gathered.ground;
    let rules = rules(cx, &ground.user, ground.surroundings.groups.clone(), &ground.settings);
    // What this tool fills itself is not there yet before the first start, and is checked by the proof.
    let given = |mount: &Mount| matches!(mount.role, Role::Workspace | Role::Dataset(_)) || mount.source.exists();
    let mounts: Vec<Mount> = wanted::mounts(gathered).into_iter().filter(given).collect();
    let problems = sources::check(&mounts, &rules);
    (mounts, problems)
}

/// Whatever is handed out by the user's word alone, a line each.
pub(super) fn handed_out(gathered: &Gathered) -> Vec<String> {
    let mounts = wanted::mounts(gathered);
    let allowed = gathered.ground.settings.allow_ground.iter().map(|path| resolved(path));
    let handed = allowed.filter(|path| mounts.iter().any(|mount| resolved(&mount.source) == *path));
    handed.map(|path| format!("`{}` is handed out because `allow_ground` names it", path.display())).collect()
}

/// The same as an error that names them all at once.
///
/// # Errors
/// Any source is refused.
pub(super) fn check(cx: &Context, gathered: &Gathered) -> Result<()> {
    sources::failure(&problems(cx, gathered).1).map_or(Ok(()), |failure| Err(failure.into()))
}
