//! Keeps the login of Codex the same on the host and in the private home of a sandbox.
//!
//! A refresh token can be used once, so of two copies of a login one becomes useless at the first renewal, unless the
//! newer tokens are copied over. A file of the sandbox is never copied to the host: only the tokens and the time of their
//! renewal are put into the host's own login, and only where they name the same account, user and sign-in. The signature
//! of the tokens cannot be checked without the network: an agent that forges them can force a new sign-in on the host,
//! but cannot sign the host in as another user.
//!
//! The locks are those of Codex 0.169.0 (traced): `flock` on `auth.lock` in the home, then on `auth.json.lock` beside the
//! file that `auth.json` leads to; that file is replaced by rename.

mod auth;
mod outcome;

#[cfg(any(test, fuzzing))]
pub(crate) use auth::fuzz;

pub(crate) use outcome::{Burnt, LoginOutcome};

use crate::beneath::{Beneath, Lock, Why, lock_fd};
use crate::exec;
use anyhow::{Context as _, Result};
use auth::{Auth, AuthKind};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long to wait for a Codex that is renewing its login.
const WAIT: Duration = Duration::from_secs(2);

/// How far clocks may differ.
const SKEW: Duration = Duration::from_secs(300);

/// The login that both sides had last, as fingerprints: it holds no tokens.
#[derive(Serialize, Deserialize)]
struct LoginRecord {
    login: String,
    session: Option<String>,
}

impl LoginRecord {
    fn read(path: &Path) -> Option<LoginRecord> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    fn write(path: &Path, auth: &Auth) -> Result<()> {
        let record = LoginRecord { login: auth.fingerprint(), session: auth.session() };
        exec::write_file(path, &serde_json::to_vec(&record)?, 0o600)
    }
}

/// What one side has.
enum LoginSide {
    Missing,
    /// A login, with the bytes of its file.
    Login(Auth, Vec<u8>),
    /// Not a regular file; Codex never makes anything else.
    Odd,
    /// A file that is not a login in a known format.
    Unreadable,
}

impl LoginSide {
    fn parse(bytes: Vec<u8>) -> LoginSide {
        Auth::parse(&bytes).map_or(LoginSide::Unreadable, |auth| LoginSide::Login(auth, bytes))
    }

    /// The side of the sandbox, which an agent can have written: no symlink is followed, and a fifo does not block.
    fn private(dir: &Beneath) -> Result<LoginSide> {
        let refused = match dir.read("auth.json", auth::MOST_BYTES) {
            Ok(found) => return Ok(found.map_or(LoginSide::Missing, |(bytes, _)| LoginSide::parse(bytes))),
            Err(refused) => refused,
        };
        match refused.why {
            Why::TooLarge(_) | Why::NotUtf8 => Ok(LoginSide::Unreadable),
            Why::Symlink | Why::NoDirectory | Why::Directory | Why::Fifo | Why::Special => Ok(LoginSide::Odd),
            Why::Outside | Why::Moved | Why::Failed(_) => Err(refused).context("cannot read the sandbox's `auth.json`"),
        }
    }

    /// The host's side. A symlink is followed: it is the user's own (dotfiles).
    fn host(home: &Path) -> Result<LoginSide> {
        let path = home.join("auth.json");
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = match fs::File::options().read(true).custom_flags(nonblock).open(&path) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(LoginSide::Missing),
            file => file.with_context(|| format!("cannot read `{}`", path.display()))?,
        };
        if !file.metadata()?.is_file() {
            return Ok(LoginSide::Odd);
        }
        let mut bytes = Vec::new();
        file.take(auth::MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(LoginSide::parse(bytes))
    }
}

/// Makes the logins of the host and of a sandbox the same: the newer tokens of the same account replace the older ones.
///
/// `record` is a file of ours that the container cannot reach; it keeps which login both sides had last. The private home
/// must exist. Where nothing changed this costs two small reads, so it can be called while a session runs; it waits a
/// few seconds at most for a Codex that is renewing its login. A host that has no login never gets one.
pub(crate) fn reconcile(host_home: &Path, private_home: &Path, record: &Path) -> Result<LoginOutcome> {
    let dir = Beneath::root(private_home)?;
    match (LoginSide::host(host_home)?, LoginSide::private(&dir)?) {
        (LoginSide::Missing, _) => return Ok(LoginOutcome::NoHostLogin(without_file(host_home))),
        (LoginSide::Login(host, _), LoginSide::Login(private, _)) if host.fingerprint() == private.fingerprint() => {
            if LoginRecord::read(record).is_none_or(|known| known.login != host.fingerprint()) {
                LoginRecord::write(record, &host)?;
            }
            return Ok(LoginOutcome::Same);
        }
        _ => {}
    }
    let lock = "auth.lock";
    // The sandbox's first: while an agent holds that one, we must not hold the host's.
    let Some(_private) = dir.lock(lock, WAIT).context("cannot lock the sandbox's login")? else {
        return Ok(LoginOutcome::Busy);
    };
    let Some(_host) = host_lock(&host_home.join(lock))? else { return Ok(LoginOutcome::Busy) };
    let (host, bytes) = match LoginSide::host(host_home)? {
        LoginSide::Login(auth, bytes) => (auth, bytes),
        LoginSide::Missing => return Ok(LoginOutcome::NoHostLogin(without_file(host_home))),
        LoginSide::Odd | LoginSide::Unreadable => {
            return Ok(LoginOutcome::Refused("the host's `auth.json` is not a file that Codex writes"));
        }
    };
    let private = match LoginSide::private(&dir)? {
        LoginSide::Login(auth, _) => Some(auth),
        LoginSide::Missing | LoginSide::Odd => None,
        LoginSide::Unreadable => {
            return Ok(LoginOutcome::Refused(
                "the sandbox's `auth.json` is not a file that Codex writes; run `codex logout` inside to get the host's login",
            ));
        }
    };
    let outcome = decide(&host, private.as_ref(), LoginRecord::read(record).as_ref(), SystemTime::now());
    match (&outcome, &private) {
        (LoginOutcome::Given | LoginOutcome::ToSandbox, _) => {
            dir.write("auth.json", &bytes, 0o600).context("cannot give the login to the sandbox")?;
            LoginRecord::write(record, &host)?;
        }
        (LoginOutcome::ToHost, Some(private)) => {
            if !to_host(host_home, &host.renewed_by(private))? {
                return Ok(LoginOutcome::Busy);
            }
            LoginRecord::write(record, private)?;
        }
        _ => {}
    }
    Ok(outcome)
}

fn host_lock(path: &Path) -> Result<Option<Lock>> {
    let mut options = fs::File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).and_then(|file| lock_fd(file, WAIT)).with_context(|| format!("cannot lock `{}`", path.display()))
}

/// Replaces the file that the host's `auth.json` leads to. `false` where a Codex holds its lock for all of [`WAIT`].
fn to_host(home: &Path, text: &str) -> Result<bool> {
    let target = home.join("auth.json").canonicalize().context("the host's `auth.json` was removed meanwhile")?;
    let Some(_lock) = host_lock(&target.with_added_extension("lock"))? else { return Ok(false) };
    exec::write_file(&target, text.as_bytes(), 0o600)?;
    Ok(true)
}

/// What kind of login the host has, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostLogin {
    /// A ChatGPT account, in a file.
    ChatGpt,
    /// An API key, in a file.
    ApiKey,
    /// A file that is not a login in a known format, or cannot be read.
    Odd,
    /// It lies in a keyring, which a container cannot reach.
    Keyring,
    None,
}

/// Which login the host's Codex home has.
pub(crate) fn of_host(home: &Path) -> HostLogin {
    match LoginSide::host(home) {
        Ok(LoginSide::Login(auth, _)) => match auth.kind {
            AuthKind::ChatGpt => HostLogin::ChatGpt,
            AuthKind::ApiKey => HostLogin::ApiKey,
            AuthKind::Other => HostLogin::Odd,
        },
        Ok(LoginSide::Missing) if in_keyring(home) => HostLogin::Keyring,
        Ok(LoginSide::Missing) => HostLogin::None,
        Ok(LoginSide::Odd | LoginSide::Unreadable) | Err(_) => HostLogin::Odd,
    }
}

fn in_keyring(host_home: &Path) -> bool {
    let text = fs::read_to_string(host_home.join("config.toml")).unwrap_or_default();
    let config = text.parse::<toml_edit::DocumentMut>().unwrap_or_default();
    let store = config.get("cli_auth_credentials_store").and_then(toml_edit::Item::as_str);
    matches!(store, Some("keyring" | "auto"))
}

/// Where the login of a host without `auth.json` may be.
fn without_file(host_home: &Path) -> &'static str {
    if in_keyring(host_home) {
        "the host keeps its own in a keyring, which a container cannot reach; `codex login --device-auth` inside"
    } else {
        "the host has none; `codex login` on the host, or `codex login --device-auth` inside"
    }
}

/// Decides what to do. Pure.
fn decide(host: &Auth, private: Option<&Auth>, record: Option<&LoginRecord>, now: SystemTime) -> LoginOutcome {
    let Some(private) = private else {
        return LoginOutcome::Given;
    };
    if host.fingerprint() == private.fingerprint() {
        return LoginOutcome::Same;
    }
    if record.is_some_and(|record| record.login == private.fingerprint()) {
        // The sandbox still has the login that it was given, so the user has changed the host's.
        return LoginOutcome::ToSandbox;
    }
    match (host.kind, private.kind) {
        (_, AuthKind::ApiKey) => return LoginOutcome::Own("an API key"),
        (_, AuthKind::Other) => return LoginOutcome::Own("of another kind"),
        (AuthKind::ApiKey | AuthKind::Other, AuthKind::ChatGpt) => return LoginOutcome::Own("a ChatGPT account"),
        (AuthKind::ChatGpt, AuthKind::ChatGpt) => {}
    }
    let session = private.session();
    // The sandbox has renewed the login that it was given, and the user has signed in again on the host.
    let given =
        session.is_some() && session != host.session() && record.is_some_and(|record| record.session == session);
    let apart = if host.account() != private.account() {
        Some("another account")
    } else if session.is_some() && host.session().is_some() && session != host.session() {
        Some("the same account, signed in inside")
    } else {
        None
    };
    match apart {
        Some(_) if given => return LoginOutcome::ToSandbox,
        Some(why) => return LoginOutcome::Own(why),
        None if !private.same_claims(host) => {
            return LoginOutcome::Refused("the sandbox's tokens are not of the host's user");
        }
        None => {}
    }
    match (host.refreshed(), private.refreshed()) {
        (_, Some(private)) if private > now + SKEW => {
            LoginOutcome::Refused("the sandbox's login is dated in the future")
        }
        (Some(host), Some(private)) if private > host => LoginOutcome::ToHost,
        (Some(host), Some(private)) if private < host => LoginOutcome::ToSandbox,
        _ => LoginOutcome::Refused("it cannot be told which login is newer"),
    }
}

/// Looks for signs that the login cannot be renewed any more. To be called after a session that began at `since`, before
/// [`reconcile`].
///
/// Codex leaves no mark when the server refuses a token (seen with 0.169.0: `auth.json` stays as it was, and no log in
/// the home tells), so this compares the two files and the record. A session without a network looks the same.
pub(crate) fn burnt(host_home: &Path, private_home: &Path, record: &Path, since: SystemTime) -> Result<Option<Burnt>> {
    let dir = Beneath::root(private_home)?;
    let LoginSide::Login(private, _) = LoginSide::private(&dir)? else {
        return Ok(None);
    };
    if let (LoginSide::Login(host, _), Some(record)) = (LoginSide::host(host_home)?, LoginRecord::read(record)) {
        let changed = |side: &Auth| side.fingerprint() != record.login;
        let both = changed(&host) && changed(&private) && host.fingerprint() != private.fingerprint();
        let one_chain = host.session().is_some() && host.session() == private.session();
        if both && one_chain && host.account() == private.account() {
            return Ok(Some(Burnt::Forked));
        }
        if host.fingerprint() != private.fingerprint() && !changed(&private) {
            // The host has renewed it, and `reconcile` gives the new tokens to the sandbox.
            return Ok(None);
        }
    }
    Ok(private.ends().is_some_and(|end| end < since).then_some(Burnt::NotRenewed))
}

#[cfg(test)]
mod tests;
