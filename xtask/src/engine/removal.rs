//! Removal of what is this tool's own. Another call may remove the same thing at the same time, so that what is gone counts as
//! removed, and what somebody else is removing is waited for.

use crate::engine::{docker, errors};
use crate::error::failed;
use crate::exec::{self, Output};
use crate::step::Command;
use crate::{signals, ui};
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

/// How often it is asked whether a removal by somebody else has come to its end, and how long is waited between two questions.
const LOOKS: usize = 40;
const PAUSE: Duration = Duration::from_millis(250);

/// Runs a removal. The answer is the last one.
///
/// # Errors
/// The client cannot be started, or does not answer.
pub(crate) fn capture(command: &Command) -> Result<Output> {
    let mut said = exec::capture(command)?;
    for _ in 1..LOOKS {
        if said.ok() || !errors::is_being_removed(&said.stderr) || signals::asked() {
            break;
        }
        std::thread::sleep(PAUSE);
        said = exec::capture(command)?;
    }
    Ok(said)
}

/// Whether the thing is not there any more.
pub(crate) fn is_done(said: &Output) -> bool {
    said.ok() || errors::is_gone(&said.stderr)
}

/// Shows a removal, and runs it.
///
/// # Errors
/// The thing is still there.
pub(crate) fn shown(command: &Command) -> Result<()> {
    ui::echo(command);
    let said = capture(command)?;
    said.stdout.lines().for_each(ui::say);
    if is_done(&said) {
        return Ok(());
    }
    Err(failed(format!("`{command}` ended with exit code {}: {}", said.code, said.stderr.trim())).into())
}

/// A network that Compose made for a project of this tool's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) id: String,
    pub(crate) project: String,
}

impl Network {
    /// By a line of the engine's answer. The name alone says nothing: whoever has made a network may call it like this.
    fn read(line: &str) -> Option<Network> {
        let [id, name, project] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
        let is_its = !id.is_empty() && name.strip_suffix(docker::DEFAULT_NETWORK) == Some(project);
        is_its.then(|| Network { id: id.to_owned(), project: project.to_owned() })
    }
}

/// The networks that Compose made, each for a project that begins so.
///
/// # Errors
/// The engine does not answer.
pub(crate) fn networks(start: &str) -> Result<Vec<Network>> {
    let said = exec::stdout_of(&docker::networks())?;
    Ok(said.lines().filter_map(Network::read).filter(|network| network.project.starts_with(start)).collect())
}

/// Those among networks whose sandbox is gone: it has a folder in `workspaces`, which only this user can write, nobody has locked
/// that, and the engine has no container of the project. Between its network and its container a start holds the lock. They
/// are removed one by one, each under that lock, and what was removed is returned.
///
/// # Errors
/// The engine does not answer.
pub(crate) fn sweep(
    networks: &[Network],
    key: impl Fn(&str) -> Option<String>,
    workspaces: &Path,
) -> Result<Vec<String>> {
    let mut swept = Vec::new();
    for network in networks {
        let Some(dir) = key(&network.project).map(|key| workspaces.join(key)).filter(|dir| dir.is_dir()) else {
            continue;
        };
        let Some(_lock) = free(&dir.join("lock")) else { continue };
        let said = exec::stdout_of(&docker::of_project(&network.project))?;
        if said.trim().is_empty() && capture(&docker::remove_network(&network.id)).is_ok_and(|said| is_done(&said)) {
            swept.push(network.project.clone());
        }
    }
    Ok(swept)
}

/// The lock of a workspace, where nobody has it.
fn free(lock: &Path) -> Option<std::fs::File> {
    crate::outside::open(lock).ok().filter(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_counts_as_removed_and_what_stays_does_not() {
        let said = |code, stderr: &str| Output { code, stdout: String::new(), stderr: stderr.to_owned() };
        for gone in [
            "Error response from daemon: No such container: n",
            "Error response from daemon: network 0a not found",
            "Error: No such network: n",
        ] {
            assert!(is_done(&said(1, gone)), "{gone}");
        }
        for stays in [
            "Error response from daemon: removal of container 0a is already in progress",
            "Error response from daemon: error while removing network: network n has active endpoints",
            "Cannot connect to the Docker daemon",
        ] {
            assert!(!is_done(&said(1, stays)), "{stays}");
            assert_eq!(errors::is_being_removed(stays), stays.contains("in progress"));
        }
    }

    #[test]
    fn a_network_is_known_by_its_label_and_not_by_its_name() {
        let own = Network { id: "0a".into(), project: "codex-sandbox-w-0a1b2c3d".into() };
        assert_eq!(Network::read("0a\tcodex-sandbox-w-0a1b2c3d_default\tcodex-sandbox-w-0a1b2c3d"), Some(own));
        for other in [
            "0a\tcodex-sandbox-w-0a1b2c3d_default\t",
            "0a\tcodex-sandbox-w-0a1b2c3d_default\tanother",
            "0a\tcodex-sandbox-w-0a1b2c3d\tcodex-sandbox-w-0a1b2c3d",
            "0a\tcodex-sandbox-w-0a1b2c3d_more\tcodex-sandbox-w-0a1b2c3d",
            "\t_default\t",
            "",
        ] {
            assert_eq!(Network::read(other), None, "{other:?}");
        }
    }
}
