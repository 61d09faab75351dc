//! What an agent lays for the host to walk into (`traps.py`): the session is left, the host looks at the commits, takes
//! them, runs git in the project, enters again while the agent's processes exchange directories for links, and stops it.

use super::host::{Guarded, Host, Watched};
use super::{git, prepared};
use crate::support::engine;
use crate::support::place::User;
use crate::support::proc;
use crate::support::run::Run;
use crate::support::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

const PROGRAM: &str = include_str!("traps.py");

/// How often the sandbox is entered and left while the agent exchanges what the host looks at, and how many exchanges
/// there must have been at the least, so that the race was one.
const ENTRIES: usize = 3;
const EXCHANGES: u64 = 10_000;

/// The ids of the traps, in order.
pub(crate) fn ids() -> Vec<&'static str> {
    let registered = PROGRAM.lines().filter_map(|line| line.strip_prefix("@trap(\""));
    registered.filter_map(|rest| rest.split_once('"')).map(|(id, _)| id).collect()
}

/// A session in which the agent lays everything. Root's sessions cannot make setuid files; a program that somebody starts
/// inside by the engine alone can, and what it lays is found when the next session is left.
fn laid<'a>(sandbox: &'a Sandbox, host: &Host, word: &str, user: User) -> Run<'a> {
    let (outside, ran) = (host.outside.display(), host.ran.display());
    let script = format!("python3 -I - '{outside}' '{ran}' {word} <<'THE END'\n{PROGRAM}\nTHE END\n");
    let shell = |script: String| {
        sandbox.task("sandbox").args(["--yes", "--shell"]).stdin(Box::leak(script.into_boxed_str())).run()
    };
    let expected: String = ids().iter().map(|id| format!("laid {id}\n")).collect();
    if user.uid != 0 {
        let run = shell(script);
        assert_eq!(run.stdout, expected, "{}", run.stderr);
        return run;
    }
    sandbox.enter(["--version"]).ok();
    let container = sandbox.containers().remove(0);
    let inside = ["exec", "--interactive", "--workdir", "/workspace", &container, "/bin/bash", "-c", &script];
    assert_eq!(engine::docker(inside), expected);
    shell(String::new())
}

/// What was said has neither a secret of the host nor a control sequence, and nothing of the agent's has run.
#[track_caller]
fn harmless(run: &Run, host: &mut Host) {
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(!said.contains(&host.secret()), "a secret of the host is shown: {said}");
    let controls: Vec<char> = said.chars().filter(|c| c.is_control() && !"\n\t".contains(*c)).collect();
    assert!(controls.is_empty(), "{controls:?} reached the terminal: {said}");
    assert_eq!(host.harmed(), Vec::<&str>::new(), "{said}");
}

/// The setuid and setgid files of the project.
fn setuid(sandbox: &Sandbox) -> String {
    let workspace = sandbox.workspace().display().to_string();
    let (_, found, _) = proc::outcome("find", [&workspace, "-type", "f", "-perm", "/6000"]);
    found
}

/// The processes of the whole machine that have this word among their arguments.
fn processes(word: &str) -> usize {
    let all = fs::read_dir("/proc").expect("the processes").flatten();
    let texts = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    texts.filter(|text| text.split(|&byte| byte == 0).next() == Some(word.as_bytes())).count()
}

#[track_caller]
fn walks_into_none(user: User) {
    let sandbox = Sandbox::of(user);
    let mut host = prepared(&sandbox);
    let word = format!("outlives-{}", crate::support::own::nonce());
    let own = ["config", "hooks"].map(|name| sandbox.workspace().join(".git").join(name));
    let own = || {
        own.each_ref().map(|path| proc::output("sh", ["-c", "cat \"$0\" || ls -l \"$0\"", &path.display().to_string()]))
    };
    let before = own();
    let outside = Watched::only(&host.outside);
    let untouched = Guarded::look(&outside);

    // The session is left.
    let left = laid(&sandbox, &host, &word, user);
    harmless(&left, &mut host);
    assert_eq!(setuid(&sandbox), "", "{}", left.stderr);
    assert_eq!(processes(&word), 1, "the process that outlives the session");

    // The host looks at what came of it, and takes it.
    for args in [["commits"].as_slice(), &["commits", "--take"], &["status"], &["mounts"]] {
        let run = sandbox.task(args[0]).args(args[1..].iter().copied()).run();
        harmless(&run, &mut host);
    }
    for args in [["status"].as_slice(), &["log", "--all"], &["diff"], &["branch"], &["submodule", "status"], &["gc"]] {
        git(&sandbox, args);
        assert_eq!(host.harmed(), Vec::<&str>::new(), "git {args:?}");
    }
    assert_eq!(own(), before, "the host's configuration of git or its hooks changed");
    let taken = git(&sandbox, &["log", "--format=%s", "--branches", "--not", "main~1"]);
    let hostile = ["a git directory in it", "a file above the project"].map(|message| taken.contains(message));
    assert_eq!(hostile, [false, false], "hostile trees were taken over: {taken}");
    let own = ["a link out of the project\n", "inside"].map(|message| taken.contains(message));
    assert_eq!(own, [true, true], "the agent's commits were not taken over: {taken}");
    assert!(!host.ran.parent().expect("a place").join("ran").exists(), "a file above the project was made");

    // It is entered and left again while the agent exchanges directories for links.
    for _ in 0..ENTRIES {
        let run = sandbox.enter(["--version"]);
        harmless(&run, &mut host);
    }
    let exchanges = fs::read_to_string(sandbox.workspace().join("races")).expect("the number of exchanges");
    assert!(exchanges.parse::<u64>().expect("a number") >= EXCHANGES, "only {exchanges} exchanges");
    assert_eq!(untouched.changes(&Guarded::look(&outside)), Vec::<String>::new());

    // The agent ends all that it can, and the sandbox is stopped.
    let container = sandbox.containers().remove(0);
    fs::write(sandbox.workspace().join("stop"), "").expect("a file in the project");
    proc::outcome(proc::find("docker"), ["exec", &container, "bash", "-c", "kill -KILL -1"]);
    assert_eq!(host.harmed(), Vec::<&str>::new(), "all processes were ended inside");
    let down = sandbox.task("down").run().ok();
    harmless(&down, &mut host);
    assert_eq!(processes(&word), 0, "a process outlives the sandbox");
    engine::docker(["version", "--format", "{{.Server.Version}}"]);
    assert_eq!(fs::metadata(host.outside.join("su")).expect("a program of the host").mode() & 0o7777, 0o4755);
    let closed = sandbox.workspace().join("closed");
    proc::output("chmod", ["700", &closed.display().to_string()]);
}

#[test]
fn the_host_walks_into_no_trap_of_root() {
    walks_into_none(User { uid: 0, gid: 0 });
}

#[test]
fn the_host_walks_into_no_trap_of_an_ordinary_user() {
    walks_into_none(User { uid: 1234, gid: 1234 });
}
