use super::*;
use crate::error::{exit_code, render};

type Brought = BTreeMap<PathBuf, String>;

fn edited(home: &Path, text: &str) -> (String, Vec<String>, Vec<McpServer>, Brought) {
    let agents = home.parent().unwrap().join(".agents");
    let mut host = Host { home, agents: &agents, brought: Brought::new() };
    let done = edit(Path::new("config.toml"), text, &mut host).unwrap();
    (done.text, done.notes, done.mcp, host.brought)
}

#[test]
fn a_broken_file_names_the_place_and_shows_no_text() {
    let err = parse(Path::new("/h/config.toml"), "a = 1\nkey = \"sk-secret\" x\n").unwrap_err();
    assert_eq!(exit_code(&err), 2);
    let text = render(&err);
    assert!(text.starts_with("error: `/h/config.toml` is not TOML: line 2, column "), "{text}");
    assert!(!text.contains("sk-secret"), "{text}");
}

#[test]
fn what_names_the_host_is_dropped_and_the_rest_is_kept() {
    let (text, notes, mcp, _) = edited(
        Path::new("/h/.codex"),
        r#"
        model = "m"
        sandbox_mode = "read-only"
        approval_policy = "never"
        notify = ["notify-send"]
        sqlite_home = "/h/db"
        cli_auth_credentials_store = "auto"
        [profiles.p]
        log_dir = "/h/log"
        model = "n"
        [projects."/h/code"]
        trust_level = "trusted"
        [projects."/workspace"]
        trust_level = "untrusted"
        [mcp_servers."a.b"]
        command = "/h/bin/x"
        [mcp_servers.off]
        command = "y"
        enabled = false
        [mcp_servers.web]
        url = "https://example.com/mcp"
        [[skills.config]]
        path = "~/.agents/skills/s/SKILL.md"
        enabled = false
        [hooks.state."/h/.codex/hooks.json:stop:0:0"]
        trusted_hash = "t"
        "#,
    );
    let expected = r#"
        model = "m"
        sandbox_mode = "read-only"
        approval_policy = "never"
        cli_auth_credentials_store = "file"
        [profiles.p]
        model = "n"
        [projects."/workspace"]
        trust_level = "untrusted"
        [mcp_servers."a.b"]
        command = "/h/bin/x"
        [mcp_servers.off]
        command = "y"
        enabled = false
        [mcp_servers.web]
        url = "https://example.com/mcp"
        [[skills.config]]
        path = "/home/codex/.agents/skills/s/SKILL.md"
        enabled = false
        [hooks.state."/home/codex/.codex/hooks.json:stop:0:0"]
        trusted_hash = "t"
        "#;
    assert_eq!(text, expected);
    assert_eq!(mcp, [McpServer { name: "a.b".into(), command: "/h/bin/x".into() }]);
    assert_eq!(
        notes,
        [
            "config.toml, `notify`: dropped, it is a program of the host",
            "config.toml, `sqlite_home`: dropped, the sandbox has databases of its own",
            "config.toml, `profiles.p.log_dir`: dropped, the sandbox has logs of its own",
            "config.toml, `cli_auth_credentials_store`: `auto` becomes `file`, a container has no keyring",
            "config.toml, `projects`: dropped 1 of 2, they are directories of the host",
        ]
    );
}

#[test]
fn comments_and_the_users_own_order_survive() {
    let (text, _, _, _) = edited(
        Path::new("/h/.codex"),
        r#"# My configuration.
# Hands off.

# The desktop tells me.
notify = ["notify-send"] # loudly
zsh_path = "/usr/bin/zsh"

# A keyring is safer.
cli_auth_credentials_store = 'keyring'   # on GNOME
model = "m"                # the large one
debug.lockfile = "/h/lock"

# --- My projects ---

[projects."/h/code"]
trust_level = "trusted"

# Mounted there.
[projects."/workspace"]
trust_level = "untrusted" # by me

[hooks]
# Whom I trust.
state."/h/.codex/hooks.json:a" = { trusted_hash = "1" } # first
state."/etc/hooks.json:b" = { trusted_hash = "2" }
state."/h/.agents/hooks.json:c".trusted_hash = '3'

[skills]
config = [
    # Not this one.
    { enabled = false, path = "~/.agents/skills/s/SKILL.md" }, # too long
]

[tui] # on the train
theme = "dark"

# Last, and dropped.

[profiles.p]
# Profiles are older than this.

log_dir = "/h/log"
# The end."#,
    );
    let expected = r#"# My configuration.
# Hands off.

# A keyring is safer.
cli_auth_credentials_store = 'keyring'   # on GNOME
model = "m"                # the large one

# --- My projects ---

# Mounted there.
[projects."/workspace"]
trust_level = "untrusted" # by me

[hooks]
# Whom I trust.
state."/home/codex/.codex/hooks.json:a" = { trusted_hash = "1" } # first
state."/etc/hooks.json:b" = { trusted_hash = "2" }
state."/home/codex/.agents/hooks.json:c".trusted_hash = '3'

[skills]
config = [
    # Not this one.
    { enabled = false, path = "/home/codex/.agents/skills/s/SKILL.md" }, # too long
]

[tui] # on the train
theme = "dark"

# Last, and dropped.

[profiles.p]
# Profiles are older than this.

# The end."#;
    assert_eq!(text, expected.replace("'keyring'", "\"file\""));

    // Where no project stays, what stands over them stays in front of the next table.
    let text = "# Mine.\n\n# Projects:\n\n[projects.\"/h\"]\ntrust_level = \"trusted\"\n\n# Colours:\n[tui.x]\na = 1\n";
    assert_eq!(edited(Path::new("/h/.codex"), text).0, "# Mine.\n\n# Projects:\n\n# Colours:\n[tui.x]\na = 1\n");
}

#[test]
fn files_that_codex_reads_are_brought_along_once() {
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path().join(".codex");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(temp.path().join("own words.md"), "w").unwrap();
    std::fs::write(home.join("role.toml"), "").unwrap();
    let (text, notes, _, brought) = edited(
        &home,
        r#"
        model_instructions_file = "~/own words.md"
        model_catalog_json = "/nowhere/c.json"
        profiles.p.experimental_instructions_file = "../own words.md"
        profiles.q.model_instructions_file = "~/own words.md"
        agents.r.config_file = "role.toml"
        agents.max_depth = 2
        "#,
    );
    let table = text.parse::<DocumentMut>().unwrap();
    let inside = |name: &str| format!("{CODEX_HOME}/brought-along/{name}");
    assert_eq!(table["model_instructions_file"].as_str(), Some(&*inside("1-own words.md")));
    assert_eq!(table["model_catalog_json"].as_str(), Some("/nowhere/c.json"));
    let profiles = &table["profiles"];
    assert_eq!(profiles["q"]["model_instructions_file"].as_str(), table["model_instructions_file"].as_str());
    assert_eq!(table["agents"]["r"]["config_file"].as_str(), Some(&*inside("3-role.toml")));
    assert_eq!(brought.len(), 3, "`..` is not the same text, hence a second copy");
    assert_eq!(notes.len(), 5);
    assert!(notes[1].ends_with("left as it is, `/nowhere/c.json` is not a file on this host"));
}
