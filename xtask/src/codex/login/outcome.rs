//! What became of the login of a sandbox, as one line for the user.

use super::inside::{FromHost, What};
use std::fmt;
use std::time::{Duration, SystemTime};

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
    /// `login: full`, and the login is in a keyring.
    FullInKeyring,
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
pub(crate) enum Outcome {
    /// Nothing to tell.
    Same,
    Leased(SystemTime),
    Whole(What),
    /// The sandbox has a login of its own.
    Own,
    /// It has none of the host's.
    Nothing(Nothing),
    /// What it had stays.
    Unsure(Unsure),
    /// As the fourth; and what an earlier version of this tool had put in was removed.
    Cleared(Unsure),
}

impl Outcome {
    pub(super) fn of(host: &FromHost, own: bool, earlier: bool) -> Outcome {
        match host {
            FromHost::Unasked => Outcome::Same,
            FromHost::Nothing(Nothing::Setting) if own => Outcome::Same,
            FromHost::Lease(..) | FromHost::Whole(..) | FromHost::Nothing(_) | FromHost::Unsure(_) if own => {
                Outcome::Own
            }
            FromHost::Lease(token, _) => Outcome::Leased(token.ends()),
            FromHost::Whole(what, _) => Outcome::Whole(*what),
            FromHost::Nothing(why) => Outcome::Nothing(*why),
            FromHost::Unsure(why) if earlier => Outcome::Cleared(*why),
            FromHost::Unsure(why) => Outcome::Unsure(*why),
        }
    }
}

/// `2026-12-08 14:02 UTC (in 239 h)`. Pure.
pub(crate) fn until(ends: SystemTime, now: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(ends).to_string();
    let text = text.get(..16).unwrap_or_default().replace('T', " ");
    match ends.duration_since(now).unwrap_or_default() {
        Duration::ZERO => format!("{text} UTC (it has ended)"),
        left if left < Duration::from_secs(3600) => format!("{text} UTC (in {} min)", left.as_secs() / 60),
        left => format!("{text} UTC (in {} h)", left.as_secs() / 3600),
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Same => f.write_str("login: as it was"),
            Outcome::Leased(ends) => {
                let until = until(*ends, SystemTime::now());
                write!(f, "login: the sandbox has an access token of yours, without the refresh token, until {until}")
            }
            Outcome::Whole(what) => write!(f, "login: {}", whole(*what)),
            Outcome::Own => f.write_str(
                "login: the sandbox has one of its own, which stays as it is; `cargo xtask sandbox -- logout` and the next \
                 entry give it yours",
            ),
            Outcome::Nothing(why) => write!(f, "login: {}", nothing(*why)),
            Outcome::Unsure(why) => write!(f, "login: {why}"),
            Outcome::Cleared(why) => {
                write!(f, "login: {why}; the copy that an earlier version of this tool had put in was removed")
            }
        }
    }
}

fn whole(what: What) -> &'static str {
    match what {
        What::Lease => "an access token of yours",
        What::ApiKey => "your API key goes in as it is: the agent can read it, and it has no end",
        What::Full => {
            "yours goes in whole, with its refresh token (`login: full`): once Codex has renewed it inside, yours on the host \
             is of no use any more, and `codex login` there makes a new one"
        }
    }
}

fn nothing(why: Nothing) -> &'static str {
    match why {
        Nothing::Setting => "none of yours goes in (`login: none`)",
        Nothing::NoLogin => "the host has none; `codex login` on the host, or `codex login --device-auth` inside",
        Nothing::NoneInKeyring => {
            "Codex finds none in the host's keyring, or cannot open it (no secret service in this session?); `codex login` on \
             the host, or `codex login --device-auth` inside"
        }
        Nothing::KeyInKeyring => {
            "the host's is an API key in a keyring, which is not handed over; name its variable under `env` in the settings"
        }
        Nothing::FullInKeyring => {
            "the host keeps its own in a keyring, out of which `login: full` cannot take it; use `login: lease`, or `codex \
             login --device-auth` inside"
        }
        Nothing::OtherKind => {
            "the host's is neither a ChatGPT account nor an API key, and does not go in; `codex login --device-auth` inside"
        }
        Nothing::Odd => {
            "the host's `auth.json` is not a file that Codex writes, and does not go in; `codex login` on the host, or `codex \
             login --device-auth` inside"
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
    }

    #[test]
    fn each_state_has_a_line_of_its_own() {
        use Nothing::*;
        let nothing =
            [Setting, NoLogin, NoneInKeyring, KeyInKeyring, FullInKeyring, OtherKind, Odd].map(Outcome::Nothing);
        let unsure =
            [Unsure::Dead, Unsure::OtherProvider, Unsure::Ended(SystemTime::UNIX_EPOCH), Unsure::Silent("slept")];
        let rest = [Outcome::Own, Outcome::Whole(What::ApiKey), Outcome::Whole(What::Full)];
        let all =
            nothing.into_iter().chain(unsure.map(Outcome::Unsure)).chain(unsure.map(Outcome::Cleared)).chain(rest);
        let lines: std::collections::BTreeSet<String> = all.map(|outcome| outcome.to_string()).collect();
        assert_eq!(lines.len(), 7 + 4 + 4 + 3);
        assert!(Outcome::Unsure(Unsure::Dead).to_string().contains("run `codex login` on the host"));
    }
}
