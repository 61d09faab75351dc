//! Where a configuration of Codex keeps secrets. Much of it needs them to work, so the user is told of each by its place, never
//! by its value, and `config_secrets` says whether they go in. Pure.
//!
//! What is found: files that hold nothing else, by their name; in TOML and JSON, the tables of variables and headers, keys
//! that are named for a secret, and values that have the form of one. What a script or a text says is not read.

mod form;
mod json;

use crate::spec::words::ConfigSecrets;
use crate::text;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fmt;
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, TableLike, Value};

/// The place of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    /// On the host.
    pub(super) file: PathBuf,
    /// The key in it; `None` where it is the whole file.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) key: Option<String>,
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", text::path(&self.file))?;
        self.key.iter().try_for_each(|key| write!(f, " (`{}`)", text::printable(key)))
    }
}

/// What was found, and what becomes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secrets {
    pub(super) policy: ConfigSecrets,
    pub(super) found: Vec<Secret>,
}

/// How many places are named in a line.
const NAMED: usize = 8;

impl Secrets {
    /// Adds those of other files.
    pub(crate) fn add(&mut self, policy: ConfigSecrets, more: Vec<Secret>) {
        self.policy = policy;
        self.found.extend(more);
    }

    /// Whether any goes in.
    pub(crate) fn go_in(&self) -> bool {
        self.policy == ConfigSecrets::Pass && !self.found.is_empty()
    }

    /// Each place, and whether what lies there goes in.
    pub(crate) fn places(&self) -> Vec<String> {
        let fate = match self.policy {
            ConfigSecrets::Pass => "goes in",
            ConfigSecrets::Drop => "left out",
        };
        self.found.iter().map(|secret| format!("{secret}: {fate}")).collect()
    }

    /// The line about them.
    pub(crate) fn line(&self) -> Option<String> {
        let names: Vec<String> = self.found.iter().take(NAMED).map(ToString::to_string).collect();
        let more = self.found.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = format!("{}{more}", names.join(", "));
        (!names.is_empty()).then(|| match self.policy {
            ConfigSecrets::Pass => format!(
                "secrets of your Codex configuration go in, and the agent can read them: {what}; `config_secrets: drop` leaves \
                 them out"
            ),
            ConfigSecrets::Drop => format!(
                "secrets of your Codex configuration are left out, and what needs them will fail: {what}; `config_secrets: \
                 pass` hands them in"
            ),
        })
    }
}

/// How a name is compared.
#[derive(Debug, Clone, Copy)]
enum By {
    Whole(&'static str),
    Start(&'static str),
    End(&'static str),
}

use By::{End, Start, Whole};

/// Files that hold secrets, each group with its source.
const FILES: &[(&[By], &str)] = &[
    (&[Start(".env"), End(".env"), Whole("env")], "variables of a program, https://github.com/motdotla/dotenv"),
    (
        &[Whole(".netrc"), Whole("_netrc"), Whole("netrc")],
        "https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html",
    ),
    (&[Whole(".npmrc")], "https://docs.npmjs.com/cli/configuring-npm/npmrc"),
    (&[Whole(".pypirc")], "https://packaging.python.org/en/latest/specifications/pypirc/"),
    (&[Whole(".git-credentials")], "https://git-scm.com/docs/git-credential-store"),
    (&[Whole(".pgpass")], "https://www.postgresql.org/docs/current/libpq-pgpass.html"),
    (&[Whole(".dockercfg"), Whole(".dockerconfigjson")], "https://kubernetes.io/docs/concepts/configuration/secret/"),
    (&[Whole("kubeconfig")], "https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/"),
    (
        &[Start("auth.json"), Start(".credentials.json")],
        "logins of Codex and of MCP servers, as Codex 0.169.0 writes them",
    ),
    (
        &[Whole("credentials"), Start("credentials."), Start("client_secret"), Start("service_account")],
        "https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html, \
         https://cloud.google.com/docs/authentication/application-default-credentials",
    ),
    (&[Start("secret."), Start("secrets."), Whole("token"), Start("token."), Start("tokens.")], "what the name says"),
    (&[Whole("password"), Start("password."), Start("passwords."), Start("passwd")], "what the name says"),
    (&[Start("api_key"), Start("api-key"), Start("apikey")], "what the name says"),
    (
        &[Start("id_rsa"), Start("id_dsa"), Start("id_ecdsa"), Start("id_ed25519")],
        "https://man.openbsd.org/ssh-keygen, but for those that end in .pub",
    ),
    (&[End(".p12"), End(".pfx"), End(".jks"), End(".keystore"), End(".kdbx")], "stores of keys"),
];

/// Ends of files which are about secrets and hold none, but for those that begin with `.env`.
const TEXTS: &[&str] = &[".pub", ".md", ".rst", ".html", ".py", ".js", ".mjs", ".ts", ".sh", ".rs", ".go", RULES];

/// The end of a file of rules of Codex, which say what may be started: `secrets.rules` protects secrets and holds none.
const RULES: &str = ".rules";

/// Tables of which every text counts, wherever they are, each with its source.
const TABLES: &[(&str, &str)] = &[
    ("env", "variables of an MCP server, https://developers.openai.com/codex/mcp"),
    (
        "http_headers",
        "headers of a provider and of an MCP server, https://developers.openai.com/codex/config-reference",
    ),
    ("headers", "headers of an exporter (`otel`) and of an MCP server in the .mcp.json of a plugin, same page"),
    ("query_params", "parameters of a provider's address, same page"),
    ("set", "variables of all commands (`shell_environment_policy.set`), same page"),
];

/// Words of keys whose text is a secret.
const WORDS: &[&str] = &[
    "token", "secret", "password", "passwd", "passphrase", "api_key", "apikey", "access_key", "private_key", "bearer",
    "authorization", "credential", "cookie",
];

/// Short words of such keys, which count between underscores alone: `GITHUB_PAT`, and `path` is another word.
const PARTS: &[&str] = &["pass", "pat", "pwd", "psk"];

/// Words that end like one of `PARTS` in a name without underscores (`DBPASS`) and mean something else.
const OTHER_ENDS: &[&str] = &["bypass", "compass", "trespass", "surpass", "oldpwd"];

/// Ends of keys which name what a secret lies in, or say something of it.
const BESIDE: &[&str] =
    &["_env_var", "_env_key", "_env", "_vars", "_file", "_path", "_store", "_url", "_endpoint", "_type"];

/// The fewest characters of a token behind its start.
const LEAST: usize = 16;

/// What takes the place of a text that cannot be missing.
const INSTEAD: &str = "not-in-this-sandbox";

/// A file that was looked through.
pub(super) struct Looked {
    /// What goes in of it; `None` where nothing does.
    pub(super) bytes: Option<Vec<u8>>,
    /// The keys of its secrets, or `None` for the whole file.
    pub(super) keys: Vec<Option<String>>,
}

/// Looks through a file. `names` are all by which it is known: its own, and that of the file which a symlink leads to.
pub(super) fn look(names: &[&Path], bytes: Vec<u8>, policy: ConfigSecrets) -> Looked {
    let drop = policy == ConfigSecrets::Drop;
    let lower = |path: &&Path| path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let names: Vec<String> = names.iter().map(lower).collect();
    let ends = |ends: &[&str]| names.iter().any(|name| ends.iter().any(|end| name.ends_with(end)));
    let whole = |bytes: Vec<u8>| Looked { bytes: (!drop).then_some(bytes), keys: vec![None] };
    if names.iter().any(|name| is_file(name)) || is_key(&bytes) {
        return whole(bytes);
    }
    let Ok(said) = str::from_utf8(&bytes) else { return Looked { bytes: Some(bytes), keys: Vec::new() } };
    let said = said.strip_prefix('\u{feff}').unwrap_or(said);
    let mut keys = Vec::new();
    let is_json = ends(&[".json", ".jsonc", ".json5"]);
    let edited = if ends(&[".toml"]) {
        said.parse::<DocumentMut>().ok().map(|mut root| {
            of_toml(&mut *root, &Place::top(), drop, &mut keys);
            root.to_string()
        })
    } else if is_json {
        json::parse(said).map(|mut root: Json| {
            of_json(&mut root, &Place::top(), drop, &mut keys);
            serde_json::to_string_pretty(&root).unwrap_or_default()
        })
    } else {
        return Looked { bytes: Some(bytes), keys: Vec::new() };
    };
    match edited {
        // A more lenient reader may parse what this one cannot, and find anything there.
        None if (is_json && !said.trim().is_empty()) || form::is_in(said) => whole(bytes),
        Some(edited) if drop && !keys.is_empty() => Looked { bytes: Some(edited.into()), keys: named(keys) },
        None | Some(_) => Looked { bytes: Some(bytes), keys: named(keys) },
    }
}

fn named(keys: Vec<String>) -> Vec<Option<String>> {
    keys.into_iter().map(Some).collect()
}

fn is_file(name: &str) -> bool {
    let is = |by: &By| match by {
        Whole(whole) => name == *whole,
        Start(start) => name.starts_with(start),
        End(end) => name.ends_with(end),
    };
    let is_text = |end: &&str| !name.starts_with(".env") && name.ends_with(*end);
    !TEXTS.iter().any(is_text) && FILES.iter().any(|(names, _)| names.iter().any(is))
}

/// Whether a file begins with the head of a private key, whatever its name.
fn is_key(bytes: &[u8]) -> bool {
    bytes.starts_with(b"-----BEGIN ") && {
        let head = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        head.windows(11).any(|part| part == b"PRIVATE KEY")
    }
}

/// Where a value stands.
struct Place {
    path: String,
    /// The name of the table or key.
    name: String,
    /// Whether every text here counts.
    all: bool,
}

impl Place {
    fn top() -> Place {
        Place { path: String::new(), name: String::new(), all: false }
    }

    fn below(&self, name: &str) -> Place {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        let plain = name.to_lowercase().replace('-', "_");
        let is_table = TABLES.iter().any(|(table, _)| plain == *table)
            && (plain != "set" || self.name == "shell_environment_policy");
        let all = self.all || is_table;
        Place { path, name: plain, all }
    }

    /// What is to be done about a text that stands here, behind another of the same list.
    fn judge(&self, text: &str, before: Option<&str>) -> Judged {
        self.judge_by(is_secret, text, before)
    }

    /// The same about a number: `max_tokens` counts something.
    fn judge_number(&self, number: &str, before: Option<&str>) -> Judged {
        let is_secret = |name: &str| {
            let name = name.to_lowercase().replace('-', "_");
            is_secret(&name) && (!name.contains("token") || name == "token" || name.ends_with("_token"))
        };
        self.judge_by(is_secret, number, before)
    }

    fn judge_by(&self, is_secret: impl Fn(&str) -> bool, text: &str, before: Option<&str>) -> Judged {
        if text.is_empty() || text == INSTEAD || is_variable(text) {
            return Judged::Nothing;
        }
        if before.is_none() && (self.all || is_secret(&self.name)) {
            return Judged::Optional;
        }
        let flag = before.and_then(|before| before.strip_prefix("--")).filter(|flag| !flag.contains('='));
        let of_flag = self.all || is_secret(&self.name) || flag.is_some_and(&is_secret) && !text.starts_with('-');
        if of_flag || form::is_in(text) { Judged::Needed } else { Judged::Nothing }
    }
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Nothing,
    /// A secret whose key can be missing.
    Optional,
    /// A secret in a text that Codex or a program cannot do without: an address, an argument, a command.
    Needed,
}

/// Whether a name is that of a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    let name = name.replace("tokeniz", "");
    let ends = |part: &&str| name.ends_with(*part) && *part != "pat" && name != *part;
    let is_short = name.split('_').any(|part| PARTS.contains(&part) && name != "pwd")
        || (PARTS.iter().any(ends) && !OTHER_ENDS.iter().any(|other| name.ends_with(other)));
    (is_short || WORDS.iter().any(|word| name.contains(word))) && !BESIDE.iter().any(|end| name.ends_with(end))
}

/// Whether a text only names a variable: `$NAME`, `${NAME}`.
fn is_variable(text: &str) -> bool {
    let name =
        text.strip_prefix('$').map(|name| name.strip_prefix('{').and_then(|n| n.strip_suffix('}')).unwrap_or(name));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

fn of_toml(table: &mut dyn TableLike, place: &Place, drop: bool, found: &mut Vec<String>) {
    let names: Vec<String> = table.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        let below = place.below(&name);
        let Some(item) = table.get_mut(&name) else { continue };
        match item {
            Item::Table(inner) => of_toml(inner, &below, drop, found),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(|inner| of_toml(inner, &below, drop, found)),
            Item::Value(value) => {
                if of_toml_value(value, &below, None, drop, found) == Judged::Optional && drop {
                    table.remove(&name);
                }
            }
            Item::None => {}
        }
    }
}

fn of_toml_value(
    value: &mut Value,
    place: &Place,
    before: Option<&str>,
    drop: bool,
    found: &mut Vec<String>,
) -> Judged {
    match value {
        Value::InlineTable(inner) => of_toml(inner, place, drop, found),
        Value::Array(values) => {
            let mut before = String::new();
            for value in values.iter_mut() {
                let text = value.as_str().unwrap_or_default().to_owned();
                of_toml_value(value, place, Some(&before), drop, found);
                before = text;
            }
        }
        Value::String(text) => {
            let judged = place.judge(text.value(), before);
            return noted(judged, place, found, drop, || {
                let decor = value.decor().clone();
                *value = INSTEAD.into();
                *value.decor_mut() = decor;
            });
        }
        Value::Integer(_) | Value::Float(_) => {
            let judged = place.judge_number(value.to_string().trim(), before);
            return noted(judged, place, found, drop, || {
                let decor = value.decor().clone();
                *value = INSTEAD.into();
                *value.decor_mut() = decor;
            });
        }
        Value::Boolean(_) | Value::Datetime(_) => {}
    }
    Judged::Nothing
}

/// Notes the place of what was judged; `replace` is called where it must not go in and cannot be missing.
fn noted(judged: Judged, place: &Place, found: &mut Vec<String>, drop: bool, replace: impl FnOnce()) -> Judged {
    if judged != Judged::Nothing && found.last() != Some(&place.path) {
        found.push(place.path.clone());
    }
    if judged == Judged::Needed && drop {
        replace();
    }
    judged
}

fn of_json(value: &mut Json, place: &Place, drop: bool, found: &mut Vec<String>) {
    of_json_value(value, place, None, drop, found);
}

fn of_json_value(value: &mut Json, place: &Place, before: Option<&str>, drop: bool, found: &mut Vec<String>) -> Judged {
    match value {
        Json::Object(inner) => {
            let names: Vec<String> = inner.keys().cloned().collect();
            for name in names {
                let Some(value) = inner.get_mut(&name) else { continue };
                if of_json_value(value, &place.below(&name), None, drop, found) == Judged::Optional && drop {
                    inner.shift_remove(&name);
                }
            }
        }
        Json::Array(values) => {
            let mut before = String::new();
            for value in values {
                let text = value.as_str().unwrap_or_default().to_owned();
                of_json_value(value, place, Some(&before), drop, found);
                before = text;
            }
        }
        Json::String(text) => {
            let judged = place.judge(text, before);
            return noted(judged, place, found, drop, || *text = INSTEAD.to_owned());
        }
        Json::Number(number) => {
            let judged = place.judge_number(&number.to_string(), before);
            return noted(judged, place, found, drop, || *value = INSTEAD.into());
        }
        Json::Null | Json::Bool(_) => {}
    }
    Judged::Nothing
}

/// For the fuzzer: a configuration in TOML or JSON. What was dropped is not found a second time, and is still readable.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    for name in ["config.toml", ".mcp.json"] {
        let once = look(&[Path::new(name)], text.as_bytes().to_vec(), ConfigSecrets::Drop);
        if let Some(bytes) = once.bytes {
            let again = look(&[Path::new(name)], bytes, ConfigSecrets::Pass);
            assert!(again.keys.is_empty(), "{name}: {:?}", again.keys);
        }
    }
}

#[cfg(test)]
mod tests;
