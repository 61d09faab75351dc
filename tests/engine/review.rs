//! Entering again: what a second call, or one at the same time, must leave alone.

use crate::support::sandbox::Sandbox;

#[test]
fn an_empty_codex_home_can_be_written_at_every_entry() {
    let sandbox = Sandbox::new();
    for entry in 1..=2 {
        let run = sandbox
            .task("sandbox")
            .args(["--yes", "--codex-home", "none", "--shell"])
            .stdin("ls -A ~/.codex && touch ~/.codex/left && echo written\n")
            .run()
            .ok();
        assert_eq!(run.stdout, "written\n", "at entry {entry}: {}", run.stderr);
    }
}
