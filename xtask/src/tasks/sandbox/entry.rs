//! What is kept of a container from its start: its promise, and what the image's entry point had set up before any
//! agent ran inside. The container cannot reach the file.

use crate::exec;
use crate::sandbox::places::Places;
use crate::sandbox::promise::Promise;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What the container promised when it was started.
    pub promise: Promise,
    /// Variables of its main process that `docker exec` would not have.
    pub carried: BTreeMap<String, String>,
}

impl Entry {
    /// An entry with nothing carried yet.
    pub fn new(promise: Promise) -> Entry {
        Entry {
            promise,
            carried: BTreeMap::new(),
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
    };
    Some((value["container"].as_str()?.to_owned(), entry))
}

/// Keeps it.
///
/// # Errors
/// The state folder cannot be written.
pub fn write(places: &Places, id: &str, entry: &Entry) -> Result<()> {
    let value = json!({"container": id, "promise": entry.promise.json(), "carried": entry.carried});
    exec::write_file(&places.entry, format!("{value:#}\n").as_bytes(), 0o600)
}
