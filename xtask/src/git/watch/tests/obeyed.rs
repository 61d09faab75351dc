//! What other tools obey is looked at by the same walk.

use super::*;
use crate::obeyed::Look;

fn lines(w: &Watched, bound: &Bound) -> (Vec<String>, Vec<String>) {
    let look = Some(Look::begin(&w.f.path("obeyed"), false));
    let seen = look_within(bound, &w.f.workspace, None, &w.state(), &none(), Now::Busy, look).unwrap();
    let look = seen.obeyed.unwrap();
    (look.told(&look.changes()).lines.into_iter().map(|(line, _)| line).collect(), seen.warnings)
}

#[test]
fn the_walk_of_a_look_finds_what_tools_obey_and_what_it_does_not_reach_is_not_told_as_removed() {
    let w = Watched::new();
    let deep = w.at("deep/b/c/d/e/f/g");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("CLAUDE.md"), "of the user").unwrap();
    let look = Some(Look::begin(&w.f.path("obeyed"), true));
    let seen = super::super::protect(&w.f.workspace, None, &w.state(), &none(), Doubt::default(), look).unwrap();
    seen.obeyed.unwrap().keep().unwrap();
    note_entered(&w.state()).unwrap();
    fs::create_dir_all(w.at("closed/.claude")).unwrap();
    fs::write(w.at("closed/.claude/settings.json"), "{}").unwrap();
    fs::set_permissions(w.at("closed/.claude"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::write(w.at("deep/GNUmakefile"), "evil").unwrap();
    let (told, _) = lines(&w, &Bound::USUAL);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("`closed/.claude/settings.json` is new"), "{told:?}");
    assert!(told[1].starts_with("`deep/GNUmakefile` is new"), "{told:?}");
    let (told, warnings) = lines(&w, &Bound { entries: 3, ..Bound::USUAL });
    assert_eq!(told, Vec::<String>::new());
    assert!(warnings.iter().any(|line| line.contains("too many files")), "{warnings:?}");
}

#[test]
fn a_workspace_that_is_missing_is_not_an_empty_one() {
    let w = Watched::new();
    fs::write(w.at("CLAUDE.md"), "of the user").unwrap();
    let look = || Some(Look::begin(&w.f.path("obeyed"), true));
    let seen = super::super::protect(&w.f.workspace, None, &w.state(), &none(), Doubt::default(), look()).unwrap();
    seen.obeyed.unwrap().keep().unwrap();
    fs::rename(&w.f.workspace, w.f.path("elsewhere")).unwrap();
    let seen = super::super::look(&w.f.workspace, None, &w.state(), &none(), Now::Ended, look());
    assert!(seen.unwrap_err().told.obeyed.is_none());
    fs::rename(w.f.path("elsewhere"), &w.f.workspace).unwrap();
    assert_eq!(lines(&w, &Bound::USUAL).0, Vec::<String>::new());
}
