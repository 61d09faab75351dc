//! The probe's answer, as values.

use crate::beneath::FileId;
use crate::proof::mountinfo::MountTable;
use serde_json::Value;
use std::collections::BTreeMap;

const SCHEMA: u64 = 1;

/// What the probe found at one mount, or at one mount below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsideMount {
    /// The path inside.
    pub path: String,
    /// What lies there, or the name of the error.
    pub id: Result<FileId, String>,
    /// The user id of its owner.
    pub owner: Option<u64>,
    /// `statvfs().f_flag & ST_RDONLY`, where statvfs answered.
    pub st_rdonly: Option<bool>,
    /// Whether the user may write there by its permission bits.
    pub access: bool,
    /// What an attempt to make a file gave: `EROFS`, another error, or `written`.
    pub create: Option<String>,
    /// What an attempt to set the times that it has gave.
    pub touch: Option<String>,
    /// The mounts below it, at most 64.
    pub submounts: Vec<InsideMount>,
    /// A bounded look into a data set.
    pub sample: Option<Sample>,
}

/// A bounded look into a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Entries looked at.
    pub entries: u64,
    /// Regular files among them.
    pub files: u64,
    /// Files of which a byte could be read (at most a few are tried).
    pub read: u64,
    /// Files with a name that was not seen in the sample: path and number of links.
    pub linked: Vec<(String, u64)>,
    /// What could not be read: path and error.
    pub unreadable: Vec<(String, String)>,
    /// Symlinks that lead out of the mount: path, where to, and whether that exists inside.
    pub symlinks: Vec<(String, String, bool)>,
    /// Directories that could not be listed: path and error.
    pub errors: Vec<(String, String)>,
}

/// A process inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id, inside.
    pub pid: u64,
    /// Its parent; 0 for what `docker exec` started.
    pub parent: u64,
    /// Its name, at most 15 bytes.
    pub name: String,
}

/// What a program said: its exit code (or the name of an error, or `TIMEOUT`) and its standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// `0` where it went well.
    pub code: String,
    /// Its standard output.
    pub text: String,
}

/// Everything the probe reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// Repeated from the request.
    pub nonce: String,
    /// `/proc/self/mountinfo`.
    pub mounts: MountTable,
    /// `/proc/self/status`.
    pub status: String,
    /// `/proc/self/limits`.
    pub limits: String,
    /// `/proc/self/ns/*`.
    pub namespaces: BTreeMap<String, String>,
    /// The host name.
    pub hostname: String,
    /// The real user id.
    pub uid: u64,
    /// The real group id.
    pub gid: u64,
    /// The supplementary groups.
    pub groups: Vec<u64>,
    /// Name and home of the user in `/etc/passwd`.
    pub passwd: Option<(String, String)>,
    /// The owner of the home directory.
    pub home_owner: Option<u64>,
    /// Whether the home directory can be written.
    pub home_access: bool,
    /// The promised mounts.
    pub targets: Vec<InsideMount>,
    /// What making the probe file in the workspace gave: `written` or an error.
    pub workspace: Option<String>,
    /// Engine sockets that exist.
    pub sockets: Vec<String>,
    /// The size of `/dev/shm`, in bytes.
    pub shm: Option<u64>,
    /// The cgroup's limit of processes, where it can be seen.
    pub pids_max: Option<String>,
    /// Names in `/dev` that belong to GPUs.
    pub nodes: Vec<String>,
    /// Network interfaces and whether each is up (`None`: not known).
    pub interfaces: BTreeMap<String, Option<bool>>,
    /// Names in the environment of the main process.
    pub env_names: Vec<String>,
    /// The values asked for.
    pub env: BTreeMap<String, String>,
    /// Every other process.
    pub processes: Vec<Process>,
    /// Programs asked for, and where they lie.
    pub programs: BTreeMap<String, Option<String>>,
    /// What `nvidia-smi` said, where it was asked.
    pub smi: Option<Said>,
    /// The real path of Codex.
    pub codex_real: Option<String>,
    /// The identity of Codex's file.
    pub codex_id: Option<FileId>,
    /// What `codex --version` said.
    pub codex: Option<Said>,
}

impl Inside {
    /// Reads the answer to a request. Text around it, a part that is missing, another schema or another nonce are
    /// errors: a witness that cannot be understood proves nothing.
    pub fn parse(answer: &str, nonce: &str) -> Result<Inside, String> {
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
        read(&value)
    }

    /// The report on a promised mount.
    pub fn target(&self, path: &str) -> Option<&InsideMount> {
        self.targets.iter().find(|mount| mount.path == path)
    }

    /// Processes that are neither the init, nor the container's own `sleep`, nor the probe: what the user runs, also
    /// what a session left behind.
    pub fn sessions(&self) -> Vec<&Process> {
        let main = self.processes.iter().filter(|process| process.parent == 1).map(|process| process.pid).min();
        self.processes.iter().filter(|process| process.pid != 1 && Some(process.pid) != main).collect()
    }
}

fn read(value: &Value) -> Result<Inside, String> {
    let text =
        |key: &str| value[key].as_str().map(str::to_owned).ok_or_else(|| format!("the probe's answer lacks `{key}`"));
    let number = |key: &str| value[key].as_u64().ok_or_else(|| format!("the probe's answer lacks `{key}`"));
    let codex = &value["codex"];
    Ok(Inside {
        nonce: text("nonce")?,
        mounts: MountTable::parse(&text("mountinfo")?)?,
        status: text("status")?,
        limits: text("limits")?,
        namespaces: strings(&value["namespaces"]),
        hostname: text("hostname")?,
        uid: number("uid")?,
        gid: number("gid")?,
        groups: items(&value["groups"]).filter_map(Value::as_u64).collect(),
        passwd: value["passwd"]["name"]
            .as_str()
            .zip(value["passwd"]["home"].as_str())
            .map(|(name, home)| (name.to_owned(), home.to_owned())),
        home_owner: value["home"]["stat"]["uid"].as_u64(),
        home_access: value["home"]["access"].as_bool().unwrap_or(false),
        targets: items(&value["mounts"]).map(mount).collect::<Result<_, _>>()?,
        workspace: value["workspace"].as_str().map(str::to_owned),
        sockets: texts(&value["sockets"]),
        shm: value["shm"].as_u64(),
        pids_max: value["pids_max"].as_str().map(str::to_owned),
        nodes: texts(&value["nodes"]),
        interfaces: interfaces(&value["interfaces"]),
        env_names: texts(&value["environment"]["names"]),
        env: strings(&value["environment"]["values"]),
        processes: items(&value["processes"]).filter_map(process).collect(),
        programs: programs(&value["programs"]),
        smi: said(&value["smi"]),
        codex_real: codex["real"].as_str().map(str::to_owned),
        codex_id: file_id(&codex["stat"]),
        codex: said(&codex["version"]),
    })
}

fn mount(value: &Value) -> Result<InsideMount, String> {
    let path = value["path"].as_str().ok_or("the probe's answer has a mount without a path")?;
    let error = || value["stat"]["error"].as_str().unwrap_or("unknown").to_owned();
    let said = |key: &str| value[key].as_str().map(str::to_owned);
    Ok(InsideMount {
        path: path.to_owned(),
        id: file_id(&value["stat"]).ok_or_else(error),
        owner: value["stat"]["uid"].as_u64(),
        st_rdonly: value["flags"].as_u64().map(|flags| flags & 1 == 1),
        access: value["access"].as_bool().unwrap_or(false),
        create: said("create"),
        touch: said("touch"),
        submounts: items(&value["submounts"]).map(mount).collect::<Result<_, _>>()?,
        sample: value["sample"].is_object().then(|| sample(&value["sample"])),
    })
}

fn sample(value: &Value) -> Sample {
    let count = |key: &str| value[key].as_u64().unwrap_or(0);
    let pairs = |key: &str| {
        items(&value[key])
            .filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())))
            .collect()
    };
    // A file all of whose names were met within the sample has none elsewhere.
    let linked = items(&value["linked"])
        .filter(|file| file["links"].as_u64() > file["seen"].as_u64())
        .filter_map(|file| Some((file["path"].as_str()?.to_owned(), file["links"].as_u64()?)))
        .collect();
    let symlinks = items(&value["symlinks"])
        .filter_map(|link| {
            let (path, to) = (link["path"].as_str()?, link["to"].as_str()?);
            Some((path.to_owned(), to.to_owned(), link["exists"].as_bool()?))
        })
        .collect();
    Sample {
        entries: count("entries"),
        files: count("files"),
        read: count("read"),
        linked,
        unreadable: pairs("unreadable"),
        symlinks,
        errors: pairs("errors"),
    }
}

fn process(value: &Value) -> Option<Process> {
    Some(Process {
        pid: value["pid"].as_u64()?,
        parent: value["parent"].as_u64()?,
        name: value["name"].as_str()?.to_owned(),
    })
}

fn said(value: &Value) -> Option<Said> {
    Some(Said { code: value["code"].as_str()?.to_owned(), text: value["text"].as_str()?.to_owned() })
}

fn file_id(value: &Value) -> Option<FileId> {
    let (dev, ino) = (value["dev"].as_u64()?, value["ino"].as_u64()?);
    Some(FileId { dev, ino })
}

fn interfaces(value: &Value) -> BTreeMap<String, Option<bool>> {
    const UP: u64 = 1; // IFF_UP
    let up =
        |flags: &Value| u64::from_str_radix(flags.as_str()?.trim_start_matches("0x"), 16).ok().map(|f| f & UP == UP);
    pairs(value).map(|(name, flags)| (name.clone(), up(flags))).collect()
}

fn programs(value: &Value) -> BTreeMap<String, Option<String>> {
    pairs(value).map(|(name, path)| (name.clone(), path.as_str().map(str::to_owned))).collect()
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    pairs(value).filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned()))).collect()
}

fn pairs(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<String> {
    items(value).filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
