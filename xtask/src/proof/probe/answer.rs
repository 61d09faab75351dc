//! The probe's answer, as values: the names of the fields in JSON are those of `docker/probe.py`.

mod kernel;

pub(crate) use kernel::{Attempted, Door, Outside, Refusal};

use crate::beneath::FileId;
use crate::mountinfo::MountTable;
use crate::proof::cgroup_limits::CgroupLimits;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

const SCHEMA: u64 = 1;

/// A call of the system inside that may have been refused: then it is `{"error": NAME}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Attempt<T> {
    Done(T),
    Refused { error: String },
}

fn attempt<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Result<T, String>, D::Error> {
    Ok(match Attempt::deserialize(from)? {
        Attempt::Done(value) => Ok(value),
        Attempt::Refused { error } => Err(error),
    })
}

/// The same where the name of the error does not matter.
fn attempt_or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Ok(attempt(from)?.ok())
}

/// Which file or directory lies somewhere, and the user id of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Stat {
    #[serde(flatten)]
    pub(crate) id: FileId,
    #[serde(rename = "uid")]
    pub(crate) owner: u64,
}

/// What the probe found at one mount, or at one mount below it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct InsideMount {
    /// The path inside.
    pub(crate) path: String,
    /// What lies there, or the name of the error.
    #[serde(deserialize_with = "attempt")]
    pub(crate) stat: Result<Stat, String>,
    /// `statvfs().f_flag & ST_RDONLY`, where statvfs answered.
    #[serde(rename = "flags", deserialize_with = "st_rdonly")]
    pub(crate) st_rdonly: Option<bool>,
    /// Whether the user may write there by its permission bits.
    pub(crate) access: bool,
    /// The result of an attempt to create a file: `EROFS`, another error, or `written`.
    pub(crate) create: Option<String>,
    /// The result of an attempt to set the times to those that it already has.
    pub(crate) touch: Option<String>,
    /// The mounts below it, at most 64.
    #[serde(default)]
    pub(crate) submounts: Vec<InsideMount>,
    pub(crate) sample: Option<Sample>,
}

/// A bounded sample of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Sample {
    /// How many entries the probe has visited.
    pub(crate) entries: u64,
    /// How many of them are regular files.
    pub(crate) files: u64,
    /// Of how many files a byte could be read; at most a few are tried.
    pub(crate) read: u64,
    /// Files with several names.
    pub(crate) linked: Vec<Linked>,
    /// What could not be read: path and error.
    pub(crate) unreadable: Vec<(String, String)>,
    pub(crate) symlinks: Vec<LeadsOut>,
    /// Directories that could not be listed: path and error.
    pub(crate) errors: Vec<(String, String)>,
}

/// A file with several names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Linked {
    pub(crate) path: String,
    pub(crate) links: u64,
    /// How many of its names are in the sample.
    pub(crate) seen: u64,
}

/// A symlink that leads out of the mount.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct LeadsOut {
    pub(crate) path: String,
    pub(crate) to: String,
    /// Whether the target exists inside.
    pub(crate) exists: bool,
}

/// What a program printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Said {
    /// The exit code, the name of an error, or `TIMEOUT`.
    pub(crate) code: String,
    /// The standard output.
    pub(crate) text: String,
}

/// The entry of the user in `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Passwd {
    pub(crate) name: String,
}

/// The home directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Home {
    /// What lies there, or the name of the error.
    #[serde(deserialize_with = "attempt")]
    pub(crate) stat: Result<Stat, String>,
    /// Whether it can be written.
    pub(crate) access: bool,
}

/// Codex, as its name leads to it inside.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct CodexInside {
    /// The path after all symlinks.
    pub(crate) real: String,
    /// The file, or the name of the error.
    #[serde(deserialize_with = "attempt")]
    pub(crate) stat: Result<Stat, String>,
    /// What `codex --version` printed, where it was started.
    pub(crate) version: Option<Said>,
}

/// The container's init, as it is seen from inside.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct InitInside {
    /// The name that it gave itself.
    pub(crate) name: String,
    /// The text of `status`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) status: Option<String>,
    /// Whose `/proc/1/mem` is: of a process that is not dumpable it is root's.
    #[serde(deserialize_with = "attempt")]
    pub(crate) owner: Result<Stat, String>,
}

/// What `/proc/PID` says of a process in the container: of the probe itself inside, of the container's init on the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ProcessFacts {
    #[serde(rename = "mountinfo")]
    pub(crate) mounts: MountTable,
    /// The text of `status`.
    pub(crate) status: String,
    /// The text of `limits`.
    pub(crate) limits: String,
    /// The targets of the links in `ns/`, such as `pid:[4026531836]`, by kind.
    #[serde(deserialize_with = "namespaces")]
    pub(crate) namespaces: Namespaces,
    /// What the Linux security module in force calls the process: AppArmor's profile with its mode, or SELinux' label.
    /// `None` where the kernel has no such module.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) label: Option<String>,
}

type Namespaces = BTreeMap<String, String>;

impl ProcessFacts {
    /// By what reads a file of `/proc/PID` on the host, so that both witnesses' facts have one list.
    pub(crate) fn read(
        namespaces: Namespaces,
        limits: String,
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        let mounts = MountTable::parse(&read("mountinfo")?)?;
        let label = read("attr/current").ok().map(|text| text.trim_end_matches(['\0', '\n']).to_owned());
        Ok(ProcessFacts { mounts, status: read("status")?, limits, namespaces, label })
    }

    /// A field of `status`.
    pub(crate) fn status(&self, name: &str) -> Option<&str> {
        field(&self.status, name)
    }

    /// A soft limit.
    pub(crate) fn limit(&self, name: &str) -> Option<&str> {
        self.limits.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next())
    }
}

/// A field of the text of `/proc/PID/status`.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// Everything that the probe reported. A part that is missing is an error, unless it may be null because it could not be
/// seen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct InsideWitness {
    /// Repeated from the request.
    pub(crate) nonce: String,
    /// The probe itself.
    #[serde(flatten)]
    pub(crate) process: ProcessFacts,
    /// The container's init, as it is seen from inside.
    pub(crate) init: InitInside,
    /// Whether the programs that the probe starts could read its memory: 0 where they cannot.
    pub(crate) dumpable: Option<u64>,
    pub(crate) hostname: String,
    /// The real user id.
    pub(crate) uid: u64,
    /// The real group id.
    pub(crate) gid: u64,
    /// The supplementary groups.
    pub(crate) groups: Vec<u64>,
    pub(crate) passwd: Option<Passwd>,
    pub(crate) home: Home,
    /// The promised mounts.
    #[serde(rename = "mounts")]
    pub(crate) targets: Vec<InsideMount>,
    /// The result of creating the probe's file in the workspace: `written` or an error.
    pub(crate) workspace: Option<String>,
    /// Sockets of container engines that exist.
    pub(crate) sockets: Vec<String>,
    /// The size of `/dev/shm`, in bytes.
    #[serde(deserialize_with = "attempt_or_none")]
    pub(crate) shm: Option<u64>,
    /// The limits of its cgroup, as they can be seen inside.
    pub(crate) cgroup: CgroupLimits,
    /// The system calls that were tried; `None` where none could be.
    pub(crate) refusals: Option<Vec<Refusal>>,
    /// What the launcher of sessions answers to an attempt to read it, where there is one: `read`, or the name of an error.
    pub(crate) launcher: Option<String>,
    /// What the paths show that must show nothing: `absent`, `null`, `empty`, the name of an error, or `shown`.
    pub(crate) masked: BTreeMap<String, String>,
    /// What the kernel's files answer to an attempt to write.
    pub(crate) kernel: BTreeMap<String, Door>,
    /// The attempts to reach an address, where the container has no network.
    pub(crate) outside: Vec<Outside>,
    /// Names in `/dev` that belong to GPUs.
    pub(crate) nodes: Vec<String>,
    /// Network interfaces, and whether each is up; `None` where that is not known.
    #[serde(deserialize_with = "interfaces")]
    pub(crate) interfaces: BTreeMap<String, Option<bool>>,
    /// The programs that were asked for, and where they lie.
    pub(crate) programs: BTreeMap<String, Option<String>>,
    /// What `nvidia-smi` printed, where it was asked.
    pub(crate) smi: Option<Said>,
    pub(crate) codex: Option<CodexInside>,
}

impl InsideWitness {
    /// Reads the answer to a request. Text around it, a part that is missing, another schema or another nonce are
    /// errors: a witness that cannot be understood proves nothing.
    pub(crate) fn parse(answer: &str, nonce: &str) -> Result<InsideWitness, String> {
        let line = answer.strip_suffix('\n').ok_or("the probe's answer is cut off")?;
        if line.contains('\n') {
            return Err("there is other text around the probe's answer".into());
        }
        let value: Value = serde_json::from_str(line).map_err(|err| format!("the probe's answer is no JSON: {err}"))?;
        if value["schema"].as_u64() != Some(SCHEMA) {
            return Err(format!("the probe answers in schema {}, not {SCHEMA}", value["schema"]));
        }
        if value["nonce"].as_str() != Some(nonce) {
            return Err(format!("the probe repeats the nonce {}, not `{nonce}`", value["nonce"]));
        }
        serde_json::from_value(value).map_err(|err| format!("the probe's answer cannot be understood: {err}"))
    }

    /// The report on a promised mount.
    pub(crate) fn target(&self, path: &str) -> Option<&InsideMount> {
        self.targets.iter().find(|mount| mount.path == path)
    }
}

fn st_rdonly<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    Ok(attempt_or_none(from)?.map(|flags: u64| flags & 1 == 1))
}

/// A namespace that could not be read is left out: each claim fails where a namespace that it names is missing.
fn namespaces<'de, D: Deserializer<'de>>(from: D) -> Result<Namespaces, D::Error> {
    let all = BTreeMap::<String, Attempt<String>>::deserialize(from)?.into_iter();
    let read = all.filter_map(|(kind, name)| match name {
        Attempt::Done(name) => Some((kind, name)),
        Attempt::Refused { .. } => None,
    });
    Ok(read.collect())
}

fn interfaces<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Option<bool>>, D::Error> {
    const UP: u64 = 1; // IFF_UP
    let up = |flags: String| u64::from_str_radix(flags.trim_start_matches("0x"), 16).ok().map(|flags| flags & UP == UP);
    let all = BTreeMap::<String, Option<String>>::deserialize(from)?.into_iter();
    Ok(all.map(|(name, flags)| (name, flags.and_then(up))).collect())
}

/// For the fuzzer. An answer without a part that decides is no answer.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let Ok(seen) = InsideWitness::parse(text, "n0") else { return };
    let value: Value = serde_json::from_str(text.trim_end()).unwrap_or_default();
    for part in ["mountinfo", "status", "limits", "namespaces", "init", "mounts", "cgroup", "sockets", "masked"] {
        assert!(!value[part].is_null(), "`{part}` is not in the answer, and it was taken");
    }
    for name in ["Uid", "NoNewPrivs", "Seccomp", "CapBnd"] {
        assert!(seen.process.status(name).is_none_or(|value| seen.process.status.contains(value)));
        assert!(seen.process.limit(name).is_none_or(|value| seen.process.limits.contains(value)));
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) use fixture::answer;

#[cfg(any(test, fuzzing))]
mod fixture;

#[cfg(test)]
mod tests;
