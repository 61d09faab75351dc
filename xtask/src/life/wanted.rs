//! The wanted sandbox, from what was gathered. Pure.

use super::gather::Gathered;
use crate::codex::login::HostLogin;
use crate::context::Context;
use crate::engine::caches;
use crate::git::Repository;
use crate::spec::places;
use crate::spec::words::{GpuRoute, Handed, Login, Mode};
use crate::spec::{Mount, Role, Schema, Spec};
use crate::{fingerprint, network};
use std::path::{Path, PathBuf};

/// The sandbox that the user asks for. Where the engine was not asked, usual values stand for what only it knows.
pub(super) fn spec(cx: &Context, gathered: &Gathered, route: Option<GpuRoute>) -> Spec {
    let settings = &gathered.ground.settings;
    let known = gathered.engine.as_ref();
    let image = known.map(|known| &known.image);
    let engine_root = known.map_or(Path::new(caches::USUAL_ROOT), |known| known.engine.root_dir.as_path());
    let mut mounts = mounts(gathered);
    let handed = handed(cx, gathered);
    let key = places::key(&gathered.ground.workspace, gathered.ground.user.uid);
    let owner = caches::Owner::of(&settings.shape, &settings.env, &handed, &key);
    mounts.extend(caches::mounts(&settings.caches, gathered.ground.user.uid, &owner, engine_root));
    // The base image's id is not among them: the engine would have to be asked for it, and the build checks it.
    let inputs = gathered.image.table().into_iter().map(|(name, value)| format!("{name}={value}"));
    Spec {
        schema: Schema,
        uid: gathered.ground.user.uid,
        gid: gathered.ground.user.gid,
        groups: gathered.ground.surroundings.groups.clone(),
        image: image.map_or_else(|| gathered.image.tag(), |image| image.inputs.tag()),
        image_id: image.and_then(|image| image.id.clone()),
        image_inputs: fingerprint::of(inputs)[..12].to_owned(),
        mounts,
        out_of_reach: out_of_reach(cx, gathered),
        shape: settings.shape.clone(),
        gpu_route: route,
        codex_version: gathered.codex.version.clone(),
        codex_bin: gathered.codex.binary.clone(),
        ca_bundle: gathered.ground.network.ca.is_some(),
        env: settings.env.clone(),
        handed,
        compose_file: gathered.ground.surroundings.compose_file.clone(),
        dev_container: gathered.ground.surroundings.dev_container,
    }
}

/// The secrets that go in beside a lease and the variables of `env`.
fn handed(cx: &Context, gathered: &Gathered) -> Vec<Handed> {
    let settings = &gathered.ground.settings;
    let login = match (settings.shape.codex_home, settings.login) {
        (Mode::Shared, _) | (Mode::Mirror, Login::Full) => Some(Handed::FullLogin),
        (Mode::Mirror, Login::Lease) => (gathered.host_login == HostLogin::ApiKey).then_some(Handed::ApiKey),
        (Mode::Mirror, Login::None) | (Mode::None, _) => None,
    };
    let own = settings.shape.codex_home == Mode::Mirror && gathered.own_login;
    let others = [
        (own, Handed::OwnLogin),
        (gathered.mirror.secrets.go_in(), Handed::Configuration),
        (network::has_password(cx), Handed::Proxy),
    ];
    login.into_iter().chain(others.into_iter().filter_map(|(goes_in, what)| goes_in.then_some(what))).collect()
}

/// Every bind mount, outer ones before those that lie in them.
pub(super) fn mounts(gathered: &Gathered) -> Vec<Mount> {
    let filled = |role: Role| {
        let source = gathered.ground.places.filled(&role);
        Mount::new(role, source)
    };
    let mut mounts = vec![
        Mount::new(Role::Workspace, &gathered.ground.workspace),
        Mount::new(Role::CodexPackage, &gathered.codex.package),
        Mount::new(Role::CodexHome, gathered.codex_home()),
        filled(Role::Guest),
        // Also where nothing of the host's goes in: Codex obeys what an agent would make there.
        filled(Role::Agents),
    ];
    let optional = gathered.ground.surroundings.optional.iter();
    mounts.extend(optional.map(|(role, host)| match role.filled() {
        Some(_) => filled(role.clone()),
        None => Mount::new(role.clone(), host),
    }));
    mounts.extend(gathered.ground.datasets.iter().cloned());
    mounts.extend(gathered.ground.surroundings.git.iter().cloned());
    mounts
}

/// What no mount may reach for writing. Of this repository it is everything but the default project.
fn out_of_reach(cx: &Context, gathered: &Gathered) -> Vec<PathBuf> {
    let mut paths = gathered.ground.surroundings.checkout.clone();
    paths.push(cx.state.clone());
    match gathered.ground.settings.shape.codex_home {
        Mode::Mirror | Mode::None => paths.push(gathered.ground.surroundings.host_codex_home.clone()),
        Mode::Shared => {}
    }
    paths.extend(gathered.ground.repository.iter().flat_map(Repository::out_of_reach));
    paths
}
