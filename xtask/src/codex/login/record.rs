//! What this tool knows of the login in a sandbox: a file of the host's state folder, which no container reaches. It holds no
//! token.

use super::outcome::Gift;
use crate::beneath::Stamp;
use crate::exec;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRecord {
    /// What was written last.
    pub(super) given: Option<Given>,
    /// What was about to take its place: a call that ends before it is noted as given leaves one of the two inside.
    pub(super) pending: Option<Given>,
    /// Whether a login that this tool started inside came to its end: what lies there is the sandbox's own.
    pub(super) own: bool,
    /// Whether the host's refresh token has ever been in this home. An agent can have copied it to any other file.
    pub(super) whole: bool,
}

/// A file that this tool wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    pub(super) what: Gift,
    /// Of what was written, so that the same is not written again beside an agent.
    pub(super) fingerprint: String,
    /// When the token ends.
    pub(super) ends: Option<SystemTime>,
    pub(super) file: Stamp,
}

impl LoginRecord {
    /// # Errors
    /// It is there and cannot be read.
    pub(super) fn read(record: &Path) -> Result<LoginRecord> {
        match fs::read(record) {
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(LoginRecord::default()),
            text => Ok(parse(&text.with_context(|| format!("cannot read `{}`", record.display()))?)),
        }
    }

    pub(super) fn write(&self, record: &Path) -> Result<()> {
        exec::write_file(record, &serde_json::to_vec(self)?, 0o600)
    }
}

/// The record of the first tool that leased.
#[derive(Deserialize)]
struct Before {
    what: Gift,
}

/// Pure. Versions before the lease put the whole login in, and their record says nothing of it: of what is not understood the
/// worst is assumed.
fn parse(text: &[u8]) -> LoginRecord {
    serde_json::from_slice(text).unwrap_or_else(|_| {
        let leased = serde_json::from_slice(text).is_ok_and(|Before { what }| what != Gift::Full);
        LoginRecord { whole: !leased, ..LoginRecord::default() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_record_that_is_not_understood_the_worst_is_assumed() {
        for text in ["", "{", r#"{"login":"f","session":null}"#, r#"{"what":"full","fingerprint":"f","files":[]}"#] {
            assert_eq!(parse(text.as_bytes()), LoginRecord { whole: true, ..LoginRecord::default() }, "{text}");
        }
        assert_eq!(parse(br#"{"what":"lease","fingerprint":"f","ends":null,"files":[]}"#), LoginRecord::default());
        let own = LoginRecord { own: true, whole: true, ..LoginRecord::default() };
        assert_eq!(parse(&serde_json::to_vec(&own).unwrap()), own);
    }
}
