//! What is kept of a container from its start: its promise, and what the image's entry point had set up before any
//! agent ran inside. The container cannot reach the file.

use crate::beneath::FileId;
use crate::context::Context;
use crate::engine::inspect::Container;
use crate::exec;
use crate::finding::Finding;
use crate::proof::programs;
use crate::proof::witness::CodexFile;
use crate::spec::places;
use crate::spec::places::Places;
use crate::spec::promise::Promise;
use anyhow::Result;
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What the container promised when it was started.
    pub promise: Promise,
    /// Variables of its main process that `docker exec` would not have.
    pub carried: BTreeMap<String, String>,
    /// The file of Codex that answered with the promised version.
    pub codex: Option<CodexFile>,
    /// The fingerprint of the programs that the inside witness runs, where the container's user is root.
    pub programs: Option<String>,
    /// Where there are GPUs, the claim that native code ran on them at the start.
    pub native: Option<Finding>,
}

impl Entry {
    /// An entry with nothing carried yet.
    pub fn new(promise: Promise) -> Entry {
        Entry { promise, carried: BTreeMap::new(), codex: None, programs: None, native: None }
    }
}

/// Reads what was kept of a container, by its id; `None` where that is not known any more.
pub fn read(places: &Places, id: &str) -> Option<Entry> {
    last(places).filter(|(last, _)| last == id).map(|(_, entry)| entry)
}

/// The container that was started last, by its id, and what was kept of it.
pub fn last(places: &Places) -> Option<(String, Entry)> {
    of_file(&places.entry)
}

/// The sources of the mounts of all this user's containers, whatever their workspace.
pub fn mounted(cx: &Context) -> Vec<PathBuf> {
    let workspaces = std::fs::read_dir(cx.state.join("workspaces"));
    let entries = workspaces.into_iter().flatten().flatten();
    entries
        .filter_map(|workspace| of_file(&workspace.path().join(places::ENTRY)))
        .flat_map(|(_, entry)| entry.promise.mounts)
        .map(|mount| mount.source)
        .collect()
}

fn of_file(path: &Path) -> Option<(String, Entry)> {
    let value: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let carried = value["carried"].as_object()?.iter();
    let entry = Entry {
        promise: Promise::from_json(&value["promise"])?,
        carried: carried.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect(),
        codex: codex_of(&value["codex"]),
        programs: value["programs"].as_str().map(str::to_owned),
        native: Finding::deserialize(&value["native"]).ok(),
    };
    Some((value["container"].as_str()?.to_owned(), entry))
}

/// The programs of a container as they are now, where its user is root; by what the engine says of it.
pub fn programs_now(promise: &Promise, container: &Container) -> Option<String> {
    if promise.uid != 0 {
        return None;
    }
    programs::fingerprint(Path::new(&format!("/proc/{}/root", container.init()?)))
}

/// The claim about them, by what they are now.
pub fn programs_claim(entry: &Entry, now: Option<&str>) -> Option<Finding> {
    programs::judge(entry.promise.uid, entry.programs.as_deref(), now)
}

/// Whether Codex answered as promised. A shell may keep a container in which it did not: entering that again asks anew.
pub fn answered(claims: &[Finding]) -> bool {
    claims.iter().any(|claim| claim.id == "codex.version" && claim.verdict.held())
}

fn codex_of(value: &Value) -> Option<CodexFile> {
    Some(CodexFile {
        id: FileId { dev: value[0].as_u64()?, ino: value[1].as_u64()? },
        size: value[2].as_u64()?,
        changed: (value[3].as_i64()?, value[4].as_i64()?),
    })
}

/// Keeps it.
///
/// # Errors
/// The state folder cannot be written.
pub fn write(places: &Places, id: &str, entry: &Entry) -> Result<()> {
    let codex = entry.codex.map(|file| {
        let (seconds, nanoseconds) = file.changed;
        json!([file.id.dev, file.id.ino, file.size, seconds, nanoseconds])
    });
    let value = json!({
        "container": id,
        "promise": entry.promise.json(),
        "carried": entry.carried,
        "codex": codex,
        "programs": entry.programs,
        "native": entry.native,
    });
    exec::write_file(&places.entry, format!("{value:#}\n").as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;
    use crate::proof::fixture::good;
    use crate::proof::judge;

    #[test]
    fn a_codex_that_did_not_answer_as_promised_is_not_known_by_its_file() {
        let (promise, mut inside, host) = good();
        assert!(answered(&judge(&promise, &inside, &host)));
        let said = inside.codex.as_mut().unwrap().version.as_mut().unwrap();
        (said.code, said.text) = ("127".into(), String::new());
        assert!(!answered(&judge(&promise, &inside, &host)));
        assert!(!answered(&[]));
    }

    #[test]
    fn a_native_claim_whose_verdict_is_unknown_is_not_provable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("entry.json");
        let mut promise = good().0;
        promise.gpus = crate::spec::promise::Gpus::All;
        let read = |verdict: &str| {
            let native = json!({"id": "gpu.native-code", "verdict": verdict, "promise": "p", "evidence": {}});
            let kept = json!({"container": "c", "promise": promise.json(), "carried": {}, "native": native});
            std::fs::write(&path, kept.to_string()).unwrap();
            super::super::native::claim(&of_file(&path).unwrap().1).unwrap().verdict
        };
        assert_eq!((read("held"), read("Held"), read("")), (Verdict::Held, Verdict::NotProvable, Verdict::NotProvable));
    }
}
