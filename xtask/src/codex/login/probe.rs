//! In which form a version of Codex takes an access token alone. The form is not documented, so each version is tried once
//! with a made-up token in a home of its own, and what came of it is kept.

use super::ask::{Asker, CodexSays, Patience};
use super::form::{Form, lease};
use super::token::{Token, made_up, unsigned};
use crate::context::Context;
use crate::error::host;
use crate::exec;
use crate::outside;
use crate::scratch::Scratch;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

/// The forms that are worth trying. Up to 0.144 Codex reads a file of the first form, and does not take a renewed one from it
/// while it runs (measured: 0.140.0 does not, 0.145.0 does). Pure.
fn candidates(version: &str) -> &'static [Form] {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        // 0.0.0 is built from source: the newest there is.
        (Some(Ok(0)), Some(Ok(1..145))) => &[Form::Chatgpt],
        _ => &[Form::AuthTokens, Form::Chatgpt],
    }
}

/// The form for this version, from what is kept, or else tried.
///
/// # Errors
/// This version takes none.
pub(super) fn of(cx: &Context, binary: &Path, version: &str) -> Result<Form> {
    let file = cx.state.join("cache/login-form.json");
    let mut known: BTreeMap<String, Form> = outside::bytes(&file, outside::WRITTEN)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    if let Some(form) = known.get(version).copied().filter(|form| candidates(version).contains(form)) {
        return Ok(form);
    }
    for form in candidates(version) {
        if takes(cx, binary, *form)? {
            known.insert(version.to_owned(), *form);
            exec::create_dir(&cx.state.join("cache"), 0o700)?;
            exec::write_file(&file, &serde_json::to_vec(&known)?, 0o600)?;
            return Ok(*form);
        }
    }
    Err(host(format!("Codex {version} does not take an access token without a refresh token"))
        .hint("update Codex, or hand your login over whole with `login: full`, or none with `login: none`")
        .into())
}

/// Whether Codex finds a made-up token in a file of this form.
fn takes(cx: &Context, binary: &Path, form: Form) -> Result<bool> {
    let home = Scratch::home()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let text = unsigned(&made_up(now, now + 864_000, "made-up"));
    let Some(token) = Token::parse(&text) else { return Ok(false) };
    exec::write_file(&home.path().join("auth.json"), lease(&token, form).as_bytes(), 0o600)?;
    let answer = Asker::new(cx, binary, home.path()).token(false, false, Patience::ENDLESS)?;
    Ok(answer == CodexSays::Token(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_version_gets_the_form_that_it_takes_a_renewal_from() {
        for old in ["0.140.0", "0.144.9", "0.1.0"] {
            assert_eq!(candidates(old), [Form::Chatgpt], "{old}");
        }
        for new in ["0.145.0", "0.171.0", "0.0.0", "1.2.0", "0.150.0-alpha.1", "odd"] {
            assert_eq!(candidates(new), [Form::AuthTokens, Form::Chatgpt], "{new}");
        }
    }
}
