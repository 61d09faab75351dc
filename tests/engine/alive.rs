//! Who is alive between two entries: named by pid whatever it calls itself, ended on request, and told of what it wrote.

use crate::support::engine;
use crate::support::place::{Place, User};
use crate::support::proc;
use crate::support::run::Run;
use crate::support::sandbox::Sandbox;
use crate::support::terminal::Terminal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

/// Runs lines in a shell of the sandbox, by the way that a user takes.
fn shell<'a>(sandbox: &'a Sandbox, lines: &'static str) -> Run<'a> {
    sandbox.task("sandbox").args(["--yes", "--shell"]).stdin(lines).run().ok()
}

/// Processes that take the names of the container's own, and one that does not.
const HIDDEN: &str = "for name in 'x -- sleep' /sbin/docker-init; do\n\
                      setsid bash -c 'exec -a \"$0\" sleep infinity' \"$name\" >/dev/null 2>&1 </dev/null &\ndone\n\
                      setsid sleep infinity >/dev/null 2>&1 </dev/null &\n\
                      setsid sleep 4321 >/dev/null 2>&1 </dev/null &\nsleep 1\n";
const NAMES: [&str; 4] =
    [": x -- sleep infinity\n", ": /sbin/docker-init infinity\n", ": sleep infinity\n", ": sleep 4321\n"];

/// The process ids in lines such as `pid 7 since …: …`.
fn pids(text: &str) -> Vec<u64> {
    let words = text.split("pid ").skip(1).filter_map(|rest| rest.split(' ').next());
    let mut pids: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

#[track_caller]
fn names_all(text: &str) {
    for name in NAMES {
        assert!(text.contains(name), "{name:?} in: {text}");
    }
}

#[test]
fn what_takes_the_names_of_the_containers_own_processes_is_named_held_against_a_recreate_and_ended() {
    let sandbox = Sandbox::new();
    let left = shell(&sandbox, HIDDEN);
    names_all(&left.stderr);
    assert!(left.stderr.contains("--leftovers end` ends them alone and enters"), "{}", left.stderr);
    let container = sandbox.containers().remove(0);

    let status: Value = serde_json::from_str(&sandbox.task("status").args(["--json"]).run().ok().stdout).expect("JSON");
    assert_eq!(status["sessions"], Value::Array(Vec::new()));
    let mut listed: Vec<u64> =
        status["leftovers"].as_array().expect("a list").iter().filter_map(|p| p["pid"].as_u64()).collect();
    listed.sort_unstable();
    assert_eq!(listed, pids(&left.stderr), "{status}");
    assert_eq!(listed.len(), 4);

    let again = sandbox.enter(["--version"]).ok();
    let before_codex = again.stderr.split("$ docker exec").next().unwrap_or_default();
    assert_eq!(pids(before_codex), listed, "named at re-entry: {}", again.stderr);

    let recreate = |leftovers: &[&str]| {
        let task = sandbox.task("sandbox").args(["--network", "none", "--yes"]).args(leftovers.iter().copied());
        task.args(["--", "--version"]).run()
    };
    let refused = recreate(&[]).ended(1);
    assert_eq!(pids(refused.error()), listed, "{}", refused.error());
    assert_eq!(sandbox.containers(), std::slice::from_ref(&container));

    // The init and its program go on: the container is entered, and is the same one.
    let ended = sandbox.task("sandbox").args(["--yes", "--leftovers", "end", "--", "--version"]).run().ok();
    assert!(ended.stderr.contains("they were ended"), "{}", ended.stderr);
    assert_eq!(sandbox.containers(), std::slice::from_ref(&container));
    let screen = sandbox.task("status").run().ok().stdout;
    assert!(!screen.contains("leftovers"), "{screen}");
    recreate(&[]).ok();
    assert_ne!(sandbox.containers(), [container]);
}

/// A session in a terminal, in which `sleep 4322` runs.
fn sleeping(sandbox: &Sandbox) -> Terminal {
    let terminal = Terminal::open(&sandbox.place, sandbox.task("sandbox").args(["--yes", "--shell"]));
    terminal.shows("$ ", 180);
    terminal.types("sleep 4322");
    terminal.press("Enter");
    terminal
}

fn status(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.task("status").args(["--json"]).run().ok().stdout).expect("JSON")
}

#[test]
fn leftovers_are_ended_and_the_session_of_another_terminal_is_not() {
    let sandbox = Sandbox::new();
    shell(&sandbox, HIDDEN);
    let _terminal = sleeping(&sandbox);
    let status = || status(&sandbox);
    let sessions = proc::wait_for("the session", 30, || {
        let sessions = status()["sessions"].clone();
        sessions.as_array().is_some_and(|all| all.contains(&"sleep 4322".into())).then_some(sessions)
    });
    let run = sandbox.task("sandbox").args(["--yes", "--leftovers", "end", "--", "--version"]).run().ok();
    assert!(run.stderr.contains("they were ended"), "{}", run.stderr);
    assert!(!run.stderr.contains("4322"), "{}", run.stderr);
    let now = status();
    assert_eq!(now["sessions"], sessions);
    assert_eq!(now["leftovers"], Value::Array(Vec::new()));
}

/// What a session started goes on and has its parent (`CLONE_PARENT`, 0x8000), which is outside of the container; and it
/// starts more of that kind all the time.
const BESIDE: &str = "cat > beside.py <<'END'\nimport ctypes, os, signal, time\nlibc = ctypes.CDLL(None)\n\
                      def beside():\n    return libc.syscall(56 if os.uname().machine == 'x86_64' else 220, \
                      0x8000 | signal.SIGCHLD, 0, 0, 0, 0)\n\
                      if beside():\n    os._exit(0)\nos.setsid()\n\
                      for fd in (0, 1, 2):\n    os.dup2(os.open('/dev/null', os.O_RDWR), fd)\n\
                      while True:\n    if beside() == 0:\n        time.sleep(20)\n        os._exit(0)\n    time.sleep(0.05)\n\
                      END\nexec python3 beside.py\n";

#[test]
fn what_an_agent_starts_beside_a_session_does_not_pass_for_it_and_the_session_is_not_ended_for_it() {
    let sandbox = Sandbox::new();
    shell(&sandbox, BESIDE);
    let terminal = sleeping(&sandbox);
    let status = || status(&sandbox);
    let has = |list: &Value, args: &str| list.as_array().expect("a list").iter().any(|one| one["args"] == args);
    let seen = proc::wait_for("the session", 30, || Some(status()).filter(|now| has(&now["in_doubt"], "sleep 4322")));
    assert_eq!(seen["sessions"], Value::Array(Vec::new()), "{seen}");
    assert!(has(&seen["leftovers"], "python3 beside.py"), "{seen}");

    let end = || sandbox.task("sandbox").args(["--yes", "--leftovers", "end", "--", "--version"]).run().ok();
    let run = end();
    assert!(run.stderr.contains("cannot be known, so none of them is ended") && run.stderr.contains(": sleep 4322\n"));
    assert!(run.stderr.contains("they were ended"), "{}", run.stderr);
    let now = status();
    assert!(has(&now["in_doubt"], "sleep 4322") && now["leftovers"] == Value::Array(Vec::new()), "{now}");
    terminal.press("C-c");
    terminal.types("exit");
    terminal.press("Enter");
    terminal.shows("keeps running", 60);
    end();
    let now = status();
    assert!(
        [&now["sessions"], &now["in_doubt"], &now["leftovers"]].iter().all(|all| **all == Value::Array(Vec::new()))
    );
}

/// A crowd that only sleeps.
const MANY: &str = "for i in $(seq 3000); do sleep 4323 >/dev/null 2>&1 </dev/null & done\nsleep 1\n";
/// A program that ignores SIGTERM, forks and ends, again in its child, and so on: no list has it long enough for a signal.
/// On x86-64 it is 140 bytes of machine code (`while (fork() == 0); exit(0)`), which are faster than any list.
const HOPPING: &str = "cat > hop.py <<'END'\nimport base64, os, platform, signal\n\
                       signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                       if platform.machine() == 'x86_64':\n    \
                           open('hop', 'wb').write(base64.b64decode(\
                       'f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAABAAAAAAAAAAEAAAAFAA'\
                       'AAAAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAAjAAAAAAAAACMAAAAAAAAAAAQAAAAAAAAuDkAAAAPBYXAdPUx/7g8AAAADwU='\
                       ))\n    os.chmod('hop', 0o755)\n    os.execv('./hop', ['hop'])\n\
                       while True:\n    if os.fork():\n        os._exit(0)\nEND\n\
                       setsid python3 hop.py >/dev/null 2>&1 </dev/null &\nsleep 2\n";

#[test]
fn thousands_of_leftovers_and_one_that_forks_for_ever_are_ended_in_one_call() {
    let sandbox = Sandbox::new();
    let left = shell(&sandbox, MANY);
    assert!(left.stderr.contains(" more: `cargo xtask status --json` names all"), "{}", left.stderr);
    let container = sandbox.containers().remove(0);
    let end = || sandbox.task("sandbox").args(["--yes", "--leftovers", "end", "--", "--version"]).run().ok();
    let ended = end();
    assert!(ended.stderr.contains("they were ended"), "{}", ended.stderr);
    shell(&sandbox, HOPPING);
    let ended = end();
    assert!(ended.stderr.contains("they were ended"), "{}", ended.stderr);
    let screen = sandbox.task("status").run().ok().stdout;
    assert!(!screen.contains("leftovers"), "{screen}");
    assert_eq!(sandbox.containers(), [container], "its own two processes went on");
}

/// Stops each shell that comes up beside it.
const STOPPING: &str = "cat > stop.py <<'END'\nimport os, signal\n\
                        known = {os.getpid(), os.getppid()}\nknown |= {int(p) for p in os.listdir('/proc') if p.isdigit()}\n\
                        while True:\n    for pid in os.listdir('/proc'):\n        try:\n            \
                        if pid.isdigit() and int(pid) not in known and \\\n               \
                        open(f'/proc/{pid}/cmdline').read() == '/bin/bash\\0':\n                \
                        os.kill(int(pid), signal.SIGSTOP)\n        except OSError:\n            pass\nEND\n\
                        setsid python3 stop.py >/dev/null 2>&1 </dev/null &\nsleep 1\n";

#[test]
fn a_session_that_is_stopped_before_it_begins_is_told_and_ended() {
    let sandbox = Sandbox::new();
    shell(&sandbox, STOPPING);
    let run = sandbox.task("sandbox").args(["--yes", "--shell"]).stdin("sleep 600\n").run().ended(1);
    let said = "the session was stopped by something inside";
    assert!(run.stderr.contains(&format!("warning: {said}")), "{}", run.stderr);
    assert!(run.error().contains(said) && run.error().contains("before it began, and was ended"), "{}", run.error());
    let ended = sandbox.task("sandbox").args(["--yes", "--leftovers", "end", "--", "--version"]).run().ok();
    assert!(ended.stderr.contains("they were ended"), "{}", ended.stderr);
}

#[test]
fn in_a_terminal_it_is_asked_whether_leftovers_are_ended() {
    let sandbox = Sandbox::new();
    shell(&sandbox, HIDDEN);
    let terminal = Terminal::open(&sandbox.place, sandbox.task("sandbox").args(["--shell"]));
    terminal.shows("End them? [y/N]", 60);
    terminal.types("y");
    terminal.press("Enter");
    terminal.shows("Enter a shell? [Y/n]", 60);
    assert!(!sandbox.task("status").run().ok().stdout.contains("leftovers"));
}

#[test]
fn a_question_that_nobody_answers_ends_the_call_and_an_odd_answer_is_explained() {
    let sandbox = Sandbox::new();
    shell(&sandbox, HIDDEN);
    let terminal = Terminal::open(&sandbox.place, sandbox.task("sandbox").args(["--shell"]));
    terminal.shows("End them? [y/N]", 60);
    terminal.types("what");
    terminal.press("Enter");
    terminal.shows("y means yes, n or Enter means no\nEnd them? [y/N]", 10);
    terminal.press("C-d");
    terminal.shows("the question was not answered", 10);
    assert_eq!(terminal.ended(30), 1);
    assert!(sandbox.task("status").run().ok().stdout.contains("leftovers"), "nothing was ended");
}

/// Kills the tool itself, and nothing that it started.
fn kill_tool(sandbox: &Sandbox) {
    let binary = sandbox.place.binary();
    let pids = fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter(|process| fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe == binary));
    let pids: Vec<String> = pids.map(|process| process.file_name().display().to_string()).collect();
    let cwd_is_ours = |pid: &&String| {
        let env = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&env).contains(&sandbox.place.dir().display().to_string())
    };
    let ours: Vec<&String> = pids.iter().filter(cwd_is_ours).collect();
    assert_eq!(ours.len(), 1, "{pids:?}");
    proc::output("kill", ["-KILL", ours[0]]);
}

#[test]
fn what_a_survivor_of_a_killed_call_writes_is_told_at_the_next_entry() {
    let sandbox = Sandbox::new();
    let terminal = Terminal::open(&sandbox.place, sandbox.task("sandbox").args(["--yes", "--shell"]));
    terminal.shows("$ ", 180);
    terminal.types(
        "setsid sh -c 'until [ -e go ]; do sleep 0.1; done; echo x >.envrc; sleep 4321' </dev/null & echo star''ted",
    );
    terminal.press("Enter");
    terminal.shows("started", 20);
    kill_tool(&sandbox);
    fs::write(sandbox.workspace().join("go"), "").expect("a sign for the survivor");
    proc::wait_for("its file", 20, || sandbox.workspace().join(".envrc").exists().then_some(()));

    let run = sandbox.task("sandbox").args(["--yes", "--on-change", "keep", "--", "--version"]).run().ok();
    let told = "since the sandbox was last looked at, this has changed in the workspace";
    assert!(run.stderr.contains(told) && run.stderr.contains("  `.envrc` is new: "), "{}", run.stderr);
    let before_codex = run.stderr.split("$ docker exec").next().unwrap_or_default();
    assert!(before_codex.contains(": sleep 4321\n") && before_codex.contains(": /bin/bash\n"), "{}", run.stderr);
    let run = sandbox.enter(["--version"]).ok();
    assert!(!run.stderr.contains("`.envrc`"), "it is told once: {}", run.stderr);
}

#[test]
fn what_a_leftover_makes_setuid_after_the_exit_is_cleared_and_told_at_the_next_look() {
    // To root's sessions the filter denies it.
    let sandbox = Sandbox::of(User { uid: 1234, gid: 1234 });
    let survivor = "setsid sh -c 'for go in go-1 go-2; do until [ -e $go ]; do sleep 0.1; done; cp /bin/true su; \
                    chmod 4755 su; echo $go >>.envrc; touch done-$go; done' >/dev/null 2>&1 </dev/null &\n";
    shell(&sandbox, survivor);
    let su = sandbox.workspace().join("su");
    let mode = || fs::metadata(&su).expect("its file").permissions().mode() & 0o7777;
    let go = |name: &str| {
        fs::write(sandbox.workspace().join(name), "").expect("a sign for the survivor");
        let done = sandbox.workspace().join(format!("done-{name}"));
        proc::wait_for("its file", 20, || done.exists().then_some(()));
        assert_eq!(mode(), 0o4755);
    };
    go("go-1");
    let run = sandbox.task("sandbox").args(["--yes", "--on-change", "keep", "--", "--version"]).run().ok();
    assert!(run.stderr.contains("removed the setuid bit of `su`"), "{}", run.stderr);
    assert_eq!(mode(), 0o755);
    go("go-2");
    let run = sandbox.task("down").args(["--on-change", "keep"]).run().ok();
    assert!(run.stderr.contains("removed the setuid bit of `su`"), "{}", run.stderr);
    assert!(run.stderr.contains("  `.envrc` changed: "), "{}", run.stderr);
    assert_eq!(mode(), 0o755);
    // From here on what changes is the user's own doing.
    fs::remove_file(sandbox.workspace().join(".envrc")).expect("the user's change");
    let run = sandbox.enter(["--version"]).ok();
    assert!(!run.stderr.contains(".envrc"), "{}", run.stderr);
}

/// A `docker` that changes a file of the host's Codex home when it is called with these words, and then does as it is
/// told: as late as an agent could.
fn changing_docker(sandbox: &Sandbox, words: &str) {
    let (real, file) = (proc::find("docker"), sandbox.place.path("home/.codex/AGENTS.md"));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in {words}*) echo after >'{}';; esac\nexec '{}' \"$@\"\n",
        file.display(),
        real.display()
    );
    sandbox.place.program("docker", script);
}

/// What is in the sandbox's own copy of that file.
fn copied(sandbox: &Sandbox) -> String {
    let container = sandbox.containers().remove(0);
    engine::docker(["exec", &container, "cat", "/home/codex/.codex/AGENTS.md"])
}

#[test]
fn what_is_copied_was_read_when_nothing_was_alive() {
    let sandbox = Sandbox::new();
    sandbox.place.write("home/.codex/AGENTS.md", "before\n");
    sandbox.enter(["--version"]).ok();
    assert_eq!(copied(&sandbox), "before\n");
    // At re-entry the engine is asked after the host's files were read for the first time.
    changing_docker(&sandbox, "'container inspect'");
    sandbox.enter(["--version"]).ok();
    assert_eq!(copied(&sandbox), "after\n", "read again when nothing was seen to be alive");

    sandbox.place.write("home/.codex/AGENTS.md", "before\n");
    changing_docker(&sandbox, "'container stop'");
    let run = sandbox.task("sandbox").args(["--network", "none", "--yes", "--", "--version"]).run().ok();
    assert!(run.stderr.contains("the container is stopped and recreated, nothing runs inside:"), "{}", run.stderr);
    assert_eq!(copied(&sandbox), "after\n", "read again when the container was stopped");
}

#[test]
fn where_nothing_was_alive_the_workspace_is_not_looked_through_at_the_next_entry() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let su = sandbox.workspace().join("su");
    fs::write(&su, "").expect("a file");
    let set = || fs::set_permissions(&su, fs::Permissions::from_mode(0o4755)).expect("its mode");
    let mode = || fs::metadata(&su).expect("the file").permissions().mode() & 0o7777;
    set();
    sandbox.enter(["--version"]).ok();
    // The end of that session cleared it. From here on nothing but the init is alive.
    assert_eq!(mode(), 0o755);
    set();
    let run = sandbox.enter(["--version"]).ok();
    let before_codex = run.stderr.split("$ docker exec").next().unwrap_or_default().to_owned();
    assert!(
        !before_codex.contains("removed the setuid bit of `su`"),
        "nobody can have set it but the user: {before_codex}"
    );
}

#[test]
fn a_session_that_ends_with_its_container_is_looked_at_too() {
    let sandbox = Sandbox::of(User { uid: 1234, gid: 1234 });
    let words = "cp /bin/true su; chmod 4755 su; echo evil > .envrc; git init --quiet new; touch made; sleep 600\n";
    let ended = thread::scope(|scope| {
        let task = sandbox.task("sandbox").args(["--yes", "--shell"]).stdin(words);
        let session = scope.spawn(|| task.run().ended(137));
        let made = sandbox.workspace().join("made");
        let tries = (0..1800).find(|_| made.exists() || (thread::sleep(Duration::from_millis(100)), false).1);
        assert!(tries.is_some(), "the agent does nothing");
        engine::docker(["kill", "--signal", "KILL", &sandbox.containers()[0]]);
        session.join().expect("the session")
    });
    for told in ["was ended meanwhile", "removed the setuid bit of `su`", "`.envrc` is new", "`new/.git`"] {
        assert!(ended.stderr.contains(told), "`{told}` is not in: {}", ended.stderr);
    }
    assert!(!sandbox.workspace().join("new/.git").exists());
}

#[test]
fn what_an_agent_does_to_the_init_from_within_changes_no_entry_and_no_look() {
    let sandbox = Sandbox::new();
    let words = "kill -TERM 1; kill -INT 1\n\
                 python3 -c 'import resource as r; r.prlimit(1, r.RLIMIT_STACK, (1 << 20, 1 << 20))' && sleep 1\n\
                 grep -c 'stack size *1048576 ' /proc/1/limits; echo still here\n";
    let run = shell(&sandbox, words);
    assert_eq!(run.stdout, "1\nstill here\n", "{}", run.stderr);
    let container = sandbox.containers();
    sandbox.enter(["--version"]).ok();
    assert_eq!(sandbox.containers(), container);
    assert_eq!(sandbox.proof().with("broken"), Vec::<String>::new());
}

#[test]
fn a_container_that_was_started_again_by_somebody_else_is_recreated() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let container = sandbox.containers().remove(0);
    engine::docker(["restart", "--time", "1", &container]);
    let run = sandbox.enter(["--version"]).ok();
    assert!(run.stderr.contains("it was started again by something else than this tool"), "{}", run.stderr);
    assert_ne!(sandbox.containers(), [container]);
}

#[test]
fn down_names_what_it_ends_asks_on_a_terminal_and_the_session_does_not_say_that_it_goes_on() {
    let sandbox = Sandbox::new();
    let session = Terminal::open(&sandbox.place, sandbox.task("sandbox").args(["--yes", "--shell"]));
    session.shows("$ ", 180);
    session.types("echo star''ted");
    session.press("Enter");
    session.shows("started", 60);
    let named = "this runs inside and ends with it: pid ";
    let plan = sandbox.task("down").args(["--dry-run"]).run().ok();
    assert!(plan.stdout.contains(&format!("# {named}")) && plan.stdout.contains(": /bin/bash\n"), "{}", plan.stdout);
    {
        // A terminal of its own: the other one holds the place's.
        let place = Place::new();
        let asked = Terminal::open(&place, sandbox.task("down"));
        asked.shows("Remove all of that? [y/N]", 30);
        asked.press("Enter");
        assert_eq!(asked.ended(30), 1);
    }
    assert_eq!(sandbox.containers().len(), 1, "it was not agreed to");
    let run = sandbox.task("down").run().ok();
    assert!(run.stderr.contains(named) && run.stderr.contains(": /bin/bash\n"), "{}", run.stderr);
    assert_eq!(session.ended(60), 137);
    let screen = session.screen();
    assert!(screen.contains("was ended meanwhile") && !screen.contains("keeps running"), "{screen}");
}
