//! The host's `auth.json`, as 0.169.0 writes it: what kind of login it is. No function and no error here shows a token.

use super::token::Token;
use crate::outside;
use serde_json::{Map, Value};
use std::io::ErrorKind;
use std::path::Path;

/// The largest `auth.json` that is read. A real one has about 5 kB.
const MOST_BYTES: u64 = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthKind {
    /// A ChatGPT account: its tokens are renewed, and each refresh token can be used once.
    ChatGpt,
    ApiKey,
    /// Anything else, which another version of Codex may know.
    Other,
}

/// The host's file. It has no `Debug`, because it holds tokens.
pub(super) enum HostFile {
    Missing,
    /// A login, with the bytes of its file.
    Login(AuthKind, Vec<u8>),
    /// Not a regular file, or not a login in a known format: Codex never writes such.
    Odd,
}

impl HostFile {
    /// A symlink is followed: it is the user's own (dotfiles).
    pub(super) fn read(home: &Path) -> std::io::Result<HostFile> {
        let path = home.join("auth.json");
        let bytes = match outside::bytes(&path, MOST_BYTES) {
            Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(HostFile::Missing);
            }
            // A link to a file that Codex has not made yet.
            Err(err) if err.kind() == ErrorKind::InvalidInput && !path.exists() => return Ok(HostFile::Missing),
            Err(err) if matches!(err.kind(), ErrorKind::InvalidInput | ErrorKind::FileTooLarge) => {
                return Ok(HostFile::Odd);
            }
            bytes => bytes?,
        };
        let value = serde_json::from_slice::<Map<String, Value>>(&bytes);
        Ok(value.map_or(HostFile::Odd, |value| HostFile::Login(kind(&value), bytes)))
    }
}

/// The access token of a login.
pub(super) fn access_token(bytes: &[u8]) -> Option<Token> {
    let value = serde_json::from_slice::<Value>(bytes).ok()?;
    Token::parse(value.get("tokens")?.get("access_token")?.as_str()?)
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

/// For the fuzzer: an `auth.json`, what the host's Codex answers, and a token.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice(bytes) {
        kind(&value);
    }
    super::record::fuzz(bytes);
    super::kept::fuzz(bytes);
    super::ask::fuzz(&String::from_utf8_lossy(bytes));
}
