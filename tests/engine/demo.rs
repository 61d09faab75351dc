//! The demo as a newcomer runs it, on a machine that has only an engine: twice, and then removed.

use crate::support::engine;
use crate::support::place::{Place, User, repository};
use crate::support::proc;
use crate::support::run::{Run, Xtask};
use crate::support::sandbox::{self, Sandbox};
use crate::support::terminal::Terminal;
use snapbox::{Assert, Data};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

const NEWCOMER: User = User { uid: 1000, gid: 1000 };

/// As on a machine without a GPU, also where there is one: NVIDIA's image is 20 GB to pull.
const RUN: &[&str] = &["--yes", "--cpu"];

fn demo<'a>(place: &'a Place, flags: &[&str]) -> Xtask<'a> {
    let run = Xtask::at(place).args(["demo"]).args(flags.iter().copied());
    run.groups(&[engine::socket_group()]).with_network().within(400)
}

/// Both streams, one after the other: they are two, and may overtake each other. What differs between two runs or two
/// machines is replaced: ids, times, the place.
fn redacted(run: &Run, place: &Place) -> String {
    let text = format!("{}\n--- standard output:\n{}", run.stderr, run.stdout);
    let text = text.replace(&place.dir().display().to_string(), "[PLACE]");
    let line = |line: &str| match line.split_once(": ") {
        Some(("session id", _)) => "session id: [ID]".to_owned(),
        Some(("demo", rest)) if rest.ends_with(" s") => "demo: [TIME] s".to_owned(),
        // Which security module there is depends on the host.
        _ if line.starts_with("held  user.lsm ") => "held  user.lsm                 [SECURITY MODULE]".to_owned(),
        _ => match line.rsplit_once(" in ") {
            Some((what, took)) if took.ends_with("s:") => format!("{what} in [TIME]:"),
            _ => ids(line),
        },
    };
    // Other tests write to the same file system meanwhile.
    let others = |line: &&str| !line.starts_with("warning: the file system of `");
    text.lines().filter(others).map(|text| line(text) + "\n").collect()
}

/// The text with every word replaced that has the length and the letters of an id, a nonce or a fingerprint.
fn ids(text: &str) -> String {
    let mut out = String::new();
    for part in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let hex = [8, 12, 24, 64].contains(&word.len())
            && word.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        out += if hex { "[ID]" } else { word };
        out += &part[word.len()..];
    }
    out
}

/// The name of the demo's container.
fn container(place: &Place) -> Option<String> {
    let ids = sandbox::containers_of(&place.path("home/.cache/codex-sandbox-demo/project"));
    let name = |id: &String| engine::docker(["inspect", "--format", "{{.Name}}", id]);
    ids.first().map(|id| name(id).trim().trim_start_matches('/').to_owned())
}

fn network_of(container: &str) -> String {
    container.replace("-workspace-1", "_default")
}

/// Removes the container where a test fails before it has done so itself.
struct Removed<'a>(&'a Place);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        if let Some(name) = container(self.0) {
            proc::outcome(proc::find("docker"), ["rm", "--force", &name]);
            proc::outcome(proc::find("docker"), ["network", "rm", &network_of(&name)]);
        }
    }
}

#[test]
fn a_newcomer_sees_the_whole_main_path_and_gets_rid_of_it_again() {
    engine::image(Some(NEWCOMER));
    let place = Place::of(NEWCOMER);
    place.give();
    let _removed = Removed(&place);
    let project = place.path("home/.cache/codex-sandbox-demo/project");

    let first = demo(&place, RUN).run().ok();
    assert_eq!(first.stderr.matches("STAND-IN").count(), 4, "{}", first.stderr);
    let written = fs::metadata(project.join("from-codex.txt")).expect("what Codex wrote");
    assert_eq!((written.uid(), written.gid()), (NEWCOMER.uid, NEWCOMER.gid));

    let second = demo(&place, RUN).run().ok();
    let transcript = redacted(&second, &place);
    for act in [
        "uid=1000(",
        "20bn-something-something-v2/4.webm\n",
        "touch: cannot touch '/datasets/ssv2/mine': Read-only file system\n",
        "/1.webm 48 frames of (240, 320, 3)\n",
        "1000:1000 /workspace/from-codex.txt\n",
    ] {
        assert!(transcript.contains(act), "`{act}` is not in\n{transcript}");
    }
    let file = repository().join("docs/demo-transcript.txt");
    Assert::new().action_env("SNAPSHOTS").eq(transcript, Data::read_from(&file, None).raw());

    let name = container(&place).expect("the sandbox");
    let kinds = engine::docker(["inspect", "--format", "{{range .Mounts}}{{.Type}} {{end}}", &name]);
    assert!(!kinds.contains("volume"), "a volume would stay behind: {kinds}");
    demo(&place, &["--clean"]).run().ok();
    assert_eq!(container(&place), None);
    let networks = engine::docker(["network", "ls", "--format", "{{.Name}}"]);
    assert!(!networks.contains(&network_of(&name)), "{networks}");
    for (name, left) in
        [("home", "home\nhome/.cache"), ("state", "state"), ("repo/target", "repo/target\nrepo/target/sandbox")]
    {
        let dir = place.dir().display().to_string();
        let found = proc::output("find", [&format!("{dir}/{name}")]).replace(&format!("{dir}/"), "");
        let mut found: Vec<&str> = found.lines().collect();
        found.sort_unstable();
        assert_eq!(found.join("\n"), left);
    }
}

#[test]
fn with_a_login_and_a_terminal_the_user_s_own_codex_is_entered() {
    let sandbox = Sandbox::new();
    let _removed = Removed(&sandbox.place);
    // This login works nowhere: the host's configuration leads to the stand-in for the model.
    sandbox.place.write("home/.codex/auth.json", r#"{"OPENAI_API_KEY": "sk-none"}"#);
    let terminal = Terminal::open(&sandbox.place, sandbox.task_without_data("demo"));
    terminal.shows("Enter Codex? [Y/n]", 180);
    assert!(!terminal.screen().contains("SCRIPTED"), "{}", terminal.screen());
    terminal.press("Enter");
    terminal.shows("fake-model", 60);
    terminal.types("SAY: my-own-model");
    terminal.shows("SAY: my-own", 20);
    terminal.press("Enter");
    terminal.shows("• my-own-model", 30);
    terminal.types("/quit");
    terminal.shows("› /quit", 20);
    terminal.press("Enter");
    assert_eq!(terminal.ended(30), 0);
    terminal.shows("cargo xtask demo --clean", 5);
    Xtask::at(&sandbox.place).args(["demo", "--clean"]).run().ok();
    assert_eq!(container(&sandbox.place), None);
    assert!(sandbox.place.path("home/.codex/auth.json").exists());
}
