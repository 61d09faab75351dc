//! Entering again: what a second call, or one at the same time, must leave alone.

use crate::support::breaking::BreakingDocker;
use crate::support::engine;
use crate::support::proc;
use crate::support::sandbox::Sandbox;
use crate::support::terminal::Terminal;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// The folder that the tool keeps for this sandbox's workspace.
fn state(sandbox: &Sandbox) -> PathBuf {
    let all = fs::read_dir(sandbox.place.path("state/codex-sandbox/workspaces")).expect("the state folder");
    let mut all: Vec<PathBuf> = all.map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_container_that_another_call_started_meanwhile_is_entered_and_not_replaced() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    engine::docker(["kill", &sandbox.containers()[0]]);
    let entered = |second: bool| {
        thread::sleep(Duration::from_millis(if second { 300 } else { 0 }));
        let run = sandbox.enter(["--version"]).ok();
        (run.stderr.contains("waiting for another"), run.stderr.contains("--force-recreate"))
    };
    let both =
        thread::scope(|scope| [false, true].map(|second| scope.spawn(move || entered(second))).map(|call| call.join()));
    let both = both.map(|call| call.expect("a call"));
    assert_eq!(both, [(false, true), (true, false)], "the first starts it, the second waits and enters");
    assert_eq!(sandbox.containers().len(), 1);
}

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

#[test]
fn nothing_of_a_container_that_was_refused_is_left_in_the_engine() {
    let sandbox = Sandbox::new();
    // One that starts and breaks a promise, and one that does not start.
    for broken in ["shm_size: 64mb", "devices: [/dev/there-is-no-such-device]"] {
        BreakingDocker::service(broken).install(&sandbox.place);
        sandbox.enter(["--version"]).ended(1);
        let name = state(&sandbox).file_name().expect("a name").display().to_string();
        let networks = engine::docker(["network", "ls", "--format", "{{.Name}}"]);
        assert!(!networks.contains(&name), "{broken}: {networks}");
        assert_eq!(sandbox.containers(), Vec::<String>::new(), "{broken}");
    }
}

#[test]
fn another_codex_home_to_share_is_not_entered_by_way_of_the_first() {
    let sandbox = Sandbox::new();
    let enter = |home: &str| {
        let dir = sandbox.place.path(home);
        fs::create_dir_all(&dir).expect("a Codex home");
        fs::write(dir.join("which"), home).expect("a file in it");
        let run = sandbox.task("sandbox").env("CODEX_HOME", dir);
        let args = ["--yes", "--codex-home", "shared", "--shell"];
        run.args(args).stdin("cat ~/.codex/which\n").run().ok().stdout.clone()
    };
    assert_eq!(enter("one"), "one");
    assert_eq!(enter("two"), "two");
}

#[test]
fn a_terminal_that_closes_leaves_no_shell_behind_and_keeps_what_runs_in_the_background() {
    let sandbox = Sandbox::new();
    let run = sandbox.task("sandbox").args(["--yes", "--shell"]);
    let terminal = Terminal::open(&sandbox.place, run);
    terminal.shows("$ ", 180);
    terminal.types("nohup sleep 4321 > /dev/null & echo star''ted");
    terminal.press("Enter");
    terminal.shows("started", 20);
    terminal.close();
    let processes = || engine::docker(["top", &sandbox.containers()[0], "-eo", "pid,args"]);
    proc::wait_for("the shell to end inside", 30, || (!processes().contains("bash")).then_some(()));
    assert!(processes().contains("sleep 4321"), "{}", processes());
}

#[test]
fn a_paused_container_is_named_and_left_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let paused = sandbox.containers();
    engine::docker(["pause", &paused[0]]);
    let run = sandbox.enter(["--version"]).ended(1);
    assert!(run.error().contains("hint: `docker unpause codex-sandbox-"), "{}", run.error());
    assert_eq!(sandbox.containers(), paused);
}

/// Root inside owns the image's files: here the agent puts a program of its own in the interpreter's place.
#[test]
fn an_interpreter_that_the_agent_replaced_does_not_answer_for_the_container() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let container = sandbox.containers().remove(0);
    let forge = "f=$(readlink -f /usr/bin/python3) && cp $f /tmp/python && rm $f && \
                 printf '#!/bin/sh\nexec /tmp/python \"$@\"\n' >$f && chmod 755 $f && python3 -c 'print(1)'";
    engine::docker(["exec", &container, "sh", "-c", forge]);
    let run = sandbox.enter(["--version"]).ended(1);
    assert!(run.stderr.contains("`container.programs` does not hold"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

/// A second library for the interpreter, whose first module removes the file that led to it and leaves a mark.
fn second_library(way: &str) -> String {
    format!(
        "set -e; mkdir -p /tmp/evil/bin /tmp/evil/lib; f=$(readlink -f /usr/bin/python3); v=python$(python3 -c \
         'import sys; print(\"%d.%d\" % sys.version_info[:2])'); cp -a /usr/lib/$v /tmp/evil/lib/; cp $f /tmp/evil/bin/python3; \
         printf 'import posix\nposix.close(posix.open(\"/workspace/forged\", posix.O_CREAT|posix.O_WRONLY))\n\
         try: posix.unlink(\"{way}\")\nexcept OSError: pass\n' >> /tmp/evil/lib/$v/encodings/__init__.py"
    )
}

/// Ways to have the image's own interpreter answer for the agent, each without a changed file when the answer is there.
#[test]
fn what_the_agent_puts_beside_the_interpreter_does_not_answer_for_the_container() {
    let compiled = "rm /dev/null; d=/dev/null/usr/lib/$v/encodings; mkdir -p $d; python3 -c 'import sys, os, \
                    importlib._bootstrap_external as b\ns = \"/usr/lib/\" + sys.argv[1] + \"/encodings/__init__.py\"\n\
                    st = os.stat(s)\ncode = compile(open(\"/tmp/evil\" + s[4:]).read(), s, \"exec\")\n\
                    open(sys.argv[2], \"wb\").write(b._code_to_timestamp_pyc(code, int(st.st_mtime), st.st_size))' \
                    $v $d/__init__.$(python3 -c 'import sys; print(sys.implementation.cache_tag)').pyc";
    let config = "printf 'home = /tmp/evil/bin\n'";
    let ways = [
        ("/usr/bin/pyvenv.cfg", format!("{config} >/usr/bin/pyvenv.cfg")),
        ("/usr/pyvenv.cfg", format!("{config} >/usr/pyvenv.cfg")),
        ("/dev/null/none", compiled.to_owned()),
    ];
    for (way, lay) in ways {
        let sandbox = Sandbox::new();
        sandbox.enter(["--version"]).ok();
        let container = sandbox.containers().remove(0);
        let script = format!("{}; {lay}", second_library(way));
        engine::docker(["exec", &container, "sh", "-c", &script]);
        let _ = fs::remove_file(sandbox.workspace().join("forged"));
        let run = sandbox.enter(["--version"]);
        let seen = run.code == Some(1) && run.stderr.contains("`container.programs`");
        assert!(seen || !sandbox.workspace().join("forged").exists(), "{way}: {}", run.stderr);
    }
}

#[test]
fn another_codex_before_the_mounted_one_on_the_path_is_not_entered() {
    let sandbox = Sandbox::new();
    let version = sandbox.enter(["--version"]).ok().stdout.clone();
    let forge = "printf '#!/bin/sh\necho forged\n' >/usr/local/sbin/codex; chmod 755 /usr/local/sbin/codex; codex";
    let container = sandbox.containers().remove(0);
    assert_eq!(engine::docker(["exec", &container, "sh", "-c", forge]).trim(), "forged");
    assert_eq!(sandbox.enter(["--version"]).ok().stdout, version);
}

/// An image may have the loader look in the working directory, as an empty part of this variable does.
#[test]
fn a_library_in_the_workspace_does_not_answer_for_the_container() {
    let sandbox = Sandbox::new();
    BreakingDocker::service("environment: {LD_LIBRARY_PATH: '/nothing:'}").install(&sandbox.place);
    sandbox.enter(["--version"]).ok();
    fs::write(sandbox.workspace().join("libc.so.6"), "no library").expect("a file of the agent");
    let run = sandbox.enter(["--version"]).ok();
    assert!(run.stderr.contains("promises hold"), "{}", run.stderr);
}

#[test]
fn a_list_of_libraries_that_was_there_for_a_moment_is_seen() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let container = sandbox.containers().remove(0);
    let moment = "mv /etc/ld.so.preload /etc/aside && mv /etc/aside /etc/ld.so.preload";
    engine::docker(["exec", &container, "sh", "-c", moment]);
    let run = sandbox.enter(["--version"]).ended(1);
    assert!(run.stderr.contains("`container.programs` does not hold"), "{}", run.stderr);
}
