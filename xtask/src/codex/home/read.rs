//! Reads the host's configuration of Codex, as values.

use super::config::{self, Brought, Host};
use super::{Item, McpServer, Mirror, Note, WHOLE};
use crate::context::resolved;
use crate::error::failed;
use anyhow::Result;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The most bytes that go in: a configuration, not a data set.
const MOST_BYTES: u64 = 64 << 20;

/// The most files that go in.
const MOST_FILES: usize = 20_000;

/// The deepest tree that is followed.
const DEEPEST: usize = 24;

/// What is left out without a word, because Codex writes it itself at its next start.
const REWRITTEN: [&str; 1] = ["skills/.system"];

/// Reads what goes in from the host. `host_home` is its `CODEX_HOME`, `agents` its `~/.agents`; either may be missing.
///
/// Symlinks are followed: a configuration often lives in a repository of dotfiles. What cannot be read is left out
/// with a note. Fails where a `config.toml` or a profile cannot be read or parsed.
pub fn read(host_home: &Path, agents: &Path) -> Result<Mirror> {
    let host = Host { home: host_home, agents };
    let mut mirror = Mirror::default();
    let mut brought = Brought::new();
    let mut home = Collector::new(host_home);
    for name in configs(host_home)? {
        home.config(&name, &host, &mut brought, &mut mirror.mcp)?;
    }
    for name in WHOLE.into_iter().chain(["plugins/cache"]) {
        home.take(Path::new(name))?;
    }
    roles(&mut home, &host, &mut brought);
    for (source, name) in brought {
        home.entry(&source, &Path::new("brought-along").join(name), &mut Vec::new())?;
    }
    let mut shared = Collector::new(agents);
    (shared.bytes, shared.count) = (home.bytes, home.count);
    for name in ["skills", "plugins"] {
        shared.take(Path::new(name))?;
    }
    mirror.notes = home.finish(&mut mirror.files);
    mirror.notes.extend(shared.finish(&mut mirror.agents));
    Ok(mirror)
}

/// `config.toml` first, then the profiles by name.
fn configs(host_home: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = match fs::read_dir(host_home) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(unreadable(host_home, &err)),
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name == "config.toml" || name.ends_with(".config.toml"))
            .collect(),
    };
    names.sort_by_key(|name| (name != "config.toml", name.clone()));
    Ok(names)
}

/// The roles of `agents/` have the keys of a configuration. One that is not TOML goes in as it is.
fn roles(home: &mut Collector, host: &Host, brought: &mut Brought) {
    let Collector { root, files, notes, .. } = home;
    let is_role = |file: &&mut Item| {
        file.path.starts_with("agents") && file.path.extension().is_some_and(|extension| extension == "toml")
    };
    for file in files.iter_mut().filter(is_role) {
        let path = root.join(&file.path);
        let edited =
            std::str::from_utf8(&file.bytes).ok().and_then(|text| config::edit(&path, text, host, brought).ok());
        match edited {
            None => notes.push(Note::path(&path, "left as it is, it is not TOML")),
            Some(edited) if edited.notes.is_empty() => {}
            Some(edited) => {
                file.bytes = edited.text.into_bytes();
                notes.extend(edited.notes);
            }
        }
    }
}

pub(super) fn unreadable(path: &Path, err: &std::io::Error) -> anyhow::Error {
    failed(format!("cannot read `{}`: {err}", path.display()))
        .hint("the sandbox would run without that part of your configuration: make it readable")
        .into()
}

/// Collects files below one directory of the host.
pub(super) struct Collector {
    root: PathBuf,
    /// The root with its symlinks resolved: a link that leads to it or above would take in far more than was meant.
    real_root: PathBuf,
    /// Whether anything that cannot be taken is an error rather than a note.
    strict: bool,
    pub(super) files: Vec<Item>,
    notes: Vec<Note>,
    bytes: u64,
    count: usize,
    over: usize,
}

impl Collector {
    pub(super) fn new(root: &Path) -> Collector {
        Collector {
            root: root.to_owned(),
            real_root: resolved(root),
            strict: false,
            files: Vec::new(),
            notes: Vec::new(),
            bytes: 0,
            count: 0,
            over: 0,
        }
    }

    pub(super) fn strict(root: &Path) -> Collector {
        Collector { strict: true, ..Collector::new(root) }
    }

    /// The files into `into`; returns the notes.
    fn finish(mut self, into: &mut Vec<Item>) -> Vec<Note> {
        if self.over > 0 {
            let why = format!(
                "{} files left out, a sandbox takes {MOST_FILES} files and {} MiB of configuration",
                self.over,
                MOST_BYTES >> 20
            );
            self.notes.push(Note::path(&self.root, why));
        }
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        *into = self.files;
        self.notes
    }

    fn left_out(&mut self, path: &Path, why: &str) -> Result<()> {
        if self.strict {
            return Err(failed(format!("cannot take `{}` along: {why}", path.display()))
                .hint("the rules that this host sets for Codex must hold in the sandbox, all of them")
                .into());
        }
        self.notes.push(Note::path(path, format!("left out, {why}")));
        Ok(())
    }

    fn config(&mut self, name: &str, host: &Host, brought: &mut Brought, mcp: &mut Vec<McpServer>) -> Result<()> {
        let path = self.root.join(name);
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {}
            Err(err) if err.kind() == ErrorKind::NotFound => {
                return self.left_out(&path, "a symlink that leads nowhere");
            }
            Err(err) => return Err(unreadable(&path, &err)),
            Ok(_) => return self.left_out(&path, "not a file"),
        }
        let text = fs::read_to_string(&path).map_err(|err| unreadable(&path, &err))?;
        let edited = config::edit(&path, &text, host, brought)?;
        for server in edited.mcp {
            if !mcp.iter().any(|known| known.name == server.name) {
                mcp.push(server);
            }
        }
        self.notes.extend(edited.notes);
        self.files.push(Item { path: name.into(), bytes: edited.text.into_bytes(), executable: false });
        Ok(())
    }

    /// Takes a file or a tree below the root; missing is fine.
    pub(super) fn take(&mut self, below: &Path) -> Result<()> {
        let path = self.root.join(below);
        match fs::symlink_metadata(&path) {
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
            _ => self.entry(&path, below, &mut Vec::new()),
        }
    }

    /// Takes what lies at `source` as `below`. `above` are the real directories on the way, which end a circle of links.
    pub(super) fn entry(&mut self, source: &Path, below: &Path, above: &mut Vec<PathBuf>) -> Result<()> {
        let meta = match fs::metadata(source) {
            Ok(meta) => meta,
            Err(err) if err.kind() == ErrorKind::NotFound => {
                return self.left_out(source, "a symlink that leads nowhere");
            }
            Err(err) => return self.left_out(source, &err.to_string()),
        };
        if meta.is_dir() {
            return self.dir(source, below, above);
        }
        if !meta.is_file() {
            return self.left_out(source, "neither a file nor a directory");
        }
        if self.bytes + meta.len() > MOST_BYTES || self.count >= MOST_FILES {
            self.over += 1;
            return if self.strict { self.left_out(source, "too much") } else { Ok(()) };
        }
        let mut bytes = Vec::new();
        let left = MOST_BYTES - self.bytes;
        match fs::File::open(source).and_then(|file| file.take(left).read_to_end(&mut bytes)) {
            Err(err) => self.left_out(source, &err.to_string()),
            Ok(_) => {
                self.bytes += bytes.len() as u64;
                self.count += 1;
                self.files.push(Item {
                    path: below.to_owned(),
                    bytes,
                    executable: meta.permissions().mode() & 0o100 != 0,
                });
                Ok(())
            }
        }
    }

    fn dir(&mut self, source: &Path, below: &Path, above: &mut Vec<PathBuf>) -> Result<()> {
        if !self.strict && REWRITTEN.iter().any(|name| below == Path::new(name)) {
            return Ok(());
        }
        if !self.strict && source.file_name().is_some_and(|name| name == ".git") {
            return self.left_out(source, "the history of a repository is no configuration");
        }
        let entries = match fs::read_dir(source).and_then(Iterator::collect::<std::io::Result<Vec<_>>>) {
            Err(err) => return self.left_out(source, &err.to_string()),
            Ok(entries) => entries,
        };
        let real = resolved(source);
        let own = self.strict && below.as_os_str().is_empty();
        if !own && (above.contains(&real) || above.len() >= DEEPEST || self.real_root.starts_with(&real)) {
            return self.left_out(source, "a symlink that leads to a directory above, or a tree without end");
        }
        above.push(real);
        for entry in entries {
            self.entry(&entry.path(), &below.join(entry.file_name()), above)?;
        }
        above.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
