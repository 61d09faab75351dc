//! Asks the probe inside before the engine has said whether the container (still) runs: both take about as long, and
//! side by side they take half of the time. Where it turns out that nothing or something else runs, the answer is
//! thrown away.

use super::record::Record;
use crate::codex::home::Mirror;
use crate::exec;
use crate::proof::CodexFile;
use crate::proof::probe::{AskCodex, ProbeRequest};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// An answer that may turn out to be of use.
pub(super) struct Early {
    /// The container that was asked, by its full id, or by its name where it was just started.
    pub container: String,
    /// What it was asked.
    pub request: ProbeRequest,
    /// What it said.
    pub answer: Result<String>,
    file: PathBuf,
}

/// The request to the container of this record, with the programs that the user's MCP servers need. Codex is not
/// started again where its file is the one that answered at the container's start.
///
/// # Errors
/// The kernel gives no random numbers.
pub(super) fn request(record: &Record, mirror: &Mirror) -> Result<ProbeRequest> {
    let mut request = ProbeRequest::new(&record.spec, super::nonce()?);
    if let Some(file) = record.codex.filter(|file| CodexFile::of(&record.spec) == Some(*file)) {
        request.codex = AskCodex::File(file);
    }
    request.programs = mirror.mcp.iter().map(|server| server.command.clone()).collect();
    Ok(request)
}

/// Asks the container of this record.
///
/// # Errors
/// The kernel gives no random numbers. That the container does not answer is part of the answer.
pub(super) fn ask(record: &Record, workspace: &Path, mirror: &Mirror) -> Result<Early> {
    let request = request(record, mirror)?;
    let file = workspace.join(ProbeRequest::workspace_file_name(&request.nonce));
    let answer = exec::stdout_of(&request.command(&record.container));
    Ok(Early { container: record.container.clone(), request, answer, file })
}

impl Drop for Early {
    // The proof removes the probe's file; where the answer was not used for a proof, it is removed here. Links are not
    // followed.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}
