//! The login in the private home of a sandbox, which an agent can write at any time.
//!
//! Nothing is read from there. Whether what lies there is what this tool wrote last is told by the inode, the time of its
//! making, its size and the time of its last change; a record of these lies where no container reaches it. A login that
//! somebody made inside is another file, and stays.
//!
//! A live agent does not matter to the writing: the home is a directory that is held open, the new file is made in it under a
//! name that must be free, and takes the place of `auth.json` by `renameat` in the same directory. No link is followed, and
//! nothing that the agent does to the names meanwhile leads out of its own home.

use super::form::{Form, lease};
use super::outcome::{FromHost, Gift, LoginOutcome};
use super::token::Token;
use crate::beneath::{Beneath, Lock, Written, lock_fd};
use crate::{exec, fingerprint};
use anyhow::{Context as _, Result};
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

const FILE: &str = "auth.json";

/// How long another call for the same sandbox may take to write.
const WAIT: Duration = Duration::from_secs(5);

/// What was written last, without any token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginRecord {
    what: Gift,
    /// Of what was written, so that the same is not written again.
    fingerprint: String,
    /// When the token ends.
    pub(crate) ends: Option<SystemTime>,
    /// The file, and before it is in its place the one that it replaces.
    files: Vec<Written>,
}

impl LoginRecord {
    fn read(record: &Path) -> Option<LoginRecord> {
        serde_json::from_slice(&fs::read(record).ok()?).ok()
    }

    fn write(&self, record: &Path) -> Result<()> {
        exec::write_file(record, &serde_json::to_vec(self)?, 0o600)
    }
}

/// For the fuzzer: what is kept of a login. Every time in it can be shown.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<LoginRecord>(bytes) else { return };
    if let Some(ends) = record.ends {
        super::until(ends, SystemTime::UNIX_EPOCH);
    }
}

/// What has the name of the login inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    /// Nothing, or what Codex never makes: a link, a directory, a pipe.
    NoFile,
    /// What this tool wrote.
    Ours(Written),
    /// What an earlier version of this tool may have written, with a refresh token.
    Earlier,
    /// What took the place of the host's whole login: Codex renews that inside, so it may hold its refresh token.
    Renewed,
    /// A file of somebody inside.
    Own,
}

impl There {
    fn look(home: &Beneath, record: &Path, given: Option<&LoginRecord>) -> Result<There> {
        let found = home.written(FILE).with_context(|| format!("cannot look at `{}`", home.path().display()))?;
        Ok(match (found, given) {
            (None, _) => There::NoFile,
            (Some(file), Some(given)) if given.files.contains(&file) => There::Ours(file),
            (Some(_), Some(given)) if given.what == Gift::Full => There::Renewed,
            (Some(_), Some(_)) => There::Own,
            (Some(_), None) if record.exists() => There::Earlier,
            (Some(_), None) => There::Own,
        })
    }
}

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Write,
    Remove,
    Leave,
}

/// Pure. What this tool wrote is written again each time: who can write the file can also give it back its size and times.
fn change(host: &FromHost, there: There) -> Change {
    match (host, there) {
        (FromHost::Unasked, _) | (_, There::Own) | (FromHost::Whole(Gift::Full, _), There::Renewed) => Change::Leave,
        (
            FromHost::Lease(..) | FromHost::Whole(..),
            There::NoFile | There::Ours(_) | There::Earlier | There::Renewed,
        ) => Change::Write,
        (FromHost::Nothing(_), There::NoFile) | (FromHost::Unsure(_), There::NoFile | There::Ours(_)) => Change::Leave,
        // With a refresh token in it, it does not stay whatever the host has.
        (FromHost::Nothing(_), There::Ours(_) | There::Earlier | There::Renewed)
        | (FromHost::Unsure(_), There::Earlier | There::Renewed) => Change::Remove,
    }
}

/// A file for the sandbox.
struct ToWrite {
    what: Gift,
    bytes: Vec<u8>,
    fingerprint: String,
    ends: Option<SystemTime>,
}

impl ToWrite {
    fn of(host: &FromHost) -> Option<ToWrite> {
        match host {
            FromHost::Lease(token, form) => Some(ToWrite {
                what: Gift::Lease,
                bytes: lease(token, *form).into_bytes(),
                fingerprint: fingerprint::of([form.word(), token.secret()]),
                ends: Some(token.ends()),
            }),
            FromHost::Whole(what, bytes) => {
                Some(ToWrite { what: *what, bytes: bytes.clone(), fingerprint: fingerprint::of([bytes]), ends: None })
            }
            FromHost::Nothing(_) | FromHost::Unsure(_) | FromHost::Unasked => None,
        }
    }
}

/// Brings the login inside to what the host has for it. May be called while an agent runs: see the head of this file.
///
/// # Errors
/// The home or the record cannot be written.
pub(crate) fn give(host: &FromHost, home: &Path, record: &Path) -> Result<LoginOutcome> {
    if let FromHost::Unasked = host {
        return Ok(LoginOutcome::Same);
    }
    let _lock = lock(record)?;
    let (home, given) = (Beneath::make_root(home, 0o700)?, LoginRecord::read(record));
    let there = There::look(&home, record, given.as_ref())?;
    let write = ToWrite::of(host);
    match (change(host, there), write) {
        (Change::Write, Some(write)) => put(&home, record, there, write)?,
        (Change::Write, None) | (Change::Leave, _) => {}
        (Change::Remove, _) => {
            home.unlink(FILE).with_context(|| format!("cannot remove `{}`", home.path().join(FILE).display()))?;
            exec::remove(record)?;
        }
    }
    Ok(LoginOutcome::of(host, there == There::Own, matches!(there, There::Earlier | There::Renewed)))
}

/// Puts a renewed lease in the place of the one that this tool wrote, and nowhere else: who logged out inside stays logged
/// out until the next entry. Returns whether it is there now.
///
/// # Errors
/// The home or the record cannot be written.
pub(crate) fn push(token: &Token, form: Form, home: &Path, record: &Path) -> Result<bool> {
    let _lock = lock(record)?;
    let Some(given) = LoginRecord::read(record).filter(|given| given.what == Gift::Lease) else { return Ok(false) };
    let (home, host) = (Beneath::root(home)?, FromHost::Lease(token.clone(), form));
    let There::Ours(_) = There::look(&home, record, Some(&given))? else { return Ok(false) };
    match ToWrite::of(&host).filter(|write| write.fingerprint != given.fingerprint) {
        Some(write) => put(&home, record, There::look(&home, record, Some(&given))?, write).map(|()| true),
        None => Ok(true),
    }
}

fn put(home: &Beneath, record: &Path, there: There, write: ToWrite) -> Result<()> {
    let ToWrite { what, bytes, fingerprint, ends } = write;
    let old = match there {
        There::Ours(file) => Some(file),
        There::NoFile | There::Earlier | There::Renewed | There::Own => None,
    };
    if home.stat(FILE).is_ok_and(|node| node.kind == FileType::Directory) {
        // How much lies in it is the agent's choice: it is renamed, and the next start, which can be interrupted, removes it.
        home.rename_aside(OsStr::new(FILE), "aside")?;
    }
    let mut files = Vec::new();
    let given = |files: Vec<Written>| LoginRecord { what, fingerprint: fingerprint.clone(), ends, files };
    home.write_noting(FILE, bytes, 0o600, |file| {
        // A call that ends here leaves the old file in its place, and the next one still knows it.
        files.push(file);
        given(old.into_iter().chain([file]).collect()).write(record)
    })
    .context("cannot give the login to the sandbox")?;
    given(files).write(record)
}

/// One call at a time for a sandbox; what has taken it for too long is not waited for.
fn lock(record: &Path) -> Result<Option<Lock>> {
    let path = record.with_extension("lock");
    let open = || File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
    open().and_then(|file| lock_fd(file, WAIT)).with_context(|| format!("cannot lock `{}`", path.display()))
}

/// What lies inside, for those who look without writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InHome {
    /// No login of this tool's.
    None,
    /// What this tool wrote, unchanged.
    Given(Gift, Option<SystemTime>),
    /// One of the sandbox's own.
    Own,
}

/// What lies inside: by the record and the inode, nothing is read.
///
/// # Errors
/// The home cannot be looked at.
pub(crate) fn held(home: &Path, record: &Path) -> Result<InHome> {
    let (home, given) = (Beneath::root(home)?, LoginRecord::read(record));
    Ok(match (There::look(&home, record, given.as_ref())?, given) {
        (There::Ours(_), Some(given)) => InHome::Given(given.what, given.ends),
        (There::NoFile, _) | (There::Ours(_), None) => InHome::None,
        (There::Renewed, _) => InHome::Given(Gift::Full, None),
        (There::Earlier | There::Own, _) => InHome::Own,
    })
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{Nothing, Unsure};
    use super::super::token::{made_up, unsigned};
    use super::*;

    #[test]
    fn a_login_of_the_sandbox_s_own_always_stays() {
        let token = Token::parse(&unsigned(&made_up(0, 10, "t"))).unwrap();
        let hosts = [
            FromHost::Lease(token.clone(), Form::AuthTokens),
            FromHost::Whole(Gift::Full, Vec::new()),
            FromHost::Nothing(Nothing::NoLogin),
            FromHost::Unsure(Unsure::Dead),
            FromHost::Unasked,
        ];
        let file = Written { ino: 1, born: None, size: 1, modified: crate::beneath::Born(1, 1) };
        for host in &hosts {
            assert_eq!(change(host, There::Own), Change::Leave);
        }
        let acts = |there: There| hosts.iter().map(|host| change(host, there)).collect::<Vec<_>>();
        use Change::{Leave, Remove, Write};
        assert_eq!(acts(There::NoFile), [Write, Write, Leave, Leave, Leave]);
        assert_eq!(acts(There::Ours(file)), [Write, Write, Remove, Leave, Leave]);
        assert_eq!(acts(There::Earlier), [Write, Write, Remove, Remove, Leave]);
        // Only where all of it is wanted does what Codex renewed inside stay.
        assert_eq!(acts(There::Renewed), [Write, Leave, Remove, Remove, Leave]);
    }
}
