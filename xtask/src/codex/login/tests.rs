mod host;
mod inside;
mod renewal;

use super::outcome::{Has, LoginOutcome};
use super::record::{Given, LoginRecord};
use super::token::{made_up, unsigned};
use super::*;
use crate::codex::Layout;
use crate::spec::codex_command::LoginCommand;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

/// Answers as the app-server of Codex does, from the file `answer` beside it; a renewal puts `renewed` in its place. In any
/// other home than `host` it has the login of that home's file.
pub(crate) const STAND_IN: &str = r#"#!/bin/sh
dir=${0%/*}
echo asked >> "$dir/asked"
answer=$dir/answer
if [ "${CODEX_HOME##*/}" != host ]; then
    token=$(sed -n 's/.*"access_token": "\(.*\)".*/\1/p' "$CODEX_HOME/auth.json")
    echo "{\"id\":2,\"result\":{\"authMethod\":\"chatgptAuthTokens\",\"authToken\":\"$token\"}}" > "$dir/tried"
    answer=$dir/tried
fi
while read -r line; do
    case $line in
        *'"id":1,'*) [ ! -f "$dir/slow-start" ] || sleep 1; echo '{"method":"warning"}'; echo '{"id":1,"result":{"userAgent":"codex"}}' ;;
        *'"id":2,'*) [ -f "$dir/silent" ] || cat "$answer" ;;
        *'"id":3,'*) echo renewed >> "$dir/asked"; [ ! -f "$dir/slow" ] || sleep 1
            cat "$dir/renewed" > "$answer"
            echo >> "$CODEX_HOME/auth.json"; sed 's/"id":2/"id":3/' "$answer" ;;
    esac
done
"#;

/// One and the same in all of a test.
fn now() -> u64 {
    static NOW: std::sync::OnceLock<SystemTime> = std::sync::OnceLock::new();
    NOW.get_or_init(SystemTime::now).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A token of ten days that ends so many seconds from now.
pub(crate) fn token(name: &str, left: u64) -> String {
    unsigned(&made_up(now() + left - 864_000, now() + left, name))
}

pub(crate) fn says(method: &str, token: Option<&str>) -> String {
    let result = json!({"authMethod": method, "authToken": token, "requiresOpenaiAuth": true});
    format!("{}\n", json!({"id": 2, "result": result}))
}

/// The whole login of a ChatGPT account, as it lies on the host.
fn login(name: &str, day: u32) -> String {
    let token = unsigned(&made_up(0, 4_000_000_000, name));
    json!({
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": token, "access_token": token, "refresh_token": format!("rt-secret-{name}"), "account_id": "account",
        },
        "last_refresh": format!("2025-01-{day:02}T00:00:00.123456789Z"),
    })
    .to_string()
}

struct Place {
    temp: tempfile::TempDir,
    cx: Context,
    codex: Codex,
}

impl Place {
    fn new(host: Option<&str>) -> Place {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        fs::create_dir(at("host")).unwrap();
        fs::create_dir(at("private")).unwrap();
        fs::write(at("codex"), STAND_IN).unwrap();
        fs::set_permissions(at("codex"), fs::Permissions::from_mode(0o755)).unwrap();
        let codex = Codex {
            launcher: at("codex"),
            binary: at("codex"),
            layout: Layout::Binary,
            version: "0.171.0".into(),
            root: None,
            helper: true,
            package: PathBuf::new(),
            items: Vec::new(),
            notes: Vec::new(),
        };
        let place = Place { cx: Context { state: at("state"), ..Context::default() }, codex, temp };
        place.answer(&says("chatgpt", Some(&token("one", 800_000))));
        host.into_iter().for_each(|text| place.put("host", text));
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn put(&self, side: &str, text: &str) {
        fs::write(self.at(side).join("auth.json"), text).unwrap();
    }

    fn get(&self, side: &str) -> String {
        fs::read_to_string(self.at(side).join("auth.json")).unwrap()
    }

    fn answer(&self, text: &str) {
        fs::write(self.at("answer"), text).unwrap();
    }

    fn has(&self, how: Login) -> FromHost {
        self.try_has(how).unwrap()
    }

    fn try_has(&self, how: Login) -> Result<FromHost> {
        from_host(&self.cx, how, &self.host(), &self.codex, (&self.at("logins"), Patience::ENDLESS))
    }

    fn host(&self) -> HostCodex {
        HostCodex { home: self.at("host"), system: self.at("etc") }
    }

    /// An entry while nothing is alive inside.
    fn enter(&self) -> LoginOutcome {
        self.enter_with(Login::Lease)
    }

    fn enter_with(&self, how: Login) -> LoginOutcome {
        give(&self.has(how), Inside::Quiet, &self.at("private"), &self.at("record.json")).unwrap()
    }

    /// An entry beside a live session.
    fn enter_beside(&self) -> LoginOutcome {
        give(&self.has(Login::Lease), Inside::Alive, &self.at("private"), &self.at("record.json")).unwrap()
    }

    /// A session of Codex that has logged in or out.
    fn noted(&self, command: LoginCommand) {
        note(command, &self.at("private"), &self.at("record.json")).unwrap();
    }

    fn held(&self) -> Held {
        held(&self.at("private"), &self.at("record.json")).unwrap()
    }

    fn record(&self) -> LoginRecord {
        LoginRecord::read(&self.at("record.json")).unwrap()
    }

    /// Puts another file in its place, as a program inside does it.
    fn replace(&self, text: &str) {
        fs::write(self.at("private/new"), text).unwrap();
        fs::rename(self.at("private/new"), self.at("private/auth.json")).unwrap();
    }

    /// How often Codex was started, and how often it was told to renew, since this was last asked.
    fn asked(&self) -> (usize, usize) {
        let text = fs::read_to_string(self.at("asked")).unwrap_or_default();
        let _ = fs::remove_file(self.at("asked"));
        let count = |word: &str| text.lines().filter(|line| *line == word).count();
        (count("asked"), count("renewed"))
    }

    fn leases(&self) -> Leases {
        Leases::new(&self.at("logins"), &self.host(), Asker::new(&self.cx, &self.codex.binary, &self.at("host")))
    }

    /// A login of the sandbox's own.
    fn put_own(&self) {
        fs::create_dir_all(self.at("private")).unwrap();
        self.replace(&login("own", 1));
        self.noted(LoginCommand::In);
    }

    fn inside(&self) -> Value {
        serde_json::from_str(&self.get("private")).unwrap()
    }
}

fn lines(outcome: LoginOutcome) -> String {
    outcome.lines().join("\n")
}
