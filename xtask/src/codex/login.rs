//! The login of a sandbox: a lease.
//!
//! The sandbox gets an access token and nothing to renew it with. The host's own Codex, which alone has the refresh token, is
//! asked for it (`ask`), at most once for all sandboxes (`kept`), and asked again while a session is waited for; the new one
//! takes the place of the old one inside (`inside`). Nothing is ever read from inside.

mod ask;
mod auth;
mod form;
mod inside;
mod kept;
mod outcome;
mod probe;
mod token;

#[cfg(any(test, fuzzing))]
pub(crate) use auth::fuzz;

pub(crate) use ask::Asker;
pub(crate) use form::Form;
pub(crate) use inside::{InHome, give, held, push};
pub(crate) use kept::{Leases, RETRY};
pub(crate) use outcome::{FromHost, Gift, LoginOutcome, Unsure, until};
pub(crate) use token::Token;

use super::Codex;
use crate::context::Context;
use crate::error::host;
use crate::spec::words::Login;
use anyhow::{Context as _, Result};
use ask::CodexSays;
use auth::{AuthKind, HostFile};
use outcome::Nothing;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What kind of login the host has, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostLogin {
    /// A ChatGPT account, in a file.
    ChatGpt,
    /// An API key, in a file.
    ApiKey,
    /// A file that is not a login in a known format, or cannot be read.
    Odd,
    /// It lies in a keyring: only the host's Codex can take it from there.
    Keyring,
    None,
}

/// Which login the host's Codex home has.
pub(crate) fn of_host(home: &Path) -> HostLogin {
    match HostFile::read(home) {
        Ok(HostFile::Login(AuthKind::ChatGpt, _)) => HostLogin::ChatGpt,
        Ok(HostFile::Login(AuthKind::ApiKey, _)) => HostLogin::ApiKey,
        Ok(HostFile::Missing) if in_keyring(home) => HostLogin::Keyring,
        Ok(HostFile::Missing) => HostLogin::None,
        Ok(HostFile::Login(AuthKind::Other, _) | HostFile::Odd) | Err(_) => HostLogin::Odd,
    }
}

fn in_keyring(host_home: &Path) -> bool {
    let text = fs::read_to_string(host_home.join("config.toml")).unwrap_or_default();
    let config = text.parse::<toml_edit::DocumentMut>().unwrap_or_default();
    let store = config.get("cli_auth_credentials_store").and_then(toml_edit::Item::as_str);
    matches!(store, Some("keyring" | "auto"))
}

/// What the host has for a sandbox. Its Codex is asked where the lease that is kept is not good any more. `stop` says whether
/// the user wants it to end.
///
/// # Errors
/// This version of Codex leases nothing, or the state folder cannot be written.
pub(crate) fn from_host(
    cx: &Context,
    how: Login,
    home: &Path,
    codex: &Codex,
    (kept, stop): (&Path, &dyn Fn() -> bool),
) -> Result<FromHost> {
    let read = || HostFile::read(home).with_context(|| format!("cannot read `{}`", home.join("auth.json").display()));
    let leases = Leases::new(kept, home, Asker::new(cx, &codex.binary, home));
    let nothing = |why| {
        leases.forget()?;
        Ok(FromHost::Nothing(why))
    };
    match (how, read) {
        (Login::None, _) => Ok(FromHost::Nothing(Nothing::Setting)),
        (Login::Full, read) => match read()? {
            HostFile::Login(AuthKind::ApiKey, bytes) => Ok(FromHost::Whole(Gift::ApiKey, bytes)),
            HostFile::Login(AuthKind::ChatGpt | AuthKind::Other, bytes) => Ok(FromHost::Whole(Gift::Full, bytes)),
            HostFile::Odd => Ok(FromHost::Nothing(Nothing::Odd)),
            HostFile::Missing if in_keyring(home) => Ok(FromHost::Nothing(Nothing::FullInKeyring)),
            HostFile::Missing => Ok(FromHost::Nothing(Nothing::NoLogin)),
        },
        (Login::Lease, read) => match read()? {
            HostFile::Login(AuthKind::ApiKey, bytes) => {
                leases.forget()?;
                Ok(FromHost::Whole(Gift::ApiKey, bytes))
            }
            HostFile::Odd => nothing(Nothing::Odd),
            HostFile::Missing if !in_keyring(home) => nothing(Nothing::NoLogin),
            HostFile::Missing | HostFile::Login(AuthKind::ChatGpt | AuthKind::Other, _) => {
                lease(cx, codex, home, &leases, stop)
            }
        },
    }
}

fn lease(cx: &Context, codex: &Codex, home: &Path, leases: &Leases, stop: &dyn Fn() -> bool) -> Result<FromHost> {
    Ok(match leases.get(Duration::ZERO, stop)? {
        CodexSays::Token(token) if token.left(SystemTime::now()).is_zero() => {
            FromHost::Unsure(Unsure::Ended(token.ends()))
        }
        CodexSays::Token(token) => FromHost::Lease(token, probe::of(cx, &codex.binary, &codex.version)?),
        CodexSays::Dead => FromHost::Unsure(Unsure::Dead),
        CodexSays::OtherProvider => FromHost::Unsure(Unsure::OtherProvider),
        CodexSays::Silent(why) => FromHost::Unsure(Unsure::Silent(why)),
        CodexSays::NoLogin if in_keyring(home) => FromHost::Nothing(Nothing::NoneInKeyring),
        CodexSays::NoLogin => FromHost::Nothing(Nothing::NoLogin),
        CodexSays::ApiKey => FromHost::Nothing(Nothing::KeyInKeyring),
        CodexSays::OtherKind => FromHost::Nothing(Nothing::OtherKind),
        CodexSays::Unknown => {
            return Err(host(format!("Codex {} cannot be asked for an access token", codex.version))
                .hint("update Codex, or hand your login over whole with `login: full`, or none with `login: none`")
                .into());
        }
    })
}

/// What came of asking again while a session goes on.
pub(crate) enum Renewal {
    Lease(Token),
    /// There is no newer one, for this reason.
    Trouble(Unsure),
    /// The host has no such login any more: the next entry takes it from the sandbox.
    LoggedOut,
}

/// Asks for a newer lease. `stop` says whether nobody wants it any more.
///
/// # Errors
/// Codex cannot be started, or the state folder cannot be written.
pub(crate) fn renew(leases: &Leases, stop: impl Fn() -> bool) -> Result<Renewal> {
    Ok(match leases.get(RETRY, stop)? {
        CodexSays::Token(token) if token.left(SystemTime::now()).is_zero() => {
            Renewal::Trouble(Unsure::Ended(token.ends()))
        }
        CodexSays::Token(token) => Renewal::Lease(token),
        CodexSays::Dead => Renewal::Trouble(Unsure::Dead),
        CodexSays::OtherProvider => Renewal::Trouble(Unsure::OtherProvider),
        CodexSays::Silent(why) => Renewal::Trouble(Unsure::Silent(why)),
        CodexSays::Unknown => Renewal::Trouble(Unsure::Silent("it does not know the question")),
        CodexSays::NoLogin | CodexSays::ApiKey | CodexSays::OtherKind => Renewal::LoggedOut,
    })
}

#[cfg(test)]
mod tests;
