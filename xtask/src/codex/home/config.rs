//! Edits of Codex's own TOML files, so that what names the host does not stop Codex in the container.
//!
//! The keys are those of Codex 0.169.0 that hold a path or a program. Comments do not survive.

use super::{AGENTS_INSIDE, INSIDE, McpServer, Note};
use crate::error::usage;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Keys that name a file which Codex reads at its start and refuses to start without.
const FILES: [&str; 4] = [
    "model_instructions_file",
    "experimental_instructions_file",
    "experimental_compact_prompt_file",
    "model_catalog_json",
];

/// Keys that are dropped, each with the reason.
const DROPPED: [(&str, &str); 7] = [
    ("notify", "dropped, it is a program of the host"),
    ("sqlite_home", "dropped, the sandbox has databases of its own"),
    ("log_dir", "dropped, the sandbox has logs of its own"),
    ("zsh_path", "dropped, it is a program of the host"),
    ("js_repl_node_path", "dropped, it is a program of the host"),
    ("js_repl_node_module_dirs", "dropped, they are directories of the host"),
    ("debug", "dropped, it names directories of the host"),
];

/// Where paths of the host lead.
pub(super) struct Host<'a> {
    /// The Codex home of the host: relative paths start here.
    pub(super) home: &'a Path,
    /// `~/.agents`; its parent is `~`.
    pub(super) agents: &'a Path,
}

/// Files that are brought along: the host's path, and the name below `brought-along/`.
pub(super) type Brought = BTreeMap<PathBuf, String>;

/// What the edits of one file gave.
pub(super) struct Edited {
    /// The new text.
    pub(super) text: String,
    /// The enabled MCP servers that are programs.
    pub(super) mcp: Vec<McpServer>,
    /// What was changed.
    pub(super) notes: Vec<Note>,
}

/// Parses one of Codex's TOML files; the error names the place, and shows nothing of the text: it can hold keys.
pub(super) fn parse(path: &Path, text: &str) -> Result<Table> {
    text.parse::<Table>().map_err(|err| {
        let before = &text[..err.span().map_or(0, |span| text.floor_char_boundary(span.start))];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        usage(format!(
            "`{}` is not TOML: line {line}, column {column}: {}",
            path.display(),
            err.message().lines().next().unwrap_or_default()
        ))
        .hint("mend that file; `codex doctor` reads it too")
        .into()
    })
}

/// Edits the text of a file that lies at `path` on the host.
pub(super) fn edit(path: &Path, text: &str, host: &Host, brought: &mut Brought) -> Result<Edited> {
    let mut root = parse(path, text)?;
    let mut edit = Edit { path, host, brought, notes: Vec::new() };
    edit.layer(&mut root, "");
    if let Some(Value::Table(profiles)) = root.get_mut("profiles") {
        for (name, profile) in profiles.iter_mut() {
            if let Value::Table(profile) = profile {
                edit.layer(profile, &format!("profiles.{name}."));
            }
        }
    }
    edit.stores(&mut root);
    edit.projects(&mut root);
    edit.agents(&mut root);
    edit.skills(&mut root);
    edit.hooks(&mut root);
    let notes = edit.notes;
    Ok(Edited { mcp: servers(&root), text: root.to_string(), notes })
}

fn servers(root: &Table) -> Vec<McpServer> {
    let Some(Value::Table(servers)) = root.get("mcp_servers") else {
        return Vec::new();
    };
    let enabled = |server: &Value| server.get("enabled").and_then(Value::as_bool) != Some(false);
    servers
        .iter()
        .filter(|(_, server)| enabled(server))
        .filter_map(|(name, server)| {
            Some(McpServer { name: name.clone(), command: server.get("command")?.as_str()?.to_owned() })
        })
        .collect()
}

struct Edit<'a> {
    path: &'a Path,
    host: &'a Host<'a>,
    brought: &'a mut Brought,
    notes: Vec<Note>,
}

impl Edit<'_> {
    fn note(&mut self, key: &str, why: impl Into<String>) {
        self.notes.push(Note::new(format_args!("{}, `{key}`", self.path.display()), why));
    }

    /// The keys that the file and each of its profiles can have.
    fn layer(&mut self, table: &mut Table, prefix: &str) {
        for (key, why) in DROPPED {
            if table.remove(key).is_some() {
                self.note(&format!("{prefix}{key}"), why);
            }
        }
        for key in FILES {
            self.bring(table, key, prefix);
        }
    }

    /// Rewrites a key that names a file of the host, and has the file brought along.
    fn bring(&mut self, table: &mut Table, key: &str, prefix: &str) {
        let Some(Value::String(value)) = table.get_mut(key) else {
            return;
        };
        let source = self.resolve(value);
        if !source.is_file() {
            let why = format!("left as it is, `{}` is not a file on this host", source.display());
            return self.note(&format!("{prefix}{key}"), why);
        }
        let next = self.brought.len() + 1;
        let name = self.brought.entry(source.clone()).or_insert_with(|| {
            let base = source.file_name().map(|name| name.to_string_lossy().into_owned());
            format!("{next}-{}", base.unwrap_or_default())
        });
        *value = format!("{INSIDE}/brought-along/{name}");
        let why = format!("`{}` is brought along as `{value}`", source.display());
        self.note(&format!("{prefix}{key}"), why);
    }

    /// A path as Codex reads it: `~` is the user's home, a relative one starts at the Codex home.
    fn resolve(&self, value: &str) -> PathBuf {
        match (value.strip_prefix("~/"), self.host.agents.parent()) {
            (Some(rest), Some(user_home)) => user_home.join(rest),
            _ => self.host.home.join(value),
        }
    }

    /// Credential stores: a container has no keyring.
    fn stores(&mut self, root: &mut Table) {
        for key in ["cli_auth_credentials_store", "mcp_oauth_credentials_store"] {
            if let Some(Value::String(store)) = root.get_mut(key)
                && (store == "keyring" || store == "auto")
            {
                let why = format!("`{store}` becomes `file`, a container has no keyring");
                "file".clone_into(store);
                self.note(key, why);
            }
        }
    }

    fn projects(&mut self, root: &mut Table) {
        if let Some(Value::Table(projects)) = root.get_mut("projects") {
            let before = projects.len();
            projects.retain(|path, _| Path::new(path).starts_with("/workspace"));
            let dropped = before - projects.len();
            if dropped > 0 {
                let why = format!("dropped {dropped} of {before}, they are directories of the host");
                self.note("projects", why);
            }
        }
    }

    /// `agents.NAME.config_file`: Codex refuses to start without it.
    fn agents(&mut self, root: &mut Table) {
        if let Some(Value::Table(agents)) = root.get_mut("agents") {
            for (name, agent) in agents.iter_mut() {
                if let Value::Table(agent) = agent {
                    self.bring(agent, "config_file", &format!("agents.{name}."));
                }
            }
        }
    }

    /// `skills.config`: an entry names the skill that it is about by its path.
    fn skills(&mut self, root: &mut Table) {
        let entries = root.get_mut("skills").and_then(|skills| skills.get_mut("config"));
        if let Some(Value::Array(entries)) = entries {
            for entry in entries {
                if let Some(Value::String(path)) = entry.get_mut("path")
                    && let Some(inside) = self.inside(&self.resolve(path).to_string_lossy())
                {
                    *path = inside;
                }
            }
        }
    }

    /// `hooks.state`: the user's trust in a hook is kept under the path of the file that names it.
    fn hooks(&mut self, root: &mut Table) {
        let state = root.get_mut("hooks").and_then(|hooks| hooks.get_mut("state"));
        if let Some(Value::Table(state)) = state {
            let moved = std::mem::take(state).into_iter();
            *state = moved.map(|(key, value)| (self.inside(&key).unwrap_or(key), value)).collect();
        }
    }

    /// A path (or a key that starts with one) of the host's Codex home or `~/.agents`, as the container sees it.
    fn inside(&self, path: &str) -> Option<String> {
        [(self.host.home, INSIDE), (self.host.agents, AGENTS_INSIDE)].iter().find_map(|(host, inside)| {
            let rest = path.strip_prefix(host.to_str()?)?;
            rest.starts_with('/').then(|| format!("{inside}{rest}"))
        })
    }
}

#[cfg(test)]
mod tests;
