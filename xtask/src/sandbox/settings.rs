//! The settings of a sandbox, resolved: flag > environment > `sandbox.local.yaml` > `sandbox.yaml` > default.
//!
//! Everything here is pure: texts and values in, settings out. `load` at the end reads the two files.

use crate::cli::Flags;
use crate::context::Context;
use crate::error::{Failure, usage};
use crate::sandbox::codex_home::Mode;
use crate::sandbox::promise::{Gpus, Memlock, Network};
use crate::sandbox::sources::valid_name;
use anyhow::{Context as _, Result};
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The default base image, NVIDIA's PyTorch build that knows sm_120.
pub const DEFAULT_BASE: &str = "nvcr.io/nvidia/pytorch:25.01-py3";

const KEYS: &[&str] = &[
    "workspace",
    "datasets",
    "base",
    "arch_list",
    "gpus",
    "network",
    "codex",
    "codex_home",
    "shm_size",
    "pids_limit",
    "memlock",
    "env",
];

/// A data set by name; without a source it is declared but not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// `[a-z0-9][a-z0-9._-]*`
    pub name: String,
    /// The directory on the host, absolute, as the user wrote it otherwise.
    pub source: Option<PathBuf>,
}

/// A resolved setting for `--dry-run`: what, which value, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The key of `sandbox.yaml`.
    pub key: String,
    /// The value as text.
    pub value: String,
    /// `flag`, a variable's name, a file's name, or `default`.
    pub from: String,
}

/// The settings of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The research project, absolute.
    pub workspace: PathBuf,
    /// The data sets, by name.
    pub datasets: Vec<Dataset>,
    /// The base image; `None` means the CPU base that is made from Debian packages.
    pub base: Option<String>,
    /// The value of `TORCH_CUDA_ARCH_LIST` in the image.
    pub arch_list: String,
    /// The GPUs.
    pub gpus: Gpus,
    /// The network.
    pub network: Network,
    /// The host's Codex, where it is not the one on `PATH`.
    pub codex: Option<PathBuf>,
    /// How the host's Codex home reaches the container.
    pub codex_home: Mode,
    /// The host's Codex home: `CODEX_HOME` or `~/.codex`.
    pub host_codex_home: PathBuf,
    /// The size of `/dev/shm`, in bytes.
    pub shm_bytes: u64,
    /// The most processes.
    pub pids_limit: u64,
    /// The memory that a sandbox with GPUs may lock.
    pub memlock: Memlock,
    /// Variables that pass from the user's environment to Codex, by name.
    pub env: Vec<String>,
    /// Where each setting came from.
    pub origins: Vec<Origin>,
}

/// One layer of settings: the value of each key that it sets.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    name: String,
    base_dir: PathBuf,
    values: BTreeMap<String, Value>,
}

/// Parses a settings file. Unknown keys are errors that name the nearest key.
///
/// # Errors
/// Not YAML, not a mapping, an unknown key (exit code 2).
pub fn parse(name: &str, base_dir: &Path, text: &str) -> Result<Layer> {
    let value: Value = serde_yaml::from_str(text).map_err(|err| {
        usage(format!("`{name}` is not valid YAML: {err}")).hint("mend it; its comments explain each key")
    })?;
    let mut values = BTreeMap::new();
    match value {
        Value::Null => {}
        Value::Mapping(mapping) => {
            for (key, value) in mapping {
                let key = key.as_str().unwrap_or_default().to_owned();
                if !KEYS.contains(&key.as_str()) {
                    return Err(unknown_key(name, &key).into());
                }
                values.insert(key, value);
            }
        }
        _ => return Err(usage(format!("`{name}` is not a mapping of settings")).into()),
    }
    Ok(Layer {
        name: name.to_owned(),
        base_dir: base_dir.to_path_buf(),
        values,
    })
}

fn unknown_key(file: &str, key: &str) -> Failure {
    let failure = usage(format!("`{file}` has an unknown setting `{key}`"));
    match nearest(key, KEYS) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint(format!("the settings are: {}", KEYS.join(", "))),
    }
}

/// The nearest of some names, if it is near.
pub fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    names
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Resolves the layers, strongest first, with the flags above and the defaults below them.
///
/// # Errors
/// A value of the wrong kind, with the file and the key (exit code 2).
pub fn resolve(cx: &Context, flags: &Flags, files: &[Layer]) -> Result<Settings> {
    let mut r = Resolver {
        cx,
        files,
        origins: Vec::new(),
    };
    let workspace = r
        .path("workspace", flags.workspace.as_ref())?
        .unwrap_or_else(|| cx.root.join("workspace"));
    let cpu = flags.cpu;
    let base = r.text("base", flags.base.as_ref(), DEFAULT_BASE)?;
    if cpu && flags.base.is_some() {
        return Err(usage("`--cpu` and `--base` exclude each other")
            .hint("leave one of them out")
            .into());
    }
    let gpus = parse_gpus(&if cpu && flags.gpus.is_none() {
        r.note("gpus", "none", "--cpu");
        "none".to_owned()
    } else {
        r.text("gpus", flags.gpus.as_ref(), "all")?
    })?;
    let network = match r.text("network", flags.network.as_ref(), "open")?.as_str() {
        "open" => Network::Open,
        "none" => Network::None,
        other => {
            return Err(usage(format!("`network: {other}` is not a network"))
                .hint("use `open` or `none`")
                .into());
        }
    };
    let codex_home: Mode = r
        .text("codex_home", flags.codex_home.as_ref(), "mirror")?
        .parse()
        .map_err(|err| usage(format!("`codex_home`: {err}")).hint("`mirror` is the default"))?;
    let codex = r.path("codex", flags.codex.as_ref())?;
    let arch_list = r.text("arch_list", None, "12.0")?;
    let shm_bytes = parse_bytes(&r.text("shm_size", None, "32gb")?)?;
    let pids_limit = parse_number("pids_limit", &r.text("pids_limit", None, "8192")?)?;
    let memlock = match r.text("memlock", None, "unlimited")?.as_str() {
        "unlimited" => Memlock::Unlimited,
        "engine" => Memlock::Engine,
        other => {
            return Err(usage(format!("`memlock: {other}` is not a limit of locked memory"))
                .hint("use `unlimited`, or `engine` for what the engine gives by itself")
                .into());
        }
    };
    let env = r.names("env")?;
    let datasets = r.datasets(flags)?;
    let origins = r.origins;
    Ok(Settings {
        workspace,
        datasets,
        base: (!cpu).then_some(base),
        arch_list,
        gpus,
        network,
        codex,
        codex_home,
        host_codex_home: cx
            .var("CODEX_HOME")
            .map_or_else(|| cx.home.join(".codex"), |dir| cx.absolute(Path::new(dir))),
        shm_bytes,
        pids_limit,
        memlock,
        env,
        origins,
    })
}

struct Resolver<'a> {
    cx: &'a Context,
    files: &'a [Layer],
    origins: Vec<Origin>,
}

impl Resolver<'_> {
    fn note(&mut self, key: &str, value: &str, from: &str) {
        self.origins.push(Origin {
            key: key.into(),
            value: value.into(),
            from: from.into(),
        });
    }

    fn in_files(&self, key: &str) -> Option<(&Layer, &Value)> {
        self.files
            .iter()
            .find_map(|layer| layer.values.get(key).filter(|v| !v.is_null()).map(|v| (layer, v)))
    }

    fn text(&mut self, key: &str, flag: Option<&String>, default: &str) -> Result<String> {
        let (value, from) = match (flag, self.in_files(key)) {
            (Some(text), _) => (text.clone(), "flag".to_owned()),
            (None, Some((layer, value))) => (scalar(&layer.name, key, value)?, layer.name.clone()),
            (None, None) => (default.to_owned(), "default".to_owned()),
        };
        self.note(key, &value, &from);
        Ok(value)
    }

    fn path(&mut self, key: &str, flag: Option<&PathBuf>) -> Result<Option<PathBuf>> {
        let (path, from) = match (flag, self.in_files(key)) {
            (Some(path), _) => (self.cx.absolute(path), "flag".to_owned()),
            (None, Some((layer, value))) => (
                self.file_path(layer, &scalar(&layer.name, key, value)?),
                layer.name.clone(),
            ),
            (None, None) => return Ok(None),
        };
        self.note(key, &path.to_string_lossy(), &from);
        Ok(Some(path))
    }

    // A settings file is no shell, yet people write `~/data` in it.
    fn file_path(&self, layer: &Layer, text: &str) -> PathBuf {
        match text.strip_prefix("~/") {
            Some(rest) => self.cx.home.join(rest),
            None => layer.base_dir.join(text),
        }
    }

    fn names(&mut self, key: &str) -> Result<Vec<String>> {
        let Some((layer, value)) = self.in_files(key) else {
            return Ok(Vec::new());
        };
        let file = layer.name.clone();
        let Value::Sequence(items) = value else {
            return Err(usage(format!("`{key}` in `{file}` is not a list of names")).into());
        };
        let names = items
            .iter()
            .map(|item| scalar(&file, key, item))
            .collect::<Result<Vec<_>>>()?;
        let plain = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if let Some(bad) = names.iter().find(|name| !plain(name)) {
            return Err(
                usage(format!("`{bad}` in `{key}` of `{file}` is not a variable's name"))
                    .hint("list names only; the values come from your environment")
                    .into(),
            );
        }
        self.note(key, &names.join(", "), &file);
        Ok(names)
    }

    fn datasets(&mut self, flags: &Flags) -> Result<Vec<Dataset>> {
        let mut sources: BTreeMap<String, (Option<PathBuf>, String)> = BTreeMap::new();
        // Weakest first, so that the stronger overwrite; a bare declaration never removes a source.
        for layer in self.files.iter().rev() {
            let Some(value) = layer.values.get("datasets").filter(|value| !value.is_null()) else {
                continue;
            };
            let Value::Mapping(mapping) = value else {
                return Err(usage(format!(
                    "`datasets` in `{}` is not a mapping of names to directories",
                    layer.name
                ))
                .into());
            };
            for (name, dir) in mapping {
                let name = scalar(&layer.name, "datasets", name)?;
                let entry = sources.entry(name).or_insert((None, layer.name.clone()));
                if !dir.is_null() {
                    *entry = (
                        Some(self.file_path(layer, &scalar(&layer.name, "datasets", dir)?)),
                        layer.name.clone(),
                    );
                }
            }
        }
        if let Some(dir) = self.cx.var("SSV2_DIR") {
            sources.insert(
                "ssv2".into(),
                (Some(self.cx.absolute(Path::new(dir))), "SSV2_DIR".into()),
            );
        }
        for (i, (name, dir)) in flags.datasets.iter().enumerate() {
            if flags.datasets[..i].iter().any(|(earlier, _)| earlier == name) {
                return Err(usage(format!("the data set `{name}` is given twice"))
                    .hint("each name stands once")
                    .into());
            }
            sources.insert(name.clone(), (Some(self.cx.absolute(dir)), "flag".into()));
        }
        sources.entry("ssv2".into()).or_insert((None, "default".into()));
        for (name, (source, from)) in &sources {
            check_name(name)?;
            let shown = source.as_ref().map_or("(no directory given)".into(), |path| {
                path.to_string_lossy().into_owned()
            });
            self.note(&format!("datasets.{name}"), &shown, from);
        }
        Ok(sources
            .into_iter()
            .map(|(name, (source, _))| Dataset { name, source })
            .collect())
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

fn scalar(file: &str, key: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(usage(format!("`{key}` in `{file}` is not a plain value")).into()),
    }
}

/// Parses `all`, `none` or a list of GPU ids.
///
/// # Errors
/// An empty list or an id with characters that no id has (exit code 2).
pub fn parse_gpus(text: &str) -> Result<Gpus> {
    match text {
        "all" => Ok(Gpus::All),
        "none" => Ok(Gpus::None),
        list => {
            let ids: Vec<String> = list.split(',').map(|id| id.trim().to_owned()).collect();
            let plain =
                |id: &String| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "-:/.".contains(c));
            if ids.iter().all(plain) {
                return Ok(Gpus::Ids(ids));
            }
            Err(usage(format!("`{text}` names no GPUs"))
                .hint("use `all`, `none`, or ids as `nvidia-smi -L` shows them: `0,1` or `GPU-<uuid>`")
                .into())
        }
    }
}

/// Parses a size as Docker does: `32gb`, `512m`, bytes; a unit is a power of 1024.
///
/// # Errors
/// Not a size (exit code 2).
pub fn parse_bytes(text: &str) -> Result<u64> {
    let lower = text.trim().to_lowercase();
    let digits: String = lower.chars().take_while(char::is_ascii_digit).collect();
    let factor: Option<u64> = match lower[digits.len()..].trim() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1 << 10),
        "m" | "mb" => Some(1 << 20),
        "g" | "gb" => Some(1 << 30),
        "t" | "tb" => Some(1 << 40),
        _ => None,
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(n, factor)| n.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
        usage(format!("`{text}` is not a size"))
            .hint("write it as Docker does: `32gb`, `512m`")
            .into()
    })
}

fn parse_number(key: &str, text: &str) -> Result<u64> {
    text.parse::<u64>()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| usage(format!("`{key}: {text}` is not a number above 0")).into())
}

/// The name of the settings file of this host.
pub const LOCAL_FILE: &str = "sandbox.local.yaml";

/// The settings files, strongest first.
const FILES: [&str; 2] = [LOCAL_FILE, "sandbox.yaml"];

/// Reads `sandbox.local.yaml` and `sandbox.yaml` and resolves them with the flags.
///
/// # Errors
/// An unreadable or invalid file, or a wrong value (exit code 2).
pub fn load(cx: &Context, flags: &Flags) -> Result<Settings> {
    let mut layers = Vec::new();
    for name in FILES {
        layers.extend(layer(cx, name)?);
    }
    resolve(cx, flags, &layers)
}

/// One settings file; `None` where it is not there.
fn layer(cx: &Context, name: &str) -> Result<Option<Layer>> {
    let path = cx.root.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(name, &cx.root, &text).map(Some),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// As [`load`], for whoever wants to go on: every error that was met, and the settings without what is wrong.
///
/// # Errors
/// Nothing can be resolved at all.
pub fn load_what_is_right(cx: &Context, flags: &Flags) -> Result<(Settings, Vec<anyhow::Error>)> {
    let (mut layers, mut errors) = (Vec::new(), Vec::new());
    for name in FILES {
        match layer(cx, name) {
            Ok(layer) => layers.extend(layer),
            Err(err) => errors.push(err),
        }
    }
    let resolved = match resolve(cx, flags, &layers) {
        Err(err) => {
            errors.push(err);
            let tries = without_one(flags, &layers);
            let right = tries.iter().find_map(|(flags, layers)| resolve(cx, flags, layers).ok());
            right.map_or_else(|| resolve(cx, &Flags::default(), &[]), Ok)
        }
        resolved => resolved,
    };
    Ok((resolved?, errors))
}

/// The same flags and files without one key of a file, or without one flag; at last the files alone.
fn without_one(flags: &Flags, layers: &[Layer]) -> Vec<(Flags, Vec<Layer>)> {
    const FORGET: [fn(&mut Flags); 5] = [
        |flags| flags.network = None,
        |flags| flags.gpus = None,
        |flags| flags.codex_home = None,
        |flags| flags.base = None,
        |flags| flags.datasets.clear(),
    ];
    let mut tries = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        for key in layer.values.keys() {
            let mut layers = layers.to_vec();
            layers[i].values.remove(key);
            tries.push((flags.clone(), layers));
        }
    }
    for forget in FORGET {
        let mut flags = flags.clone();
        forget(&mut flags);
        tries.push((flags, layers.to_vec()));
    }
    let cpu = flags.cpu;
    let plain = Flags {
        cpu,
        ..Flags::default()
    };
    tries.extend([
        (flags.clone(), Vec::new()),
        (plain.clone(), layers.to_vec()),
        (plain, Vec::new()),
    ]);
    tries
}

/// The error where nobody said where a data set is.
pub fn no_source(name: &str) -> Failure {
    usage(format!("the data set `{name}` has no directory")).hint(format!(
        "give it by `--dataset {name}=DIR`{}, or by `datasets: {{{name}: DIR}}` in {LOCAL_FILE}",
        if name == "ssv2" { ", by SSV2_DIR=DIR" } else { "" }
    ))
}

/// The text of a settings file with one data set added under `datasets:`; all other lines stay as they are.
///
/// # Errors
/// The file has `datasets` in a form that one line cannot be added to (exit code 2).
pub fn with_dataset(text: &str, name: &str, dir: &Path) -> Result<String> {
    let entry = format!("  {name}: {}", serde_json::Value::from(dir.to_string_lossy()));
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.trim_end() == "datasets:");
    let new = match at {
        Some(at) => {
            let declared = |line: &&str| line.trim_end() == format!("  {name}:");
            let rest = lines[at + 1..].iter().filter(|line| !declared(line)).copied();
            lines[..=at]
                .iter()
                .copied()
                .chain([entry.as_str()])
                .chain(rest)
                .collect::<Vec<_>>()
                .join("\n")
        }
        None => format!("{}\ndatasets:\n{entry}", text.trim_end())
            .trim_start()
            .to_owned(),
    };
    let layer = parse(LOCAL_FILE, Path::new("/"), &new)?;
    match layer
        .values
        .get("datasets")
        .and_then(|sets| sets.get(name))
        .and_then(Value::as_str)
    {
        Some(read) if Path::new(read) == dir => Ok(format!("{new}\n")),
        _ => Err(usage(format!("cannot add the data set `{name}` to `{LOCAL_FILE}`"))
            .hint("add it by hand under `datasets:`")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(env: &[(&str, &str)]) -> Context {
        Context {
            root: "/repo".into(),
            cwd: "/cwd".into(),
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            stdin_tty: false,
            stdout_tty: false,
            state: "/state".into(),
            home: "/home/me".into(),
        }
    }

    fn resolved(flags: &Flags, env: &[(&str, &str)], local: &str, project: &str) -> Result<Settings> {
        let layers = [
            parse(LOCAL_FILE, Path::new("/repo"), local)?,
            parse("sandbox.yaml", Path::new("/repo"), project)?,
        ];
        resolve(&context(env), flags, &layers)
    }

    fn ssv2(settings: &Settings) -> Option<String> {
        let found = settings.datasets.iter().find(|d| d.name == "ssv2")?;
        found.source.as_ref().map(|path| path.to_string_lossy().into_owned())
    }

    #[test]
    fn a_flag_beats_the_environment_beats_the_local_file_beats_the_project_file() {
        let (project, local) = ("datasets: {ssv2: /project}", "datasets: {ssv2: ~/local}");
        let flags = Flags {
            datasets: vec![("ssv2".into(), "flag".into())],
            ..Flags::default()
        };
        let env = [("SSV2_DIR", "/env")];
        let none = Flags::default();
        assert_eq!(
            ssv2(&resolved(&flags, &env, local, project).unwrap()).unwrap(),
            "/cwd/flag"
        );
        assert_eq!(ssv2(&resolved(&none, &env, local, project).unwrap()).unwrap(), "/env");
        assert_eq!(
            ssv2(&resolved(&none, &[], local, project).unwrap()).unwrap(),
            "/home/me/local"
        );
        assert_eq!(
            ssv2(&resolved(&none, &[], "datasets: {ssv2: }", project).unwrap()).unwrap(),
            "/project"
        );
        assert_eq!(ssv2(&resolved(&none, &[], "", "").unwrap()), None);
    }

    #[test]
    fn the_committed_settings_file_is_valid_and_says_the_defaults() {
        let settings = resolved(&Flags::default(), &[], "", include_str!("../../../sandbox.yaml")).unwrap();
        let bare = resolved(&Flags::default(), &[], "", "").unwrap();
        let origins = Vec::new;
        assert_eq!(
            Settings {
                origins: origins(),
                ..settings
            },
            Settings {
                origins: origins(),
                ..bare
            }
        );
    }

    #[test]
    fn wrong_settings_are_named_with_their_file() {
        let error = |local: &str| crate::error::render(&resolved(&Flags::default(), &[], local, "").unwrap_err());
        assert!(error("dataset: {}").contains("unknown setting `dataset`"));
        assert!(error("dataset: {}").contains("did you mean `datasets`?"));
        assert!(error("gpus: 'a b'").contains("names no GPUs"));
        assert!(error("shm_size: lots").contains("is not a size"));
        assert!(error("memlock: 64m").contains("use `unlimited`, or `engine`"));
        assert!(error("datasets: {UPPER: /x}").contains("not a name for a data set"));
        assert!(error("env: [A=b]").contains("not a variable's name"));
        assert!(error("a: [").contains("is not valid YAML"));
    }

    #[test]
    fn a_data_set_is_remembered_and_the_rest_of_the_file_stays() {
        let dir = Path::new("/data/my \"sets\": $x, é");
        let kept = "# mine\ngpus: none\ndatasets:\n  ssv2:\n  k400: /k # big\n";
        let text = with_dataset(kept, "ssv2", dir).unwrap();
        assert!(text.starts_with("# mine\ngpus: none\ndatasets:\n  ssv2: \""), "{text}");
        assert!(text.ends_with("  k400: /k # big\n"), "{text}");
        assert_eq!(
            with_dataset("", "ssv2", Path::new("/d")).unwrap(),
            "datasets:\n  ssv2: \"/d\"\n"
        );
        assert!(with_dataset("datasets: {k: /k}\n", "ssv2", dir).is_err());
    }

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        assert_eq!(parse_bytes("32gb").unwrap(), 32 << 30);
        assert_eq!(parse_bytes("64M").unwrap(), 64 << 20);
        assert!(parse_bytes("0").is_err() && parse_bytes("-1g").is_err() && parse_bytes("99999999999t").is_err());
    }
}
