use super::super::testing::World;
use super::*;

fn refuse(path: &Path) -> Result<String> {
    Err(host(format!("`{}` does not answer as Codex", path.display())).into())
}

/// A running program named `codex`: the host's `sleep`, which has the right name and nothing else.
fn sleeper(world: &World, path: &str) -> PathBuf {
    let sleep = which::which("sleep").unwrap().canonicalize().unwrap();
    world.program(path, fs::read(sleep).unwrap())
}

#[test]
fn the_program_behind_a_wrapper_is_found_by_starting_it() {
    let world = World::new();
    let binary = sleeper(&world, "opt/real/codex");
    let script = format!(
        "#!/bin/sh\ntest \"$1\" = app-server && test -d \"$CODEX_HOME\" || exit 9\n'{}' 60 &\nwait\n",
        binary.display()
    );
    let wrapper = world.program("bin/codex", script);
    assert_eq!(native(&world.cx(), &wrapper, &refuse).unwrap(), binary);
}

#[test]
fn a_shim_that_is_a_native_program_is_not_taken_for_codex() {
    let world = World::new();
    let binary = sleeper(&world, "volta/tools/image/codex");
    // bash runs the script `app-server` of PATH: as volta does, it decides by its arguments what to become.
    let bash = which::which("bash").unwrap().canonicalize().unwrap();
    let shim = world.program("volta/bin/volta-shim", fs::read(bash).unwrap());
    world.program("bin/app-server", format!("exec '{}' 60\n", binary.display()));
    let launcher = world.link("bin/codex", shim);
    assert_eq!(native(&world.cx(), &launcher, &refuse).unwrap(), binary);
}

#[test]
fn a_script_that_never_becomes_codex_is_said_to_be_one() {
    let world = World::new();
    let script = world.program("bin/codex", "#!/bin/sh\nexit 1\n");
    let err = native(&world.cx(), &script, &refuse).unwrap_err();
    let text = crate::error::render(&err).replace(world.path("").to_str().unwrap(), "W/");
    assert_eq!(
        text,
        "error: cannot see which program `W/bin/codex` runs: it is the script `W/bin/codex` (`#!/bin/sh`); started, it \
         does not turn into a program named `codex`\nhint: give the native program with `--codex PATH`; it is the large \
         file `codex` that your package manager keeps beside its launcher\n"
    );
    assert_eq!(crate::error::exit_code(&err), 3);
}

#[test]
fn a_node_script_of_another_package_is_not_codex() {
    let world = World::new();
    let js = world.program("lib/node_modules/other/bin/codex.js", "#!/usr/bin/env node\n");
    fs::write(world.path("lib/node_modules/other/package.json"), "{\"name\": \"other\"}").unwrap();
    world.package(&format!("lib/node_modules/@openai/{}", super::super::testing::vendor()));
    assert_eq!(behind_script(&js, &js), None);
}

#[test]
fn only_a_script_that_can_run_one_thing_is_understood() {
    let target = |text: &str| exec_target(text).map(|path| path.display().to_string());
    let same =
        "exec \"$basedir/node\"  \"$basedir/a/codex.js\" \"$@\"\nexec node  \"$basedir_abs\"/'a/codex.js' \"$@\"";
    assert_eq!(target(same).as_deref(), Some("a/codex.js"));
    assert_eq!(target("exec node /a/codex.js \"$@\"").as_deref(), Some("/a/codex.js"));
    assert_eq!(target("# exec node /a/codex.js"), None);
    assert_eq!(target("exec node /a/codex.js\nexec node /b/codex.js"), None);
    assert_eq!(target("exec node /a/codex.js\nexec other"), None);
    assert_eq!(target("exec node \"$HOME/a/codex.js\""), None);
    assert_eq!(target("exec node 'a/codex.js"), None);
}

#[test]
fn relative_entries_of_path_are_not_searched() {
    let world = World::new();
    world.native("codex", "planted");
    let mut cx = world.cx();
    for path in [".", "", ":", ".:bin"] {
        cx.env.insert("PATH".to_owned(), path.to_owned());
        assert!(find(&cx, None).is_err(), "{path}");
    }
    let real = world.native("bin/codex", "real");
    cx.env.insert("PATH".to_owned(), format!(".:{}", world.path("bin").display()));
    assert_eq!(find(&cx, None).unwrap(), real);
}
