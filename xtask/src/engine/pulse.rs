//! Whether the engine still answers: it is asked beside each command of its client that takes long, and decides about all
//! of them.

use crate::engine::docker;
use crate::exec;
use crate::step::Lifeline;

/// The bound on an answer after something failed, in seconds: a signal may have asked for the end.
const BOUND: u64 = 4;

/// Of a command of the client. The engine asks containerd for its version on the way, so that both are seen.
pub(super) fn lifeline() -> Lifeline {
    Lifeline {
        question: docker::server_version(),
        silent: "the engine does not answer any more",
        remedy: "restart the engine (`sudo systemctl restart docker`), then try again: the next call removes what is left",
    }
}

/// Whether the engine answers now, and its containerd with it.
pub(crate) fn answers() -> bool {
    exec::capture(&docker::parts().timeout(BOUND)).is_ok_and(|said| said.ok() && is_whole(&said.stdout))
}

/// Whether the parts of an engine are those of one whose containerd answers: Docker's leaves out the one that does not.
fn is_whole(parts: &str) -> bool {
    let has = |name| parts.lines().any(|part| part == name);
    has("containerd") || !has("Engine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_whose_containerd_is_not_among_its_parts_is_not_whole() {
        assert!(is_whole("Engine\ncontainerd\nrunc\ndocker-init\n"));
        assert!(!is_whole("Engine\nrunc\ndocker-init\n"));
        assert!(is_whole("Another Engine\n"), "one that is not Docker's has other parts");
    }
}
