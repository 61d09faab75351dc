//! The login of a sandbox: a lease.
//!
//! The sandbox gets an access token and nothing to renew it with. The host's own Codex, which alone has the refresh token, is
//! asked for it (`ask`), at most once for all sandboxes (`kept`), and asked again while a session is waited for; the new one
//! takes the place of the old one inside (`inside`). Nothing is ever read from inside.

mod ask;
mod auth;
mod form;
mod inside;
mod judge;
mod kept;
mod outcome;
mod own;
mod probe;
mod record;
mod store;
mod token;

#[cfg(any(test, fuzzing))]
pub(crate) use auth::fuzz;

#[cfg(test)]
pub(crate) use ask::SERVER;
pub(crate) use ask::{Asker, Patience, server_said};
pub(crate) use form::Form;
pub(crate) use inside::{Held, InHome, give, held, note, note_shared, push};
pub(crate) use judge::Inside;
pub(crate) use kept::{Leases, RETRY, all_kept, lock_all};
pub(crate) use outcome::{FOREIGN, FromHost, Gift, Unsure, WHOLE, until};
pub(crate) use own::{OwnLogin, WITHHELD};
pub(crate) use record::WholeNote;
pub(crate) use store::HostCodex;
pub(crate) use token::Token;

use super::Codex;
use crate::context::Context;
use crate::error::host;
use crate::spec::words::Login;
use anyhow::{Context as _, Result};
use ask::CodexSays;
use auth::{AuthKind, HostFile};
use outcome::Nothing;
use std::path::Path;
use std::time::{Duration, SystemTime};
use store::Store;

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
    /// An administrator requires that no login lies in a file, as one in a sandbox does.
    Barred,
    None,
}

/// Which login the host's Codex has.
pub(crate) fn of_host(host: &HostCodex) -> HostLogin {
    let store = Store::of(host);
    match (store, HostFile::read(&host.home)) {
        _ if Store::no_file_may_be(host) => HostLogin::Barred,
        (Store::Keyring, _) => HostLogin::Keyring,
        (Store::Ephemeral, _) => HostLogin::None,
        (Store::File | Store::Auto, Ok(HostFile::Login(AuthKind::ChatGpt, _))) => HostLogin::ChatGpt,
        (Store::File | Store::Auto, Ok(HostFile::Login(AuthKind::ApiKey, _))) => HostLogin::ApiKey,
        (Store::Auto, Ok(HostFile::Missing)) => HostLogin::Keyring,
        (Store::File, Ok(HostFile::Missing)) => HostLogin::None,
        (Store::File | Store::Auto, Ok(HostFile::Login(AuthKind::Other, _) | HostFile::Odd) | Err(_)) => HostLogin::Odd,
    }
}

/// What the host has for a sandbox. Its Codex is asked where the lease that is kept is not good any more.
///
/// # Errors
/// This version of Codex leases nothing, or the state folder cannot be written.
pub(crate) fn from_host(
    cx: &Context,
    how: Login,
    host: &HostCodex,
    codex: &Codex,
    (kept, patience): (&Path, Patience<'_>),
) -> Result<FromHost> {
    let home = &host.home;
    let read = || HostFile::read(home).with_context(|| format!("cannot read `{}`", home.join("auth.json").display()));
    let leases = Leases::new(kept, host, Asker::new(cx, &codex.binary, home));
    let nothing = |why| {
        leases.forget()?;
        Ok(FromHost::Nothing(why))
    };
    let store = Store::of(host);
    match (how, store) {
        (Login::None, _) => Ok(FromHost::Nothing(Nothing::Setting)),
        (Login::Lease | Login::Full, _) if Store::no_file_may_be(host) => nothing(Nothing::Required),
        (Login::Full, Store::Keyring) => Ok(FromHost::Nothing(Nothing::FullInKeyring)),
        (Login::Full, Store::Ephemeral) => Ok(FromHost::Nothing(Nothing::NoLogin)),
        (Login::Full, Store::File | Store::Auto) => match read()? {
            HostFile::Login(AuthKind::ApiKey, bytes) => Ok(FromHost::Whole(Gift::ApiKey, bytes)),
            HostFile::Login(AuthKind::ChatGpt | AuthKind::Other, bytes) => Ok(FromHost::Whole(Gift::Full, bytes)),
            HostFile::Odd => Ok(FromHost::Nothing(Nothing::Odd)),
            HostFile::Missing if store.may_be_keyring() => Ok(FromHost::Nothing(Nothing::FullInKeyring)),
            HostFile::Missing => Ok(FromHost::Nothing(Nothing::NoLogin)),
        },
        (Login::Lease, Store::Ephemeral) => nothing(Nothing::NoLogin),
        // A file that lies there nevertheless is not what Codex uses.
        (Login::Lease, Store::Keyring) => lease(cx, codex, (store, host), &leases, patience),
        (Login::Lease, Store::File | Store::Auto) => match read()? {
            HostFile::Login(AuthKind::ApiKey, bytes) => {
                leases.forget()?;
                Ok(FromHost::Whole(Gift::ApiKey, bytes))
            }
            HostFile::Odd => nothing(Nothing::Odd),
            HostFile::Missing if !store.may_be_keyring() => nothing(Nothing::NoLogin),
            HostFile::Missing | HostFile::Login(AuthKind::ChatGpt | AuthKind::Other, _) => {
                lease(cx, codex, (store, host), &leases, patience)
            }
        },
    }
}

/// In which form this version of Codex takes a lease.
///
/// # Errors
/// It takes none.
pub(crate) fn form(cx: &Context, binary: &Path, version: &str) -> Result<Form> {
    probe::of(cx, binary, version)
}

fn lease(
    cx: &Context,
    codex: &Codex,
    (store, from): (Store, &HostCodex),
    leases: &Leases,
    patience: Patience<'_>,
) -> Result<FromHost> {
    Ok(match leases.get(Duration::ZERO, patience)? {
        CodexSays::Token(token) if token.left(SystemTime::now()).is_zero() => {
            FromHost::Unsure(Unsure::Ended(token.ends()))
        }
        CodexSays::Token(token) => FromHost::Lease(token, probe::of(cx, &codex.binary, &codex.version)?),
        CodexSays::Dead => FromHost::Unsure(Unsure::Dead),
        CodexSays::OtherProvider => FromHost::Unsure(Unsure::OtherProvider),
        CodexSays::Silent(why) => FromHost::Unsure(Unsure::Silent(why)),
        CodexSays::NoLogin if store.may_be_keyring() => FromHost::Nothing(Nothing::NoneInKeyring),
        CodexSays::NoLogin => FromHost::Nothing(Nothing::NoLogin),
        CodexSays::ApiKey if store == Store::Keyring || matches!(HostFile::read(&from.home), Ok(HostFile::Missing)) => {
            FromHost::Nothing(Nothing::KeyInKeyring)
        }
        CodexSays::ApiKey => FromHost::Nothing(Nothing::KeyOfAnotherForm),
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

/// Asks for a newer lease.
///
/// # Errors
/// Codex cannot be started, or the state folder cannot be written.
pub(crate) fn renew(leases: &Leases, patience: Patience<'_>) -> Result<Renewal> {
    Ok(match leases.get(RETRY, patience)? {
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
pub(crate) mod tests;
