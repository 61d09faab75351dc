//! Whether the engine still answers: it is asked beside each command of its client that takes long, and decides about all
//! of them.

use crate::engine::docker;
use crate::exec;
use crate::step::Lifeline;

/// The bound on an answer before something is taken back, in seconds: a signal may have asked for the end.
const BOUND: u64 = 4;

/// Of a command of the client. The engine asks containerd for its version on the way, so that both are seen.
pub(super) fn lifeline() -> Lifeline {
    Lifeline {
        question: docker::server_version(),
        silent: "the engine does not answer any more",
        remedy: "restart the engine (`sudo systemctl restart docker`), then try again: the next call removes what is left",
    }
}

/// Whether the engine answers now: where it does not, each of several further commands would wait for its own bound.
pub(crate) fn answers() -> bool {
    exec::capture(&docker::server_version().timeout(BOUND)).is_ok_and(|said| said.ok())
}
