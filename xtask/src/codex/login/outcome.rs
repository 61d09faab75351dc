//! What happened to a login, as one line for the user.

use std::fmt;

/// What `reconcile` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginOutcome {
    /// Both sides have the same login.
    Same,
    /// The host's login was copied to a sandbox that had none.
    Given,
    /// The host's newer login replaced the sandbox's.
    ToSandbox,
    /// The token that Codex renewed in the sandbox replaced the host's.
    ToHost,
    /// The sandbox has a login of its own, of this kind: nothing is copied.
    Own(&'static str),
    /// The host has no login in a file: nothing is copied. Says where it may be instead.
    NoHostLogin(&'static str),
    /// The file of one side cannot be used, for this reason: nothing is copied.
    Refused(&'static str),
    /// A Codex held the lock of a login all the time: nothing is copied yet.
    Busy,
}

impl fmt::Display for LoginOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoginOutcome::Same => f.write_str("login: the same on the host and in the sandbox"),
            LoginOutcome::Given => f.write_str("login: the host's was copied to the sandbox"),
            LoginOutcome::ToSandbox => f.write_str("login: the host's newer one was copied to the sandbox"),
            LoginOutcome::ToHost => {
                f.write_str("login: renewed in the sandbox, and the new tokens were copied to the host")
            }
            LoginOutcome::Own(why) => write!(f, "login: the sandbox has one of its own ({why}), nothing is copied"),
            LoginOutcome::NoHostLogin(why) => write!(f, "login: {why}"),
            LoginOutcome::Refused(why) => write!(f, "login: nothing is copied, because {why}"),
            LoginOutcome::Busy => f.write_str("login: Codex is renewing it right now, nothing is copied yet"),
        }
    }
}

/// Signs that a login is burnt: it cannot be renewed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Burnt {
    /// The sandbox's access token had ended before the session began, and the session did not renew it.
    NotRenewed,
    /// Host and sandbox both renewed the same token: the server may have taken that for theft and revoked both logins.
    Forked,
}

impl fmt::Display for Burnt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Burnt::NotRenewed => {
                "login: the sandbox's has ended and was not renewed; if Codex asked to sign in again, \
                 run `codex login` on the host and enter again"
            }
            Burnt::Forked => {
                "login: host and sandbox both renewed the same token, and the newer one is kept; if Codex asks to sign \
                 in again, run `codex login` on the host and enter again"
            }
        })
    }
}
