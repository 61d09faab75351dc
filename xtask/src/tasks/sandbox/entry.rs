//! What is kept of a container from its start: its promise, and what the image's entry point had set up before any
//! agent ran inside. The container cannot reach the file.

use crate::exec;
use crate::sandbox::places::Places;
use crate::sandbox::promise::Promise;
use crate::sandbox::proof::{Claim, programs};
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What the container promised when it was started.
    pub promise: Promise,
    /// Variables of its main process that `docker exec` would not have.
    pub carried: BTreeMap<String, String>,
    /// The fingerprint of the programs that the inside witness runs, where the container's user is root.
    pub programs: Option<String>,
    /// Where there are GPUs, the claim that native code ran on them at the start.
    pub native: Option<Claim>,
}

impl Entry {
    /// An entry with nothing carried yet.
    pub fn new(promise: Promise) -> Entry {
        Entry {
            promise,
            carried: BTreeMap::new(),
            programs: None,
            native: None,
        }
    }
}

/// Reads what was kept of a container, by its id; `None` where that is not known any more.
pub fn read(places: &Places, id: &str) -> Option<Entry> {
    last(places).filter(|(last, _)| last == id).map(|(_, entry)| entry)
}

/// The container that was started last, by its id, and what was kept of it.
pub fn last(places: &Places) -> Option<(String, Entry)> {
    let value: Value = serde_json::from_slice(&std::fs::read(&places.entry).ok()?).ok()?;
    let carried = value["carried"].as_object()?.iter();
    let entry = Entry {
        promise: Promise::from_json(&value["promise"])?,
        carried: carried
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        programs: value["programs"].as_str().map(str::to_owned),
        native: Claim::from_json(&value["native"]),
    };
    Some((value["container"].as_str()?.to_owned(), entry))
}

/// The programs of a container as they are now, where its user is root; by what `docker container inspect` said.
pub fn programs_now(promise: &Promise, inspect: &Value) -> Option<String> {
    if promise.uid != 0 {
        return None;
    }
    let pid = inspect["State"]["Pid"].as_u64().filter(|pid| *pid > 0)?;
    programs::fingerprint(Path::new(&format!("/proc/{pid}/root")))
}

/// The claim about them.
pub fn programs_claim(entry: &Entry, inspect: &Value) -> Option<Claim> {
    let now = programs_now(&entry.promise, inspect);
    programs::judge(entry.promise.uid, entry.programs.as_deref(), now.as_deref())
}

/// Keeps it.
///
/// # Errors
/// The state folder cannot be written.
pub fn write(places: &Places, id: &str, entry: &Entry) -> Result<()> {
    let native = entry.native.as_ref().map(Claim::json);
    let value = json!({"container": id, "promise": entry.promise.json(), "carried": entry.carried,
                       "programs": entry.programs, "native": native});
    exec::write_file(&places.entry, format!("{value:#}\n").as_bytes(), 0o600)
}
