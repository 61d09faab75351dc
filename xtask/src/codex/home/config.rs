//! Edits Codex's own TOML files, so that paths and programs of the host do not stop Codex in the container.
//!
//! The keys are those of Codex 0.169.0 that hold a path or a program. The rest of the user's text is kept, with its
//! comments and its order; only the comment directly above a dropped key is dropped with it.

use super::text::{above, child, next, prefix, set, tables};
use super::{McpServer, note};
use crate::error::usage;
use crate::spec::Role;
use crate::spec::inside::{CODEX_HOME, WORKSPACE};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml_edit::{Decor, DocumentMut, Item, Key, TableLike, Value};

/// Keys that name a file without which Codex refuses to start.
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

/// Where the paths of a configuration lead on the host.
pub(super) struct Host<'a> {
    /// The Codex home of the host: relative paths start here.
    pub(super) home: &'a Path,
    /// `~/.agents`; its parent is `~`.
    pub(super) agents: &'a Path,
    /// The files that configurations name and that are copied too: the host's path, and the name below `brought-along/`.
    pub(super) brought: BTreeMap<PathBuf, String>,
}

/// The result of editing one file.
pub(super) struct Edited {
    pub(super) text: String,
    /// The enabled MCP servers that are programs.
    pub(super) mcp: Vec<McpServer>,
    pub(super) notes: Vec<String>,
}

/// The keys that say where Codex keeps logins.
pub(super) const STORES: [&str; 2] = ["cli_auth_credentials_store", "mcp_oauth_credentials_store"];

/// Parses one of Codex's TOML files. The error names the place and shows nothing of the text, which can hold keys.
pub(super) fn parse(path: &Path, text: &str) -> Result<DocumentMut> {
    text.parse::<DocumentMut>().map_err(|err| {
        let before = &text[..err.span().map_or(0, |span| text.floor_char_boundary(span.start))];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        usage(format!(
            "`{}` is not TOML: line {line}, column {column}: {}",
            path.display(),
            err.message().lines().next().unwrap_or_default()
        ))
        .hint("correct that file; `codex doctor` reads it too")
        .into()
    })
}

/// Edits the text of a file that lies at `path` on the host.
pub(super) fn edit(path: &Path, text: &str, host: &mut Host) -> Result<Edited> {
    let mut root = parse(path, text)?;
    let mut edit = Edit { path, host, notes: Vec::new(), orphans: String::new() };
    edit.layer(&mut *root, "");
    for (name, profile) in tables(&mut *root, "profiles") {
        edit.layer(profile, &format!("profiles.{name}."));
    }
    edit.stores(&mut *root);
    edit.projects(&mut *root);
    for (name, agent) in tables(&mut *root, "agents") {
        // Codex refuses to start without this file, too.
        edit.bring(agent, "config_file", &format!("agents.{name}."));
    }
    edit.skills(&mut *root);
    edit.hooks(&mut *root);
    let Edit { notes, orphans, .. } = edit;
    root.set_trailing(orphans + root.trailing().as_str().unwrap_or_default());
    Ok(Edited { mcp: servers(&*root), text: root.to_string(), notes })
}

fn servers(root: &dyn TableLike) -> Vec<McpServer> {
    let server = |(name, item): (&str, &Item)| {
        let server = item.as_table_like()?;
        let enabled = server.get("enabled").and_then(Item::as_bool) != Some(false);
        let command = server.get("command")?.as_str()?.to_owned();
        enabled.then(|| McpServer { name: name.to_owned(), command })
    };
    let servers = root.get("mcp_servers").and_then(Item::as_table_like);
    servers.into_iter().flat_map(TableLike::iter).filter_map(server).collect()
}

struct Edit<'a, 'h> {
    path: &'a Path,
    host: &'a mut Host<'h>,
    notes: Vec<String>,
    /// Comments that stood above a dropped key where no other key follows: they are moved to the end of the file.
    orphans: String,
}

impl Edit<'_, '_> {
    fn note(&mut self, key: &str, why: impl std::fmt::Display) {
        self.notes.push(note(format_args!("{}, `{key}`", self.path.display()), why));
    }

    /// Edits the keys that the file itself and each of its profiles can have.
    fn layer(&mut self, table: &mut dyn TableLike, prefix: &str) {
        for (key, why) in DROPPED {
            if self.remove(table, key) {
                self.note(&format!("{prefix}{key}"), why);
            }
        }
        for key in FILES {
            self.bring(table, key, prefix);
        }
    }

    /// Drops a key with the comment directly above it. A comment that a blank line separates from the key, such as the
    /// head of the file or of a section, is not about that key and is kept above the next one.
    fn remove(&mut self, table: &mut dyn TableLike, key: &str) -> bool {
        let next = next(table, key);
        let Some((mut name, item)) = table.get_key_value_mut(key) else { return false };
        let mut text = String::new();
        above(&mut name, item, |decor| text = prefix(decor));
        table.remove(key);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let blank = lines.iter().rposition(|line| line.trim().is_empty() && line.ends_with('\n'));
        let stays = lines[..blank.map_or(0, |at| at + 1)].concat();
        if stays.contains('#') {
            self.put(table, next, &stays);
        }
        true
    }

    /// Puts comments above an entry, or keeps them for the end of the file where there is no entry.
    fn put(&mut self, table: &mut dyn TableLike, key: Option<String>, text: &str) {
        let edit = |decor: &mut Decor| decor.set_prefix(format!("{text}{}", prefix(decor).trim_start_matches('\n')));
        let entry = key.as_deref().and_then(|key| table.get_key_value_mut(key));
        if !entry.is_some_and(|(mut name, item)| above(&mut name, item, edit)) {
            self.orphans.push_str(text);
        }
    }

    /// Rewrites a key that names a file of the host, and lists that file to be copied.
    fn bring(&mut self, table: &mut dyn TableLike, key: &str, prefix: &str) {
        let Some(value) = table.get(key).and_then(Item::as_str) else { return };
        let source = self.resolve(value);
        if !source.is_file() {
            let why = format!("left as it is, `{}` is not a file on this host", source.display());
            return self.note(&format!("{prefix}{key}"), why);
        }
        let next = self.host.brought.len() + 1;
        let base = source.file_name().unwrap_or_default().display();
        let name = self.host.brought.entry(source.clone()).or_insert_with(|| format!("{next}-{base}"));
        let inside = format!("{CODEX_HOME}/brought-along/{name}");
        self.note(&format!("{prefix}{key}"), format_args!("`{}` is copied to `{inside}`", source.display()));
        set(table, key, inside);
    }

    /// A path as Codex reads it: `~` is the user's home, a relative one starts at the Codex home.
    fn resolve(&self, value: &str) -> PathBuf {
        match (value.strip_prefix("~/"), self.host.agents.parent()) {
            (Some(rest), Some(user_home)) => user_home.join(rest),
            _ => self.host.home.join(value),
        }
    }

    /// Credential stores become files, because a container has no keyring.
    fn stores(&mut self, root: &mut dyn TableLike) {
        for key in STORES {
            if let Some(store @ ("keyring" | "auto")) = root.get(key).and_then(Item::as_str) {
                self.note(key, format!("`{store}` becomes `file`, a container has no keyring"));
                set(root, key, "file");
            }
        }
    }

    fn projects(&mut self, root: &mut dyn TableLike) {
        let Some(projects) = child(root, "projects") else { return };
        let all: Vec<String> = projects.iter().map(|(path, _)| path.to_owned()).collect();
        let of_host: Vec<&String> = all.iter().filter(|path| !Path::new(path).starts_with(WORKSPACE)).collect();
        let before = std::mem::take(&mut self.orphans);
        for path in &of_host {
            self.remove(projects, path);
        }
        let after = std::mem::replace(&mut self.orphans, before);
        if !after.is_empty() {
            let next = next(root, "projects");
            self.put(root, next, &after);
        }
        if !of_host.is_empty() {
            let why = format!("dropped {} of {}, they are directories of the host", of_host.len(), all.len());
            self.note("projects", why);
        }
    }

    /// `skills.config`: an entry names the skill that it is about by its path.
    fn skills(&self, root: &mut dyn TableLike) {
        let entries: Vec<&mut dyn TableLike> = match child(root, "skills").and_then(|skills| skills.get_mut("config")) {
            Some(Item::ArrayOfTables(tables)) => tables.iter_mut().map(|table| table as _).collect(),
            Some(Item::Value(Value::Array(values))) => {
                values.iter_mut().filter_map(Value::as_inline_table_mut).map(|table| table as _).collect()
            }
            _ => return,
        };
        for entry in entries {
            if let Some(path) = entry.get("path").and_then(Item::as_str)
                && let Some(inside) = self.inside(&self.resolve(path).to_string_lossy())
            {
                set(entry, "path", inside);
            }
        }
    }

    /// `hooks.state`: Codex stores the user's trust in a hook under the path of the file that names the hook.
    fn hooks(&self, root: &mut dyn TableLike) {
        let Some(state) = child(root, "hooks").and_then(|hooks| child(hooks, "state")) else { return };
        let names: Vec<String> = state.iter().map(|(name, _)| name.to_owned()).collect();
        let entries = names.iter().filter_map(|name| state.get_key_value(name));
        let entries: Vec<(Key, Item)> = entries.map(|(key, item)| (key.clone(), item.clone())).collect();
        state.clear();
        for (key, item) in entries {
            let key = match self.inside(key.get()) {
                Some(inside) => Key::new(inside)
                    .with_leaf_decor(key.leaf_decor().clone())
                    .with_dotted_decor(key.dotted_decor().clone()),
                None => key,
            };
            state.entry_format(&key).or_insert(item);
        }
    }

    /// A path (or a key that starts with one) of the host's Codex home or `~/.agents`, as the container sees it.
    fn inside(&self, path: &str) -> Option<String> {
        [(self.host.home, Role::CodexHome), (self.host.agents, Role::Agents)].iter().find_map(|(host, role)| {
            let rest = path.strip_prefix(host.to_str()?)?;
            rest.starts_with('/').then(|| format!("{}{rest}", role.inside().target))
        })
    }
}

/// For the fuzzer. What is written can be read, has none of the dropped keys, and is not changed a second time.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    super::secrets::fuzz(text);
    let path = Path::new("/nowhere/codex/config.toml");
    let once = |text: &str| {
        let agents = Path::new("/nowhere/agents");
        edit(path, text, &mut Host { home: Path::new("/nowhere/codex"), agents, brought: BTreeMap::new() })
    };
    let Ok(edited) = once(text) else { return };
    let again = parse(path, &edited.text);
    let Ok(again) = &again else { panic!("`{}` cannot be read again", edited.text) };
    for (key, _) in DROPPED {
        assert!(again.get(key).is_none(), "`{key}` is left in `{}`", edited.text);
    }
    let Ok(twice) = once(&edited.text) else { return };
    assert_eq!(twice.text, edited.text);
    assert_eq!(twice.mcp.len(), edited.mcp.len());
}

#[cfg(test)]
mod tests;
