//! What is not understood in the sandbox's git directory, and commits at other places than branches: none is lost.

use super::*;

fn aside(f: &Fixture) -> Vec<PathBuf> {
    super::super::unread::kept(&f.private()).unwrap()
}

#[test]
fn refs_that_are_not_understood_are_said_and_kept_aside_and_what_is_understood_stays() {
    type Break = fn(&Fixture);
    let cases: [(&str, Break); 8] = [
        ("`reftable` in it", |f| std::fs::create_dir(f.git().join("reftable")).unwrap()),
        ("stores its refs as `reftable`", |f| {
            f.agent(&["config", "core.repositoryFormatVersion", "1"]);
            let path = f.git().join("config");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, format!("{text}[Extensions]\n\trefStorage = reftable\n")).unwrap();
        }),
        ("`refs/heads` in the sandbox does not hold", |f| {
            std::fs::remove_dir_all(f.git().join("refs/heads")).unwrap();
            std::fs::write(f.git().join("refs/heads"), "this repository uses the reftable format\n").unwrap();
        }),
        ("`commondir` in it", |f| std::fs::write(f.git().join("commondir"), "elsewhere\n").unwrap()),
        ("packed-refs", |f| {
            std::fs::remove_file(f.git().join("packed-refs")).unwrap();
            std::fs::create_dir(f.git().join("packed-refs")).unwrap();
        }),
        ("in `packed-refs` is no ref", |f| std::fs::write(f.git().join("packed-refs"), "what is this\n").unwrap()),
        ("valid name", |f| {
            let id = f.agent(&["rev-parse", "HEAD"]);
            std::fs::write(f.git().join("packed-refs"), format!("{} refs/heads/-x\n", id.trim())).unwrap();
        }),
        ("HEAD names neither", |f| std::fs::write(f.git().join("HEAD"), "nothing\n").unwrap()),
    ];
    for (why, spoil) in cases {
        let f = Fixture::new();
        f.prepare();
        f.agent_commit("a", "two\n", "inside");
        let id = f.agent(&["rev-parse", "HEAD"]);
        f.agent(&["update-ref", "refs/wip/x", id.trim()]);
        spoil(&f);
        let listing = f.list();
        assert!(listing.notes.iter().any(|note| note.contains(why)), "{why}: {listing:#?}");
        assert!(losses(&listing).iter().any(|line| line.contains("commits may be in")), "{why}");
        assert!(!describe(&listing).contains(NOTHING_NEW.to_owned().as_str()) || !listing.branches.is_empty());
        let notes = f.prepare().notes.join("\n");
        let kept = aside(&f);
        assert!(kept.len() == 1 && notes.contains(why) && notes.contains(&kept[0].display().to_string()), "{notes}");
        // The objects, also those of the commit, are there as well as where the sandbox goes on.
        let object = format!("objects/{}/{}", &id[..2], id[2..].trim());
        assert!(kept[0].join(&object).is_file() && f.git().join(&object).is_file(), "{why}");
        // Nothing more is kept by the next start, and the loss is named until it is dropped.
        f.prepare();
        assert_eq!(aside(&f), kept, "{why}");
        let listing = f.list();
        assert_eq!(listing.notes, Vec::<String>::new(), "{why}");
        assert!(losses(&listing).iter().any(|line| line.contains(&kept[0].display().to_string())), "{why}");
        assert!(describe(&listing).contains(&kept[0].display().to_string()), "{why}");
    }
}

#[test]
fn refs_that_were_moved_to_another_storage_are_no_empty_ones() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    let id = f.agent(&["rev-parse", "HEAD"]);
    // What `git refs migrate --ref-format=reftable` leaves.
    let git = f.git();
    std::fs::remove_dir_all(git.join("refs")).unwrap();
    std::fs::remove_dir_all(git.join("logs")).unwrap();
    std::fs::remove_file(git.join("packed-refs")).unwrap();
    std::fs::create_dir_all(git.join("refs")).unwrap();
    std::fs::write(git.join("refs/heads"), "this repository uses the reftable format\n").unwrap();
    std::fs::create_dir(git.join("reftable")).unwrap();
    std::fs::write(git.join("reftable/tables.list"), "0x1.ref\n").unwrap();
    std::fs::write(git.join("HEAD"), "ref: refs/heads/.invalid\n").unwrap();
    assert!(!describe(&f.list()).contains(NOTHING_NEW) || describe(&f.list()).contains("could be read"));
    f.prepare();
    let kept = &aside(&f)[0];
    assert!(kept.join("reftable/tables.list").is_file());
    assert!(kept.join(format!("objects/{}/{}", &id[..2], id[2..].trim())).is_file());
}

#[test]
fn commits_of_worktrees_and_of_other_refs_are_listed_and_never_dropped() {
    let f = Fixture::new();
    f.prepare();
    let tree = f.path("tree").display().to_string();
    f.agent(&["worktree", "add", "-q", "--detach", &tree]);
    let commit = |name: &str| {
        let id = f.agent(&["commit-tree", "-m", name, "-p", "HEAD", "HEAD^{tree}"]);
        id.trim().to_owned()
    };
    std::fs::write(f.git().join("worktrees/tree/HEAD"), commit("only in a worktree")).unwrap();
    f.agent(&["update-ref", "refs/wip/x", &commit("wip")]);
    f.agent(&["update-ref", "refs/notes/commits", &commit("a note")]);
    let listed = [
        "`refs/notes/commits` New: a note",
        "`refs/wip/x` New: wip",
        "the worktree `tree` inside New: only in a worktree",
    ];
    assert_eq!(f.listed(), listed);
    let said = summary(&f.list()).unwrap();
    assert!(said.contains("1 new commit on `refs/wip/x`") && said.contains("on no branch"), "{said}");
    assert!(!said.contains("--take"), "{said}");
    assert_eq!(losses(&f.list()).len(), 3);
    assert!(f.take().iter().all(|line| line.contains("not taken over")));
    f.prepare();
    assert_eq!(f.listed(), listed);
}

#[test]
fn what_the_host_gave_is_not_taken_for_work_of_the_sandbox() {
    let f = Fixture::new();
    f.host(&["commit", "-q", "--allow-empty", "-m", "remote"]);
    f.host(&["update-ref", "refs/remotes/origin/x", "HEAD"]);
    f.host(&["reset", "-q", "--hard", "HEAD~1"]);
    f.prepare();
    // As after a fetch of what was pushed by force.
    f.host(&["update-ref", "refs/remotes/origin/x", "HEAD"]);
    assert_eq!(f.listed(), Vec::<String>::new());
    assert_eq!(f.prepare().notes, Vec::<String>::new());
    let id = f.host(&["rev-parse", "HEAD"]);
    assert_eq!(f.agent(&["rev-parse", "refs/remotes/origin/x"]), id);
}
