//! What an agent plants in the Codex home for the next session to obey, by a sandbox that is entered again.

use crate::support::engine;
use crate::support::sandbox::Sandbox;
use std::fs;
use std::path::PathBuf;

/// Everything that Codex obeys, in odd shapes too.
const PLANT: &str = r#"cd ~/.codex
for dir in skills/evil skills/a/b/c skills/.system/evil .agents/skills/evil memories prompts hooks rules agents \
    plugins/cache/m/p/1 .tmp/plugins/evil .tmp/marketplaces/evil tmp/arg0-linux/evil packages/standalone/evil \
    app-server-daemon/evil brought-along/evil unheard-of/evil; do
    mkdir -p "$dir"; printf 'planted' >"$dir/SKILL.md"
done
for file in AGENTS.md AGENTS.override.md evil.config.toml .env environments.toml hooks.json models_cache.json \
    requirements.toml memories/MEMORY.md prompts/evil.md rules/evil.rules agents/evil.toml memories_1.sqlite goals_1.sqlite; do
    printf 'planted' >"$file"
done
printf '\n[mcp_servers.planted]\ncommand = "sh"\n' >>config.toml
for skill in skills/.system/*/SKILL.md; do printf 'planted' >>"$skill"; done
ln -s /workspace skills/link
ln -s ../AGENTS.md skills/link.md
ln history.jsonl skills/hard 2>/dev/null || true
mkfifo skills/pipe installation_id.pipe
mkdir -p "$(printf 'skills/odd\377')"
rm -rf history.jsonl; mkdir -p history.jsonl/deep
rm -rf log; ln -s /workspace log
chmod 0 memories
"#;

impl Sandbox {
    fn home(&self) -> PathBuf {
        let all = fs::read_dir(self.place.path("state/codex-sandbox/workspaces")).expect("the state folder");
        let dir = all.flatten().map(|entry| entry.path()).find(|path| path.join("codex-home").exists());
        dir.expect("a workspace").join("codex-home")
    }

    /// Everything in the home in which something planted still is, or that is no file and no directory.
    fn planted(&self) -> Vec<String> {
        let (home, mut found) = (self.home(), Vec::new());
        let mut todo = vec![home.clone()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(&dir).expect("a directory").flatten() {
                let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
                let name = path.strip_prefix(&home).expect("below the home").display().to_string();
                if kind.is_dir() {
                    todo.push(path);
                } else if !kind.is_file() || fs::read(&path).expect("a file").windows(7).any(|part| part == b"planted")
                {
                    found.push(name);
                }
            }
        }
        // What was said in a session is kept with it.
        found.retain(|name| {
            !["sessions/", "logs_", "state_", "history", "thread_history_"].iter().any(|kept| name.starts_with(kept))
        });
        found
    }
}

#[test]
fn nothing_that_was_planted_in_the_codex_home_is_there_at_the_next_entry() {
    let sandbox = Sandbox::new();
    sandbox.codex_runs("true");
    let shell = || sandbox.task("sandbox").args(["--yes", "--shell"]);
    let planted = shell().stdin(PLANT).run().ok();
    assert!(!planted.stderr.contains("removed from the Codex home"), "of what Codex made itself: {}", planted.stderr);
    assert!(sandbox.planted().len() > 30, "{:?}", sandbox.planted());
    // Into the same container, where nothing was left running.
    let container = sandbox.containers();
    let again = shell().stdin("ls -A ~/.codex ~/.codex/skills 2>&1; true\n").run().ok();
    assert_eq!(sandbox.containers(), container, "it was not a warm entry");
    assert_eq!(sandbox.planted(), Vec::<String>::new());
    for name in ["evil", "memories", "unheard-of", ".env", "hooks.json", "link"] {
        assert!(!again.stdout.lines().any(|line| line == name), "{name}: {}", again.stdout);
    }
    assert!(again.stderr.contains("removed from the Codex home of the sandbox: `"), "{}", again.stderr);
    // Codex is as it was: its sessions, its own skills, its model.
    let resumed = sandbox.enter(["exec", "resume", "--last", "--skip-git-repo-check", "SAY: resumed"]).ok();
    assert!(resumed.stdout.contains("resumed"), "{}{}", resumed.stdout, resumed.stderr);
    assert!(sandbox.home().join("skills/.system").is_dir(), "Codex did not write its skills again");
    assert_eq!(sandbox.planted(), Vec::<String>::new());
    // And by a new container, when the old one was killed.
    shell().stdin(PLANT).run().ok();
    engine::docker(["kill", &sandbox.containers()[0]]);
    shell().stdin("true\n").run().ok();
    assert_eq!(sandbox.planted(), Vec::<String>::new());
}

#[test]
fn beside_what_was_left_running_the_home_stays_as_it_is_and_that_is_said() {
    let sandbox = Sandbox::new();
    let shell = || sandbox.task("sandbox").args(["--yes", "--shell"]);
    let plant = "echo planted >~/.codex/AGENTS.md; setsid sleep 4321 </dev/null >/dev/null 2>&1 &\n";
    shell().stdin(plant).run().ok();
    let run = shell().stdin("true\n").run().ok();
    assert!(run.stderr.contains("warning: the Codex home of the sandbox stays as it is"), "{}", run.stderr);
    assert_eq!(sandbox.planted(), ["AGENTS.md"]);
    let run = shell().args(["--leftovers", "end"]).stdin("true\n").run().ok();
    assert!(!run.stderr.contains("the Codex home of the sandbox stays"), "{}", run.stderr);
    assert_eq!(sandbox.planted(), Vec::<String>::new());
}

#[test]
fn memories_are_kept_only_by_the_setting() {
    let sandbox = Sandbox::new();
    let own = sandbox.place.read("repo/sandbox.local.yaml");
    let shell = |stdin| sandbox.task("sandbox").args(["--yes", "--shell"]).stdin(stdin).run().ok().stdout;
    let write = "mkdir -p ~/.codex/memories; echo remembered >~/.codex/memories/MEMORY.md\n";
    let look = "cat ~/.codex/memories/MEMORY.md 2>&1; true\n";
    sandbox.place.write("repo/sandbox.local.yaml", format!("{own}memories: keep\n"));
    shell(write);
    let container = sandbox.containers();
    assert_eq!(shell(look), "remembered\n");
    sandbox.place.write("repo/sandbox.local.yaml", own);
    assert!(!shell(look).contains("remembered"));
    assert_eq!(sandbox.containers(), container, "a container was recreated for a setting of the host's side");
}

#[test]
fn where_nothing_goes_in_no_skill_can_be_made_beside_the_home() {
    let sandbox = Sandbox::new();
    let shell = |stdin| sandbox.task("sandbox").args(["--codex-home", "none", "--yes", "--shell"]).stdin(stdin).run();
    shell("mkdir -p ~/.codex/skills/evil\n").ok();
    let said = shell("mkdir ~/.agents/skills 2>&1; ls -A ~/.agents ~/.codex/skills 2>&1\n");
    assert!(said.stdout.contains("Read-only file system") && !said.stdout.contains("evil"), "{}", said.stdout);
    assert!(sandbox.proof().with("held").iter().any(|id| id == "agents.read-only"));
}
