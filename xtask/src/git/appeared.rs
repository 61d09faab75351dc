//! Records whether a workspace had a repository. A `.git` that appears after a sandbox ran without one can have been made
//! by the agent: git on the host would run what its configuration names, and it could name any object directory to be
//! mounted.

use super::repository::Repository;
use crate::error::failed;
use crate::exec;
use crate::outside;
use crate::text;
use anyhow::Result;
use std::path::Path;

/// Records in `private` whether the workspace has a repository, and returns what the user should know. To be called at
/// each start, before [`prepare()`](super::prepare()).
///
/// # Errors
/// A repository appeared after a sandbox ran without one, and borrows objects from another directory: the agent could
/// have chosen that directory, and it would be mounted.
pub(crate) fn note_appearance(repo: Option<&Repository>, private: &Path) -> Result<Vec<String>> {
    exec::create_dir(private, 0o700)?;
    let record = private.join("repository");
    let had_none = outside::text(&record, outside::WRITTEN).is_ok_and(|text| text.trim() == "none");
    let Some(repo) = repo else {
        exec::write_file(&record, b"none\n", 0o600)?;
        return Ok(Vec::new());
    };
    let dot_git = repo.workspace.join(".git").display().to_string();
    let appeared = format!("`{dot_git}` appeared after a sandbox ran here without one");
    if let (true, Some(borrowed)) = (had_none, repo.objects.get(1)) {
        return Err(failed(format!("{appeared}, and borrows objects from `{}`", borrowed.display()))
            .hint(format!(
                "if you made it, remove the record that there was none: rm {}",
                text::word(&record.display().to_string())
            ))
            .into());
    }
    exec::write_file(&record, b"present\n", 0o600)?;
    let note = format!("{appeared}: check `{dot_git}/config` and `{dot_git}/hooks` before you run git here");
    Ok(Vec::from_iter(had_none.then_some(note)))
}
