//! The inside witness against an agent that still runs at the next entry: it has the same user, and must neither change
//! what the witness says nor keep the user waiting.

use crate::support::engine;
use crate::support::place::User;
use crate::support::proc;
use crate::support::sandbox::Sandbox;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

const ATTACK: &str = include_str!("attacks/witness.py");
const FORGE: &str = include_str!("attacks/forge.py");
const ORDINARY: User = User { uid: 1234, gid: 2345 };

/// The lowest group that a witness is given.
const GROUP: u32 = 2_010_000_000;

/// A sandbox that was entered once, with an agent inside that has what it needs.
struct Attacked {
    sandbox: Sandbox,
    container: String,
    /// What the data set's claim said at the first entry.
    seen: String,
}

impl Attacked {
    fn new(sandbox: Sandbox) -> Attacked {
        sandbox.enter(["--version"]).ok();
        let (container, seen) = (sandbox.containers().remove(0), evidence(&sandbox));
        for (name, text) in [("attack.py", ATTACK), ("forge.py", FORGE)] {
            fs::write(sandbox.workspace().join(name), text).expect("a program of the agent");
        }
        Attacked { sandbox, container, seen }
    }

    /// Starts the attack in the background, and waits until it looks out for the witness.
    fn begins(&self, mode: &str) {
        self.runs(&["python3", "/workspace/attack.py", mode, "/tmp/attack.log"]);
        proc::wait_for("the attack", 20, || self.log().starts_with("ready").then_some(()));
    }

    fn runs(&self, words: &[&str]) {
        let words = [&["exec", "--detach", self.container.as_str()], words].concat();
        proc::output(proc::find("docker"), words);
    }

    fn log(&self) -> String {
        self.file("/tmp/attack.log")
    }

    fn file(&self, path: &str) -> String {
        let words = ["exec", self.container.as_str(), "cat", path];
        proc::outcome(proc::find("docker"), words).1
    }

    /// The promises hold, with the same numbers as before the attack.
    #[track_caller]
    fn holds(&self) {
        let run = self.sandbox.enter(["--version"]).ok();
        assert!(run.stderr.contains("promises hold"), "{}", run.stderr);
        assert_eq!(evidence(&self.sandbox), self.seen);
    }
}

/// What was seen of the data set's sample: numbers that the agent would like to choose.
fn evidence(sandbox: &Sandbox) -> String {
    let proof = sandbox.proof().0;
    let claims = proof["claims"].as_array().expect("claims");
    let claim = |id: &str| claims.iter().find(|claim| claim["id"] == *id).expect("the claim");
    let inside = |id: &str| claim(id)["evidence"]["inside"].as_str().expect("evidence").to_owned();
    let apart: &Value = claim("witness.apart");
    assert_eq!(apart["verdict"], "held", "{apart}");
    ["dataset.ssv2.readable", "dataset.ssv2.hard-links"].map(inside).join("; ")
}

/// The group that a line of a log or of evidence names.
fn gid(line: &str) -> u32 {
    let number = line.split("gid ").nth(1).unwrap_or_default().trim_start_matches('[');
    number.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[track_caller]
fn cannot_be_forged(sandbox: Sandbox) {
    let attacked = Attacked::new(sandbox);
    attacked.runs(&["python3", "/workspace/forge.py"]);
    proc::wait_for("the attack", 20, || attacked.container_runs("forge.py").then_some(()));
    attacked.holds();
    let log = attacked.file("/tmp/forge.log");
    assert!(log.contains("errno 1\n") && !log.contains("FORGED"), "{log}");
}

impl Attacked {
    fn container_runs(&self, program: &str) -> bool {
        engine::docker(["top", &self.container, "-eo", "pid,args"]).contains(program)
    }
}

#[test]
fn root_cannot_forge_what_the_witness_writes() {
    cannot_be_forged(Sandbox::new());
}

#[test]
fn an_ordinary_user_cannot_forge_what_the_witness_writes() {
    cannot_be_forged(Sandbox::of(ORDINARY));
}

/// From before it is there until it has ended, at each of many entries.
#[track_caller]
fn cannot_be_traced_at_any_moment(sandbox: Sandbox) {
    let attacked = Attacked::new(sandbox);
    attacked.begins("seize");
    for _ in 0..60 {
        attacked.sandbox.task("mounts").run().ok();
    }
    attacked.holds();
    let log = attacked.log();
    let counts = log.lines().rfind(|line| line.starts_with("counts ")).expect("counts");
    let refused: u32 = counts.split(' ').find_map(|word| word.strip_prefix("EPERM=")?.parse().ok()).expect("refusals");
    assert!(refused > 2000, "{counts}");
    // What the user enters has the agent's own group, and may be traced; the witness and the engine's program that
    // becomes it may not.
    let seized: Vec<&str> = log.lines().filter(|line| line.starts_with("seized ")).collect();
    let wrong = |line: &&&str| gid(line) >= GROUP || line.contains("runc") || line.contains("probe.py");
    assert_eq!(seized.iter().filter(wrong).count(), 0, "{seized:#?}");
}

#[test]
fn root_cannot_trace_the_witness_at_any_moment() {
    cannot_be_traced_at_any_moment(Sandbox::new());
}

#[test]
fn an_ordinary_user_cannot_trace_the_witness_at_any_moment() {
    cannot_be_traced_at_any_moment(Sandbox::of(ORDINARY));
}

#[track_caller]
fn has_no_way_in(sandbox: Sandbox) {
    let attacked = Attacked::new(sandbox);
    attacked.begins("mem");
    attacked.holds();
    let log = attacked.log();
    assert!(log.lines().any(|line| gid(line) >= GROUP) && log.ends_with("over\n"), "{log}");
    let tried: Vec<&str> = log.lines().filter(|line| line.starts_with("try ")).collect();
    assert!(tried.len() > 15, "{log}");
    for line in tried {
        // Some architectures and kernels lack one of these calls.
        let refused = ["EPERM", "EACCES", "ENOSYS", "ENOENT"].iter().any(|name| line.ends_with(name));
        assert!(refused, "{line}");
    }
}

#[test]
fn root_has_no_way_into_a_witness_that_it_has_stopped() {
    has_no_way_in(Sandbox::new());
}

#[test]
fn an_ordinary_user_has_no_way_into_a_witness_that_it_has_stopped() {
    has_no_way_in(Sandbox::of(ORDINARY));
}

/// The entry is refused with this line, and the next one is not in the way of what was left of the first.
#[track_caller]
fn refuses(mode: &str, says: &str) {
    let attacked = Attacked::new(Sandbox::of(ORDINARY));
    attacked.begins(mode);
    let run = attacked.sandbox.enter(["--version"]).ended(1);
    assert!(run.error().contains(says), "{}", run.error());
    assert!(run.error().contains("hint: ") && run.error().contains("`cargo xtask down`"), "{}", run.error());
    assert_eq!(run.stdout, "");
    assert!(!attacked.container_runs("probe.py"), "the witness was left behind");
    attacked.holds();
}

#[test]
fn a_witness_that_is_killed_is_told() {
    refuses("kill", "the inside witness was ended by signal 9 (SIGKILL)");
}

#[test]
fn a_witness_that_is_stopped_is_told() {
    refuses("stop", "the inside witness was stopped by something inside");
}

#[test]
fn a_witness_that_is_stopped_again_and_again_is_told() {
    refuses("flicker", "the inside witness was stopped by something inside");
}

/// The first thread ends, and another one goes on.
const WITHOUT_A_FIRST_THREAD: &str = "import ctypes, platform, threading, time\n\
                                      threading.Thread(target=time.sleep, args=(6543,), daemon=True).start()\n\
                                      open('/workspace/go', 'w')\n\
                                      ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)";

/// The only way that is known into the group of a witness: the user's own hand, while it runs.
#[test]
fn what_came_into_the_witnesses_group_is_seen_and_ended_also_where_its_first_thread_has_ended() {
    let attacked = Attacked::new(Sandbox::of(ORDINARY));
    attacked.runs(&["python3", "/workspace/attack.py", "hold", "/workspace/hold.log"]);
    let log = attacked.sandbox.workspace().join("hold.log");
    let said = |word: &'static str| {
        let log = log.clone();
        move || fs::read_to_string(&log).ok().filter(|text| text.contains(word) && text.ends_with('\n'))
    };
    proc::wait_for("the attack", 20, said("ready"));
    let run = std::thread::scope(|scope| {
        let joins = scope.spawn(|| {
            let user = format!("{}:{}", ORDINARY.uid, gid(&proc::wait_for("the witness", 60, said("held"))));
            let words = ["exec", "--detach", "--user", &user, &attacked.container, "python3", "-c"];
            proc::output(proc::find("docker"), [&words[..], &[WITHOUT_A_FIRST_THREAD]].concat());
        });
        let run = attacked.sandbox.enter(["--version"]).ended(1);
        joins.join().expect("it joins");
        run
    });
    assert!(run.error().contains("`witness.apart`"), "{}", run.stderr);
    assert!(run.stderr.contains("is in the witness's own group"), "{}", run.stderr);
    proc::wait_for("its end", 20, || (!attacked.container_runs("6543")).then_some(()));
    attacked.holds();
}

#[test]
fn the_group_of_the_witness_is_another_one_at_each_proof_whatever_group_root_is_given_inside() {
    let attacked = Attacked::new(Sandbox::new());
    let group = || {
        let proof = attacked.sandbox.proof().0;
        let claim = proof["claims"].as_array().expect("claims").iter().find(|claim| claim["id"] == "witness.apart");
        gid(claim.expect("the claim")["evidence"]["inside"].as_str().expect("evidence"))
    };
    let first = group();
    assert!(first >= GROUP, "{first}");
    let passwd = format!("sed -i 's/^root:x:0:0:/root:x:0:{first}:/' /etc/passwd");
    engine::docker(["exec", &attacked.container, "sh", "-c", &passwd]);
    engine::docker(["exec", "--detach", "--user", "root", &attacked.container, "sleep", "6544"]);
    proc::wait_for("it", 20, || attacked.container_runs("sleep 6544").then_some(()));
    let gids = engine::docker(["top", &attacked.container, "-eo", "pid,rgid,args"]);
    assert!(gids.lines().any(|line| line.contains(&first.to_string()) && line.ends_with("sleep 6544")), "{gids}");
    attacked.holds();
    assert_ne!(group(), first);
}

/// What the loader and the interpreter say that they read of the image, for a witness that examines a data set.
fn read_by_the_witness(container: &str) -> BTreeSet<String> {
    let user = format!("0:{GROUP}");
    let probe = "/usr/bin/env -i LC_ALL=C LD_DEBUG=files PATH=/usr/bin HOME=/home/codex TZ=:/sandbox/probe.py \
                 /sandbox/bin/python3 -I -S -v -X pycache_prefix=/sandbox/probe.py /sandbox/probe.py nonce n gid 0 \
                 workspace /tmp dataset /datasets/ssv2 writable /workspace";
    let words = ["exec", "--user", &user, "--env", "LC_ALL=C", "--env", "LD_DEBUG=files", container];
    let (code, _, said) = proc::outcome(proc::find("docker"), words.into_iter().chain(probe.split_whitespace()));
    assert_eq!(code, 0, "{said}");
    let says = ["calling init: ", "initialize program: ", "# code object from ", "matches ", "extension module"];
    let lines = said.lines().filter(|line| says.iter().any(|says| line.contains(says)));
    let words = lines.flat_map(|line| line.split(['\'', ' ', '\t']));
    let mut read: BTreeSet<String> = words.filter(|word| word.starts_with('/')).map(str::to_owned).collect();
    read.retain(|path| !path.starts_with("/sandbox/"));
    read.extend(["/usr/bin/env", "/usr/bin/python3", "/etc/ld.so.cache", "/etc/ld.so.preload"].map(str::to_owned));
    read
}

#[test]
fn a_change_to_anything_that_the_witness_reads_of_the_image_is_seen() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let container = sandbox.containers().remove(0);
    let read = read_by_the_witness(&container);
    for part in ["/libc.so.6", "/ld-linux-", "/encodings/__init__.py", "_ctypes", "libffi"] {
        assert!(read.iter().any(|path| path.contains(part)), "{part}: {read:?}");
    }
    let print = || {
        let said = sandbox.task("mounts").args(["--json"]).run();
        let report: Value = serde_json::from_str(&said.stdout).expect("a report");
        let claims = report["claims"].as_array().expect("claims");
        let claim = claims.iter().find(|claim| claim["id"] == "container.programs").expect("the claim").clone();
        claim["evidence"]["host"].as_str().expect("evidence").to_owned()
    };
    let mut before = print();
    for path in &read {
        let touch = format!("chmod \"$(stat -Lc %a '{path}')\" '{path}'");
        engine::docker(["exec", &container, "sh", "-c", &touch]);
        let after = print();
        assert_ne!(after, before, "{path}");
        before = after;
    }
}

/// A wrapper in the interpreter's place runs in the witness's group. It is put back before the answer is there, and leaves
/// a program behind.
#[test]
fn a_wrapper_that_was_put_back_gets_nowhere() {
    let attacked = Attacked::new(Sandbox::new());
    let lay = "f=$(readlink -f /usr/bin/python3); cp -a $f /tmp/real; rm $f; printf '#!/bin/sh\n\
               mv /tmp/real '$f'\n(sleep 7654 >/dev/null 2>&1 &)\nexec '$f' \"$@\"\n' >/tmp/wrapper; chmod 755 /tmp/wrapper; \
               mv /tmp/wrapper $f";
    engine::docker(["exec", &attacked.container, "sh", "-c", lay]);
    let run = attacked.sandbox.enter(["--version"]).ended(1);
    assert!(run.error().contains("`container.programs`"), "{}", run.error());
    assert!(run.error().contains("`witness.apart`"), "{}", run.error());
    assert_eq!(run.stdout, "");
}
