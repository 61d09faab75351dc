use super::*;
use std::os::unix::fs::symlink;

fn paths(items: &[Item]) -> Vec<String> {
    items.iter().map(|item| item.path.display().to_string()).collect()
}

fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn configuration_goes_in_and_state_does_not() {
    let temp = tempfile::tempdir().unwrap();
    let (home, agents) = (temp.path().join(".codex"), temp.path().join(".agents"));
    for name in [
        ".env",
        "environments.toml",
        "auth.json",
        ".credentials.json",
        "sessions/a.jsonl",
        "state_5.sqlite",
        "packages/x/bin/codex",
        "tmp/arg0/git",
        "skills/.system/s/SKILL.md",
        "plugins/data/x",
    ] {
        put(&home, name, "no");
    }
    put(temp.path(), "dotfiles/config.toml", "model = \"m\"\n");
    symlink("../dotfiles/config.toml", home.join("config.toml")).unwrap();
    put(&home, "work.config.toml", "model_instructions_file = \"words.md\"\n");
    put(&home, "words.md", "w");
    put(&home, "AGENTS.md", "a");
    put(&home, "rules/default.rules", "r");
    put(&home, "agents/x.toml", "name = \"x\"\nnotify = [\"n\"]\n");
    put(&home, "plugins/cache/m/p/1/.mcp.json", "{}");
    put(&home, "skills/s/run.sh", "#!/bin/sh\n");
    fs::set_permissions(home.join("skills/s/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    put(temp.path(), "dotfiles/skills/t/SKILL.md", "t");
    symlink("../../dotfiles/skills/t", home.join("skills/t")).unwrap();
    put(&agents, "skills/u/SKILL.md", "u");

    let mirror = read(&home, &agents, ConfigSecrets::Pass, &Exposed::nothing()).unwrap();
    assert_eq!(
        paths(&mirror.files),
        [
            "AGENTS.md",
            "agents/x.toml",
            "brought-along/1-words.md",
            "config.toml",
            "plugins/cache/m/p/1/.mcp.json",
            "rules/default.rules",
            "skills/s/run.sh",
            "skills/t/SKILL.md",
            "work.config.toml",
        ]
    );
    assert_eq!(paths(&mirror.agents), ["skills/u/SKILL.md"]);
    let executable: Vec<bool> = mirror.files.iter().map(|file| file.executable).collect();
    assert_eq!(executable.iter().filter(|x| **x).count(), 1);
    assert_eq!(mirror.notes.len(), 2, "{:?}", mirror.notes);
}

#[test]
fn nothing_at_all_is_fine() {
    let none = Path::new("/nowhere/.codex");
    assert_eq!(read(none, none, ConfigSecrets::Pass, &Exposed::nothing()).unwrap(), Mirror::default());
}

#[test]
fn links_to_nowhere_circles_and_pipes_are_left_out_with_a_note() {
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path().join(".codex");
    put(&home, "skills/s/SKILL.md", "s");
    put(&home, "skills/s/.git/config", "g");
    symlink("/nowhere", home.join("AGENTS.md")).unwrap();
    symlink("..", home.join("skills/s/up")).unwrap();
    symlink(temp.path(), home.join("skills/everything")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        home.join("skills/s/fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let mirror = read(&home, &temp.path().join(".agents"), ConfigSecrets::Pass, &Exposed::nothing()).unwrap();
    assert_eq!(paths(&mirror.files), ["skills/s/SKILL.md"]);
    let mut notes: Vec<String> =
        mirror.notes.iter().map(|note| note.to_string().replace(&home.display().to_string(), "")).collect();
    notes.sort();
    assert_eq!(
        notes,
        [
            "/AGENTS.md: left out, a symlink that leads nowhere",
            "/skills/everything: left out, a symlink that leads to a directory above, or a tree without end",
            "/skills/s/.git: left out, the history of a repository is no configuration",
            "/skills/s/fifo: left out, neither a file nor a directory",
            "/skills/s/up: left out, a symlink that leads to a directory above, or a tree without end",
        ]
    );
}

#[test]
fn what_is_too_much_is_told() {
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path().join(".codex");
    put(&home, "skills/big/model.bin", "");
    let file = fs::File::options().write(true).open(home.join("skills/big/model.bin")).unwrap();
    file.set_len(MOST_BYTES + 1).unwrap();
    put(&home, "skills/small/SKILL.md", "s");
    let mirror = read(&home, &temp.path().join(".agents"), ConfigSecrets::Pass, &Exposed::nothing()).unwrap();
    assert_eq!(paths(&mirror.files), ["skills/small/SKILL.md"]);
    assert_eq!((mirror.notes.len(), mirror.over.len()), (0, 1));
    assert!(mirror.over[0].starts_with(&format!("{}: left out, a sandbox takes", home.display())), "{:?}", mirror.over);
    for name in 0..NAMED + 2 {
        let file = fs::File::create(home.join(format!("skills/{name:02}\n"))).unwrap();
        file.set_len(MOST_BYTES).unwrap();
    }
    let over = read(&home, Path::new("/nope"), ConfigSecrets::Pass, &Exposed::nothing()).unwrap().over.remove(0);
    assert!(over.contains(": skills/01\\n, skills/02\\n, ") && over.ends_with(" and 3 more"), "{over}");
}

/// Seen: a skill is a link into the project, and inside the agent turns it to a directory of the host.
#[test]
fn nothing_is_copied_through_a_directory_that_a_sandbox_can_write() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().canonicalize().unwrap();
    let (home, agents, state) = (dir.join(".codex"), dir.join(".agents"), dir.join("state"));
    put(&home, "skills/own/SKILL.md", "own");
    put(&dir, ".ssh/id", "key");
    put(&dir, "project/x/SKILL.md", "x");
    put(&dir, "project/x/sub/more.md", "more");
    symlink(dir.join("project/x"), home.join("skills/x")).unwrap();
    let exposed = || Exposed::read(&state, Vec::new()).unwrap();
    let all = ["skills/own/SKILL.md", "skills/x/SKILL.md", "skills/x/sub/more.md"];

    let start = exposed();
    assert_eq!(paths(&read(&home, &agents, ConfigSecrets::Pass, &start).unwrap().files), all);
    start.save(&[&start.open(&dir.join("project")).unwrap()]).unwrap();
    assert_eq!(paths(&read(&home, &agents, ConfigSecrets::Pass, &exposed()).unwrap().files), all, "it is what it was");

    // A link below it, and the link itself turned: by name, by file, and in the place of `AGENTS.md`.
    symlink(dir.join(".ssh"), dir.join("project/x/out")).unwrap();
    let err = read(&home, &agents, ConfigSecrets::Pass, &exposed()).unwrap_err().to_string();
    assert!(err.contains("skills/x/out` leads through") && err.contains("/.ssh`"), "{err}");
    fs::remove_file(dir.join("project/x/out")).unwrap();
    fs::rename(dir.join("project/x"), dir.join("project/y")).unwrap();
    symlink(dir.join(".ssh"), dir.join("project/x")).unwrap();
    let err = read(&home, &agents, ConfigSecrets::Pass, &exposed()).unwrap_err().to_string();
    assert!(err.contains("skills/x` leads through"), "{err}");
    fs::remove_file(home.join("skills/x")).unwrap();
    symlink(dir.join("project/x/id"), home.join("AGENTS.md")).unwrap();
    let err = read(&home, &agents, ConfigSecrets::Pass, &exposed()).unwrap_err().to_string();
    assert!(err.contains("AGENTS.md` leads through"), "{err}");
    fs::remove_file(home.join("AGENTS.md")).unwrap();
    symlink(dir.join("project/x/id"), home.join("config.toml")).unwrap();
    assert!(
        read(&home, &agents, ConfigSecrets::Pass, &exposed())
            .unwrap_err()
            .to_string()
            .contains("config.toml` leads through")
    );
    fs::remove_file(home.join("config.toml")).unwrap();
    symlink(dir.join("project/x"), dir.join(".agents")).unwrap();
    assert!(
        read(&home, &agents, ConfigSecrets::Pass, &exposed())
            .unwrap_err()
            .to_string()
            .contains(".agents` leads through")
    );
}

#[test]
fn secrets_are_named_wherever_they_lie_and_go_in_by_the_setting_alone() {
    let temp = tempfile::tempdir().unwrap();
    let (home, agents) = (temp.path().join("codex"), temp.path().join(".agents"));
    let secret = "v4lue-of-a-secret";
    let json = format!(r#"{{"mcpServers": {{"m": {{"command": "m", "env": {{"A": "{secret}"}}}}}}}}"#);
    for (name, text) in [
        ("config.toml", format!("model = \"m\"\n[mcp_servers.m]\ncommand = \"m\"\nenv = {{ A = \"{secret}\" }}\n")),
        ("work.config.toml", format!("model_providers.p.experimental_bearer_token = \"{secret}\"\n")),
        ("agents/role.toml", format!("mcp_servers.m.http_headers = {{ A = \"{secret}\" }}\n")),
        ("skills/s/SKILL.md", "s".to_owned()),
        ("skills/s/deep/.env.local", secret.to_owned()),
        ("hooks/.env", secret.to_owned()),
        ("plugins/cache/p/.mcp.json", json),
    ] {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir_all(agents.join("skills/t")).unwrap();
    fs::write(agents.join("skills/t/.env"), secret).unwrap();
    let read = |policy| read(&home, &agents, policy, &Exposed::nothing()).unwrap();
    let holds =
        |files: &[Item]| files.iter().filter(|file| String::from_utf8_lossy(&file.bytes).contains(secret)).count();
    let passed = read(ConfigSecrets::Pass);
    assert_eq!((holds(&passed.files), holds(&passed.agents), passed.secrets.found.len()), (6, 1, 7));
    assert!(passed.secrets.go_in());
    let dropped = read(ConfigSecrets::Drop);
    assert_eq!((holds(&dropped.files), holds(&dropped.agents)), (0, 0));
    assert_eq!(dropped.secrets.found, passed.secrets.found);
    assert!(!format!("{:?} {}", dropped, serde_json::to_string(&passed.secrets).unwrap()).contains(secret));
    assert_eq!(dropped.files.len() + 2, passed.files.len());
    assert_eq!(dropped.mcp, passed.mcp);
}

#[test]
fn the_hosts_own_login_goes_in_under_no_name() {
    let temp = tempfile::tempdir().unwrap();
    let (home, agents) = (temp.path().join(".codex"), temp.path().join(".agents"));
    put(&home, "auth.json", r#"{"tokens": {"refresh_token": "refresh-secret-h9"}}"#);
    put(&home, "skills/s/SKILL.md", "s");
    symlink("../../auth.json", home.join("skills/s/login")).unwrap();
    symlink("../../auth.json", home.join("skills/s/auth.json")).unwrap();
    put(&home, "skills/s/old.txt", "refresh-secret-h9");
    put(&home, "rules/x.rules", "# refresh-secret-h9\n");
    put(&home, "config.toml", "model = \"refresh-secret-h9\"\n");
    put(&agents, "skills/x/SKILL.md", "x");
    put(&agents, "skills/x/old-login.json", r#"{"tokens": {"refresh_token": "refresh-secret-h9"}}"#);
    fs::hard_link(home.join("auth.json"), agents.join("skills/x/second")).unwrap();
    for policy in [ConfigSecrets::Pass, ConfigSecrets::Drop] {
        let mirror = read(&home, &agents, policy, &Exposed::nothing()).unwrap();
        assert_eq!(paths(&mirror.files), ["skills/s/SKILL.md"]);
        assert_eq!(paths(&mirror.agents), ["skills/x/SKILL.md"]);
        let said = mirror.over.join("\n");
        for name in ["s/login", "s/auth.json", "s/old.txt", "x.rules", "config.toml", "old-login.json", "x/second"] {
            assert!(said.contains(&format!("{name}: left out, it is a login")), "{name}: {said}");
        }
    }
}

#[test]
fn a_symlink_is_judged_by_the_name_of_what_it_leads_to_and_no_rule_by_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let (home, agents) = (temp.path().join(".codex"), temp.path().join(".agents"));
    put(temp.path(), "real.env", "A=SECRET");
    put(&home, "skills/s/SKILL.md", "s");
    symlink(temp.path().join("real.env"), home.join("skills/s/vars")).unwrap();
    put(&home, "rules/secrets.rules", "prefix_rule()");
    let mirror = read(&home, &agents, ConfigSecrets::Drop, &Exposed::nothing()).unwrap();
    assert_eq!(paths(&mirror.files), ["rules/secrets.rules", "skills/s/SKILL.md"]);
    assert!(mirror.secrets.line().unwrap().contains("skills/s/vars"));
}
