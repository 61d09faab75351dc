//! What the first line of a hook or a program names.

use super::settings::Set;
use super::*;

fn script(path: &Path, first: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("{first}\nexit 0\n")).unwrap();
}

#[test]
fn the_interpreter_of_a_hook_and_of_a_program_is_read_only_when_it_lies_in_the_workspace() {
    let set =
        Set::new("[core]\n\tfsmonitor = ~/bin/fsm\n\tpager = tools/page\n").files(&["venv/a", "venv/b", "venv/c"]);
    // A blank ends the path of an interpreter.
    symlink(&set.w.f.workspace, set.w.f.path("w")).unwrap();
    let at = |name: &str| set.w.f.path("w").join(name).display().to_string();
    script(&set.w.at(".git/hooks/pre-commit"), &format!("#!{}", at("venv/a")));
    // By a script outside that a script runs, and by `env`.
    script(&set.env.home.join("bin/fsm"), &format!("#!{}", set.env.home.join("bin/outer").display()));
    script(&set.env.home.join("bin/outer"), &format!("#!/usr/bin/env -S X=1 {} -u", at("venv/b")));
    script(&set.w.at("tools/page"), &format!("#!/usr/bin/awk {}", at("venv/c")));
    set.guards(&["tools/page", "venv/a", "venv/b", "venv/c"]);
}

#[test]
fn an_interpreter_that_is_a_symlink_out_of_the_workspace_is_refused_with_a_remedy_that_works() {
    let set = Set::new("").files(&["venv/x"]);
    let python = set.w.at("venv/bin/python");
    fs::create_dir_all(python.parent().unwrap()).unwrap();
    symlink("/bin/sh", &python).unwrap();
    symlink(&set.w.f.workspace, set.w.f.path("w")).unwrap();
    let plain = set.w.f.path("w/venv/bin/python");
    let real = Path::new("/bin/sh").canonicalize().unwrap();
    let refused = |by: &str| {
        let said = crate::error::render(&set.start().expect_err(by));
        let hint = format!("hint: let that name the program itself, as `{}`", real.display());
        for part in [by, "venv/bin/python`, a symlink to `", "an agent can put another in its place", &hint] {
            assert!(said.contains(part), "{said}");
        }
    };
    // As nbstripout writes it.
    set.w.f.host(&["config", "filter.nbstripout.clean", &format!("\"{}\" -m nbstripout", python.display())]);
    refused("`filter.nbstripout.clean` in `");
    set.w.f.host(&["config", "filter.nbstripout.clean", &format!("\"{}\" -m nbstripout", real.display())]);
    set.guards(&[]);
    script(&set.w.at(".git/hooks/pre-commit"), &format!("#!{}", plain.display()));
    refused("`#!` in `");
    script(&set.w.at(".git/hooks/pre-commit"), &format!("#!{}", real.display()));
    set.guards(&[]);
}
