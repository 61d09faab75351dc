//! The inside witness, seen from the host: the request, the `docker exec` that runs it, and the reading of its answer.
//! Pure: `exec` runs it, `proof` judges it. The other end is `docker/probe.py`.

mod answer;

#[cfg(any(test, fuzzing))]
pub(crate) use answer::answer;
#[cfg(any(test, fuzzing))]
pub(crate) use answer::fuzz;
pub(crate) use answer::{
    Attempted, InsideMount, InsideWitness, LeadsOut, Linked, Outside, ProcessFacts, Refusal, Sample, field,
};
#[cfg(test)]
pub(crate) use answer::{Door, Passwd, Said};

use super::codex_file::CodexFile;
use super::net_tables;
use crate::engine::docker::{self, Entrance};
use crate::spec::denials::Denials;
use crate::spec::inside::{CODEX_ON_PATH, HOME, PROBE, PYTHON_LINK, Tried, WORKSPACE};
use crate::spec::insider::Insider;
use crate::spec::words::{Gpus, Network};
use crate::spec::{Mount, Spec};
use crate::step::Command;

/// With what the name of the probe's file in the workspace begins; a nonce follows.
const WORKSPACE_FILE: &str = ".codex-sandbox-probe-";

/// The PATH of the probe: the system's own directories, nothing of the agent's.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Set because the image's own variables would make the loader and the C library of `env` read further files, before
/// `env` clears them all.
const UNSET: [&str; 4] = ["LC_ALL=C", "LD_LIBRARY_PATH=", "LD_PRELOAD=", "LD_AUDIT="];
/// In seconds; above the probe's own bound of 25 s, so that the probe can say itself what took too long.
const BOUND: u64 = 30;
/// Of the probe's own bound, what it may wait for the host.
const PATIENCE: u64 = 15;
/// The most entries that the probe visits in one data set.
const ENTRIES: u32 = 200;

/// What the probe is asked of Codex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskCodex {
    Nothing,
    /// Where its name leads: this very file answered at the container's start, before any agent ran inside.
    File(CodexFile),
    /// Where its name leads, and the version, for which Codex is started.
    Version,
}

/// What the probe is asked to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProbeRequest {
    /// Whom it runs as.
    who: Insider,
    /// The agent's group, for the file that it makes in the workspace.
    gid: u32,
    /// Repeated in the answer. Letters and digits only: it becomes part of a file name.
    pub(crate) nonce: String,
    /// The promised mounts.
    mounts: Vec<Mount>,
    pub(crate) codex: AskCodex,
    /// Whether `nvidia-smi` is run.
    gpus: bool,
    /// Addresses of this host that must not answer: some where the container has no network.
    outside: Vec<String>,
    /// What is denied in a session: the probe is started as a session is, and tries it.
    denials: Denials,
    /// Programs to look for on the container's PATH.
    pub(crate) programs: Vec<String>,
    /// For how many seconds the probe waits until the init is out of reach: where that is not so already, the host is just
    /// looking into it.
    patience: u64,
}

impl ProbeRequest {
    /// Everything that a proof of this sandbox needs. Nonce and number are by chance, and for this proof alone.
    pub(crate) fn new(spec: &Spec, nonce: impl Into<String>, number: u32) -> ProbeRequest {
        ProbeRequest {
            who: Insider::apart(spec, number),
            gid: spec.gid,
            nonce: nonce.into(),
            mounts: spec.mounts.clone(),
            codex: AskCodex::Version,
            gpus: spec.shape.gpus != Gpus::None,
            outside: match spec.shape.network {
                Network::None => net_tables::addresses_of_this_host(),
                Network::Open => Vec::new(),
            },
            denials: spec.denials(),
            programs: Vec::new(),
            patience: 0,
        }
    }

    /// The same for a container that was just started, whose init the host is still looking into.
    pub(crate) fn just_started(mut self) -> ProbeRequest {
        self.patience = PATIENCE;
        self
    }

    /// The name of the file that the probe makes in the workspace; the host removes it.
    pub(crate) fn workspace_file_name(nonce: &str) -> String {
        format!("{WORKSPACE_FILE}{nonce}")
    }

    /// The nonce in the name of such a file; `None` for every other name.
    pub(crate) fn nonce_of(name: &str) -> Option<&str> {
        name.strip_prefix(WORKSPACE_FILE).filter(|nonce| crate::nonce::is_one(nonce))
    }

    /// The group of the probe and of what it starts, which nothing else inside has.
    pub(crate) fn group(&self) -> u32 {
        self.who.gid
    }

    /// The command that runs the probe in a container, out of the agent's reach: with a cleared environment and an
    /// isolated interpreter, so that nothing that an agent left in its home can answer in its place. The interpreter
    /// would read compiled copies of its modules, so it is told to look for them below a regular file, where there can be
    /// none. That file lies on the read-only mount, because root inside can replace `/dev/null` by a folder. In the C
    /// locale no converter of character sets is loaded, and where the zone of the clock is a file that describes none,
    /// `/etc/localtime` is not opened: root inside could have put a pipe there, at which the interpreter would wait.
    pub(crate) fn command(&self, container: &str) -> Command {
        docker::exec_trusted(
            Entrance::new(container, self.denials),
            self.who,
            &UNSET,
            ["/usr/bin/env", "-i", "LC_ALL=C"],
        )
        .arg(format!("PATH={PATH}"))
        .arg(format!("HOME={HOME}"))
        .arg(format!("TZ=:{PROBE}"))
        .args([PYTHON_LINK, "-I", "-S", "-X"])
        .arg(format!("pycache_prefix={PROBE}"))
        .arg(PROBE)
        .args(self.pairs())
        .timeout(BOUND)
    }

    fn pairs(&self) -> Vec<String> {
        let (entries, gid, patience) = (ENTRIES.to_string(), self.gid.to_string(), self.patience.to_string());
        let mut pairs = vec![("nonce", self.nonce.as_str()), ("entries", &entries), ("gid", &gid)];
        for mount in &self.mounts {
            let key = match (mount.role.inside().tried, mount.read_only) {
                (Tried::Sample, _) => "dataset",
                (Tried::Access | Tried::File, true) => "read-only",
                (Tried::Access | Tried::File, false) => "writable",
            };
            pairs.push((key, &mount.target));
        }
        pairs.push(("workspace", WORKSPACE));
        match self.codex {
            AskCodex::Nothing => {}
            AskCodex::File(_) => pairs.push(("codex", CODEX_ON_PATH)),
            AskCodex::Version => pairs.push(("codex-version", CODEX_ON_PATH)),
        }
        if self.gpus {
            pairs.push(("smi", "nvidia-smi"));
        }
        if self.patience > 0 {
            pairs.push(("await-init", &patience));
        }
        pairs.extend(self.outside.iter().map(|address| ("outside", address.as_str())));
        if let Some(launcher) = self.denials.launcher() {
            pairs.push(("launcher", launcher));
        }
        let denied = [("setuid", self.denials.setuid), ("tracing", self.denials.tracing)];
        pairs.extend(denied.into_iter().filter(|(_, denied)| *denied).map(|(what, _)| ("denied", what)));
        pairs.extend(self.programs.iter().map(|name| ("program", name.as_str())));
        pairs.into_iter().flat_map(|(key, value)| [key.to_owned(), value.to_owned()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::fixture::spec;

    #[test]
    fn the_probe_is_started_as_a_session_is_and_tries_what_is_denied_there() {
        let command = ProbeRequest::new(&Spec { uid: 0, ..spec() }, "n0", 7).command("c1").to_string();
        let started = "--env 'LD_AUDIT=' c1 /sandbox/launch/no-setuid /usr/bin/env -i 'LC_ALL=C' ";
        assert!(command.contains(started), "{command}");
        assert!(command.ends_with(" launcher /sandbox/launch/no-setuid denied setuid"), "{command}");
    }

    #[test]
    fn the_probe_is_asked_in_pairs_and_with_a_cleared_environment() {
        let command = ProbeRequest::new(&spec(), "n0", 7).command("c1").to_string();
        assert_eq!(
            command,
            "docker exec --user 1000:2010000007 --workdir / --env 'LC_ALL=C' --env 'LD_LIBRARY_PATH=' --env 'LD_PRELOAD=' --env 'LD_AUDIT=' c1 /usr/bin/env -i \
             'LC_ALL=C' 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
             'HOME=/home/codex' 'TZ=:/sandbox/probe.py' /sandbox/bin/python3 -I -S -X 'pycache_prefix=/sandbox/probe.py' /sandbox/probe.py nonce n0 entries 200 gid 1000 writable /workspace \
             dataset /datasets/ssv2 writable /home/codex/.codex writable /workspace/.git read-only /opt/codex \
             writable /home/codex/.cache/pip workspace /workspace codex-version /usr/local/bin/codex"
        );
    }
}
