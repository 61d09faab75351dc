//! What is reached through a directory that an earlier sandbox was given for writing. No engine: the record of that sandbox
//! is there, as version 2 of this tool left it.

use crate::fake_engine::{changes_nothing, empty, ready};
use crate::support::docker::FakeDocker;
use crate::support::place::Place;
use crate::support::run::{Run, Xtask};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// A place with a project that a sandbox could write.
fn place() -> Place {
    let place = ready();
    let project = place.mkdir("project");
    let mounts = json!([{"role": "workspace", "source": project, "target": "/workspace", "read_only": false}]);
    let record = json!({"schema": 2, "container": "c0", "spec": {"mounts": mounts}});
    place.write("state/codex-sandbox/workspaces/project-00000000/entry.json", record.to_string());
    place.write("secret/key", "KEPT-ON-THE-HOST");
    place
}

/// Enters with these flags, and is refused before anything is started: the path and the directory are named.
#[track_caller]
fn refused(place: &Place, change: impl FnOnce(Xtask<'_>) -> Xtask<'_>, path: &str) -> String {
    let run = entered(place, change).ended(2);
    for part in [place.path(path), place.path("project")] {
        assert!(run.error().contains(&format!("`{}`", part.display())), "{}: {}", part.display(), run.error());
    }
    run.error().to_owned()
}

fn entered<'a>(place: &'a Place, change: impl FnOnce(Xtask<'a>) -> Xtask<'a>) -> Run<'a> {
    for name in ["env", "sh", "cat", "git"] {
        let _ = fs::remove_file(place.path("bin").join(name));
    }
    let calls = empty(FakeDocker::new()).install(place);
    let run = change(Xtask::at(place).bare_path().args(["sandbox", "--yes", "--gpus", "none"])).run();
    changes_nothing(&calls);
    run
}

fn data(place: &Place, path: &str) -> [String; 2] {
    ["--dataset".to_owned(), format!("ssv2={}", place.path(path).display())]
}

#[test]
fn no_data_set_and_no_workspace() {
    let place = place();
    place.write("project/data/1.webm", "a clip");
    symlink(place.path("project/data"), place.path("direct")).expect("a link");
    symlink(place.path("secret"), place.path("project/out")).expect("a link");
    symlink(place.path("project/out"), place.path("through")).expect("a link");
    for path in ["project/data", "direct", "through"] {
        refused(&place, |run| run.args(data(&place, path)), path);
    }
    let below = place.path("project/data").display().to_string();
    refused(&place, |run| run.args(data(&place, "ssv2")).args(["--workspace", &below]), "project/data");
    let said = refused(&place, |run| run.args(data(&place, "through")), "through");
    assert!(said.contains(&format!("--confirm {}", place.path("secret").display())), "{said}");
}

#[test]
fn nothing_of_the_codex_home() {
    let place = place();
    symlink(place.path("secret"), place.path("project/out")).expect("a link");
    let links = ["AGENTS.md", "prompts", "skills/x", "config.toml", "work.config.toml", "auth.json", "rules"];
    place.mkdir("home/.codex/skills");
    for name in links {
        let link = place.path("home/.codex").join(name);
        symlink(place.path("project/out/key"), &link).expect("a link");
        refused(&place, |run| run.args(data(&place, "ssv2")), &format!("home/.codex/{name}"));
        fs::remove_file(link).expect("removed");
    }
    symlink(place.path("project/out"), place.mkdir("home/.agents").join("skills")).expect("a link");
    refused(&place, |run| run.args(data(&place, "ssv2")), "home/.agents/skills");
    fs::remove_dir_all(place.path("home/.agents")).expect("removed");
    place.write("project/home/config.toml", "");
    fs::rename(place.path("home/.codex"), place.path("home/.codex-own")).expect("renamed");
    symlink(place.path("project/home"), place.path("home/.codex")).expect("a link");
    refused(&place, |run| run.args(data(&place, "ssv2")), "home/.codex");
}

#[test]
fn no_program_no_settings_and_no_certificates() {
    let place = place();
    let codex = place.write("project/codex", fs::read(place.path("bin/codex")).expect("the stand-in"));
    fs::set_permissions(&codex, fs::Permissions::from_mode(0o755)).expect("executable");
    let flag = ["--codex".to_owned(), codex.display().to_string()];
    refused(&place, |run| run.args(data(&place, "ssv2")).args(flag), "project/codex");

    place.write("project/ca.pem", "a certificate");
    let ca = place.path("project/ca.pem");
    refused(&place, |run| run.args(data(&place, "ssv2")).env("SSL_CERT_FILE", ca), "project/ca.pem");

    place.write("project/settings.yaml", "env: []\n");
    symlink(place.path("project/settings.yaml"), place.path("repo").join("sandbox.local.yaml")).expect("a link");
    refused(&place, |run| run.args(data(&place, "ssv2")), "repo/sandbox.local.yaml");
    fs::remove_file(place.path("repo/sandbox.local.yaml")).expect("removed");

    place.mkdir("project/bin");
    // Nothing else is refused here, so a run would go on to build the image.
    let run =
        entered(&place, |run| run.args(["--dry-run"]).args(data(&place, "ssv2")).on_path(place.path("project/bin")));
    assert!(run.stderr.contains("project/bin` is left out of PATH"), "{}", run.stderr);
}

/// A shell in the project can take its environment from there (direnv).
#[test]
fn no_configuration_of_docker_and_no_plugin_that_the_environment_names() {
    let place = place();
    let plugin = place.write("project/docker/cli-plugins/docker-compose", "#!/bin/sh\n");
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).expect("executable");
    let dir = place.path("project/docker");
    for task in ["sandbox", "mounts", "status", "down", "doctor", "image", "commits", "gpu-smoke", "ci"] {
        let calls = empty(FakeDocker::new()).install(&place);
        let run = Xtask::at(&place).args([task]).env("DOCKER_CONFIG", &dir).run().ended(2);
        let said = format!(
            "error: the variable `DOCKER_CONFIG` names `{}`, which lies in or leads through `{}`, where a sandbox can write: \
             nothing is started\nhint: `unset DOCKER_CONFIG`, or let it name",
            dir.display(),
            place.path("project").display()
        );
        assert!(run.stderr.contains(&said), "{task}: {}", run.stderr);
        assert_eq!(calls.lines(), Vec::<String>::new(), "{task}");
    }
    // The workspace of the call itself, before it was ever given, and a program that is a link into it.
    let own = place.mkdir("repo/workspace/docker");
    let run = Xtask::at(&place).args(["status"]).env("DOCKER_CONFIG", own).run().ended(2);
    assert!(run.error().contains("`DOCKER_CONFIG`"), "{}", run.error());
    let own = place.path("bin/docker");
    fs::rename(&own, place.path("project/docker-program")).expect("renamed");
    symlink(place.path("project/docker-program"), &own).expect("a link");
    let run = Xtask::at(&place).args(["status"]).run().ended(2);
    assert!(run.error().contains("the program `"), "{}", run.error());
}

/// `~/.codex` and another home were shared with a sandbox, so that an agent may have written there.
#[test]
fn a_codex_home_that_was_shared_once_does_not_keep_the_sandbox_from_being_ended() {
    let place = ready();
    let homes = ["home/.codex", "other-home"].map(|home| place.mkdir(home));
    for (n, home) in homes.iter().enumerate() {
        let mounts =
            json!([{"role": "codex-home", "source": home, "target": "/home/codex/.codex", "read_only": false}]);
        let record = json!({"schema": 2, "container": "c0", "spec": {"mounts": mounts}});
        place.write(&format!("state/codex-sandbox/workspaces/p-0000000{n}/entry.json"), record.to_string());
    }
    let data = ["--dataset".to_owned(), format!("ssv2={}", place.path("ssv2").display())];
    let run = |home: &Path, args: &[&str]| {
        let _calls =
            empty(FakeDocker::new()).answer("network *", 0, "", "").answer("volume *", 0, "", "").install(&place);
        let data = if args[0] == "sandbox" { &data[..] } else { &[] };
        let run = Xtask::at(&place).args(args.iter().copied()).args(data).env("CODEX_HOME", home).run();
        (run.code, run.stderr.contains("the variable `CODEX_HOME`"), run.stderr.clone())
    };
    let enter = ["sandbox", "--yes", "--gpus", "none", "--dry-run"];
    for home in &homes {
        for task in [&["down"][..], &["down", "--all", "--yes"], &["status"], &["commits"]] {
            let (code, refused, said) = run(home, task);
            // This workspace is no repository, which is all that `commits` says.
            assert!((code == Some(0) || task == ["commits"]) && !refused, "{task:?}: {said}");
        }
        let (_, refused, said) = run(home, &[&enter[..], &["--codex-home", "shared"]].concat());
        assert!(!refused, "who shares it again says so: {said}");
    }
    let (code, refused, said) = run(&homes[0], &enter);
    assert!(code != Some(2) && !refused, "without the variable it would be the same: {said}");
    let (code, refused, said) = run(&homes[1], &enter);
    let confirm = format!(
        "hint: where an earlier sandbox shared it and you trust what Codex obeys there: `--confirm {}`",
        homes[1].display()
    );
    assert!(code == Some(2) && refused && said.contains(&confirm), "{said}");
    let (code, refused, said) = run(&homes[1], &[&enter[..], &["--confirm", &homes[1].display().to_string()]].concat());
    assert!(code != Some(2) && !refused, "{said}");
    // An agent's own directory: nothing but the end of a sandbox goes on beside it.
    let own = place.mkdir("repo/workspace/home");
    assert!(run(&own, &enter).1 && !run(&own, &["down"]).1);
}

/// What a program of the host is started with, by a `docker` that writes down its environment.
#[test]
fn what_is_started_gets_the_variables_of_the_table_and_no_other() {
    let place = ready();
    let docker = empty(FakeDocker::new()).install(&place);
    let seen = place.path("seen");
    let text = fs::read_to_string(place.path("bin/docker")).expect("the stand-in");
    let env = format!("env >> '{}'\n", seen.display());
    fs::write(place.path("bin/docker"), text.replacen('\n', &format!("\n{env}"), 1)).expect("written");
    let handed_on = [
        ("USER", "me"),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C"),
        ("TERM", "xterm"),
        ("NO_COLOR", "1"),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("no_proxy", "localhost"),
        ("DOCKER_CONTEXT", "default"),
        ("DOCKER_API_VERSION", "1.45"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
    ];
    let kept_back = [
        "BASH_ENV",
        "ENV",
        "COMPOSE_FILE",
        "COMPOSE_PROFILES",
        "DOCKER_DEFAULT_PLATFORM",
        "GIT_DIR",
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_COUNT",
        "LD_LIBRARY_PATH",
        "LD_BIND_NOW",
        "NODE_OPTIONS",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "KEPT",
        "HF_TOKEN",
        "GCONV_PATH",
        "CARGO_TARGET_DIR",
        "RUSTC_WRAPPER",
    ];
    let run = handed_on.iter().fold(Xtask::at(&place), |run, (name, value)| run.env(name, *value));
    let run = kept_back.iter().fold(run, |run, name| run.env(name, "0"));
    let run = run.args(["status"]).run();
    let said = "warning: `COMPOSE_FILE`, `COMPOSE_PROFILES`, `DOCKER_DEFAULT_PLATFORM`, `GIT_CONFIG_COUNT`, `GIT_DIR`, \
         `GIT_SSH_COMMAND`, `NODE_OPTIONS` are not passed on";
    assert_eq!(run.stderr.matches(said).count(), 1, "{}", run.stderr);
    let seen = fs::read_to_string(seen).expect("what docker was given");
    // What the shell of the stand-in sets itself is left out.
    let names: BTreeSet<&str> = seen
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    let wanted = handed_on.iter().map(|(name, _)| *name).chain(["HOME", "PATH", "XDG_STATE_HOME"]);
    assert_eq!(names, wanted.collect::<BTreeSet<_>>(), "{seen}");
    assert!(!docker.lines().is_empty());
}

/// Every output that could have it: plans, JSON, errors, failures of `docker`, and the arguments that `docker` was given.
#[test]
fn no_value_of_a_variable_is_in_anything_that_is_said() {
    const SECRET: &str = "hf-S3CRET-value";
    let place = ready();
    // An engine that fails at each step, and says what it was given.
    let docker = empty(FakeDocker::new().answer("*build *", 1, "", "ERROR: failed to solve\n")).install(&place);
    let settings = |text: &str| place.write("repo/sandbox.local.yaml", text);
    let data = data(&place, "ssv2");
    let said = |task: &[&str]| {
        let task: Vec<String> = task.iter().map(|word| (*word).to_owned()).chain(data.clone()).collect();
        let run = Xtask::at(&place)
            .bare_path()
            .args(task)
            .env("HF_TOKEN", SECRET)
            .env("DOCKER_DEFAULT_PLATFORM", SECRET)
            .run();
        let all = format!("{}{}", run.stdout, run.stderr);
        assert!(!all.contains("S3CRET"), "{:?}: {all}", run.code);
        all
    };
    settings("env: [HF_TOKEN, NOT_SET]\ngpus: none\nbase: base:1\n");
    let plan = said(&["sandbox", "--dry-run"]);
    assert!(plan.contains("HF_TOKEN") && plan.contains("`NOT_SET` of the list `env` is not set here"), "{plan}");
    for task in [&["sandbox", "--yes"][..], &["doctor"], &["doctor", "--json"], &["mounts"], &["status", "--json"]] {
        said(task);
    }
    for wrong in ["[HF_TOKEN=VALUE]", "[VALUE]", "VALUE", "{HF_TOKEN: VALUE}", "[[VALUE]]", "[{HF_TOKEN: VALUE}]"] {
        settings(&format!("env: {}\n", wrong.replace("VALUE", SECRET)));
        let all = said(&["sandbox", "--yes"]);
        assert!(all.contains("error: "), "{wrong}: {all}");
        said(&["doctor"]);
    }
    assert!(!docker.lines().join("\n").contains("S3CRET"));
}

#[test]
fn no_repository_that_appeared() {
    let place = place();
    let dot_git = place.mkdir("project/.git/objects/info");
    let dot_git = dot_git.parent().and_then(|objects| objects.parent()).expect("its .git").to_owned();
    let project = place.path("project").display().to_string();
    let [flag, set] = data(&place, "ssv2");
    let words = [flag, set, "--workspace".to_owned(), project.clone()];
    // Whatever it is: nothing that git would take for a repository yet.
    refused(&place, |run| run.args(words.clone()), "project/.git");
    place.write("project/.git/HEAD", "ref: refs/heads/main\n");
    place.mkdir("project/.git/refs");
    let said = refused(&place, |run| run.args(words.clone()), "project/.git");
    assert!(said.contains(&format!("--confirm {}", dot_git.display())), "{said}");
    let commits = Xtask::at(&place).args(["commits", "--workspace", &project]).run().ended(2);
    assert!(commits.error().contains("leads through"), "{}", commits.error());
}

/// Git that is run in a workspace without a repository of its own uses the one around it.
#[test]
fn no_repository_that_appeared_around_the_workspace() {
    let place = place();
    place.write("project/.git/HEAD", "ref: refs/heads/main\n");
    let below = place.mkdir("project/deep/below").display().to_string();
    let words = ["--workspace".to_owned(), below.clone(), "--confirm".to_owned(), below];
    let said = refused(&place, |run| run.args(data(&place, "ssv2")).args(words), "project/.git");
    assert!(said.contains(&format!("--confirm {}", place.path("project/.git").display())), "{said}");
}

#[test]
fn a_damaged_list_is_refused() {
    let place = place();
    place.write("state/codex-sandbox/exposed.json", "{");
    let run = entered(&place, |run| run.args(data(&place, "ssv2"))).ended(3);
    assert!(run.error().contains("exposed.json"), "{}", run.error());
}

/// Another sandbox of this user, whose container the engine says to run or not, and a sandbox that could write its data.
#[test]
fn a_sandbox_that_could_write_the_data_of_another_that_runs_is_refused_with_the_remedy() {
    let place = ready();
    place.write("mine/data/1.webm", "a clip");
    place.mkdir("mine/inner");
    place.mkdir("other");
    symlink(place.path("mine/data"), place.path("by-link")).expect("a link");
    let workspace = place.path("mine");
    let entered_beside = |role: serde_json::Value, source: &str, read_only: bool, running: bool, beside: &str| {
        for name in ["env", "sh", "cat", "git"] {
            let _ = fs::remove_file(place.path("bin").join(name));
        }
        let other = if role == "workspace" { source } else { "other" };
        let mounts = json!([
            {"role": "workspace", "source": place.path(other), "target": "/workspace", "read_only": false},
            {"role": role, "source": place.path(source), "target": "/x", "read_only": read_only},
        ]);
        let record = json!({"schema": 2, "container": "c0", "spec": {"mounts": mounts}});
        place.write("state/codex-sandbox/workspaces/other-00000000/entry.json", record.to_string());
        let labels = json!({"codex-sandbox.spec": "{}"});
        let inspect = json!([{"Id": "c0", "Config": {"Labels": labels}, "State": {"Running": running}}]).to_string();
        let docker = FakeDocker::new().answer("container inspect codex-sandbox-other-*", 0, &inspect, "");
        let docker = docker.answer(&format!("container inspect codex-sandbox-{beside}-*"), 0, &inspect, "");
        empty(docker).install(&place);
        let task = Xtask::at(&place).bare_path().args(["sandbox", "--yes", "--gpus", "none", "--dry-run"]);
        // Its own start is asked for by the record: the data set of the settings lies elsewhere.
        task.args(data(&place, "ssv2")).args(["--workspace".as_ref(), workspace.as_os_str()]).run()
    };
    let entered = |role, source: &str, read_only, running| entered_beside(role, source, read_only, running, "none");
    let dataset = json!({"dataset": "ssv2"});
    for (role, source, read_only) in [
        (dataset.clone(), "mine/data", true),
        (dataset.clone(), "by-link", true),
        (json!("workspace"), "mine/inner", false),
    ] {
        let run = entered(role, source, read_only, true).ended(2);
        let error = &run.stderr;
        assert!(error.contains("could be written through"), "{source}: {error}");
        assert!(error.contains(&format!("`{}`", place.path(source).display())), "{error}");
    }
    // Also where its record cannot be read, and only the list says what it was given.
    let inner = place.path("mine/inner");
    let flag = inner.display().to_string();
    empty(FakeDocker::new()).install(&place);
    let status = Xtask::at(&place).args(["status", "--json", "--workspace", &flag]).run().ok().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let folder = Path::new(status["state_folder"].as_str().expect("a folder")).to_owned();
    fs::create_dir_all(&folder).expect("its folder");
    let list = json!({"format": 1, "exposed": {(inner.display().to_string()): null}, "confirmed": {}});
    place.write("state/codex-sandbox/exposed.json", list.to_string());
    let name = folder.file_name().expect("a name").to_str().expect("plain").to_owned();
    let run = entered_beside(dataset.clone(), "other", true, true, &name).ended(2);
    assert!(
        run.stderr.contains(&format!("`{flag}` of the sandbox of `{flag}` could be written through")),
        "{}",
        run.stderr
    );
    fs::remove_dir_all(folder).expect("removed");
    fs::remove_file(place.path("state/codex-sandbox/exposed.json")).expect("removed");

    let stopped = entered(dataset.clone(), "mine/data", true, false).ok();
    assert!(stopped.stderr.contains("that one does not run now"), "{}", stopped.stderr);
    for (source, read_only) in [("ssv2", true), ("mine", false), ("other", true)] {
        let run = entered(dataset.clone(), source, read_only, true).ok();
        assert!(!run.stderr.contains("could be written through"), "{source}: {}", run.stderr);
    }
}
