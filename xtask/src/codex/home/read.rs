//! Reads the host's configuration of Codex, as values.

use super::config::{self, Host};
use super::write::OWN_SKILLS;
use super::{Item, Mirror, WHOLE, note};
use crate::context::resolved;
use crate::error::failed;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Error, ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The most bytes that are copied: a configuration is no data set.
const MOST_BYTES: u64 = 64 << 20;

/// The most files that are copied.
const MOST_FILES: usize = 20_000;

/// The deepest tree that is followed.
const DEEPEST: usize = 24;

const DANGLING: &str = "a symlink that leads nowhere";

/// Reads what is copied from the host. `host_home` is its `CODEX_HOME`, `agents` its `~/.agents`; either may be missing.
///
/// Symlinks are followed: a configuration often lies in a repository of dotfiles. What cannot be read is left out, with a
/// note.
///
/// # Errors
/// A `config.toml` or a profile cannot be read or parsed.
pub(crate) fn read(host_home: &Path, agents: &Path) -> Result<Mirror> {
    let mut host = Host { home: host_home, agents, brought: BTreeMap::new() };
    let mut mirror = Mirror::default();
    let mut home = Collector::new(host_home, false);
    for name in configs(host_home)? {
        home.config(&name, &mut host, &mut mirror)?;
    }
    for name in WHOLE.into_iter().chain(["plugins/cache"]) {
        home.take(Path::new(name))?;
    }
    home.roles(&mut host);
    for (source, name) in host.brought {
        home.entry(&source, &Path::new("brought-along").join(name), &mut Vec::new())?;
    }
    let mut shared = Collector { bytes: home.bytes, count: home.count, ..Collector::new(agents, false) };
    for name in ["skills", "plugins"] {
        shared.take(Path::new(name))?;
    }
    (mirror.files, mirror.notes) = home.finish();
    let notes;
    (mirror.agents, notes) = shared.finish();
    mirror.notes.extend(notes);
    Ok(mirror)
}

/// The names of `config.toml`, which comes first, and of the profiles.
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

pub(super) fn unreadable(path: &Path, err: &Error) -> anyhow::Error {
    failed(format!("cannot read `{}`: {err}", path.display()))
        .hint("the sandbox would run without that part of your configuration: make it readable")
        .into()
}

/// Collects files below one directory of the host.
pub(super) struct Collector {
    root: PathBuf,
    /// The root with its symlinks resolved: a link that leads to it or above would copy far more than was meant.
    real_root: PathBuf,
    /// Whether a file that cannot be copied is an error rather than a note.
    strict: bool,
    pub(super) files: Vec<Item>,
    notes: Vec<String>,
    bytes: u64,
    count: usize,
    /// The number of files that were left out because of the limits.
    over: usize,
}

impl Collector {
    pub(super) fn new(root: &Path, strict: bool) -> Collector {
        Collector {
            root: root.to_owned(),
            real_root: resolved(root),
            strict,
            files: Vec::new(),
            notes: Vec::new(),
            bytes: 0,
            count: 0,
            over: 0,
        }
    }

    /// The files, sorted, and the notes.
    fn finish(mut self) -> (Vec<Item>, Vec<String>) {
        if self.over > 0 {
            let (over, mib) = (self.over, MOST_BYTES >> 20);
            let why =
                format!("{over} files left out, a sandbox takes {MOST_FILES} files and {mib} MiB of configuration");
            self.notes.push(note(self.root.display(), why));
        }
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        (self.files, self.notes)
    }

    fn left_out(&mut self, path: &Path, why: impl std::fmt::Display) -> Result<()> {
        if self.strict {
            return Err(failed(format!("cannot copy `{}`: {why}", path.display()))
                .hint("the rules that this host sets for Codex must hold in the sandbox, all of them")
                .into());
        }
        self.notes.push(note(path.display(), format_args!("left out, {why}")));
        Ok(())
    }

    fn config(&mut self, name: &str, host: &mut Host, mirror: &mut Mirror) -> Result<()> {
        let path = self.root.join(name);
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => return self.left_out(&path, "not a file"),
            Err(err) if err.kind() == ErrorKind::NotFound => return self.left_out(&path, DANGLING),
            Err(err) => return Err(unreadable(&path, &err)),
        }
        let text = fs::read_to_string(&path).map_err(|err| unreadable(&path, &err))?;
        let edited = config::edit(&path, &text, host)?;
        for server in edited.mcp {
            if !mirror.mcp.iter().any(|known| known.name == server.name) {
                mirror.mcp.push(server);
            }
        }
        self.notes.extend(edited.notes);
        self.files.push(Item::plain(name, edited.text));
        Ok(())
    }

    /// Edits the roles in `agents/`, which have the keys of a configuration. One that is not TOML is copied as it is.
    fn roles(&mut self, host: &mut Host) {
        for file in &mut self.files {
            if !file.path.starts_with("agents") || file.path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let path = self.root.join(&file.path);
            match str::from_utf8(&file.bytes).ok().and_then(|text| config::edit(&path, text, host).ok()) {
                None => self.notes.push(note(path.display(), "left as it is, it is not TOML")),
                Some(edited) if edited.notes.is_empty() => {}
                Some(edited) => {
                    file.bytes = edited.text.into_bytes();
                    self.notes.extend(edited.notes);
                }
            }
        }
    }

    /// Copies a file or a tree below the root, which may be missing.
    fn take(&mut self, below: &Path) -> Result<()> {
        let path = self.root.join(below);
        match fs::symlink_metadata(&path) {
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
            _ => self.entry(&path, below, &mut Vec::new()),
        }
    }

    /// Copies what lies at `source` to the relative path `below`. `above` are the real directories on the way, by which a
    /// loop of symlinks is recognized.
    pub(super) fn entry(&mut self, source: &Path, below: &Path, above: &mut Vec<PathBuf>) -> Result<()> {
        let meta = match fs::metadata(source) {
            Ok(meta) => meta,
            Err(err) if err.kind() == ErrorKind::NotFound => return self.left_out(source, DANGLING),
            Err(err) => return self.left_out(source, err),
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
        if let Err(err) = fs::File::open(source).and_then(|file| file.take(left).read_to_end(&mut bytes)) {
            return self.left_out(source, err);
        }
        self.bytes += bytes.len() as u64;
        self.count += 1;
        let executable = meta.permissions().mode() & 0o100 != 0;
        self.files.push(Item { path: below.to_owned(), bytes, executable });
        Ok(())
    }

    fn dir(&mut self, source: &Path, below: &Path, above: &mut Vec<PathBuf>) -> Result<()> {
        if !self.strict && below == Path::new(OWN_SKILLS) {
            return Ok(());
        }
        if !self.strict && source.ends_with(".git") {
            return self.left_out(source, "the history of a repository is no configuration");
        }
        let entries = match fs::read_dir(source).and_then(Iterator::collect::<Result<Vec<_>, Error>>) {
            Err(err) => return self.left_out(source, err),
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
