//! What people see: colours and lines that fit on a terminal, and the bare text everywhere else.

use crate::fake_engine::{empty, ready, sandbox};
use crate::support::docker::{Calls, FakeDocker};
use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::Xtask;
use serde_json::{Value, json};
use snapbox::str;

/// Runs it in a terminal of so many columns and returns what the terminal got, without its carriage returns.
#[track_caller]
fn on_terminal(run: &Xtask, columns: usize) -> String {
    let words: Vec<String> = run.words().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let line = format!("stty cols {columns} rows 30; {}", shell_words::join(&words));
    // `script` gives the command a terminal and ends with the command's own exit code.
    let (_, said, _) = proc::outcome("script", ["--quiet", "--return", "--command", &line, "/dev/null"]);
    said.replace('\r', "")
}

fn misspelt(place: &Place) -> Xtask<'_> {
    Xtask::at(place).args(["sandbox", "--yes", "--network", "opn"])
}

const PLAIN: &str = "error: `--network opn` is none of `open`, `none`\nhint: did you mean `open`?\n";
const COLOURED: &str =
    "\x1b[1;31merror:\x1b[0m `--network opn` is none of `open`, `none`\n\x1b[1;36mhint:\x1b[0m did you mean `open`?\n";

#[test]
fn colours_are_on_terminals_only_and_can_be_had_or_refused() {
    let place = Place::new();
    let run = || misspelt(&place);
    assert_eq!(run().run().ended(2).stderr, PLAIN);
    assert_eq!(on_terminal(&run().env("TERM", "xterm"), 80), COLOURED);
    assert_eq!(on_terminal(&run().env("TERM", "xterm").env("NO_COLOR", "1"), 80), PLAIN);
    assert_eq!(on_terminal(&run().env("TERM", "xterm").env("CARGO_TERM_COLOR", "never"), 80), PLAIN);
    assert_eq!(on_terminal(&run().env("TERM", "dumb"), 80), PLAIN);
    assert_eq!(run().env("CARGO_TERM_COLOR", "always").run().ended(2).stderr, COLOURED);
}

/// What the container of a place is made to be, by the label in the plan of a dry run in another one, for these GPUs.
fn spec(of: &Place, gpus: &str) -> Value {
    let place = ready();
    empty(FakeDocker::new()).install(&place);
    let plan = sandbox(&place, &["--gpus", "none", "--dry-run"]).run().ok().stdout;
    let file = plan.split("<<'END'\n").nth(1).and_then(|rest| rest.split("\nEND\n").next());
    let file: Value = serde_yaml::from_str(file.expect("the override")).expect("YAML");
    let label = file["services"]["workspace"]["labels"]["codex-sandbox.spec"].as_str().expect("the label");
    let mut spec: Value = serde_json::from_str(&label.replace("$$", "$")).expect("JSON");
    spec["shape"]["gpus"] = gpus.into();
    spec["codex_version"] = "0.169.0".into();
    let mounts = spec["mounts"].as_array_mut().expect("its mounts");
    let workspace = mounts.iter_mut().find(|mount| mount["role"] == "workspace").expect("its workspace");
    workspace["source"] = of.root().join("workspace").display().to_string().into();
    spec
}

/// An engine in which a sandbox runs.
fn running(place: &Place, gpus: &str) -> Calls {
    let spec = spec(place, gpus).to_string();
    let home = "/home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d/codex-home";
    let inspect = json!([{
        "Id": "c0ffee", "Image": "sha256:0123",
        "State": {"Running": true, "Pid": 1, "StartedAt": "2026-01-01T00:00:00.123456789Z"},
        "Config": {"Image": "codex-sandbox:0123456789ab-u1000", "Labels": {"codex-sandbox.spec": spec}},
        "Mounts": [
            {"Type": "bind", "Destination": "/workspace", "Source": "/home/me/project", "RW": true},
            {"Type": "bind", "Destination": "/home/codex/.codex", "Source": home, "RW": true},
            {"Type": "bind", "Destination": "/datasets/ssv2", "Source": "/data/ssv2", "RW": false},
        ],
    }]);
    // The container's own is its init. A process may take that one's name, or the name of one of this tool's own queries.
    let top = "PID PPID ELAPSED COMMAND\n1 0 90 /sandbox/bin/python3 -I -S /sandbox/init.py\n\
               9 0 60 /bin/df --block-size=1 --output=used,size /dev/shm\n40 1 50 x\u{1b}[2J -- sleep infinity\n\
               41 1 40 sleep infinity\n42 1 40 /sandbox/bin/python3 -I -S /sandbox/init.py\n";
    let uid = users::get_effective_uid();
    let volumes = format!("codex-sandbox-cache-pip-open-u{uid}\t{uid}\nprecious\t\n");
    FakeDocker::new()
        .answer("container inspect *", 0, &inspect.to_string(), "")
        .answer("volume ls *", 0, &volumes, "")
        .answer("container ls *", 0, &format!("other,codex-sandbox-cache-pip-open-u{uid}\n"), "")
        .answer("network ls *", 0, "", "")
        .answer("top c0ffee *", 0, top, "")
        .answer("exec --user * /bin/df *", 0, "  Used  1B-blocks\n1048576 34359738368\n", "")
        .answer("exec --user * nvidia-smi *", 0, "0, NVIDIA GeForce RTX 5090, 37, 10240, 32607\n", "")
        .install(place)
}

#[test]
fn the_status_is_one_screen_with_all_that_runs() {
    let place = Place::new();
    running(&place, "all");
    Xtask::at(&place).args(["status"]).run().success(
        str![[r#"
container     codex-sandbox-workspace-[..]-workspace-1
state         running for [..]
image         codex-sandbox:0123456789ab-u1000
codex         0.169.0
network       open
gpus          all
              0 NVIDIA GeForce RTX 5090: 37 % busy, 10240 of 32607 MiB used
shm           1.0 MiB of 32.0 GiB used
memory        at most [..]
...
mounts        read-only  /datasets/ssv2     <- /data/ssv2
              writable   /home/codex/.codex <- /home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d/codex-home
              writable   /workspace         <- /home/me/project
sessions      none
leftovers     pid 9 since [..]Z: /bin/df --block-size=1 --output=used,size /dev/shm
              pid 40 since [..]Z: x/u{1b}[2J -- sleep infinity
              pid 41 since [..]Z: sleep infinity
              pid 42 since [..]Z: /sandbox/bin/python3 -I -S /sandbox/init.py
caches        codex-sandbox-cache-pip-open-u[..]
state folder  [PLACE]/state/codex-sandbox/workspaces/workspace-[..]

"#]],
        "",
    );
    let json = Xtask::at(&place).args(["status", "--json"]).run().ok().stdout;
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(report["shm"], json!({"used": 1 << 20, "size": 32u64 << 30}));
    assert_eq!(report["gpus"][0]["percent"], 37);
    assert_eq!(report["sessions"], json!([]));
    let pids = report["leftovers"].as_array().expect("a list").iter().map(|process| process["pid"].clone());
    assert_eq!(pids.collect::<Vec<_>>(), [9, 40, 41, 42]);
    assert!(report["uptime_s"].as_u64().is_some_and(|seconds| seconds > 0), "{report}");
}

#[test]
fn the_status_fits_a_narrow_terminal() {
    let place = Place::new();
    running(&place, "all");
    let run = Xtask::at(&place).args(["status"]).env("TERM", "xterm");
    let screen = on_terminal(&run, 80);
    assert!(screen.contains("/datasets/ssv2     <- /data/ssv2\n"), "{screen}");
    let long = screen.lines().find(|line| line.chars().count() > 80);
    assert_eq!(long, None, "{screen}");
    assert!(screen.contains("…"), "a long path lost its middle: {screen}");
}

#[test]
fn a_container_that_does_not_answer_is_still_shown() {
    let place = Place::new();
    running(&place, "all");
    let script = place.read("bin/docker").replace("case \"$*\" in\n", "case \"$*\" in\nexec*) sleep 6000;;\n");
    place.program("docker", script);
    // Both questions would hang for 6,000 s.
    let run = Xtask::at(&place).args(["status"]).run().ok();
    assert!(run.stdout.contains("running for") && !run.stdout.contains("shm "), "{}", run.stdout);
}

#[test]
fn a_sandbox_without_gpus_is_not_asked_for_them() {
    let place = Place::new();
    let calls = running(&place, "none");
    let run = Xtask::at(&place).args(["status"]).run().ok();
    assert!(run.stdout.contains("gpus          none\n") && !run.stdout.contains("RTX"), "{}", run.stdout);
    assert_eq!(calls.of(&["exec", "--user"]).len(), 1, "{:?}", calls.lines());
}

#[test]
fn caches_are_removed_after_they_were_named_and_only_they() {
    let place = Place::new();
    let calls = running(&place, "none");
    // No terminal: nothing can be asked, so nothing is removed.
    Xtask::at(&place).args(["down", "--caches"]).run().exactly(
        2,
        "",
        str![[r#"
error: `down --all` and `down --caches` ask before they remove, and there is no terminal
hint: add `--yes`

"#]],
    );
    assert_eq!(calls.of(&["volume", "rm"]).len() + calls.of(&["container", "rm"]).len(), 0);
    let plan = Xtask::at(&place).args(["down", "--caches", "--dry-run"]).run().ok().stdout;
    let uid = users::get_effective_uid();
    let remove = format!("docker volume rm --force codex-sandbox-cache-pip-open-u{uid}\n");
    assert!(plan.contains(&remove) && !plan.contains("precious"), "{plan}");
    let plan = Xtask::at(&place).args(["down", "--all", "--dry-run"]).run().ok().stdout;
    assert!(!plan.contains("docker volume"), "{plan}");
}
