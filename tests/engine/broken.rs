//! For each promise a container in which it does not hold: it is seen, named, and nobody enters.

use crate::support::breaking::BreakingDocker;
use crate::support::sandbox::Sandbox;

/// Enters with a docker that breaks something, and is refused because of the claim `id`, and of no other reason than
/// those in `also`.
#[track_caller]
fn breaks(docker: BreakingDocker, id: &str, also: &[&str]) {
    let sandbox = Sandbox::new();
    docker.install(&sandbox.place);
    let run = sandbox.enter(["--version"]).ended(1);
    BreakingDocker::assert_used(&sandbox.place);
    assert_eq!(run.stdout, "", "Codex was entered");
    assert!(run.error().contains(id), "{}", run.error());
    let mut expected: Vec<&str> = also.iter().copied().chain([id]).collect();
    let mut broken = sandbox.proof().with("broken");
    expected.sort_unstable();
    broken.sort();
    assert_eq!(broken, expected);
    assert_eq!(
        sandbox.containers(),
        Vec::<String>::new(),
        "the container was left behind"
    );
}
