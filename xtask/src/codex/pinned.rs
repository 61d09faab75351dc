//! The Codex for hosts that have none, used by the demo and by the tests: it comes from npm, and
//! `pinned/package-lock.json` pins the version and the integrity (sha512) of every package.
//!
//! A new version: `npm install --package-lock-only --omit-lockfile-registry-resolved @openai/codex@VERSION` in `pinned/`.

use crate::exec;
use crate::step::{Command, Step};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// The pinned version.
pub const VERSION: &str = "0.169.0";

const PACKAGE: &str = include_str!("pinned/package.json");
const LOCK: &str = include_str!("pinned/package-lock.json");

/// The directory of the launcher in an installation, as a `PATH` would name it.
pub fn bin(dir: &Path) -> PathBuf {
    dir.join("node_modules/.bin")
}

/// Installs Codex into a directory of its own, whole or not at all, and returns the launcher. An existing installation
/// is kept. `ca` is the CA bundle that this host trusts: Node knows only its own.
///
/// # Errors
/// npm is missing or fails, for example because a package is not the pinned one.
pub fn ensure(dir: &Path, ca: Option<&Path>) -> Result<PathBuf> {
    let launcher = bin(dir).join("codex");
    if !launcher.is_file() {
        let half = dir.with_extension("half");
        exec::all(&steps(&half, ca))?;
        exec::all(&[Step::Remove { path: dir.to_path_buf() }])?;
        std::fs::rename(&half, dir).with_context(|| format!("cannot put Codex into `{}`", dir.display()))?;
    }
    Ok(launcher)
}

/// `npm ci` installs exactly what the lock file lists, and checks it. The user's own npm, its global prefix and its cache
/// are not touched.
fn steps(dir: &Path, ca: Option<&Path>) -> Vec<Step> {
    let cache = dir.join(".npm-cache");
    let mut npm = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--location=project"])
        .arg(format!("--cache={}", cache.display()))
        .dir(dir)
        .timeout(600);
    if let Some(ca) = ca {
        npm = npm.env("NODE_EXTRA_CA_CERTS", ca.to_string_lossy());
    }
    let file = |name: &str, text: &str| Step::WriteFile { path: dir.join(name), text: text.to_owned() };
    vec![
        Step::Remove { path: dir.to_path_buf() },
        file("package.json", PACKAGE),
        file("package-lock.json", LOCK),
        Step::Run(npm),
        Step::Remove { path: cache },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_package_is_pinned_by_version_and_integrity_and_by_no_address() {
        let lock: Value = serde_json::from_str(LOCK).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert_eq!(packages[""]["dependencies"]["@openai/codex"], VERSION);
        assert_eq!(packages["node_modules/@openai/codex-linux-x64"]["optional"], true);
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(package["version"].as_str().unwrap().starts_with(VERSION), "{name}");
            assert!(package["integrity"].as_str().unwrap().starts_with("sha512-"), "{name}");
            assert!(package.get("resolved").is_none(), "{name}");
        }
    }
}
