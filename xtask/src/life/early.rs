//! Asks the probe inside before the engine has said whether the container (still) runs: both take about as long, and
//! side by side they take half of the time. Where it turns out that nothing or something else runs, the answer is
//! thrown away.

use super::record::Record;
use crate::codex::home::Mirror;
use crate::engine::cgroup::Cgroup;
use crate::proof::CodexFile;
use crate::proof::ask::{self, Reply};
use crate::proof::probe::{AskCodex, ProbeRequest};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// An answer that may turn out to be of use.
pub(super) struct Early {
    /// The container that was asked, by its full id, or by its name where it was just started.
    pub container: String,
    /// What it was asked.
    pub request: ProbeRequest,
    /// What came of it; `None` once that was used.
    pub asked: Option<Reply>,
    file: PathBuf,
}

/// The request to the container of this record, with the programs that the user's MCP servers need. Codex is not
/// started again where its file is the one that answered at the container's start.
///
/// # Errors
/// The kernel gives no random numbers.
pub(super) fn request(record: &Record, mirror: &Mirror) -> Result<ProbeRequest> {
    let mut request = ProbeRequest::new(&record.spec, crate::nonce::nonce()?, crate::nonce::number()?);
    if let Some(file) = record.codex.filter(|file| CodexFile::of(&record.spec) == Some(*file)) {
        request.codex = AskCodex::File(file);
    }
    request.programs = mirror.mcp.iter().map(|server| server.command.clone()).collect();
    Ok(request)
}

/// Asks the container of this record, which was just started: no agent has run in it.
///
/// # Errors
/// The kernel gives no random numbers. That the container does not answer is part of the answer.
pub(super) fn first(record: &Record, workspace: &Path, mirror: &Mirror) -> Result<Early> {
    Early::new(record, workspace, mirror, |request| {
        ask::first(&request.clone().just_started(), Some(workspace), &record.container)
    })
}

/// Asks the container of this record, in which an agent may be running. It is not asked where its init is no longer the
/// one that the record knows, for then the witness could not be watched.
///
/// # Errors
/// As [`first`].
pub(super) fn again(record: &Record, workspace: &Path, mirror: &Mirror) -> Result<Option<Early>> {
    let init = record.init.as_ref().ok().map(|init| u64::from(init.process.pid));
    let Some(init) = init.filter(|init| Cgroup::of(&record.container, *init).is_ok()) else { return Ok(None) };
    Early::new(record, workspace, mirror, |request| ask::again(request, Some(workspace), &record.container, init))
        .map(Some)
}

impl Early {
    fn new(
        record: &Record,
        workspace: &Path,
        mirror: &Mirror,
        ask: impl FnOnce(&ProbeRequest) -> Reply,
    ) -> Result<Early> {
        let request = request(record, mirror)?;
        let file = workspace.join(ProbeRequest::workspace_file_name(&request.nonce));
        let asked = Some(ask(&request));
        Ok(Early { container: record.container.clone(), request, asked, file })
    }
}

impl Drop for Early {
    // The proof removes the probe's file; where the answer was not used for a proof, it is removed here. Links are not
    // followed.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}
