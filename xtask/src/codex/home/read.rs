//! Reads the host's configuration of Codex, as values.

use super::config::{self, Host};
use super::secrets::{self, Secret, Secrets};
use super::write::OWN_SKILLS;
use super::{Item, Mirror, WHOLE, note};
use crate::beneath::{Beneath, FileId, Held, Refused, Why};
use crate::codex::login::{OwnLogin, WITHHELD};
use crate::error::{failed, usage};
use crate::exposed::{Exposed, NotOpened};
use crate::outside;
use crate::spec::words::ConfigSecrets;
use crate::text;
use anyhow::Result;
use rustix::fs::FileType;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Error, ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The most bytes that are copied: a configuration is no data set.
const MOST_BYTES: u64 = 64 << 20;

/// The most files that are copied.
const MOST_FILES: usize = 20_000;

/// How many of those that are left out are named.
const NAMED: usize = 10;

/// The deepest tree that is followed.
const DEEPEST: usize = 24;

const DANGLING: &str = "a symlink that leads nowhere";
const ENDLESS: &str = "a symlink that leads to a directory above, or a tree without end";

/// Reads what is copied from the host. `host_home` is its `CODEX_HOME`, `agents` its `~/.agents`; either may be missing.
///
/// Symlinks are followed: a configuration often lies in a repository of dotfiles. What cannot be read is left out, with a
/// note. Every directory is read by its handle, so that nothing takes its place meanwhile.
///
/// # Errors
/// A `config.toml` or a profile cannot be read or parsed, or a symlink leads through a directory that a sandbox can write.
pub(crate) fn read(host_home: &Path, agents: &Path, policy: ConfigSecrets, exposed: &Exposed) -> Result<Mirror> {
    let own = OwnLogin::of(host_home);
    let mut host = Host { home: host_home, agents, brought: BTreeMap::new() };
    let mut mirror = Mirror::default();
    let mut home = Collector::new(host_home, policy, false, (exposed, &own))?;
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
    let mut shared =
        Collector { bytes: home.bytes, count: home.count, ..Collector::new(agents, policy, false, (exposed, &own))? };
    for name in ["skills", "plugins"] {
        shared.take(Path::new(name))?;
    }
    let mut found = std::mem::take(&mut home.secrets);
    found.append(&mut shared.secrets);
    let secrets = Secrets { policy, found };
    let withheld: Vec<String> = home.withheld.drain(..).chain(shared.withheld.drain(..)).collect();
    let (files, mut notes, over) = home.finish();
    let (agents, more, more_over) = shared.finish();
    notes.extend(more);
    Ok(Mirror {
        files,
        agents,
        notes,
        secrets,
        over: withheld.into_iter().chain(over).chain(more_over).collect(),
        ..mirror
    })
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
    usage(format!("cannot read `{}`: {err}", text::path(path)))
        .hint("the sandbox would run without that part of your configuration: make it readable")
        .into()
}

/// Collects files below one directory of the host.
pub(super) struct Collector<'a> {
    root: PathBuf,
    exposed: &'a Exposed,
    /// The root, where it is there.
    dir: Option<Beneath>,
    /// The root and all above it: a link that leads to one of them would copy far more than was meant.
    around: Vec<FileId>,
    /// Whether a file that cannot be copied is an error rather than a note.
    strict: bool,
    pub(super) files: Vec<Item>,
    notes: Vec<String>,
    bytes: u64,
    count: usize,
    /// The first files that were left out because of the limits, by name.
    over: Vec<String>,
    /// How many more there are.
    more: usize,
    policy: ConfigSecrets,
    pub(super) secrets: Vec<Secret>,
    /// The host's login, which is never copied.
    own: &'a OwnLogin,
    /// A line for each file that is that login, or holds it.
    withheld: Vec<String>,
}

/// What was opened to be copied.
enum Opened {
    Dir(Beneath),
    /// A file; with its own name where a symlink led to it.
    File(fs::File, fs::Metadata, Option<PathBuf>),
}

impl Opened {
    fn of(held: &Held) -> Result<Opened, Refused> {
        match held.node().kind {
            FileType::Directory => held.dir().map(Opened::Dir),
            _ => held.file().map(|(file, meta)| Opened::File(file, meta, Some(held.real().to_owned()))),
        }
    }
}

impl<'a> Collector<'a> {
    /// `own` is the login of the host, of which no file is copied.
    pub(super) fn new(
        root: &Path,
        policy: ConfigSecrets,
        strict: bool,
        (exposed, own): (&'a Exposed, &'a OwnLogin),
    ) -> Result<Collector<'a>> {
        let held = match exposed.open(root) {
            Ok(held) => Some(held),
            Err(why @ NotOpened::Exposed(_)) => return Err(why.into()),
            Err(NotOpened::Refused(_)) => None,
        };
        let around = held.iter().flat_map(|held| [held.node().id].into_iter().chain(held.above().iter().copied()));
        Ok(Collector {
            root: root.to_owned(),
            exposed,
            around: around.collect(),
            dir: held.as_ref().and_then(|held| held.dir().ok()),
            strict,
            files: Vec::new(),
            notes: Vec::new(),
            bytes: 0,
            count: 0,
            over: Vec::new(),
            more: 0,
            policy,
            secrets: Vec::new(),
            own,
            withheld: Vec::new(),
        })
    }

    /// The files, sorted, the notes, and what is over the limits.
    fn finish(mut self) -> (Vec<Item>, Vec<String>, Option<String>) {
        let over = (!self.over.is_empty()).then(|| {
            let more = if self.more > 0 { format!(" and {} more", self.more) } else { String::new() };
            let (names, mib) = (self.over.join(", "), MOST_BYTES >> 20);
            let limits = format!("a sandbox takes {MOST_FILES} files and {mib} MiB of configuration");
            note(self.root.display(), format_args!("left out, {limits}: {names}{more}"))
        });
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        (self.files, self.notes, over)
    }

    fn left_out(&mut self, path: &Path, why: impl std::fmt::Display) -> Result<()> {
        if self.strict {
            return Err(failed(format!("cannot copy `{}`: {why}", text::path(path)))
                .hint("the rules that this host sets for Codex must hold in the sandbox, all of them")
                .into());
        }
        self.notes.push(note(path.display(), format_args!("left out, {why}")));
        Ok(())
    }

    fn config(&mut self, name: &str, host: &mut Host, mirror: &mut Mirror) -> Result<()> {
        let path = self.root.join(name);
        let failed = |err: Error| unreadable(&path, &err);
        let bytes = match self.found(Path::new(name))? {
            Ok(Some(Opened::File(file, meta, _))) => {
                let bytes = outside::all_of(&file, outside::WRITTEN).map_err(failed)?;
                if self.own.is_in(&meta, &bytes) {
                    return self.withhold(&path);
                }
                str::from_utf8(&bytes).map_err(|err| failed(Error::other(err)))?;
                bytes
            }
            Ok(Some(Opened::Dir(_))) => return self.left_out(&path, "not a file"),
            Ok(None) => return self.left_out(&path, DANGLING),
            Err(Refused { why: Why::Failed(err), .. }) => return Err(failed(err)),
            Err(_) => return self.left_out(&path, "not a file"),
        };
        let text = match self.screened(&[&path], bytes).map(String::from_utf8) {
            Some(Ok(text)) => text,
            Some(Err(_)) | None => return self.left_out(&path, "it holds secrets, and is not TOML"),
        };
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

    /// Opens what lies at a path below the root: on the way from the root's handle where it is no symlink, else by what
    /// it leads to. `None` where that is missing. The outer error ends it all.
    fn found(&self, below: &Path) -> Result<Result<Option<Opened>, Refused>> {
        let Some(dir) = &self.dir else { return Ok(Ok(None)) };
        match dir.look(below) {
            Ok(Some(node)) => self.child(dir, below, node.kind),
            Err(refused) if matches!(refused.why, Why::Symlink) => self.followed(&self.root.join(below)),
            Ok(None) => Ok(Ok(None)),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Opens what lies at a path below a directory, and is of this kind.
    fn child(&self, dir: &Beneath, below: &Path, kind: FileType) -> Result<Result<Option<Opened>, Refused>> {
        // Some file systems do not tell the kind in the list of names.
        let kind = match kind {
            FileType::Unknown => dir.look(below).ok().flatten().map_or(kind, |node| node.kind),
            kind => kind,
        };
        Ok(match kind {
            FileType::Symlink => return self.followed(&dir.path().join(below)),
            FileType::Directory => dir.open_dir(below).map(|dir| dir.map(Opened::Dir)),
            _ => dir.file(below).map(|file| file.map(|(file, meta)| Opened::File(file, meta, None))),
        })
    }

    /// Opens what a path leads to, unless a sandbox can have written on the way.
    fn followed(&self, path: &Path) -> Result<Result<Option<Opened>, Refused>> {
        match self.exposed.open(path) {
            Ok(held) => Ok(Opened::of(&held).map(Some)),
            Err(why @ NotOpened::Exposed(_)) => Err(why.into()),
            Err(NotOpened::Refused(Refused { why: Why::Failed(err), .. })) if err.kind() == ErrorKind::NotFound => {
                Ok(Ok(None))
            }
            Err(NotOpened::Refused(refused)) => Ok(Err(refused)),
        }
    }

    /// Copies a file or a tree below the root, which may be missing.
    fn take(&mut self, below: &Path) -> Result<()> {
        let path = self.root.join(below);
        match fs::symlink_metadata(&path) {
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
            _ => {
                let found = self.found(below)?;
                self.copy(found, &path, below, &mut Vec::new())
            }
        }
    }

    /// Copies what lies at `source`, anywhere on the host, to the relative path `below`.
    pub(super) fn entry(&mut self, source: &Path, below: &Path, above: &mut Vec<FileId>) -> Result<()> {
        let found = self.followed(source)?;
        self.copy(found, source, below, above)
    }

    /// Copies what was opened. `above` are the directories on the way, by which a loop of symlinks is recognized.
    fn copy(
        &mut self,
        found: Result<Option<Opened>, Refused>,
        source: &Path,
        below: &Path,
        above: &mut Vec<FileId>,
    ) -> Result<()> {
        match found {
            Ok(Some(Opened::Dir(dir))) => self.dir(&dir, source, below, above),
            Ok(Some(Opened::File(file, meta, real))) => self.file((file, &meta), source, real.as_deref(), below),
            Ok(None) => self.left_out(source, DANGLING),
            Err(Refused { why: Why::Failed(err), .. }) => self.left_out(source, err),
            Err(Refused { why: Why::Symlink, .. }) => self.left_out(source, ENDLESS),
            Err(Refused { why: Why::Fifo | Why::Special, .. }) => {
                self.left_out(source, "neither a file nor a directory")
            }
            Err(refused) => self.left_out(source, refused),
        }
    }

    /// Leaves out the host's login, with a line at each entry; where all must be copied, that is an error.
    fn withhold(&mut self, path: &Path) -> Result<()> {
        if self.strict {
            return self.left_out(path, WITHHELD);
        }
        self.withheld.push(note(path.display(), format_args!("left out, {WITHHELD}")));
        Ok(())
    }

    /// `real` is where a symlink led to.
    fn file(
        &mut self,
        (file, meta): (fs::File, &fs::Metadata),
        source: &Path,
        real: Option<&Path>,
        below: &Path,
    ) -> Result<()> {
        if self.bytes + meta.len() > MOST_BYTES || self.count >= MOST_FILES {
            match self.over.len() < NAMED {
                true => self.over.push(text::path(below)),
                false => self.more += 1,
            }
            return if self.strict { self.left_out(source, "too much") } else { Ok(()) };
        }
        let mut bytes = Vec::new();
        if let Err(err) = file.take(MOST_BYTES - self.bytes).read_to_end(&mut bytes) {
            return self.left_out(source, err);
        }
        if self.own.is_in(meta, &bytes) {
            return self.withhold(source);
        }
        self.bytes += bytes.len() as u64;
        self.count += 1;
        let executable = meta.permissions().mode() & 0o100 != 0;
        let names: Vec<&Path> = [source].into_iter().chain(real).collect();
        let Some(bytes) = self.screened(&names, bytes) else {
            let is_rule = below.starts_with("rules") || below.components().count() == 1;
            return match self.strict && is_rule {
                true => self.left_out(source, "it is taken for a secret, and may hold rules"),
                false => Ok(()),
            };
        };
        self.files.push(Item { path: below.to_owned(), bytes, executable });
        Ok(())
    }

    /// Notes the secrets of a file, and gives what goes in of it.
    ///
    /// The first of the names is the one by which they are told.
    fn screened(&mut self, names: &[&Path], bytes: Vec<u8>) -> Option<Vec<u8>> {
        let looked = secrets::look(names, bytes, self.policy);
        let file = names.first().copied().unwrap_or(Path::new(""));
        self.secrets.extend(looked.keys.into_iter().map(|key| Secret { file: file.to_owned(), key }));
        looked.bytes
    }

    fn dir(&mut self, dir: &Beneath, source: &Path, below: &Path, above: &mut Vec<FileId>) -> Result<()> {
        if !self.strict && below == Path::new(OWN_SKILLS) {
            return Ok(());
        }
        if !self.strict && source.ends_with(".git") {
            return self.left_out(source, "the history of a repository is no configuration");
        }
        let id = dir.node().id;
        let own = self.strict && below.as_os_str().is_empty();
        if !own && (above.contains(&id) || above.len() >= DEEPEST || self.around.contains(&id)) {
            return self.left_out(source, ENDLESS);
        }
        let names = match dir.names() {
            Err(err) => return self.left_out(source, err),
            Ok(names) => names,
        };
        above.push(id);
        for (name, kind) in names {
            let found = self.child(dir, Path::new(&name), kind)?;
            self.copy(found, &source.join(&name), &below.join(&name), above)?;
        }
        above.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
