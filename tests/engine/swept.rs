//! Calls that are killed (SIGKILL) at work that outlives them: what the kernel ends with them, and what the next call removes.

use crate::support::own::Image;
use crate::support::place::Place;
use crate::support::run::Xtask;
use crate::support::{engine, proc};
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

/// A call in the background; what it says goes into the place's `NAME`.
fn started(place: &Place, run: &Xtask, name: &str) -> Child {
    let words = run.words();
    let log = fs::File::create(place.path(name)).expect("a log");
    Command::new(&words[0]).args(&words[1..]).stderr(log).spawn().expect("the tool")
}

/// `env` became the tool itself.
fn kill(mut child: Child) {
    child.kill().expect("a call that runs");
    child.wait().expect("its end");
}

/// As if what lies there had been left a while ago.
fn age(dir: &Path) {
    let then = SystemTime::now() - Duration::from_secs(60);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        fs::File::open(entry.path()).expect("a directory").set_modified(then).expect("its time");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The name of a smoke test's container, once it was told to start.
fn container_of(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("docker start --attach ")?;
    rest.split_once('\n').map(|(name, _)| name.trim().to_owned())
}

fn state(container: &str) -> String {
    let args = ["container", "inspect", "--format", "{{.State.Status}}", container];
    proc::outcome(proc::find("docker"), args).1.trim().to_owned()
}

/// An image in which nothing comes to an end.
fn hanging_image() -> Image {
    engine::image(None);
    let tag = Xtask::at(&Place::new()).args(["image", "--cpu"]).run().ok().stdout;
    Image::on(
        tag.trim(),
        "printf '#!/bin/sh\\nexec sleep 600\\n' >/usr/local/bin/python3; chmod 755 /usr/local/bin/python3",
    )
}

#[test]
fn a_smoke_test_that_is_killed_ends_and_the_next_one_removes_what_it_left_and_nothing_of_one_that_goes_on() {
    let image = hanging_image();
    let place = Place::new();
    let scratch = place.root().join("target/sandbox");
    let smoke = |seconds| {
        Xtask::at(&place).args(["gpu-smoke", "--cpu", "--image", &image.name, "--timeout", seconds]).within(240)
    };
    let running = |name: &str| {
        proc::wait_for("the container to run", 60, || {
            let container = container_of(&place.read(name))?;
            (state(&container) == "running").then_some(container)
        })
    };
    let live = started(&place, &smoke("200"), "live");
    let of_live = running("live");
    let killed = started(&place, &smoke("200"), "killed");
    let of_killed = running("killed");
    kill(killed);
    proc::wait_for("the end of the killed call's container", 60, || (state(&of_killed) == "exited").then_some(()));
    age(&scratch);
    assert_eq!(names(&scratch).len(), 2);

    let next = smoke("5").run().ended(1);
    assert!(next.stderr.contains(&format!("removed `{of_killed}`")), "{}", next.stderr);
    assert_eq!((state(&of_killed), state(&of_live)), (String::new(), "running".to_owned()));
    assert_eq!(names(&scratch), [of_live.as_str()]);

    // A call that is killed before its container is started has nothing that runs.
    kill(live);
    proc::wait_for("the end of its container", 60, || (state(&of_live) == "exited").then_some(()));
    age(&scratch);
    let real = proc::find("docker").display().to_string();
    let killer =
        format!("#!/bin/sh\ncase \"$*\" in 'start --attach '*) kill -9 $PPID; exit 1;; esac\nexec {real} \"$@\"\n");
    let killer = place.program("docker", killer);
    let cut = smoke("5").run();
    fs::remove_file(killer).expect("the killer");
    assert_eq!(cut.code, None, "{}", cut.stderr);
    let of_cut = container_of(&cut.stderr).expect("its container");
    assert_eq!((state(&of_cut), state(&of_live)), ("created".to_owned(), String::new()));
    age(&scratch);
    smoke("5").run().ended(1);
    assert_eq!(state(&of_cut), "");
    assert_eq!(names(&scratch), Vec::<String>::new());
}

#[test]
fn a_build_that_is_killed_takes_its_docker_build_with_it() {
    let place = engine::endless();
    let child = started(&place, &Xtask::at(&place).args(["image", "--cpu"]).with_network(), "log");
    let build = format!("docker build.*{}", place.root().display());
    proc::wait_for("the build", 120, || proc::runs(&proc::endless()).then_some(()));
    assert!(proc::matches(&build));
    kill(child);
    proc::wait_for("the end of the build", 60, || {
        (!proc::runs(&proc::endless()) && !proc::matches(&build)).then_some(())
    });
}
