//! Files that git on the host runs or obeys, with a second name (a hard link) that an agent can write.

use super::settings::Set;
use super::*;
use std::fs::hard_link;

#[track_caller]
fn refused(set: &Set, path: &str) {
    let said = crate::error::render(&set.start().unwrap_err());
    for part in [path, "2 names (hard links)", "hint: give it a file of its own: `cp -p"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!set.w.state().exists(), "nothing counts as looked at");
}

#[test]
fn a_guarded_program_with_a_second_name_starts_nothing_until_it_is_a_file_of_its_own() {
    let set = Set::bare("[core]\n\tfsmonitor = tools/fsm\n").files(&["tools/fsm", "bin/x"]);
    hard_link(set.w.at("tools/fsm"), set.w.at("bin/fsm")).unwrap();
    refused(&set, "tools/fsm");
    // The remedy, as it is said.
    fs::copy(set.w.at("tools/fsm"), set.w.at("tools/fsm.own")).unwrap();
    fs::rename(set.w.at("tools/fsm.own"), set.w.at("tools/fsm")).unwrap();
    set.guards(&["tools/fsm"]);
    // A link that comes later is said when it is looked.
    hard_link(set.w.at("tools/fsm"), set.w.at("bin/later")).unwrap();
    let said = look(&set.w.f.workspace, None, &set.w.state(), &set.env, Now::Busy).unwrap().warnings;
    assert!(said.len() == 1 && said[0].contains("tools/fsm` is a file with 2 names"), "{said:?}");
}

#[test]
fn hooks_and_settings_out_of_reach_with_a_second_name_in_the_workspace_start_nothing() {
    let global = |set: &Set| fs::write(set.env.home.join(".gitconfig"), "[core]\n\thooksPath = ~/hooks\n").unwrap();
    for at in [".git/hooks/pre-commit", ".git/config", ".git/info/attributes"] {
        let set = Set::new("").files(&["tools/x"]);
        let path = set.w.at(at);
        if !path.exists() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
        }
        hard_link(&path, set.w.at("tools/other")).unwrap();
        refused(&set, at);
    }
    let set = Set::new("").files(&["tools/x"]);
    hard_link(set.env.home.join(".gitconfig"), set.w.at("tools/config")).unwrap();
    refused(&set, ".gitconfig");
    let set = Set::new("").files(&["tools/hook"]);
    global(&set);
    fs::create_dir(set.env.home.join("hooks")).unwrap();
    hard_link(set.w.at("tools/hook"), set.env.home.join("hooks/pre-commit")).unwrap();
    refused(&set, "hooks/pre-commit");
    // Examples are not run, and names that all lie side by side out of reach are no danger.
    let set = Set::new("").files(&["tools/hook"]);
    global(&set);
    fs::create_dir(set.env.home.join("hooks")).unwrap();
    hard_link(set.w.at("tools/hook"), set.env.home.join("hooks/pre-commit.sample")).unwrap();
    fs::write(set.env.home.join("hooks/a"), "").unwrap();
    hard_link(set.env.home.join("hooks/a"), set.env.home.join("hooks/b")).unwrap();
    set.start().unwrap();
}
