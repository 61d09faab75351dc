//! What is filled on the host before a container starts, and again while nothing runs inside.

use super::gather::Gathered;
use super::guest;
use crate::beneath::Beneath;
use crate::codex::home::{self, Mirror};
use crate::codex::login::{self, Inside};
use crate::spec::Role;
use crate::spec::words::Mode;
use crate::{exec, git, text, ui};
use anyhow::{Context as _, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a directory of the host is filled with for the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filling {
    Home(Mode),
    SystemCodex,
    Guest,
    Git,
}

/// A directory of the host that is filled for the container: a step of the plan. No agent may be live meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fill {
    to: PathBuf,
    with: Filling,
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = match self.with {
            Filling::Home(Mode::Mirror) => {
                "copies of your Codex configuration and skills, a lease of your login, and `~/.agents` beside it"
            }
            Filling::Home(Mode::Shared) => "nothing: it is your own Codex home, which is shared; `~/.agents` is copied",
            Filling::Home(Mode::None) => "nothing: an empty Codex home",
            Filling::SystemCodex => "a copy of `/etc/codex`, where the host has one",
            Filling::Guest => "the probe, the smoke test and the CA bundle",
            Filling::Git => "a git directory that borrows the objects of the workspace, where that is a repository",
        };
        write!(f, "# fill `{}` with {with}", self.to.display())
    }
}

/// All that is filled for a sandbox, in order. Pure.
pub(super) fn fills(gathered: &Gathered) -> Vec<Fill> {
    let places = &gathered.ground.places;
    let all = [
        (gathered.codex_home(), Filling::Home(gathered.ground.settings.shape.codex_home)),
        (places.filled(&Role::SystemCodex), Filling::SystemCodex),
        (places.filled(&Role::Guest), Filling::Guest),
        (places.git.clone(), Filling::Git),
    ];
    all.into_iter().map(|(to, with)| Fill { to, with }).collect()
}

/// When the user is told what takes long, and what that is.
const LATE: Duration = Duration::from_secs(2);
const CLEARS: &str = "removing what was left in the Codex home of the sandbox: Ctrl-C ends it";

impl Fill {
    /// Fills it, and returns what the user should know. `stop` says whether the user wants it to end.
    ///
    /// # Errors
    /// The host's side cannot be read, or the sandbox's side cannot be written.
    pub(crate) fn run(&self, gathered: &Gathered, stop: &dyn Fn() -> bool) -> Result<Vec<String>> {
        let (mirror, agents) = (&gathered.mirror, &gathered.ground.places.filled(&Role::Agents));
        let exposed = &gathered.ground.exposed;
        match self.with {
            Filling::Home(Mode::Mirror) => {
                let _late = ui::late(LATE, CLEARS);
                let memories = gathered.ground.settings.memories;
                let removed = home::write(mirror, memories, &self.to, agents, stop)?;
                let over = mirror.over.iter().map(|line| format!("warning: {line}"));
                return Ok(over.chain(planted(&removed)).chain(login(gathered, Inside::Quiet)?).collect());
            }
            Filling::Home(Mode::Shared) => {
                if !self.to.is_dir() {
                    return Err(home::no_shared(&self.to).into());
                }
                let _late = ui::late(LATE, CLEARS);
                home::write_agents(mirror, agents, stop)?;
                // Before the container starts: from then on it is seen.
                login::note_shared(&gathered.ground.places.login)?;
                let shares = "the agent shares your Codex home: it can change what your own Codex runs on this host";
                return Ok(vec![format!("warning: {shares}")]);
            }
            Filling::Home(Mode::None) => {
                let _late = ui::late(LATE, CLEARS);
                empty(&self.to, stop)?;
                // Nothing of the host's; but what is not mounted there, an agent could make.
                home::write_agents(&Mirror::default(), agents, stop)?;
            }
            Filling::SystemCodex => {
                home::write_system(mirror, &self.to)?;
                keep_secrets(gathered)?;
                return Ok(mirror.secrets.line().map(|line| format!("warning: {line}")).into_iter().collect());
            }
            Filling::Guest => {
                guest::fill(&gathered.ground.places, &gathered.ground.network, exposed, gathered.ground.denials())?
            }
            Filling::Git => return prepare_git(gathered, &self.to, stop),
        }
        Ok(Vec::new())
    }
}

/// How many of the things that were removed are named.
const NAMED: usize = 5;

/// The line about what was in the Codex home of the sandbox, and neither came from the host nor may survive.
fn planted(removed: &[PathBuf]) -> Option<String> {
    let names: Vec<String> = removed.iter().take(NAMED).map(|path| text::path(path)).collect();
    let more = removed.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| {
        format!(
            "removed from the Codex home of the sandbox: `{}`{more}; what Codex obeys comes from your host alone",
            names.join("`, `")
        )
    })
}

/// Keeps which secrets of the configuration went in, by their places: what `status` says.
fn keep_secrets(gathered: &Gathered) -> Result<()> {
    let text = serde_json::to_string_pretty(&gathered.mirror.secrets)?;
    exec::write_file(&gathered.ground.places.secrets, text.as_bytes(), 0o600)
}

fn prepare_git(gathered: &Gathered, private: &Path, stop: &dyn Fn() -> bool) -> Result<Vec<String>> {
    let appeared = git::note_appearance(gathered.ground.repository.as_ref(), private)?;
    let mut notes: Vec<String> = appeared.iter().map(|note| format!("warning: {note}")).collect();
    if let Some(repository) = &gathered.ground.repository {
        let lock = git::prepare(repository, private, &gathered.identity, stop)?;
        notes.extend(lock.notes.iter().map(|note| format!("git: {note}")));
        let guest = &gathered.ground.places.filled(&Role::Guest);
        lock.mount_points.iter().try_for_each(|name| exec::create_dir(&guest.join(name), 0o755))?;
    }
    Ok(notes)
}

/// Fills all of it again, and returns what the user should know.
///
/// # Errors
/// As [`Fill::run`].
pub(super) fn refresh(gathered: &Gathered, stop: &dyn Fn() -> bool) -> Result<Vec<String>> {
    let notes: Result<Vec<Vec<String>>> = fills(gathered).iter().map(|fill| fill.run(gathered, stop)).collect();
    Ok(notes?.concat())
}

/// What is left out of the host's Codex home, or copied with changes: one line each.
pub(super) fn notes(gathered: &Gathered) -> Vec<String> {
    let mut notes = match gathered.ground.settings.shape.codex_home {
        Mode::Mirror => gathered.mirror.notes.iter().chain(&gathered.mirror.over).cloned().collect(),
        Mode::Shared => vec!["shared: the agent can change what your own Codex runs on this host".to_owned()],
        Mode::None => vec!["none: nothing of yours goes in, not even the login".to_owned()],
    };
    notes.extend(gathered.mirror.secrets.line());
    notes
}

/// Gives the sandbox what the host has for it of its login, and says what that is. This may be done while an agent runs.
///
/// # Errors
/// The state folder cannot be written.
pub(super) fn login(gathered: &Gathered, inside: Inside) -> Result<Vec<String>> {
    let places = &gathered.ground.places;
    Ok(login::give(&gathered.login, inside, &places.codex_home, &places.login)?.lines())
}

/// How many entries of a home are in memory at once.
const AT_ONCE: usize = 10_000;

/// Empties a directory and keeps the directory itself: a running container has it mounted.
fn empty(dir: &Path, stop: &dyn Fn() -> bool) -> Result<()> {
    let remove = || -> Result<()> {
        let home = Beneath::make_root(dir, 0o700)?;
        loop {
            // An agent chose how many there are.
            let names = home.names_up_to(AT_ONCE)?;
            if names.is_empty() {
                return Ok(());
            }
            names.iter().try_for_each(|(name, _)| home.remove_unless(name, stop))?;
        }
    };
    remove().with_context(|| format!("cannot empty `{}`", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn an_emptied_home_is_still_the_directory_that_is_mounted() {
        let (dir, precious) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(precious.path().join("keep"), "").unwrap();
        let home = dir.path().join("home");
        empty(&home, &|| false).unwrap();
        let inode = fs::metadata(&home).unwrap().ino();
        fs::create_dir_all(home.join("sessions/2026")).unwrap();
        fs::write(home.join("sessions/2026/one"), "").unwrap();
        std::os::unix::fs::symlink(precious.path(), home.join("link")).unwrap();
        empty(&home, &|| false).unwrap();
        assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
        assert_eq!(fs::metadata(&home).unwrap().ino(), inode);
        assert!(precious.path().join("keep").exists());
    }
}
