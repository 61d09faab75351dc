//! Asks the host's own Codex for its access token, over its app-server: no request to a model, no client of OAuth of ours,
//! and it works where the login lies in a keyring.
//!
//! Measured with 0.169.0 and 0.171.0: the answer to `getAuthStatus` comes only while the standard input is open; a custom
//! `model_provider` hides the login, hence the `-c`; an unreachable server gives the old token without an error, so that
//! only the token's own end tells; a renewal that was begun goes on to its end and is kept after the input has ended (0.145.0 and
//! 0.169.0). Codex does not serialise such requests itself: `Asker::token` is called under a lock.

use super::token::Token;
use crate::beneath::Lock;
use crate::context::Context;
use crate::exec::{self, Next, Talk, Wish};
use crate::step::Command;
use crate::ui;
use anyhow::Result;
use serde::Deserialize;
use serde_json::json;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// An answer takes 0.3 to 1 s.
const ANSWER_BOUND: Duration = Duration::from_secs(20);

/// A renewal takes as long as its server takes. A refresh token can be used once: with an answer that Codex did not hear, the
/// host's login would be lost. Nor may another sandbox ask meanwhile, so that it is waited for under the lock.
const RENEWAL_BOUND: Duration = Duration::from_secs(60);

const WAITS: &str = "login: your Codex on the host is renewing its login, for which this tool waits, a minute at most; pressing \
     Ctrl-C twice leaves it to Codex alone";

/// The most bytes of an answer.
const MOST_BYTES: usize = 1 << 20;

/// Another server of OAuth than OpenAI's. What else Codex needs (its keyring's bus, proxies, authorities) every program gets;
/// `CODEX_ACCESS_TOKEN`, which hides the login that is asked about, none does.
pub(crate) const SERVER: &str = "CODEX_REFRESH_TOKEN_URL_OVERRIDE";

/// The number of the question whose answer is wanted; 1 is `initialize`.
const WITHOUT_RENEWAL: u64 = 2;
const WITH_RENEWAL: u64 = 3;

/// What the host's Codex said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CodexSays {
    Token(Token),
    /// It has a login and no token: the refresh token is of no use any more, or another Codex was quicker.
    Dead,
    NoLogin,
    /// Its provider is not OpenAI, although the question names that.
    OtherProvider,
    /// It is an API key, which is no token and has no end.
    ApiKey,
    /// It is of a kind that this tool does not know.
    OtherKind,
    /// It knows no such question.
    Unknown,
    /// It did not answer, for this reason.
    Silent(&'static str),
}

/// How long whoever asks wants to wait.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    /// Whether nobody wants to know any more. A renewal that may have begun is waited for all the same.
    pub(crate) stop: &'a dyn Fn() -> bool,
    /// Whether not even such a renewal is waited for.
    pub(crate) insists: &'a dyn Fn() -> bool,
}

impl Patience<'static> {
    pub(super) const ENDLESS: Patience<'static> = Patience { stop: &|| false, insists: &|| false };
}

/// Who is asked.
#[derive(Clone)]
pub(crate) struct Asker {
    command: Command,
}

impl Asker {
    /// The native Codex of the host, about the login in this home.
    pub(crate) fn new(cx: &Context, binary: &Path, home: &Path) -> Asker {
        let set = ["model_provider=\"openai\"", "features.plugins=false", "features.apps=false"];
        let mut command = Command::new(binary.to_string_lossy())
            .args(set.iter().flat_map(|set| ["-c", set]))
            .arg("app-server")
            .env("CODEX_HOME", home.to_string_lossy())
            // A project's own configuration is not read there.
            .dir("/")
            .at_most(MOST_BYTES)
            .timeout((ANSWER_BOUND + RENEWAL_BOUND * 2).as_secs());
        if let Some(server) = cx.var(SERVER).filter(|server| is_of_this_machine(server)) {
            command = command.secret_env(SERVER, server);
        }
        Asker { command }
    }

    /// The access token, renewed where little of its life is left and `renew` says so. `by_itself`: Codex may renew it as soon
    /// as it starts.
    ///
    /// # Errors
    /// Codex cannot be started.
    pub(crate) fn token(&self, renew: bool, by_itself: bool, patience: Patience<'_>) -> Result<CodexSays> {
        self.token_under(None, renew, by_itself, patience)
    }

    /// The same under a lock, which the Codex that is asked holds until it has ended: a renewal that is left to it is still
    /// the only one.
    ///
    /// # Errors
    /// Codex cannot be started.
    pub(super) fn token_under(
        &self,
        lock: Option<&Lock>,
        renew: bool,
        by_itself: bool,
        patience: Patience<'_>,
    ) -> Result<CodexSays> {
        match self.once(lock, renew, by_itself, patience)? {
            // Where another Codex was quicker, the new token lies in the home by now.
            CodexSays::Dead => self.once(lock, renew, by_itself, patience),
            answer => Ok(answer),
        }
    }

    fn once(
        &self,
        lock: Option<&Lock>,
        renew: bool,
        by_itself: bool,
        Patience { stop, insists }: Patience<'_>,
    ) -> Result<CodexSays> {
        let question = |id: u64| {
            let params = json!({"includeToken": true, "refreshToken": id == WITH_RENEWAL});
            format!("{}\n", json!({"id": id, "method": "getAuthStatus", "params": params}))
        };
        let client = json!({"name": "codex-sandbox", "version": "1"});
        let first = format!(
            "{}\n{}\n{}",
            json!({"id": 1, "method": "initialize", "params": {"clientInfo": client}}),
            json!({"method": "initialized"}),
            question(WITHOUT_RENEWAL),
        );
        let begun = Instant::now();
        let (mut answer, renewing) = (None, Cell::new(by_itself.then_some(begun)));
        let heard = |line: &str| match parse(line) {
            Some((WITHOUT_RENEWAL, said)) => {
                let late = matches!(&said, CodexSays::Token(token) if token.is_late(SystemTime::now()));
                answer = Some(said);
                if late && renew {
                    renewing.set(Some(Instant::now()));
                    Next::Say(question(WITH_RENEWAL))
                } else {
                    Next::Done
                }
            }
            Some((WITH_RENEWAL, said)) => {
                // A token that still lives is of use also where it was not renewed.
                if matches!(said, CodexSays::Token(_)) || !has_life(answer.as_ref()) {
                    answer = Some(said);
                }
                Next::Done
            }
            Some(_) | None => Next::Wait,
        };
        let (late, told) = (Cell::new(false), Cell::new(false));
        let ends = || {
            let (since, bound) = renewing.get().map_or((begun, ANSWER_BOUND), |since| (since, RENEWAL_BOUND));
            let stop = stop();
            late.set(since.elapsed() > bound);
            if renewing.get().is_some() && stop && !told.replace(true) {
                ui::say(WAITS);
            }
            match renewing.get() {
                // It finishes what it has begun once its input has ended.
                Some(_) if late.get() || insists() => Wish::Leave,
                None if late.get() || stop => Wish::End,
                Some(_) | None => Wish::GoOn,
            }
        };
        let end = exec::talk(&self.command, &first, lock, heard, ends)?;
        Ok(answer.unwrap_or(match end {
            Talk::Done | Talk::Broken => CodexSays::Silent("it ended without an answer"),
            Talk::Stopped if !late.get() => CodexSays::Silent("it was interrupted"),
            Talk::Stopped | Talk::Late => CodexSays::Silent("it did not answer in time"),
        }))
    }
}

/// The line about the variable that names another server, where it is set: what follows from it, or why it is not obeyed.
pub(crate) fn server_said(cx: &Context) -> Option<String> {
    match cx.var(SERVER) {
        Some(server) if is_of_this_machine(server) => Some(format!(
            "`{SERVER}` names an address of this machine and is passed on to your Codex where this tool asks it for its login: \
             whoever listens there gets the refresh token of your login when it is renewed; `unset {SERVER}` if you did not set it"
        )),
        None if !cx.unreadable.iter().any(|name| name == SERVER) => None,
        Some(_) | None => Some(format!(
            "`{SERVER}` is not passed on: only an address that begins with `http://127.0.0.1:` or `http://[::1]:` is, because the \
             refresh token of your login would be sent there"
        )),
    }
}

/// Whether an address is one of this machine: a stand-in for the tests. The refresh token is sent there, and a shell can take
/// variables from a project, where an agent writes.
fn is_of_this_machine(server: &str) -> bool {
    ["http://127.0.0.1:", "http://[::1]:"].iter().any(|start| server.starts_with(start)) && !server.contains('@')
}

fn has_life(answer: Option<&CodexSays>) -> bool {
    matches!(answer, Some(CodexSays::Token(token)) if !token.left(SystemTime::now()).is_zero())
}

/// A line of the app-server.
#[derive(Deserialize)]
struct Line {
    id: Option<u64>,
    result: Option<AuthStatus>,
    error: Option<serde::de::IgnoredAny>,
}

/// The result of `getAuthStatus`; those of other questions have none of these fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthStatus {
    auth_method: Option<String>,
    auth_token: Option<String>,
    requires_openai_auth: Option<bool>,
}

/// The number of the question and its answer. What is no answer (a notification, a line that is no JSON) is passed over.
fn parse(line: &str) -> Option<(u64, CodexSays)> {
    let Line { id, result, error } = serde_json::from_str(line).ok()?;
    let answer = match (result, error) {
        (Some(status), _) => judge(status),
        (None, Some(_)) => CodexSays::Unknown,
        (None, None) => return None,
    };
    Some((id?, answer))
}

fn judge(AuthStatus { auth_method, auth_token, requires_openai_auth }: AuthStatus) -> CodexSays {
    match (auth_method.as_deref(), auth_token) {
        (Some("apikey"), _) => CodexSays::ApiKey,
        // The second where this Codex itself has a lease.
        (Some("chatgpt" | "chatgptAuthTokens"), Some(text)) => {
            Token::parse(&text).map_or(CodexSays::OtherKind, CodexSays::Token)
        }
        (Some("chatgpt" | "chatgptAuthTokens"), None) => CodexSays::Dead,
        (Some(_), _) => CodexSays::OtherKind,
        (None, _) if requires_openai_auth == Some(false) => CodexSays::OtherProvider,
        (None, _) => CodexSays::NoLogin,
    }
}

/// Where the login of the host is asked for: the native Codex, and the directory of its home.
pub(crate) fn home_key(home: &Path) -> PathBuf {
    crate::context::resolved(home)
}

/// For the fuzzer: a line of the app-server, and a token, which is kept as it was read.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &str) {
    text.lines().for_each(|line| _ = parse(line));
    if let Some(token) = Token::parse(text) {
        super::until(token.ends(), SystemTime::UNIX_EPOCH);
        assert!(Token::try_from(String::from(token.clone())).is_ok_and(|again| again == token));
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::{made_up, unsigned};
    use super::*;

    fn said(result: &serde_json::Value) -> CodexSays {
        let line = json!({"id": 2, "result": result}).to_string();
        let (id, answer) = parse(&line).unwrap();
        assert_eq!(id, 2);
        answer
    }

    #[test]
    fn each_answer_of_codex_has_its_meaning() {
        let token = unsigned(&made_up(0, 4_000_000_000, "t"));
        let status = |method: &str, token: Option<&str>| {
            said(&json!({"authMethod": method, "authToken": token, "requiresOpenaiAuth": true}))
        };
        assert_eq!(status("chatgpt", Some(&token)), CodexSays::Token(Token::parse(&token).unwrap()));
        assert_eq!(status("chatgptAuthTokens", Some(&token)), CodexSays::Token(Token::parse(&token).unwrap()));
        assert_eq!(status("chatgpt", None), CodexSays::Dead);
        assert_eq!(status("apikey", Some("sk-key")), CodexSays::ApiKey);
        assert_eq!(status("apikey", Some(&token)), CodexSays::ApiKey, "whatever it looks like");
        assert_eq!(status("chatgpt", Some("sk-key")), CodexSays::OtherKind);
        assert_eq!(status("agentIdentity", Some(&token)), CodexSays::OtherKind);
        let none = |requires: bool| json!({"authMethod": null, "authToken": null, "requiresOpenaiAuth": requires});
        assert_eq!((said(&none(true)), said(&none(false))), (CodexSays::NoLogin, CodexSays::OtherProvider));
        assert_eq!(parse(r#"{"id":2,"error":{"code":-32601}}"#), Some((2, CodexSays::Unknown)));
    }

    #[test]
    fn a_refresh_token_is_sent_nowhere_else_by_a_variable() {
        assert!(is_of_this_machine("http://127.0.0.1:18999/oauth/token") && is_of_this_machine("http://[::1]:1/"));
        for other in
            ["https://evil.example/", "http://127.0.0.1.evil.example:80/", "http://127.0.0.1:1@evil.example/", ""]
        {
            assert!(!is_of_this_machine(other), "{other}");
        }
    }

    #[test]
    fn one_line_says_whether_another_server_is_obeyed() {
        let said = |server: &str| {
            let env = [(SERVER.to_owned(), server.to_owned())].into();
            let cx = Context { env, ..Context::default() };
            assert_eq!(crate::inherited::said(&cx), None, "no second line");
            server_said(&cx).unwrap()
        };
        assert!(said("http://127.0.0.1:18999/oauth/token").contains("whoever listens there gets the refresh token"));
        for other in ["https://evil.example/", "http://127.0.0.1:1@evil.example/"] {
            assert!(said(other).contains("is not passed on: only an address"), "{other}");
        }
        assert_eq!(server_said(&Context::default()), None);
        let odd = Context { unreadable: vec![SERVER.to_owned()], ..Context::default() };
        assert!(server_said(&odd).is_some_and(|said| said.contains("is not passed on")));
    }

    #[test]
    fn other_lines_of_codex_are_passed_over() {
        for line in ["", "{", "[]", "null", r#"{"method":"configWarning","params":{}}"#, r#"{"id":"2","result":{}}"#] {
            assert_eq!(parse(line), None, "{line}");
        }
        let initialized = r#"{"id":1,"result":{"userAgent":"codex/1","codexHome":"/h"}}"#;
        assert_eq!(parse(initialized).map(|(id, _)| id), Some(1));
    }
}
