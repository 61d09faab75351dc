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

/// The answer of a probe that finds everything as promised.
#[cfg(any(test, fuzzing))]
mod fixture {
    use crate::proof::kernel_files::{DOORS, MASKED};
    use serde_json::{Value, json};

    /// The table of a real container, shortened: workspace, data set, Codex home, Codex package, git.
    pub(crate) const TABLE: &str = "\
80 52 0:41 / / rw,relatime master:2 - overlay overlay rw,lowerdir=/docker/l1:/docker/l2,upperdir=/docker/up,workdir=/docker/work
81 80 0:44 / /proc rw,nosuid - proc proc rw
82 80 0:45 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
83 82 0:46 / /dev/pts rw,nosuid - devpts devpts rw,gid=5
84 80 0:47 / /sys ro,nosuid - sysfs sysfs ro
85 84 0:48 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755
86 85 0:36 /docker/x /sys/fs/cgroup/pids ro,nosuid - cgroup cgroup rw,pids
95 82 0:43 / /dev/mqueue rw,nosuid - mqueue mqueue rw
96 82 0:49 / /dev/shm rw,nosuid - tmpfs shm rw,size=65536k
97 80 254:0 /usr/bin/tini-static /usr/sbin/docker-init ro,relatime - ext4 /dev/vda rw
98 80 254:0 /data /datasets/ssv2 ro,relatime - ext4 /dev/vda rw
99 80 254:0 /ws /workspace rw,relatime - ext4 /dev/vda rw
100 80 254:0 /state/home /home/codex/.codex rw,relatime - ext4 /dev/vda rw
101 80 254:0 /state/codex /opt/codex ro,relatime - ext4 /dev/vda rw
104 80 254:0 /docker/volumes/codex-sandbox-cache-pip-open-u1000/_data /home/codex/.cache/pip rw,relatime - ext4 /dev/vda rw
102 99 254:0 /state/git /workspace/.git rw,relatime - ext4 /dev/vda rw
103 80 254:0 /docker/containers/43c15da69dfac6285e9b9bc9f6c1fa828e0100fe5942ca1db4f55883d17d4f38/hosts /etc/hosts rw - ext4 /dev/vda rw
53 81 0:44 /bus /proc/bus ro,nosuid - proc proc rw
54 81 0:44 /fs /proc/fs ro,nosuid - proc proc rw
55 81 0:44 /irq /proc/irq ro,nosuid - proc proc rw
56 81 0:44 /sys /proc/sys ro,nosuid - proc proc rw
57 81 0:44 /sysrq-trigger /proc/sysrq-trigger ro,nosuid - proc proc rw
58 81 0:45 /null /proc/keys rw,nosuid - tmpfs tmpfs rw
60 84 0:51 / /sys/firmware ro,relatime - tmpfs tmpfs ro
";

    pub(crate) const STATUS: &str = "Name:\tpython3\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t1000 \n\
CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n\
CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    pub(crate) const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
Max stack size            67108864             67108864             bytes     \n\
Max locked memory         unlimited            unlimited            bytes     \n";

    fn refusals() -> Value {
        json!([
            ["filter", "keyctl", "EPERM"],
            ["filter", "add_key", "EPERM"],
            ["filter", "unshare", "EPERM"],
            ["filter", "mount", "EPERM"],
            ["user namespace", "unshare", "EPERM"],
            ["user namespace", "clone", "EPERM"],
            ["user namespace", "clone3", "ENOSYS"]
        ])
    }

    fn masked() -> Value {
        let seen = |path: &str| match path {
            "/proc/keys" => "null",
            "/sys/firmware" => "empty",
            _ => "absent",
        };
        MASKED.iter().map(|path| ((*path).to_owned(), json!(seen(path)))).collect::<serde_json::Map<_, _>>().into()
    }

    fn doors() -> Value {
        let refused = json!({"open": "EACCES", "touch": "EROFS"});
        DOORS.iter().map(|path| ((*path).to_owned(), refused.clone())).collect::<serde_json::Map<_, _>>().into()
    }

    pub(crate) fn answer() -> Value {
        let stat = |ino: u64| json!({"dev": 1, "ino": ino, "uid": 1000, "gid": 1000, "mode": 16877});
        let mount = |path: &str, ino: u64, read_only: bool| {
            let tried = read_only.then_some("EROFS");
            json!({"path": path, "stat": stat(ino), "flags": if read_only { 4097 } else { 4096 }, "directory": true,
               "access": !read_only, "create": tried, "touch": tried, "submounts": [], "sample": null})
        };
        let mut data = mount("/datasets/ssv2", 2, true);
        data["sample"] = json!({"entries": 5, "files": 4, "directories": 2, "read": 4, "linked": [], "unreadable": [],
                            "symlinks": [], "errors": []});
        let namespaces = json!({"pid": "pid:[20]", "ipc": "ipc:[21]", "net": "net:[22]", "mnt": "mnt:[23]", "uts": "uts:[24]",
                            "user": "user:[1]"});
        let witness = "Gid:\t2147483000\t2147483000\t2147483000\t2147483000\nGroups:\t1000 2147483000 ";
        let status = STATUS.replace("Gid:\t1000\t1000\t1000\t1000\nGroups:\t1000 ", witness);
        json!({
            "schema": 1, "nonce": "n0", "mountinfo": TABLE, "status": status, "limits": LIMITS, "namespaces": namespaces,
            "hostname": "43c15da69dfa", "uid": 1000, "gid": 2_147_483_000_u32,
            "groups": [1000, 2_147_483_000_u32], "init": {"name": "sandbox-apart", "status": STATUS, "owner": {"dev": 1, "ino": 8, "uid": 0, "gid": 0}},
            "dumpable": 0,
            "passwd": {"name": "codex", "gid": "1000", "home": "/home/codex", "shell": "/bin/bash"},
            "home": {"path": "/home/codex", "stat": stat(9), "access": true},
            "mounts": [mount("/workspace", 1, false), data, mount("/home/codex/.codex", 3, false),
                       mount("/workspace/.git", 4, false), mount("/opt/codex", 5, true),
                       mount("/home/codex/.cache/pip", 7, false)],
            "workspace": "written", "sockets": [], "shm": 1_u64 << 30, "nodes": [], "label": null,
             "cgroup": {"pids": "4096", "memory": "9223372036854771712"}, "outside": [], "launcher": null,
             "refusals": refusals(), "masked": masked(), "kernel": doors(),
             "interfaces": {"lo": "0x9", "eth0": "0x1003"},
            "processes": [{"pid": 1, "parent": 0, "name": "sandbox-apart"}],
            "programs": {}, "smi": null,
            "codex": {"real": "/opt/codex/bin/codex", "stat": stat(6), "version": {"code": "0", "text": "codex-cli 0.169.0\n"}},
        })
    }
}

#[cfg(test)]
mod tests;
