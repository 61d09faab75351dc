//! Whether a secret stands in a text, by its form: a token of a known service, a private key, a user of an address, a value
//! behind the name of a secret, a header.

use super::{LEAST, is_secret, is_variable};
use crate::text;

/// The most words of a text behind a name with a colon, where that is an argument and no sentence.
const FEW: usize = 2;

pub(super) fn is_in(said: &str) -> bool {
    // Quotes end a word for those that read a list, and are a part of it for those that read `NAME='VALUE'`.
    let plain: String = said.chars().filter(|c| !"'\"`\\".contains(*c)).collect();
    is_in_words(said) || is_in_words(&plain) || is_header(said) || is_header(&plain) || is_key(said)
}

fn is_in_words(said: &str) -> bool {
    let words = || said.split(|c: char| c.is_whitespace() || "'\"`?&;,|<>()[]{}".contains(c));
    words().any(|word| is_token(word) || has_token(word) || is_assigned(word) || has_login(word)) || has_bearer(said)
}

/// Whether a word may be a token: the names of things have no digit in so many characters.
fn is_random(word: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"-_.+/=~".contains(&b);
    word.len() >= LEAST && word.bytes().all(is_part) && word.bytes().any(|b| b.is_ascii_digit())
}

fn is_token(word: &str) -> bool {
    text::TOKENS.iter().find_map(|start| word.strip_prefix(start)).is_some_and(is_random)
}

/// Also in an address, as its user or behind a name.
fn has_token(word: &str) -> bool {
    word.rsplit(['=', ':']).next().is_some_and(is_token) || word.split(['=', ':', '/', '@', '#']).any(is_token)
}

/// `NAME=VALUE`, and `NAME:VALUE` where that is an option or the value no word.
fn is_assigned(word: &str) -> bool {
    let of_secret = |name: &str, value: &str| {
        !value.is_empty() && !value.starts_with('$') && is_secret(name.trim_start_matches('-'))
    };
    let is_no_word = |value: &str| value.len() >= 6 && value.bytes().any(|b| b.is_ascii_digit());
    word.split_once('=').is_some_and(|(name, value)| of_secret(name, value))
        || word.split_once(':').is_some_and(|(name, value)| {
            of_secret(name, value) && !value.starts_with("//") && (name.starts_with("--") || is_no_word(value))
        })
}

/// A password in an address, or a user that is a token.
fn has_login(word: &str) -> bool {
    let Some((_, rest)) = word.split_once("://") else { return false };
    text::login_of(rest).is_some_and(|(user, password)| match password {
        Some(password) => !is_variable(password),
        None => is_token(user) || is_random(user),
    })
}

fn has_bearer(said: &str) -> bool {
    let lower = said.to_lowercase();
    ["bearer ", "basic "].iter().any(|kind| {
        lower.split(kind).skip(1).any(|rest| {
            is_random(rest.split(|c: char| c.is_whitespace() || "'\"".contains(c)).next().unwrap_or_default())
        })
    })
}

/// `NAME: VALUE` as an argument, and anywhere where the name is that of a header alone.
fn is_header(said: &str) -> bool {
    let words: Vec<&str> = said.split_whitespace().collect();
    let is_value = |value: &str| !is_variable(value.trim_matches(|c: char| "'\"`,;)".contains(c)));
    words.iter().enumerate().any(|(at, word)| {
        let Some(name) = word.strip_suffix(':') else { return false };
        let name = name.rsplit(['=', '\'', '"', '{', ',']).next().unwrap_or_default().trim_start_matches('-');
        let lower = name.to_lowercase();
        let values = &words[at + 1..];
        // What names how it is given stands before what is given.
        let kinds = ["bearer", "basic", "token", "apikey", "digest"];
        let value = match values {
            [kind, value, ..] if kinds.contains(&kind.to_lowercase().as_str()) => value,
            [value, ..] => value,
            [] => return false,
        };
        let is_of_headers = ["authorization", "proxy-authorization", "cookie", "set-cookie"].contains(&lower.as_str())
            || lower.starts_with("x-");
        is_secret(name) && is_value(value) && (is_of_headers || (at == 0 && values.len() <= FEW))
    })
}

fn is_key(said: &str) -> bool {
    said.split_once("-----BEGIN ").is_some_and(|(_, rest)| rest.contains("PRIVATE KEY-----"))
}

#[cfg(test)]
mod tests {
    use super::is_in;

    #[test]
    fn a_secret_is_known_by_its_form_however_it_is_written() {
        for said in [
            "https://ghp_0123456789abcdefghijB@github.example/mcp",
            "https://0123456789abcdef0123@sentry.example/1",
            "https://example.org/hooks/ghp_0123456789abcdefghijB/x",
            "http://me:v4/lue@proxy:1",
            "X-API-Key: 0123456789abcdef",
            "Authorization: token abcdefabcdef",
            "--header=Authorization: ApiKey abcdef",
            "Authorization: Basic dXNlcjpTRUNSRVRP",
            "Cookie: session=abc; other=def",
            "curl -H 'X-Api-Key: abc' https://example.org",
            "--api_key:VALUE",
            "host=db user=u password='hunter2'",
            "password=\"hunter2\"",
            "{\"password\":\"hunter2\"}",
            "DBPASS=1x",
            "GITHUB_PAT=abc",
            "gsk_0123456789abcdefghij",
            "SG.0123456789abcdefghij.x",
        ] {
            assert!(is_in(said), "{said}");
        }
        for said in [
            "https://example.org/@scope/pkg@1.2",
            "https://me@example.org/",
            "http://proxy:8080/a@b",
            "Authorization: Bearer ${A_TOKEN}",
            "X-Api-Key: $KEY",
            "never print a password: it is not yours to show to anybody",
            "PWD=/home/me",
            "sandbox_bypass=yes",
            "path=/x",
            "secrets:read",
            "password=$A",
            "password=''",
        ] {
            assert!(!is_in(said), "{said}");
        }
    }
}
