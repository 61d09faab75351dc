//! The JSON Schema of `sandbox.yaml`, from the table of the settings: `sandbox.schema.json`, by which editors complete
//! and check it. A test holds the committed file against this, and both against the parser.

use serde_json::{Map, Value, json};
use xtask::spec::settings::keys::{KEYS, Key, ShapeKind, ValueKind};

/// The whole schema, as the file has it.
pub(crate) fn schema() -> Value {
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
        ValueKind::Path | ValueKind::Text => json!({"type": ["string", "number", "boolean", "null"]}),
        ValueKind::Shape(ShapeKind::OneOf(words)) => {
            let words = words().into_iter().map(Value::from);
            json!({"enum": words.chain([Value::Null]).collect::<Vec<_>>()})
        }
        ValueKind::Shape(ShapeKind::Gpus) => {
            json!({"type": ["string", "integer", "null"], "minimum": 0, "pattern": gpus()})
        }
        ValueKind::Shape(ShapeKind::Size) => json!({
            "type": ["string", "integer", "null"],
            "minimum": 1,
            "pattern": "^\\s*0*[1-9][0-9]*\\s*([kKmMgGtT]?[bB]?)\\s*$",
        }),
        ValueKind::Shape(ShapeKind::Count) => {
            json!({"type": ["string", "integer", "null"], "minimum": 1, "pattern": "^0*[1-9][0-9]*$"})
        }
        ValueKind::Variables => json!({
            "type": ["array", "null"],
            "items": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        }),
        ValueKind::Paths => json!({"type": ["array", "null"], "items": {"type": ["string", "number", "boolean"]}}),
        ValueKind::Some(words) => json!({"type": ["array", "null"], "items": {"enum": words()}}),
        ValueKind::Datasets => json!({
            "type": ["object", "null"],
            "propertyNames": {"pattern": "^[a-z0-9][a-z0-9._-]*$"},
            "additionalProperties": {"type": ["string", "null"]},
        }),
    };
    property["description"] = json!(key.meaning);
    if !key.default.is_empty() {
        property["default"] = match (key.kind, key.default.parse::<u64>()) {
            (ValueKind::Shape(ShapeKind::Count), Ok(number)) => json!(number),
            (ValueKind::Some(_), _) => json!(key.default.split(", ").collect::<Vec<_>>()),
            _ => json!(key.default),
        };
    }
    property
}

/// `all`, `none`, or ids with something in them that is no letter.
fn gpus() -> &'static str {
    "^(all|none|\\s*[A-Za-z0-9:/.-]*[0-9:/.-][A-Za-z0-9:/.-]*\\s*(,\\s*[A-Za-z0-9:/.-]*[0-9:/.-][A-Za-z0-9:/.-]*\\s*)*)$"
}
