//! The login of Codex, between the host and the private home of a sandbox.
//!
//! A refresh token can be used once, so two copies of a login burn each other unless the newer one is handed over. What
//! crosses to the host is never a file of the sandbox: only the tokens and the time of their renewal, put into the
//! host's own login, and only where they name the same account, user and sign-in. Their signature cannot be checked
//! without the network, so an agent that forges tokens can make the host sign in again, but not as somebody else at once.
//!
//! Locks as Codex 0.169.0 takes them (traced): `flock` on `auth.lock` in the home, then on `auth.json.lock` beside the
//! file that `auth.json` leads to; that file is replaced by rename.

mod auth;
mod outcome;

pub use outcome::{Burnt, LoginOutcome};

use crate::beneath::{Beneath, Lock, Why, lock_fd};
use crate::exec;
use anyhow::{Context as _, Result};
use auth::{Auth, AuthKind};
use serde_json::{Value, json};
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long a Codex that is just renewing its login is waited for.
const WAIT: Duration = Duration::from_secs(2);

/// How far clocks may differ.
const SKEW: Duration = Duration::from_secs(300);

/// What was handed over last: fingerprints, no tokens.
struct LoginRecord {
    login: String,
    session: Option<String>,
}

impl LoginRecord {
    fn read(path: &Path) -> Option<LoginRecord> {
        let value: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        Some(LoginRecord {
            login: value.get("login")?.as_str()?.to_owned(),
            session: value.get("session").and_then(Value::as_str).map(str::to_owned),
        })
    }

    fn write(path: &Path, auth: &Auth) -> Result<()> {
        let value = json!({"login": auth.fingerprint(), "session": auth.session()});
        exec::write_file(path, value.to_string().as_bytes(), 0o600)
    }
}

/// What one side has.
enum Side {
    Missing,
    Login(Auth, Vec<u8>),
    /// Not a regular file, which Codex never makes.
    Odd,
    /// A file that is no login of a shape we know.
    Unreadable,
}

impl Side {
    fn parse(bytes: Vec<u8>) -> Side {
        match Auth::parse(&bytes) {
            Ok(auth) => Side::Login(auth, bytes),
            Err(_) => Side::Unreadable,
        }
    }

    /// The private side: nothing is followed, nothing blocks.
    fn private(dir: &Beneath) -> Result<Side> {
        let refused = match dir.read("auth.json", auth::MOST_BYTES) {
            Ok(found) => return Ok(found.map_or(Side::Missing, |(bytes, _)| Side::parse(bytes))),
            Err(refused) => refused,
        };
        match refused.why {
            Why::TooLarge(_) | Why::NotUtf8 => Ok(Side::Unreadable),
            Why::Symlink | Why::NoDirectory | Why::Directory | Why::Fifo | Why::Special => Ok(Side::Odd),
            Why::Outside | Why::Failed(_) => Err(refused).context("cannot read the sandbox's `auth.json`"),
        }
    }

    /// The host's side; a symlink is the user's own (dotfiles).
    fn host(home: &Path) -> Result<Side> {
        let path = home.join("auth.json");
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = match fs::File::options().read(true).custom_flags(nonblock).open(&path) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Side::Missing),
            file => file.with_context(|| format!("cannot read `{}`", path.display()))?,
        };
        if !file.metadata()?.is_file() {
            return Ok(Side::Odd);
        }
        let mut bytes = Vec::new();
        file.take(auth::MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(Side::parse(bytes))
    }
}

/// Brings the logins of the host and of a sandbox together: the newer token of the same account replaces the other.
///
/// `record` is a file of ours that the container cannot reach; it remembers what was handed over last. The private home
/// must exist. Cheap where nothing changed (two small reads), so it can be called while a session runs; it waits at
/// most some seconds for a Codex that is renewing. Never makes a login on a host that has none.
pub fn reconcile(host_home: &Path, private_home: &Path, record: &Path) -> Result<LoginOutcome> {
    let dir = Beneath::root(private_home)?;
    if let (Side::Login(host, _), Side::Login(private, _)) = (Side::host(host_home)?, Side::private(&dir)?)
        && host.fingerprint() == private.fingerprint()
    {
        if LoginRecord::read(record).is_none_or(|known| known.login != host.fingerprint()) {
            LoginRecord::write(record, &host)?;
        }
        return Ok(LoginOutcome::Same);
    }
    if matches!(Side::host(host_home)?, Side::Missing) {
        return Ok(LoginOutcome::NoHostLogin(without_file(host_home)));
    }
    let lock = "auth.lock";
    // The sandbox's first: an agent that holds it must not make us hold the host's meanwhile.
    let Some(_private) = dir.lock(lock, WAIT).context("cannot lock the sandbox's login")? else {
        return Ok(LoginOutcome::Busy);
    };
    let Some(_host) = host_lock(&host_home.join(lock))? else {
        return Ok(LoginOutcome::Busy);
    };
    let (host, bytes) = match Side::host(host_home)? {
        Side::Login(auth, bytes) => (auth, bytes),
        Side::Missing => return Ok(LoginOutcome::NoHostLogin(without_file(host_home))),
        Side::Odd | Side::Unreadable => {
            return Ok(LoginOutcome::Refused("the host's `auth.json` is not one of Codex's"));
        }
    };
    let private = match Side::private(&dir)? {
        Side::Login(auth, _) => Some(auth),
        Side::Missing | Side::Odd => None,
        Side::Unreadable => {
            return Ok(LoginOutcome::Refused(
                "the sandbox's `auth.json` is not one of Codex's; `codex logout` inside makes room for the host's",
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

/// Replaces the file that the host's `auth.json` leads to. `false` where Codex kept its lock.
fn to_host(home: &Path, text: &str) -> Result<bool> {
    let target = home.join("auth.json").canonicalize().context("the host's login went away")?;
    let mut lock = target.clone().into_os_string();
    lock.push(".lock");
    let Some(_lock) = host_lock(&PathBuf::from(lock))? else {
        return Ok(false);
    };
    exec::write_file(&target, text.as_bytes(), 0o600)?;
    Ok(true)
}

/// The login that the host has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostLogin {
    /// A ChatGPT account, in a file.
    ChatGpt,
    /// An API key, in a file.
    ApiKey,
    /// A file that is no login of a shape we know, or cannot be read.
    Odd,
    /// It lies in a keyring, which a container cannot reach.
    Keyring,
    /// None.
    None,
}

/// Looks what login the host's Codex home has. Shows nothing of it.
pub fn of_host(home: &Path) -> HostLogin {
    match Side::host(home) {
        Ok(Side::Login(auth, _)) => match auth.kind {
            AuthKind::ChatGpt => HostLogin::ChatGpt,
            AuthKind::ApiKey => HostLogin::ApiKey,
            AuthKind::Other => HostLogin::Odd,
        },
        Ok(Side::Missing) if in_keyring(home) => HostLogin::Keyring,
        Ok(Side::Missing) => HostLogin::None,
        Ok(Side::Odd | Side::Unreadable) | Err(_) => HostLogin::Odd,
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

/// What is to happen. Pure.
fn decide(host: &Auth, private: Option<&Auth>, record: Option<&LoginRecord>, now: SystemTime) -> LoginOutcome {
    let Some(private) = private else {
        return LoginOutcome::Given;
    };
    if host.fingerprint() == private.fingerprint() {
        return LoginOutcome::Same;
    }
    if record.is_some_and(|record| record.login == private.fingerprint()) {
        // The sandbox still has what it was given: whatever the host has now is the user's wish.
        return LoginOutcome::ToSandbox;
    }
    match (host.kind, private.kind) {
        (_, AuthKind::ApiKey) => return LoginOutcome::Own("an API key"),
        (_, AuthKind::Other) => return LoginOutcome::Own("of another kind"),
        (AuthKind::ApiKey | AuthKind::Other, AuthKind::ChatGpt) => return LoginOutcome::Own("a ChatGPT account"),
        (AuthKind::ChatGpt, AuthKind::ChatGpt) => {}
    }
    let session = private.session();
    // The sandbox renewed what it was given, and the user signed in anew on the host.
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

/// Looks for signs that the login is burnt. To be called after a session that began at `since`, before `reconcile`.
///
/// Codex leaves no mark when the server refuses a token (seen with 0.169.0: `auth.json` stays as it was, and no log
/// in the home tells), so this reads what the two files and the record say. A session without network looks the same.
pub fn burnt(host_home: &Path, private_home: &Path, record: &Path, since: SystemTime) -> Result<Option<Burnt>> {
    let dir = Beneath::root(private_home)?;
    let Side::Login(private, _) = Side::private(&dir)? else {
        return Ok(None);
    };
    if let (Side::Login(host, _), Some(record)) = (Side::host(host_home)?, LoginRecord::read(record)) {
        let changed = |side: &Auth| side.fingerprint() != record.login;
        let both = changed(&host) && changed(&private) && host.fingerprint() != private.fingerprint();
        let one_chain = host.session().is_some() && host.session() == private.session();
        if both && one_chain && host.account() == private.account() {
            return Ok(Some(Burnt::Forked));
        }
        if host.fingerprint() != private.fingerprint() && !changed(&private) {
            // The host has renewed it: the sandbox is given the new one at once.
            return Ok(None);
        }
    }
    Ok(private.ends().is_some_and(|end| end < since).then_some(Burnt::NotRenewed))
}

#[cfg(test)]
mod tests;
