//! The volumes of the engine that have the name of a user's cache.

use crate::engine::caches::{self, Volumes};
use crate::exec;
use anyhow::Result;

/// Asks the engine.
///
/// # Errors
/// It does not answer.
pub(super) fn caches_of(uid: u32) -> Result<Volumes> {
    Ok(caches::parse_list(&exec::stdout_of(&caches::list())?, uid))
}
