//! The format of Codex's `auth.json`, as 0.169.0 writes it. No function and no error here shows a token.

use crate::fingerprint;
use serde_json::{Map, Value};
use std::time::{Duration, SystemTime};

/// The largest `auth.json` that is read. A real one has about 5 kB.
pub(super) const MOST_BYTES: u64 = 64 << 10;

/// The claim in which OpenAI's tokens carry the account.
const CLAIM: &str = "https://api.openai.com/auth";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthKind {
    /// A ChatGPT account: its tokens are renewed, and each refresh token can be used once.
    ChatGpt,
    ApiKey,
    /// Anything else, which another version of Codex may know. It is never copied to the host.
    Other,
}

/// A login. It has no `Debug`, because it holds tokens.
pub(super) struct Auth {
    pub(super) kind: AuthKind,
    value: Map<String, Value>,
}

impl Auth {
    /// Reads the text of an `auth.json`. `None` where it is too large or not a JSON object.
    pub(super) fn parse(bytes: &[u8]) -> Option<Auth> {
        let value = serde_json::from_slice(bytes).ok().filter(|_| bytes.len() as u64 <= MOST_BYTES)?;
        Some(Auth { kind: kind(&value), value })
    }

    fn token(&self, name: &str) -> &str {
        let token = self.value.get("tokens").and_then(|tokens| tokens.get(name));
        token.and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn account(&self) -> &str {
        self.token("account_id")
    }

    /// When the tokens were last renewed.
    pub(super) fn refreshed(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(self.value.get("last_refresh")?.as_str()?).ok()
    }

    /// When the access token expires.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        let seconds = claims(self.token("access_token"))?.get("exp")?.as_u64()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// A fingerprint that changes at each renewal and at each new sign-in.
    pub(super) fn fingerprint(&self) -> String {
        match self.kind {
            AuthKind::ChatGpt => fingerprint::of(["chatgpt", self.token("refresh_token")]),
            AuthKind::ApiKey | AuthKind::Other => {
                fingerprint::of(["other", &Value::Object(self.value.clone()).to_string()])
            }
        }
    }

    /// A fingerprint of the sign-in that the tokens come from: a renewal keeps it, a new sign-in changes it.
    pub(super) fn session(&self) -> Option<String> {
        let claims = claims(self.token("access_token"))?;
        Some(fingerprint::of([claims.get("session_id")?.as_str()?]))
    }

    /// Whether the tokens name the same account and user as those of `host`, wherever those name one.
    pub(super) fn same_claims(&self, host: &Auth) -> bool {
        let named = |auth: &Auth, token: &str, key: &str| {
            let claim = claims(auth.token(token))?;
            Some(claim.get(CLAIM)?.get(key)?.as_str()?.to_owned())
        };
        ["id_token", "access_token"].iter().all(|token| {
            ["chatgpt_account_id", "chatgpt_user_id", "user_id"].iter().all(|key| {
                let expected = named(host, token, key);
                expected.is_none() || expected == named(self, token, key)
            })
        })
    }

    /// The text of this login with the tokens of a newer one and the time of their renewal, and nothing else from it.
    pub(super) fn renewed_by(&self, newer: &Auth) -> String {
        let mut value = self.value.clone();
        for key in ["tokens", "last_refresh"] {
            if let Some(new) = newer.value.get(key) {
                value.insert(key.into(), new.clone());
            }
        }
        format!("{:#}", Value::Object(value))
    }
}

fn kind(value: &Map<String, Value>) -> AuthKind {
    const KNOWN: [&str; 4] = ["auth_mode", "OPENAI_API_KEY", "tokens", "last_refresh"];
    const TOKENS: [&str; 4] = ["id_token", "access_token", "refresh_token", "account_id"];
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let absent = |key: &str| value.get(key).is_none_or(Value::is_null);
    let mode = value.get("auth_mode").and_then(Value::as_str);
    let known = value.keys().all(|key| KNOWN.contains(&key.as_str()));
    let whole =
        |tokens: &Map<String, Value>| tokens.len() == 4 && TOKENS.iter().all(|key| tokens.get(*key).is_some_and(text));
    match value.get("tokens") {
        Some(Value::Object(tokens)) if known && whole(tokens) && matches!(mode, None | Some("chatgpt")) => {
            AuthKind::ChatGpt
        }
        _ if known && absent("tokens") && value.get("OPENAI_API_KEY").is_some_and(text) => AuthKind::ApiKey,
        _ => AuthKind::Other,
    }
}

/// The claims of a JWT. Its signature is not checked: that would need the network.
fn claims(token: &str) -> Option<Value> {
    serde_json::from_slice(&base64url(token.split('.').nth(1)?)?).ok()
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

/// For the fuzzer: an `auth.json`, and the claims of a token. A renewed login can be read again, and is the account's own.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    claims(&String::from_utf8_lossy(bytes));
    let Some(auth) = Auth::parse(bytes) else { return };
    _ = (auth.account(), auth.refreshed(), auth.ends(), auth.fingerprint(), auth.session());
    assert!(auth.same_claims(&auth));
    let renewed = Auth::parse(auth.renewed_by(&auth).as_bytes());
    assert!(renewed.is_none_or(|renewed| renewed.kind == auth.kind && renewed.fingerprint() == auth.fingerprint()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_read() {
        assert_eq!(base64url("eyJhIjoiw7_Dvi1fIn0").unwrap(), "{\"a\":\"ÿþ-_\"}".as_bytes());
        assert_eq!(base64url("a+b"), None);
    }
}
