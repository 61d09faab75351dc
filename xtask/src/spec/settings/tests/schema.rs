//! `sandbox.yaml` and its JSON Schema, by which editors complete and check it. `sandbox.schema.json` says what the parser
//! does: it is made from the table of the settings, and both are held against the parser.

use super::*;
use crate::spec::settings::keys::{KEYS, Key, ValueKind};
use serde_json::{Map, Value, json};
use snapbox::{Assert, Data};
use std::path::PathBuf;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The whole schema, as the file has it.
fn schema() -> Value {
    let properties: Map<String, Value> = KEYS.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Settings of the Codex sandbox",
        "description": "sandbox.yaml (this project) and sandbox.local.yaml (this host). Made from \
                        xtask/src/spec/settings/keys.rs.",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": properties,
    })
}

// A key without a value counts as not set, so every kind allows null. Plain values may be written without quotes: a
// number is then taken as its text.
fn property(key: &Key) -> Value {
    let mut property = match key.kind {
        ValueKind::Text(kind) => kind.schema(),
        ValueKind::Path => json!({"type": ["string", "number", "boolean", "null"]}),
        ValueKind::Shape(kind) => kind.schema(),
        ValueKind::Variables => json!({
            "type": ["array", "null"],
            "items": super::super::passed::schema(),
        }),
        ValueKind::LocalPaths => json!({"type": ["array", "null"], "items": {"type": "string"}}),
        ValueKind::Some(words) => json!({"type": ["array", "null"], "items": {"enum": words()}}),
        ValueKind::Datasets => json!({
            "type": ["object", "null"],
            "propertyNames": {"pattern": "^[a-z0-9][a-z0-9._-]*$"},
            "additionalProperties": {"type": ["string", "null"]},
        }),
    };
    property["description"] = json!(key.meaning);
    if !key.default.is_empty() {
        property["default"] = match key.kind {
            ValueKind::Shape(_) => serde_yaml::from_str(key.default).unwrap(),
            ValueKind::Some(_) => json!(key.default.split(", ").collect::<Vec<_>>()),
            ValueKind::Path
            | ValueKind::Text(_)
            | ValueKind::Variables
            | ValueKind::LocalPaths
            | ValueKind::Datasets => {
                json!(key.default)
            }
        };
    }
    property
}

const FILE: &str = "sandbox.schema.json";

fn validator() -> jsonschema::Validator {
    let text = std::fs::read_to_string(repository().join(FILE)).expect(FILE);
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    jsonschema::draft7::meta::validate(&schema).expect("a schema of draft 7");
    jsonschema::draft7::new(&schema).expect("a schema")
}

/// What an editor says of a settings file.
fn editor_takes(validator: &jsonschema::Validator, text: &str) -> bool {
    let value: Value = serde_yaml::from_str(text).expect("YAML");
    validator.is_valid(&value)
}

/// What the tool says of it.
fn tool_takes(text: &str) -> bool {
    let resolve = |layer| super::resolve(&super::context(&[]), &Flags::default(), &[layer]);
    super::parse(LOCAL_FILE, Path::new("/"), text).and_then(resolve).is_ok()
}

#[test]
fn the_schema_is_what_the_table_of_settings_says() {
    let text = format!("{:#}\n", schema());
    let kept = Data::read_from(&repository().join(FILE), Some(snapbox::data::DataFormat::Text));
    Assert::new().normalize_paths(false).action_env("SNAPSHOTS").eq(text, kept);
}

#[test]
fn the_settings_file_names_its_schema_and_keeps_to_it() {
    let text = std::fs::read_to_string(repository().join("sandbox.yaml")).expect("sandbox.yaml");
    let first = text.lines().next().expect("a line");
    assert_eq!(first, format!("# yaml-language-server: $schema={FILE}"));
    let value: Value = serde_yaml::from_str(&text).expect("YAML");
    let complaints: Vec<String> = validator().iter_errors(&value).map(|err| err.to_string()).collect();
    assert_eq!(complaints, Vec::<String>::new());
    // Whoever opens the file sees every setting that has a default, with that default.
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        let said = match &value[key.name] {
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        assert_eq!(said, key.default, "{}", key.name);
    }
}

#[test]
fn an_editor_and_the_tool_take_the_same_files() {
    let validator = validator();
    let good = [
        "",
        "workspace: ~/project",
        "datasets: {ssv2: , k400: /data/k400}",
        "base: ubuntu",
        "arch_list: 12.0",
        "gpus: 0",
        "gpus: '0, 1'",
        "gpus: GPU-aaaa,MIG-b",
        "network:",
        "shm_size: 1073741824",
        "shm_size: auto",
        "memory: none",
        "memory: 16GB",
        "cpu_weight: 10000",
        "shm_size: 512M",
        "pids_limit: 100",
        "pids_limit: '100'",
        "env: [HF_TOKEN, _x]",
        "env: [HF_HOME, XDG_CACHE_HOME, PYTHONHASHSEED, CODEX_API_KEY, GIT_AUTHOR_NAME]",
        "codex_home: shared",
        "memlock: engine",
        "ptrace: deny",
        "caches: []",
        "caches:",
        "caches: [uv, pip]",
    ];
    let bad = [
        "[]",
        "just text",
        "dataset: {}",
        "datasets: [ssv2]",
        "datasets: {SSV2: /x}",
        "datasets: {ssv2: [/x]}",
        "base: [a]",
        "gpus: nnoe",
        "gpus: '0,all'",
        "gpus: 'a b'",
        "gpus: -0.5.x!",
        "network: opn",
        "network: [open]",
        "codex_home: mirorr",
        "shm_size: lots",
        "shm_size: 0",
        "shm_size: 32",
        "shm_size: none",
        "memory: half",
        "cpu_weight: 10001",
        "shm_size: 1.5gb",
        "pids_limit: 0",
        "pids_limit: -1",
        "pids_limit: many",
        "memlock: 64m",
        "ptrace: none",
        "caches: pip",
        "caches: [pipp]",
        "caches: [[pip]]",
        "env: HF_TOKEN",
        "env: [A=b]",
        "env: [[A]]",
        "env: [PATH]",
        "env: [A, BASH_ENV]",
        "env: [PYTHONPATH]",
        "env: [GIT_DIR]",
        "env: [CODEX_SQLITE_HOME]",
        "env: [CODEX_SANDBOX_SESSION]",
    ];
    // And the samples of each setting whose kind has some.
    let samples = KEYS.iter().filter_map(|key| match key.kind {
        ValueKind::Shape(kind) => Some((key.name, kind.samples())),
        ValueKind::Text(kind) => Some((key.name, kind.samples())),
        ValueKind::Path | ValueKind::Variables | ValueKind::LocalPaths | ValueKind::Some(_) | ValueKind::Datasets => {
            None
        }
    });
    let (mut good, mut bad) = (good.map(str::to_owned).to_vec(), bad.map(str::to_owned).to_vec());
    for (key, (takes, refuses)) in samples {
        good.extend(takes.iter().map(|value| format!("{key}: {value}")));
        bad.extend(refuses.iter().map(|value| format!("{key}: {value}")));
    }
    for (texts, taken) in [(&good, true), (&bad, false)] {
        for text in texts {
            assert_eq!(tool_takes(text), taken, "the tool on: {text}");
            assert_eq!(editor_takes(&validator, text), taken, "an editor on: {text}");
        }
    }
}
