//! Wrong settings on the command line and in the files.

#[test]
fn a_misspelt_setting_or_value_is_answered_with_the_nearest() {
    use crate::support::place::Place;
    use crate::support::run::Xtask;
    use snapbox::str;
    let place = Place::new();
    let run = |args: &[&str]| Xtask::at(&place).args(args.iter().copied()).run();
    run(&["sandbox", "--yes", "--network", "opn"]).exactly(
        2,
        "",
        str![[r#"
error: `--network opn` is none of `open`, `none`
hint: did you mean `open`?

"#]],
    );
    run(&["sandbox", "--yes", "--gpus", "nnoe"]).exactly(
        2,
        "",
        str![[r#"
error: `--gpus nnoe`: `nnoe` is neither `all` nor `none` nor the id of a GPU
hint: did you mean `none`?

"#]],
    );
    place.write("repo/sandbox.local.yaml", "codex_home: mirorr\n");
    run(&["status"]).exactly(
        2,
        "",
        str![[r#"
error: `codex_home: mirorr` in `sandbox.local.yaml` is none of `mirror`, `shared`, `none`
hint: did you mean `mirror`?

"#]],
    );
}

/// What can lie where a settings file is read, whatever made it.
#[test]
fn whatever_lies_where_settings_are_read_is_refused_at_once_with_one_error() {
    use crate::support::place::Place;
    use crate::support::run::Xtask;
    use std::os::unix::fs::symlink;
    use std::{fs, iter};
    let laughs = iter::once("a0: &a0 [x, x]\n".to_owned())
        .chain((1..60).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1)))
        .collect::<String>();
    let texts: [(&str, Vec<u8>); 11] = [
        ("brackets", "[".repeat(100_000).into()),
        ("brackets in lines", "[\n".repeat(100_000).into()),
        ("braces", format!("env: {}", "{a: ".repeat(100_000)).into()),
        ("lists", "- ".repeat(100_000).into()),
        ("questions", "? ".repeat(100_000).into()),
        ("aliases", laughs.into()),
        ("not UTF-8", b"network: \xff\n".into()),
        ("a NUL", b"network: open\0\n".into()),
        ("UTF-16", b"\xff\xfen\0e\0t\0".into()),
        ("a key twice", "network: open\nnetwork: none\n".into()),
        ("deep lines", (0..1000).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>().into()),
    ];
    for name in ["repo/sandbox.local.yaml", "repo/sandbox.yaml"] {
        let place = Place::new();
        let file = place.dir().join(name);
        let refused = |what: &str| {
            let run = Xtask::at(&place).args(["status"]).run();
            let run = run.ended(2);
            let said = &run.stderr;
            assert_eq!(said.matches("error: ").count(), 1, "{what}: {said}");
            assert!(said.contains("hint: ") && said.len() < 1000, "{what}: {said}");
        };
        for (what, bytes) in &texts {
            fs::write(&file, bytes).unwrap();
            refused(what);
        }
        // 100 MB that take no room on the disk.
        fs::File::create(&file).unwrap().set_len(100_000_000).unwrap();
        refused("huge");
        fs::remove_file(&file).unwrap();
        for to in ["missing", file.file_name().unwrap().to_str().unwrap(), "/dev/zero", "/dev/null", "workspace"] {
            symlink(to, &file).unwrap();
            refused(to);
            fs::remove_file(&file).unwrap();
        }
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, 0o600.into()).unwrap();
        refused("a pipe");
        fs::remove_file(&file).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
        refused("a socket");
        drop(socket);
        fs::remove_file(&file).unwrap();
        fs::write(&file, "\u{feff}network: none\n").unwrap();
        let run = Xtask::at(&place).args(["status"]).run();
        assert!(!run.stderr.contains("YAML") && !run.stderr.contains("setting"), "{}", run.stderr);
    }
}

/// What a user's environment says of its directories is not made up for, and nothing is made at a place that is none.
#[test]
fn a_home_that_does_not_exist_and_a_relative_place_for_state_are_refused() {
    use crate::support::place::Place;
    use crate::support::run::Xtask;
    let place = Place::new();
    let file = place.write("file", "");
    let missing = place.path("missing");
    for (name, value) in [
        ("HOME", ""),
        ("HOME", "home"),
        ("HOME", missing.to_str().unwrap()),
        ("HOME", file.to_str().unwrap()),
        ("XDG_STATE_HOME", "state"),
        ("XDG_STATE_HOME", "../state"),
    ] {
        for task in [["status"].as_slice(), &["sandbox", "--yes"], &["down", "--all"], &["doctor"]] {
            let run = Xtask::at(&place).env(name, value).args(task.iter().copied()).run().ended(2);
            assert!(run.error().contains(name) && run.stderr.contains("hint: "), "{name}={value}: {}", run.stderr);
        }
    }
    assert!(!missing.exists() && std::fs::read_dir(place.path("state")).unwrap().next().is_none());
}
