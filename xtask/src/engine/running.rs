//! A container that exists: its properties in the engine's answer, and the `Spec` that it was created from.

use crate::engine::compose::{self, FIRST_LABEL, SPEC_LABEL};
use crate::engine::inspect::Container;
use crate::engine::{self, docker, errors, pulse};
use crate::error::failed;
use crate::spec::Spec;
use crate::{exec, signals};
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

/// A container that this tool created.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Existing {
    pub(crate) id: String,
    pub(crate) up: bool,
    /// The `Spec` that it was created from, by its label; or why this tool cannot read the label.
    pub(crate) spec: Result<Spec, String>,
    pub(crate) container: Container,
}

/// Reads `docker container inspect NAME`; `None` where there is no such container.
///
/// # Errors
/// The answer is not what Docker prints, or the container of that name is not ours.
pub(crate) fn parse(name: &str, code: i32, stdout: &str, stderr: &str) -> Result<Option<Existing>> {
    if code != 0 {
        if errors::is_no_container(stderr) {
            return Ok(None);
        }
        return Err(engine::no_engine(stderr).into());
    }
    let container = Container::parse(stdout)?;
    let label = |name| container.config.labels.as_ref().and_then(|labels| labels.get(name));
    let label = label(SPEC_LABEL).or_else(|| label(FIRST_LABEL)).ok_or_else(|| {
        failed(format!("a container named `{name}` exists and was not made by this tool"))
            .hint(format!("`docker inspect {name}` shows what it is; `docker rm {name}` removes it"))
    })?;
    let spec = Spec::read(label);
    Ok(Some(Existing { id: container.id.clone(), up: container.state.running, spec, container }))
}

/// Whether a container that the engine calls running has ended while its containerd was away, which nobody has told the
/// engine. It is asked only where this host does not see the container's init.
pub(crate) fn is_lost(container: &Container) -> bool {
    let seen = container.init().is_some_and(|pid| Path::new("/proc").join(pid.to_string()).exists());
    container.state.running
        && !seen
        && exec::capture(&docker::top(&container.id)).is_ok_and(|said| !said.ok() && errors::is_no_task(&said.stderr))
}

/// How often a container is looked for that the engine may still make, though who asked for it was ended.
const MADE_LATE: usize = 6;

/// Removes a container, by its id or its name, and the network of the container of that name. Returns whether the
/// container is removed. Where a signal asked for that, it is done about it by this.
pub(crate) fn take_back(container: &str, name: &str) -> bool {
    let looks = if signals::asked() { MADE_LATE } else { 1 };
    signals::honour();
    if !pulse::answers() {
        return false;
    }
    let mut removed = exec::capture(&docker::remove(container));
    for _ in 1..looks {
        if removed.as_ref().is_ok_and(|said| said.ok() && !errors::is_no_container(&said.stderr)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
        removed = exec::capture(&docker::remove(container));
    }
    let _ = exec::capture(&compose::remove_network(name));
    removed.is_ok_and(|said| said.ok() || errors::is_no_container(&said.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// The labels of a container of the first release.
    const FIRST: &str = include_str!("fixtures/labels-1.json");

    #[test]
    fn a_container_of_an_earlier_version_is_ours_and_its_label_says_so() {
        let answer = format!(r#"[{{"Id":"a","Config":{{"Labels":{FIRST}}},"State":{{"Running":true}}}}]"#);
        let existing = parse("n", 0, &answer, "").unwrap().unwrap();
        assert_eq!(existing.spec, Err("an earlier version of this tool made it".into()));
    }
}
