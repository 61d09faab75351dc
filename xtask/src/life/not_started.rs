//! The error of a container that did not start, with the remedy where its text has a known cause. Pure.

use crate::error::{failed, host};

/// The error of a failed `docker compose up`, with the remedy where its text has a known cause.
pub fn cannot_start(stderr: &str) -> anyhow::Error {
    let last = |text: &str| text.trim().lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned);
    let said = last(stderr).unwrap_or_default();
    let message = format!("the container did not start: {said}");
    let gpu = [
        "could not select device driver",
        "unresolvable CDI devices",
        "nvidia-container-cli",
        "unknown or invalid runtime",
    ];
    if gpu.iter().any(|text| said.contains(text)) {
        return host(message)
            .hint(
                "the engine cannot hand out the GPU: install `nvidia-container-toolkit`, run `sudo nvidia-ctk cdi \
                   generate --output=/etc/cdi/nvidia.yaml`; or pass `--gpus none`",
            )
            .into();
    }
    // runc gives the number of the limit: 8 is RLIMIT_MEMLOCK.
    if said.contains("error setting rlimit type 8") {
        return host(message)
            .hint(
                "this engine may not raise the limit of locked memory (it has no CAP_SYS_RESOURCE, as in a \
                   container): `memlock: engine` in sandbox.local.yaml leaves it as it is",
            )
            .into();
    }
    failed(message).hint("`cargo xtask sandbox --dry-run` prints what Compose is told").into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_gpu_that_the_engine_cannot_hand_out_is_the_hosts_matter() {
        let text = "Container x Starting\nError response from daemon: could not select device driver \"nvidia\" with capabilities: [[gpu]]\n";
        let err = super::cannot_start(text);
        assert_eq!(crate::error::exit_code(&err), 3);
        assert!(err.to_string().contains("could not select device driver"));
        assert_eq!(crate::error::exit_code(&super::cannot_start("no space left")), 1);
    }

    #[test]
    fn an_engine_that_may_not_raise_a_limit_is_told_from_a_failure() {
        let text = "Error response from daemon: failed to create task for container: error setting rlimit type 8: \
                    operation not permitted: unknown\n";
        let err = super::cannot_start(text);
        assert_eq!(crate::error::exit_code(&err), 3);
        assert!(crate::error::render(&err).contains("`memlock: engine`"));
    }
}
