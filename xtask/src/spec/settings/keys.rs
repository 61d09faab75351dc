//! The table of the settings: every key with its kind, its meaning and its default. The resolver, the check for
//! unknown keys and values, and `sandbox.schema.json` all read it, so that they cannot disagree.

use super::sizes;
use crate::error::{Failure, usage};
use crate::spec::arch::Arch;
use crate::spec::words::{Cache, CacheSharing, ConfigSecrets, Gpus, Login, Memories, Mode, Network, nearest, words};
use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;
#[cfg(test)]
use serde_json::json;

/// The default base image, NVIDIA's PyTorch build that knows sm_120.
pub const DEFAULT_BASE: &str = "nvcr.io/nvidia/pytorch:25.01-py3";

/// The word for the CPU base that is made from Debian packages: what `--cpu` asks for.
pub const CPU_BASE: &str = "cpu";

/// What a setting's value may be.
#[derive(Debug, Clone, Copy)]
pub enum ValueKind {
    /// A path of this host; relative to the settings file, or `~/…`.
    Path,
    /// A text in which something is checked.
    Text(TextKind),
    /// A field of [`Shape`].
    Shape(ShapeKind),
    /// Names of variables.
    Variables,
    /// Names of data sets, each with its directory or nothing.
    Datasets,
    /// Paths of this host; only in `sandbox.local.yaml`.
    LocalPaths,
    /// Any of these words.
    Some(fn() -> Vec<String>),
}

/// What a text must be.
#[derive(Debug, Clone, Copy)]
pub enum TextKind {
    /// The reference of an image, or `cpu`.
    Image,
    /// A list of compute capabilities.
    ArchList,
    /// One of these words.
    OneOf(fn() -> Vec<String>),
}

impl TextKind {
    /// # Errors
    /// The text is no such value (exit code 2); `given` is how it was written.
    pub(super) fn check(self, given: &str, text: &str) -> Result<()> {
        match self {
            TextKind::Image
                if text.trim().is_empty() || text.contains(char::is_whitespace) || text.starts_with('-') =>
            {
                let hint = format!("write an image such as `{DEFAULT_BASE}`, or `{CPU_BASE}`");
                Err(usage(format!("{given} is not the reference of an image")).hint(hint).into())
            }
            TextKind::ArchList if !Arch::are(text) => {
                Err(usage(format!("{given} is not a list of compute capabilities"))
                    .hint("write it as torch does: `12.0`, or `9.0 12.0+PTX`; 12.0 is sm_120, Blackwell")
                    .into())
            }
            TextKind::Image | TextKind::ArchList => Ok(()),
            TextKind::OneOf(words) => word(given, text, &words()).map(drop),
        }
    }

    /// What the schema of the settings file says of it. A number is taken as its text.
    #[cfg(test)]
    pub(super) fn schema(self) -> Value {
        let capability = r"\d{1,2}\.\d[af]?(\+PTX)?";
        match self {
            TextKind::Image => json!({"type": ["string", "null"], "pattern": r"^[^\s-]\S*$"}),
            TextKind::ArchList => json!({
                "type": ["string", "number", "null"],
                "pattern": format!(r"^\s*{capability}([ ;]+{capability})*\s*$"),
            }),
            TextKind::OneOf(words) => one_of(words),
        }
    }

    /// Values that it takes, none of them a default, and values that it refuses; as the settings file has them.
    #[cfg(test)]
    pub(super) fn samples(self) -> (Vec<String>, Vec<&'static str>) {
        match self {
            TextKind::Image => (vec!["base:1".into(), CPU_BASE.into()], vec!["''", "' '", "'a b'", "'--x'"]),
            TextKind::ArchList => {
                let good = ["7.5", "'8.0 8.6'", "'9.0;12.0+PTX'", "10.3a"].map(str::to_owned);
                (good.to_vec(), vec!["blackwell", "''", "sm_120", "'12'", "'9.0,12.0'"])
            }
            TextKind::OneOf(words) => (words(), vec!["nowordatall", "[a]"]),
        }
    }
}

/// What the value of a field of [`Shape`] may be.
#[derive(Debug, Clone, Copy)]
pub enum ShapeKind {
    /// One of these words.
    OneOf(fn() -> Vec<String>),
    /// `all`, `none`, or ids of GPUs.
    Gpus,
    /// A size as Docker writes it.
    Size,
    /// A size, or one of these words.
    SizeOr(&'static [&'static str]),
    /// A whole number above 0.
    Count,
    /// A share of the processors' time, from 1 to 10000.
    Weight,
}

/// The greatest weight that the kernel knows (`cpu.weight` of cgroup v2).
const MOST_WEIGHT: u64 = 10_000;

/// What the settings say of the container itself. Each field has the name of its key: the resolver fills it from the table,
/// and what is kept of a container, shown of it and compared at re-entry is this very struct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The GPUs.
    pub gpus: Gpus,
    /// The network.
    pub network: Network,
    /// How the host's Codex home reaches the container.
    pub codex_home: Mode,
    /// The size of `/dev/shm`, in bytes.
    pub shm_size: u64,
    /// The most memory, in bytes, and no swap beyond it; `None` is no limit.
    #[serde(deserialize_with = "Option::deserialize")]
    pub memory: Option<u64>,
    /// The share of the processors' time, where 100 is usual.
    pub cpu_weight: u64,
    /// The most processes.
    pub pids_limit: u64,
    /// The most bytes of one file of the engine's log of the container.
    pub log_size: u64,
    /// How many such files there are.
    pub log_files: u64,
    /// The memory that may be locked, where there are GPUs.
    pub memlock: Memlock,
    /// Whether a program inside may trace others.
    pub ptrace: Ptrace,
    /// Which sandboxes read what one of them left in a cache.
    pub cache_sharing: CacheSharing,
}

/// How much memory may be locked by a sandbox with GPUs, whose libraries pin it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memlock {
    /// As much as there is.
    Unlimited,
    /// What the engine gives by itself: for engines that may not raise the limit.
    Engine,
}

/// Whether programs inside may look into others and change them by the system calls of debuggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ptrace {
    /// As far as the engine's filter and the kernel allow it: debuggers, py-spy and LeakSanitizer need it.
    Allow,
    /// Not at all.
    Deny,
}

impl ShapeKind {
    /// The value of a text.
    ///
    /// # Errors
    /// The text is no such value (exit code 2); `given` is how it was written.
    pub(super) fn read(self, given: &str, text: &str) -> Result<Value> {
        match self {
            ShapeKind::OneOf(words) => word(given, text, &words()).map(Value::from),
            ShapeKind::Gpus => {
                let read = text.parse::<Gpus>();
                let named = |why: Failure| Failure { message: format!("{given}: {}", why.message), ..why };
                Ok(Value::from(read.map_err(named)?.to_string()))
            }
            ShapeKind::Size => sizes::read(given, text).map(Value::from),
            ShapeKind::SizeOr(words) => sizes::or_word(given, text, words),
            ShapeKind::Weight => {
                let weight = parse_number(text).filter(|weight| *weight <= MOST_WEIGHT).map(Value::from);
                let odd = || usage(format!("{given} is not a number from 1 to {MOST_WEIGHT}"));
                weight.ok_or_else(|| odd().hint("100 is usual, and 50 is half of it").into())
            }
            ShapeKind::Count => parse_number(text).map(Value::from).ok_or_else(|| {
                usage(format!("{given} is not a number above 0")).hint("write a whole number, such as `8192`").into()
            }),
        }
    }
}

/// Beside the reading, so that a new kind of value has all of it in one place.
#[cfg(test)]
impl ShapeKind {
    /// What the schema of the settings file says of it. Plain values may be written without quotes.
    pub(super) fn schema(self) -> Value {
        let number = |pattern: &str, least: u64, most: Option<u64>| {
            let mut said = json!({"type": ["string", "integer", "null"], "minimum": least, "pattern": pattern});
            if let Some(most) = most {
                said["maximum"] = json!(most);
            }
            said
        };
        let size = |words: &[&str]| number(&sizes::pattern(words), sizes::LEAST, None);
        match self {
            ShapeKind::OneOf(words) => one_of(words),
            // `all`, `none`, or ids with something in them that is no letter.
            ShapeKind::Gpus => json!({
                "type": ["string", "integer", "null"],
                "minimum": 0,
                "pattern": "^(all|none|\\s*[A-Za-z0-9:/.-]*[0-9:/.-][A-Za-z0-9:/.-]*\\s*\
                            (,\\s*[A-Za-z0-9:/.-]*[0-9:/.-][A-Za-z0-9:/.-]*\\s*)*)$",
            }),
            ShapeKind::Size => size(&[]),
            ShapeKind::SizeOr(words) => size(words),
            ShapeKind::Weight => number("^0*([1-9][0-9]{0,3}|10000)$", 1, Some(MOST_WEIGHT)),
            ShapeKind::Count => number("^0*[1-9][0-9]*$", 1, None),
        }
    }

    /// Values that it takes, none of them a default but for words, and values that it refuses; as the settings file has
    /// them.
    pub(super) fn samples(self) -> (Vec<String>, Vec<&'static str>) {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            ShapeKind::OneOf(words) => (words(), vec!["nowordatall", "[a]"]),
            ShapeKind::Gpus => (one("GPU-aaaa"), vec!["nnoe", "'0,all'", "'a b'", "-0.5.x!"]),
            ShapeKind::Size => (one("7g"), vec!["lots", "0", "1.5gb", "32", "900k", "auto"]),
            ShapeKind::SizeOr(words) => (
                words.iter().copied().chain(["1g"]).map(str::to_owned).collect(),
                vec!["lots", "0", "1.5gb", "32", "900k", "'32'"],
            ),
            ShapeKind::Count => (one("7"), vec!["0", "-1", "many"]),
            ShapeKind::Weight => (one("7"), vec!["0", "-1", "many", "10001"]),
        }
    }
}

/// The schema of a word.
#[cfg(test)]
fn one_of(words: fn() -> Vec<String>) -> Value {
    let words = words().into_iter().map(Value::from);
    json!({"enum": words.chain([Value::Null]).collect::<Vec<_>>()})
}

/// Parses a whole number above 0.
fn parse_number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|n| *n > 0)
}

fn word(given: &str, text: &str, words: &[String]) -> Result<String> {
    if words.iter().any(|word| word == text) {
        Ok(text.to_owned())
    } else {
        Err(unknown_word(given, text, words).into())
    }
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in `sandbox.yaml`.
    pub name: &'static str,
    /// What its value may be.
    pub kind: ValueKind,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// The default, as it would be written; empty where there is none, or where it is said in `meaning`.
    pub default: &'static str,
}

/// The words of the setting about the secrets in the configuration.
fn config_secrets() -> Vec<String> {
    std::iter::once(sizes::AUTO.to_owned()).chain(words::<ConfigSecrets>()).collect()
}

/// Every setting, in the order in which they are explained.
pub const KEYS: &[Key] = &[
    Key {
        name: "workspace",
        kind: ValueKind::Path,
        meaning: "The research project, mounted at /workspace. Without it: workspace/ of this repository.",
        default: "",
    },
    Key {
        name: "datasets",
        kind: ValueKind::Datasets,
        meaning: "Data sets by name, mounted read-only at /datasets/NAME. A name without a directory is declared only: \
                  each user gives the directory. none in place of a directory takes the data set out.",
        default: "",
    },
    Key {
        name: "base",
        kind: ValueKind::Text(TextKind::Image),
        meaning: "The base image, which brings PyTorch; or cpu, the one made from Debian packages, which implies `gpus: none`.",
        default: DEFAULT_BASE,
    },
    Key {
        name: "arch_list",
        kind: ValueKind::Text(TextKind::ArchList),
        meaning: "The compute capabilities that CUDA extensions are built for (TORCH_CUDA_ARCH_LIST); 12.0 is sm_120, \
                  Blackwell.",
        default: "12.0",
    },
    Key {
        name: "gpus",
        kind: ValueKind::Shape(ShapeKind::Gpus),
        meaning: "The GPUs: all, none, or ids as `nvidia-smi -L` shows them, such as 0,1 or GPU-<uuid>.",
        default: "all",
    },
    Key {
        name: "network",
        kind: ValueKind::Shape(ShapeKind::OneOf(words::<Network>)),
        meaning: "The network: open, or none (loopback only).",
        default: "open",
    },
    Key { name: "codex", kind: ValueKind::Path, meaning: "The host's Codex. Without it: codex on PATH.", default: "" },
    Key {
        name: "codex_home",
        kind: ValueKind::Shape(ShapeKind::OneOf(words::<Mode>)),
        meaning: "mirror: a private Codex home, its configuration copied from yours at each start. shared: your own, \
                  writable; the agent can then run code on your host. none: an empty one.",
        default: "mirror",
    },
    Key {
        name: "login",
        kind: ValueKind::Text(TextKind::OneOf(words::<Login>)),
        meaning: "What a mirrored home gets of your ChatGPT login. lease: an access token alone, which your own Codex renews \
                  while a session goes on. full: all of it with the refresh token, for a Codex that takes no lease. none: \
                  nothing.",
        default: "lease",
    },
    Key {
        name: "memories",
        kind: ValueKind::Text(TextKind::OneOf(words::<Memories>)),
        meaning: "What Codex remembers of its sessions in the sandbox (memories): drop, at the next entry; or keep, although \
                  Codex obeys what an agent may have written there.",
        default: "drop",
    },
    Key {
        name: "config_secrets",
        kind: ValueKind::Text(TextKind::OneOf(config_secrets)),
        meaning: "Secrets in the configuration that a mirrored home gets, such as the `env` of MCP servers and .env files of \
                  skills: pass, with a line that names the places; drop; or auto, drop with `login: none` and pass else.",
        default: sizes::AUTO,
    },
    Key {
        name: "shm_size",
        kind: ValueKind::Shape(ShapeKind::SizeOr(&[sizes::AUTO])),
        meaning: "The size of /dev/shm, for data loaders: a size such as 32gb, which must fit into memory; or auto, 32 GiB \
                  or half of memory, whichever is less. A limit, not a reservation.",
        default: sizes::AUTO,
    },
    Key {
        name: "memory",
        kind: ValueKind::Shape(ShapeKind::SizeOr(&[sizes::AUTO, sizes::NONE])),
        meaning: "The most memory, without any swap beyond it: a size such as 16gb; auto, this machine's memory less the \
                  larger of 4 GiB and a tenth (but at least half of it); or none, for no limit.",
        default: sizes::AUTO,
    },
    Key {
        name: "cpu_weight",
        kind: ValueKind::Shape(ShapeKind::Weight),
        meaning: "The share of the processors' time where its neighbours want it too, from 1 to 10000; 100 is usual. Neighbours \
                  are the services of this machine (the engine's systemd driver) or the other containers (cgroupfs).",
        default: "50",
    },
    Key {
        name: "pids_limit",
        kind: ValueKind::Shape(ShapeKind::Count),
        meaning: "The most processes.",
        default: "8192",
    },
    Key {
        name: "log_size",
        kind: ValueKind::Shape(ShapeKind::Size),
        meaning: "The largest file of the engine's log of the container, which whoever runs inside can fill.",
        default: "1mb",
    },
    Key {
        name: "log_files",
        kind: ValueKind::Shape(ShapeKind::Count),
        meaning: "How many such files the engine keeps.",
        default: "2",
    },
    Key {
        name: "memlock",
        kind: ValueKind::Shape(ShapeKind::OneOf(words::<Memlock>)),
        meaning: "Locked (pinned) memory of a sandbox with GPUs: unlimited, as CUDA needs it; or engine, what the engine \
                  gives by itself, for an engine that may not raise the limit.",
        default: "unlimited",
    },
    Key {
        name: "ptrace",
        kind: ValueKind::Shape(ShapeKind::OneOf(words::<Ptrace>)),
        meaning: "ptrace and the calls like it: allow, as gdb, strace, py-spy and LeakSanitizer need it; or deny, to \
                  everything that runs in a session.",
        default: "allow",
    },
    Key {
        name: "caches",
        kind: ValueKind::Some(words::<Cache>),
        meaning: "Caches that outlive the container, as volumes of the engine. What one agent leaves in them, the next one \
                  reads (see cache_sharing): [] for none.",
        default: "huggingface, torch, pip, uv",
    },
    Key {
        name: "cache_sharing",
        kind: ValueKind::Shape(ShapeKind::OneOf(words::<CacheSharing>)),
        meaning: "Who shares a cache. network: your workspaces with the same network, and each for itself where secrets \
                  go in beside a lease. workspace: each for itself. all: all of them.",
        default: "network",
    },
    Key {
        name: "allow_ground",
        kind: ValueKind::LocalPaths,
        meaning: "Directories that are handed out although they hold other things' trust, such as ~/.config/nvim or /opt; \
                  each is named exactly. Only in sandbox.local.yaml.",
        default: "",
    },
    Key {
        name: "env",
        kind: ValueKind::Variables,
        meaning: "Variables of your environment that Codex gets, by name. Values never stand here.",
        default: "",
    },
    Key {
        name: "git_alternates",
        kind: ValueKind::LocalPaths,
        meaning: "Object directories outside the workspace that its repository borrows from (`objects/info/alternates`) \
                  and that the agent may read. Any other is refused. Only in sandbox.local.yaml.",
        default: "",
    },
];

/// The setting of this name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The default of a setting, as it would be written.
pub fn default_of(name: &str) -> &'static str {
    key(name).map_or("", |key| key.default)
}

/// The error for a key that no setting has.
pub fn unknown_key(file: &str, name: &str) -> Failure {
    let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let failure = usage(format!("`{file}` has an unknown setting `{name}`"));
    match nearest(name, &names) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint(format!("the settings are: {}", names.join(", "))),
    }
}

/// The error for a word that a setting does not know; `given` is how it was written.
pub(super) fn unknown_word(given: &str, word: &str, words: &[String]) -> Failure {
    let failure = usage(format!("{given} is none of `{}`", words.join("`, `")));
    match nearest(word, &words.iter().map(String::as_str).collect::<Vec<_>>()) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("sandbox.yaml explains each"),
    }
}

/// For the fuzzer: the values of settings as they are written.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    parse_number(text);
    for key in KEYS {
        if let ValueKind::Shape(kind) = key.kind {
            _ = kind.read("a value", text);
        }
    }
}
