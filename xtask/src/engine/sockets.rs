//! The sockets on which container engines listen. Pure.

use std::path::PathBuf;

/// The socket of Docker Engine, which the client's `default` context uses.
pub(crate) const DOCKER: &str = "/var/run/docker.sock";

/// The names of the sockets, each with its usual directories; `~` is the user's own directory below `/run/user`.
const SOCKETS: [(&str, &[&str]); 8] = [
    ("docker.sock", &["/run", "~"]),
    ("containerd.sock", &["/run/containerd"]),
    ("podman.sock", &["/run/podman", "~/podman"]),
    ("crio.sock", &["/run/crio"]),
    ("cri-dockerd.sock", &[]),
    ("buildkitd.sock", &["/run/buildkit"]),
    ("docker.raw.sock", &[]),
    ("docker.proxy.sock", &["/run/host-services"]),
];

/// The usual sockets of this machine and of a user.
pub(crate) fn usual(uid: u32) -> Vec<PathBuf> {
    let own = format!("/run/user/{uid}");
    let paths = SOCKETS.iter().flat_map(|(name, dirs)| dirs.iter().map(move |dir| format!("{dir}/{name}")));
    paths.map(|path| path.replacen('~', &own, 1).into()).collect()
}

/// Whether the last part of a path is the name of such a socket.
pub(crate) fn is_named(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    SOCKETS.iter().any(|(name, _)| *name == last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_looks_for_each_usual_socket_too() {
        let probe = include_str!("../../../docker/probe.py");
        for path in usual(1000) {
            let path = path.to_string_lossy().replace("1000", "%d");
            assert!(is_named(&path) && probe.contains(&format!("\"{path}\"")), "{path}");
        }
        assert!(is_named(DOCKER) && probe.contains(DOCKER) && !is_named("/run/other.sock"));
    }
}
