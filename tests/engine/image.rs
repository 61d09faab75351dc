//! `cargo xtask image`, as far as it can be seen without building one: the fixture has built it.

use crate::support::engine;
use crate::support::own::OwnUser;
use crate::support::place::Place;
use crate::support::proc;
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

#[test]
fn a_build_that_passes_its_bound_is_ended() {
    let place = engine::endless();
    let run = Xtask::at(&place).args(["image", "--cpu", "--timeout", "10"]).with_network().run().ended(1);
    assert!(run.error().contains("error: `docker build` did not end within 10 s, and was ended"), "{}", run.stderr);
    assert!(
        run.error().contains("hint: `cargo xtask image --cpu --timeout SECONDS` gives it longer"),
        "{}",
        run.stderr
    );
    proc::wait_for("the end of the build", 60, || (!proc::runs(&proc::endless())).then_some(()));
}

#[test]
fn a_build_that_is_interrupted_ends_its_docker_build() {
    let place = engine::endless();
    let words = Xtask::at(&place).args(["image", "--cpu"]).with_network().words();
    let log = std::fs::File::create(place.path("log")).expect("a log");
    let mut child = std::process::Command::new(&words[0]).args(&words[1..]).stderr(log).spawn().expect("the tool");
    proc::wait_for("the build", 120, || proc::runs(&proc::endless()).then_some(()));
    // `env` became the tool itself.
    proc::output("kill", ["-TERM", &child.id().to_string()]);
    let status = child.wait().expect("its end");
    assert_eq!(status.code(), Some(143), "{}", place.read("log"));
    assert!(place.read("log").ends_with("error: interrupted\n"), "{}", place.read("log"));
    proc::wait_for("the end of the build", 60, || (!proc::runs(&proc::endless())).then_some(()));
}
