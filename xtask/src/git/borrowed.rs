//! Object directories: the repository's own, and those that it borrows from. What is borrowed is readable inside, so each
//! directory outside the workspace needs the user's consent by its name: a project that somebody else gave can name any
//! other repository of the user.

use super::Repository;
use super::layout::SMALL;
use crate::beneath::Beneath;
use crate::context::resolved;
use crate::error::usage;
use crate::text;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The levels of alternates that git follows.
const LEVELS: usize = 5;

/// An object directory and all that it borrows from, each once.
pub(super) fn object_dirs(own: &Path, notes: &mut Vec<String>) -> Result<Vec<PathBuf>> {
    let mut found = vec![own.to_path_buf()];
    let mut start = 0;
    for _ in 0..LEVELS {
        let level = found[start..].to_vec();
        start = found.len();
        for dir in level {
            for named in alternates_of(&dir)? {
                match dir.join(&named).canonicalize() {
                    Ok(path) if found.contains(&path) => {}
                    Ok(path) if path.join("pack").is_dir() || path.join("info").is_dir() => found.push(path),
                    _ => notes.push(format!("the objects that it borrows from `{named}` are not there")),
                }
            }
        }
    }
    Ok(found)
}

/// The object directories that one names as its alternates.
pub(super) fn alternates_of(objects: &Path) -> Result<Vec<String>> {
    let tree = Beneath::root_if_there(objects)?;
    let text = tree.map_or(Ok(None), |tree| tree.text("info/alternates", SMALL))?.unwrap_or_default();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

impl Repository {
    /// Refuses borrowed objects of which the user has not said that the sandbox may read them. `allowed` are the object
    /// directories that the settings name.
    ///
    /// # Errors
    /// The directories that are not among them, with what to write where.
    pub(crate) fn refuse_borrowed(&self, allowed: &[PathBuf]) -> Result<()> {
        let allowed: Vec<PathBuf> = allowed.iter().map(|path| resolved(path)).collect();
        let borrowed = self.objects.iter().skip(1).filter(|path| !path.starts_with(&self.workspace));
        let refused: Vec<&PathBuf> = borrowed.filter(|path| !allowed.contains(path)).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let shown = |path: &PathBuf| path.display().to_string();
        let listed: Vec<String> = refused.iter().map(|path| format!("`{}`", shown(path))).collect();
        let flags: Vec<String> =
            refused.iter().map(|path| format!("--git-alternate {}", text::word(&shown(path)))).collect();
        let names: Vec<String> = refused.iter().map(|path| serde_json::Value::from(shown(path)).to_string()).collect();
        Err(usage(format!(
            "`{}` borrows objects from {}: all commits and files that are stored there would be readable inside",
            self.git_dir.display(),
            listed.join(", ")
        ))
        .hint(format!(
            "if the agent may read them: `{}`, or `git_alternates: [{}]` in sandbox.local.yaml",
            flags.join(" "),
            names.join(", ")
        ))
        .hint(format!(
            "if not: `git -C {} repack -a -d`, then remove `{}`",
            text::word(&self.workspace.display().to_string()),
            self.objects[0].join("info/alternates").display()
        ))
        .into())
    }

    /// The directories whose objects are readable inside, the repository's own first.
    pub(crate) fn readable_objects(&self) -> &[PathBuf] {
        &self.objects
    }
}
