//! A container that exists: what the engine says of it, and whether it is what is wanted now. Pure.

use crate::engine;
use crate::engine::compose::SETTINGS_LABEL;
use crate::engine::inspect::Container;
use crate::error::failed;
use anyhow::Result;
use serde_json::Value;

/// Settings that a running container may lag behind: they are taken at the next start, and nothing that was asked
/// for now is missing meanwhile.
const DEFERRED: &[&str] = &["image inputs", "codex", "compose file"];

/// A container of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// The full container id.
    pub id: String,
    /// Whether it runs now.
    pub up: bool,
    /// The settings it was made with, as its label holds them.
    pub settings: Value,
    /// What the engine says of it.
    pub container: Container,
}

/// Reads `docker container inspect NAME`; `None` where there is no such container.
///
/// # Errors
/// The answer is not what Docker prints, or the container of that name is not ours.
pub fn parse(name: &str, code: i32, stdout: &str, stderr: &str) -> Result<Option<Running>> {
    if code != 0 {
        if stderr.to_lowercase().contains("no such container") {
            return Ok(None);
        }
        return Err(engine::no_engine(stderr).into());
    }
    let container = Container::parse(stdout)?;
    let label = container.config.labels.as_ref().and_then(|labels| labels.get(SETTINGS_LABEL));
    let settings = label.and_then(|label| serde_json::from_str(label).ok()).ok_or_else(|| {
        failed(format!("a container named `{name}` is there and was not made by this tool"))
            .hint(format!("look at it, then `docker rm {name}`"))
    })?;
    Ok(Some(Running { id: container.id.clone(), up: container.state.running, settings, container }))
}

/// What differs between the container and what is wanted now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Taken at the next start; entering is right all the same.
    pub deferred: Vec<String>,
    /// Asked for now and not there: the container must be made anew.
    pub blocking: Vec<String>,
}

/// Compares the settings of a container with those wanted now, key by key.
pub fn differences(was: &Value, wanted: &Value) -> Differences {
    let mut differences = Differences::default();
    let empty = serde_json::Map::new();
    let (was, wanted) = (was.as_object().unwrap_or(&empty), wanted.as_object().unwrap_or(&empty));
    let mut keys: Vec<&String> = was.keys().chain(wanted.keys().filter(|key| !was.contains_key(*key))).collect();
    keys.dedup();
    let show = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    };
    for key in keys {
        let (old, new) = (was.get(key), wanted.get(key));
        if old == new {
            continue;
        }
        let line = format!("{key}: the container has {}, now it is {}", show(old), show(new));
        match DEFERRED.contains(&key.as_str()) {
            true => differences.deferred.push(line),
            false => differences.blocking.push(line),
        }
    }
    differences
}

/// The programs inside beside the container's own two (the init and the sleeper), from `docker top NAME -eo pid,args`.
pub fn sessions(top: &str) -> Vec<String> {
    top.lines()
        .skip(1)
        .filter_map(|line| line.trim().split_once(char::is_whitespace))
        .map(|(_, args)| args.trim().to_owned())
        .filter(|args| args != "sleep infinity" && !args.ends_with(" -- sleep infinity") && !is_init(args))
        .collect()
}

fn is_init(args: &str) -> bool {
    args.starts_with("/sbin/docker-init") || args.starts_with("/usr/bin/docker-init") || args.starts_with("/dev/init")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_must_wait_is_told_from_what_is_missing_now() {
        let was = json!({"gpus": "none", "codex": "0.1.0", "datasets.ssv2": "/a", "image": "x"});
        let wanted = json!({"gpus": "none", "codex": "0.2.0", "datasets.ssv2": "/a", "image": "x", "datasets.k": "/k"});
        let found = differences(&was, &wanted);
        assert_eq!(found.deferred, ["codex: the container has `0.1.0`, now it is `0.2.0`"]);
        assert_eq!(found.blocking, ["datasets.k: the container has none, now it is `/k`"]);
    }

    #[test]
    fn the_containers_own_processes_are_no_session() {
        let top =
            "PID COMMAND\n1 /sbin/docker-init -- sleep infinity\n7 sleep infinity\n40 /opt/codex/bin/codex exec x\n";
        assert_eq!(sessions(top), ["/opt/codex/bin/codex exec x"]);
    }

    #[test]
    fn a_container_of_someone_else_is_not_touched() {
        let err = parse("n", 0, r#"[{"Id":"a","Config":{"Labels":{}},"State":{"Running":true}}]"#, "").unwrap_err();
        assert!(err.to_string().contains("not made by this tool"));
        assert_eq!(parse("n", 1, "[]", "Error: No such container: n").unwrap(), None);
        assert!(parse("n", 1, "", "Cannot connect to the Docker daemon").is_err());
        let err = parse("n", 1, "", "permission denied while trying to connect to the Docker daemon").unwrap_err();
        // What there is to do about it depends on this host's groups.
        assert!(crate::error::render(&err).contains("denied") && crate::error::render(&err).contains("hint: "));
    }
}
