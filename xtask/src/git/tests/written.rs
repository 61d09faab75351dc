//! Object directories that an agent could write: git on the host takes what lies there for the object of its name.

use super::*;
use std::os::unix::fs::symlink;

fn refused(f: &Fixture) -> Option<String> {
    let repo = f.repo();
    let alternates: Vec<PathBuf> = repo.readable_objects()[1..].to_vec();
    repo.refuse_borrowed(&alternates).err().map(|err| crate::error::render(&err))
}

fn borrow(f: &Fixture, from: &str) {
    std::fs::write(f.workspace.join(".git/objects/info/alternates"), format!("{from}\n")).unwrap();
}

#[test]
fn objects_that_git_would_read_from_the_workspace_refuse_a_start() {
    let f = Fixture::new();
    assert_eq!(refused(&f), None);
    let copy = |to: &Path| {
        let from = f.workspace.join(".git/objects").display().to_string();
        exec::stdout_of(&Command::new("cp").args(["-r", &from, &to.display().to_string()])).unwrap();
    };
    let (inside, outside, own) = (f.workspace.join("objs"), f.path("objs"), f.workspace.join(".git/more"));
    [&inside, &outside, &own].into_iter().for_each(|to| copy(to));
    symlink(&inside, f.path("to-inside")).unwrap();
    symlink(&outside, f.workspace.join("to-outside")).unwrap();
    symlink(f.workspace.join("later"), f.path("dangling")).unwrap();
    let (link, dangling) = (f.path("to-inside"), f.path("dangling"));
    let outward = f.workspace.join("to-outside");
    let missing = f.workspace.join("later/objects");
    let shown = |path: &Path| path.display().to_string();
    for from in [
        shown(&inside),
        "../../objs".into(),
        shown(&link),
        shown(&outward),
        shown(&dangling),
        shown(&missing),
        format!("{}/../my project/objs", shown(&outside)),
    ] {
        borrow(&f, &from);
        let text = refused(&f).unwrap_or_else(|| panic!("{from} was accepted"));
        assert!(text.contains("which an agent can write") && text.contains("repack -a -d"), "{from}: {text}");
    }
    for from in [shown(&outside), shown(&own), "../more".into(), shown(&f.path("nothing"))] {
        borrow(&f, &from);
        assert_eq!(refused(&f), None, "{from}");
    }
    // By another directory that borrows in its turn.
    borrow(&f, &shown(&outside));
    std::fs::create_dir_all(outside.join("info")).unwrap();
    std::fs::write(outside.join("info/alternates"), shown(&inside)).unwrap();
    assert!(refused(&f).unwrap().contains("which an agent can write"));
    // A part that lies elsewhere.
    borrow(&f, "");
    assert_eq!(refused(&f), None);
    std::fs::create_dir(f.workspace.join("packs")).unwrap();
    let pack = f.workspace.join(".git/objects/pack");
    std::fs::remove_dir_all(&pack).unwrap();
    symlink("../../packs", &pack).unwrap();
    assert!(refused(&f).unwrap().contains("objects/pack"));
}

#[test]
fn objects_of_a_nested_repository_that_an_agent_could_write_refuse_a_start() {
    let f = Fixture::new();
    let at = |name: &str| f.workspace.join(name).display().to_string();
    f.host(&["init", "-q", &at("vendor/tool")]);
    f.host(&["init", "-q", "--bare", &at("store.git")]);
    std::fs::create_dir_all(f.workspace.join("objs/pack")).unwrap();
    let env = Environment::default();
    let start = |state: &str| {
        let (doubt, repo, state) = (watch::Doubt::default(), f.repo(), f.path(state));
        let told = watch::protect(watch::Visit::new(&f.workspace, Some(&repo), &env, &state, &|| false), doubt);
        told.map(drop).map_err(|err| crate::error::render(&err.why))
    };
    assert_eq!(start("one"), Ok(()));
    let alternates = f.workspace.join("vendor/tool/.git/objects/info/alternates");
    // The objects of another nested repository are read-only inside, too.
    std::fs::write(&alternates, at("store.git/objects")).unwrap();
    assert_eq!(start("two"), Ok(()));
    std::fs::write(f.workspace.join("store.git/objects/info/alternates"), at("objs")).unwrap();
    let text = start("three").unwrap_err();
    assert!(
        text.contains("vendor/tool/.git` reads objects from") || text.contains("store.git` reads objects"),
        "{text}"
    );
    assert!(watch::preview(&f.workspace, Some(&f.repo()), &env).is_err());
    // Also where only a file leads to the repository.
    std::fs::remove_file(f.workspace.join("store.git/objects/info/alternates")).unwrap();
    let elsewhere = f.path("elsewhere.git");
    std::fs::rename(f.workspace.join("vendor/tool/.git"), &elsewhere).unwrap();
    std::fs::write(f.workspace.join("vendor/tool/.git"), format!("gitdir: {}\n", elsewhere.display())).unwrap();
    assert_eq!(start("four"), Ok(()));
    std::fs::write(elsewhere.join("objects/info/alternates"), at("objs")).unwrap();
    let text = start("five").unwrap_err();
    assert!(text.contains("elsewhere.git` reads objects from"), "{text}");
}
