//! What Codex can and cannot do inside, as Codex itself does it, and what the host sees of it.

use crate::support::place::repository;
use crate::support::proc;
use crate::support::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

#[test]
fn codex_cannot_write_to_the_data_set() {
    let sandbox = Sandbox::new();
    let before = listing(&sandbox);
    let said = sandbox.codex_runs("touch /datasets/ssv2/new; rm /datasets/ssv2/1.webm; echo x >>/datasets/ssv2/2.webm");
    assert_eq!(said.matches("Read-only file system").count(), 3, "{said}");
    assert_eq!(listing(&sandbox), before);
}

fn listing(sandbox: &Sandbox) -> String {
    let dir = sandbox.dataset().display().to_string();
    proc::output("sh", ["-c", "cd \"$1\" && sha256sum *", "sh", &dir])
}

#[test]
fn what_codex_writes_in_the_workspace_belongs_to_the_host_user() {
    let sandbox = Sandbox::new();
    sandbox.codex_runs("echo written inside >/workspace/note.txt");
    let file = sandbox.workspace().join("note.txt");
    assert_eq!(fs::read_to_string(&file).expect("the note"), "written inside\n");
    let owner = fs::metadata(&file).expect("the note").uid();
    assert_eq!(owner, users::get_effective_uid());
}

#[test]
fn torch_is_there_and_decord_reads_the_right_frames() {
    let sandbox = Sandbox::new();
    // Frame N of a clip has the brightness 16 + 4 N in video range, which is 255 / 219 * 4 N in RGB.
    let script = "import torch, decord, timm, einops\n\
        clip = decord.VideoReader('/datasets/ssv2/1.webm')\n\
        frames = torch.from_numpy(clip.get_batch([0, 7, 23]).asnumpy())\n\
        seen = [f.float().mean().item() for f in frames]\n\
        right = all(abs(a - 4 * n * 255 / 219) < 2 for a, n in zip(seen, [0, 7, 23]))\n\
        print('frames', len(clip), list(frames.shape), 'right' if right else seen)\n";
    fs::write(sandbox.workspace().join("look.py"), script).expect("a script in the workspace");
    let said = sandbox.codex_runs("python3 /workspace/look.py");
    assert!(said.contains("frames 24 [3, 240, 320, 3] right"), "{said}");
}

#[test]
fn the_projects_example_runs_a_model_on_clips() {
    let sandbox = Sandbox::new();
    let example = repository().join("workspace/example.py");
    fs::copy(example, sandbox.workspace().join("example.py")).expect("the example");
    let said = sandbox.codex_runs("python3 /workspace/example.py --clips 2 --frames 4; echo \"ended with $?\"");
    assert!(said.contains("ended with 0"), "{said}");
    assert_eq!(said.matches(".webm: 4 frames").count(), 2, "{said}");
}

#[test]
fn models_that_have_only_code_mode_work() {
    let sandbox = Sandbox::new();
    let prompt = "JS: text(6 * 7)";
    let run = sandbox.enter(["exec", "--skip-git-repo-check", "-m", "gpt-6-sol", prompt]).ok();
    assert!(run.stdout.contains("42"), "{}\n{}", run.stdout, run.stderr);
}

#[test]
fn the_hosts_configuration_and_the_allowed_variable_reach_codex() {
    let sandbox = Sandbox::new();
    sandbox.codex_runs("true");
    let requests = sandbox.model.requests();
    let asked = requests.iter().filter(|r| r["path"] == "/v1/responses");
    assert!(asked.clone().count() >= 2, "{requests:?}");
    assert!(asked.into_iter().all(|r| r["auth"] == true), "a request carried no key");
}

#[test]
fn a_commit_made_inside_stays_there_until_it_is_taken() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.workspace().display().to_string();
    sandbox.place.write("home/.gitconfig", "[user]\nname = Ada\nemail = ada@example.com\n");
    let git = |args: &[&str]| {
        let home = format!("HOME={}", sandbox.place.path("home").display());
        let words = ["-i", &home, "PATH=/usr/local/bin:/usr/bin:/bin", "git", "-C", &workspace];
        proc::output("env", words.iter().chain(args))
    };
    sandbox.place.write("repo/workspace/old", "x");
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "from the host"]);
    let before = git(&["rev-parse", "main"]);

    let said = sandbox.codex_runs(
        "cd /workspace && echo x >new && git add new && git commit -q -m inside && git log --format=%an:%s",
    );
    assert!(said.contains("Ada:inside\nAda:from the host"), "{said}");
    assert_eq!(git(&["rev-parse", "main"]), before, "the host's branch moved by itself");

    let listed = sandbox.task("commits").run().ok();
    assert!(listed.stdout.contains("inside"), "{}{}", listed.stdout, listed.stderr);
    sandbox.task("commits").args(["--take"]).run().ok();
    assert_eq!(git(&["log", "--format=%an:%s", "main"]), "Ada:inside\nAda:from the host\n");
}
