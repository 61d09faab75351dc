//! The login in the private home of a sandbox, which an agent can write at any time.
//!
//! Nothing is read from there. Whether what lies there is what this tool wrote last is told by the inode, its size and its
//! times, of which nobody can set the last; a record of these lies where no container reaches it. What somebody else put there
//! is the sandbox's own login only where this tool itself started a login inside; all else does not stay.
//!
//! A live agent does not matter to the writing: the home is a directory that is held open, the new file is made in it under a
//! name that must be free, and takes the place of `auth.json` by `renameat` in the same directory. No link is followed, and
//! nothing that the agent does to the names meanwhile leads out of its own home.

use super::form::{Form, lease};
use super::judge::{Change, Inside, There, change};
use super::outcome::{FromHost, Gift, LoginOutcome, Nothing, until};
use super::record::{Given, LoginRecord};
use super::token::Token;
use crate::beneath::{Beneath, Lock, Stamp, lock_at, settled};
use crate::fingerprint;
use crate::spec::codex_command::LoginCommand;
use anyhow::{Context as _, Result};
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

const FILE: &str = "auth.json";

/// How long another call for the same sandbox may take to write.
const WAIT: Duration = Duration::from_secs(5);

fn look(home: &Beneath, record: &LoginRecord) -> Result<There> {
    let found = match home.stamp(FILE) {
        Err(err) if err.kind() == ErrorKind::NotFound => None,
        found => Some(found.with_context(|| format!("cannot look at `{}`", home.path().display()))?),
    };
    let file = found.filter(|(node, _)| node.kind == FileType::RegularFile).map(|(_, stamp)| stamp);
    Ok(file.map_or(There::NoFile, |file| There::of(file, record)))
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
pub(crate) fn give(host: &FromHost, inside: Inside, home: &Path, record: &Path) -> Result<LoginOutcome> {
    if let FromHost::Unasked = host {
        return Ok(LoginOutcome::same());
    }
    let _lock = lock(record)?;
    let (home, known) = (Beneath::make_root(home, 0o700)?, barred(host, record)?);
    let there = look(&home, &known)?;
    let write = ToWrite::of(host);
    let change = change(host, there, inside, known.whole);
    match (change, write) {
        (Change::Write, Some(write)) => put(&home, record, &known, write, inside)?,
        (Change::Write, None) => {}
        (Change::Leave, _) => keep(record, &known, there, inside)?,
        (Change::Remove, _) => {
            home.unlink(FILE).with_context(|| format!("cannot remove `{}`", home.path().join(FILE).display()))?;
            LoginRecord { given: None, pending: None, ..known }.write(record)?;
        }
    }
    let stranger = matches!(there, There::Foreign | There::Renewed);
    Ok(match (change, there) {
        (Change::Leave, There::Own) => LoginOutcome::own(host),
        (Change::Leave, There::Foreign) => LoginOutcome::stranger(),
        (Change::Leave | Change::Write | Change::Remove, _) => {
            LoginOutcome::of(host, stranger && change != Change::Leave)
        }
    })
}

/// What is known, with the note whether the user wants no login inside from now on.
fn barred(host: &FromHost, record: &Path) -> Result<LoginRecord> {
    let known = LoginRecord::read(record)?;
    let barred = matches!(host, FromHost::Nothing(Nothing::Setting | Nothing::Required));
    if known.barred == barred {
        return Ok(known);
    }
    let known = LoginRecord { barred, ..known };
    known.write(record)?;
    Ok(known)
}

/// Notes what is known by now of a file that stays.
fn keep(record: &Path, known: &LoginRecord, there: There, inside: Inside) -> Result<()> {
    let next = match (there, &known.pending) {
        // Who logged out inside has no login of the sandbox's own any more.
        (There::NoFile, _) if known.own => LoginRecord { own: false, ..known.clone() },
        (There::Unnoted(file), Some(pending)) if inside == Inside::Quiet => {
            LoginRecord { given: Some(Given { file, ..pending.clone() }), pending: None, ..known.clone() }
        }
        _unchanged => return Ok(()),
    };
    next.write(record)
}

/// Puts a renewed lease in the place of the one that this tool wrote, or of none where it wrote none, and nowhere else: who
/// logged out inside stays logged out until the next entry, and so does a sandbox that was entered with `login: none` since. Returns whether it is there now.
///
/// # Errors
/// The home or the record cannot be written.
pub(crate) fn push(token: &Token, form: Form, home: &Path, record: &Path) -> Result<bool> {
    let _lock = lock(record)?;
    let (home, known) = (Beneath::root(home)?, LoginRecord::read(record)?);
    let LoginRecord { given, pending, own, whole: _, barred } = &known;
    let wrote = given.as_ref().or(pending.as_ref()).map(|wrote| wrote.what);
    let may = match (look(&home, &known)?, wrote) {
        (There::Ours | There::Unnoted(_), Some(Gift::Lease)) => true,
        (There::NoFile, None) => !own,
        (There::Ours | There::Unnoted(_) | There::NoFile | There::Renewed | There::Own | There::Foreign, _) => false,
    };
    let there = |write: &ToWrite| {
        given.as_ref().is_some_and(|given| given.fingerprint == write.fingerprint) && pending.is_none()
    };
    match ToWrite::of(&FromHost::Lease(token.clone(), form)).filter(|_| may && !barred) {
        Some(write) if there(&write) => Ok(true),
        Some(write) => put(&home, record, &known, write, Inside::Alive).map(|()| true),
        None => Ok(false),
    }
}

/// Writes it. The record knows the old file and the new one before the one takes the place of the other.
fn put(home: &Beneath, record: &Path, known: &LoginRecord, write: ToWrite, inside: Inside) -> Result<()> {
    let ToWrite { what, bytes, fingerprint, ends } = write;
    let same = |given: &Given| given.fingerprint == fingerprint;
    if inside == Inside::Alive
        && known.given.as_ref().is_some_and(same)
        && look(home, known)? == There::Ours
        && !home.is_in_memory()
    {
        return Ok(());
    }
    if home.stat(FILE).is_ok_and(|node| node.kind == FileType::Directory) {
        // How much lies in it is the agent's choice: it is renamed, and the next start, which can be interrupted, removes it.
        home.rename_aside(OsStr::new(FILE), "aside")?;
    }
    let mut next = LoginRecord { own: false, whole: known.whole || what == Gift::Full, ..known.clone() };
    // A directory that has come since is not removed now.
    let mut file = home
        .write_noting(FILE, &bytes, 0o600, &|| true, |file| {
            next.pending = Some(Given { what, fingerprint, ends, file });
            next.write(record)
        })
        .context("cannot give the login to the sandbox")?;
    let written = match inside {
        Inside::Alive => settled(&mut file, &bytes),
        Inside::Quiet => Stamp::of(&file).map(Some),
    };
    let written = written.with_context(|| format!("cannot look at `{}`", home.path().join(FILE).display()))?;
    // What somebody has written to meanwhile is not what was given.
    let noted = next.pending.take().zip(written).filter(|(pending, file)| file.is_but_moved(&pending.file));
    next.given = noted.map(|(pending, file)| Given { file, ..pending });
    next.write(record)
}

/// Notes that Codex was started inside to log in or out, and has done so: from then on what lies there is the sandbox's own,
/// or it has none.
///
/// # Errors
/// The home cannot be looked at, or the record cannot be written.
pub(crate) fn note(command: LoginCommand, home: &Path, record: &Path) -> Result<()> {
    let _lock = lock(record)?;
    let known = LoginRecord::read(record)?;
    let there = look(&Beneath::root(home)?, &known)?;
    match (command, there) {
        (LoginCommand::In, There::Renewed | There::Own | There::Foreign) => {
            LoginRecord { given: None, pending: None, own: true, ..known }.write(record)
        }
        (LoginCommand::Out, _) if known.own => LoginRecord { own: false, ..known }.write(record),
        (LoginCommand::In, There::NoFile | There::Ours | There::Unnoted(_)) | (LoginCommand::Out, _) => Ok(()),
    }
}

/// Notes that the host's own Codex home is shown to the sandbox as it is: the agent can copy the login that lies there to
/// wherever a later session reads.
///
/// # Errors
/// The record cannot be read or written.
pub(crate) fn note_shared(record: &Path) -> Result<()> {
    let _lock = lock(record)?;
    let known = LoginRecord::read(record)?;
    if known.whole { Ok(()) } else { LoginRecord { whole: true, ..known }.write(record) }
}

/// One call at a time for a sandbox; what has taken it for too long is not waited for.
fn lock(record: &Path) -> Result<Option<Lock>> {
    let path = record.with_extension("lock");
    lock_at(&path, WAIT, || false).with_context(|| format!("cannot lock `{}`", path.display()))
}

/// What lies inside, for those who look without writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InHome {
    /// No login.
    None,
    /// What this tool wrote, unchanged.
    Given(Gift, Option<SystemTime>),
    /// One of the sandbox's own: a login that this tool started inside made it.
    Own,
    /// What this tool did not write, or what may have been changed since.
    Foreign,
}

/// What a sandbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) file: InHome,
    /// Whether the host's refresh token was ever within reach of the sandbox.
    pub(crate) whole: bool,
}

impl Held {
    /// In a few words for the user; nothing where there is no login and never was.
    pub(crate) fn shown(&self, now: SystemTime) -> Option<String> {
        let file = match self.file {
            InHome::None => None,
            InHome::Given(Gift::Lease, Some(ends)) => Some(format!("yours, leased until {}", until(ends, now))),
            InHome::Given(Gift::Lease, None) => Some("yours, leased".to_owned()),
            InHome::Given(Gift::ApiKey, _) => Some("your API key".to_owned()),
            InHome::Given(Gift::Full, _) => Some("yours, whole".to_owned()),
            InHome::Own => Some("its own; what is in it is not known".to_owned()),
            InHome::Foreign => Some("not from this tool, or changed since".to_owned()),
        };
        let whole = self.whole.then(|| "yours was shown to it whole once".to_owned());
        (file.is_some() || whole.is_some()).then(|| file.into_iter().chain(whole).collect::<Vec<_>>().join("; "))
    }
}

/// What lies inside: by the record and the kernel's word about the file, nothing is read.
///
/// # Errors
/// The home or the record cannot be looked at.
pub(crate) fn held(home: &Path, record: &Path) -> Result<Held> {
    let (home, known) = (Beneath::root(home)?, LoginRecord::read(record)?);
    let file = match (look(&home, &known)?, &known.given) {
        (There::Ours, Some(given)) => InHome::Given(given.what, given.ends),
        (There::Renewed, _) => InHome::Given(Gift::Full, None),
        (There::NoFile, _) => InHome::None,
        (There::Own, _) => InHome::Own,
        (There::Foreign | There::Unnoted(_), _) | (There::Ours, None) => InHome::Foreign,
    };
    Ok(Held { file, whole: known.whole })
}
