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
    Xtask::at(&place).args(["image", "--cpu", "--check"]).run().success("up to date\n", "");
    let dockerfile = place.read("repo/docker/Dockerfile");
    place.write("repo/docker/Dockerfile", format!("{dockerfile}\n# changed\n"));
    let run = Xtask::at(&place).args(["image", "--cpu", "--check"]).run().ended(1);
    assert!(run.stdout.contains("Dockerfile"), "{}", run.stdout);
}

#[test]
fn check_names_each_reason_that_there_is() {
    engine::image(None);
    let place = Place::new();
    for name in ["requirements.lock", "add_user.sh"] {
        let text = place.read(&format!("repo/docker/{name}"));
        place.write(&format!("repo/docker/{name}"), format!("{text}# changed\n"));
    }
    place.write("repo/sandbox.local.yaml", "arch_list: '9.0'\n");
    let run = Xtask::at(&place).args(["image", "--cpu", "--check"]).run().ended(1);
    for reason in ["`docker/requirements.lock` changed", "`docker/add_user.sh` changed", "is `9.0`"] {
        assert!(run.stdout.contains(reason), "`{reason}` is not in:\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("docker/Dockerfile"), "what did not change is named:\n{}", run.stdout);
}
