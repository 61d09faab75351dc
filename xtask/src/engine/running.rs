//! A container that exists: its properties in the engine's answer, and the `Spec` that it was created from.

use crate::engine::compose::{self, FIRST_LABEL, SPEC_LABEL};
use crate::engine::inspect::Container;
use crate::engine::{self, docker, errors, pulse, removal};
use crate::error::{self, Kind, failed};
use crate::spec::places::{self, PROJECT};
use crate::spec::{Role, Spec};
use crate::{exec, signals, text};
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
    if let Some(why) = spec.as_ref().ok().and_then(|spec| is_of_another(name, spec)) {
        return Err(failed(format!("a container named `{name}` exists and is not this workspace's: {why}"))
            .hint(format!("`docker inspect {name}` shows what it is; `docker rm {name}` removes it"))
            .into());
    }
    Ok(Some(Existing { id: container.id.clone(), up: container.state.running, spec, container }))
}

/// Why a container with this name cannot be the sandbox that the name stands for: whose it is and what it has as the workspace
/// are in its label, and the name follows from both.
fn is_of_another(name: &str, spec: &Spec) -> Option<String> {
    let workspace = &spec.mount(&Role::Workspace)?.source;
    let its = compose::container_name(&format!("{PROJECT}{}", places::key(workspace, spec.uid)));
    (its != name).then(|| format!("it was made for the workspace `{}` of uid {}", text::path(workspace), spec.uid))
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

/// Which container is taken back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Taken<'a> {
    /// By its id, or by a name that nobody else can have.
    This(&'a str),
    /// Whichever of this tool's has the name: another one's is left alone.
    Named(&'a str),
}

/// Removes a container, and the network of the project. Returns whether the container is removed. Where a signal asked for that,
/// it is done about it by this.
pub(crate) fn take_back(container: Taken, project: &str) -> bool {
    let looks = if signals::asked() { MADE_LATE } else { 1 };
    signals::honour();
    if !pulse::answers() {
        return false;
    }
    let mut there = remove(container);
    for _ in 1..looks {
        if matches!(there, Some(There::Removed)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
        there = remove(container);
    }
    for network in removal::networks(project).unwrap_or_default().iter().filter(|network| network.project == project) {
        let _ = removal::capture(&docker::remove_network(&network.id));
    }
    there.is_some()
}

/// What became of a container that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Removed,
    WasNot,
}

/// `None` where it is still there, or the engine does not say.
fn remove(container: Taken) -> Option<There> {
    let of = |id: &str| {
        let said = removal::capture(&docker::remove(id)).ok().filter(removal::is_done)?;
        Some(if errors::is_no_container(&said.stderr) { There::WasNot } else { There::Removed })
    };
    match container {
        Taken::This(id) => of(id),
        Taken::Named(name) => {
            let said = exec::capture(&docker::inspect(name)).ok()?;
            match parse(name, said.code, &said.stdout, &said.stderr) {
                Ok(Some(existing)) => of(&existing.id),
                Ok(None) => Some(There::WasNot),
                // Another one's is none of this tool's.
                Err(err) => (error::kind(&err) == Kind::Failed).then_some(There::WasNot),
            }
        }
    }
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

    #[test]
    fn a_container_of_another_workspace_or_user_is_not_this_one() {
        let spec = crate::proof::fixture::spec();
        let name = |workspace: &str, uid| {
            compose::container_name(&format!("{PROJECT}{}", places::key(std::path::Path::new(workspace), uid)))
        };
        let workspace = spec.mount(&Role::Workspace).unwrap().source.display().to_string();
        assert_eq!(is_of_another(&name(&workspace, spec.uid), &spec), None);
        for other in [name("/other", spec.uid), name(&workspace, spec.uid + 1), "mine".to_owned()] {
            let answer = serde_json::json!([{
                "Id": "a", "State": {"Running": true},
                "Config": {"Labels": {SPEC_LABEL: serde_json::json!(spec).to_string()}},
            }]);
            let err = parse(&other, 0, &answer.to_string(), "").unwrap_err();
            assert!(err.to_string().contains("is not this workspace's"), "{err}");
        }
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
