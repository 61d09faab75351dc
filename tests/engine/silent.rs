//! File systems whose server hangs: a stopped FUSE server, as an NFS server that cannot be reached, keeps every call waiting.
//! They are named within the bound of the run, and a signal ends the wait.

use crate::support::model::KEY;
use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::Xtask;
use crate::support::sandbox::Sandbox;
use crate::support::stopped::Served;
use crate::support::terminal::Terminal;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Stdio};

fn task<'a>(place: &'a Place, task: &str, workspace: &str) -> Xtask<'a> {
    let dir = |name: &str| place.path(name).display().to_string();
    let data = format!("ssv2={}", dir("data"));
    Xtask::at(place).with_network().args([task, "--workspace", &dir(workspace), "--dataset", &data]).within(30)
}

#[test]
fn a_data_set_whose_server_hangs_is_named_by_every_task() {
    let place = Place::new();
    place.mkdir("work");
    let stopped = Served::new(&place, "data").stopped();
    let at = stopped.at.display();
    let said = format!("the data set `ssv2` at `{at}`: the file system at `{at}` (");
    for name in ["sandbox", "mounts", "status", "doctor"] {
        let run = task(&place, name, "work").run().ended(3);
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(text.contains(&said) && text.contains(") does not answer"), "{name}: {text}");
        assert!(text.contains("umount -l"), "{name}: {text}");
    }
}

#[test]
fn a_link_into_a_file_system_that_hangs_is_followed_by_another_process_only() {
    let place = Place::new();
    place.mkdir("work");
    let stopped = Served::new(&place, "far").stopped();
    std::os::unix::fs::symlink(stopped.at.join("clips"), place.path("data")).expect("a link");
    let run = task(&place, "status", "work").run().ended(3);
    let said = format!("the file system at `{}` (", stopped.at.display());
    assert!(run.error().contains(&said), "{}", run.error());
}

#[test]
fn a_home_directory_that_hangs_is_named_before_anything_looks_at_it() {
    let place = Place::new();
    place.mkdir("work");
    let stopped = Served::new(&place, "far").stopped();
    let at = stopped.at.display().to_string();
    let said = format!("the home directory at `{at}`: the file system at `{at}` (");
    for name in ["sandbox", "down", "status", "doctor"] {
        let run = task(&place, name, "work").env("HOME", &at).run().ended(3);
        assert!(run.error().contains(&said), "{name}: {}", run.error());
    }
}

/// What another program reads is not known before: where one is waited for in vain, what hangs on this host is named.
#[test]
fn a_program_that_waits_for_a_file_system_is_not_alone_to_blame() {
    let place = Place::new();
    let stopped = Served::new(&place, "far");
    let repository = place.mkdir("work");
    place.mkdir("data/clips");
    proc::output("git", ["init".as_ref(), "--quiet".as_ref(), repository.as_os_str()]);
    place.write("home/.gitconfig", format!("[include]\n\tpath = {}/clips/config\n", stopped.at.display()));
    stopped.stop();
    let run = task(&place, "commits", "work").within(60).run().ended(3);
    let said = format!("it may wait for what is mounted at `{}`", stopped.at.display());
    assert!(run.error().contains(&said) && run.error().contains("umount -l"), "{}", run.error());
}

#[test]
fn git_objects_that_are_borrowed_from_a_file_system_that_hangs_are_named() {
    let place = Place::new();
    let stopped = Served::new(&place, "far");
    let lender = place.mkdir("far/lender");
    let repository = place.mkdir("work");
    proc::output("git", ["init".as_ref(), "--bare".as_ref(), "--quiet".as_ref(), lender.as_os_str()]);
    proc::output("git", ["init".as_ref(), "--quiet".as_ref(), repository.as_os_str()]);
    place.write("work/.git/objects/info/alternates", format!("{}/objects\n", lender.display()));
    stopped.stop();
    let said = format!("the directory of git objects at `{}/objects`: the file system at `", lender.display());
    for name in ["sandbox", "commits", "down"] {
        let words: &[&str] = if name == "sandbox" { &["--dataset", "ssv2=none"] } else { &[] };
        let dir = repository.display().to_string();
        let run =
            Xtask::at(&place).with_network().args([name, "--workspace", &dir]).args(words.iter().copied()).within(30);
        let run = run.run().ended(3);
        assert!(run.error().contains(&said), "{name}: {}", run.error());
    }
}

#[test]
fn down_needs_no_data_set_and_beside_a_workspace_that_hangs_it_touches_the_engine_alone() {
    let place = Place::new();
    for dir in ["work", "data/clips", "state/codex-sandbox"] {
        place.mkdir(dir);
    }
    let stopped = Served::new(&place, "far").stopped();
    let run = task(&place, "down", "far").args(["--yes"]).run().ended(3);
    assert!(run.error().contains("there was no container `codex-sandbox-far-"), "{}", run.error());
    assert!(run.error().contains("and nothing else: the workspace at"), "{}", run.error());
    drop(stopped);
    let data = Place::new();
    data.mkdir("work");
    let _stopped = Served::new(&data, "data").stopped();
    // It is known by no sandbox; but it is not refused for its data.
    let run = task(&data, "down", "work").args(["--yes"]).run().ended(0);
    assert!(run.stderr.contains("there was no container"), "{}", run.stderr);
}

#[test]
fn a_signal_ends_the_wait_for_a_file_system() {
    let place = Place::new();
    place.mkdir("work");
    let _stopped = Served::new(&place, "data").stopped();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let words = task(&place, "status", "work").words();
        let mut call = Command::new(&words[0]).args(&words[1..]).stderr(Stdio::null()).spawn().expect("the tool");
        let pid = Pid::from_raw(i32::try_from(call.id()).expect("a number")).expect("not 0");
        // Until it has started the process that asks.
        let children = format!("/proc/{0}/task/{0}/children", call.id());
        proc::wait_for("the question", 20, || {
            let text = std::fs::read_to_string(&children).unwrap_or_default();
            text.split_whitespace()
                .any(|child| {
                    let line = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
                    line.split('\0').any(|word| word == "answers")
                })
                .then_some(())
        });
        kill_process(pid, signal).expect("it waits");
        let status = proc::wait_for("its end", 20, || call.try_wait().expect("a child"));
        assert_eq!(status.code(), Some(code));
    }
}

/// Enters a shell, and stops the servers while it goes on.
fn shell(sandbox: &Sandbox, stop: &[&Served]) -> Terminal {
    let terminal = Terminal::open(&sandbox.place, sandbox.task("sandbox").args(["--shell", "--yes"]));
    terminal.shows("$ ", 200);
    terminal.types("cd / && echo is-$((3 + 4))");
    terminal.press("Enter");
    terminal.shows("is-7", 20);
    stop.iter().for_each(|served| served.stop());
    terminal
}

/// What stands beside a sandbox that runs: `status` and `down` say why they cannot do all, and `down` ends it.
#[track_caller]
fn beside(sandbox: &Sandbox, does_not_answer: &str) {
    let status = sandbox.task("status").within(60).run().ended(3);
    assert!(status.error().contains(does_not_answer), "{}", status.error());
    assert_eq!(sandbox.containers().len(), 1);
    let down = sandbox.task("down").args(["--yes"]).within(60).run().ended(3);
    assert!(
        down.error().contains("removed the container") && down.error().contains(does_not_answer),
        "{}",
        down.stderr
    );
    assert!(down.error().contains("and nothing else"), "{}", down.error());
    assert_eq!(sandbox.containers(), Vec::<String>::new());
}

/// What is used by neither is no reason to refuse: a home directory may have anything mounted in it.
#[test]
fn image_and_smoke_name_what_they_need_and_no_task_what_it_does_not() {
    let place = Place::new();
    place.mkdir("work");
    let far = Served::new(&place, "far").stopped();
    let json = far.at.join("report.json").display().to_string();
    let args = ["--cpu", "--json", &json].map(str::to_owned);
    let run = Xtask::at(&place).with_network().args(["gpu-smoke".to_owned()]).args(args).within(60).run().ended(3);
    assert!(
        run.error().contains("the file of `--json` at") && run.error().contains("does not answer"),
        "{}",
        run.stderr
    );
    for args in [["image", "--cpu", "--dry-run"], ["gpu-smoke", "--cpu", "--dry-run"]] {
        let call =
            |name: &str, value: &str| Xtask::at(&place).with_network().args(args).env(name, value).within(60).run();
        let ca = far.at.join("ca.pem").display().to_string();
        let run = call("SSL_CERT_FILE", &ca).ended(3);
        assert!(run.error().contains("`SSL_CERT_FILE`") && run.error().contains("does not answer"), "{}", run.stderr);
        let run = call("TMPDIR", &far.at.display().to_string()).ended(3);
        assert!(run.error().contains("`TMPDIR`") && run.error().contains("does not answer"), "{}", run.stderr);
    }
    std::fs::remove_file(place.path("repo/sandbox.yaml")).expect("the settings");
    std::os::unix::fs::symlink(far.at.join("clips"), place.path("repo/sandbox.yaml")).expect("a link");
    let run = task(&place, "status", "work").run().ended(3);
    assert!(run.error().contains("the settings file `sandbox.yaml` at"), "{}", run.stderr);
    let other = Place::new();
    other.mkdir("work");
    let _unrelated = Served::new(&other, "home/mnt").stopped();
    task(&other, "down", "work").args(["--yes"]).run().ok();
}

#[test]
fn a_session_whose_workspace_hangs_ends_with_its_code_and_says_what_was_not_looked_at() {
    let sandbox = Sandbox::new();
    let workspace = Served::over(&sandbox.workspace());
    let terminal = shell(&sandbox, &[&workspace]);
    terminal.types("exit 5");
    terminal.press("Enter");
    assert_eq!(terminal.ended(60), 5);
    let screen = terminal.screen().replace('\n', " ");
    for part in ["does not answer", "what the session left in the workspace was not looked at", "keeps running"] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    beside(&sandbox, "the workspace at");
    workspace.go_on();
    sandbox.task("down").args(["--yes"]).run().ok();
}

#[test]
fn a_session_whose_data_set_and_codex_home_hang_is_looked_at_all_the_same() {
    let sandbox = Sandbox::new();
    let home = Served::over(&sandbox.place.path("home/.codex"));
    let data = Served::over(&sandbox.dataset());
    let settings = format!("env: [{KEY}]\nallow_ground: ['{}']\n", sandbox.dataset().display());
    sandbox.place.write("repo/sandbox.local.yaml", settings);
    let terminal = shell(&sandbox, &[&home, &data]);
    terminal.types("touch /workspace/x && exit 6");
    terminal.press("Enter");
    assert_eq!(terminal.ended(60), 6);
    let screen = terminal.screen().replace('\n', " ");
    for part in ["the Codex home at", "the data set `ssv2` at", "does not answer", "keeps running"] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    assert!(!screen.contains("was not looked at"), "{screen}");
    beside(&sandbox, "the Codex home at");
}

#[test]
fn a_signal_ends_a_session_beside_a_workspace_that_hangs() {
    let sandbox = Sandbox::new();
    let workspace = Served::over(&sandbox.workspace());
    let terminal = shell(&sandbox, &[&workspace]);
    terminal.types("ls /workspace");
    terminal.press("Enter");
    terminal.close();
    beside(&sandbox, "the workspace at");
}
