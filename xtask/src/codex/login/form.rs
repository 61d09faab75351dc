//! The file of a lease.

use super::token::Token;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The `auth_mode` of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// The mode for tokens that somebody else renews: Codex never asks a server of OAuth.
    AuthTokens,
    /// The mode of an ordinary login, whose refresh token is empty. Codex tries to renew it in the last five minutes, and
    /// fails.
    Chatgpt,
}

impl Form {
    pub(super) fn word(self) -> &'static str {
        match self {
            Form::AuthTokens => "chatgptAuthTokens",
            Form::Chatgpt => "chatgpt",
        }
    }
}

/// The text of a lease, as Codex 0.145.0 to 0.171.0 read it. The access token stands in place of the id token, whose claims it
/// has; the refresh token must be there, and is empty.
pub(super) fn lease(token: &Token, form: Form) -> String {
    let value = json!({
        "auth_mode": form.word(),
        "OPENAI_API_KEY": null,
        "last_refresh": crate::context::now(),
        "tokens": {
            "id_token": token.secret(),
            "access_token": token.secret(),
            "refresh_token": "",
            "account_id": token.account(),
        },
    });
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::super::token::{made_up, unsigned};
    use super::*;

    #[test]
    fn a_lease_has_no_refresh_token_in_either_form() {
        let text = unsigned(&made_up(0, 4_000_000_000, "t"));
        let token = Token::parse(&text).unwrap();
        for (form, mode) in [(Form::AuthTokens, "chatgptAuthTokens"), (Form::Chatgpt, "chatgpt")] {
            let value: serde_json::Value = serde_json::from_str(&lease(&token, form)).unwrap();
            assert_eq!((&value["auth_mode"], &value["OPENAI_API_KEY"]), (&json!(mode), &json!(null)));
            assert!(humantime::parse_rfc3339(value["last_refresh"].as_str().unwrap()).is_ok());
            let tokens = json!({
                "id_token": text, "access_token": text, "refresh_token": "", "account_id": "account",
            });
            assert_eq!(value["tokens"], tokens);
        }
    }
}
