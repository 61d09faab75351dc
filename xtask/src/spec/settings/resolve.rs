//! Resolves the layers of settings, strongest first. Pure.

use super::keys::{self, CPU_BASE, KEYS, Key, Shape, ShapeKind, ValueKind, default_of, unknown_word};
use super::layer::{Layer, scalar};
use super::values::valid_name;
use super::{Dataset, Flags, LOCAL_FILE, Origin, Settings, passed, sizes};
use crate::context::{Context, usable};
use crate::error::usage;
use crate::spec::words::{self, ConfigSecrets, Gpus, Login, Memories, Mode};
use crate::text;
use anyhow::Result;
use clap::ValueEnum;
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Resolves the layers, strongest first, with the flags above and the defaults below them.
///
/// # Errors
/// A value of the wrong kind, with the file and the key (exit code 2).
pub fn resolve(cx: &Context, flags: &Flags, files: &[Layer]) -> Result<Settings> {
    let project = &flags.project;
    let mut r = Resolver { cx, files, origins: Vec::new() };
    let named = |what: &'static str, paths: &[PathBuf]| -> Result<()> {
        Ok(paths.iter().try_for_each(|path| usable(what, &cx.absolute(path)))?)
    };
    named("the workspace", project.workspace.as_slice())?;
    named("the Codex", flags.codex.as_slice())?;
    named("the ground", &project.allow_ground)?;
    named("the git directory", &flags.git_alternates)?;
    named("what is confirmed,", &flags.confirm)?;
    for (name, dir) in project.datasets.iter().filter(|(_, dir)| !is_none(dir)) {
        usable(&format!("the data set `{}` at", text::name(name)), &cx.absolute(dir))?;
    }
    let workspace = r.path("workspace", project.workspace.as_ref())?.unwrap_or_else(|| cx.root.join("workspace"));
    let base = match project.cpu {
        true => r.note("base", CPU_BASE, "--cpu"),
        false => r.text("base", project.base.as_ref())?,
    };
    let cpu = project.cpu || base == CPU_BASE;
    if project.cpu && project.base.is_some() {
        return Err(usage("`--cpu` and `--base` exclude each other").hint("leave one of them out").into());
    }
    let implied = (cpu && project.gpus.is_none()).then_some(if project.cpu { "--cpu" } else { "base: cpu" });
    let shape = r.shape(flags, implied)?;
    let overruled = if cpu && !project.cpu { r.gpus_beside_base(project.gpus.is_some()) } else { None };
    let codex = r.path("codex", flags.codex.as_ref())?;
    let arch_list = r.text("arch_list", None)?;
    // The kind of the setting has refused every other word.
    let login = words::parse(&r.text("login", None)?).unwrap_or(Login::Lease);
    let memories = words::parse(&r.text("memories", None)?).unwrap_or(Memories::Drop);
    let config_secrets = words::parse(&r.text("config_secrets", None)?);
    shares_nothing_else(&shape, login, config_secrets)?;
    let caches = r.some("caches")?;
    let caches = if flags.no_caches { Vec::new() } else { caches };
    let env = r.names("env")?;
    let allow_ground = r.local_paths("allow_ground", &project.allow_ground)?;
    let git_alternates = r.local_paths("git_alternates", &flags.git_alternates)?;
    let datasets = r.datasets(&project.datasets)?;
    let origins = r.origins;
    Ok(Settings {
        workspace,
        datasets,
        base: (!cpu).then_some(base),
        arch_list,
        shape,
        codex,
        host_codex_home: cx.codex_home(),
        login,
        memories,
        config_secrets,
        caches,
        env,
        allow_ground,
        git_alternates,
        overruled,
        origins,
    })
}

/// # Errors
/// A Codex home that is shared has the login and the secrets which the settings refuse.
fn shares_nothing_else(shape: &Shape, login: Login, secrets: Option<ConfigSecrets>) -> Result<()> {
    let refused = match (shape.codex_home, login, secrets) {
        (Mode::Mirror | Mode::None, ..)
        | (Mode::Shared, Login::Lease | Login::Full, None | Some(ConfigSecrets::Pass)) => {
            return Ok(());
        }
        (Mode::Shared, Login::None, _) => "login: none",
        (Mode::Shared, _, Some(ConfigSecrets::Drop)) => "config_secrets: drop",
    };
    Err(usage(format!("`codex_home: shared` hands in all of your Codex home, and `{refused}` asks for less"))
        .hint("write `codex_home: mirror` or `none`, or take that setting away")
        .into())
}

struct Resolver<'a> {
    cx: &'a Context,
    files: &'a [Layer],
    origins: Vec<Origin>,
}

impl Resolver<'_> {
    /// Notes who said a value, and gives it back.
    fn note(&mut self, key: &str, value: &str, from: &str) -> String {
        self.origins.push(Origin { key: key.into(), value: value.into(), from: from.into() });
        value.to_owned()
    }

    fn in_files(&self, key: &str) -> Option<(&Layer, &Value)> {
        self.files.iter().find_map(|layer| layer.values.get(key).filter(|v| !v.is_null()).map(|v| (layer, v)))
    }

    /// The value of a setting as it was written, and who said so.
    fn said(&self, key: &str, flag: Option<&String>) -> Result<(String, String)> {
        Ok(match (flag, self.in_files(key)) {
            (Some(text), _) => (text.clone(), "flag".to_owned()),
            (None, Some((layer, value))) => (scalar(&layer.name, key, value)?, layer.name.clone()),
            (None, None) => (default_of(key).to_owned(), "default".to_owned()),
        })
    }

    fn text(&mut self, key: &str, flag: Option<&String>) -> Result<String> {
        let (value, from) = self.said(key, flag)?;
        if let Some(Key { kind: ValueKind::Text(kind), .. }) = keys::key(key) {
            kind.check(&given(key, &value, &from), &value)?;
        }
        self.note(key, &value, &from);
        Ok(value)
    }

    /// All that shapes the container, key by key of the table. A flag has the name of its key. `implied` is what implies
    /// that there are no GPUs.
    fn shape(&mut self, flags: &Flags, implied: Option<&str>) -> Result<Shape> {
        let flags = serde_json::to_value(flags)?;
        let mut shape = serde_json::Map::new();
        for key in KEYS {
            let ValueKind::Shape(kind) = key.kind else { continue };
            let flag = flags[key.name].as_str().map(str::to_owned);
            let (text, from) = match implied.filter(|_| matches!(kind, ShapeKind::Gpus)) {
                Some(implied) => (Gpus::None.to_string(), implied.to_owned()),
                None => self.said(key.name, flag.as_ref())?,
            };
            self.note(key.name, &text, &from);
            shape.insert(key.name.to_owned(), kind.read(&given(key.name, &text, &from), &text)?);
        }
        self.settle_memory(&mut shape)?;
        Ok(serde_json::from_value(shape.into())?)
    }

    /// What a file says of GPUs in vain, as a sentence: the one that says `base: cpu`, or a stronger one. A flag that asks for
    /// GPUs is heard.
    fn gpus_beside_base(&self, flag: bool) -> Option<String> {
        let at = |key: &str| self.files.iter().position(|layer| layer.values.get(key).is_some_and(|v| !v.is_null()));
        let (gpus, base) = (at("gpus").filter(|_| !flag)?, at("base").unwrap_or(usize::MAX));
        let (layer, value) = self.in_files("gpus").filter(|_| gpus <= base)?;
        let value = scalar(&layer.name, "gpus", value).ok().filter(|value| *value != Gpus::None.to_string())?;
        Some(format!("`gpus: {value}` in `{}` has no effect: `base: cpu` means `gpus: none`, write that", layer.name))
    }

    /// Replaces `auto` by what it comes to on this machine, also in what is shown.
    fn settle_memory(&mut self, shape: &mut serde_json::Map<String, serde_json::Value>) -> Result<()> {
        let written = |key: &str| {
            let origin = self.origins.iter().rev().find(|origin| origin.key == key);
            origin.map_or_else(String::new, |origin| given(key, &origin.value, &origin.from))
        };
        let (memory, shm) = (written("memory"), written("shm_size"));
        let written = sizes::Written { memory: &memory, shm: &shm };
        let (memory, shm) = sizes::settled(&shape["memory"], &shape["shm_size"], self.cx.memory, &written)?;
        for (key, bytes) in [("memory", memory), ("shm_size", Some(shm))] {
            let auto = self.origins.iter_mut().filter(|origin| origin.key == key && origin.value == sizes::AUTO);
            auto.zip(bytes).for_each(|(origin, bytes)| origin.value = format!("auto ({})", text::bytes(bytes)));
            shape.insert(key.to_owned(), bytes.into());
        }
        Ok(())
    }

    fn path(&mut self, key: &str, flag: Option<&PathBuf>) -> Result<Option<PathBuf>> {
        let (path, from) = match (flag, self.in_files(key)) {
            (Some(path), _) => (self.cx.absolute(path), "flag".to_owned()),
            (None, Some((layer, value))) => {
                (self.file_path(layer, &scalar(&layer.name, key, value)?)?, layer.name.clone())
            }
            (None, None) => return Ok(None),
        };
        self.note(key, &path.to_string_lossy(), &from);
        Ok(Some(path))
    }

    // A settings file is no shell, yet people write `~/data` in it.
    fn file_path(&self, layer: &Layer, text: &str) -> Result<PathBuf> {
        let path = match Path::new(text).strip_prefix("~") {
            Ok(rest) => self.cx.home.join(rest),
            Err(_) => layer.base_dir.join(text),
        };
        usable(&format!("the path in `{}`", layer.name), &path)?;
        Ok(path)
    }

    /// A list of plain values, and the file that has it.
    fn list(&self, key: &str) -> Result<Option<(Vec<String>, String)>> {
        let Some((layer, value)) = self.in_files(key) else {
            return Ok(None);
        };
        let file = layer.name.clone();
        let Value::Sequence(items) = value else {
            return Err(usage(format!("`{key}` in `{file}` is not a list of names"))
                .hint(format!("write it in brackets: `{key}: [NAME, NAME]`"))
                .into());
        };
        let names = items.iter().map(|item| scalar(&file, key, item)).collect::<Result<Vec<_>>>()?;
        Ok(Some((names, file)))
    }

    /// Some of the words that the setting knows, in their own order.
    fn some<T: ValueEnum>(&mut self, key: &str) -> Result<Vec<T>> {
        let (given, from) = match self.list(key)? {
            Some(said) => said,
            None => (default_of(key).split(", ").map(str::to_owned).collect(), "default".to_owned()),
        };
        if let Some(bad) = given.iter().find(|word| words::parse::<T>(word).is_none()) {
            let given = format!("`{bad}` in `{key}` of `{from}`");
            return Err(unknown_word(&given, bad, &words::words::<T>()).into());
        }
        let wanted: Vec<String> = words::words::<T>().into_iter().filter(|word| given.contains(word)).collect();
        self.note(key, if wanted.is_empty() { "none".to_owned() } else { wanted.join(", ") }.as_str(), &from);
        Ok(wanted.iter().filter_map(|word| words::parse(word)).collect())
    }

    /// Paths that a flag or the file of this host names: a file that came with the project has no say.
    fn local_paths(&mut self, key: &str, flags: &[PathBuf]) -> Result<Vec<PathBuf>> {
        for layer in self.files.iter().filter(|layer| layer.name != LOCAL_FILE) {
            if layer.values.get(key).is_some_and(|value| !value.is_null()) {
                return Err(usage(format!("`{key}` stands in `{}`", layer.name))
                    .hint(format!("only you can say it, for this host: write it into {LOCAL_FILE}"))
                    .into());
            }
        }
        let mut paths: Vec<PathBuf> = flags.iter().map(|path| self.cx.absolute(path)).collect();
        if let (Some((names, _)), Some((layer, _))) = (self.list(key)?, self.in_files(key)) {
            for name in &names {
                paths.push(self.file_path(layer, name)?);
            }
        }
        for path in &paths {
            let from = if flags.iter().any(|flag| self.cx.absolute(flag) == *path) { "flag" } else { LOCAL_FILE };
            self.note(key, &path.to_string_lossy(), from);
        }
        Ok(paths)
    }

    fn names(&mut self, key: &str) -> Result<Vec<String>> {
        let Some((names, file)) = self.list(key)? else {
            return Ok(Vec::new());
        };
        names.iter().enumerate().try_for_each(|(n, name)| passed::check(&file, n + 1, name))?;
        self.note(key, &names.join(", "), &file);
        Ok(names)
    }

    /// What a flag or a variable says of a data set.
    fn source(&self, dir: &Path) -> Source {
        if is_none(dir) { Source::NotWanted } else { Source::Dir(self.cx.absolute(dir)) }
    }

    fn datasets(&mut self, flags: &[(String, PathBuf)]) -> Result<Vec<Dataset>> {
        let mut sources: BTreeMap<String, (Source, String)> = BTreeMap::new();
        // Weakest first, so that the stronger overwrite; a bare declaration never removes a source.
        for layer in self.files.iter().rev() {
            let Some(value) = layer.values.get("datasets").filter(|value| !value.is_null()) else {
                continue;
            };
            let Value::Mapping(mapping) = value else {
                return Err(usage(format!("`datasets` in `{}` is not a mapping of names to directories", layer.name))
                    .hint("write `datasets: {ssv2: /data/ssv2}`")
                    .into());
            };
            for (name, dir) in mapping {
                let name = scalar(&layer.name, "datasets", name)?;
                let entry = sources.entry(name).or_insert((Source::Missing, layer.name.clone()));
                if !dir.is_null() {
                    let source = match scalar(&layer.name, "datasets", dir)?.as_str() {
                        NO_DATASET => Source::NotWanted,
                        dir => Source::Dir(self.file_path(layer, dir)?),
                    };
                    *entry = (source, layer.name.clone());
                }
            }
        }
        if let Some(dir) = self.cx.var("SSV2_DIR") {
            sources.insert("ssv2".into(), (self.source(Path::new(dir)), "SSV2_DIR".into()));
        }
        for (i, (name, dir)) in flags.iter().enumerate() {
            if dir.as_os_str().is_empty() {
                return Err(usage(format!("`--dataset {name}` has no directory"))
                    .hint("write it as `--dataset NAME=DIR`")
                    .into());
            }
            if flags[..i].iter().any(|(earlier, _)| earlier == name) {
                return Err(usage(format!("the data set `{name}` is given twice"))
                    .hint("each name stands once")
                    .into());
            }
            sources.insert(name.clone(), (self.source(dir), "flag".into()));
        }
        sources.entry("ssv2".into()).or_insert((Source::Missing, "default".into()));
        for (name, (source, from)) in &sources {
            check_name(name)?;
            let shown = match source {
                Source::Dir(path) => path.to_string_lossy().into_owned(),
                Source::Missing => "(no directory given)".to_owned(),
                Source::NotWanted => NO_DATASET.to_owned(),
            };
            self.note(&format!("datasets.{name}"), &shown, from);
        }
        let wanted = |(name, (source, _)): (String, (Source, String))| match source {
            Source::Dir(dir) => Some(Dataset { name, source: Some(dir) }),
            Source::Missing => Some(Dataset { name, source: None }),
            Source::NotWanted => None,
        };
        Ok(sources.into_iter().filter_map(wanted).collect())
    }
}

/// What stands in place of a directory where the sandbox is to have no such data set. A directory of that name is `./none`.
pub(crate) const NO_DATASET: &str = "none";

/// Whether that stands there.
pub(crate) fn is_none(dir: &Path) -> bool {
    dir.as_os_str() == NO_DATASET
}

/// What is said of a data set, as of the strongest who says anything but its name.
enum Source {
    Dir(PathBuf),
    /// It is declared, and nobody has given its directory yet.
    Missing,
    NotWanted,
}

/// How a value was written, and where.
fn given(key: &str, text: &str, from: &str) -> String {
    match from {
        "flag" => format!("`--{} {text}`", key.replace('_', "-")),
        file => format!("`{key}: {text}` in `{file}`"),
    }
}

fn check_name(name: &str) -> Result<()> {
    if valid_name(name) {
        return Ok(());
    }
    Err(usage(format!("`{name}` is not a name for a data set"))
        .hint("use lower-case letters, digits, `.`, `_` and `-`, starting with a letter or a digit")
        .into())
}
