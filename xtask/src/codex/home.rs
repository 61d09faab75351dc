//! The Codex home of a sandbox: what goes in from the host, what does not, and why.
//!
//! [`read`] collects the host's configuration as values and says what it left out; [`write()`] fills the private home
//! with it. The configuration is set anew each time; what the sandbox's own Codex made (sessions, history, databases,
//! login, MCP logins) stays. Never taken along, because they run or unlock something, or belong to the host's own
//! processes: `.env`, `environments.toml`, `auth.json` (see `login`), `.credentials.json`, `packages`,
//! `app-server-*`, `tmp`, `.tmp`, `shell_snapshots`, `sessions`, history, logs and databases.

mod config;
mod read;
mod system;
mod text;
mod write;

pub use read::read;
pub use system::system;
pub use write::{write, write_agents};

pub use crate::spec::settings::words::Mode;

use crate::error::{Failure, usage};
use std::fmt;
use std::path::{Path, PathBuf};

/// The directories and files of a Codex home that are taken whole. `hooks` is no directory of Codex's own, but the
/// usual place for the scripts that `hooks.json` names.
const WHOLE: [&str; 8] =
    ["AGENTS.md", "AGENTS.override.md", "hooks.json", "hooks", "rules", "skills", "prompts", "agents"];

/// Where the home lies in the container.
pub const INSIDE: &str = "/home/codex/.codex";

/// Where `~/.agents` lies in the container.
pub const AGENTS_INSIDE: &str = "/home/codex/.agents";

/// The error where the host's own home is to be shared and there is none.
pub fn no_shared(home: &Path) -> Failure {
    usage(format!("`codex_home: shared` needs `{}`, and it is not there", home.display()))
        .hint("run Codex once on the host, or use `mirror`")
}

/// A file that goes in.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// Its path below the home.
    pub path: PathBuf,
    /// Its whole content.
    pub bytes: Vec<u8>,
    /// Whether its owner may run it.
    pub executable: bool,
}

// By hand: a configuration can hold keys, which have no business in a log.
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path.display(), self.bytes.len())
    }
}

/// Something that was left out or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The host's path, and the key where it is about one.
    pub what: String,
    /// What became of it, and why.
    pub why: String,
}

impl Note {
    fn new(what: impl fmt::Display, why: impl Into<String>) -> Note {
        Note { what: what.to_string(), why: why.into() }
    }

    fn path(path: &Path, why: impl Into<String>) -> Note {
        Note::new(path.display(), why)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", crate::ui::printable(&self.what), self.why)
    }
}

/// An MCP server that is started as a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServer {
    /// Its name in `mcp_servers`.
    pub name: String,
    /// Its program: a name for `PATH`, or a path of the host.
    pub command: String,
}

/// What goes in from the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirror {
    /// For the Codex home.
    pub files: Vec<Item>,
    /// For `~/.agents`.
    pub agents: Vec<Item>,
    /// The MCP servers that are programs and enabled: those whose program the container lacks are to be disabled.
    pub mcp: Vec<McpServer>,
    /// What was left out or changed.
    pub notes: Vec<Note>,
}

/// The arguments that keep Codex from starting these MCP servers.
///
/// Tried with Codex 0.169.0. `-c mcp_servers.NAME.enabled=false` on its own stops Codex at its start (`invalid
/// transport`) when the server is no longer in the file, for example after `codex mcp remove` inside: the command
/// beside it keeps that from happening. A quoted name in a dotted key (`mcp_servers."a.b".…`) is not understood, an
/// inline table is; a later inline table for `mcp_servers` replaces an earlier one, so there is one, and it comes first.
pub fn disable_flags(missing: &[&str]) -> Vec<String> {
    const OFF: &str = r#"{command="not-in-this-sandbox",enabled=false}"#;
    let plain = |name: &&str| {
        let simple = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        !name.is_empty() && name.chars().all(simple)
    };
    let (plain, odd): (Vec<&str>, Vec<&str>) = missing.iter().copied().partition(plain);
    let quoted: Vec<String> = odd
        .iter()
        // A JSON string is a TOML key.
        .map(|name| format!("{}={OFF}", serde_json::Value::from(*name)))
        .collect();
    let table = (!quoted.is_empty()).then(|| format!("mcp_servers={{{}}}", quoted.join(",")));
    let dotted = plain.iter().map(|name| format!("mcp_servers.{name}={OFF}"));
    table.into_iter().chain(dotted).flat_map(|value| ["-c".to_owned(), value]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::settings::words;

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
        assert_eq!(disable_flags(&[]), Vec::<String>::new());
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
