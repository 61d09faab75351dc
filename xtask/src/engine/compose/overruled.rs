//! What a user has written into `docker/docker-compose.yaml` and the settings decide otherwise. Pure.

use crate::engine::asked::confine;
use crate::spec::Spec;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the file of this repository itself has, by its key.
const SHIPPED: &[(&str, &str)] = &[
    ("shm_size", "32gb"),
    ("pids_limit", "8192"),
    ("logging.driver", "json-file"),
    ("logging.options.max-size", "1m"),
    ("logging.options.max-file", "2"),
];

/// The names under which Compose itself looks for a second file. It is told which files to read, so it reads none of them.
pub(crate) const UNREAD: [&str; 4] =
    ["docker-compose.override.yaml", "docker-compose.override.yml", "compose.override.yaml", "compose.override.yml"];

/// A line for each key of the service in this text that the settings decide, and that has a value of the user's own there; and
/// for what makes the kernel spare the sandbox where memory is short.
pub(crate) fn overruled(text: &str, spec: &Spec) -> Vec<String> {
    let file: Value = serde_yaml::from_str(text).unwrap_or_default();
    let service = &file["services"]["workspace"];
    let mut ours = json!({});
    confine(&mut ours, spec);
    let (theirs, ours) = (leaves(service), leaves(&ours));
    let has_no_effect = |(key, value): (&String, &String)| {
        let is_ours = ours.get(key).is_some_and(|ours| ours != value);
        let is_shipped = SHIPPED.iter().any(|(name, shipped)| name == key && shipped == value);
        (is_ours && !is_shipped).then(|| {
            let setting =
                setting(key).map_or("what this tool writes".to_owned(), |name| format!("the setting `{name}`"));
            format!("`{key}` in docker/docker-compose.yaml has no effect: {setting} decides it")
        })
    };
    let spares = |(key, value): (&String, &String)| {
        let spares = match key.as_str() {
            "oom_score_adj" => value.starts_with('-'),
            "oom_kill_disable" => value == "true",
            _ => false,
        };
        spares.then(|| {
            format!("`{key}: {value}` in docker/docker-compose.yaml makes the kernel end programs of this host before the sandbox's")
        })
    };
    theirs.iter().filter_map(has_no_effect).chain(theirs.iter().filter_map(spares)).collect()
}

/// The setting that decides a key.
fn setting(key: &str) -> Option<&'static str> {
    Some(match key.split('.').next()? {
        "mem_limit" | "memswap_limit" => "memory",
        "shm_size" => "shm_size",
        "cpu_shares" => "cpu_weight",
        "pids_limit" => "pids_limit",
        "logging" => "log_size",
        "network_mode" => "network",
        "ulimits" => "memlock",
        "deploy" => "gpus",
        _ => return None,
    })
}

/// The single values in a value, by the keys that lead to them. Compose joins lists, so nothing in one is replaced.
fn leaves(value: &Value) -> BTreeMap<String, String> {
    fn add(found: &mut BTreeMap<String, String>, at: String, value: &Value) {
        match value {
            Value::Object(inner) => inner.iter().for_each(|(key, value)| {
                add(found, if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, value);
            }),
            Value::String(text) => drop(found.insert(at, text.clone())),
            Value::Bool(_) | Value::Number(_) => drop(found.insert(at, value.to_string())),
            Value::Array(_) | Value::Null => {}
        }
    }
    let mut found = BTreeMap::new();
    add(&mut found, String::new(), value);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::fixture;
    use crate::spec::words::Network;

    #[test]
    fn the_file_of_the_repository_is_overruled_in_nothing() {
        let text = include_str!("../../../../docker/docker-compose.yaml");
        assert_eq!(overruled(text, &fixture::spec()), Vec::<String>::new());
        for (key, shipped) in SHIPPED {
            let file: Value = serde_yaml::from_str(text).unwrap();
            assert_eq!(leaves(&file["services"]["workspace"]).get(*key).map(String::as_str), Some(*shipped), "{key}");
        }
    }

    #[test]
    fn what_a_user_wrote_there_and_the_settings_decide_is_said() {
        let mut spec = fixture::spec();
        spec.shape.network = Network::None;
        let of = |line: &str| overruled(&format!("services:\n  workspace:\n    {line}\n"), &spec);
        for (line, setting) in [
            ("mem_limit: 8g", "memory"),
            ("memswap_limit: -1", "memory"),
            ("shm_size: 1gb", "shm_size"),
            ("cpu_shares: 4096", "cpu_weight"),
            ("pids_limit: 100", "pids_limit"),
            ("logging: {driver: none}", "log_size"),
            ("logging: {options: {max-size: 9g}}", "log_size"),
            ("network_mode: bridge", "network"),
        ] {
            let said = of(line);
            assert!(
                said.len() == 1 && said[0].contains(&format!("the setting `{setting}` decides it")),
                "{line}: {said:?}"
            );
        }
        for line in ["oom_score_adj: -1000", "oom_kill_disable: true"] {
            assert!(of(line)[0].contains("makes the kernel end programs of this host"), "{line}");
        }
        for line in ["cpus: 2", "oom_score_adj: 500", "ulimits: {nofile: 1024}", "x: [", "mem_reservation: 1g"] {
            assert_eq!(of(line), Vec::<String>::new(), "{line}");
        }
        spec.shape.memory = None;
        assert_eq!(overruled("services: {workspace: {mem_limit: 8g}}", &spec), Vec::<String>::new(), "it is in force");
    }
}
