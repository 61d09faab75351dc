//! A settings file as a layer: which keys it sets, and a data set added to its text. Pure.

use super::LOCAL_FILE;
use super::keys::{key, unknown_key};
use crate::error::usage;
use anyhow::Result;
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One layer of settings: the value of each key that it sets.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    pub(super) name: String,
    pub(super) base_dir: PathBuf,
    pub(super) values: BTreeMap<String, Value>,
}

/// Parses a settings file. Unknown keys are errors that name the nearest key.
///
/// # Errors
/// Not YAML, not a mapping, an unknown key (exit code 2).
pub fn parse(name: &str, base_dir: &Path, text: &str) -> Result<Layer> {
    if is_tangled(text) {
        return Err(usage(format!("`{name}` has more than {MOST_SIGNS} opening brackets, and is not read"))
            .hint("correct it; the comments in sandbox.yaml explain each key")
            .into());
    }
    let value: Value = serde_yaml::from_str(text).map_err(|err| {
        let tab = text.lines().position(|line| line.trim_start_matches(' ').starts_with('\t'));
        let hint = tab.map_or_else(
            || "correct it; the comments in sandbox.yaml explain each key".to_owned(),
            |line| format!("line {} is indented with a tab, which YAML does not take: use spaces", line + 1),
        );
        usage(format!("`{name}` is not valid YAML: {err}")).hint(hint)
    })?;
    let mut values = BTreeMap::new();
    match value {
        Value::Null => {}
        Value::Mapping(mapping) => {
            for (written, value) in mapping {
                let written = scalar(name, "a key", &written)?;
                if key(&written).is_none() {
                    return Err(unknown_key(name, &written).into());
                }
                values.insert(written, value);
            }
        }
        _ => {
            return Err(usage(format!("`{name}` is not a mapping of settings"))
                .hint("write each as `key: value`; the comments in sandbox.yaml explain each key")
                .into());
        }
    }
    Ok(Layer { name: name.to_owned(), base_dir: base_dir.to_path_buf(), values })
}

/// The most signs that open something in YAML: all settings together have fewer.
const MOST_SIGNS: usize = 1000;

/// The parser takes time that grows with the square of what is open at once, before it looks how deep that is.
fn is_tangled(text: &str) -> bool {
    text.bytes().filter(|byte| matches!(byte, b'[' | b'{' | b'?')).count() > MOST_SIGNS
}

/// The text of a plain value.
///
/// # Errors
/// A list or a mapping (exit code 2).
pub(super) fn scalar(file: &str, key: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(usage(format!("`{key}` in `{file}` is not a plain value"))
            .hint("write one word or number, without brackets; sandbox.yaml has an example")
            .into()),
    }
}

/// The text of a settings file with one data set added under `datasets:`; all other lines stay as they are.
///
/// # Errors
/// The file has `datasets` in a form that one line cannot be added to (exit code 2).
pub fn with_dataset(text: &str, name: &str, dir: &Path) -> Result<String> {
    let entry = format!("  {name}: {}", serde_json::Value::from(dir.to_string_lossy()));
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.trim_end() == "datasets:");
    let new = match at {
        Some(at) => {
            let declared = |line: &&str| line.trim_end() == format!("  {name}:");
            let rest = lines[at + 1..].iter().filter(|line| !declared(line)).copied();
            lines[..=at].iter().copied().chain([entry.as_str()]).chain(rest).collect::<Vec<_>>().join("\n")
        }
        None => format!("{}\ndatasets:\n{entry}", text.trim_end()).trim_start().to_owned(),
    };
    let layer = parse(LOCAL_FILE, Path::new("/"), &new)?;
    match layer.values.get("datasets").and_then(|sets| sets.get(name)).and_then(Value::as_str) {
        Some(read) if Path::new(read) == dir => Ok(format!("{new}\n")),
        _ => Err(usage(format!("cannot add the data set `{name}` to `{LOCAL_FILE}`"))
            .hint("add it by hand under `datasets:`")
            .into()),
    }
}
