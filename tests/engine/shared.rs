//! One engine for everybody: what has exactly the name of a thing of this tool's and is another one's is neither used nor
//! removed, and what another call removes at the same time counts as removed.

use crate::support::model::KEY;
use crate::support::own::OwnUser;
use crate::support::place::Place;
use crate::support::run::Xtask;
use crate::support::sandbox::Sandbox;
use crate::support::{engine, proc};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Something that is removed at the end of the test.
struct Theirs([String; 3]);

impl Drop for Theirs {
    fn drop(&mut self) {
        proc::outcome(proc::find("docker"), self.0.iter().map(String::as_str));
    }
}

fn theirs(kind: &str, name: &str) -> Theirs {
    Theirs([kind, "rm", name].map(str::to_owned))
}

fn is_there(kind: &str, name: &str) -> bool {
    proc::outcome(proc::find("docker"), [kind, "inspect", name]).0 == 0
}

/// The folder of the sandbox of the workspace that these flags name.
fn folder(sandbox: &Sandbox, flags: &[&str]) -> PathBuf {
    let run = sandbox.task("status").args(["--json"]).args(flags.iter().copied()).run().ok();
    let status: Value = serde_json::from_str(&run.stdout).expect("JSON");
    PathBuf::from(status["state_folder"].as_str().expect("a folder"))
}

fn project(folder: &Path) -> String {
    format!("codex-sandbox-{}", folder.file_name().expect("a name").display())
}

#[test]
fn a_container_of_somebody_else_with_the_same_name_is_neither_entered_nor_removed() {
    let sandbox = Sandbox::new();
    let name = format!("{}-workspace-1", project(&folder(&sandbox, &[])));
    let tag = sandbox.task_without_data("image").run().ok().stdout.trim().to_owned();
    // The second one has a label of this tool's, and is the sandbox of another workspace.
    let other = Sandbox::new();
    other.enter(["--version"]).ok();
    let format = "{{index .Config.Labels \"codex-sandbox.spec\"}}";
    let spec = engine::docker(["container", "inspect", "--format", format, other.containers()[0].as_str()]);
    let label = format!("codex-sandbox.spec={}", spec.trim());
    for (labels, why) in [(vec![], "was not made by this tool"), (vec!["--label", &label], "is not this workspace's")] {
        let words = [&["container", "create", "--name", &name][..], &labels, &[&tag, "true"]].concat();
        let id = proc::output(proc::find("docker"), words).trim().to_owned();
        let _theirs = theirs("container", &name);
        for task in ["sandbox", "down", "status"] {
            let run =
                sandbox.task(task).args(if task == "status" { &[][..] } else { &["--yes"] }.iter().copied()).run();
            assert!(run.code == Some(1) && run.error().contains(why), "{task}: {:?} {}", run.code, run.stderr);
        }
        // Also where it came between the look and the start.
        let real = proc::find("docker").display().to_string();
        let blind = format!(
            "#!/bin/sh\nif [ \"$1 $2\" = 'container inspect' ] && [ ! -e {0} ]; then touch {0}; \
             echo 'Error: No such container: x' >&2; exit 1; fi\nexec {real} \"$@\"\n",
            sandbox.place.path("seen").display()
        );
        let blind = sandbox.place.program("docker", blind);
        let run = sandbox.enter(["--version"]);
        fs::remove_file(blind).expect("the wrapper");
        fs::remove_file(sandbox.place.path("seen")).expect("its mark");
        assert_ne!(run.code, Some(0), "{}", run.stderr);
        assert_eq!(engine::docker(["container", "inspect", "--format", "{{.Id}}", &name]).trim(), id, "{}", run.stderr);
    }
    sandbox.enter(["--version"]).ok();
}

#[test]
fn a_network_of_somebody_else_with_the_same_name_stays_and_one_whose_sandbox_is_gone_goes() {
    let sandbox = Sandbox::new();
    let other = sandbox.place.mkdir("other");
    let other = other.display().to_string();
    let second = ["--workspace", other.as_str()];
    let names = [folder(&sandbox, &[]), folder(&sandbox, &second)].map(|dir| format!("{}_default", project(&dir)));
    engine::docker(["network", "create", &names[1]]);
    let their_network = theirs("network", &names[1]);
    sandbox.task("down").args(["--yes"]).args(second).run().ok();
    assert!(is_there("network", &names[1]), "it was not made by Compose for this sandbox");
    drop(their_network);

    sandbox.enter(["--version"]).ok();
    for id in sandbox.containers() {
        engine::docker(["container", "rm", "--force", &id]);
    }
    assert!(is_there("network", &names[0]));
    // Its start may go on: somebody holds the lock.
    let lock = fs::File::open(folder(&sandbox, &[]).join("lock")).expect("the lock");
    lock.lock().expect("held");
    sandbox.task("down").args(["--yes"]).args(second).run().ok();
    assert!(is_there("network", &names[0]));
    drop(lock);
    let run = sandbox.task("down").args(["--yes"]).args(second).run().ok();
    assert!(run.stderr.contains("whose container is gone"), "{}", run.stderr);
    assert!(!is_there("network", &names[0]));
    // One that a container has is in use, also while that does not run.
    sandbox.enter(["--version"]).ok();
    engine::docker(["container", "stop", "--time", "1", sandbox.containers()[0].as_str()]);
    sandbox.task("down").args(["--yes"]).args(second).run().ok();
    assert!(is_there("network", &names[0]));
}

#[test]
fn a_volume_of_somebody_else_with_the_name_of_a_cache_is_neither_mounted_nor_removed() {
    let sandbox = Sandbox::new();
    let key = folder(&sandbox, &[]).file_name().expect("a name").to_string_lossy().into_owned();
    let uid = users::get_effective_uid();
    let volume = format!("codex-sandbox-cache-pip-open-{key}-u{uid}");
    for label in [None, Some(format!("codex-sandbox.user={}", uid + 1))] {
        let labels = label.iter().flat_map(|label| ["--label", label]);
        let words: Vec<&str> = ["volume", "create"].into_iter().chain(labels).chain([volume.as_str()]).collect();
        proc::output(proc::find("docker"), words);
        let _theirs = theirs("volume", &volume);
        let run = sandbox.enter(["--version"]).ended(1);
        assert!(run.error().contains(&format!("the volume `{volume}` exists and was not made")), "{}", run.stderr);
        assert_eq!(sandbox.containers(), Vec::<String>::new());
        // The caches that other workspaces of this user share are not this test's to remove.
        sandbox.task("down").args(["--all", "--yes"]).run().ok();
        assert!(is_there("volume", &volume));
    }
    sandbox.enter(["--version"]).ok();
    sandbox.task("down").args(["--all", "--yes"]).run().ok();
    assert!(!is_there("volume", &volume), "that one was made by this tool");
}

#[test]
fn an_image_of_somebody_else_with_the_same_tag_is_not_taken_for_this_tools() {
    let user = OwnUser::new();
    engine::image(None);
    let place = Place::of(*user);
    place.give();
    let image = |args: &[&str]| {
        let run = Xtask::at(&place).groups(&[engine::socket_group()]).args(["image", "--cpu"]);
        run.args(args.iter().copied()).run()
    };
    let plan = image(&["--dry-run"]).ok().stdout;
    let tag = plan.split(" --tag ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a tag").to_owned();
    let base = engine::docker(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "codex-sandbox-cpu-base"]);
    engine::docker(["image", "tag", base.lines().next().expect("the base"), &tag]);
    let theirs = theirs("image", &tag);
    for args in [&[][..], &["--check"], &["--no-cache"]] {
        let run = image(args).ended(1);
        assert!(
            run.error().contains(&format!("the image `{tag}` exists and was not made by this tool")),
            "{}",
            run.stderr
        );
    }
    drop(theirs);
    assert!(image(&["--check"]).ended(1).stdout.contains("not up to date"));
}

/// Another call, or the user by hand, removes the same things at the same time.
#[test]
fn what_another_call_removes_meanwhile_is_removed() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let network = format!("{}_default", project(&folder(&sandbox, &[])));
    let real = proc::find("docker").display().to_string();
    let first = format!(
        "#!/bin/sh\ncase \"$1 $2\" in 'container rm'|'network rm') {real} \"$@\" >/dev/null;; esac\nexec {real} \"$@\"\n"
    );
    sandbox.place.program("docker", first);
    sandbox.task("down").args(["--yes"]).run().ok();
    assert_eq!((sandbox.containers(), is_there("network", &network)), (Vec::new(), false));
}

/// Two users, one project that both can write, one checkout: nothing of one is the other's.
#[test]
fn two_users_of_one_shared_project_have_nothing_in_common() {
    let (one, two) = (OwnUser::new(), OwnUser::new());
    let [first, second] = [Sandbox::of(*one), Sandbox::of(*two)];
    let shared = tempfile::Builder::new().prefix("codex-sandbox-shared-").tempdir().expect("a directory");
    let project_dir = shared.path().join("project");
    fs::create_dir(&project_dir).expect("a project");
    for dir in [shared.path(), &project_dir] {
        let words = ["chmod".to_owned(), "0777".to_owned(), dir.display().to_string()];
        engine::as_root(words);
    }
    let flag = project_dir.display().to_string();
    let enter = |sandbox: &Sandbox| {
        let run = sandbox.task("sandbox").args(["--workspace", &flag, "--yes", "--", "--version"]).env(KEY, "x");
        _ = run.run().ok();
    };
    let named = |sandbox: &Sandbox| project(&folder(sandbox, &["--workspace", &flag]));
    assert_ne!(named(&first), named(&second));
    enter(&first);
    enter(&second);
    let there = |sandbox: &Sandbox| is_there("container", &format!("{}-workspace-1", named(sandbox)));
    assert!(there(&first) && there(&second));
    let down = |sandbox: &Sandbox| {
        _ = sandbox.task("down").args(["--workspace", &flag, "--all", "--yes"]).run().ok();
    };
    down(&first);
    assert!(!there(&first) && there(&second));
    down(&second);
    assert!(!there(&second));
}
