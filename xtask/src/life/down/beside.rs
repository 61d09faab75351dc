//! Ends a sandbox beside a file system that does not answer: no file is touched, neither the workspace's nor the state
//! folder's.

use crate::answers::{Silent, What};
use crate::context::{Context, resolved};
use crate::engine::{compose, docker, removal};
use crate::error::{Failure, flatten};
use crate::life::find;
use crate::life::networks::networks_of;
use crate::spec::places;
use crate::spec::settings::Settings;
use crate::user::User;
use crate::{exec, inherited};
use anyhow::Result;

/// Where programs lie that no sandbox can have written: what else `PATH` names cannot be judged without a call that hangs.
const SYSTEM: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables with a path that programs of an engine need, and that lead to no program.
const NEEDED: &[&str] = &["HOME", "DOCKER_HOST", "XDG_RUNTIME_DIR"];

/// Removes the container and its network, and nothing else.
///
/// # Errors
/// Always: that not everything was done, and why.
pub(crate) fn beside(cx: &Context, settings: &Settings, silent: &[Silent]) -> Result<()> {
    let named: Vec<String> =
        cx.env.iter().filter(|(name, value)| leads(name, value)).map(|(name, _)| name.clone()).collect();
    exec::search(SYSTEM);
    exec::keep_out(named, Vec::new());
    // How far the way to it could be followed is where it lies, by the name that it had when its sandbox was started.
    let workspace = silent.iter().find(|silent| silent.what == What::Workspace);
    let workspace = workspace.map_or_else(|| resolved(&settings.workspace), |silent| silent.real.clone());
    let project = format!("{}{}", places::PROJECT, places::key(&workspace, User::read().uid));
    let name = compose::container_name(&project);
    let done = match find(&name)? {
        None => format!("there was no container `{name}`"),
        Some(container) => {
            removal::shown(&docker::remove(&container.id))?;
            format!("removed the container `{name}`")
        }
    };
    networks_of(&project)?.iter().try_for_each(|id| removal::shown(&docker::remove_network(id)))?;
    let whys = silent.iter().map(|silent| silent.why.message.clone()).collect::<Vec<_>>().join("; ");
    let Some(first) = silent.first() else { return Ok(()) };
    let message = format!("{done}, and nothing else: {whys}");
    let failure = Failure { message, ..flatten(&first.why.clone().into()) };
    Err(failure.hint("`cargo xtask down` again, once it answers, looks at what was left in the workspace").into())
}

fn leads(name: &str, value: &str) -> bool {
    inherited::is_handed_on(name) && value.contains('/') && !NEEDED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_name_a_program_stays_outside_and_what_names_the_engine_does_not() {
        assert!(leads("DOCKER_CONFIG", "/work/.docker"));
        assert!(!leads("DOCKER_HOST", "unix:///run/docker.sock") && !leads("HOME", "/home/me") && !leads("LANG", "C"));
    }
}
