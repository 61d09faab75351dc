//! A second engine that has really nothing left: no range for one more network, no room on its disk.

use crate::support::engine::{self, Mounted};
use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::{Run, Xtask};
use crate::support::sandbox::Sandbox;
use crate::support::second_engine::{SecondEngine, short_dockerfile};
use std::fs;
use std::path::Path;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    // This machine's engine may not raise the limit of locked memory.
    let settings = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}memlock: engine\n"));
    sandbox
}

fn task<'a>(sandbox: &'a Sandbox, engine: &SecondEngine, words: &[&str]) -> Run<'a> {
    let run = sandbox.task(words[0]).env("DOCKER_HOST", &engine.host);
    run.args(words[1..].iter().copied()).run()
}

const ENTER: &[&str] = &["sandbox", "--yes", "--", "--version"];

#[track_caller]
fn is_refused(run: Run, remedy: &str) {
    let run = run.ended(3);
    assert!(run.error().contains("hint: ") && run.error().contains(remedy), "{}", run.stderr);
    assert_eq!(run.stdout, "", "Codex was entered");
}

#[test]
fn a_sandbox_takes_one_network_and_none_without_one_and_an_engine_without_a_range_is_told() {
    let place = Place::new();
    let engine = SecondEngine::with(&place, &[], engine::tools().join("second-engine"), "10.213.0.0/24");
    let networks = || engine.docker(&["network", "ls", "--quiet", "--filter", "type=custom"]).lines().count();
    assert_eq!(networks(), 0);
    let (first, second) = (sandbox(), sandbox());
    let none = ["sandbox", "--network", "none", "--yes", "--", "--version"];
    task(&second, &engine, &none).ok();
    assert_eq!(networks(), 0, "one that needs none has none");
    task(&second, &engine, &["down", "--yes"]).ok();
    task(&first, &engine, ENTER).ok();
    assert_eq!(networks(), 1);
    is_refused(task(&second, &engine, ENTER), "docker network prune");
    assert_eq!((networks(), engine.containers().len()), (1, 1), "what could not start has left something");
    // What it advises.
    task(&second, &engine, &none).ok();
    assert_eq!(networks(), 1);
    task(&second, &engine, &["down", "--yes"]).ok();
    task(&first, &engine, &["down", "--yes"]).ok();
    assert_eq!(networks(), 0);
    task(&second, &engine, ENTER).ok();
}

/// Fills a file system until so many bytes are left, or all of it.
fn fill(dir: &Path, left: u64) -> std::path::PathBuf {
    let file = dir.join("filled");
    let script = "n=$(($(df --output=avail -B1 \"$1\" | tail -n 1) - ($3 ? $3 : 32 << 20))); fallocate -l $n \"$2\"
        if [ $3 = 0 ]; then cat /dev/zero >> \"$2\" 2>/dev/null; head -c 4096 /dev/zero > \"$2.rest\" 2>/dev/null; rm -f \"$2.rest\"; fi; true";
    let (dir, name) = (dir.display().to_string(), file.display().to_string());
    proc::output("bash", ["-c", script, "bash", &dir, &name, &left.to_string()]);
    file
}

#[test]
fn an_engine_whose_disk_is_full_is_told_and_works_once_there_is_room() {
    let place = Place::new();
    // Sparse: what is filled there takes nothing of this machine's own disk.
    let (disk, file) = (place.mkdir("disk"), place.path("disk.img").display().to_string());
    proc::output("truncate", ["--size", "12G", &file]);
    proc::output(proc::find("mkfs.ext4"), ["-q", "-F", "-m", "0", &file]);
    let _mounted = Mounted::image(&file, &disk);
    let engine = SecondEngine::with(&place, &[], disk.join("root"), "10.213.0.0/16");
    let sandbox = sandbox();
    let filled = fill(&disk, 0);
    is_refused(task(&sandbox, &engine, ENTER), "docker system df");
    assert_eq!(engine.containers(), Vec::<String>::new());
    fs::remove_file(&filled).expect("the filling");
    task(&sandbox, &engine, ENTER).ok();
    task(&sandbox, &engine, &["down", "--yes"]).ok();
    // A build is refused before it begins where there is too little room, and told where the disk is full in the midst of it.
    let dockerfile = short_dockerfile(&place);
    let image = |line: &str| {
        place.write("repo/docker/Dockerfile", format!("{dockerfile}\n{line}\n"));
        Xtask::at(&place).args(["image", "--cpu"]).with_network().env("DOCKER_HOST", &engine.host).within(400).run()
    };
    let filled = fill(&disk, 1 << 30);
    is_refused(image("RUN true"), "docker system df");
    fs::remove_file(&filled).expect("the filling");
    let waits = proc::endless();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let waiting = || proc::outcome(proc::find("pgrep"), ["--full", &format!("^{waits}")]);
            let pid = proc::wait_for("the build", 300, || Some(waiting()).filter(|said| said.0 == 0)).1;
            fill(&disk, 0);
            proc::outcome("kill", [pid.trim()]);
        });
        is_refused(image(&format!("RUN {waits} || head -c 100M /dev/zero > /fills")), "docker system df");
    });
    fs::remove_file(&filled).expect("the filling");
    image("RUN true").ok();
}
