//! What is laid ready on the host before a container starts, and set anew while nothing runs inside.

use crate::beneath::Beneath;
use crate::codex::home;
use crate::codex::home::{Mirror, Mode};
use crate::codex::login;
use crate::codex::login::LoginOutcome;
use crate::context::{Context, resolved};
use crate::exec;
use crate::git;
use crate::life::gather::Wish;
use crate::network::HostNetwork;
use crate::proof::probe;
use crate::smoke;
use crate::spec::places::Places;
use crate::spec::settings::Settings;
use crate::step::Step;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Where Codex reads what an administrator has set.
pub const SYSTEM: &str = "/etc/codex";

/// The inside witness and its helper, handed in read-only; the checks of the GPU go with them.
const GUEST_FILES: &[(&str, &str)] =
    &[("probe.py", include_str!("../../../docker/probe.py")), ("reap.py", include_str!("../../../docker/reap.py"))];

/// Whether the host has rules of an administrator.
pub fn has_system() -> bool {
    Path::new(SYSTEM).symlink_metadata().is_ok()
}

/// What is mounted at the container's Codex home.
pub fn dir(wish: &Wish) -> PathBuf {
    match wish.settings.codex_home {
        Mode::Mirror => wish.places.codex_home.clone(),
        Mode::Shared => resolved(&wish.settings.host_codex_home),
        Mode::None => wish.places.dir.join("codex-home-none"),
    }
}

/// The host's side of the Codex home, as values.
///
/// # Errors
/// The host's configuration cannot be read.
pub fn read(cx: &Context, settings: &Settings) -> Result<Mirror> {
    match settings.codex_home {
        Mode::None => Ok(Mirror::default()),
        _ => home::read(&settings.host_codex_home, &cx.home.join(".agents")),
    }
}

/// What of the host's Codex home stays out or goes in changed: one line each.
///
/// # Errors
/// The host's configuration cannot be read.
pub fn notes(cx: &Context, wish: &Wish) -> Result<Vec<String>> {
    Ok(match wish.settings.codex_home {
        Mode::Mirror => read(cx, &wish.settings)?.notes.iter().map(ToString::to_string).collect(),
        Mode::Shared => vec!["shared: the agent can change what your own Codex runs on this host".to_owned()],
        Mode::None => vec!["none: nothing of yours goes in, not even the login".to_owned()],
    })
}

/// Sets anew all that comes from the host, and returns what the user should know. No agent may be live.
///
/// # Errors
/// The host's side cannot be read, or the sandbox's side cannot be written.
pub fn refresh(wish: &Wish) -> Result<Vec<String>> {
    let mirror = &wish.mirror;
    let mut notes = Vec::new();
    let places = &wish.places;
    exec::create_dir(&places.dir, 0o700)?;
    match wish.settings.codex_home {
        Mode::Mirror => {
            home::write(mirror, &places.codex_home, &places.agents)?;
            let outcome = reconcile(wish)?;
            if outcome != LoginOutcome::Same {
                notes.push(outcome.to_string());
            }
        }
        Mode::Shared => {
            let home = dir(wish);
            if !home.is_dir() {
                return Err(home::no_shared(&home).into());
            }
            notes.push(
                "warning: the agent shares your Codex home: it can change what your own Codex runs on this host".into(),
            );
            home::write_agents(mirror, &places.agents)?;
        }
        Mode::None => empty(&dir(wish))?,
    }
    home::system(Path::new(SYSTEM), &places.system_codex)
        .context("the administrator's rules for Codex must stay in force")?;
    notes.extend(
        git::note_appearance(wish.repository.as_ref(), &places.git)?.iter().map(|note| format!("warning: {note}")),
    );
    guest(places, &wish.network)?;
    if let Some(repository) = &wish.repository {
        let lock = git::prepare(repository, &places.git, Some(&wish.identity))?;
        notes.extend(lock.notes.iter().map(|note| format!("git: {note}")));
        lock.mount_points.iter().try_for_each(|name| exec::create_dir(&places.guest.join(name), 0o755))?;
    }
    Ok(notes)
}

/// Brings the logins of the host and of the sandbox together.
///
/// # Errors
/// The state folder cannot be read or written.
pub fn reconcile(wish: &Wish) -> Result<LoginOutcome> {
    login::reconcile(&wish.settings.host_codex_home, &wish.places.codex_home, &wish.places.login)
}

/// Empties a directory and keeps the directory itself: a running container has it mounted.
fn empty(dir: &Path) -> Result<()> {
    let remove = || -> Result<()> {
        let home = Beneath::make_root(dir, 0o700)?;
        home.names()?.iter().try_for_each(|(name, _)| home.remove(name))
    };
    remove().with_context(|| format!("cannot empty `{}`", dir.display()))
}

/// Fills the directory that is mounted read-only at `/sandbox`: the container never writes there.
///
/// # Errors
/// The CA bundle cannot be read, or the state folder cannot be written.
pub fn guest(places: &Places, network: &HostNetwork) -> Result<()> {
    let guest = &places.guest;
    exec::create_dir(guest, 0o755)?;
    exec::create_dir(&guest.join("smoke"), 0o755)?;
    for (name, text) in GUEST_FILES.iter().chain(smoke::request::FILES) {
        write_new(&guest.join(name), text.as_bytes())?;
    }
    link_new(&guest.join(probe::PYTHON_LINK), probe::PYTHON_INSIDE)?;
    let Some(ca) = &network.ca else { return Ok(()) };
    let bytes = std::fs::read(ca).with_context(|| format!("cannot read the CA bundle `{}`", ca.display()))?;
    write_new(&guest.join("ca.pem"), &bytes)
}

/// Makes a link, with its directory, where it is not there.
fn link_new(path: &Path, to: &str) -> Result<()> {
    if std::fs::read_link(path).is_ok_and(|old| old == Path::new(to)) {
        return Ok(());
    }
    exec::all(&[Step::Remove { path: path.to_path_buf() }])?;
    path.parent().map_or(Ok(()), |dir| exec::create_dir(dir, 0o755))?;
    std::os::unix::fs::symlink(to, path).with_context(|| format!("cannot make the link `{}`", path.display()))
}

/// Writes a file only where its text differs: a running container reads these.
fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) { Ok(()) } else { exec::write_file(path, bytes, 0o644) }
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
