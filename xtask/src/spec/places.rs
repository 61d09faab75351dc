//! Where a sandbox keeps its things on the host, by workspace.

use super::SCHEMA;
use super::inside::Role;
use crate::context::{Context, directory, resolved};
use crate::error::host;
use crate::outside;
use crate::{exec, fingerprint};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The name of `Places::record`, the same for every workspace.
pub const RECORD: &str = "entry.json";

/// How Compose's project names begin; the name of the workspace's folder follows.
pub(crate) const PROJECT: &str = "codex-sandbox-";

/// The name of the file that holds the version of the layout; the first release wrote none.
const LAYOUT: &str = "schema";

/// The places of one workspace's sandbox. All but `override_file` lie in the state folder, mode 0700, and the
/// container reaches only those that are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Compose's project name: `codex-sandbox-NAME-HASH`.
    pub project: String,
    /// The folder of this workspace in the state folder.
    pub dir: PathBuf,
    /// The sandbox's own Codex home.
    pub codex_home: PathBuf,
    /// The Codex home of a sandbox that gets none of yours.
    pub no_codex_home: PathBuf,
    /// Which login this tool gave the sandbox, without any token.
    pub login: PathBuf,
    /// Which secrets of the configuration this tool gave the sandbox, by their places.
    pub secrets: PathBuf,
    /// The leases that are kept, for all workspaces.
    pub leases: PathBuf,
    /// The folder of the sandbox's own git directory.
    pub git: PathBuf,
    /// Which git directories of the workspace were there when the container was started.
    pub git_state: PathBuf,
    /// The newest proof.
    pub proof: PathBuf,
    /// The record of the container: its `Spec`, and what was read of it before any agent ran in it.
    pub record: PathBuf,
    /// What the files of the workspace that tools of this host obey were when they were last looked at.
    pub obeyed: PathBuf,
    /// A file for each session that goes on, locked by its call.
    pub sessions: PathBuf,
    /// Held while a sandbox is started or proven.
    pub lock: PathBuf,
    /// The generated override, and beside it a copy of the proof.
    pub override_file: PathBuf,
}

/// The places of a workspace, by whatever path it is named, for a user: two users of one engine never share
/// them. A workspace that no longer exists still has its places.
pub fn of(cx: &Context, workspace: &Path, uid: u32) -> Places {
    by_name(cx, &resolved(workspace), uid)
}

/// The places of what had this path by itself, without a symlink in it, whatever it leads to now.
pub(crate) fn by_name(cx: &Context, workspace: &Path, uid: u32) -> Places {
    let key = key(workspace, uid);
    let dir = cx.state.join("workspaces").join(&key);
    Places {
        project: format!("{PROJECT}{key}"),
        codex_home: dir.join("codex-home"),
        no_codex_home: dir.join("codex-home-none"),
        login: dir.join("login.json"),
        secrets: dir.join("config-secrets.json"),
        leases: cx.state.join("logins"),
        git: dir.join("git"),
        git_state: dir.join("git-state.json"),
        proof: dir.join("proof.json"),
        record: dir.join(RECORD),
        obeyed: dir.join("obeyed"),
        sessions: dir.join("sessions"),
        lock: dir.join("lock"),
        override_file: cx.scratch().join(&key).join("override.yaml"),
        dir,
    }
}

/// The name by which a workspace (without symlinks) is known among the places of a user. Pure.
pub(crate) fn key(workspace: &Path, uid: u32) -> String {
    let name = workspace.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(24).collect();
    let hash = fingerprint::of([workspace.to_string_lossy().as_bytes(), &uid.to_le_bytes()]);
    let key = format!("{}-{}", name.trim_matches('-'), &hash[..8]);
    key.trim_start_matches('-').to_owned()
}

impl Places {
    /// The folder that is filled for a mount.
    pub fn filled(&self, role: &Role) -> PathBuf {
        self.dir.join(role.filled().map_or_else(|| role.id(), str::to_owned))
    }

    /// Refuses a workspace that is missing and never had a sandbox: its name is misspelt. One that was removed is known by
    /// its container or its folder.
    ///
    /// # Errors
    /// Nothing is known of it.
    pub(crate) fn known(&self, workspace: &Path, container: bool) -> Result<()> {
        if container || self.dir.exists() { Ok(()) } else { directory("the workspace", workspace).map(drop) }
    }

    /// The version of the layout of the folder; 1 where the first release made it, or nobody yet.
    ///
    /// # Errors
    /// A newer version of this tool made the folder, or the file that holds the version is damaged.
    pub fn known_layout(&self) -> Result<u32> {
        let path = self.dir.join(LAYOUT);
        let text = match outside::text(&path, outside::WRITTEN) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(1),
            text => text.unwrap_or_default(),
        };
        match text.trim().parse::<u32>() {
            Ok(known) if (1..=SCHEMA).contains(&known) => Ok(known),
            Ok(newer) if newer > SCHEMA => Err(host(format!(
                "`{}` has the layout {newer}, and this tool knows layouts up to {SCHEMA}",
                self.dir.display()
            ))
            .hint("use the newer version of this tool that made it")
            .into()),
            Ok(_) | Err(_) => Err(host(format!("`{}` does not hold the version of a layout", path.display()))
                .hint(format!("write `{SCHEMA}` into it if this version of the tool made the folder"))
                .into()),
        }
    }

    /// Marks the folder with the version of its layout. One of the first release is taken over as it is: its homes, git
    /// directories and logins lie where they did, and its record is not read.
    ///
    /// # Errors
    /// A newer version of this tool made the folder, or it cannot be written.
    pub fn claim_schema(&self) -> Result<()> {
        match self.known_layout()? {
            SCHEMA => Ok(()),
            _ => exec::write_file(&self.dir.join(LAYOUT), format!("{SCHEMA}\n").as_bytes(), 0o600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_an_earlier_version_is_taken_over_and_one_of_a_newer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context { state: dir.path().into(), ..Context::default() };
        let places = of(&cx, Path::new("/project"), 1000);
        std::fs::create_dir_all(&places.codex_home).unwrap();
        places.claim_schema().unwrap();
        places.claim_schema().unwrap();
        assert_eq!(std::fs::read_to_string(places.dir.join(LAYOUT)).unwrap(), "5\n");
        for damaged in ["", "two", "-1", "99999999999999999999"] {
            std::fs::write(places.dir.join(LAYOUT), damaged).unwrap();
            assert!(places.claim_schema().unwrap_err().to_string().contains("does not hold"), "{damaged}");
        }
        std::fs::write(places.dir.join(LAYOUT), "6\n").unwrap();
        let err = places.claim_schema().unwrap_err();
        assert!(err.to_string().contains("has the layout 6"), "{err}");
        assert_eq!(std::fs::read_to_string(places.dir.join(LAYOUT)).unwrap(), "6\n");
    }

    #[test]
    fn a_workspace_is_known_by_itself_its_container_or_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context { state: dir.path().join("state"), ..Context::default() };
        let gone = dir.path().join("gone");
        let places = of(&cx, &gone, 1000);
        let err = places.known(&gone, false).unwrap_err();
        assert_eq!(crate::error::exit_code(&err), 2);
        assert!(places.known(&gone, true).is_ok());
        std::fs::create_dir_all(&places.dir).unwrap();
        assert!(places.known(&gone, false).is_ok());
        assert!(of(&cx, dir.path(), 1000).known(dir.path(), false).is_ok());
    }

    #[test]
    fn a_workspace_has_the_same_places_by_every_path_and_after_it_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        std::fs::create_dir_all(at("real/project")).unwrap();
        std::os::unix::fs::symlink("real", at("link")).unwrap();
        let cx = Context::default();
        let places = of(&cx, &at("real/project"), 1);
        assert_eq!(of(&cx, &at("link/project"), 1), places);
        std::fs::remove_dir(at("real/project")).unwrap();
        assert_eq!(of(&cx, &at("link/project"), 1), places);
        assert_ne!(of(&cx, &at("real/project"), 2), places);
        // The name that earlier versions gave it: under another name, its sessions and commits would seem to be lost.
        assert_eq!(of(&cx, Path::new("/there/is/no/project"), 1000).project, "codex-sandbox-project-b929717c");
    }
}
