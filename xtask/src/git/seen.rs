//! Remembers whether a workspace had a repository. A `.git` that appears where a sandbox ran without one can be the
//! agent's work: its configuration would run on the host, and it could name any object directory to be mounted.

use super::repository::Repository;
use crate::error::failed;
use crate::exec;
use anyhow::Result;
use std::path::Path;

/// Records in `private` whether the workspace has a repository, and returns what the user should know: call it at
/// each start, before [`prepare`](super::prepare).
///
/// Fails where a repository appeared after a sandbox ran without one, and borrows objects from elsewhere: those would
/// be mounted on the word of the agent.
pub fn note_appearance(repo: Option<&Repository>, private: &Path) -> Result<Vec<String>> {
    exec::create_dir(private, 0o700)?;
    let record = private.join("repository");
    let had_none = std::fs::read_to_string(&record).is_ok_and(|text| text.trim() == "none");
    let Some(repo) = repo else {
        exec::write_file(&record, b"none\n", 0o600)?;
        return Ok(Vec::new());
    };
    if had_none && repo.objects.len() > 1 {
        return Err(failed(format!(
            "`{}` appeared after a sandbox ran here without one, and borrows objects from `{}`",
            repo.workspace.join(".git").display(),
            repo.objects[1].display()
        ))
        .hint(format!("where it is yours: rm {}", shell_words::quote(&record.display().to_string())))
        .into());
    }
    exec::write_file(&record, b"present\n", 0o600)?;
    if !had_none {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "`{0}` appeared after a sandbox ran here without one: look at `{0}/config` and `{0}/hooks` before you run git here",
        repo.workspace.join(".git").display()
    )])
}
