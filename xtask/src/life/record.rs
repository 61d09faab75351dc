//! What is kept of a container from its start (`entry.json`): its `Spec`, and what was seen in it before any agent ran
//! inside. The container cannot reach the file.

use crate::beneath::FileId;
use crate::context::Context;
use crate::engine::inspect::Container;
use crate::engine::running::Existing;
use crate::error::{Failure, failed};
use crate::exec;
use crate::exposed::Exposed;
use crate::finding::Finding;
use crate::outside;
use crate::proof::init::InitSeen;
use crate::proof::{CodexFile, Promised, programs};
use crate::spec::places::{self, Places};
use crate::spec::{Role, SCHEMA, Schema, Spec};
use crate::text;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// The layout of the file.
    pub schema: Schema,
    /// The full id of the container.
    pub container: String,
    /// What the host saw in its init before any agent ran inside, or why it could not.
    pub init: Result<InitSeen, String>,
    /// The sandbox that it is checked against.
    pub spec: Spec,
    /// What was checked and then mounted, by the target of each bind mount.
    pub sources: BTreeMap<String, FileId>,
    /// The file of Codex that answered with the promised version.
    #[serde(deserialize_with = "Option::deserialize")]
    pub codex: Option<CodexFile>,
    /// The fingerprint of the programs that the inside witness runs, where the container's user is root.
    #[serde(deserialize_with = "Option::deserialize")]
    pub programs: Option<String>,
    /// Where there are GPUs, the claim that native code ran on them at the start.
    #[serde(deserialize_with = "Option::deserialize")]
    pub native: Option<Finding>,
}

impl Record {
    /// A record of a container in which nothing was seen yet.
    pub(crate) fn new(container: String, spec: Spec, sources: BTreeMap<String, FileId>) -> Record {
        Record {
            schema: Schema,
            container,
            init: Err("the host has not looked into it".to_owned()),
            spec,
            sources,
            codex: None,
            programs: None,
            native: None,
        }
    }

    /// What the container is proven against.
    pub(crate) fn promised(&self) -> Promised<'_> {
        Promised { spec: &self.spec, sources: &self.sources, init: &self.init }
    }

    /// Variables of its main process that `docker exec` would not have.
    pub(crate) fn carried(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.init.as_ref().map_or(&NONE, |init| &init.carried)
    }

    /// Keeps it.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub(crate) fn write(&self, places: &Places) -> Result<()> {
        let text = format!("{:#}\n", serde_json::to_value(self)?);
        exec::write_file(&places.record, text.as_bytes(), 0o600)
    }
}

/// The record of the container that was started last.
pub(super) fn last(places: &Places) -> Option<Record> {
    serde_json::from_slice(&outside::bytes(&places.record, outside::STATE).ok()?).ok()
}

/// The record of this very container, where its label says the same.
///
/// # Errors
/// Why there is nothing to check the container against, as a whole clause.
pub(crate) fn trusted(places: &Places, existing: &Existing) -> Result<Record, Failure> {
    let odd = |why: String| failed(why).hint("`cargo xtask down`, then `cargo xtask sandbox`");
    let label = |why| odd(format!("the label of this container cannot be read: {why}"));
    let spec = existing.spec.as_ref().map_err(label)?;
    let file = places.record.display();
    let unreadable = || odd(format!("the record of this container (`{file}`) is missing or unreadable"));
    let record = last(places).filter(|record| record.container == existing.id).ok_or_else(unreadable)?;
    if record.spec != *spec {
        return Err(odd(format!("the record of this container (`{file}`) and its label disagree")));
    }
    changed(&record, existing).map_or(Ok(record), |why| Err(odd(why)))
}

/// Why a container that runs is not as its record says, as a whole clause: something else has been done to it, or to its
/// workspace.
fn changed(record: &Record, existing: &Existing) -> Option<String> {
    let workspace = record.spec.mounts.iter().find(|mount| mount.role == Role::Workspace);
    if let Some(mount) = workspace.filter(|_| existing.up)
        && is_another(&mount.source, record.sources.get(&mount.target))
    {
        let shown = text::path(&mount.source);
        return Some(format!(
            "the workspace `{shown}` was removed and made again, or another directory was put, mounted or linked in its place, and \
             the container still has the first one"
        ));
    }
    // Nobody has looked into this init before an agent could, and it was not told to be out of reach.
    let again = existing.up && record.init.as_ref().is_ok_and(|init| !init.is_of(&existing.container));
    again.then(|| "it was started again by something else than this tool".to_owned())
}

/// The same of the container of a workspace, for who only looks.
pub(crate) fn changed_since(places: &Places, existing: &Existing) -> Option<String> {
    last(places).filter(|record| record.container == existing.id).and_then(|record| changed(&record, existing))
}

/// Whether a directory is there, and is not the one that was mounted. A mount keeps what it shows, so that nothing else gets
/// its inode number as long as the container runs.
fn is_another(source: &Path, mounted: Option<&FileId>) -> bool {
    source.symlink_metadata().is_ok_and(|now| mounted.is_some_and(|mounted| *mounted != FileId::from(&now)))
}

/// The sources of the mounts of all this user's containers, whatever their workspace and whichever version of this tool
/// made them; `None` where a record cannot be read, so that nothing counts as unused.
pub(super) fn mounted(cx: &Context) -> Option<Vec<PathBuf>> {
    let workspaces = std::fs::read_dir(cx.state.join("workspaces"));
    let mut sources = Vec::new();
    for workspace in workspaces.into_iter().flatten().flatten() {
        match outside::bytes(&workspace.path().join(places::RECORD), outside::STATE) {
            Ok(bytes) => sources.extend(sources_of(&bytes)?),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    Some(sources)
}

/// The sources in a record of any version.
fn sources_of(bytes: &[u8]) -> Option<Vec<PathBuf>> {
    mounts_of(bytes)?.iter().map(|mount| mount["source"].as_str().map(PathBuf::from)).collect()
}

/// The mounts in a record of any version: the first one had them under `promise`.
fn mounts_of(bytes: &[u8]) -> Option<Vec<Value>> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let spec = match value["schema"].as_u64() {
        None => &value["promise"],
        Some(number) if number <= u64::from(SCHEMA) => &value["spec"],
        Some(_) => return None,
    };
    Some(spec["mounts"].as_array()?.clone())
}

/// What the record of another workspace's container says, whichever version wrote it.
#[derive(Debug)]
pub(super) struct OtherRecord {
    /// Compose's project name.
    pub(super) project: String,
    pub(super) workspace: PathBuf,
    pub(super) mounts: Vec<OtherMount>,
}

/// One of its mounts.
#[derive(Debug)]
pub(super) struct OtherMount {
    pub(super) source: PathBuf,
    pub(super) read_only: bool,
}

/// The records of all other workspaces of this user. One that cannot be read says nothing: its sandbox is refused at its
/// own next entry.
pub(super) fn others(cx: &Context, own: &Places) -> Vec<OtherRecord> {
    let workspaces = std::fs::read_dir(cx.state.join("workspaces")).into_iter().flatten().flatten();
    let read = |dir: std::fs::DirEntry| {
        let project = format!("{}{}", places::PROJECT, dir.file_name().to_str()?);
        let mounts = mounts_of(&outside::bytes(&dir.path().join(places::RECORD), outside::STATE).ok()?)?;
        let source = |mount: &Value| mount["source"].as_str().map(PathBuf::from);
        let workspace = mounts.iter().find(|mount| mount["role"] == "workspace").and_then(source)?;
        let one = |mount: &Value| {
            Some(OtherMount { source: source(mount)?, read_only: mount["read_only"].as_bool() == Some(true) })
        };
        Some(OtherRecord { project, workspace, mounts: mounts.iter().filter_map(one).collect() })
    };
    workspaces.filter(|dir| dir.path() != own.dir).filter_map(read).collect()
}

/// What the containers of this user have for writing by their records, whichever version wrote them. A record that cannot
/// be read says nothing here: the list of `Exposed`, which is kept since version 3, has what it would say.
fn given_for_writing(cx: &Context) -> Vec<PathBuf> {
    let workspaces = std::fs::read_dir(cx.state.join("workspaces")).into_iter().flatten().flatten();
    let records = workspaces.filter_map(|dir| outside::bytes(&dir.path().join(places::RECORD), outside::STATE).ok());
    records.flat_map(|bytes| writable_of(&bytes)).collect()
}

fn writable_of(bytes: &[u8]) -> Vec<PathBuf> {
    let mounts = mounts_of(bytes).unwrap_or_default();
    let open = mounts.iter().filter(|mount| mount["read_only"].as_bool() != Some(true));
    open.filter_map(|mount| mount["source"].as_str()).map(PathBuf::from).collect()
}

/// The directories that sandboxes of this user can write, and what is confirmed of what lies in them.
///
/// # Errors
/// The list is damaged.
pub(crate) fn exposed(cx: &Context) -> Result<Exposed> {
    Exposed::read(&cx.state, given_for_writing(cx))
}

/// The same, with what the user vouches for in this call. `read` is the list where it was just read.
///
/// # Errors
/// The list is damaged, or what the user names with `--confirm` is not there.
pub(crate) fn exposed_but(cx: &Context, read: Option<Exposed>, confirm: &[PathBuf]) -> Result<Exposed> {
    read.map_or_else(|| exposed(cx), Ok)?.naming(&confirm.iter().map(|path| cx.absolute(path)).collect::<Vec<_>>())
}

/// The programs of a container as they are now, where its user is root.
pub(crate) fn programs_now(spec: &Spec, container: &Container) -> Option<String> {
    if spec.uid != 0 {
        return None;
    }
    programs::fingerprint(Path::new(&format!("/proc/{}/root", container.init()?)))
}

/// The claim about them, by what they are now.
pub(crate) fn programs_claim(record: &Record, now: Option<&str>) -> Option<Finding> {
    programs::judge(record.spec.uid, record.programs.as_deref(), now)
}

/// Whether Codex answered as promised. A shell may keep a container in which it did not: the next entry
/// then asks Codex again.
pub(super) fn answered(claims: &[Finding]) -> bool {
    claims.iter().any(|claim| claim.id == "codex.version" && claim.verdict.held())
}

/// For the fuzzer: the record of a container, of any version.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    _ = (mounts_of(bytes), sources_of(bytes), writable_of(bytes));
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return };
    let again = serde_json::to_vec(&record).and_then(|kept| serde_json::from_slice::<Record>(&kept));
    assert_eq!(again.ok(), Some(record));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::fixture::good;
    use crate::proof::judge;

    #[test]
    fn a_codex_that_did_not_answer_as_promised_is_not_known_by_its_file() {
        let (spec, mut inside, host) = good();
        assert!(answered(&judge(&spec, &inside, &host)));
        let said = inside.codex.as_mut().unwrap().version.as_mut().unwrap();
        (said.code, said.text) = ("127".into(), String::new());
        assert!(!answered(&judge(&spec, &inside, &host)));
        assert!(!answered(&[]));
    }

    #[test]
    fn a_directory_that_was_made_again_is_not_the_one_that_was_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = dir.path().join("workspace");
        std::fs::create_dir(&workspace).unwrap();
        let mounted = FileId::from(&workspace.metadata().unwrap());
        // As a mount does, this keeps the inode number from being given again.
        let _held = std::fs::File::open(&workspace).unwrap();
        assert!(!is_another(&workspace, Some(&mounted)));
        std::fs::remove_dir(&workspace).unwrap();
        assert!(!is_another(&workspace, Some(&mounted)), "that it is missing is said elsewhere");
        std::fs::create_dir(&workspace).unwrap();
        assert!(is_another(&workspace, Some(&mounted)));
        assert!(!is_another(&workspace, None));
    }

    /// The record of the first release, which had no schema version.
    const FIRST: &str = include_str!("fixtures/entry-1.json");

    #[test]
    fn what_an_earlier_version_mounts_still_counts_as_used() {
        let sources = sources_of(FIRST.as_bytes()).unwrap();
        assert!(sources.iter().any(|source| source.to_string_lossy().contains("/codex/0.169.0-")), "{sources:?}");
        assert!(serde_json::from_str::<Record>(FIRST).is_err(), "its promises are not guessed at");
        assert_eq!(sources_of(b"{"), None);
        assert_eq!(sources_of(br#"{"schema": 6, "spec": {"mounts": []}}"#), None);
    }

    /// The record of version 2.
    const SECOND: &str = include_str!("fixtures/entry-2.json");
    /// The record of version 3.
    const THIRD: &str = include_str!("fixtures/entry-3.json");
    /// The record of version 4.
    const FOURTH: &str = include_str!("fixtures/entry-4.json");

    #[test]
    fn the_records_of_every_version_name_what_was_given_for_writing() {
        for record in [FIRST, SECOND, THIRD, FOURTH] {
            let paths = writable_of(record.as_bytes());
            assert!(paths.contains(&"/home/me/project".into()), "{paths:?}");
            assert!(!paths.contains(&"/home/me/data".into()), "{paths:?}");
            assert!(serde_json::from_str::<Record>(record).is_err(), "its promises are not guessed at");
        }
        assert_eq!(writable_of(b"{"), Vec::<PathBuf>::new());
    }
}
