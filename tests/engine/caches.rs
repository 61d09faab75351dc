//! Caches: volumes of the engine that outlive a container and are shared by a user's workspaces with the same network and no
//! variables, and by nobody else.
//!
//! Each test has a user of its own: volumes go by user, and the developer's own are left alone.

use crate::support::own::OwnUser;
use crate::support::run::Run;
use crate::support::sandbox::Sandbox;
use crate::support::{engine, proc};
use serde_json::{Value, json};

const NAMES: [&str; 4] = ["huggingface", "torch", "pip", "uv"];

fn volume(user: &OwnUser, cache: &str) -> String {
    format!("codex-sandbox-cache-{cache}-open-u{}", user.uid)
}

/// A sandbox that is handed no variable: what it reads of the model needs none.
fn without_variables(user: &OwnUser) -> Sandbox {
    let sandbox = Sandbox::of(**user);
    sandbox.place.write("repo/sandbox.local.yaml", "env: []\n");
    let config = sandbox.place.read("home/.codex/config.toml");
    let config: String =
        config.lines().filter(|line| !line.starts_with("env_key")).map(|line| format!("{line}\n")).collect();
    sandbox.place.write("home/.codex/config.toml", config);
    sandbox.place.give();
    sandbox
}

/// Makes a volume as this tool does, with these options.
fn create(user: &OwnUser, name: &str, options: &[&str]) {
    let label = format!("codex-sandbox.user={}", user.uid);
    proc::output(proc::find("docker"), [&["volume", "create", "--label", &label], options, &[name]].concat());
}

fn volumes(user: &OwnUser) -> Vec<String> {
    NAMES.iter().map(|cache| volume(user, cache)).collect()
}

/// Those of them that the engine has.
fn there(user: &OwnUser) -> Vec<String> {
    let (all, ours) = (engine::docker(["volume", "ls", "--quiet"]), volumes(user));
    all.lines().filter(|name| ours.iter().any(|our| our == name)).map(str::to_owned).collect()
}

#[test]
fn what_is_cached_outlives_the_container_and_is_there_in_the_next_workspace() {
    let user = OwnUser::new();
    let (one, other) = (without_variables(&user), without_variables(&user));
    let said = one
        .codex_runs("echo wheel >~/.cache/pip/note; env | grep -E '^(HF_HOME|TORCH_HOME|PIP_CACHE|UV_CACHE)' | sort");
    let variables = "HF_HOME=/home/codex/.cache/huggingface\nPIP_CACHE_DIR=/home/codex/.cache/pip\n\
                     TORCH_HOME=/home/codex/.cache/torch\nUV_CACHE_DIR=/home/codex/.cache/uv\n";
    assert!(said.contains(variables), "{said}");
    one.task("down").run().ok();
    assert_eq!(there(&user).len(), 4, "`down` alone leaves them");

    let said = other.codex_runs("cat ~/.cache/pip/note; stat -c '%u %n' ~/.cache/* ~/.cache/pip/note");
    assert!(said.contains("wheel\n"), "{said}");
    for path in ["huggingface", "torch", "pip", "uv", "pip/note"] {
        assert!(said.contains(&format!("{} /home/codex/.cache/{path}\n", user.uid)), "{path}: {said}");
    }
    let proof = other.proof();
    assert_eq!((proof.with("broken"), proof.with("not provable")), (vec![], vec![]));
    for claim in ["cache.pip.source", "cache.huggingface.writable"] {
        assert!(proof.with("held").iter().any(|held| held == claim), "{claim}");
    }

    // Listed while it runs and while nothing does; gone only when nobody uses them.
    let status: Value = serde_json::from_str(&other.task("status").args(["--json"]).run().ok().stdout).expect("JSON");
    let mut listed: Vec<&str> = status["caches"].as_array().expect("caches").iter().filter_map(Value::as_str).collect();
    let mut ours = volumes(&user);
    listed.sort_unstable();
    ours.sort();
    assert_eq!(json!(listed), json!(ours));
    let refused = one.task("down").args(["--caches", "--yes"]).run().ended(1);
    assert!(refused.error().contains("in use by the sandbox of another workspace"), "{}", refused.stderr);
    assert_eq!(there(&user).len(), 4);
    other.task("down").args(["--caches", "--yes"]).run().ok();
    assert_eq!(there(&user), Vec::<String>::new());
}

/// What one agent leaves in a cache, the next one that has it runs.
#[test]
fn a_poisoned_cache_is_not_there_with_another_network_nor_where_variables_are_handed_in() {
    let user = OwnUser::new();
    let (open, closed, secret) = (without_variables(&user), without_variables(&user), Sandbox::of(*user));
    // A volume that all workspaces shared before: it is not touched.
    engine::docker(["volume", "create", &format!("codex-sandbox-cache-pip-u{}", user.uid)]);
    let poison = "echo poison >~/.cache/pip/wheel; echo poison >~/.cache/uv/wheel";
    open.task("sandbox").args(["--yes", "--shell"]).stdin("echo poison >~/.cache/pip/wheel\n").run().ok();
    open.codex_runs(poison);
    let look = "ls -A ~/.cache/pip ~/.cache/uv\n";
    fn shell<'a>(sandbox: &'a Sandbox, flags: &[&str], stdin: &'static str) -> Run<'a> {
        let run =
            sandbox.task("sandbox").args(["--yes", "--shell"]).args(flags.iter().copied()).stdin(stdin).run().ok();
        assert_eq!(sandbox.proof().with("broken"), Vec::<String>::new());
        run
    }
    for (sandbox, flags) in [(&closed, &["--network", "none"][..]), (&secret, &[])] {
        let said = shell(sandbox, flags, look).stdout;
        assert!(!said.contains("wheel"), "{flags:?}: {said}");
    }
    // The other way, and where the user shares more.
    shell(&secret, &[], "echo secret >~/.cache/pip/token\n");
    let again = without_variables(&user);
    let said = shell(&again, &[], look).stdout;
    assert!(said.contains("wheel") && !said.contains("token"), "{said}");
    again.place.write("repo/sandbox.local.yaml", "cache_sharing: workspace\n");
    let recreated = shell(&again, &[], look);
    assert!(!recreated.stdout.contains("wheel"), "{}", recreated.stdout);
    assert!(
        recreated.stderr.contains("cache_sharing: the container has `network`, now it is `workspace`"),
        "{}",
        recreated.stderr
    );
    // Those of a workspace go with it.
    let own = || named(&user, "-open-workspace-");
    let before = own().len();
    again.task("down").args(["--all", "--yes"]).run().ok();
    assert_eq!(before - own().len(), 4);
}

/// The volumes of a user that have this in their name.
fn named(user: &OwnUser, part: &str) -> Vec<String> {
    let all = engine::docker(["volume", "ls", "--quiet"]);
    let ours = all.lines().filter(|name| name.ends_with(&format!("-u{}", user.uid)) && name.contains(part));
    ours.map(str::to_owned).collect()
}

/// Two workspaces of a user, or two terminals: both have listed the caches when the first of them removes them.
#[test]
fn caches_that_another_call_removes_meanwhile_are_removed() {
    let user = OwnUser::new();
    let sandbox = Sandbox::of(*user);
    volumes(&user).iter().for_each(|name| create(&user, name, &[]));
    let other =
        "#!/bin/sh\n[ \"$1 $2\" != 'volume rm' ] || 'REAL' volume rm NAMES >&2 || exit 97\nexec 'REAL' \"$@\"\n";
    let other = other.replace("REAL", &proc::find("docker").display().to_string());
    sandbox.place.program("docker", other.replace("NAMES", &volumes(&user).join(" ")));
    sandbox.place.give();
    let run = sandbox.task("down").args(["--caches", "--yes"]).run().ok();
    assert!(run.stderr.contains("docker volume rm --force codex-sandbox-cache-"), "{}", run.stderr);
    assert_eq!(there(&user), Vec::<String>::new());
}

#[test]
fn a_sandbox_without_caches_has_none() {
    let sandbox = Sandbox::new();
    let settings = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}caches: []\n"));
    let said = sandbox.codex_runs("grep -c /.cache/ /proc/self/mountinfo; env | grep -c PIP_CACHE_DIR");
    assert!(said.starts_with("0\n0\n"), "{said}");
    let claims = sandbox.proof().with("held");
    assert!(!claims.iter().any(|id| id.starts_with("cache.")), "{claims:?}");
}

#[test]
fn a_volume_that_is_something_else_is_seen() {
    let user = OwnUser::new();
    let sandbox = without_variables(&user);
    let pip = volume(&user, "pip");
    let broken = |what: &str, ids: &[&str]| {
        let run = sandbox.enter(["--version"]).ended(1);
        assert_eq!(sandbox.proof().with("broken"), ids, "{what}: {}", run.stderr);
        assert_eq!(run.stdout, "", "Codex was entered");
        assert!(run.error().contains("cache.pip.source"), "{}", run.stderr);
    };

    // A volume of our name that shows a directory of the host, as the local driver can be told to.
    let precious = sandbox.place.mkdir("precious");
    sandbox.place.give();
    let device = format!("device={}", precious.display());
    create(&user, &pip, &["--opt", "type=none", "--opt", "o=bind", "--opt", &device]);
    broken("a directory of the host", &["cache.pip.source"]);
    volumes(&user).iter().for_each(|name| _ = engine::docker(["volume", "rm", "--force", name]));

    // One that somebody else has filled.
    create(&user, &pip, &[]);
    let place = engine::docker(["volume", "inspect", "--format", "{{.Mountpoint}}", &pip]);
    engine::as_root(["touch".to_owned(), format!("{}/of-root", place.trim())]);
    broken("a directory of root", &["cache.pip.source", "cache.pip.writable"]);

    // What the hint says is the remedy.
    sandbox.task("down").args(["--caches", "--yes"]).run().ok();
    sandbox.enter(["--version"]).ok();
}

/// What the configuration of Codex holds of secrets is named, keeps the caches of its workspace apart, and stays out by a setting.
#[test]
fn secrets_of_the_configuration_are_named_keep_caches_apart_and_are_dropped_by_a_setting() {
    let user = OwnUser::new();
    let sandbox = without_variables(&user);
    let config = sandbox.place.read("home/.codex/config.toml");
    let secret = "[mcp_servers.m]\ncommand = \"true\"\nenabled = false\nenv = { A = \"v4lue\" }\n";
    sandbox.place.write("home/.codex/config.toml", format!("{config}\n{secret}"));
    sandbox.place.write("home/.codex/skills/s/SKILL.md", "s");
    sandbox.place.write("home/.codex/skills/s/.env", "B=v4lue\n");
    sandbox.place.give();
    let look = "RUN: grep -rl v4l.e ~/.codex --include=config.toml --include=.env | sort; echo looked";
    let enter = || sandbox.enter(["exec", "--skip-git-repo-check", look]).ok();
    let status =
        || -> Value { serde_json::from_str(&sandbox.task("status").args(["--json"]).run().ok().stdout).expect("JSON") };
    let own = || status()["caches"].to_string().matches("-open-u").count() == 0;

    let run = enter();
    assert!(
        run.stdout.contains("/.codex/config.toml\n") && run.stdout.contains("/.codex/skills/s/.env\n"),
        "{}",
        run.stdout
    );
    assert!(run.stderr.contains("warning: secrets of your Codex configuration go in"), "{}", run.stderr);
    assert!(run.stderr.contains("(`mcp_servers.m.env.A`)") && run.stderr.contains("skills/s/.env`"), "{}", run.stderr);
    assert!(!run.stderr.contains("v4lue"), "{}", run.stderr);
    let said = status();
    assert_eq!(said["config_secrets"]["policy"], "pass", "{said}");
    assert_eq!(said["config_secrets"]["found"].as_array().map(Vec::len), Some(2), "{said}");
    assert_eq!(said["spec"]["handed"], json!(["configuration"]));
    assert!(!said.to_string().contains("v4lue") && own(), "{said}");

    sandbox.place.write("repo/sandbox.local.yaml", "env: []\nconfig_secrets: drop\n");
    let run = enter();
    assert!(run.stdout.contains("looked") && !run.stdout.contains("/.codex/"), "{}", run.stdout);
    assert!(run.stderr.contains("warning: secrets of your Codex configuration are left out"), "{}", run.stderr);
    assert_eq!((status()["config_secrets"]["policy"].clone(), own()), (json!("drop"), false));
    let proof = sandbox.proof();
    assert_eq!((proof.with("broken"), proof.with("not provable")), (vec![], vec![]));
    sandbox.task("down").args(["--all", "--caches", "--yes"]).run().ok();
}
