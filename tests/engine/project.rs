//! The project that a sandbox is for: its example, a worktree, the Compose file by hand, and secrets of the environment.

use crate::support::codex;
use crate::support::place::repository;
use crate::support::proc;
use crate::support::sandbox::Sandbox;
use std::fs;
use std::path::Path;

#[test]
fn the_example_of_the_default_project_runs_on_the_data_set() {
    let sandbox = Sandbox::new();
    let example = repository().join("workspace/example.py");
    fs::copy(example, sandbox.workspace().join("example.py")).expect("the example");
    // In a shell: Codex asks the model again when a command takes longer than it likes to wait.
    let run = sandbox.task("sandbox").args(["--yes", "--shell"]);
    let run = run.stdin("python3 /workspace/example.py --clips 3 --frames 4\n").run().ok();
    let said = run.stdout;
    assert!(said.contains("device: cpu"), "{said}");
    // Frames 0, 8, 15 and 23 of 24, and 0, 16, 31 and 47 of 48: frame N has the brightness 255 / 219 * 4 N, and
    // scaling the frames takes up to 2 from it.
    for (clip, brightness) in [("1", 53.6), ("2", 53.6), ("3", 109.5)] {
        let before = format!("{clip}.webm: 4 frames, mean brightness ");
        let seen = said.split_once(&before).and_then(|(_, rest)| rest.split_once(','));
        let seen = seen.and_then(|(number, _)| number.parse::<f64>().ok());
        let near = seen.is_some_and(|seen| (brightness - 2.0..=brightness).contains(&seen));
        assert!(near, "`{before}{brightness}` is not in:\n{said}");
    }
}

#[test]
fn a_commit_made_in_a_linked_worktree_is_taken_to_its_branch() {
    let sandbox = Sandbox::new();
    let identity = "[user]\nname = Ada\nemail = ada@example.com\n";
    sandbox.place.write("home/.gitconfig", identity);
    let main = sandbox.place.mkdir("main");
    let git = |args: &[&str]| {
        let home = format!("HOME={}", sandbox.place.path("home").display());
        let main = main.display().to_string();
        let words = ["-i", &home, "PATH=/usr/local/bin:/usr/bin:/bin", "git", "-C", &main];
        proc::output("env", words.iter().chain(args))
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["commit", "-q", "--allow-empty", "-m", "from the host"]);
    fs::remove_dir(sandbox.workspace()).expect("the empty project");
    let workspace = sandbox.workspace().display().to_string();
    git(&["worktree", "add", "-q", "-b", "topic", &workspace]);

    let said =
        sandbox.codex_runs("cd /workspace && echo x >new && git add new && git commit -q -m inside && git status -sb");
    assert!(said.contains("## topic"), "{said}");
    assert_eq!(git(&["log", "--format=%s", "topic"]), "from the host\n", "the branch moved by itself");
    let listed = sandbox.task("commits").run().ok();
    assert!(listed.stdout.contains("inside"), "{}{}", listed.stdout, listed.stderr);
    sandbox.task("commits").args(["--take"]).run().ok();
    assert_eq!(git(&["log", "--format=%an:%s", "topic"]), "Ada:inside\nAda:from the host\n");
    assert_eq!(git(&["log", "--format=%s", "main"]), "from the host\n");
}

/// Runs Compose by hand on the committed file alone, with these lines of a shell before it.
fn compose(sandbox: &Sandbox, before: &str, args: &str) -> (i32, String, String) {
    let file = sandbox.place.path("repo/docker/docker-compose.yaml");
    let name = sandbox.place.dir().file_name().expect("a name").to_string_lossy().to_lowercase();
    let docker = proc::find("docker");
    let script = format!("set -e\n{before}\n'{}' compose -p '{name}' -f '{}' {args}", docker.display(), file.display());
    proc::outcome("env", ["-i", "PATH=/usr/bin:/bin", "bash", "-c", &script])
}

#[test]
fn the_compose_file_works_by_hand_with_the_exports_that_a_dry_run_prints() {
    let sandbox = Sandbox::new();
    // The directories that are mounted were filled when the sandbox was entered; `down` keeps them.
    sandbox.enter(["--version"]).ok();
    sandbox.task("down").run().ok();
    let plan = sandbox.task("sandbox").args(["--yes", "--dry-run"]).run().ok().stdout;
    let exports: Vec<&str> = plan.lines().filter(|line| line.starts_with("export ")).collect();
    assert_eq!(exports.len(), 8, "{plan}");

    for left_out in &exports {
        let name = left_out.trim_start_matches("export ").split('=').next().expect("a name");
        let others: Vec<&str> = exports.iter().filter(|line| *line != left_out).copied().collect();
        let (code, _, stderr) = compose(&sandbox, &others.join("\n"), "up -d");
        assert_ne!(code, 0, "it starts without {name}");
        assert!(stderr.contains(name), "{name} is not named: {stderr}");
    }
    let exports = exports.join("\n");
    let up = compose(&sandbox, &exports, "up -d");
    let version = compose(&sandbox, &exports, "exec -T workspace codex --version");
    let write = compose(&sandbox, &exports, "exec -T workspace touch /datasets/ssv2/new");
    let down = compose(&sandbox, &exports, "down");
    assert_eq!((up.0, down.0), (0, 0), "{up:?} {down:?}");
    assert_eq!(version.1, format!("codex-cli {}\n", codex::VERSION), "{version:?}");
    assert!(write.2.contains("Read-only file system"), "{write:?}");
}

/// Every file below a directory that has a text in it.
fn files_with(dir: &Path, text: &str) -> String {
    let (_, found, _) = proc::outcome("grep", ["-rlaF".as_ref(), text.as_ref(), dir.as_os_str()]);
    found
}

#[test]
fn the_value_of_an_allowed_variable_reaches_codex_and_is_written_down_nowhere() {
    const MARKER: &str = "value-4b1de0c7a9";
    let sandbox = Sandbox::new();
    let settings = sandbox.place.read("repo/sandbox.local.yaml");
    let settings = settings.replace("env: [", "env: [RUN_GROUP, ");
    sandbox.place.write("repo/sandbox.local.yaml", &settings);
    let arguments = sandbox.place.write("arguments", "");
    let real = proc::find("docker");
    let script = "#!/bin/sh\nprintf '%s\\n' \"$@\" >>'LOG'\nexec 'REAL' \"$@\"\n";
    let script = script.replace("LOG", &arguments.display().to_string());
    sandbox.place.program("docker", script.replace("REAL", &real.display().to_string()));
    let run = |args: &[&str]| {
        let run = sandbox.task("sandbox").env("RUN_GROUP", MARKER).args(args.iter().copied());
        let run = run.run().ok();
        assert!(!format!("{}{}", run.stdout, run.stderr).contains(MARKER), "{args:?} prints it");
        run
    };
    run(&["--yes", "--dry-run"]);
    // The length says that it is there, and the value is in no command line, those of the container included.
    // The pattern is handed over as a file: as an argument of `grep` it would sometimes find itself.
    let look = "RUN: echo length ${#RUN_GROUP}; \
                cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -cFf <(printf '%s\\n' \"$RUN_GROUP\")";
    let said = run(&["--yes", "--", "exec", "--skip-git-repo-check", look]).stdout;
    assert!(said.contains(&format!("length {}\n0\n", MARKER.len())), "{said}");

    let inspect = proc::output(&real, ["inspect", &sandbox.containers()[0]]);
    assert!(!inspect.contains(MARKER), "it is in the container's configuration");
    assert!(sandbox.place.read("arguments").contains("RUN_GROUP"), "it did not pass by name");
    assert_eq!(files_with(sandbox.place.dir(), MARKER), "");
}
