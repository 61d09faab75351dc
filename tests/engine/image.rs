//! `cargo xtask image`, as far as it can be seen without building one: the fixture has built it.

use crate::support::engine;
use crate::support::own::OwnUser;
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

/// The place of a user who has one image: that of these sources. The reasons are the differences from the user's newest
/// image, which could be that of another clone.
fn built(user: &OwnUser) -> Place {
    engine::image(Some(**user));
    Place::of(**user)
}

fn check(place: &Place) -> Xtask<'_> {
    place.give();
    Xtask::at(place).groups(&[engine::socket_group()]).args(["image", "--cpu", "--check"])
}

#[test]
fn check_says_up_to_date_or_each_reason_why_not() {
    let user = OwnUser::new();
    let place = built(&user);
    check(&place).run().success("up to date\n", "");
    let dockerfile = place.read("repo/docker/Dockerfile");
    place.write("repo/docker/Dockerfile", format!("{dockerfile}\n# changed\n"));
    let run = check(&place).run().ended(1);
    assert!(run.stdout.contains("Dockerfile"), "{}", run.stdout);
}

#[test]
fn check_names_each_reason_that_there_is() {
    let user = OwnUser::new();
    let place = built(&user);
    for name in ["requirements.lock", "add_user.sh"] {
        let text = place.read(&format!("repo/docker/{name}"));
        place.write(&format!("repo/docker/{name}"), format!("{text}# changed\n"));
    }
    place.write("repo/sandbox.local.yaml", "arch_list: '9.0'\n");
    let run = check(&place).run().ended(1);
    for reason in ["`docker/requirements.lock` changed", "`docker/add_user.sh` changed", "is `9.0`"] {
        assert!(run.stdout.contains(reason), "`{reason}` is not in:\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("docker/Dockerfile"), "what did not change is named:\n{}", run.stdout);
}
