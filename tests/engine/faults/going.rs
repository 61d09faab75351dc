//! A second engine that goes, or stops to answer, while something of it has been going on for a while: a session, a build.

use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::Xtask;
use crate::support::sandbox::Sandbox;
use crate::support::second_engine::{Part, SecondEngine, short_dockerfile};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A call that goes on, whose input stays open.
struct Going {
    child: Child,
    said: PathBuf,
}

impl Going {
    fn start(run: &Xtask, said: PathBuf) -> Going {
        let words = run.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::null());
        let child = command.stderr(File::create(&said).expect("a file")).spawn().expect("the tool");
        Going { child, said }
    }

    fn says(&mut self, text: &str) {
        self.child.stdin.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("its input");
    }

    fn signal(&self, name: &str) {
        // `env` became the tool itself.
        proc::outcome("kill", [&format!("-{name}"), &self.child.id().to_string()]);
    }

    /// Its exit code, and what it said. Its input stays open until then.
    #[track_caller]
    fn end(mut self) -> (Option<i32>, String) {
        let open = self.child.stdin.take();
        let ended = || self.child.try_wait().expect("its status");
        let code = proc::wait_for("the end of the call", 150, ended).code();
        drop(open);
        (code, fs::read_to_string(&self.said).unwrap_or_default())
    }
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    // This machine's engine may not raise the limit of locked memory.
    let settings = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}memlock: engine\n"));
    sandbox
}

/// What is done to which part, the signal that the call gets then, its exit codes, and what it says.
struct Row(Part, &'static str, Option<&'static str>, &'static [i32], &'static str);

#[test]
fn a_session_whose_engine_goes_says_so_and_the_next_one_works() {
    let place = Place::new();
    let (mut engine, sandbox) = (SecondEngine::start(&place, &[]), sandbox());
    let begun = sandbox.workspace().join("begun");
    fs::write(sandbox.workspace().join("kept.txt"), "mine").expect("a file of the user");
    let host = engine.host.clone();
    let task =
        |words: &[&'static str]| sandbox.task(words[0]).env("DOCKER_HOST", &host).args(words[1..].iter().copied());
    let enter = ["sandbox", "--yes", "--shell"];
    for Row(part, signal, to_call, codes, says) in [
        Row(Part::Dockerd, "KILL", None, &[1, 255], "the session ended with"),
        Row(Part::Dockerd, "TERM", None, &[1, 137, 255], "the session ended with"),
        Row(Part::Dockerd, "STOP", Some("TERM"), &[137, 143], "keeps running is not known"),
        Row(Part::Containerd, "KILL", Some("TERM"), &[137, 143], ""),
        Row(Part::Containerd, "STOP", Some("TERM"), &[137, 143], ""),
    ] {
        let what = format!("{part:?} {signal}");
        let mut call = Going::start(&task(&enter), sandbox.place.path("session"));
        call.says("touch /workspace/begun\n");
        proc::wait_for("the session", 120, || begun.exists().then_some(()));
        engine.signal(part, signal);
        if signal != "STOP" {
            engine.ended(part);
        }
        to_call.into_iter().for_each(|name| call.signal(name));
        let since = std::time::Instant::now();
        let (code, said) = call.end();
        let _ = writeln!(
            std::io::stderr(),
            "| the session | {what} {to_call:?} | {code:?} | {:.1} |",
            since.elapsed().as_secs_f32()
        );
        assert!(code.is_some_and(|code| codes.contains(&code)) && said.contains(says), "{what}: {code:?}\n{said}");
        assert!(to_call.is_some() || !said.contains("keeps running;"), "{what}:\n{said}");
        assert!(!said.contains("panicked"), "{what}:\n{said}");
        engine.restart();
        fs::remove_file(&begun).expect("what the session made");
        let run = task(&["sandbox", "--yes", "--", "--version"]).run();
        assert_eq!(run.code, Some(0), "{what}: the next call: {}", run.stderr);
        assert_eq!(engine.containers().len(), 1, "{what}");
        assert_eq!(fs::read_to_string(sandbox.workspace().join("kept.txt")).expect("the file"), "mine", "{what}");
    }
}

#[test]
fn a_build_whose_engine_goes_says_so_and_the_next_one_works() {
    let place = Place::new();
    let mut engine = SecondEngine::start(&place, &[]);
    let dockerfile = short_dockerfile(&place);
    let image = |line: &str, host: &str| {
        place.write("repo/docker/Dockerfile", format!("{dockerfile}\n{line}\n"));
        Xtask::at(&place).args(["image", "--cpu"]).with_network().env("DOCKER_HOST", host).within(300)
    };
    let host = engine.host.clone();
    for (part, signal, says) in [
        (Part::Dockerd, "KILL", "the engine has gone"),
        (Part::Dockerd, "STOP", "does not answer any more"),
        (Part::Containerd, "STOP", "does not answer any more"),
    ] {
        let call = Going::start(&image(&format!("RUN {}", proc::endless()), &host), place.path("build"));
        proc::wait_for("the build", 120, || proc::runs(&proc::endless()).then_some(()));
        engine.signal(part, signal);
        if signal != "STOP" {
            engine.ended(part);
        }
        let since = std::time::Instant::now();
        let (code, said) = call.end();
        let _ = writeln!(
            std::io::stderr(),
            "| image | {part:?} {signal} | {code:?} | {:.1} |",
            since.elapsed().as_secs_f32()
        );
        assert!(
            code == Some(3) && said.contains(says) && said.contains("hint: "),
            "{part:?} {signal}: {code:?}\n{said}"
        );
        end(&proc::endless());
        engine.restart();
        image("RUN true", &host).run().ok();
    }
}

/// Ends what a killed engine has left of a build.
fn end(words: &str) {
    let (_, pids, _) = proc::outcome(proc::find("pgrep"), ["--full", words]);
    pids.lines().for_each(|pid| _ = proc::outcome("kill", ["-KILL", pid]));
    let of = |pid: &str| Path::new("/proc").join(pid).exists();
    proc::wait_for("the end of the build", 60, || (!pids.lines().any(of) || !proc::matches(words)).then_some(()));
}
