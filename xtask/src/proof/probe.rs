//! The inside witness, seen from the host: the request, the `docker exec` that runs it, and the reading of its answer.
//! Pure: `exec` runs it, `proof` judges it. The other end is `docker/probe.py`.

mod answer;

pub use answer::{InsideMount, InsideWitness, LeadsOut, Sample};
#[cfg(test)]
pub(crate) use answer::{LIMITS, Passwd, STATUS, Said, answer};

use crate::engine::docker;
use crate::proof::witness::CodexFile;
use crate::spec::Spec;
use crate::spec::inside::Role;
use crate::spec::mount::Mount;
use crate::spec::words::Gpus;
use crate::step::Command;

/// Where the probe lies inside, on the read-only mount of `Role::Guest`.
pub const PATH_INSIDE: &str = "/sandbox/probe.py";
/// The home of the container's user.
pub const HOME_INSIDE: &str = "/home/codex";
/// Where the project lies inside.
pub const WORKSPACE_INSIDE: &str = "/workspace";
/// What leads to Codex inside.
pub const CODEX_INSIDE: &str = "/usr/local/bin/codex";
/// The PATH of the probe: the system's own directories, nothing of the agent's.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The image's interpreter, by a link on the read-only mount: it looks for a `pyvenv.cfg`, which would lead it to another
/// library, beside the name by which it was started and above.
const PYTHON: &str = "/sandbox/bin/python3";
/// What the image's variables would have the loader and the C library of `env` read, before it clears them all.
const UNSAID: [&str; 4] = ["LC_ALL=C", "LD_LIBRARY_PATH=", "LD_PRELOAD=", "LD_AUDIT="];
/// Above the probe's own bound of 25 s, so that its own words come first.
const BOUND: u64 = 30;

/// What the probe is asked of Codex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskCodex {
    /// Nothing.
    Nothing,
    /// What its name leads to: this very file answered at the container's start, before any agent ran inside.
    File(CodexFile),
    /// That, and its version, by starting it.
    Version,
}

/// What the probe is asked to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRequest {
    /// What the answer must repeat: letters and digits, it becomes part of a file name.
    pub nonce: String,
    /// The promised mounts.
    pub mounts: Vec<Mount>,
    /// Whether the workspace's probe file is made: only where the host looks at it and removes it.
    pub workspace_file: bool,
    /// What is asked of Codex.
    pub codex: AskCodex,
    /// Whether the GPUs are asked for their names.
    pub gpus: bool,
    /// The most entries that are looked at in one data set.
    pub entries: u32,
    /// Programs to look for on the container's PATH.
    pub programs: Vec<String>,
    /// Variables of the container's main process whose values are wanted.
    pub env: Vec<String>,
}

impl ProbeRequest {
    /// Everything that a proof of this promise needs.
    pub fn new(promise: &Spec, nonce: impl Into<String>) -> ProbeRequest {
        ProbeRequest {
            nonce: nonce.into(),
            mounts: promise.mounts.clone(),
            workspace_file: true,
            codex: AskCodex::Version,
            gpus: promise.shape.gpus != Gpus::None,
            entries: 200,
            programs: Vec::new(),
            env: vec!["LD_LIBRARY_PATH".into(), "_CUDA_COMPAT_STATUS".into()],
        }
    }

    /// The name of the file that the probe makes in the workspace; the host removes it.
    pub fn workspace_file_name(nonce: &str) -> String {
        format!(".codex-sandbox-probe-{nonce}")
    }

    /// The command that runs the probe in a container, as the container's user: with a cleared environment and an
    /// isolated interpreter, so that nothing an agent left in its home speaks for it. Compiled copies are looked for below
    /// a file, where none can be: a file of the read-only mount, for root inside makes a folder of `/dev/null`. In the C
    /// locale no converter of character sets is loaded.
    pub fn command(&self, container: &str) -> Command {
        docker::exec(container, &UNSAID, ["/usr/bin/env", "-i", "LC_ALL=C"])
            .arg(format!("PATH={PATH}"))
            .arg(format!("HOME={HOME_INSIDE}"))
            .args([PYTHON, "-I", "-S", "-X"])
            .arg(format!("pycache_prefix={PATH_INSIDE}"))
            .arg(PATH_INSIDE)
            .args(self.pairs())
            .timeout(BOUND)
    }

    fn pairs(&self) -> Vec<String> {
        let mut pairs = vec![("nonce", self.nonce.clone()), ("entries", self.entries.to_string())];
        for mount in &self.mounts {
            let key = match (&mount.role, mount.read_only) {
                (Role::Dataset(_), _) => "dataset",
                (_, true) => "read-only",
                (_, false) => "writable",
            };
            pairs.push((key, mount.target.clone()));
        }
        if self.workspace_file {
            pairs.push(("workspace", WORKSPACE_INSIDE.into()));
        }
        match self.codex {
            AskCodex::Nothing => {}
            AskCodex::File(_) => pairs.push(("codex", CODEX_INSIDE.into())),
            AskCodex::Version => pairs.push(("codex-version", CODEX_INSIDE.into())),
        }
        if self.gpus {
            pairs.push(("smi", "nvidia-smi".into()));
        }
        pairs.extend(self.programs.iter().map(|name| ("program", name.clone())));
        pairs.extend(self.env.iter().map(|name| ("env", name.clone())));
        pairs.into_iter().flat_map(|(key, value)| [key.to_owned(), value]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::fixture::spec;

    #[test]
    fn the_probe_is_asked_in_pairs_and_with_a_cleared_environment() {
        let command = ProbeRequest::new(&spec(), "n0").command("c1").to_string();
        assert_eq!(
            command,
            "docker exec --env 'LC_ALL=C' --env 'LD_LIBRARY_PATH=' --env 'LD_PRELOAD=' --env 'LD_AUDIT=' c1 /usr/bin/env -i \
             'LC_ALL=C' 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
             'HOME=/home/codex' /sandbox/bin/python3 -I -S -X 'pycache_prefix=/sandbox/probe.py' /sandbox/probe.py nonce n0 entries 200 writable /workspace \
             dataset /datasets/ssv2 writable /home/codex/.codex writable /workspace/.git read-only /opt/codex \
             writable /home/codex/.cache/pip workspace /workspace codex-version /usr/local/bin/codex env LD_LIBRARY_PATH env _CUDA_COMPAT_STATUS"
        );
    }
}
