//! What this tool knows of the login in a sandbox: a file of the host's state folder, which no container reaches. It holds no
//! token.

use super::outcome::Gift;
use crate::beneath::Stamp;
use crate::exec;
use crate::outside;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
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
    /// Whether the host's refresh token was ever within reach of this sandbox: in its own home, or in the host's, which it
    /// shared. An agent can have copied it to any other file.
    pub(super) whole: bool,
    /// Whether the last entry was one without a login, by its settings: a session that began before it gives none either.
    #[serde(default)]
    pub(super) barred: bool,
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
        match outside::bytes(record, outside::STATE) {
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(LoginRecord::default()),
            text => Ok(parse(&text.with_context(|| format!("cannot read `{}`", record.display()))?)),
        }
    }

    pub(super) fn write(&self, record: &Path) -> Result<()> {
        exec::write_file(record, &serde_json::to_vec(self)?, 0o600)
    }
}

/// That the host's refresh token was in a home, which outlives a record that is removed with the home as long as the home does.
pub(crate) struct WholeNote {
    home: PathBuf,
    record: PathBuf,
}

impl WholeNote {
    /// `None` where it was never there. Of a record that cannot be read the worst is assumed.
    pub(crate) fn read(home: &Path, record: &Path) -> Option<WholeNote> {
        let never = LoginRecord::read(record).is_ok_and(|known| !known.whole);
        (!never).then(|| WholeNote { home: home.to_owned(), record: record.to_owned() })
    }

    /// To be called after the removal.
    ///
    /// # Errors
    /// Something of the home is left, and it cannot be noted.
    pub(crate) fn keep(self) -> Result<()> {
        if self.home.symlink_metadata().is_err() {
            return Ok(());
        }
        LoginRecord { whole: true, ..LoginRecord::default() }.write(&self.record)
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

/// For the fuzzer: what is kept of a login. Every time in it can be shown.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<LoginRecord>(bytes) else { return };
    for ends in [record.given, record.pending].into_iter().flatten().filter_map(|given| given.ends) {
        super::until(ends, SystemTime::UNIX_EPOCH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn of_a_record_that_is_not_understood_the_worst_is_assumed() {
        for text in ["", "{", r#"{"login":"f","session":null}"#, r#"{"what":"full","fingerprint":"f","files":[]}"#] {
            assert_eq!(parse(text.as_bytes()), LoginRecord { whole: true, ..LoginRecord::default() }, "{text}");
        }
        assert_eq!(parse(br#"{"what":"lease","fingerprint":"f","ends":null,"files":[]}"#), LoginRecord::default());
        let own = LoginRecord { own: true, whole: true, ..LoginRecord::default() };
        assert_eq!(parse(&serde_json::to_vec(&own).unwrap()), own);
    }

    #[test]
    fn that_the_whole_login_was_there_is_known_as_long_as_anything_of_the_home_is() {
        let dir = tempfile::tempdir().unwrap();
        let (home, record) = (dir.path().join("home"), dir.path().join("login.json"));
        assert!(WholeNote::read(&home, &record).is_none(), "it was never there");
        for left in [true, false] {
            fs::create_dir_all(&home).unwrap();
            LoginRecord { whole: true, ..LoginRecord::default() }.write(&record).unwrap();
            let note = WholeNote::read(&home, &record).unwrap();
            fs::remove_file(&record).unwrap();
            if !left {
                fs::remove_dir(&home).unwrap();
            }
            note.keep().unwrap();
            assert_eq!(LoginRecord::read(&record).unwrap().whole, left);
        }
    }
}
