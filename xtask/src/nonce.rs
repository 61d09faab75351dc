//! Random names from the kernel.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Read as _;

/// Letters and digits that no earlier run has used, and that nobody can know in advance.
///
/// # Errors
/// The kernel gives none.
pub(crate) fn nonce() -> Result<String> {
    let mut bytes = [0; 12];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).context("no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
