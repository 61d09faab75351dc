//! What of the private home outlives the next entry. An agent writes there what it likes, and Codex obeys most of what it
//! finds: skills at any depth, memories, prompts, MCP servers, hooks, rules, plugins, instructions, the cached list of models
//! with their instructions. So nothing is kept but what is named here, and only as what it should be. Pure.
//!
//! The names are those of Codex 0.169.0, as it was seen to write them.

use crate::spec::words::Memories;
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::path::Path;

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    File,
    Dir,
    /// A database `NAME_1.sqlite`, with the files that SQLite keeps beside it.
    Database,
}

/// What is kept: it does nothing before the user resumes a session, or is looked at by `login`.
const KEPT: [(&str, Shape); 11] = [
    ("sessions", Shape::Dir),
    ("archived_sessions", Shape::Dir),
    ("history.jsonl", Shape::File),
    ("session_index.jsonl", Shape::File),
    ("state", Shape::Database),
    ("thread_history", Shape::Database),
    ("logs", Shape::Database),
    ("log", Shape::Dir),
    ("installation_id", Shape::File),
    ("auth.json", Shape::File),
    // The logins of MCP servers that were made inside.
    (".credentials.json", Shape::File),
];

/// What is kept where the user asks for it.
const MEMORIES: [(&str, Shape); 2] = [("memories", Shape::Dir), ("memories", Shape::Database)];

/// What Codex makes by itself in each session, and makes again: that it goes is not said.
const EVERYDAY: [&str; 20] = [
    ".auth-",
    ".sandbox_migration",
    ".tmp",
    "app-server-",
    "auth.json.lock",
    "auth.lock",
    "config.toml",
    "goals_",
    "mcp-oauth-locks",
    "memories_",
    "mention_usage.json",
    "models_cache.json",
    "packages",
    "queue_",
    "shell_snapshots",
    "skills/.system",
    "thread-writer-locks",
    "tmp",
    "tui-thread-reference-capabilities",
    "version.json",
];

/// The most digits in the name of a database.
const DIGITS: usize = 2;

/// Whether an entry of the home outlives the next entry.
pub(super) fn survives(name: &OsStr, kind: FileType, memories: Memories) -> bool {
    let asked: &[(&str, Shape)] = match memories {
        Memories::Drop => &[],
        Memories::Keep => &MEMORIES,
    };
    KEPT.iter().chain(asked).any(|(kept, shape)| match shape {
        Shape::File => name == OsStr::new(kept) && kind == FileType::RegularFile,
        Shape::Dir => name == OsStr::new(kept) && kind == FileType::Directory,
        Shape::Database => kind == FileType::RegularFile && name.to_str().is_some_and(|name| is_database(name, kept)),
    })
}

fn is_database(name: &str, kept: &str) -> bool {
    let number = || {
        let rest = name.strip_prefix(kept)?.strip_prefix('_')?;
        let rest = ["-wal", "-shm", "-journal"].iter().find_map(|end| rest.strip_suffix(end)).unwrap_or(rest);
        rest.strip_suffix(".sqlite")
    };
    number().is_some_and(|number| {
        (1..=DIGITS).contains(&number.len()) && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// Whether something that went is what Codex makes in each session.
pub(super) fn is_everyday(path: &Path) -> bool {
    let path = path.to_string_lossy();
    EVERYDAY.iter().any(|name| path == *name || (name.ends_with(['-', '_']) && path.starts_with(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn nothing_outlives_an_entry_but_what_is_listed_and_only_as_what_it_is() {
        let kept = |name: &str, kind| survives(name.as_ref(), kind, Memories::Drop);
        let (file, dir) = (FileType::RegularFile, FileType::Directory);
        for name in [
            "history.jsonl",
            "session_index.jsonl",
            "state_5.sqlite",
            "state_5.sqlite-wal",
            "state_12.sqlite-shm",
            "logs_1.sqlite",
            "thread_history_1.sqlite",
            "installation_id",
            "auth.json",
            ".credentials.json",
        ] {
            assert!(kept(name, file), "{name}");
            for odd in [dir, FileType::Symlink, FileType::Fifo, FileType::Socket] {
                assert!(!kept(name, odd), "{name}");
            }
        }
        for name in ["sessions", "archived_sessions", "log"] {
            assert!(kept(name, dir) && !kept(name, file) && !kept(name, FileType::Symlink), "{name}");
        }
        for name in [
            "skills", "memories", "prompts", "hooks", "hooks.json", "rules", "agents", "plugins", "AGENTS.md",
            "AGENTS.override.md", "config.toml", "evil.config.toml", ".env", "environments.toml", "models_cache.json",
            "brought-along", ".tmp", "tmp", "packages", "shell_snapshots", "app-server-daemon", "memories_1.sqlite",
            "goals_1.sqlite", "queue_1.sqlite", "state_.sqlite", "state_500.sqlite", "state_5.sqlite.x",
            "state_x.sqlite", "Sessions", "sessions ", ".codex", "skills.toml", "anything",
        ] {
            assert!(!kept(name, file) && !kept(name, dir), "{name}");
        }
        assert!(!survives(OsStr::from_bytes(b"sessions\xff"), dir, Memories::Keep));
    }

    #[test]
    fn memories_are_kept_only_by_the_setting() {
        let (file, dir) = (FileType::RegularFile, FileType::Directory);
        for (name, kind) in [("memories", dir), ("memories_1.sqlite", file), ("memories_1.sqlite-wal", file)] {
            assert!(!survives(name.as_ref(), kind, Memories::Drop), "{name}");
            assert!(survives(name.as_ref(), kind, Memories::Keep), "{name}");
        }
        assert!(!survives("memories".as_ref(), FileType::Symlink, Memories::Keep));
    }

    #[test]
    fn what_an_agent_planted_is_told_from_what_codex_makes_each_time() {
        for path in ["tmp", ".tmp", "skills/.system", "goals_1.sqlite-wal", "app-server-daemon", ".auth-x1"] {
            assert!(is_everyday(Path::new(path)), "{path}");
        }
        for path in ["skills/evil", "skills", "memories", "prompts", "tmpx", ".env", "AGENTS.md", "version.json.d"] {
            assert!(!is_everyday(Path::new(path)), "{path}");
        }
    }
}
