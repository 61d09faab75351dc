//! Random names and numbers from the kernel.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Read as _;

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).context("no random numbers")?;
    Ok(bytes)
}

/// Letters and digits that no earlier run has used, and that nobody can know in advance.
///
/// # Errors
/// The kernel gives none.
pub(crate) fn nonce() -> Result<String> {
    Ok(random::<12>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a text has the form of a nonce.
pub(crate) fn is_one(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A number that nobody can know in advance.
///
/// # Errors
/// The kernel gives none.
pub(crate) fn number() -> Result<u32> {
    Ok(u32::from_ne_bytes(random()?))
}
