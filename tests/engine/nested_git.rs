//! Git directories in the workspace, and commits on their way to the host, with a real container.

use crate::support::proc;
use crate::support::sandbox::Sandbox;
use std::fs;
use std::path::Path;

/// Git as the user runs it on the host.
pub(super) fn git(sandbox: &Sandbox, dir: &Path, args: &[&str]) -> String {
    let home = format!("HOME={}", sandbox.place.path("home").display());
    let dir = dir.display().to_string();
    let words =
        ["-i", &home, "PATH=/usr/local/bin:/usr/bin:/bin", "git", "-c", "protocol.file.allow=always", "-C", &dir];
    proc::output("env", words.iter().chain(args))
}

/// A sandbox whose workspace is a repository with one commit.
fn repository() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .place
        .write("home/.gitconfig", "[user]\nname = Ada\nemail = ada@example.com\n[init]\ndefaultBranch = main\n");
    git(&sandbox, &sandbox.workspace(), &["init", "-q"]);
    git(&sandbox, &sandbox.workspace(), &["commit", "-q", "--allow-empty", "-m", "from the host"]);
    sandbox
}

/// Another repository beside the workspace, with one commit.
pub(super) fn other(sandbox: &Sandbox) -> String {
    let dir = sandbox.place.mkdir("other");
    git(sandbox, &dir, &["init", "-q"]);
    git(sandbox, &dir, &["commit", "-q", "--allow-empty", "-m", "of another project"]);
    dir.display().to_string()
}

#[test]
fn a_git_status_on_the_host_runs_nothing_that_was_made_in_a_submodule_or_anywhere_else() {
    let sandbox = repository();
    let (workspace, other) = (sandbox.workspace(), other(&sandbox));
    git(&sandbox, &workspace, &["submodule", "--quiet", "add", &other, "sub"]);
    git(&sandbox, &workspace, &["clone", "-q", &other, "nested"]);
    git(&sandbox, &workspace, &["worktree", "add", "-q", "-b", "side", "tree"]);
    git(&sandbox, &workspace, &["clone", "-q", "--bare", &other, "store"]);
    git(&sandbox, &workspace, &["commit", "-q", "-m", "sub"]);

    let tried = sandbox.codex_runs(
        "cd /workspace; for d in sub nested tree; do find $d/.git -delete && echo removed; mv $d/.git x && echo moved; done; \
         for f in nested/.git/config store/config sub/.git tree/.git; do echo x >>$f && echo written; done; \
         git -C nested log --format=%s; git -C sub log && echo reached; ls .git/modules",
    );
    for done in ["removed", "moved", "written", "reached"] {
        assert!(!tried.contains(&format!("{done}\n")), "{tried}");
    }
    assert!(tried.contains("Read-only file system") && tried.contains("of another project"), "{tried}");
    let held = sandbox.proof().with("held");
    for id in ["git-read-only", "git-read-only-2", "git-read-only-3", "git-read-only-4"] {
        assert!(held.contains(&format!("{id}.source")) && held.contains(&format!("{id}.read-only")), "{held:?}");
    }

    // What a mount cannot hold: a directory above it is moved, and what takes its place is the agent's.
    let mark = sandbox.place.path("mark");
    let evil = format!(
        "git -C $d commit -q --allow-empty -m x; git -C $d config core.fsmonitor 'touch {}; :'",
        mark.display()
    );
    let run = sandbox.enter([
        "exec",
        "--skip-git-repo-check",
        &format!(
            "RUN: cd /workspace; for d in sub nested tree; do mv $d $d.old; mkdir $d; git init -q $d; {evil}; done; \
             d=new; git init -q $d; {evil}; mkdir bare; cp -r new/.git/. bare; git -C bare config core.bare true; echo done"
        ),
    ]);
    let run = run.ok();
    for path in ["sub/.git", "nested/.git", "tree/.git", "new/.git", "bare", "sub.old/.git", "tree.old/.git"] {
        assert!(
            run.stderr.contains(&format!("`{path}` was not there when the sandbox was started")),
            "{path}: {}",
            run.stderr
        );
    }
    for dir in ["", "sub", "nested", "tree", "new", "bare", "nested.old"] {
        git(&sandbox, &workspace.join(dir), &["status", "--short"]);
        assert!(!mark.exists(), "`git status` in `{dir}` ran it");
    }
    assert!(workspace.join("new/.git.set-aside-1/config").exists());

    // The promises of the running container no longer hold, and it is not entered; the next start protects what is there.
    sandbox.enter(["--version"]).ended(1);
    sandbox.task("down").run().ok();
    sandbox.enter(["--version"]).ok();
    assert!(sandbox.proof().with("broken").is_empty());
}

#[test]
fn a_git_directory_that_is_not_understood_starts_nothing() {
    let sandbox = Sandbox::new();
    let git = sandbox.workspace().join(".git");
    fs::create_dir(&git).expect("an empty one");
    let run = sandbox.enter(["--version"]).ended(1);
    assert!(run.error().contains("is no git directory that can be protected: its `HEAD` is missing"), "{}", run.stderr);
    assert_eq!(sandbox.containers(), Vec::<String>::new());
    sandbox.task("commits").run().ended(1);
}

#[test]
fn objects_of_another_repository_are_readable_inside_by_consent_only() {
    let sandbox = Sandbox::new();
    let project = sandbox.workspace();
    sandbox
        .place
        .write("home/.gitconfig", "[user]\nname = Ada\nemail = ada@example.com\n[init]\ndefaultBranch = main\n");
    let other = other(&sandbox);
    fs::remove_dir(&project).expect("the empty project");
    git(&sandbox, sandbox.place.dir(), &["clone", "-q", "--shared", &other, &project.display().to_string()]);
    let objects = format!("{other}/.git/objects");
    let run = sandbox.enter(["--version"]).ended(2);
    assert!(run.error().contains(&format!("borrows objects from `{objects}`")), "{}", run.stderr);
    assert!(run.error().contains(&format!("`--git-alternate {objects}`")), "{}", run.stderr);
    assert_eq!(sandbox.containers(), Vec::<String>::new());

    let plan = sandbox.task("sandbox").args(["--dry-run", "--git-alternate", &objects]).run().ok();
    assert!(
        plan.stdout.contains(&format!("readable inside: `{}`, `{objects}`", project.join(".git/objects").display()))
    );
    let settings = fs::read_to_string(sandbox.place.path("repo/sandbox.local.yaml")).expect("the settings");
    sandbox.place.write("repo/sandbox.local.yaml", format!("{settings}git_alternates: [{objects}]\n"));
    let said = sandbox.codex_runs("git -C /workspace log --format=%s");
    assert!(said.contains("of another project"), "{said}");
    assert!(sandbox.proof().with("held").contains(&"git-objects-2.source".to_owned()));
}

#[test]
fn commits_are_shown_again_after_a_take_that_was_killed_between_two_steps() {
    let sandbox = repository();
    let commit = |message: &str| {
        sandbox.codex_runs(&format!("cd /workspace && git commit -q --allow-empty -m '{message}' && echo ok"))
    };
    assert!(commit("inside").contains("ok"));
    // A git that ends its caller: the objects are fetched, and no ref has moved.
    let killer =
        "#!/bin/sh\ncase \"$*\" in *'update-ref -m'*) kill -9 $PPID; exit 1;; esac\nexec /usr/bin/git \"$@\"\n";
    let killer = sandbox.place.program("git", killer);
    let killed = sandbox.task("commits").args(["--take"]).run();
    assert_eq!(killed.code, None, "{}{}", killed.stdout, killed.stderr);
    fs::remove_file(killer).expect("the killer");
    let workspace = sandbox.workspace();
    assert_eq!(git(&sandbox, &workspace, &["log", "--format=%s"]), "from the host\n");
    let there = git(&sandbox, &workspace, &["fsck", "--unreachable", "--no-reflogs"]);
    assert!(there.contains("commit"), "the objects were not fetched: {there}");

    assert!(sandbox.task("commits").run().ok().stdout.contains("inside"));
    assert!(commit("inside again").contains("ok"), "the commit is still there inside");
    sandbox.task("commits").args(["--take"]).run().ok();
    assert_eq!(git(&sandbox, &workspace, &["log", "--format=%s"]), "inside again\ninside\nfrom the host\n");

    commit("never taken");
    let down = sandbox.task("down").args(["--all", "--yes"]).run().ok();
    assert!(down.stderr.contains("only the sandbox has 1 new commit on main: "), "{}", down.stderr);
    assert!(down.stderr.contains("never taken"), "{}", down.stderr);
}
