//! Caches that outlive a container: named volumes of the engine, one for each user, tool and [`Owner`]. Pure.
//!
//! What an agent leaves in a cache, the next one that has it runs. So those with different networks have none in common, and
//! a sandbox that is handed secrets has its own; the setting `cache_sharing` says more or less. The host itself never reads
//! one. The engine gives a new volume the owner and the mode of the image's directory at the same path, so the image has
//! these directories, owned by the user (`docker/add_user.sh`). The volumes are `external` for Compose: it would warn about
//! a volume that another project of its own has created, and offer to recreate it.

use crate::engine::docker;
use crate::engine::own::USER;
use crate::error::{Failure, failed};
use crate::spec::codex_command::LINK_MODE;
use crate::spec::places::{self, PROJECT};
use crate::spec::settings::Shape;
use crate::spec::words::{self, Cache, CacheSharing, Handed, Network};
use crate::spec::{Mount, Role, Spec};
use crate::step::{Command, Step};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The label of our volumes: the name of the cache.
const CACHE_LABEL: &str = "codex-sandbox.cache";
/// The label with the network of the sandboxes that share it.
const NETWORK_LABEL: &str = "codex-sandbox.network";
/// The label with the workspace that it belongs to.
const WORKSPACE_LABEL: &str = "codex-sandbox.workspace";

/// The usual data directory of an engine; for a plan that does not ask the engine.
pub(crate) const USUAL_ROOT: &str = "/var/lib/docker";

/// How the names of the volumes begin.
const START: &str = "codex-sandbox-cache-";

/// The path of a cache inside the container.
pub(crate) fn target(cache: Cache) -> String {
    format!("/home/codex/.cache/{cache}")
}

/// Whose a cache is. All of them are one user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Of the sandboxes with this network; `None` of all.
    network: Option<Network>,
    /// Of the sandbox of this workspace, by the key of its places; `None` of all.
    workspace: Option<String>,
}

impl Owner {
    /// The owner that the settings ask for, for the sandbox of the workspace of this key. `env` are the variables that it is
    /// handed, `handed` the other secrets.
    pub(crate) fn of(shape: &Shape, env: &[String], handed: &[Handed], key: &str) -> Owner {
        let workspace = || Some(key.to_owned());
        match shape.cache_sharing {
            CacheSharing::All => Owner { network: None, workspace: None },
            CacheSharing::Network if env.is_empty() && handed.is_empty() => {
                Owner { network: Some(shape.network), workspace: None }
            }
            CacheSharing::Network | CacheSharing::Workspace => {
                Owner { network: Some(shape.network), workspace: workspace() }
            }
        }
    }
}

/// A volume as its name says it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    cache: Cache,
    owner: Owner,
}

impl Named {
    /// Reads the name of a volume of this user's.
    fn read(name: &str, uid: u32) -> Option<Named> {
        let rest = name.strip_prefix(START)?.strip_suffix(&format!("-u{uid}"))?;
        let (cache, owner) = rest.split_once('-').map_or((rest, None), |(cache, owner)| (cache, Some(owner)));
        let (network, workspace) = match owner.map(|owner| owner.split_once('-').unwrap_or((owner, ""))) {
            None => (None, None),
            Some((network, "")) => (Some(words::parse(network)?), None),
            Some((network, workspace)) => (Some(words::parse(network)?), Some(workspace.to_owned())),
        };
        Some(Named { cache: words::parse(cache)?, owner: Owner { network, workspace } })
    }
}

/// The volume of a cache, for a user.
fn volume(cache: Cache, uid: u32, owner: &Owner) -> String {
    let network = owner.network.map(|network| format!("-{network}")).unwrap_or_default();
    let workspace = owner.workspace.iter().map(|workspace| format!("-{workspace}")).collect::<String>();
    format!("{START}{cache}{network}{workspace}-u{uid}")
}

/// The caches as mounts, for an engine that keeps its data in `root`.
pub(crate) fn mounts(caches: &[Cache], uid: u32, owner: &Owner, root: &Path) -> Vec<Mount> {
    let mount = |cache: Cache| Mount {
        role: Role::Cache(cache),
        source: root.join("volumes").join(volume(cache, uid, owner)).join("_data"),
        target: target(cache),
        read_only: false,
    };
    caches.iter().copied().map(mount).collect()
}

/// Whether a mount's source is this volume, as [`mounts`] writes it.
pub(crate) fn is_volume(source: &Path, name: &str) -> bool {
    source.ends_with(Path::new("volumes").join(name).join("_data"))
}

/// Whether a volume is this cache of the user's and is shared by no others than the sandbox may share it with. Whose sandbox it
/// is follows from the workspace that is mounted, which has a claim of its own, and not from the name that is judged.
pub(crate) fn is_kept_apart(name: &str, cache: Cache, spec: &Spec) -> bool {
    let Some(workspace) = spec.mount(&Role::Workspace) else { return false };
    let key = places::key(&workspace.source, spec.uid);
    let owner = Owner::of(&spec.shape, &spec.env, &spec.handed, &key);
    Named::read(name, spec.uid) == Some(Named { cache, owner })
}

/// The mount of one cache, as Compose writes it in a service.
pub(crate) fn service_volume(cache: Cache, target: &str) -> Value {
    json!({"type": "volume", "source": key(cache), "target": target})
}

/// The volumes of the project and the variables of the service for these caches, as Compose writes them.
pub(crate) fn declared<'a>(caches: impl Iterator<Item = (Cache, &'a str)>) -> (Map<String, Value>, Map<String, Value>) {
    let (mut volumes, mut variables) = (Map::new(), Map::new());
    for (cache, volume) in caches {
        volumes.insert(key(cache), json!({"name": volume, "external": true}));
        variables.insert(cache.variable().to_owned(), json!(target(cache)));
        if cache == Cache::Uv {
            // It would try a hard link first, and warn each time.
            variables.insert(LINK_MODE.into(), json!("copy"));
        }
    }
    (volumes, variables)
}

fn key(cache: Cache) -> String {
    format!("cache-{cache}")
}

/// Creates the volumes of a sandbox; one that exists is left as it is.
pub(crate) fn create(spec: &Spec) -> Vec<Step> {
    let step = |(cache, volume): (Cache, &str)| {
        let owner = Named::read(volume, spec.uid).map(|named| named.owner);
        let network =
            owner.as_ref().and_then(|owner| owner.network).map(|network| format!("{NETWORK_LABEL}={network}"));
        let workspace =
            owner.and_then(|owner| owner.workspace).map(|workspace| format!("{WORKSPACE_LABEL}={workspace}"));
        let labels = [format!("{CACHE_LABEL}={cache}"), format!("{USER}={}", spec.uid)];
        let labels: Vec<String> = labels.into_iter().chain(network).chain(workspace).collect();
        Step::Run(docker::create_volume(volume, &labels))
    };
    let note = spec.caches().next().map(|_| {
        Step::Note("the caches are volumes that outlive the container; those that do not exist are created".into())
    });
    note.into_iter().chain(spec.caches().map(step)).collect()
}

/// Whether Compose failed because a volume does not exist yet.
pub(crate) fn is_missing(stderr: &str) -> bool {
    stderr.lines().any(|line| line.contains("external volume") && line.contains(START) && line.contains("not found"))
}

/// Lists the volumes whose name may be that of a cache, with the label that says whose they are.
pub(crate) fn list() -> Command {
    docker::volumes(START)
}

/// What has the name of a cache of this user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Volumes {
    /// Those that this tool has made for this user.
    pub(crate) own: Vec<String>,
    /// Those that somebody else has made. When a container starts while its volumes are being removed, the engine makes new
    /// ones, which nobody can tell from these.
    pub(crate) foreign: Vec<String>,
}

/// Reads the answer.
pub(crate) fn parse_list(text: &str, uid: u32) -> Volumes {
    let line = |line: &str| line.split_once('\t').map(|(name, user)| (name.to_owned(), user == uid.to_string()));
    let named = text.lines().filter_map(line).filter(|(name, _)| Named::read(name, uid).is_some());
    let (own, foreign): (Vec<_>, Vec<_>) = named.partition(|(_, own)| *own);
    let names = |volumes: Vec<(String, bool)>| volumes.into_iter().map(|(name, _)| name).collect();
    Volumes { own: names(own), foreign: names(foreign) }
}

/// Refuses caches that somebody else has made: what lies in one is that one's, and a sandbox would read and change it.
///
/// # Errors
/// The sandbox would have one.
pub(crate) fn refuse_foreign(spec: &Spec, volumes: &Volumes) -> Result<(), Failure> {
    let mut wanted = spec.caches().map(|(_, volume)| volume);
    let foreign = wanted.find(|volume| volumes.foreign.iter().any(|foreign| foreign == volume));
    foreign.map_or(Ok(()), |name| {
        Err(failed(format!(
            "the volume `{name}` exists and was not made by this tool: it lacks the label `{USER}={}`",
            spec.uid
        ))
        .hint(format!("`docker volume inspect {name}` shows what it is; `docker volume rm {name}` removes it"))
        .hint("or do without caches: `--no-caches`"))
    })
}

/// Those among caches of this user that belong to the workspace of a Compose project alone.
pub(crate) fn of_workspace(volumes: Vec<String>, uid: u32, project: &str) -> Vec<String> {
    let key = project.strip_prefix(PROJECT);
    let is_its = |name: &String| {
        Named::read(name, uid).is_some_and(|named| named.owner.workspace.as_deref() == key && key.is_some())
    };
    volumes.into_iter().filter(is_its).collect()
}

/// Those among caches of this user that no sandbox with this setting has: they were shared by all, as earlier versions did.
pub(crate) fn unused(volumes: &[String], uid: u32, sharing: CacheSharing) -> Vec<String> {
    let is_alls = |name: &&String| Named::read(name, uid).is_some_and(|named| named.owner.network.is_none());
    match sharing {
        CacheSharing::All => Vec::new(),
        CacheSharing::Network | CacheSharing::Workspace => volumes.iter().filter(is_alls).cloned().collect(),
    }
}

/// Says of caches of this user whose they are, a line for each kind of owner. `project` is the workspace whose own they may be.
pub(crate) fn whose(volumes: &[String], uid: u32, project: &str) -> Vec<String> {
    let key = project.strip_prefix(PROJECT);
    let owners = volumes.iter().filter_map(|name| Some((name, Named::read(name, uid)?.owner)));
    let mut lines: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, Owner { network, workspace }) in owners {
        let whose = match (network, workspace) {
            (_, Some(workspace)) if Some(workspace.as_str()) == key => "of this workspace alone".to_owned(),
            (_, Some(_)) => "each of another workspace alone".to_owned(),
            (Some(network), None) => format!("of all your workspaces with `network: {network}`"),
            (None, None) => "of all your workspaces".to_owned(),
        };
        lines.entry(whose).or_default().push(name);
    }
    let line = |(whose, names): (String, Vec<&str>)| match names.as_slice() {
        [name] => format!("the cache `{name}`, {whose}"),
        names => format!("{} caches, {whose}", names.len()),
    };
    lines.into_iter().map(line).collect()
}

/// The volumes among these that a container has mounted, by what the engine says of all containers, a line each with the names
/// of their volumes between commas.
pub(crate) fn mounted<'a>(volumes: &'a [String], said: &str) -> Vec<&'a str> {
    let names: BTreeSet<&str> = said.lines().flat_map(|line| line.split(',')).map(str::trim).collect();
    volumes.iter().map(String::as_str).filter(|name| names.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::settings::usual;
    use clap::ValueEnum as _;

    fn owner(sharing: CacheSharing, network: Network, env: &[&str], workspace: &str) -> Owner {
        let env: Vec<String> = env.iter().map(|name| (*name).to_owned()).collect();
        Owner::of(&Shape { cache_sharing: sharing, network, ..usual() }, &env, &[], workspace)
    }

    #[test]
    fn no_cache_is_shared_between_networks_nor_by_a_sandbox_with_variables_unless_the_user_says_so() {
        use CacheSharing::{All, Network as ByNetwork, Workspace};
        use Network::{None as Closed, Open};
        let name = |sharing, network, env: &[&str], workspace: &str| {
            volume(Cache::Pip, 1000, &owner(sharing, network, env, workspace))
        };
        assert_eq!(usual().cache_sharing, ByNetwork);
        let [open, closed] = [Open, Closed].map(|network| name(ByNetwork, network, &[], "a-0a1b2c3d"));
        assert_eq!(open, "codex-sandbox-cache-pip-open-u1000");
        assert_eq!(closed, "codex-sandbox-cache-pip-none-u1000");
        assert_eq!(open, name(ByNetwork, Open, &[], "b-0a1b2c3e"));
        let own = name(ByNetwork, Open, &["HF_TOKEN"], "a-0a1b2c3d");
        assert_eq!(own, "codex-sandbox-cache-pip-open-a-0a1b2c3d-u1000");
        assert_ne!(own, name(ByNetwork, Open, &["HF_TOKEN"], "b-0a1b2c3e"));
        assert_eq!(own, name(Workspace, Open, &[], "a-0a1b2c3d"));
        assert_ne!(own, name(Workspace, Closed, &[], "a-0a1b2c3d"));
        // What all of them had before, and still have by the user's choice.
        assert_eq!(name(All, Closed, &["HF_TOKEN"], "a-0a1b2c3d"), "codex-sandbox-cache-pip-u1000");
        assert_ne!(own, volume(Cache::Pip, 1001, &owner(Workspace, Open, &[], "a-0a1b2c3d")));
    }

    #[test]
    fn whatever_secret_is_handed_in_keeps_the_caches_of_its_workspace_apart() {
        for handed in Handed::value_variants() {
            let owner = Owner::of(&usual(), &[], &[*handed], "a-0a1b2c3d");
            assert_eq!(owner.workspace.as_deref(), Some("a-0a1b2c3d"), "{handed}");
        }
        assert_eq!(Owner::of(&usual(), &[], &[], "a-0a1b2c3d").workspace, None);
    }

    #[test]
    fn the_workspace_of_the_record_says_whose_a_cache_is_and_not_the_name_that_is_judged() {
        let mut spec = crate::proof::fixture::spec();
        let volume = |key: &str| format!("codex-sandbox-cache-pip-open-{key}-u1000");
        let own = places::key(Path::new("/ws"), 1000);
        assert!(is_kept_apart("codex-sandbox-cache-pip-open-u1000", Cache::Pip, &spec));
        for change in
            [|spec: &mut Spec| spec.env.push("HF_TOKEN".into()), |spec: &mut Spec| spec.handed.push(Handed::ApiKey)]
        {
            let mut spec = spec.clone();
            change(&mut spec);
            assert!(is_kept_apart(&volume(&own), Cache::Pip, &spec));
            assert!(!is_kept_apart("codex-sandbox-cache-pip-open-u1000", Cache::Pip, &spec));
            // One that another workspace of the user has, too.
            assert!(!is_kept_apart(&volume("other-0a1b2c3d"), Cache::Pip, &spec));
        }
        spec.shape.cache_sharing = CacheSharing::Workspace;
        assert!(is_kept_apart(&volume(&own), Cache::Pip, &spec));
        assert!(!is_kept_apart(&volume("other-0a1b2c3d"), Cache::Pip, &spec));
        spec.mounts.remove(0);
        assert!(!is_kept_apart(&volume(&own), Cache::Pip, &spec));
    }

    #[test]
    fn a_name_says_whose_the_cache_is() {
        let owners = [
            owner(CacheSharing::All, Network::Open, &[], "a"),
            owner(CacheSharing::Network, Network::None, &[], "a"),
            owner(CacheSharing::Workspace, Network::Open, &[], "my-project-0a1b2c3d"),
        ];
        for owner in owners {
            for cache in Cache::value_variants() {
                let name = volume(*cache, 7, &owner);
                assert_eq!(Named::read(&name, 7), Some(Named { cache: *cache, owner: owner.clone() }), "{name}");
                assert_eq!(Named::read(&name, 17), None, "{name}");
            }
        }
        for other in
            ["codex-sandbox-cache-x-u7", "codex-sandbox-cache-pip-lan-u7", "precious", "codex-sandbox-cache--u7"]
        {
            assert_eq!(Named::read(other, 7), None, "{other}");
        }
    }

    #[test]
    fn every_cache_is_found_by_a_variable_and_kept_by_user() {
        let owner = owner(CacheSharing::Network, Network::Open, &[], "a");
        let mounts = mounts(Cache::value_variants(), 1000, &owner, Path::new(USUAL_ROOT));
        let spec = Spec { mounts, ..crate::proof::fixture::spec() };
        let (volumes, variables) = declared(spec.caches());
        assert_eq!(volumes["cache-pip"], json!({"name": "codex-sandbox-cache-pip-open-u1000", "external": true}));
        assert_eq!(volumes.len(), Cache::value_variants().len());
        for cache in Cache::value_variants() {
            assert_eq!(variables[cache.variable()], target(*cache));
        }
        assert_eq!(variables["PIP_CACHE_DIR"], "/home/codex/.cache/pip");
        let steps: Vec<String> = create(&spec).iter().map(ToString::to_string).collect();
        let pip = "docker volume create --label 'codex-sandbox.cache=pip' --label 'codex-sandbox.user=1000' --label \
                   'codex-sandbox.network=open' codex-sandbox-cache-pip-open-u1000";
        assert!(steps.iter().any(|step| step == pip), "{steps:#?}");
    }

    #[test]
    fn many_caches_are_told_by_whose_they_are_and_which_are_in_use() {
        let names = [
            "pip-open-u7", "uv-open-u7", "pip-u7", "pip-open-a-0a1b2c3d-u7", "uv-none-b-0a1b2c3e-u7",
            "uv-open-c-0a1b2c3f-u7",
        ];
        let names = names.map(|name| format!("codex-sandbox-cache-{name}"));
        assert_eq!(
            whose(&names, 7, "codex-sandbox-a-0a1b2c3d"),
            [
                "2 caches, each of another workspace alone",
                "the cache `codex-sandbox-cache-pip-u7`, of all your workspaces",
                "2 caches, of all your workspaces with `network: open`",
                "the cache `codex-sandbox-cache-pip-open-a-0a1b2c3d-u7`, of this workspace alone",
            ]
        );
        let said = "other,codex-sandbox-cache-pip-u7\n\n/a/path,codex-sandbox-cache-pip-u70\n";
        assert_eq!(mounted(&names, said), ["codex-sandbox-cache-pip-u7"]);
        assert_eq!(mounted(&names, ""), Vec::<&str>::new());
    }

    #[test]
    fn a_volume_that_is_not_there_yet_is_told_from_other_failures() {
        let said = " Network x  Created\nexternal volume \"codex-sandbox-cache-pip-u0\" not found\n";
        assert!(is_missing(said));
        assert!(!is_missing("external volume \"mine\" not found"));
        assert!(!is_missing("Error response from daemon: No such image: codex-sandbox-cache-pip-u0: not found"));
    }

    #[test]
    fn of_the_engines_volumes_only_the_users_own_caches_are_ours() {
        let own = ["", "-open", "-none", "-open-a-0a1b2c3d", "-none-b-0a1b2c3e"];
        let own = own.map(|owner| format!("codex-sandbox-cache-pip{owner}-u1000"));
        let lines: String = own.iter().map(|name| format!("{name}\t1000\n")).collect();
        let others = "codex-sandbox-cache-pip-u0\t0\nprecious\t1000\ncodex-sandbox-cache-x-u1000\t1000\n\
                      codex-sandbox-cache-uv-u1000\t\ncodex-sandbox-cache-torch-u1000\t1001\n";
        let Volumes { own: ours, foreign } = parse_list(&format!("{others}{lines}"), 1000);
        assert_eq!(ours, own);
        assert_eq!(foreign, ["codex-sandbox-cache-uv-u1000", "codex-sandbox-cache-torch-u1000"]);
        assert_eq!(of_workspace(ours.clone(), 1000, "codex-sandbox-a-0a1b2c3d"), [own[3].clone()]);
        assert_eq!(of_workspace(ours.clone(), 1000, "elsewhere"), Vec::<String>::new());
        assert_eq!(unused(&ours, 1000, CacheSharing::Network), [own[0].clone()]);
        assert_eq!(unused(&ours, 1000, CacheSharing::All), Vec::<String>::new());
    }
}
