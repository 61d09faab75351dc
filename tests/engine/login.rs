//! The lease of the login: what goes in, how it is renewed, and that nothing comes back. The Codex of the host and that of the
//! sandbox are real; only ChatGPT is not.

use crate::support::chatgpt::{ChatGpt, files_with};
use crate::support::codex;
use crate::support::proc;
use crate::support::run::{Run, Xtask};
use crate::support::sandbox::Sandbox;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

/// The sandbox's own Codex home on the host.
fn private(sandbox: &Sandbox) -> PathBuf {
    let mut found = fs::read_dir(sandbox.place.path("state/codex-sandbox/workspaces")).expect("the state folder");
    found.next().expect("a workspace").expect("an entry").path().join("codex-home")
}

fn login(dir: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(dir.join("auth.json")).expect("a login")).expect("JSON")
}

/// `sandbox --yes -- exec PROMPT`.
fn exec<'a>(sandbox: &'a Sandbox, chatgpt: &ChatGpt, prompt: &str) -> Xtask<'a> {
    chatgpt.known_to(sandbox.task("sandbox")).args(["--yes", "--", "exec", "--skip-git-repo-check", prompt])
}

fn shell<'a>(sandbox: &'a Sandbox, chatgpt: &ChatGpt, script: &'static str) -> Run<'a> {
    chatgpt.known_to(sandbox.task("sandbox")).args(["--yes", "--shell"]).stdin(script).run().ok()
}

fn line<'a>(run: &'a Run, begins: &str) -> &'a str {
    let found = run.stderr.lines().find(|line| line.contains(begins));
    found.unwrap_or_else(|| panic!("no line with `{begins}`:\n{}", run.stderr))
}

#[test]
fn a_lease_goes_in_without_the_refresh_token_and_is_renewed_while_a_turn_runs() {
    let sandbox = Sandbox::new();
    let chatgpt = ChatGpt::start(&sandbox.place);
    chatgpt.log_in("first", 240);
    // Logins of MCP servers stay on the host.
    sandbox.place.write("home/.codex/.credentials.json", "{\"mcp\": \"mcp-secret\"}");

    // Four minutes are left: the host's Codex renews it once, before anything goes in.
    let run = exec(&sandbox, &chatgpt, "SAY: one").run().ok();
    assert_eq!(run.stdout, "one\n");
    assert_eq!(chatgpt.answered(), ["renewed-1"]);
    assert_eq!(chatgpt.renewals().len(), 1);
    let said = line(&run, "without the refresh token, until ");
    assert!(said.ends_with(" h)"), "{said}");
    assert!(line(&run, "the access token inside is good until ").contains(" UTC (in "), "{}", run.stderr);
    let home = private(&sandbox);
    let inside = login(&home);
    assert_eq!((&inside["auth_mode"], &inside["tokens"]["refresh_token"]), (&json!("chatgptAuthTokens"), &json!("")));
    assert_eq!(fs::metadata(home.join("auth.json")).expect("the login").permissions().mode() & 0o7777, 0o600);
    for secret in ["refresh-secret", "mcp-secret"] {
        assert_eq!(files_with(&home, secret), "", "{secret}");
    }
    assert!(sandbox.proof().with("held").iter().any(|id| id == "login.lease"), "{:?}", sandbox.proof().with("held"));
    assert_eq!(login(&sandbox.place.path("home/.codex"))["tokens"]["refresh_token"], "refresh-secret-renewed-1");

    // A little over an hour is left; then it is renewed, and the old one is refused in the middle of the turn.
    let run = turn(&sandbox, &chatgpt, "second", sandbox.task("sandbox")).ok();
    assert!(run.stdout.contains("slept"), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(chatgpt.answered().last().map(String::as_str), Some("renewed-2"));
    assert!(chatgpt.renewals().iter().all(|renewal| !renewal.used), "{:?}", chatgpt.renewals());
    assert_eq!(files_with(&home, "refresh-secret"), "");
    let kept = files_with(&sandbox.place.path("state"), "refresh-secret");
    assert_eq!(kept, "", "nor does this tool keep one");
    for said in [&run.stdout, &run.stderr] {
        assert!(!said.contains("eyJ") && !said.contains("refresh-secret"), "{said}");
    }
}

/// Puts in the place of the login whatever an earlier version of the tool would have taken over to the host.
const FORGE: &str = r#"
import base64, json, os, time
home = "/home/codex/.codex/"
lease = json.load(open(home + "auth.json"))
b = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
def forged(year=2027, account="account", **more):
    who = {"chatgpt_account_id": account, "chatgpt_user_id": "user", "user_id": "user", "chatgpt_plan_type": "pro"}
    claims = {"exp": 4000000000, "session_id": "s1", "https://api.openai.com/auth": who}
    token = b({"alg": "none"}) + "." + b(claims) + ".x"
    tokens = {"id_token": token, "access_token": token, "refresh_token": "rt-forged", "account_id": account}
    return {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens,
            "last_refresh": "%d-01-01T00:00:00Z" % year} | more
shapes = [forged(), forged(2999), forged(OPENAI_API_KEY="sk-planted"), forged(account="other"), forged(new_key=1),
          lease | {"last_refresh": "2999-01-01T00:00:00Z"}, {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-planted"}, {}, []]
for shape in shapes:
    with open(home + "new", "w") as file:
        json.dump(shape, file)
    os.rename(home + "new", home + "auth.json")
    time.sleep(0.6)
for lock in ("auth.lock", "auth.json.lock"):
    os.symlink("/etc/passwd", home + lock) if not os.path.lexists(home + lock) else None
time.sleep(6)
print("forged")
"#;

#[test]
fn a_hostile_session_leaves_the_host_s_login_as_it_was_and_a_log_out_reaches_the_sandbox() {
    let sandbox = Sandbox::new();
    let chatgpt = ChatGpt::start(&sandbox.place);
    let before = chatgpt.log_in("first", 800_000);
    let file = sandbox.place.path("home/.codex/auth.json");
    let state = || {
        let meta = fs::metadata(&file).expect("the host's login");
        (fs::read_to_string(&file).expect("the host's login"), meta.ino(), meta.ctime(), meta.ctime_nsec())
    };
    let host = state();
    fs::write(sandbox.workspace().join("forge.py"), FORGE).expect("a script in the workspace");
    let run = shell(&sandbox, &chatgpt, "python3 -I /workspace/forge.py\n");
    assert_eq!(run.stdout, "forged\n", "{}", run.stderr);
    assert_eq!(state(), host);
    let home = private(&sandbox);
    let run = shell(&sandbox, &chatgpt, "true\n");
    assert!(line(&run, "login: the `auth.json` that lay inside was removed").contains("-- login"), "{}", run.stderr);
    assert_eq!(login(&home)["tokens"]["refresh_token"], json!(""));
    // Only a login that this tool starts makes one of the sandbox's own; it survives a log-out of the host.
    let own = |args: &[&'static str]| {
        chatgpt
            .known_to(sandbox.task("sandbox"))
            .args(["--yes", "--"])
            .args(args.iter().copied())
            .stdin("sk-own-key\n")
            .run()
            .ok()
    };
    own(&["login", "--with-api-key"]);
    let run = shell(&sandbox, &chatgpt, "true\n");
    assert!(line(&run, "login: the sandbox has one of its own").contains("logout"), "{}", run.stderr);
    assert!(!sandbox.proof().with("held").iter().any(|id| id == "login.lease"), "nothing is promised of it");
    let status = sandbox.task("status").run().ok();
    assert!(status.stdout.contains("its own; what is in it is not known"), "{}", status.stdout);
    own(&["logout"]);
    shell(&sandbox, &chatgpt, "true\n");
    assert_eq!(login(&home)["tokens"]["refresh_token"], json!(""), "the lease again");
    // What an agent puts there is nobody's login, also while it goes on.
    shell(&sandbox, &chatgpt, "touch ~/.codex/auth.json; (setsid sleep 600 >/dev/null 2>&1 &)\n");
    let run = exec(&sandbox, &chatgpt, "SAY: no").run();
    assert_ne!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("`login.lease` does not hold"), "{}", run.stderr);
    sandbox.task("down").run().ok();
    // A link to the host's file leads nowhere: it is replaced, and what it names is not.
    let link = "rm ~/.codex/auth.json; ln -s /datasets/ssv2/labels.json ~/.codex/auth.json\n";
    shell(&sandbox, &chatgpt, link);
    let run = exec(&sandbox, &chatgpt, "SAY: again").run().ok();
    assert_eq!(run.stdout, "again\n");
    assert_eq!(chatgpt.answered(), ["first"]);
    assert_eq!(state(), host);
    assert_eq!((before.as_str(), chatgpt.renewals().len()), (host.0.as_str(), 0));

    fs::remove_file(&file).expect("the host logs out");
    let run = shell(&sandbox, &chatgpt, "ls ~/.codex/auth.json || echo none\n");
    assert_eq!(run.stdout, "none\n");
    assert!(line(&run, "login: the host has none").contains("--device-auth"), "{}", run.stderr);
    assert_eq!(files_with(&sandbox.place.path("state/codex-sandbox/logins"), "eyJ"), "", "nor is the lease kept");
}

#[test]
fn after_a_whole_login_nothing_is_promised_until_the_home_is_made_anew() {
    let sandbox = Sandbox::new();
    let chatgpt = ChatGpt::start(&sandbox.place);
    chatgpt.log_in("first", 800_000);
    let settings = sandbox.place.read("repo/sandbox.local.yaml");
    let set = |how: &str| sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}login: {how}\n"));
    set("full");
    let run =
        shell(&sandbox, &chatgpt, "mkdir -p ~/.codex/sessions; cp ~/.codex/auth.json ~/.codex/sessions/x; echo in\n");
    assert_eq!(run.stdout, "in\n", "{}", run.stderr);
    set("lease");
    let run = exec(&sandbox, &chatgpt, "SAY: no").run();
    assert!(run.stderr.contains("`login.lease` does not hold"), "{}", run.stderr);
    assert!(run.stderr.contains("then `cargo xtask down --all` makes the home"), "{}", run.stderr);
    sandbox.task("down").args(["--all", "--yes"]).run().ok();
    assert_eq!(exec(&sandbox, &chatgpt, "SAY: yes").run().ok().stdout, "yes\n");
    assert_eq!(files_with(&private(&sandbox), "refresh-secret"), "");
}

#[test]
fn after_a_shared_home_nothing_is_promised_of_the_login_either() {
    let sandbox = Sandbox::new();
    let chatgpt = ChatGpt::start(&sandbox.place);
    chatgpt.log_in("first", 800_000);
    let copy = "cp ~/.codex/auth.json /workspace/.copy; grep -c refresh-secret /workspace/.copy\n";
    let shared = chatgpt.known_to(sandbox.task("sandbox")).args(["--yes", "--codex-home", "shared", "--shell"]);
    assert_eq!(shared.stdin(copy).run().ok().stdout, "1\n", "the agent has all of it");
    let run = exec(&sandbox, &chatgpt, "SAY: no").run();
    assert!(run.stderr.contains("`login.lease` does not hold"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: `codex logout` and `codex login` on the host"), "{}", run.stderr);
}

/// A turn of two requests, between which its lease is renewed and the old one refused.
fn turn<'a>(sandbox: &'a Sandbox, chatgpt: &ChatGpt, token: &str, task: Xtask<'a>) -> Run<'a> {
    let go = sandbox.workspace().join("go");
    let _ = fs::remove_file(&go);
    chatgpt.log_in(token, 3630);
    let prompt = "RUN: until [ -e /workspace/go ]; do sleep 0.2; done; echo slept";
    let task = chatgpt.known_to(task).args(["--yes", "--", "exec", "--skip-git-repo-check", prompt]);
    thread::scope(|scope| {
        let turn = scope.spawn(|| task.run());
        proc::wait_for("the turn to begin", 120, || chatgpt.answered().contains(&token.to_owned()).then_some(()));
        let home = private(sandbox);
        let old = login(&home);
        proc::wait_for("the lease to be renewed", 60, || (login(&home) != old).then_some(()));
        chatgpt.control(&json!({"refused": [token]}));
        fs::write(go, "").expect("a file in the workspace");
        turn.join().expect("the turn")
    })
}

#[test]
fn the_oldest_codex_that_takes_a_live_push_takes_it() {
    let sandbox = Sandbox::new();
    let chatgpt = ChatGpt::start(&sandbox.place);
    let codex = codex::real_of("0.145.0").join("codex").display().to_string();
    let run = turn(&sandbox, &chatgpt, "first", sandbox.task("sandbox").args(["--codex", &codex])).ok();
    assert!(run.stdout.contains("slept"), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(chatgpt.answered().last().map(String::as_str), Some("renewed-1"));
    assert!(chatgpt.asked().iter().any(|asked| asked.token == "first" && !asked.good), "the old one was refused");
    assert_eq!(chatgpt.renewals().len(), 1, "{:?}", chatgpt.renewals());
    assert_eq!(login(&private(&sandbox))["auth_mode"], "chatgptAuthTokens");
}

#[test]
fn two_sandboxes_that_are_entered_at_once_have_it_renewed_once_and_a_dead_login_is_told() {
    let sandbox = Sandbox::new();
    let chatgpt = ChatGpt::start(&sandbox.place);
    chatgpt.log_in("first", 240);
    let other = sandbox.place.mkdir("other").display().to_string();
    let enter = |more: &[&str]| {
        let task = chatgpt.known_to(sandbox.task("sandbox")).args(more.iter().copied());
        task.args(["--yes", "--", "exec", "--skip-git-repo-check", "SAY: here"])
    };
    let (one, two) = thread::scope(|scope| {
        let (one, two) = (enter(&[]), enter(&["--workspace", &other]));
        let (one, two) = (scope.spawn(|| one.run()), scope.spawn(|| two.run()));
        (one.join().expect("a call"), two.join().expect("a call"))
    });
    assert_eq!((one.ok().stdout.as_str(), two.ok().stdout.as_str()), ("here\n", "here\n"));
    assert_eq!((chatgpt.answered(), chatgpt.renewals().len()), (vec!["renewed-1".to_owned(); 2], 1));
    Xtask::at(&sandbox.place).args(["down", "--workspace", &other]).run().ok();

    // The same refresh token again, and it was used: the host's Codex is logged out by its server.
    chatgpt.log_in("first", 240);
    let run = enter(&[]).run();
    let said = line(&run, "login: the host's ");
    assert!(said.contains("run `codex login` on the host"), "{}", run.stderr);
    assert!(!run.stderr.contains("eyJ") && !run.stderr.contains("refresh-secret"), "{}", run.stderr);
}
