//! Variables and programs that an agent could have written are refused or left out.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;

struct World {
    dir: tempfile::TempDir,
    cx: Context,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        for name in ["project/docker", "home/.docker/cli-plugins", "bin"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let root = dir.path().canonicalize().unwrap();
        let path = root.join("bin").display().to_string();
        let env = [("PATH".to_owned(), path)].into();
        World { dir, cx: Context { home: root.join("home"), cwd: root, env, ..Context::default() } }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn refused(&self, env: &[(&str, &str)], allowed: &[&str]) -> Option<String> {
        let mut cx = self.cx.clone();
        cx.env.extend(
            env.iter().map(|(name, value)| (name.to_string(), value.replace('@', self.at("").to_str().unwrap()))),
        );
        let allowed = allowed.iter().map(|name| self.at(name)).collect();
        let grounds = Grounds { dirs: vec![self.at("project")], exposed: None, allowed, home: None };
        refuse(&cx, &grounds).err().map(|err| err.message)
    }
}

#[test]
fn every_variable_that_names_what_a_sandbox_can_write_is_refused() {
    let w = World::new();
    symlink(w.at("project"), w.at("link")).unwrap();
    for (name, names, _) in rows().filter(|(_, names, to)| *names != Names::Nothing && *to != To::Outside) {
        let start = match names {
            Names::Address => "unix://",
            Names::Bus => "unix:guid=0,path=",
            Names::Nothing | Names::Zone | Names::Path | Names::Paths | Names::Programs | Names::Any => "",
        };
        // Also what an agent has not made yet, what is reached by a link, and what is relative.
        for path in
            ["@project", "@project/docker", "@project/not/yet", "@link/docker", "project/docker", "@bin/../project/x"]
        {
            let why = w.refused(&[(name, &format!("{start}{path}"))], &[]).unwrap_or_default();
            let words = ["a sandbox with `".to_owned(), format!("the variable `{name}` names `")];
            let said = why.starts_with(&words[usize::from(name != "HOME")]);
            assert!(said && why.contains(&format!("`{}`", w.at("project").display())), "{name}={path}: {why}");
        }
        for path in ["@bin", "@projects", "/nowhere", ""] {
            assert_eq!(w.refused(&[(name, &format!("{start}{path}"))], &[]), None, "{name}={path}");
        }
        if names == Names::Paths {
            assert!(w.refused(&[(name, "@bin:@project/x")], &[]).is_some(), "{name}");
        }
    }
    let inside = |value: &str| {
        let env = [("RUSTC_WRAPPER".to_owned(), value.to_owned())].into();
        let cx = Context { cwd: w.at("project"), env, ..w.cx.clone() };
        refuse(&cx, &Grounds { dirs: vec![w.at("project")], exposed: None, allowed: Vec::new(), home: None }).is_err()
    };
    assert!(!inside("sccache") && inside("./sccache"));
    assert_eq!(w.refused(&[("DOCKER_HOST", "tcp://192.0.2.1:2376")], &[]), None);
    // What the user hands out by its name, or vouches for.
    assert_eq!(w.refused(&[("DOCKER_CONFIG", "@project/docker")], &["project"]), None);
    assert_eq!(w.refused(&[("TMPDIR", "@project/docker")], &["project/docker"]), None);
    assert!(w.refused(&[("TMPDIR", "@project/x")], &["project/docker"]).is_some());
    // Who shares the Codex home can say where it is, and name nothing else by that.
    let shares = |name: &str, home: &str| {
        let env = [(name.to_owned(), w.at("project/home").display().to_string())].into();
        let grounds =
            Grounds { dirs: vec![w.at("project/home")], exposed: None, allowed: Vec::new(), home: Some(w.at(home)) };
        refuse(&Context { env, ..w.cx.clone() }, &grounds).is_ok()
    };
    assert!(shares("CODEX_HOME", "project/home"));
    assert!(!shares("CODEX_HOME", "other") && !shares("DOCKER_CONFIG", "project/home"));
}

#[test]
fn no_plugin_and_no_settings_of_docker_s_client_lead_into_what_a_sandbox_can_write() {
    let w = World::new();
    let own = ["home/.docker/config.json", "home/.docker/contexts", "home/.docker/cli-plugins/docker-compose"];
    assert_eq!(w.refused(&[], &[]), None);
    for link in own {
        symlink(w.at("project/x"), w.at(link)).unwrap();
        assert!(w.refused(&[], &[]).is_some_and(|why| why.contains("by which `docker`")), "{link}");
        fs::remove_file(w.at(link)).unwrap();
    }
    fs::create_dir(w.at("more")).unwrap();
    let settings = |dir: &str| serde_json::json!({"cliPluginsExtraDirs": [w.at(dir)]}).to_string();
    fs::write(w.at("home/.docker/config.json"), settings("more")).unwrap();
    assert_eq!(w.refused(&[], &[]), None);
    symlink(w.at("project/x"), w.at("more/docker-compose")).unwrap();
    assert!(w.refused(&[], &[]).is_some());
    fs::write(w.at("home/.docker/config.json"), settings("project/plugins")).unwrap();
    assert!(w.refused(&[], &[]).is_some());
    // Wherever the settings lie.
    let other = w.at("other");
    fs::create_dir(&other).unwrap();
    symlink(w.at("project"), other.join("cli-plugins")).unwrap();
    fs::remove_file(w.at("home/.docker/config.json")).unwrap();
    assert!(w.refused(&[("DOCKER_CONFIG", "@other")], &[]).is_some());
}

#[test]
fn a_pipe_at_the_place_of_settings_is_refused_because_who_reads_it_waits() {
    let w = World::new();
    let grounds = Grounds { dirs: Vec::new(), exposed: None, allowed: Vec::new(), home: None };
    for name in [".docker/config.json", ".gitconfig", ".config/git/config"] {
        let file = w.cx.home.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, 0o600.into()).unwrap();
        assert!(refuse(&w.cx, &grounds).unwrap_err().message.contains("is a pipe"), "{name}");
        std::fs::remove_file(&file).unwrap();
        // As who wants no settings there has it.
        std::os::unix::fs::symlink("/dev/null", &file).unwrap();
        assert!(refuse(&w.cx, &grounds).is_ok(), "{name}");
    }
}

#[test]
fn no_program_is_a_link_into_what_a_sandbox_can_write() {
    let w = World::new();
    symlink(w.at("project/docker"), w.at("bin/docker")).unwrap();
    assert!(w.refused(&[], &[]).is_some_and(|why| why.starts_with("the program `")));
}

#[test]
fn what_programs_start_themselves_is_looked_at_too() {
    let w = World::new();
    let settings = serde_json::json!({"credsStore": "pass", "credHelpers": {"r.example.org": "ecr-login"}});
    fs::write(w.at("home/.docker/config.json"), settings.to_string()).unwrap();
    for name in
        ["ssh", "gpg", "pass", "node", "nvidia-ctk", "sudo", "docker-credential-pass", "docker-credential-ecr-login"]
    {
        symlink(w.at("project/x"), w.at("bin").join(name)).unwrap();
        let why = w.refused(&[], &[]).unwrap_or_default();
        assert!(why.starts_with("the program `") && why.contains(&format!("/bin/{name}`")), "{name}: {why}");
        fs::remove_file(w.at("bin").join(name)).unwrap();
    }
    symlink(w.at("project/x"), w.at("bin/docker-credential-other")).unwrap();
    assert_eq!(w.refused(&[], &[]), None, "nobody starts it");
    for (first, is_refused) in [
        (format!("#!{}/python\n", w.at("project").display()), true),
        (format!("#!/usr/bin/env -S A=1 {}/x y\n", w.at("project").display()), true),
        ("#!/usr/bin/env docker-credential-other\n".to_owned(), true),
        ("#!/bin/sh\n".to_owned(), false),
        ("#!/usr/bin/env there-is-none\n".to_owned(), false),
    ] {
        fs::write(w.at("bin/codex"), &first).unwrap();
        assert_eq!(w.refused(&[], &[]).is_some(), is_refused, "{first}");
    }
}

#[test]
fn whatever_is_started_must_lie_where_no_sandbox_can_write() {
    let w = World::new();
    symlink(w.at("project/x"), w.at("bin/tool")).unwrap();
    let dirs = [w.at("project")];
    for program in ["project/x", "bin/tool", "bin/../project/y"] {
        let why = refuse_program(&w.at(program), &dirs).unwrap_err();
        assert!(why.message.contains("where a sandbox can write: nothing is started"), "{}", why.message);
    }
    assert!(refuse_program(&w.at("bin/other"), &dirs).is_ok());
}

#[test]
fn an_environment_has_what_the_table_hands_on_and_nothing_else() {
    let names = [
        "BASH_ENV",
        "BASH_FUNC_x%%",
        "BUILDX_BAKE_FILE",
        "CARGO_HOME",
        "COMPOSE_ENV_FILES",
        "COMPOSE_FILE",
        "DOCKER_BUILDKIT",
        "DOCKER_DEFAULT_PLATFORM",
        "DOCKER_HOST",
        "ENV",
        "GIT_CONFIG_COUNT",
        "GIT_DIR",
        "HOME",
        "HTTPS_PROXY",
        "LC_ALL",
        "LD_AUDIT",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "NODE_OPTIONS",
        "PATH",
        "PYTHONPATH",
        "https_proxy",
    ];
    let env: std::collections::BTreeMap<String, String> = names.map(|name| (name.to_owned(), "x".to_owned())).into();
    let handed_on: Vec<String> = handed_on(env.clone()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(handed_on, ["DOCKER_HOST", "HOME", "HTTPS_PROXY", "LC_ALL", "PATH", "https_proxy"]);
    let said = said(&Context { env, unreadable: vec!["COMPOSE_PROFILES".to_owned()], ..Context::default() });
    let names = ["BUILDX_BAKE_FILE", "COMPOSE_ENV_FILES", "COMPOSE_FILE", "COMPOSE_PROFILES"].join("`, `");
    let more = ["DOCKER_DEFAULT_PLATFORM", "GIT_CONFIG_COUNT", "GIT_DIR", "LD_AUDIT", "LD_PRELOAD", "NODE_OPTIONS"];
    let names = format!("`{names}`, `{}` are not passed on", more.join("`, `"));
    assert!(said.as_ref().is_some_and(|said| said.starts_with(&names)), "{said:?}");
    let quiet = ["PYTHONPATH", "DOCKER_BUILDKIT", "DOCKER_HOST", "GIT_SSL_CAINFO"]
        .map(|name| (name.to_owned(), "x".to_owned()));
    assert_eq!(super::said(&Context { env: quiet.into(), ..Context::default() }), None);
}

#[test]
fn what_helpers_of_what_is_started_need_goes_on_unless_it_lies_where_a_sandbox_can_write() {
    let w = World::new();
    let grounds = Grounds { dirs: vec![w.at("project")], exposed: None, allowed: Vec::new(), home: None };
    let inside = w.at("project/x").display().to_string();
    let left = |name: &str, value: &str| {
        let cx = Context { env: [(name.to_owned(), value.to_owned())].into(), ..w.cx.clone() };
        assert!(refuse(&cx, &grounds).is_ok() && said(&cx).is_none() && is_handed_on(name), "{name}={value}");
        left_out(&cx, &grounds).iter().map(left_out_line).collect::<Vec<_>>()
    };
    for (name, outside) in [
        ("AWS_PROFILE", "work"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/aws"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
        ("AWS_LATER", "x:/nowhere/y"),
        ("AZURE_CONFIG_DIR", "/nowhere/azure"),
        ("CLOUDSDK_CONFIG", "/nowhere/gcloud"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json"),
        ("KRB5CCNAME", "FILE:/tmp/krb5cc_1000"),
        ("GPG_TTY", "/dev/pts/3"),
        ("XAUTHORITY", "/nowhere/.Xauthority"),
        ("WAYLAND_DISPLAY", "wayland-0"),
        ("SSH_ASKPASS", "/usr/lib/ssh/ssh-askpass"),
        ("NIX_LD", "/nix/store/x/ld.so"),
        ("NODENV_ROOT", "/nowhere/nodenv"),
        ("ASDF_CONFIG_FILE", "/nowhere/.asdfrc"),
        ("CLOUDSDK_GSUTIL_PYTHON", "/nowhere/python"),
        ("TZ", "/usr/share/zoneinfo/Europe/Berlin"),
    ] {
        assert_eq!(left(name, outside), Vec::<String>::new(), "{name}");
        let said = left(name, &inside);
        assert!(said[0].starts_with(&format!("`{name}` is not passed on: it names `{inside}`")), "{said:?}");
    }
    // A relative path is relative to where the command was typed.
    assert_eq!(left("AWS_CONFIG_FILE", "project/aws").len(), 1);
    assert_eq!(left("KRB5CCNAME", &format!("FILE:{inside}")).len(), 1);
    assert_eq!(left("DISPLAY", ":0"), Vec::<String>::new());
    // The name of a zone is no path of the directory where the command was typed, and behind a colon it may be a file.
    assert_eq!((left("TZ", "project/x"), left("TZ", &format!(":{inside}")).len()), (Vec::new(), 1));
}

#[test]
fn a_time_zone_that_leads_elsewhere_and_code_for_an_interpreter_are_not_handed_on() {
    for (name, value) in [("TZ", "Europe/../../x"), ("TZ", ":../x"), ("CLOUDSDK_PYTHON_ARGS", "-c 'import x'")] {
        let env = || [(name.to_owned(), value.to_owned())];
        assert!(handed_on(env()).is_empty(), "{name}={value}");
        let said = said(&Context { env: env().into(), ..Context::default() });
        assert!(said.is_some_and(|said| said.contains(&format!("`{name}` is not passed on"))), "{name}={value}");
    }
    for value in ["Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3", ":UTC"] {
        let env = [("TZ".to_owned(), value.to_owned())];
        assert_eq!(handed_on(env.clone()), env, "{value}");
        assert_eq!(said(&Context { env: env.into(), ..Context::default() }), None);
    }
}

#[test]
fn what_changes_what_is_started_and_is_not_handed_on_is_said() {
    for name in [
        "GIT_SSH_COMMAND",
        "GIT_DIR",
        "GIT_PROXY_COMMAND",
        "DOCKER_DEFAULT_PLATFORM",
        "CODEX_SQLITE_HOME",
        "CONTAINER_HOST",
        "NODE_OPTIONS",
        "NODE_TLS_REJECT_UNAUTHORIZED",
        "LD_PRELOAD",
        "PASSWORD_STORE_GPG_OPTS",
        "GPG_AGENT_INFO",
        "SSH_SK_PROVIDER",
        "NPM_CONFIG_USERCONFIG",
        "NODENV_DIR",
        "ASDF_LATER",
        "SUDO_PROMPT",
    ] {
        let cx = Context { env: [(name.to_owned(), "x".to_owned())].into(), ..Context::default() };
        assert!(said(&cx).is_some_and(|said| said.starts_with(&format!("`{name}` is not passed on"))), "{name}");
    }
    for name in ["GIT_EDITOR", "SSH_TTY", "SUDO_USER", "CODEX_API_KEY", "EDITOR", "LD_LIBRARY_PATH"] {
        let cx = Context { env: [(name.to_owned(), "x".to_owned())].into(), ..Context::default() };
        assert_eq!(said(&cx), None, "{name}");
    }
    let odd = Context { unreadable: vec!["AWS_PROFILE".into(), "EDITOR".into()], ..Context::default() };
    assert!(said(&odd).is_some_and(|said| said.starts_with("`AWS_PROFILE` is not passed on")));
}

#[test]
fn no_name_is_listed_twice_and_nothing_that_loads_code_is_handed_on() {
    let mut names: Vec<&str> = rows().map(|(name, ..)| name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    for start in ["LD_", "PYTHON", "GIT_", "COMPOSE_", "BASH", "NODE_OPTIONS", "PERL", "RUBY", "CARGO", "GLIBC_"] {
        assert!(!rows().any(|(name, _, to)| to != To::None && name.starts_with(start)), "{start}");
    }
}

#[test]
fn the_page_about_the_environment_names_every_variable_that_is_handed_on() {
    let page = include_str!("../../../docs/environment.md");
    let table = page.split("\n## ").find(|part| part.starts_with("What programs of the host get")).unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let named: BTreeSet<&str> = cells.flat_map(|cell| cell.split(['`', ' '])).filter(|name| !name.is_empty()).collect();
    let handed_on = rows().filter(|(.., to)| *to != To::None).map(|(name, ..)| name);
    // The one that goes to Codex alone, where it is asked for the login.
    assert_eq!(named, handed_on.chain([crate::codex::login::SERVER]).collect());
    for name in WANTED {
        assert!(table.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn a_name_that_is_not_utf8_is_refused_where_it_would_name_something() {
    let grounds = Grounds { dirs: Vec::new(), exposed: None, allowed: Vec::new(), home: None };
    let refused = |name: &str| {
        let odd = Context { unreadable: vec![name.to_owned()], ..Context::default() };
        refuse(&odd, &grounds).err().map(|err| err.message)
    };
    let why = refused("DOCKER_CONFIG").unwrap();
    assert!(why.starts_with("the variable `DOCKER_CONFIG` names something whose name is not UTF-8"), "{why}");
    assert_eq!((refused("COMPOSE_FILE"), refused("LC_ALL")), (None, None));
}
