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
use super::outcome::{FromHost, Gift, LoginOutcome, until};
use super::record::{Given, LoginRecord};
use super::token::Token;
use crate::beneath::{Beneath, Lock, Stamp, lock_fd, settled};
use crate::fingerprint;
use crate::spec::codex_command::LoginCommand;
use anyhow::{Context as _, Result};
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

const FILE: &str = "auth.json";

/// How long another call for the same sandbox may take to write.
const WAIT: Duration = Duration::from_secs(5);

/// Whether anything but the container's own init may be alive inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    Quiet,
    Alive,
}

/// For the fuzzer: what is kept of a login. Every time in it can be shown.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<LoginRecord>(bytes) else { return };
    for ends in [record.given, record.pending].into_iter().flatten().filter_map(|given| given.ends) {
        super::until(ends, SystemTime::UNIX_EPOCH);
    }
}

/// What has the name of the login inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    /// Nothing, or what Codex never makes: a link, a directory, a pipe.
    NoFile,
    /// What this tool wrote, unchanged.
    Ours,
    /// What a call of this tool wrote that ended before it could note so. It may have been changed since.
    Unnoted(Stamp),
    /// What took the place of the host's whole login: Codex renews that inside, so it may hold its refresh token.
    Renewed,
    /// What a login made that this tool started.
    Own,
    /// What somebody else put there.
    Foreign,
}

impl There {
    fn look(home: &Beneath, record: &LoginRecord) -> Result<There> {
        let found = match home.stamp(FILE) {
            Err(err) if err.kind() == ErrorKind::NotFound => None,
            found => Some(found.with_context(|| format!("cannot look at `{}`", home.path().display()))?),
        };
        let file = found.filter(|(node, _)| node.kind == FileType::RegularFile).map(|(_, stamp)| stamp);
        Ok(file.map_or(There::NoFile, |file| There::of(file, record)))
    }

    /// Pure.
    fn of(file: Stamp, record: &LoginRecord) -> There {
        let LoginRecord { given, pending, own, whole: _ } = record;
        let wrote = [given, pending].into_iter().flatten();
        if given.as_ref().is_some_and(|given| file.is_still(&given.file)) {
            There::Ours
        } else if pending.as_ref().is_some_and(|new| file.is_but_moved(&new.file)) {
            There::Unnoted(file)
        } else if *own {
            There::Own
        } else if wrote.into_iter().any(|wrote| wrote.what == Gift::Full) {
            There::Renewed
        } else {
            There::Foreign
        }
    }
}

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Write,
    Remove,
    Leave,
}

/// Pure. What this tool wrote is written again each time. `whole` says whether what somebody put there may hold the host's
/// refresh token: then it does not stay, whatever the host has and whoever is alive. Else it stays beside a live agent, which
/// could be a login that goes on, and breaks the claim until nothing is alive.
fn change(host: &FromHost, there: There, inside: Inside, whole: bool) -> Change {
    let stays = inside == Inside::Alive && !whole;
    match (host, there) {
        (FromHost::Unasked, _) | (_, There::Own) | (FromHost::Whole(Gift::Full, _), There::Renewed) => Change::Leave,
        (_, There::Foreign) if stays => Change::Leave,
        (FromHost::Lease(..) | FromHost::Whole(..), _) => Change::Write,
        (FromHost::Nothing(_), There::NoFile)
        | (FromHost::Unsure(_), There::NoFile | There::Ours | There::Unnoted(_)) => Change::Leave,
        (FromHost::Nothing(_), There::Ours | There::Unnoted(_) | There::Renewed | There::Foreign)
        | (FromHost::Unsure(_), There::Renewed | There::Foreign) => Change::Remove,
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
pub(crate) fn give(host: &FromHost, inside: Inside, home: &Path, record: &Path) -> Result<LoginOutcome> {
    if let FromHost::Unasked = host {
        return Ok(LoginOutcome::same());
    }
    let _lock = lock(record)?;
    let (home, known) = (Beneath::make_root(home, 0o700)?, LoginRecord::read(record)?);
    let there = There::look(&home, &known)?;
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
/// logged out inside stays logged out until the next entry. Returns whether it is there now.
///
/// # Errors
/// The home or the record cannot be written.
pub(crate) fn push(token: &Token, form: Form, home: &Path, record: &Path) -> Result<bool> {
    let _lock = lock(record)?;
    let (home, known) = (Beneath::root(home)?, LoginRecord::read(record)?);
    let LoginRecord { given, pending, own, whole: _ } = &known;
    let wrote = given.as_ref().or(pending.as_ref()).map(|wrote| wrote.what);
    let may = match (There::look(&home, &known)?, wrote) {
        (There::Ours | There::Unnoted(_), Some(Gift::Lease)) => true,
        (There::NoFile, None) => !own,
        (There::Ours | There::Unnoted(_) | There::NoFile | There::Renewed | There::Own | There::Foreign, _) => false,
    };
    let there = |write: &ToWrite| {
        given.as_ref().is_some_and(|given| given.fingerprint == write.fingerprint) && pending.is_none()
    };
    match ToWrite::of(&FromHost::Lease(token.clone(), form)).filter(|_| may) {
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
        && There::look(home, known)? == There::Ours
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
    let there = There::look(&Beneath::root(home)?, &known)?;
    match (command, there) {
        (LoginCommand::In, There::Renewed | There::Own | There::Foreign) => {
            LoginRecord { given: None, pending: None, own: true, ..known }.write(record)
        }
        (LoginCommand::Out, _) if known.own => LoginRecord { own: false, ..known }.write(record),
        (LoginCommand::In, There::NoFile | There::Ours | There::Unnoted(_)) | (LoginCommand::Out, _) => Ok(()),
    }
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
    /// Whether the host's refresh token has ever been in the home.
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
        let whole = self.whole.then(|| "yours was there whole once".to_owned());
        (file.is_some() || whole.is_some()).then(|| file.into_iter().chain(whole).collect::<Vec<_>>().join("; "))
    }
}

/// What lies inside: by the record and the kernel's word about the file, nothing is read.
///
/// # Errors
/// The home or the record cannot be looked at.
pub(crate) fn held(home: &Path, record: &Path) -> Result<Held> {
    let (home, known) = (Beneath::root(home)?, LoginRecord::read(record)?);
    let file = match (There::look(&home, &known)?, &known.given) {
        (There::Ours, Some(given)) => InHome::Given(given.what, given.ends),
        (There::Renewed, _) => InHome::Given(Gift::Full, None),
        (There::NoFile, _) => InHome::None,
        (There::Own, _) => InHome::Own,
        (There::Foreign | There::Unnoted(_), _) | (There::Ours, None) => InHome::Foreign,
    };
    Ok(Held { file, whole: known.whole })
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{Nothing, Unsure};
    use super::super::token::{made_up, unsigned};
    use super::*;
    use crate::beneath::{Born, FileId};

    fn stamp(ino: u64, changed: i64) -> Stamp {
        Stamp { id: FileId { dev: 1, ino }, size: 1, modified: Born(1, 1), changed: Born(changed, 0) }
    }

    #[test]
    fn what_is_done_is_told_by_the_host_and_by_what_is_there() {
        let token = Token::parse(&unsigned(&made_up(0, 10, "t"))).unwrap();
        let hosts = [
            FromHost::Lease(token.clone(), Form::AuthTokens),
            FromHost::Whole(Gift::Full, Vec::new()),
            FromHost::Nothing(Nothing::NoLogin),
            FromHost::Unsure(Unsure::Dead),
            FromHost::Unasked,
        ];
        let acts = |there: There, inside: Inside, whole: bool| {
            hosts.iter().map(|host| change(host, there, inside, whole)).collect::<Vec<_>>()
        };
        use Change::{Leave, Remove, Write};
        for (inside, whole) in [(Inside::Quiet, false), (Inside::Alive, false), (Inside::Alive, true)] {
            let acts = |there| acts(there, inside, whole);
            assert_eq!(acts(There::Own), [Leave; 5], "a login of the sandbox's own always stays");
            assert_eq!(acts(There::NoFile), [Write, Write, Leave, Leave, Leave]);
            assert_eq!(acts(There::Ours), [Write, Write, Remove, Leave, Leave]);
            assert_eq!(acts(There::Unnoted(stamp(1, 1))), [Write, Write, Remove, Leave, Leave]);
            // Only where all of it is wanted does what Codex renewed inside stay.
            assert_eq!(acts(There::Renewed), [Write, Leave, Remove, Remove, Leave]);
        }
        for (inside, whole) in [(Inside::Quiet, false), (Inside::Quiet, true), (Inside::Alive, true)] {
            assert_eq!(acts(There::Foreign, inside, whole), [Write, Write, Remove, Remove, Leave]);
        }
        assert_eq!(acts(There::Foreign, Inside::Alive, false), [Leave; 5], "it could be a login that goes on");
    }

    #[test]
    fn a_file_is_known_by_all_that_the_kernel_says_of_it() {
        let given =
            |ino| Some(Given { what: Gift::Lease, fingerprint: String::new(), ends: None, file: stamp(ino, 5) });
        let known = LoginRecord { given: given(1), pending: given(2), ..LoginRecord::default() };
        assert_eq!(There::of(stamp(1, 5), &known), There::Ours);
        assert_eq!(There::of(stamp(1, 6), &known), There::Foreign, "somebody wrote to it, and set the other time back");
        assert_eq!(There::of(stamp(2, 6), &known), There::Unnoted(stamp(2, 6)), "the rename moved its last time");
        let moved = Stamp { id: FileId { dev: 2, ino: 1 }, ..stamp(1, 5) };
        assert_eq!(There::of(moved, &known), There::Ours, "the host has started again");
        for other in [Stamp { size: 2, ..stamp(1, 5) }, Stamp { modified: Born(1, 2), ..stamp(1, 5) }, stamp(3, 5)] {
            assert_eq!(There::of(other, &known), There::Foreign);
        }
        assert_eq!(There::of(stamp(3, 5), &LoginRecord { own: true, ..known }), There::Own);
    }
}
