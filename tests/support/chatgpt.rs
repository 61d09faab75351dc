//! A stand-in for the ChatGPT side, on this host: tokens that end, and a server of OAuth that renews them.

use crate::support::model::address;
use crate::support::place::{Place, repository};
use crate::support::proc;
use crate::support::run::Xtask;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

/// A running stand-in; it ends with the test.
pub(crate) struct ChatGpt {
    child: Child,
    dir: PathBuf,
    host: String,
    home: PathBuf,
}

/// One request, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// The name of the access token.
    pub(crate) token: String,
    pub(crate) good: bool,
    /// Whether a refresh token came that was used before.
    pub(crate) used: bool,
}

impl ChatGpt {
    /// Starts it on the address of the engine's bridge, and leads the host's Codex to it.
    pub(crate) fn start(place: &Place) -> ChatGpt {
        let dir = place.mkdir("chatgpt");
        let child = Command::new(proc::find("python3"))
            .arg(repository().join("tests/support/oauth.py"))
            .arg(repository().join("docker"))
            .arg(address())
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the stand-in for ChatGPT");
        let mut server = ChatGpt { child, dir, host: String::new(), home: place.path("home/.codex") };
        let port = proc::wait_for("the stand-in for ChatGPT to listen", 20, || {
            fs::read_to_string(server.dir.join("port")).ok().filter(|port| !port.is_empty())
        });
        server.host = format!("{}:{port}", address());
        place.write("home/.codex/config.toml", server.config());
        server
    }

    pub(crate) fn config(&self) -> String {
        let host = &self.host;
        format!(
            "model = \"fake-model\"\napproval_policy = \"never\"\nchatgpt_base_url = \"http://{host}/backend-api\"\n\
             openai_base_url = \"http://{host}/v1\"\n\n[analytics]\nenabled = false\n\n\
             [features]\nenable_request_compression = false\nplugins = false\napps = false\n"
        )
    }

    /// The tool, whose user's Codex renews its login here. A token in the environment would hide that login from Codex.
    pub(crate) fn known_to<'a>(&self, task: Xtask<'a>) -> Xtask<'a> {
        let port = self.host.rsplit(':').next().unwrap_or_default();
        let server = format!("http://127.0.0.1:{port}/oauth/token");
        task.env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", server).env("CODEX_ACCESS_TOKEN", "of-another-login")
    }

    /// Says how it behaves from now on.
    pub(crate) fn control(&self, value: &Value) {
        let file = self.dir.join("control.new");
        fs::write(&file, value.to_string()).expect("the control file");
        fs::rename(file, self.dir.join("control.json")).expect("the control file");
    }

    /// Logs the host in: an access token of this name, ten days old and older, that ends so many seconds from now.
    pub(crate) fn log_in(&self, name: &str, left: u64) -> String {
        let ends = now() + left;
        let token = token(name, ends - 864_000, ends);
        let login = json!({
            "auth_mode": "chatgpt",
            "OPENAI_API_KEY": null,
            "tokens": {
                "id_token": token, "access_token": token, "refresh_token": format!("refresh-secret-{name}"), "account_id": "account",
            },
            "last_refresh": "2026-01-01T00:00:00Z",
        });
        let file = self.home.join("auth.new");
        fs::write(&file, login.to_string()).expect("the host's login");
        fs::rename(file, self.home.join("auth.json")).expect("the host's login");
        login.to_string()
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let text = fs::read_to_string(self.dir.join("requests")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .map(|line| Asked {
                path: line["path"].as_str().unwrap_or_default().to_owned(),
                token: line["token"].as_str().unwrap_or_default().to_owned(),
                good: line["good"] == true,
                used: line["used"] == true,
            })
            .collect()
    }

    /// The access tokens with which the model was asked and answered, in order.
    pub(crate) fn answered(&self) -> Vec<String> {
        let asked = self.asked().into_iter().filter(|asked| asked.path.ends_with("/responses") && asked.good);
        asked.map(|asked| asked.token).collect()
    }

    /// The renewals that were asked for.
    pub(crate) fn renewals(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.path.ends_with("/oauth/token")).collect()
    }
}

impl Drop for ChatGpt {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs()
}

/// An unsigned access token, as `oauth.py` makes them.
fn token(name: &str, begun: u64, ends: u64) -> String {
    let script = "import sys, json, base64\n\
                  b = lambda v: base64.urlsafe_b64encode(json.dumps(v).encode()).rstrip(b'=').decode()\n\
                  who = dict.fromkeys(['chatgpt_user_id', 'user_id'], 'user') | \
                  {'chatgpt_account_id': 'account', 'chatgpt_plan_type': 'pro'}\n\
                  c = {'iat': int(sys.argv[2]), 'exp': int(sys.argv[3]), 'jti': sys.argv[1], 'email': 'nobody@example.com', \
                  'https://api.openai.com/auth': who}\n\
                  print(b({'alg': 'none'}) + '.' + b(c) + '.sig', end='')";
    proc::output(proc::find("python3"), ["-c", script, name, &begun.to_string(), &ends.to_string()])
}

/// The files of a directory, at any depth, that have this text in them.
pub(crate) fn files_with(dir: &Path, text: &str) -> String {
    let dir = dir.display().to_string();
    proc::outcome(
        proc::find("grep"),
        ["--recursive", "--files-with-matches", "--fixed-strings", "--text", "--", text, &dir],
    )
    .1
}
