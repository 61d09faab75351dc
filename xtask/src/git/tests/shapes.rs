//! Every shape of repository that people have.

use super::*;

#[test]
fn a_workspace_without_a_repository_has_none() {
    let f = Fixture::new();
    let sub = f.workspace.join("sub");
    std::fs::create_dir(&sub).unwrap();
    assert_eq!(detect(&sub).unwrap(), None);
}

#[test]
fn a_part_of_a_git_directory_is_no_workspace() {
    let f = Fixture::new();
    f.host(&["clone", "-q", "--bare", &f.workspace.display().to_string(), &f.path("bare").display().to_string()]);
    for part in [f.workspace.join(".git/hooks"), f.workspace.join(".git/info"), f.path("bare/hooks")] {
        let text = crate::error::render(&detect(&part).unwrap_err());
        assert!(text.contains("lies in the git directory") && text.contains("hint: "), "{text}");
    }
    // Many keep their worktrees inside of a bare repository.
    f.host(&[
        "--git-dir",
        &f.path("bare").display().to_string(),
        "worktree",
        "add",
        "-q",
        &f.path("bare/main").display().to_string(),
        "-b",
        "other",
    ]);
    assert!(detect(&f.path("bare/main")).unwrap().is_some());
}

#[test]
fn what_looks_like_git_and_is_not_understood_is_refused() {
    type Break = fn(&Path);
    let remove = |path: PathBuf| std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path)).unwrap();
    let cases: [(&str, Break); 11] = [
        ("its `HEAD` is missing", |git| std::fs::remove_file(git.join("HEAD")).unwrap()),
        ("its `objects` is missing", |git| std::fs::remove_dir_all(git.join("objects")).unwrap()),
        ("its `refs` is missing", |git| std::fs::rename(git.join("refs"), git.join("refs.old")).unwrap()),
        ("its `refs` is missing, or is a symlink", |git| {
            std::fs::rename(git.join("refs"), git.join("r")).unwrap();
            std::os::unix::fs::symlink("r", git.join("refs")).unwrap();
        }),
        ("its `HEAD` is missing, or is a symlink", |git| {
            std::fs::rename(git.join("HEAD"), git.join("h")).unwrap();
            std::os::unix::fs::symlink("h", git.join("HEAD")).unwrap();
        }),
        ("`commondir` names another", |git| std::fs::write(git.join("commondir"), "../elsewhere\n").unwrap()),
        ("its `HEAD` is missing", |git| {
            std::fs::remove_dir_all(git).unwrap();
            std::fs::create_dir(git).unwrap();
        }),
        ("names no git directory", |git| {
            std::fs::remove_dir_all(git).unwrap();
            std::fs::write(git, "").unwrap();
        }),
        ("it names `/nowhere`", |git| {
            std::fs::remove_dir_all(git).unwrap();
            std::fs::write(git, "gitdir: /nowhere\n").unwrap();
        }),
        ("is not UTF-8", |git| {
            std::fs::remove_dir_all(git).unwrap();
            std::fs::write(git, b"gitdir: \xff\n").unwrap();
        }),
        ("is a fifo", |git| {
            std::fs::remove_dir_all(git).unwrap();
            exec::stdout_of(&Command::new("mkfifo").arg(git.display().to_string())).unwrap();
        }),
    ];
    for (why, spoil) in cases {
        let f = Fixture::new();
        let git = f.workspace.join(".git");
        spoil(&git);
        let text = crate::error::render(&detect(&f.workspace).unwrap_err());
        assert!(text.contains(why) && text.contains("hint: "), "{why}: {text}");
        // What the hint says leaves a directory without a repository.
        std::fs::rename(&git, f.workspace.join(".git.old")).unwrap();
        assert_eq!(detect(&f.workspace).unwrap(), None, "{why}");
        remove(f.workspace.join(".git.old"));
    }
    // A git directory under no name of git's, also one whose parts are links or lie elsewhere.
    for parts in [&["HEAD", "objects", "refs"][..], &["HEAD", "commondir"]] {
        let temp = tempfile::tempdir().unwrap();
        parts.iter().for_each(|part| std::os::unix::fs::symlink("/nowhere", temp.path().join(part)).unwrap());
        let text = crate::error::render(&detect(temp.path()).unwrap_err());
        assert!(text.contains("is itself a git directory"), "{text}");
    }
}

#[test]
fn borrowed_objects_need_consent_each_by_its_name() {
    let f = Fixture::new();
    let at = |name: &str| f.path(name).display().to_string();
    let first = f.workspace.join(".git/objects");
    f.host(&["clone", "-q", "--shared", &f.workspace.display().to_string(), &at("second")]);
    f.host(&["clone", "-q", "--shared", &at("second"), &at("third")]);
    let second = f.path("second/.git/objects");
    let repo = detect(&f.path("third")).unwrap().unwrap();
    assert_eq!(repo.readable_objects(), [f.path("third/.git/objects"), second.clone(), first.clone()]);
    let refused = |allowed: &[PathBuf]| repo.refuse_borrowed(allowed).map_err(|err| crate::error::render(&err));
    let text = refused(&[]).unwrap_err();
    let quoted = shell_words::quote(first.to_str().unwrap()).into_owned();
    assert!(text.contains(&format!("`{}`, `{}`", second.display(), first.display())), "{text}");
    let flags = format!("`--git-alternate {} --git-alternate {quoted}`", second.display());
    assert!(text.contains(&flags) && text.contains("git_alternates: ["), "{text}");
    let text = refused(std::slice::from_ref(&second)).unwrap_err();
    assert!(!text.contains(&format!("from `{}`", second.display())) && text.contains(&quoted), "{text}");
    // The directory that holds them says nothing of what is in it; a link to it does.
    assert!(refused(&[second.clone(), f.workspace.clone()]).is_err());
    let link = f.path("link");
    std::os::unix::fs::symlink(&first, &link).unwrap();
    assert_eq!(refused(&[second, link]), Ok(()));
    // What the other hint says: nothing is borrowed any more.
    f.host_in(&f.path("third"), &["repack", "-q", "-a", "-d"]);
    std::fs::remove_file(f.path("third/.git/objects/info/alternates")).unwrap();
    let repo = detect(&f.path("third")).unwrap().unwrap();
    assert_eq!(repo.refuse_borrowed(&[]).map_err(|err| err.to_string()), Ok(()));
    f.host_in(&f.path("third"), &["fsck"]);
}

#[test]
fn a_git_that_cannot_be_held_is_refused() {
    let f = Fixture::new();
    let refused = |dir: &Path| crate::error::render(&detect(dir).unwrap_err());
    let at = |name: &str| f.path(name).display().to_string();

    let bare = f.path("bare");
    f.host(&["init", "-q", "--bare", &at("bare")]);
    assert!(refused(&bare).starts_with(&format!("error: `{}` is itself a git directory\nhint: ", at("bare"))));

    let linked = f.path("linked");
    std::fs::create_dir(&linked).unwrap();
    std::os::unix::fs::symlink(f.workspace.join(".git"), linked.join(".git")).unwrap();
    assert!(refused(&linked).starts_with(&format!("error: `{}/.git` is a symlink\nhint: ", at("linked"))));

    // An agent could write this file: it must not choose what is mounted.
    let stray = f.path("stray");
    std::fs::create_dir(&stray).unwrap();
    std::fs::write(stray.join(".git"), format!("gitdir: {}/.git\n", f.workspace.display())).unwrap();
    let text = refused(&stray);
    assert!(text.contains("which does not name") && text.contains("hint: "), "{text}");
    let fake = stray.join("fake");
    std::fs::create_dir_all(fake.join("objects")).unwrap();
    std::fs::write(fake.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    std::fs::write(fake.join("commondir"), format!("{}/.git\n", f.workspace.display())).unwrap();
    std::fs::write(fake.join("gitdir"), stray.join(".git").display().to_string()).unwrap();
    std::fs::write(stray.join(".git"), "gitdir: fake\n").unwrap();
    assert!(refused(&stray).contains("which does not name"));

    f.host(&["config", "core.repositoryformatversion", "1"]);
    f.host(&["config", "extensions.refStorage", "reftable"]);
    assert!(refused(&f.workspace).contains("`git refs migrate --ref-format=files`"));
}

#[test]
fn a_linked_worktree_has_its_own_head_and_index() {
    let f = Fixture::new();
    f.host(&["worktree", "add", "-q", "-b", "side", &f.path("side").display().to_string()]);
    let main = f.workspace.clone();
    let f = Fixture { workspace: f.path("side"), ..f };
    let repo = f.repo();
    assert!(repo.dot_git_is_file);
    assert_eq!(repo.common_dir, main.join(".git"));
    assert_eq!(repo.git_dir, main.join(".git/worktrees/side"));
    let airlock = f.prepare();
    assert_eq!(airlock.mount_points, ["objects", "git"]);
    let inside = f.path("sandbox").display().to_string();
    assert_eq!(
        airlock.mounts.iter().map(|m| (m.target.clone(), m.read_only)).collect::<Vec<_>>(),
        [(format!("{inside}/git"), false), ("/workspace/.git".into(), true), (format!("{inside}/objects"), true)]
    );
    let dot_git = std::fs::read_to_string(&airlock.mounts[1].source).unwrap();
    assert_eq!(dot_git, format!("gitdir: {inside}/git\n"));
    f.agent_commit("s", "1\n", "on the side");
    f.agent(&["switch", "-q", "main"]);
    f.agent_commit("m", "1\n", "on main");
    f.agent(&["switch", "-q", "side"]);
    assert_eq!(
        f.take(),
        [
            format!(
                "main: left at refs/sandbox/main, because it is checked out in `{}`; then `git merge --ff-only refs/sandbox/main`",
                main.display()
            ),
            "side: took over 1 commit, now at ID".into()
        ]
    );
    assert_eq!(f.host(&["status", "--short"]), "");
    assert_eq!(f.host_in(&main, &["status", "--short"]), "");
}

#[test]
fn a_submodule_as_the_workspace_is_its_own_repository() {
    let f = Fixture::new();
    let top = f.path("top");
    f.host(&["init", "-q", "-b", "main", &top.display().to_string()]);
    f.host_in(&top, &["submodule", "--quiet", "add", &f.workspace.display().to_string(), "sub"]);
    f.host_in(&top, &["commit", "-q", "-m", "sub"]);

    // The repository around the submodule as the workspace: only files of the submodule are there, and `git status`
    // works.
    let above = Fixture { workspace: top.clone(), ..f };
    let notes = above.prepare().notes;
    assert_eq!(
        notes,
        [
            "submodules: their files are there; git works in the main repository only, and leaves them out of what it adds"
        ]
    );
    assert_eq!(above.agent(&["status", "--short"]), "");
    // Inside, the submodule's git directory is not there, and what the agent does there is not added.
    std::fs::rename(top.join(".git/modules"), top.join("elsewhere")).unwrap();
    above.write("sub/in-the-submodule", "1\n");
    above.write("u", "1\n");
    above.agent(&["add", "--all", "--", ":!elsewhere"]);
    assert_eq!(above.agent(&["status", "--short", "--untracked-files=no"]), "A  u\n");
    above.agent(&["rm", "-q", "--cached", "u"]);
    std::fs::remove_file(top.join("u")).unwrap();
    std::fs::remove_file(top.join("sub/in-the-submodule")).unwrap();
    std::fs::rename(top.join("elsewhere"), top.join(".git/modules")).unwrap();
    above.agent_commit("t", "1\n", "above");
    assert_eq!(above.take(), ["main: took over 1 commit, now at ID"]);

    let inner = Fixture { workspace: top.join("sub"), ..above };
    std::fs::remove_dir_all(inner.private()).unwrap();
    assert_eq!(inner.repo().git_dir, top.join(".git/modules/sub"));
    inner.prepare();
    inner.agent_commit("s", "1\n", "below");
    assert_eq!(inner.take(), ["main: took over 1 commit, now at ID"]);
    assert_eq!(inner.host(&["status", "--short"]), "");
}

#[test]
fn borrowed_objects_are_mounted_too() {
    let f = Fixture::new();
    let origin = f.workspace.clone();
    f.host(&["clone", "-q", "--shared", &origin.display().to_string(), &f.path("shared").display().to_string()]);
    let f = Fixture { workspace: f.path("shared"), ..f };
    let airlock = f.prepare();
    assert_eq!(f.repo().objects, [f.workspace.join(".git/objects"), origin.join(".git/objects")]);
    assert_eq!(airlock.mount_points, ["objects", "objects-1"]);
    let inside = f.path("sandbox").display().to_string();
    let targets: Vec<_> = airlock.mounts.iter().map(|m| m.target.strip_prefix(&inside).unwrap_or(&m.target)).collect();
    assert_eq!(targets, ["/workspace/.git", "/objects", "/objects/info", "/objects-1"]);
    f.agent_commit("a", "two\n", "inside");
    assert_eq!(f.take(), ["main: took over 1 commit, now at ID"]);
    assert_eq!(f.host(&["status", "--short", "--branch"]), "## main...origin/main [ahead 1]\n");
}

#[test]
fn sha256_shallow_and_partial_repositories_work() {
    let f = Fixture::empty(&["--object-format=sha256"]);
    f.commit("a", "one\n", "first");
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    assert_eq!(f.take(), ["main: took over 1 commit, now at ID"]);

    let f = Fixture::new();
    f.commit("a", "two\n", "second");
    f.host(&["config", "uploadpack.allowFilter", "true"]);
    let origin = format!("file://{}", f.workspace.display());
    for (name, option) in [("shallow", "--depth=1"), ("partial", "--filter=blob:none")] {
        f.host(&["clone", "-q", option, &origin, &f.path(name).display().to_string()]);
        let temp = tempfile::tempdir().unwrap();
        std::fs::rename(f.path(name), temp.path().join(name)).unwrap();
        let clone = Fixture { workspace: temp.path().canonicalize().unwrap().join(name), temp };
        clone.prepare();
        clone.agent_commit("a", "three\n", "inside");
        assert_eq!(clone.listed(), ["main Ahead: inside"], "{name}");
        assert_eq!(clone.take(), ["main: took over 1 commit, now at ID"], "{name}");
        assert_eq!(clone.host(&["status", "--short"]), "", "{name}");
    }
}

#[test]
fn packed_sparse_and_ignored_files_are_as_on_the_host() {
    let f = Fixture::new();
    std::fs::create_dir(f.workspace.join("far")).unwrap();
    f.commit("far/x", "1\n", "far");
    f.host(&["sparse-checkout", "set", "--cone", "--sparse-index", "near"]);
    f.host(&["branch", "old", "HEAD~1"]);
    f.host(&["pack-refs", "--all"]);
    f.host(&["gc", "-q"]);
    std::fs::write(f.workspace.join(".git/info/exclude"), "*.tmp\n").unwrap();
    f.write("x.tmp", "");
    f.prepare();
    assert_eq!(f.agent(&["status", "--short"]), "");
    f.agent(&["gc", "-q"]);
    f.agent_commit("a", "two\n", "inside");
    f.agent(&["gc", "-q"]);
    assert_eq!(f.take(), ["main: took over 1 commit, now at ID"]);
    assert_eq!(f.host(&["status", "--short"]), "");
    assert!(!f.workspace.join("far").exists());

    let f = Fixture::new();
    f.host(&["update-index", "--split-index"]);
    f.prepare();
    assert_eq!(f.agent(&["status", "--short"]), "");
    f.agent_commit("a", "two\n", "inside");
    assert_eq!(f.take(), ["main: took over 1 commit, now at ID"]);
    assert_eq!(f.host(&["status", "--short"]), "");
}

#[test]
fn the_identity_is_the_user_s_and_a_missing_one_is_said() {
    let f = Fixture::new();
    f.host(&["config", "user.name", "Ada L."]);
    f.host(&["config", "user.email", "ada@example.org"]);
    let identity = identity(&f.repo()).unwrap();
    assert_eq!(identity.name.as_deref(), Some("Ada L."));
    assert_eq!(identity.email.as_deref(), Some("ada@example.org"));
    let notes = prepare(&f.repo(), &f.private(), &Identity::default(), &|| false).unwrap().notes;
    assert_eq!(
        notes,
        [
            "git on this host knows no name or address of yours, which commits inside need: `git config --global user.name NAME`, `git \
          config --global user.email ADDRESS`"
        ]
    );
}
