//! Known error texts of the engine and of its client, each with its cause and its remedy. The start of a sandbox, its
//! proof and the smoke test use them. Pure.

use crate::error::{Failure, Kind, failed, flatten};
use crate::spec::words::Gpus;
use std::path::Path;

/// An error that is recognized by its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KnownError {
    /// One of these is part of the error's text; upper and lower case are the same.
    pub(crate) texts: &'static [&'static str],
    pub(crate) cause: &'static str,
    pub(crate) remedy: &'static str,
    /// Whose fault it is: `Host` where the engine says it of a container that did not start.
    pub(crate) kind: Kind,
}

impl KnownError {
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.texts.iter().any(|part| says(text, part))
    }

    /// Cause and remedy in one sentence.
    pub(crate) fn advice(&self) -> String {
        format!("{}: {}", self.cause, self.remedy)
    }
}

fn says(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

const fn host(texts: &'static [&'static str], cause: &'static str, remedy: &'static str) -> KnownError {
    KnownError { texts, cause, remedy, kind: Kind::Host }
}

/// An error of what runs, on a host that could run it.
pub(crate) const fn inside(texts: &'static [&'static str], cause: &'static str, remedy: &'static str) -> KnownError {
    KnownError { kind: Kind::Failed, ..host(texts, cause, remedy) }
}

/// The engine asks runc for more locked memory than it has itself. runc gives the number of the limit: 8 is
/// `RLIMIT_MEMLOCK`.
pub(crate) const MEMLOCK: KnownError = host(
    &["error setting rlimit type 8"],
    "this engine may not raise the limit of locked memory (it has no CAP_SYS_RESOURCE, as in a container or rootless)",
    "`memlock: engine` in sandbox.local.yaml keeps the limit of the engine",
);

/// A container that has lost its GPUs while it ran.
pub(crate) const LOST: KnownError = inside(
    &["Failed to initialize NVML", "NVML_ERROR_UNKNOWN", "NVML: Unknown Error"],
    "the container has lost its GPU devices: with the systemd cgroup driver and NVIDIA's hook a `systemctl \
     daemon-reload` takes them away",
    "recreate the container (`cargo xtask down`, then enter again); use CDI so that it does not happen again",
);

/// The first that matches counts, so the special ones come before the general ones.
pub(crate) const KNOWN: &[KnownError] = &[
    host(
        &["could not select device driver \"cdi\"", "unresolvable CDI devices"],
        "the engine has CDI off, or its CDI specification does not have this GPU",
        "run `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`; `nvidia-ctk cdi list` shows what it names; an \
         engine before 28.2 needs `features: {cdi: true}`",
    ),
    host(
        &["could not select device driver"],
        "the engine cannot pass GPUs to a container: the NVIDIA Container Toolkit is missing",
        "install `nvidia-container-toolkit`, then `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`",
    ),
    host(
        &["unknown or invalid runtime name", "unknown runtime specified"],
        "the engine does not know NVIDIA's runtime",
        "`sudo nvidia-ctk runtime configure --runtime=docker`, then restart the engine; or use CDI",
    ),
    host(
        &["error gathering device information while adding custom device \"nvidia.com/gpu="],
        "this Compose takes a CDI name for a path: it is older than 2.30",
        "update `docker-compose-plugin`",
    ),
    host(
        &["nvidia-container-cli", "nvidia-container-runtime-hook", "nvidia-cdi-hook"],
        "NVIDIA's hook failed on the host: driver and toolkit do not match, or the driver is not loaded",
        "`nvidia-smi` on the host must answer; then reinstall `nvidia-container-toolkit` and restart the engine",
    ),
    // As Docker 26.1 says it, with the path and `permission denied` behind it (seen with FUSE).
    host(
        &["for type \"bind\": stat "],
        "the engine, which is root, may not enter a directory on the way to a mount: NFS with `root_squash`, or FUSE without \
         `allow_other`",
        "keep the project and the state folder (XDG_STATE_HOME) on a disk of this host, or let everybody enter the directories on \
         the way (`chmod o+x`), or export with `no_root_squash`; mount FUSE with `-o allow_other`",
    ),
    MEMLOCK,
    inside(
        &["Driver/library version mismatch"],
        "the driver was updated and the old kernel module is still loaded",
        "reboot, or unload and load the NVIDIA modules",
    ),
    LOST,
];

/// What an engine says that has gone, or its client of one, whatever it was asked.
const GONE: KnownError = host(
    &[
        "cannot connect to the docker daemon",
        "failed to connect to the docker api",
        "error during connect",
        "connection reset by peer",
        "connection refused",
        "broken pipe",
        "unexpected eof",
        ": eof",
        "http: server closed",
        "ttrpc: closed",
        "transport is closing",
        "containerd.sock",
    ],
    "the engine, or its containerd, went away meanwhile",
    "start it (`sudo systemctl start docker`; `journalctl -u docker` has its last words), then try again: the next call \
     removes what is left",
);

/// What the engine's client says of an answer that is not the engine's.
const GARBLED: KnownError = host(
    &["invalid character", "cannot unmarshal", "unexpected end of json", "unable to parse", "malformed http"],
    "what answers is no Docker Engine, or one that is out of order",
    "`docker info` must answer well; `docker context inspect` and DOCKER_HOST say who is asked; restart the engine",
);

/// The engine has no address range left for one more network.
const NETWORKS: KnownError = host(
    &["address pools have been fully subnetted", "available, non-overlapping ipv4 address pool"],
    "the engine has no address range left for one more network (it has about thirty)",
    "`docker network prune` removes the networks that nothing uses; or `--network none`, which needs none; more ranges: \
     `default-address-pools` in the engine's settings",
);

const FULL: KnownError = host(
    &["no space left on device", "disk quota exceeded"],
    "the disk of the engine is full",
    "`docker system df` shows what takes room, `docker builder prune` frees the builds' cache; the setting `data-root` of \
     the engine moves it",
);

/// What the engine lacks: it says so in these words of its kernel and of its libraries.
const EXHAUSTED: &[KnownError] = &[
    NETWORKS,
    host(
        &["too many open files", "inotify"],
        "the engine may open no more files or inotify watches",
        "a higher `fs.inotify.max_user_instances` and `fs.inotify.max_user_watches` (`sudo sysctl`), or a higher limit of open \
         files for the engine",
    ),
    FULL,
    host(
        &["resource temporarily unavailable", "cannot allocate memory", "pthread_create failed", "newosproc"],
        "the engine can start no more processes, or has no memory left",
        "end what takes them (`docker ps`, `ps -eLf | wc -l`), or raise the limit of the engine (`TasksMax=` of its unit, \
         `kernel.pid_max`)",
    ),
];

/// The engine's own trouble in the text of an error, whatever it was asked for.
pub(crate) fn trouble(text: &str) -> Option<&'static KnownError> {
    let own = says(text, "error response from daemon") || says(text, "runc") || says(text, "containerd");
    EXHAUSTED.iter().filter(|_| own).chain([&GONE, &GARBLED]).find(|known| known.is_in(text))
}

/// What the engine lacks, where it says so itself, of a command whose other words may be those of a program inside.
pub(crate) fn lacks(text: &str) -> Option<&'static KnownError> {
    EXHAUSTED.iter().filter(|_| says(text, "error response from daemon: ")).find(|known| known.is_in(text))
}

/// An engine that has gone while something of it ran, with its client's last words.
pub(crate) fn gone(stderr: &str) -> Failure {
    Failure::new(Kind::Host, format!("the engine has gone: {}", last_line(stderr))).hint(GONE.advice())
}

/// An engine whose disk was seen to be full after something of it failed; `free` are bytes.
pub(crate) fn full(failed: &str, dir: &Path, free: u64) -> Failure {
    Failure::new(Kind::Host, format!("{failed}, and `{}` has {} MiB left", dir.display(), free >> 20))
        .hint(FULL.advice())
}

/// The error of a task as it is shown: one that comes of the engine's own trouble is this host's matter, and says what
/// there is to do. Only the failure of a client of the engine is looked at, and not of `docker exec`, whose words are those of
/// a program inside: where these sound like an engine that has gone, it is asked whether it `answers`.
pub(crate) fn explained(err: anyhow::Error, answers: impl FnOnce() -> bool) -> anyhow::Error {
    let failure = flatten(&err);
    let text = &err.root_cause().to_string();
    let of_client = text.strip_prefix('`').is_some_and(|command| {
        command.split("` ").next().is_some_and(|command| command.contains("docker "))
            && !command.contains("docker exec ")
    });
    if failure.kind != Kind::Failed {
        return err;
    }
    if (of_client || GONE.is_in(&format!("{err:#}"))) && !answers() {
        return Failure { kind: Kind::Host, ..failure }.hint(GONE.advice()).into();
    }
    if !of_client {
        return err;
    }
    // Work that says itself how to give it longer may take long, and is no sign of an engine that hangs; a query may not.
    let slow = failure.remedies.is_empty() && says(text, "did not end within");
    let late = slow || says(text, "did not answer within");
    match trouble(text).map(KnownError::advice).or_else(|| late.then(|| HANGS.to_owned())) {
        None => err,
        Some(advice) => Failure { kind: Kind::Host, ..failure }.hint(advice).into(),
    }
}

const HANGS: &str = "the engine hangs, or is very busy: `docker info` must answer; restart it (`sudo systemctl restart docker`), \
                     then try again";

pub(crate) fn find(text: &str) -> Option<&'static KnownError> {
    KNOWN.iter().find(|known| known.is_in(text))
}

/// The error of a failed `docker compose up`, with the remedy where its text is known.
pub(crate) fn not_started(stderr: &str, gpus: &Gpus) -> Failure {
    let said = last_line(stderr);
    let message = format!("the container did not start: {said}");
    match find(&said).or_else(|| trouble(stderr)) {
        None => failed(message).hint("`cargo xtask sandbox --dry-run` prints what Compose is told"),
        Some(known) => {
            let failure = Failure::new(known.kind, message).hint(known.advice());
            // The limit of locked memory, too, is raised only for GPUs.
            if *gpus == Gpus::None { failure } else { failure.hint("or work without a GPU: `--gpus none`") }
        }
    }
}

/// The last line that says something.
pub(crate) fn last_line(text: &str) -> String {
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.unwrap_or("nothing was said").trim().to_owned()
}

/// Whether an engine runs, and this user may not use it.
pub(crate) fn is_denied(stderr: &str) -> bool {
    says(stderr, "permission denied")
}

/// Whether a query was waited for in vain. Work that passes the bound which its user set is no sign of anything that hangs.
pub(crate) fn is_late(text: &str) -> bool {
    ["did not answer within", "does not answer any more"].iter().any(|part| says(text, part))
}

/// Whether the client said that there is no container of that name.
pub(crate) fn is_no_container(stderr: &str) -> bool {
    says(stderr, "no such container")
}

/// Whether the engine has no address range left for one more network.
pub(crate) fn wants_networks(stderr: &str) -> bool {
    NETWORKS.is_in(stderr)
}

/// Whether it was said of a removal that there is nothing to be removed.
pub(crate) fn is_gone(stderr: &str) -> bool {
    is_no_container(stderr) || says(stderr, "no such network") || (says(stderr, "network") && says(stderr, "not found"))
}

/// Whether it was said of a removal that somebody else is at it: the thing is still there.
pub(crate) fn is_being_removed(stderr: &str) -> bool {
    says(stderr, "is already in progress")
}

/// Whether the engine said that its containerd knows nothing of a container that runs.
pub(crate) fn is_no_task(stderr: &str) -> bool {
    says(stderr, "task ") && says(stderr, "not found")
}

/// Whether the client said that there is no image of that name.
pub(crate) fn is_no_image(stderr: &str) -> bool {
    says(stderr, "no such image")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Remedy;

    fn advice(failure: &Failure) -> String {
        failure.remedies.iter().map(Remedy::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_gpu_that_the_engine_cannot_hand_out_is_the_hosts_matter() {
        let text = "Container x Starting\nError response from daemon: could not select device driver \"nvidia\" with capabilities: [[gpu]]\n";
        let failure = not_started(text, &Gpus::All);
        assert_eq!(failure.kind.code(), 3);
        assert!(failure.message.contains("could not select device driver"));
        assert!(advice(&failure).contains("nvidia-container-toolkit") && advice(&failure).contains("--gpus none"));
        assert_eq!(not_started("no such volume", &Gpus::All).kind.code(), 1);
    }

    #[test]
    fn what_a_program_inside_lacks_is_not_told_as_what_the_engine_lacks() {
        let full = "mkdir /var/lib/docker/overlay2/x: no space left on device";
        let of_engine = format!("no report (exit code 1): Error response from daemon: {full}");
        assert_eq!(lacks(&of_engine).map(|known| known.remedy), Some(FULL.remedy));
        assert_eq!(lacks(&format!("no report (exit code 1): OSError: [Errno 28] {full}")), None);
        assert_eq!(lacks("Error response from daemon: connection refused"), None, "a program may say so of a server");
    }

    #[test]
    fn an_engine_that_lacks_something_is_told_with_what_to_do() {
        for (text, remedy) in [
            (
                "failed to create network x_default: Error response from daemon: all predefined address pools have been fully subnetted",
                "docker network prune",
            ),
            (
                "Error response from daemon: mkdir /var/lib/docker/overlay2/x: no space left on device",
                "docker system df",
            ),
            (
                "Error response from daemon: OCI runtime create failed: fork/exec /proc/self/exe: resource temporarily unavailable",
                "TasksMax",
            ),
            (
                "Error response from daemon: invalid mount config for type \"bind\": stat /nfs/home/me/work: permission denied",
                "root_squash",
            ),
            ("Error response from daemon: inotify_add_watch: no space left on device", "max_user_watches"),
            ("error during connect: Post \"http://x\": EOF", "systemctl start docker"),
        ] {
            let failure = not_started(text, &Gpus::None);
            assert_eq!(failure.kind.code(), 3, "{text}");
            assert!(advice(&failure).contains(remedy), "{text}: {}", advice(&failure));
        }
    }

    #[test]
    fn an_error_that_comes_of_the_engines_trouble_is_the_hosts_and_no_other_is() {
        let shown = |text: &str| crate::error::exit_code(&explained(failed(text).into(), || true));
        assert_eq!(shown("`docker kill --signal USR1 x` did not answer within 20 s"), 3);
        let asked = failed("`docker info` did not answer within 20 s").hint("`docker version` tells more");
        assert_eq!(crate::error::exit_code(&explained(asked.into(), || true)), 3, "whatever else is advised");
        assert_eq!(shown("`docker top x` ended with exit code 1: Cannot connect to the Docker daemon at unix:///x"), 3);
        assert_eq!(
            shown("`docker top x` ended with exit code 1: invalid character 'x' looking for beginning of value"),
            3
        );
        assert_eq!(
            shown("`docker exec x` ended with exit code 1: Cannot connect to the Docker daemon"),
            1,
            "a program's words"
        );
        let inside = failed("the inside witness ended with exit code 1: error during connect: EOF");
        assert_eq!(crate::error::exit_code(&explained(inside.clone().into(), || true)), 1);
        assert_eq!(crate::error::exit_code(&explained(inside.into(), || false)), 3, "its engine has gone, too");
        let build = failed("`docker build` did not end within 9 s, and was ended").hint("`--timeout` gives it longer");
        assert_eq!(crate::error::exit_code(&explained(build.into(), || true)), 1);
        assert_eq!(shown("`git log` did not answer within 20 s"), 1);
        assert_eq!(shown("cannot write `/x`: no space left on device"), 1);
        assert_eq!(shown("`docker top x` ended with exit code 1: no such container"), 1);
    }

    #[test]
    fn an_engine_that_may_not_raise_a_limit_is_told_from_a_failure() {
        let text = "Error response from daemon: failed to create task for container: error setting rlimit type 8: \
                    operation not permitted: unknown\n";
        let failure = not_started(text, &Gpus::All);
        assert_eq!(failure.kind.code(), 3);
        assert!(advice(&failure).contains("`memlock: engine`"));
        assert!(!advice(&not_started(text, &Gpus::None)).contains("--gpus none"));
    }
}
