//! An access token: what it says of itself. Pure. Nothing here shows it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::time::{Duration, SystemTime};

/// The largest token that is read. A real one has about 2 kB.
const MOST_BYTES: usize = 16 << 10;

/// The claim in which OpenAI's tokens carry the account.
const CLAIM: &str = "https://api.openai.com/auth";

/// The last second of the year 9999: RFC 3339 has no form for a later one, so that it could not be shown.
pub(super) const LAST: u64 = 253_402_300_799;

/// With so little life left the host is asked to renew it. Codex itself renews one that has less than five minutes, whoever
/// asks, and then a second request would renew it twice.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// An access token of a ChatGPT account, with what its own claims say. Whoever holds it can use the account until it ends,
/// and cannot renew it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Token {
    text: String,
    ends: SystemTime,
    renewed_before: Duration,
    account: String,
}

impl Token {
    /// Reads a JWT. Its signature is not checked: that is the server's business, and nothing is concluded from the claims but
    /// when the host's own Codex is asked again.
    pub(crate) fn parse(text: &str) -> Option<Token> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
        let [_, claims, _] = text.split('.').collect::<Vec<_>>()[..] else { return None };
        if text.len() > MOST_BYTES || !text.chars().all(plain) {
            return None;
        }
        let claims: Value = serde_json::from_slice(&base64url(claims)?).ok()?;
        let seconds = |name: &str| {
            let claim = claims.get(name)?;
            // RFC 7519: a number, which need not be a whole one.
            claim.as_u64().or_else(|| claim.as_f64().filter(|n| (0.0..1e15).contains(n)).map(|n| n as u64))
        };
        let ends = seconds("exp")?;
        // A token with a short life is renewed after half of it, or it would be renewed all the time.
        let life = seconds("iat").and_then(|begun| ends.checked_sub(begun).filter(|life| *life > 0));
        let life = life.map_or(Duration::MAX, Duration::from_secs);
        Some(Token {
            text: text.to_owned(),
            ends: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(ends)).filter(|_| ends <= LAST)?,
            renewed_before: HOUR.min(life / 2),
            account: claims.get(CLAIM)?.get("chatgpt_account_id")?.as_str()?.to_owned(),
        })
    }

    /// The token itself: for the file in the sandbox and the kept lease, and nothing else.
    pub(super) fn secret(&self) -> &str {
        &self.text
    }

    pub(crate) fn ends(&self) -> SystemTime {
        self.ends
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    pub(crate) fn left(&self, now: SystemTime) -> Duration {
        self.ends.duration_since(now).unwrap_or_default()
    }

    /// Whether it is time to renew it.
    pub(crate) fn is_late(&self, now: SystemTime) -> bool {
        self.left(now) < self.renewed_before
    }
}

impl TryFrom<String> for Token {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Token, &'static str> {
        Token::parse(&text).ok_or("no access token")
    }
}

impl From<Token> for String {
    fn from(token: Token) -> String {
        token.text
    }
}

/// Without the token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an access token until {}", humantime::format_rfc3339_seconds(self.ends))
    }
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

/// The other way round, for a token that is made up to try something.
pub(super) fn unsigned(claims: &Value) -> String {
    let mut text = String::new();
    for chunk in claims.to_string().as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            text.extend(alphabet.get((bits >> (18 - 6 * i) & 63) as usize).map(|c| char::from(*c)));
        }
    }
    // `{"alg":"none"}`
    format!("eyJhbGciOiJub25lIn0.{text}.sig")
}

/// The claims of a made-up token: for an account that nobody has.
pub(super) fn made_up(begun: u64, ends: u64, name: &str) -> Value {
    let who = serde_json::json!({
        "chatgpt_account_id": "account", "chatgpt_plan_type": "pro", "chatgpt_user_id": "user", "user_id": "user",
    });
    serde_json::json!({"iat": begun, "exp": ends, "jti": name, "email": "nobody@example.com", CLAIM: who})
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_says_when_it_ends_and_is_renewed_in_time() {
        let token = Token::parse(&unsigned(&made_up(0, 864_000, "one"))).unwrap();
        assert_eq!((token.ends(), token.account()), (at(864_000), "account"));
        assert!(!token.is_late(at(864_000 - 3600)) && token.is_late(at(864_000 - 3599)) && token.is_late(at(900_000)));
        assert_eq!((token.left(at(863_990)).as_secs(), token.left(at(900_000)).as_secs()), (10, 0));
        let short = Token::parse(&unsigned(&made_up(1000, 1600, "short"))).unwrap();
        assert!(!short.is_late(at(1299)) && short.is_late(at(1301)));
        // One that says nothing of use about its beginning.
        for begun in [5000, 9000] {
            let odd = Token::parse(&unsigned(&made_up(begun, 5000, "odd"))).unwrap();
            assert!(odd.is_late(at(1401)) && odd.is_late(at(6000)), "{begun}");
        }
    }

    #[test]
    fn what_is_no_token_is_not_taken_for_one() {
        let auth = json!({"chatgpt_account_id": "a"});
        let token = |claims: &Value| Token::parse(&unsigned(claims));
        assert!(token(&json!({"exp": 10, CLAIM: auth})).is_some());
        assert!(token(&json!({"exp": 10.5, CLAIM: auth})).is_some());
        for claims in [
            json!({CLAIM: auth}),
            json!({"exp": "10", CLAIM: auth}),
            json!({"exp": -1, CLAIM: auth}),
            json!({"exp": 1e300, CLAIM: auth}),
            json!({"exp": u64::MAX, CLAIM: auth}),
            json!({"exp": LAST + 1, CLAIM: auth}),
            json!({"exp": 10}),
            json!({"exp": 10, CLAIM: {"chatgpt_account_id": 7}}),
            json!([]),
        ] {
            assert!(token(&claims).is_none(), "{claims}");
        }
        let long = format!("a.{}.c", "a".repeat(20_000));
        for text in ["", "sk-proj-123", "a.b.c", "a.b", "a.e30.c.d", "a.e30\n.c", &long] {
            assert!(Token::parse(text).is_none(), "{text:.20}");
        }
    }

    #[test]
    fn base64url_is_read_and_written() {
        assert_eq!(base64url("eyJhIjoiw7_Dvi1fIn0").unwrap(), "{\"a\":\"ÿþ-_\"}".as_bytes());
        assert_eq!(base64url("a+b"), None);
        for text in ["", "a", "ab", "abc", "~~~?"] {
            let token = unsigned(&json!(text));
            assert_eq!(base64url(token.split('.').nth(1).unwrap()).unwrap(), json!(text).to_string().as_bytes());
        }
    }

    #[test]
    fn no_form_of_it_shows_it() {
        let text = unsigned(&made_up(0, 864_000, "one"));
        let token = Token::parse(&text).unwrap();
        assert!(!format!("{token:?}").contains("eyJ"));
        let kept = serde_json::to_string(&token).unwrap();
        assert_eq!(serde_json::from_str::<Token>(&kept).unwrap(), token);
        assert!(!serde_json::from_str::<Token>("\"eyJ.secret.x\"").unwrap_err().to_string().contains("secret"));
    }
}
