//! The Codex home of a sandbox: what is copied from the host, what is not, and why.
//!
//! [`read()`] collects the host's configuration as values and says what it left out; [`write()`] fills the private home
//! with it. All of it is replaced each time, but for what `survives` lists of what the sandbox's own Codex made (sessions,
//! history, logins). Some files are never copied, because they run or unlock something, or belong to the
//! host's own processes: `.env`, `environments.toml`, `auth.json` (see `login`), `.credentials.json`, `packages`,
//! `app-server-*`, `tmp`, `.tmp`, `shell_snapshots`, `sessions`, history, logs and databases.

mod config;
mod linked;
mod read;
pub(crate) mod secrets;
mod survives;
mod system;
mod text;
mod write;

#[cfg(any(test, fuzzing))]
pub(crate) use config::fuzz;

pub(crate) use crate::spec::words::Mode;
pub(crate) use linked::{refuse_linked, refuse_linked_settings};
pub(crate) use read::read;
pub(crate) use secrets::{Secret, Secrets};
pub(crate) use system::{system, write_system};
pub(crate) use write::{write, write_agents};

use crate::error::{Failure, usage};
use std::fmt;
use std::path::{Path, PathBuf};

/// The directories and files of a Codex home that are copied whole. Codex itself knows no directory `hooks`, but it is
/// the usual place for the scripts that `hooks.json` names.
const WHOLE: [&str; 8] =
    ["AGENTS.md", "AGENTS.override.md", "hooks.json", "hooks", "rules", "skills", "prompts", "agents"];

/// The error where the host's own home is to be shared and there is none.
pub(crate) fn no_shared(home: &Path) -> Failure {
    usage(format!("`codex_home: shared` needs `{}`, and it is not there", home.display()))
        .hint("run Codex once on the host, or use `mirror`")
}

/// A file that is copied.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Relative to the home.
    path: PathBuf,
    bytes: Vec<u8>,
    /// Whether its owner may run it.
    executable: bool,
}

impl Item {
    /// A file that is not run.
    fn plain(path: impl Into<PathBuf>, text: String) -> Item {
        Item { path: path.into(), bytes: text.into_bytes(), executable: false }
    }
}

// Written by hand, because a configuration can hold keys, which must not reach a log.
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path.display(), self.bytes.len())
    }
}

/// A note for the user on something that was left out or changed: the host's path (with the key, where the note is about
/// one), then what was done and why.
fn note(what: impl fmt::Display, why: impl fmt::Display) -> String {
    format!("{}: {why}", crate::ui::printable(&what.to_string()))
}

/// An MCP server that is started as a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct McpServer {
    /// Its name in `mcp_servers`.
    pub(crate) name: String,
    /// Its program: a name for `PATH`, or a path of the host.
    pub(crate) command: String,
}

/// What is copied from the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// For the Codex home.
    files: Vec<Item>,
    /// For `~/.agents`.
    agents: Vec<Item>,
    /// For `/etc/codex`; `None` where the host has none.
    pub(crate) system: Option<Vec<Item>>,
    /// The enabled MCP servers that are programs: those whose program the container lacks must be disabled.
    pub(crate) mcp: Vec<McpServer>,
    /// What was left out or changed.
    pub(crate) notes: Vec<String>,
    /// The secrets in all of it.
    pub(crate) secrets: Secrets,
    /// What is over the limits, or held the host's own login, of which the user is told at each entry: a skill without a part of
    /// it fails in odd ways.
    pub(crate) over: Vec<String>,
}

/// The arguments that keep Codex from starting these MCP servers.
///
/// Tried with Codex 0.169.0. `-c mcp_servers.NAME.enabled=false` on its own stops Codex at its start (`invalid
/// transport`) when the server is no longer in the file, for example after `codex mcp remove` inside: the command
/// beside it keeps that from happening. A quoted name in a dotted key (`mcp_servers."a.b".…`) is not understood, an
/// inline table is; a later inline table for `mcp_servers` replaces an earlier one, so there is one, and it comes first.
pub(crate) fn disable_flags<S: AsRef<str>>(missing: &[S]) -> Vec<String> {
    const OFF: &str = r#"{command="not-in-this-sandbox",enabled=false}"#;
    let is_plain =
        |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let (plain, odd): (Vec<&str>, Vec<&str>) = missing.iter().map(AsRef::as_ref).partition(is_plain);
    // A JSON string is also a TOML key.
    let quoted: Vec<String> = odd.iter().map(|name| format!("{}={OFF}", serde_json::json!(name))).collect();
    let table = (!quoted.is_empty()).then(|| format!("mcp_servers={{{}}}", quoted.join(",")));
    let dotted = plain.iter().map(|name| format!("mcp_servers.{name}={OFF}"));
    table.into_iter().chain(dotted).flat_map(|value| ["-c".to_owned(), value]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::words;

    #[test]
    fn modes_are_read_as_they_are_shown() {
        for mode in [Mode::Mirror, Mode::Shared, Mode::None] {
            assert_eq!(words::parse(&mode.to_string()), Some(mode));
        }
        assert_eq!(words::parse::<Mode>("copy"), None);
    }

    #[test]
    fn servers_are_disabled_whatever_their_name() {
        let off = r#"{command="not-in-this-sandbox",enabled=false}"#;
        assert_eq!(disable_flags::<&str>(&[]), Vec::<String>::new());
        assert_eq!(
            disable_flags(&["plain", "a.b", "a b"]),
            [
                "-c".to_owned(),
                format!(r#"mcp_servers={{"a.b"={off},"a b"={off}}}"#),
                "-c".to_owned(),
                format!("mcp_servers.plain={off}"),
            ]
        );
        // A name with quotes in it still gives a table that parses.
        let flag = &disable_flags(&[r#"q"'x"#])[1];
        assert!(flag.parse::<toml_edit::DocumentMut>().is_ok(), "{flag}");
    }
}
