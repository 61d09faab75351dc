//! What other tools obey is looked at by the same walk.

use super::*;
use crate::obeyed::Look;

fn lines(w: &Watched, bound: Bound) -> (Vec<String>, Vec<String>) {
    let look = Some(Look::begin(&w.f.path("obeyed"), false));
    let seen = look_within(bound, &w.f.workspace, None, &w.state(), Now::Busy, look).unwrap();
    let look = seen.obeyed.unwrap();
    (look.told(&look.changes()).lines.into_iter().map(|(line, _)| line).collect(), seen.warnings)
}

fn protected(w: &Watched, obeyed: Option<Look>) -> Result<Told, Unfinished> {
    let (env, state) = (none(), w.state());
    let visit = Visit { obeyed, ..Visit::new(&w.f.workspace, None, &env, &state, &|| false) };
    super::super::protect(visit, Doubt::default())
}

#[test]
fn the_walk_of_a_look_finds_what_tools_obey_and_what_it_does_not_reach_is_not_told_as_removed() {
    let w = Watched::new();
    let deep = w.at("deep/b/c/d/e/f/g");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("CLAUDE.md"), "of the user").unwrap();
    let look = Some(Look::begin(&w.f.path("obeyed"), true));
    let seen = protected(&w, look).unwrap();
    seen.obeyed.unwrap().keep(&[], &[]).unwrap();
    note_entered(&w.state()).unwrap();
    fs::create_dir_all(w.at("closed/.claude")).unwrap();
    fs::write(w.at("closed/.claude/settings.json"), "{}").unwrap();
    fs::set_permissions(w.at("closed/.claude"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::write(w.at("deep/GNUmakefile"), "evil").unwrap();
    let (told, _) = lines(&w, Bound::USUAL);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("`closed/.claude/settings.json` is new"), "{told:?}");
    assert!(told[1].starts_with("`deep/GNUmakefile` is new"), "{told:?}");
    let (told, warnings) = lines(&w, Bound { entries: 3, ..Bound::USUAL });
    assert_eq!(told, Vec::<String>::new());
    assert!(warnings.iter().any(|line| line.contains("too many files")), "{warnings:?}");
}

#[test]
fn a_workspace_that_is_missing_is_not_an_empty_one() {
    let w = Watched::new();
    fs::write(w.at("CLAUDE.md"), "of the user").unwrap();
    let look = || Some(Look::begin(&w.f.path("obeyed"), true));
    let seen = protected(&w, look()).unwrap();
    seen.obeyed.unwrap().keep(&[], &[]).unwrap();
    fs::rename(&w.f.workspace, w.f.path("elsewhere")).unwrap();
    let seen = look_within(Bound::USUAL, &w.f.workspace, None, &w.state(), Now::Ended, look());
    assert!(seen.unwrap_err().told.obeyed.is_none());
    fs::rename(w.f.path("elsewhere"), &w.f.workspace).unwrap();
    assert_eq!(lines(&w, Bound::USUAL).0, Vec::<String>::new());
}

#[test]
fn a_look_ends_where_the_user_wants_that_and_counts_as_none() {
    let w = Watched::new();
    for n in 0..200 {
        fs::create_dir_all(w.at(&format!("d{n}/e"))).unwrap();
        fs::write(w.at(&format!("d{n}/.envrc")), "of the user").unwrap();
    }
    let begin = || Some(Look::begin(&w.f.path("obeyed"), true));
    protected(&w, begin()).unwrap().obeyed.unwrap().keep(&[], &[]).unwrap();
    note_entered(&w.state()).unwrap();
    note_told(&w.state()).unwrap();
    fs::remove_file(w.at("d7/.envrc")).unwrap();
    let env = none();
    // However late it comes: what was not met is not told as removed, and nothing is kept of the look.
    let asked = std::cell::Cell::new(0);
    let (state, count) = (w.state(), || {
        asked.set(asked.get() + 1);
        false
    });
    let visit = Visit::new(&w.f.workspace, None, &env, &state, &count).looking(begin().unwrap());
    super::super::look(visit, Now::Busy).unwrap();
    let all = asked.get();
    for (calls, now) in [(0, Now::Ended), (40, Now::Quiet), (all / 4, Now::Ended), (all / 2, Now::Busy)] {
        let asked = std::cell::Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > calls
        };
        let state = w.state();
        let visit = Visit { obeyed: begin(), ..Visit::new(&w.f.workspace, None, &env, &state, &stop) };
        let Err(cut) = super::super::look(visit, now) else { panic!("it went on after {calls}") };
        assert!(cut.why.to_string().contains("interrupted"), "{:#}", cut.why);
        assert!(cut.told.obeyed.is_none_or(|look| !look.is_complete()), "{calls}");
        assert!(asked.get() < calls + 50, "{} after {calls}", asked.get());
        assert!(!is_quiet(&w.state()).unwrap() && !has_ended(&w.state()).unwrap());
    }
}

#[test]
fn a_look_is_no_answer_only_what_was_told_is() {
    let w = Watched::new();
    let (workspace, state) = (&w.f.workspace, w.state());
    protected(&w, None).unwrap();
    assert!(is_quiet(&state).unwrap() && has_ended(&state).unwrap(), "no agent ran yet");
    note_entered(&state).unwrap();
    look(workspace, None, &state, &none(), Now::Ended).unwrap();
    assert!(!is_quiet(&state).unwrap() && !has_ended(&state).unwrap(), "the user was not told yet");
    protected(&w, None).unwrap();
    assert!(!has_ended(&state).unwrap(), "a start tells nothing by itself");
    note_told(&state).unwrap();
    assert!(is_quiet(&state).unwrap() && has_ended(&state).unwrap());
    note_entered(&state).unwrap();
    note_told(&state).unwrap();
    assert!(!is_quiet(&state).unwrap(), "it was told, and not looked at");
    note_not_started(&state).unwrap();
    assert!(is_quiet(&state).unwrap() && has_ended(&state).unwrap());
}
