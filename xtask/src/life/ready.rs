//! What is filled on the host before a container starts, and again while nothing runs inside.

use super::gather::Gathered;
use super::guest;
use crate::beneath::Beneath;
use crate::codex::home;
use crate::codex::login::{self, LoginOutcome};
use crate::spec::inside::SYSTEM_CODEX;
use crate::spec::words::Mode;
use crate::{exec, git};
use anyhow::{Context as _, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// A directory of the host that is filled for the container: a step of the plan. No agent may be live meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fill {
    /// The private Codex home and the copy of `~/.agents`, from the host's.
    MirroredHome {
        /// The host's Codex home.
        from: PathBuf,
        /// The private one.
        to: PathBuf,
        /// The copy of `~/.agents`.
        agents: PathBuf,
    },
    /// Only the copy of `~/.agents`: the Codex home is the host's own.
    SharedHome {
        /// The host's Codex home.
        home: PathBuf,
        /// The copy of `~/.agents`.
        agents: PathBuf,
    },
    /// A private Codex home with nothing in it.
    EmptyHome(PathBuf),
    /// The copy of the administrator's rules, with the sandbox's own defaults.
    SystemCodex(PathBuf),
    /// What is mounted read-only at `/sandbox`.
    Guest(PathBuf),
    /// The sandbox's own git directory.
    Git {
        /// Its directory.
        to: PathBuf,
        /// The workspace whose repository it borrows from; `None` where there is none to borrow from.
        from: Option<PathBuf>,
    },
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fill::MirroredHome { from, to, agents } => write!(
                f,
                "# fill `{}` from `{}` (configuration, skills, login), and `{}` from `~/.agents`",
                to.display(),
                from.display(),
                agents.display()
            ),
            Fill::SharedHome { home, agents } => {
                write!(f, "# share `{}` as it is, and fill `{}` from `~/.agents`", home.display(), agents.display())
            }
            Fill::EmptyHome(home) => write!(f, "# empty `{}`", home.display()),
            Fill::SystemCodex(to) => write!(f, "# fill `{}` from `{SYSTEM_CODEX}`", to.display()),
            Fill::Guest(to) => write!(f, "# fill `{}` with the probe, the smoke test and the CA bundle", to.display()),
            Fill::Git { to, from: Some(from) } => {
                write!(f, "# fill `{}`: a git directory that borrows the objects of `{}`", to.display(), from.display())
            }
            Fill::Git { to, from: None } => {
                write!(f, "# note in `{}` that the workspace has no repository", to.display())
            }
        }
    }
}

/// All that is filled for a sandbox, in order. Pure.
pub(super) fn fills(gathered: &Gathered) -> Vec<Fill> {
    let places = &gathered.places;
    let home = match gathered.settings.shape.codex_home {
        Mode::Mirror => Fill::MirroredHome {
            from: gathered.settings.host_codex_home.clone(),
            to: places.codex_home.clone(),
            agents: places.agents.clone(),
        },
        Mode::Shared => Fill::SharedHome { home: gathered.codex_home(), agents: places.agents.clone() },
        Mode::None => Fill::EmptyHome(gathered.codex_home()),
    };
    let from = gathered.repository.as_ref().map(|_| gathered.workspace.clone());
    vec![
        home,
        Fill::SystemCodex(places.system_codex.clone()),
        Fill::Guest(places.guest.clone()),
        Fill::Git { to: places.git.clone(), from },
    ]
}

impl Fill {
    /// Fills it, and returns what the user should know.
    ///
    /// # Errors
    /// The host's side cannot be read, or the sandbox's side cannot be written.
    pub(crate) fn run(&self, gathered: &Gathered) -> Result<Vec<String>> {
        match self {
            Fill::MirroredHome { to, agents, .. } => {
                home::write(&gathered.mirror, to, agents)?;
                let outcome = reconcile(gathered)?;
                Ok(Vec::from_iter((outcome != LoginOutcome::Same).then(|| outcome.to_string())))
            }
            Fill::SharedHome { home, agents } => {
                if !home.is_dir() {
                    return Err(home::no_shared(home).into());
                }
                home::write_agents(&gathered.mirror, agents)?;
                let warning =
                    "warning: the agent shares your Codex home: it can change what your own Codex runs on this host";
                Ok(vec![warning.into()])
            }
            Fill::EmptyHome(home) => empty(home).map(|()| Vec::new()),
            Fill::SystemCodex(to) => {
                home::system(Path::new(SYSTEM_CODEX), to)
                    .context("the administrator's rules for Codex must stay in force")?;
                Ok(Vec::new())
            }
            Fill::Guest(_) => guest::fill(&gathered.places, &gathered.network).map(|()| Vec::new()),
            Fill::Git { to, .. } => prepare_git(gathered, to),
        }
    }
}

fn prepare_git(gathered: &Gathered, private: &Path) -> Result<Vec<String>> {
    let appeared = git::note_appearance(gathered.repository.as_ref(), private)?;
    let mut notes: Vec<String> = appeared.iter().map(|note| format!("warning: {note}")).collect();
    if let Some(repository) = &gathered.repository {
        let lock = git::prepare(repository, private, &gathered.identity)?;
        notes.extend(lock.notes.iter().map(|note| format!("git: {note}")));
        let guest = &gathered.places.guest;
        lock.mount_points.iter().try_for_each(|name| exec::create_dir(&guest.join(name), 0o755))?;
    }
    Ok(notes)
}

/// Fills all of it again, and returns what the user should know.
///
/// # Errors
/// As [`Fill::run`].
pub(super) fn refresh(gathered: &Gathered) -> Result<Vec<String>> {
    exec::create_dir(&gathered.places.dir, 0o700)?;
    let notes: Result<Vec<Vec<String>>> = fills(gathered).iter().map(|fill| fill.run(gathered)).collect();
    Ok(notes?.concat())
}

/// What is left out of the host's Codex home, or copied with changes: one line each.
pub(super) fn notes(gathered: &Gathered) -> Vec<String> {
    match gathered.settings.shape.codex_home {
        Mode::Mirror => gathered.mirror.notes.iter().map(ToString::to_string).collect(),
        Mode::Shared => vec!["shared: the agent can change what your own Codex runs on this host".to_owned()],
        Mode::None => vec!["none: nothing of yours goes in, not even the login".to_owned()],
    }
}

/// Brings the logins of the host and of the sandbox together.
///
/// # Errors
/// The state folder cannot be read or written.
pub(super) fn reconcile(gathered: &Gathered) -> Result<LoginOutcome> {
    let places = &gathered.places;
    login::reconcile(&gathered.settings.host_codex_home, &places.codex_home, &places.login)
}

/// Empties a directory and keeps the directory itself: a running container has it mounted.
fn empty(dir: &Path) -> Result<()> {
    let remove = || -> Result<()> {
        let home = Beneath::make_root(dir, 0o700)?;
        home.names()?.iter().try_for_each(|(name, _)| home.remove(name))
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
        empty(&home).unwrap();
        let inode = fs::metadata(&home).unwrap().ino();
        fs::create_dir_all(home.join("sessions/2026")).unwrap();
        fs::write(home.join("sessions/2026/one"), "").unwrap();
        std::os::unix::fs::symlink(precious.path(), home.join("link")).unwrap();
        empty(&home).unwrap();
        assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
        assert_eq!(fs::metadata(&home).unwrap().ino(), inode);
        assert!(precious.path().join("keep").exists());
    }
}
