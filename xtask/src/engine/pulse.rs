//! Whether the engine still answers, after something of it failed.

use crate::engine::docker;
use crate::exec;

/// The bound on an answer after something failed, in seconds: a signal may have asked for the end.
const BOUND: u64 = 4;

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
