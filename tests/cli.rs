//! Mistakes on the command line: each is answered with what, which value, why, and what to do.

use crate::fake_engine::{empty, ready};
use crate::support::codex;
use crate::support::docker::FakeDocker;
use crate::support::place::{Place, User};
use crate::support::run::Xtask;
use serde_json::json;
use snapbox::str;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

#[test]
fn the_whole_host_is_no_workspace() {
    let place = Place::new();
    codex::stand_in(&place, "0.169.0");
    let dataset = format!("ssv2={}", place.path("ssv2").display());
    place.write("ssv2/1.webm", "a clip");
    Xtask::at(&place).args(["sandbox", "--cpu", "--yes", "--workspace", "/", "--dataset", &dataset]).run().exactly(
        2,
        "",
        str![[r#"
error: the workspace `/` is this whole host
hint: give the project's directory with `--workspace DIR`
hint: `/` was given by `--workspace`

"#]],
    );
}

#[test]
fn commits_of_a_workspace_that_is_not_there_name_it() {
    let place = Place::new();
    Xtask::at(&place).args(["commits", "--workspace", "/there/is/none"]).run().exactly(
        2,
        "",
        str![[r#"
error: the workspace `/there/is/none` cannot be used: No such file or directory (os error 2)
hint: check the path; a directory must exist before it is mounted
hint: `/there/is/none` was given by `--workspace`

"#]],
    );
}

/// An engine without anything of this tool in it.
fn nothing(place: &Place) {
    empty(FakeDocker::new()).answer("rm *", 0, "", "").install(place);
}

#[test]
fn a_workspace_that_is_a_file_is_refused_by_every_task() {
    let place = ready();
    nothing(&place);
    let file = place.write("notes.txt", "no project").display().to_string();
    for task in [
        &["sandbox", "--yes"][..],
        &["sandbox", "--dry-run"],
        &["mounts"],
        &["commits"],
        &["commits", "--take"],
        &["status"],
        &["status", "--json"],
        &["down"],
        &["down", "--dry-run"],
        &["gpu-smoke", "--dry-run"],
        &["gpu-smoke", "--here"],
    ] {
        let run = Xtask::at(&place).args(task.iter().copied()).args(["--workspace", &file]).run().ended(2);
        let said = format!(
            "error: the workspace `{file}` cannot be used: it is not a directory\n\
             hint: check the path; a directory must exist before it is mounted\n\
             hint: `{file}` was given by `--workspace`\n"
        );
        assert_eq!(run.stderr, said, "{task:?}");
    }
}

#[test]
fn a_missing_workspace_is_refused_unless_it_had_a_sandbox() {
    let place = ready();
    nothing(&place);
    let gone = place.mkdir("gone").display().to_string();
    let at = |task: &[&str]| Xtask::at(&place).args(task.iter().copied()).args(["--workspace", &gone]).run();
    let status = at(&["status", "--json"]).ok().stdout;
    std::fs::remove_dir(&gone).expect("removed");
    for task in [&["status"][..], &["down"], &["down", "--dry-run"], &["commits"]] {
        let run = at(task).ended(2);
        assert!(run.error().contains(&format!("the workspace `{gone}` cannot be used")), "{task:?}: {}", run.error());
        assert!(run.error().contains("hint: check the path"), "{task:?}: {}", run.error());
    }
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    std::fs::create_dir_all(status["state_folder"].as_str().expect("a folder")).expect("the folder of a sandbox");
    at(&["status"]).ok();
    at(&["down"]).ok();
}

#[test]
fn an_error_about_a_path_says_whether_a_flag_the_environment_or_a_file_gave_it() {
    let place = ready();
    nothing(&place);
    let file = place.path("ssv2/1.webm").display().to_string();
    let run = |env: &str, flag: Option<&str>| {
        let flag = flag.map(|dir| format!("--dataset=ssv2={dir}"));
        Xtask::at(&place).args(["sandbox", "--yes", "--cpu"]).args(flag).env("SSV2_DIR", env).run().ended(2)
    };
    let giver = |run: &str, giver: &str| assert!(run.contains(&format!("was given by `{giver}`")), "{giver}: {run}");
    giver(run("/there/is/none", None).error(), "SSV2_DIR");
    giver(run(&file, None).error(), "SSV2_DIR");
    giver(run("/", None).error(), "SSV2_DIR");
    giver(run("/there/is/none", Some("/neither")).error(), "--dataset ssv2=…");
    place.write("repo/sandbox.local.yaml", "datasets:\n  ssv2: /there/is/none\n");
    giver(run("", None).error(), "sandbox.local.yaml");
    place.write("repo/sandbox.local.yaml", format!("codex: /there/is/none\ndatasets: {{ssv2: {file}}}\n"));
    let ssv2 = place.path("ssv2").display().to_string();
    giver(run(&ssv2, None).error(), "sandbox.local.yaml");
}

#[test]
fn advice_names_the_workspace_that_was_given() {
    let place = ready();
    nothing(&place);
    let project = place.mkdir("my project").display().to_string();
    let at = |task: &[&str]| Xtask::at(&place).args(task.iter().copied()).args(["--workspace", &project]).run();
    let run = at(&["gpu-smoke", "--here"]).ended(1);
    let hint = format!("hint: `cargo xtask sandbox --workspace '{project}'` starts one\n");
    assert!(run.stderr.ends_with(&hint), "{}", run.stderr);
    let status: serde_json::Value = serde_json::from_str(&at(&["status", "--json"]).ok().stdout).expect("JSON");
    let folder = status["state_folder"].as_str().expect("a folder").to_owned();
    std::fs::create_dir_all(format!("{folder}/codex-home")).expect("a Codex home");
    let run = at(&["down"]).ok();
    let kept = format!("kept `{folder}`; `cargo xtask down --workspace '{project}' --all` removes it too\n");
    assert!(run.stderr.ends_with(&kept), "{}", run.stderr);
    // Where nothing was given, the default is meant.
    let run = Xtask::at(&place).args(["gpu-smoke", "--here"]).run().ended(1);
    assert!(run.stderr.ends_with("hint: `cargo xtask sandbox` starts one\n"), "{}", run.stderr);
}

#[test]
fn down_all_says_what_it_removes_and_what_it_keeps() {
    let place = ready();
    nothing(&place);
    place.mkdir("state/codex-sandbox/codex/0.169.0-0123");
    let status = Xtask::at(&place).args(["status", "--json"]).run().ok().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let folder = status["state_folder"].as_str().expect("a folder").to_owned();
    std::fs::create_dir_all(format!("{folder}/codex-home")).expect("a Codex home");
    let run = Xtask::at(&place).args(["down", "--all", "--yes"]).run().ok();
    let removed = format!("removed `{folder}`: the sandbox's Codex home and its git directory\n");
    assert!(run.stderr.contains(&removed), "{}", run.stderr);
    let kept = place.path("state/codex-sandbox/codex");
    assert!(run.stderr.contains(&format!("kept `{}`: the copies of Codex itself", kept.display())), "{}", run.stderr);
    assert!(!std::path::Path::new(&folder).exists() && kept.exists());
}

/// What an agent can do to the directories that it was given for writing, which are the user's own.
#[test]
fn a_workspace_and_a_state_folder_that_were_closed_to_their_owner_are_opened_again() {
    closed_is_opened(ready());
    if users::get_effective_uid() == 0 {
        let place = Place::of(User { uid: 1234, gid: 1234 });
        place.write("ssv2/1.webm", "a clip");
        closed_is_opened(place);
    }
}

fn closed_is_opened(place: Place) {
    nothing(&place);
    place.give();
    let status = Xtask::at(&place).args(["status", "--json"]).run().ok().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let folder = PathBuf::from(status["state_folder"].as_str().expect("a folder"));
    std::fs::create_dir_all(folder.join("codex-home/deep/er")).expect("a Codex home");
    std::fs::create_dir_all(folder.join("git/git")).expect("a git directory");
    let workspace = place.path("repo/workspace");
    let state = json!({
        "quiet": true, "ended": false, "places": [], "attributes": {}, "modules": {}, "unresolved": [],
    });
    std::fs::write(folder.join("git-state.json"), state.to_string()).expect("what the last look saw");
    let close = |dir: &Path, mode| std::fs::set_permissions(dir, Permissions::from_mode(mode)).expect("its mode");
    let mode = |dir: &Path| dir.metadata().expect("it is there").permissions().mode() & 0o7777;
    let program = place.write("repo/workspace/program", "");
    // So that a start is refused, but only once the workspace was looked into.
    place.mkdir("repo/workspace/.git");
    for task in [&["commits"][..], &["sandbox", "--yes", "--cpu"], &["mounts"], &["down"], &["down", "--all", "--yes"]]
    {
        place.give();
        close(&program, 0o4755);
        for dir in ["codex-home/deep/er", "codex-home/deep", "codex-home", "git/git"] {
            close(&folder.join(dir), 0);
        }
        close(&workspace, 0o005);
        let dataset = format!("ssv2={}", place.path("ssv2").display());
        let data = ["--dataset".to_owned(), dataset].into_iter().filter(|_| ["sandbox", "mounts"].contains(&task[0]));
        let run = Xtask::at(&place).args(task.iter().copied()).args(data).run();
        let said = |dir: &Path, from: &str, to: &str| {
            format!(
                "`{}` was closed to you (mode {from}), which an agent can have done: it is opened again (mode {to})\n",
                dir.display()
            )
        };
        assert!(run.stderr.contains(&said(&workspace, "0005", "0705")), "{task:?}: {}", run.stderr);
        assert_eq!(mode(&workspace), 0o705, "{task:?}");
        assert!(!run.stderr.contains("Permission denied"), "{task:?}: {}", run.stderr);
        for dir in ["codex-home", "git/git"] {
            assert!(run.stderr.contains(&said(&folder.join(dir), "0000", "0700")), "{task:?}: {}", run.stderr);
        }
        if task[0] == "down" {
            assert_eq!(mode(&program), 0o755, "{task:?}: {}", run.stderr);
        }
    }
    assert!(!folder.exists());
}

#[test]
fn an_image_that_is_not_up_to_date_is_said_to_be_so() {
    let place = ready();
    nothing(&place);
    let run = Xtask::at(&place).args(["image", "--cpu", "--check"]).run().ended(1);
    assert_eq!(run.stdout, "not up to date:\nno image has been built yet\n");
    assert!(run.stderr.starts_with("`cargo xtask image --cpu` builds it"), "{}", run.stderr);
}
