//! What the host has of its login for a sandbox, and what became of it, as one line for the user.

use super::form::Form;
use super::token::{LAST, Token};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, SystemTime};

/// What the host has for a sandbox.
pub(crate) enum FromHost {
    Lease(Token, Form),
    /// The host's file: an API key, or whatever it holds (`login: full`).
    Whole(Gift, Vec<u8>),
    /// It gets none, and what this tool gave it is removed.
    Nothing(Nothing),
    /// It cannot be told: what it has stays.
    Unsure(Unsure),
    /// Nobody asked.
    Unasked,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Gift {
    /// An access token alone.
    Lease,
    ApiKey,
    /// The host's file, with its refresh token.
    Full,
}

/// Why a sandbox gets no login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// `login: none`.
    Setting,
    NoLogin,
    /// Codex looks into a keyring, and found nothing there or could not open it.
    NoneInKeyring,
    /// An API key in a keyring.
    KeyInKeyring,
    /// An API key in a file of a form that this tool does not know.
    KeyOfAnotherForm,
    /// `login: full`, and the login is in a keyring.
    FullInKeyring,
    /// An administrator requires that no login lies in a file.
    Required,
    /// Another kind of login than a ChatGPT account or an API key.
    OtherKind,
    /// The host's `auth.json` is no file that Codex writes.
    Odd,
}

/// Why it is not known what the host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsure {
    /// The host's refresh token is of no use any more.
    Dead,
    OtherProvider,
    /// The access token has ended and was not renewed.
    Ended(SystemTime),
    /// Codex did not answer.
    Silent(&'static str),
}

/// What `give` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoginOutcome {
    pub(crate) has: Has,
    /// Whether what this tool did not put there was taken away.
    pub(crate) cleared: bool,
}

/// What the sandbox has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Has {
    /// Nothing to tell.
    Same,
    Leased(SystemTime),
    Whole(Gift),
    /// The sandbox has a login of its own.
    Own,
    /// It has a file that this tool did not write, and something is alive inside.
    Stranger,
    /// It has none of the host's.
    Nothing(Nothing),
    /// What it had stays.
    Unsure(Unsure),
}

impl LoginOutcome {
    pub(super) fn same() -> LoginOutcome {
        LoginOutcome { has: Has::Same, cleared: false }
    }

    pub(super) fn stranger() -> LoginOutcome {
        LoginOutcome { has: Has::Stranger, cleared: false }
    }

    /// Where what lies there is the sandbox's own.
    pub(super) fn own(host: &FromHost) -> LoginOutcome {
        let has = match host {
            FromHost::Unasked => Has::Same,
            FromHost::Nothing(_) | FromHost::Lease(..) | FromHost::Whole(..) | FromHost::Unsure(_) => Has::Own,
        };
        LoginOutcome { has, cleared: false }
    }

    pub(super) fn of(host: &FromHost, cleared: bool) -> LoginOutcome {
        let has = match host {
            FromHost::Unasked => Has::Same,
            FromHost::Lease(token, _) => Has::Leased(token.ends()),
            FromHost::Whole(what, _) => Has::Whole(*what),
            FromHost::Nothing(why) => Has::Nothing(*why),
            FromHost::Unsure(why) => Has::Unsure(*why),
        };
        LoginOutcome { has, cleared }
    }

    /// What the user is told, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let cleared = self.cleared.then(|| format!("login: {CLEARED}"));
        let has = (self.has != Has::Same).then(|| self.has.to_string());
        cleared.into_iter().chain(has).collect()
    }
}

const CLEARED: &str = "the `auth.json` that lay inside was removed, which this tool did not write as it was, nor a login that it \
     started; `cargo xtask sandbox -- login --device-auth` makes one of the sandbox's own, which stays";

/// Of a login of the sandbox's own.
const OWN: &str = "the sandbox has one of its own, which stays as it is, and this tool cannot say what is in it; \
     `cargo xtask sandbox -- logout` and the next entry give it yours";

/// Of what nobody vouches for.
pub(crate) const FOREIGN: &str =
    "an `auth.json` lies in the sandbox that this tool did not write, or that was changed since";

/// Of a sandbox that had the host's refresh token within its reach.
pub(crate) const WHOLE: &str = "all of your login was shown to this sandbox once (`login: full`, or `codex_home: shared`), so \
     that a copy of it may lie in any file that an agent has written";

/// `2026-12-08 14:02 UTC (in 239 h)`. Pure.
pub(crate) fn until(ends: SystemTime, now: SystemTime) -> String {
    // What RFC 3339 has no form for is shown as the nearest that it has.
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST);
    let text = humantime::format_rfc3339_seconds(ends.clamp(SystemTime::UNIX_EPOCH, last)).to_string();
    let text = text.get(..16).unwrap_or_default().replace('T', " ");
    match ends.duration_since(now).unwrap_or_default() {
        Duration::ZERO => format!("{text} UTC (it has ended)"),
        left if left < Duration::from_secs(3600) => format!("{text} UTC (in {} min)", left.as_secs() / 60),
        left => format!("{text} UTC (in {} h)", left.as_secs() / 3600),
    }
}

impl fmt::Display for Has {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Has::Same => f.write_str("login: as it was"),
            Has::Leased(ends) => {
                let until = until(*ends, SystemTime::now());
                write!(f, "login: the sandbox has an access token of yours, without the refresh token, until {until}")
            }
            Has::Whole(what) => write!(f, "login: {}", whole(*what)),
            Has::Own => write!(f, "login: {OWN}"),
            Has::Stranger => f.write_str(
                "login: an `auth.json` lies inside that this tool did not write: it stays as long as anything is alive there; \
                 `cargo xtask down` and the next entry remove it",
            ),
            Has::Nothing(why) => write!(f, "login: {}", nothing(*why)),
            Has::Unsure(why) => write!(f, "login: {why}"),
        }
    }
}

fn whole(what: Gift) -> &'static str {
    match what {
        Gift::Lease => "an access token of yours",
        Gift::ApiKey => "your API key goes in as it is: the agent can read it, and it does not expire",
        Gift::Full => {
            "yours goes in whole, with its refresh token (`login: full`): once Codex has renewed it inside, yours on the host \
             is of no use any more, and `codex login` there makes a new one"
        }
    }
}

fn nothing(why: Nothing) -> &'static str {
    match why {
        Nothing::Setting => "none of yours goes in (`login: none`)",
        Nothing::NoLogin => {
            "the host has none; `codex login` on the host, or `cargo xtask sandbox -- login --device-auth`"
        }
        Nothing::NoneInKeyring => {
            "Codex finds none in the host's keyring, or cannot open it (no secret service in this session?); `codex login` on \
             the host, or `cargo xtask sandbox -- login --device-auth`"
        }
        Nothing::KeyInKeyring => {
            "the host's is an API key in a keyring, which is not handed over; name its variable under `env` in the settings"
        }
        Nothing::KeyOfAnotherForm => {
            "the host's is an API key in an `auth.json` of a form that this tool does not know, which is not handed over; `codex \
             login --with-api-key` on the host writes it anew, or name its variable under `env` in the settings"
        }
        Nothing::FullInKeyring => {
            "the host keeps its own in a keyring, out of which `login: full` cannot take it; use `login: lease`, or `cargo \
             xtask sandbox -- login --device-auth`"
        }
        Nothing::Required => {
            "`/etc/codex/requirements.toml` allows no login in a file, and a container has no keyring: yours does not go in; name \
             the variable of an API key under `env` in the settings"
        }
        Nothing::OtherKind => {
            "the host's is neither a ChatGPT account nor an API key, and does not go in; `cargo xtask sandbox -- \
             login --device-auth` makes one of the sandbox's own"
        }
        Nothing::Odd => {
            "the host's `auth.json` is not a file that Codex writes, and does not go in; `codex login` on the host, or `cargo \
             xtask sandbox -- login --device-auth`"
        }
    }
}

impl fmt::Display for Unsure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsure::Dead => {
                f.write_str("the host's cannot be renewed any more: run `codex login` on the host and enter again")
            }
            Unsure::OtherProvider => {
                f.write_str("the host's Codex says that its provider needs none, so that no access token can be leased")
            }
            Unsure::Ended(ends) => {
                let until = until(*ends, SystemTime::now());
                write!(
                    f,
                    "the host's access token is of {until} and was not renewed: is the network there? If Codex on the host \
                     asks to sign in, run `codex login` there"
                )
            }
            Unsure::Silent(why) => {
                write!(
                    f,
                    "the host's Codex was asked for an access token, and {why}; the sandbox keeps the one that it has"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_lease_is_a_time_and_a_span() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(until(at(864_000), at(0)), "1970-01-11 00:00 UTC (in 240 h)");
        assert_eq!(until(at(3599), at(0)), "1970-01-01 00:59 UTC (in 59 min)");
        assert_eq!(until(at(10), at(10)), "1970-01-01 00:00 UTC (it has ended)");
        assert!(until(at(LAST + 1), at(0)).starts_with("9999-12-31 23:59 UTC"));
        assert!(until(at(0) - Duration::from_secs(1), at(0)).starts_with("1970-01-01 00:00 UTC"));
    }

    #[test]
    fn each_state_has_a_line_of_its_own() {
        use Nothing::*;
        let keys = [KeyInKeyring, KeyOfAnotherForm];
        let nothing = [Setting, NoLogin, NoneInKeyring, FullInKeyring, Required, OtherKind, Odd];
        let nothing = nothing.into_iter().chain(keys).map(Has::Nothing);
        let unsure =
            [Unsure::Dead, Unsure::OtherProvider, Unsure::Ended(SystemTime::UNIX_EPOCH), Unsure::Silent("slept")];
        let rest = [Has::Own, Has::Stranger, Has::Whole(Gift::ApiKey), Has::Whole(Gift::Full)];
        let all = nothing.chain(unsure.map(Has::Unsure)).chain(rest);
        let lines: std::collections::BTreeSet<String> = all.map(|has| has.to_string()).collect();
        assert_eq!(lines.len(), 9 + 4 + 4);
        // A login that this tool did not start inside does not stay.
        assert!(lines.iter().all(|line| !line.contains("`codex login --device-auth`")), "{lines:?}");
        assert!(Has::Unsure(Unsure::Dead).to_string().contains("run `codex login` on the host"));
    }
}
