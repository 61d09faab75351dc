//! `cargo xtask image`, as far as it can be seen without building one: the fixture has built it.

use crate::support::engine;
use crate::support::place::Place;
use crate::support::run::Xtask;

#[test]
fn a_second_build_does_nothing_and_says_so() {
    engine::image(None);
    let place = Place::new();
    let run = Xtask::at(&place).args(["image", "--cpu"]).run().ok();
    assert!(run.stderr.contains("up to date"), "{}", run.stderr);
    let id = engine::docker(["image", "inspect", "--format", "{{.Id}}", run.stdout.trim()]);
    assert!(id.starts_with("sha256:"), "{id}");
}

#[test]
fn check_says_up_to_date_or_each_reason_why_not() {
    engine::image(None);
    let place = Place::new();
    Xtask::at(&place)
        .args(["image", "--cpu", "--check"])
        .run()
        .success("up to date\n", "");
    let dockerfile = place.read("repo/docker/Dockerfile");
    place.write("repo/docker/Dockerfile", format!("{dockerfile}\n# changed\n"));
    let run = Xtask::at(&place).args(["image", "--cpu", "--check"]).run().ended(1);
    assert!(run.stdout.contains("Dockerfile"), "{}", run.stdout);
}
