//! What the settings come to, from texts and flags.

use super::*;
use crate::context::Context;
use crate::spec::words::Gpus;
use anyhow::Result;
use std::path::{Path, PathBuf};

mod schema;

fn context(env: &[(&str, &str)]) -> Context {
    Context {
        root: "/repo".into(),
        cwd: "/cwd".into(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        state: "/state".into(),
        home: "/home/me".into(),
        memory: Some(128 << 30),
        ..Context::default()
    }
}

fn resolved(flags: &Flags, env: &[(&str, &str)], local: &str, project: &str) -> Result<Settings> {
    let layers = [parse(LOCAL_FILE, Path::new("/repo"), local)?, parse("sandbox.yaml", Path::new("/repo"), project)?];
    resolve(&context(env), flags, &layers)
}

fn ssv2(settings: &Settings) -> Option<String> {
    let found = settings.datasets.iter().find(|d| d.name == "ssv2")?;
    found.source.as_ref().map(|path| path.to_string_lossy().into_owned())
}

#[test]
fn a_flag_beats_the_environment_beats_the_local_file_beats_the_project_file() {
    let (project, local) = ("datasets: {ssv2: /project}", "datasets: {ssv2: ~/local}");
    let flags = Flags::from(ProjectFlags { datasets: vec![("ssv2".into(), "flag".into())], ..ProjectFlags::default() });
    let env = [("SSV2_DIR", "/env")];
    let none = Flags::default();
    assert_eq!(ssv2(&resolved(&flags, &env, local, project).unwrap()).unwrap(), "/cwd/flag");
    assert_eq!(ssv2(&resolved(&none, &env, local, project).unwrap()).unwrap(), "/env");
    assert_eq!(ssv2(&resolved(&none, &[], local, project).unwrap()).unwrap(), "/home/me/local");
    assert_eq!(ssv2(&resolved(&none, &[], "datasets: {ssv2: }", project).unwrap()).unwrap(), "/project");
    assert_eq!(ssv2(&resolved(&none, &[], "", "").unwrap()), None);
}

#[test]
fn a_data_set_is_taken_out_by_none_and_comes_back_where_a_stronger_gives_its_directory() {
    let names = |flags: &Flags, env: &[(&str, &str)], local: &str, project: &str| {
        let settings = resolved(flags, env, local, project).unwrap();
        settings.datasets.into_iter().map(|set| set.name).collect::<Vec<_>>()
    };
    let (none, out) = (Flags::default(), "datasets: {ssv2: none}");
    assert_eq!(names(&none, &[], "", ""), ["ssv2"]);
    assert_eq!(names(&none, &[], out, "datasets: {ssv2: /project, k: /k}"), ["k"]);
    assert_eq!(names(&none, &[], "datasets: {ssv2: }", out), [""; 0], "a bare name says nothing");
    assert_eq!(names(&none, &[("SSV2_DIR", "/env")], out, ""), ["ssv2"]);
    assert_eq!(ssv2(&resolved(&none, &[], "datasets: {ssv2: ./none}", "").unwrap()).unwrap(), "/repo/./none");
    let settings = resolved(&none, &[], out, "").unwrap();
    let origin = settings.origins.iter().find(|origin| origin.key == "datasets.ssv2").unwrap();
    assert_eq!((origin.value.as_str(), origin.from.as_str()), ("none", LOCAL_FILE));
    assert!(no_source("ssv2").remedies[0].to_string().contains("`--dataset ssv2=none` does without it"));
    let cx = Context { cwd: "/cwd".into(), memory: Some(128 << 30), ..Context::default() };
    let flags = |dir: &str| {
        Flags::from(ProjectFlags { datasets: vec![("ssv2".into(), dir.into())], ..ProjectFlags::default() })
    };
    assert_eq!(resolve(&cx, &flags("none"), &[]).unwrap().datasets, []);
    assert!(resolve(&cx, &flags("./none"), &[]).unwrap().datasets[0].source.is_some(), "a directory of that name");
    assert_eq!(flags("none").given(&cx), [("--dataset", vec!["'ssv2=none'".to_owned()])]);
}

#[test]
fn the_committed_settings_file_is_valid_and_says_the_defaults() {
    let settings = resolved(&Flags::default(), &[], "", include_str!("../../../../sandbox.yaml")).unwrap();
    let bare = resolved(&Flags::default(), &[], "", "").unwrap();
    let origins = Vec::new;
    assert_eq!(Settings { origins: origins(), ..settings }, Settings { origins: origins(), ..bare });
}

#[test]
fn wrong_settings_are_named_with_their_file() {
    let error = |local: &str| crate::error::render(&resolved(&Flags::default(), &[], local, "").unwrap_err());
    assert!(error("dataset: {}").contains("unknown setting `dataset`"));
    assert!(error("dataset: {}").contains("did you mean `datasets`?"));
    assert!(error("datasets:\n\tssv2: /d").contains("hint: line 2 is indented with a tab"));
    assert!(error("gpus: 'a b'").contains("names no GPUs"));
    assert!(error("shm_size: lots").contains("`shm_size: lots` in `sandbox.local.yaml` is not a size"));
    for bad in [
        "shm_size: lots", "pids_limit: many", "gpus: 'a b'", "network: opn", "memlock: 64m", "ptrace: no", "base: ''",
        "base: [a]", "arch_list: blackwell", "env: [PATH]", "env: A", "caches: [pipp]", "datasets: ssv2 /x",
        "workspace: [a]", "a: [", "just text", "nothing: 1",
    ] {
        let text = error(bad);
        let key = bad.split_once(':').map_or(LOCAL_FILE, |(key, _)| key);
        assert!(
            text.contains(key) && text.contains("`sandbox.local.yaml`") && text.contains("\nhint: "),
            "{bad}: {text}"
        );
    }
    assert_eq!(
        error("memlock: 64m"),
        "error: `memlock: 64m` in `sandbox.local.yaml` is none of `unlimited`, `engine`\nhint: sandbox.yaml explains each\n"
    );
    assert!(error("datasets: {UPPER: /x}").contains("not a name for a data set"));
    assert!(error("env: [A=b]").contains("gives `A` a value"));
    assert!(error("env: [a-b]").contains("not a variable's name"));
    assert!(error("a: [").contains("is not valid YAML"));
}

#[test]
fn a_data_set_is_remembered_and_the_rest_of_the_file_stays() {
    let dir = Path::new("/data/my \"sets\": $x, é");
    let kept = "# mine\ngpus: none\ndatasets:\n  ssv2:\n  k400: /k # big\n";
    let text = with_dataset(kept, "ssv2", dir).unwrap();
    assert!(text.starts_with("# mine\ngpus: none\ndatasets:\n  ssv2: \""), "{text}");
    assert!(text.ends_with("  k400: /k # big\n"), "{text}");
    assert_eq!(with_dataset("", "ssv2", Path::new("/d")).unwrap(), "datasets:\n  ssv2: \"/d\"\n");
    assert!(with_dataset("datasets: {k: /k}\n", "ssv2", dir).is_err());
}

#[test]
fn a_misspelt_word_is_answered_with_the_nearest() {
    let error = |flags: &Flags, local: &str| crate::error::render(&resolved(flags, &[], local, "").unwrap_err());
    for (local, first, near) in [
        ("codex_home: mirorr", "`codex_home: mirorr` in `sandbox.local.yaml` is none of", "mirror"),
        ("network: opn", "`network: opn` in `sandbox.local.yaml` is none of", "open"),
        ("ptrace: denyy", "`ptrace: denyy` in `sandbox.local.yaml` is none of", "deny"),
        ("memlock: enginee", "`memlock: enginee` in `sandbox.local.yaml` is none of", "engine"),
        ("gpus: nnoe", "`gpus: nnoe` in `sandbox.local.yaml`: `nnoe` is neither `all` nor `none` nor", "none"),
        ("shmsize: 1g", "`sandbox.local.yaml` has an unknown setting `shmsize`", "shm_size"),
        ("codex-home: none", "`sandbox.local.yaml` has an unknown setting `codex-home`", "codex_home"),
    ] {
        let text = error(&Flags::default(), local);
        assert!(text.starts_with(&format!("error: {first}")), "{text}");
        assert!(text.ends_with(&format!("hint: did you mean `{near}`?\n")), "{text}");
    }
    let text = |text: &str| Some(text.to_owned());
    let (network, codex_home) = (text("opn"), text("mirorr"));
    let flags = Flags { network, ..Flags::default() };
    assert!(error(&flags, "").starts_with("error: `--network opn` is none of `open`, `none`\n"));
    let flags = Flags { codex_home, ..Flags::default() };
    assert!(error(&flags, "").starts_with("error: `--codex-home mirorr` is none of"));
    assert!(error(&Flags::default(), "1: x").contains("unknown setting `1`"));
}

#[test]
fn the_base_cpu_is_what_the_flag_asks_for() {
    let cpu = resolved(&Flags::default(), &[], "base: cpu", "gpus: all").unwrap();
    let flag = Flags::from(ProjectFlags { cpu: true, ..ProjectFlags::default() });
    let by_flag = resolved(&flag, &[], "", "gpus: all").unwrap();
    assert_eq!((cpu.base, cpu.shape.gpus), (None, Gpus::None));
    assert_eq!((by_flag.base, by_flag.shape.gpus), (None, Gpus::None));
    let origin = cpu.origins.iter().find(|origin| origin.key == "gpus").unwrap();
    assert_eq!((origin.value.as_str(), origin.from.as_str()), ("none", "base: cpu"));
}

#[test]
fn only_the_file_of_this_host_opens_refused_ground() {
    let err = resolved(&Flags::default(), &[], "", "allow_ground: [/etc]").unwrap_err();
    let text = "error: `allow_ground` stands in `sandbox.yaml`\n\
                hint: only you can say it, for this host: write it into sandbox.local.yaml\n";
    assert_eq!((crate::error::render(&err).as_str(), crate::error::exit_code(&err)), (text, 2));
    let flags = ProjectFlags { allow_ground: vec!["/srv".into()], ..ProjectFlags::default() };
    let settings = resolved(&Flags::from(flags), &[], "allow_ground: [~/.vim]", "").unwrap();
    assert_eq!(settings.allow_ground.len(), 2);
    assert!(settings.allow_ground[1].ends_with(".vim") && settings.allow_ground[1].is_absolute());
}

#[test]
fn a_data_set_without_a_directory_is_refused() {
    for dir in ["", "/d"] {
        let datasets = vec![("ssv2".to_owned(), dir.into())];
        let flags = Flags::from(ProjectFlags { datasets, ..ProjectFlags::default() });
        let Err(err) = resolved(&flags, &[], "", "") else {
            assert_eq!(dir, "/d");
            continue;
        };
        let text = "error: `--dataset ssv2` has no directory\nhint: write it as `--dataset NAME=DIR`\n";
        assert_eq!((crate::error::render(&err).as_str(), crate::error::exit_code(&err)), (text, 2));
    }
}

/// Some value that a setting takes, as the settings file has it.
fn values(kind: keys::ValueKind) -> Vec<String> {
    use keys::ValueKind;
    let one = |text: &str| vec![text.to_owned()];
    match kind {
        ValueKind::Path => one("/there"),
        ValueKind::Text(kind) => kind.samples().0,
        ValueKind::Shape(kind) => kind.samples().0,
        ValueKind::Variables => one("[HF_TOKEN]"),
        ValueKind::LocalPaths => one("[/opt]"),
        ValueKind::Datasets => one("{k400: /k}"),
        ValueKind::Some(words) => words().iter().map(|word| format!("[{word}]")).collect(),
    }
}

#[test]
fn every_setting_and_every_word_of_the_table_reaches_the_sandbox() {
    let bare = |settings: Settings| Settings { origins: Vec::new(), ..settings };
    for key in keys::KEYS {
        let mut seen = Vec::new();
        for value in values(key.kind) {
            let local = format!("{}: {value}", key.name);
            let settings = resolved(&Flags::default(), &[], &local, "").unwrap_or_else(|err| panic!("{local}: {err}"));
            let told = |origin: &Origin| origin.from == LOCAL_FILE && origin.key.split('.').next() == Some(key.name);
            assert!(settings.origins.iter().any(told), "`{local}` is not read");
            let settings = bare(settings);
            assert!(!seen.contains(&settings), "`{local}` changes nothing");
            seen.push(settings);
        }
        // A setting of one value changes the default; of several words at most one is the default.
        let default = bare(resolved(&Flags::default(), &[], "", "").unwrap());
        assert!(seen.len() > 1 || !seen.contains(&default), "`{}` changes nothing", key.name);
    }
}

#[test]
fn an_error_about_a_path_says_who_gave_it() {
    let flags = ProjectFlags { workspace: Some("w".into()), ..ProjectFlags::default() };
    let flags = Flags { git_alternates: vec!["/objects".into()], ..flags.into() };
    let local = "codex: /c\nallow_ground: [~/g]\ndatasets: {k: /k}";
    let settings = resolved(&flags, &[("SSV2_DIR", "/s")], local, "").unwrap();
    for (path, giver) in [
        ("/cwd/w", "--workspace"),
        ("/objects", "--git-alternate"),
        ("/c", LOCAL_FILE),
        ("/home/me/g", LOCAL_FILE),
        ("/k", LOCAL_FILE),
        ("/s", "SSV2_DIR"),
    ] {
        let said = settings.givers(&format!("the thing `{path}` cannot be used"));
        assert_eq!(said, [format!("`{path}` was given by `{giver}`")]);
    }
    assert_eq!(settings.givers("`/cwd/w/below` and `12.0` are fine"), Vec::<String>::new());
    let flags = ProjectFlags { datasets: vec![("a".into(), "~/a".into())], ..ProjectFlags::default() };
    let settings = resolved(&flags.into(), &[], "", "").unwrap();
    assert_eq!(settings.givers("`/home/me/a`"), ["`/home/me/a` was given by `--dataset a=…`"]);
}

#[test]
fn what_a_user_may_not_expect_is_said() {
    let settings = resolved(&Flags::default(), &[], "env: [A, B, C]\nbase: cpu", "").unwrap();
    let cx = context(&[("A", "1"), ("C", "")]);
    assert_eq!(settings.remarks(&cx).len(), 2, "{:?}", settings.remarks(&cx));
    assert!(settings.remarks(&cx)[0].starts_with("`B` of the list `env` is not set here"));
    let settings = resolved(&Flags::default(), &[], "base: cpu\ngpus: '0'", "gpus: all").unwrap();
    assert_eq!(settings.shape.gpus, Gpus::None);
    assert_eq!(
        settings.remarks(&cx),
        ["`gpus: 0` in `sandbox.local.yaml` has no effect: `base: cpu` means `gpus: none`, write that"]
    );
    for (local, project) in [("base: cpu", "gpus: all"), ("base: cpu\ngpus: none", "")] {
        assert_eq!(resolved(&Flags::default(), &[], local, project).unwrap().remarks(&cx), Vec::<String>::new());
    }
    assert_eq!(resolved(&Flags::default(), &[], "gpus: all", "base: cpu").unwrap().remarks(&cx).len(), 1);
    let flags = ProjectFlags { cpu: true, gpus: Some("all".into()), ..ProjectFlags::default() };
    let settings = resolved(&flags.into(), &[], "", "").unwrap();
    assert_eq!(
        settings.remarks(&cx),
        ["`--gpus all` hands GPUs to the CPU base image, which cannot use them: leave it out"]
    );
}

#[test]
fn a_path_that_cannot_be_passed_on_is_refused_wherever_it_was_given() {
    use std::os::unix::ffi::OsStrExt as _;
    let odd = || PathBuf::from(std::ffi::OsStr::from_bytes(b"odd\xff"));
    let project = |project| Flags::from(ProjectFlags { ..project });
    let none = ProjectFlags::default;
    for flags in [
        project(ProjectFlags { workspace: Some(odd()), ..none() }),
        project(ProjectFlags { datasets: vec![("k".into(), odd())], ..none() }),
        project(ProjectFlags { allow_ground: vec![odd()], ..none() }),
        Flags { codex: Some(odd()), ..Flags::default() },
        Flags { git_alternates: vec![odd()], ..Flags::default() },
        Flags { confirm: vec![odd()], ..Flags::default() },
    ] {
        let why = resolved(&flags, &[], "", "").unwrap_err();
        assert!(why.to_string().contains("`/cwd/odd\\xff` cannot be used: it is not UTF-8"), "{why}");
        assert_eq!(crate::error::exit_code(&why), 2);
    }
    for local in [r#"workspace: "a\e[2J""#, r#"codex: "a\nb""#, r#"datasets: {k: "a\nb"}"#, r#"allow_ground: ["a\nb"]"#]
    {
        let why = resolved(&Flags::default(), &[], local, "").unwrap_err();
        assert!(why.to_string().contains("cannot be used: it has a control character"), "{why}");
    }
}

#[test]
fn without_a_login_no_other_secret_goes_in_unless_the_settings_say_so_and_a_shared_home_is_refused() {
    let of = |text: &str| resolved(&Flags::default(), &[], text, "");
    for (text, secrets) in [
        ("", ConfigSecrets::Pass),
        ("login: full", ConfigSecrets::Pass),
        ("login: none", ConfigSecrets::Drop),
        ("login: none\nconfig_secrets: auto", ConfigSecrets::Drop),
        ("login: none\nconfig_secrets: pass", ConfigSecrets::Pass),
        ("config_secrets: drop", ConfigSecrets::Drop),
    ] {
        assert_eq!(of(text).unwrap().config_secrets(), secrets, "{text}");
    }
    assert!(of("codex_home: shared").is_ok() && of("codex_home: none\nlogin: none").is_ok());
    for setting in ["login: none", "config_secrets: drop"] {
        let why = of(&format!("codex_home: shared\n{setting}")).unwrap_err();
        assert!(why.to_string().contains(&format!("`{setting}` asks for less")), "{why}");
        assert_eq!(crate::error::exit_code(&why), 2);
    }
}
