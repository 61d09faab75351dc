//! An agent that writes what it likes into its git directory: nothing of it runs on the host, nothing outside is
//! read, nothing hangs.

use super::*;
use std::os::unix::fs::symlink;

fn fifo(path: &Path) {
    let _ = std::fs::remove_file(path);
    exec::stdout_of(&Command::new("mkfifo").arg(path.display().to_string())).unwrap();
}

#[test]
fn no_program_that_the_agent_named_runs() {
    let f = Fixture::new();
    f.prepare();
    f.write(".gitattributes", "* filter=evil diff=evil\n");
    f.agent_commit("a", "two\n", "inside");
    let (trap, mark) = trap(&f);
    for hook in ["post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"] {
        std::fs::copy(&trap, f.git().join("hooks").join(hook)).unwrap();
    }
    for key in [
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.alternateRefsCommand",
        "filter.evil.clean",
        "filter.evil.smudge",
        "diff.evil.command",
        "diff.external",
        "uploadpack.packObjectsHook",
        "gpg.program",
    ] {
        // Written as text: git inside would run some of them at once.
        let (section, name) = key.rsplit_once('.').unwrap();
        let section = section.split_once('.').map_or(section.into(), |(a, b)| format!("{a} \"{b}\""));
        let mut config = std::fs::read_to_string(f.git().join("config")).unwrap();
        config.push_str(&format!("[{section}]\n\t{name} = {trap}\n"));
        std::fs::write(f.git().join("config"), config).unwrap();
    }
    // The host's own hooks and fsmonitor do not run either: they can lie in the workspace.
    f.host(&["config", "core.hooksPath", "hooks"]);
    f.host(&["config", "core.fsmonitor", &trap]);
    std::fs::create_dir(f.workspace.join("hooks")).unwrap();
    for hook in ["reference-transaction", "post-index-change"] {
        std::fs::copy(&trap, f.workspace.join("hooks").join(hook)).unwrap();
    }
    assert_eq!(f.list().branches.len(), 1);
    assert_eq!(f.take(), ["main: took over 1 commit, now at ID"]);
    f.prepare();
    assert!(!mark.exists());
    f.host(&["-c", "core.fsmonitor=false", "config", "--unset", "core.fsmonitor"]);
    f.host(&["config", "--unset", "core.hooksPath"]);
    // All of it has been removed inside, too.
    assert_eq!(std::fs::read_dir(f.git().join("hooks")).unwrap().count(), 0);
    assert!(!std::fs::read_to_string(f.git().join("config")).unwrap().contains("trap"));
    assert!(!mark.exists());
}

#[test]
fn what_is_replaced_is_never_followed() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    let outside = f.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("alternates"), "precious\n").unwrap();
    let git = f.git();
    for name in ["config", "packed-refs", "shallow", "commondir"] {
        let _ = std::fs::remove_file(git.join(name));
        symlink(outside.join("alternates"), git.join(name)).unwrap();
    }
    for name in ["hooks", "info", "objects/info"] {
        std::fs::remove_dir_all(git.join(name)).unwrap();
        symlink(&outside, git.join(name)).unwrap();
    }
    std::fs::remove_file(git.join("index")).unwrap();
    symlink(outside.join("alternates"), git.join("index")).unwrap();
    f.prepare();
    assert_eq!(std::fs::read_to_string(outside.join("alternates")).unwrap(), "precious\n");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(f.agent(&["log", "--format=%s"]), "inside\nfirst\n");
    assert_eq!(f.listed(), ["main Ahead: inside"]);

    f.agent_commit("a", "three\n", "inside again");
    // Named pipes and directories in the place of files, and files in the place of directories.
    for name in ["HEAD", "config", "index", "packed-refs"] {
        fifo(&git.join(name));
    }
    std::fs::remove_dir_all(git.join("hooks")).unwrap();
    std::fs::write(git.join("hooks"), "").unwrap();
    std::fs::create_dir_all(git.join("shallow/deep")).unwrap();
    let notes = f.prepare().notes.join("\n");
    assert!(notes.contains("2 new commits on main"), "{notes}");
    assert_eq!(f.agent(&["symbolic-ref", "HEAD"]), "refs/heads/main\n");
    f.agent(&["status", "--short"]);
}

#[test]
fn refs_that_are_not_plain_are_left_out() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    let heads = f.git().join("refs/heads");
    let id = f.agent(&["rev-parse", "HEAD"]);
    let secret = f.path("secret");
    std::fs::write(&secret, &id).unwrap();
    symlink(&secret, heads.join("link")).unwrap();
    symlink("/etc", heads.join("etc")).unwrap();
    fifo(&heads.join("pipe"));
    std::fs::write(heads.join("bad id"), &id).unwrap();
    std::fs::write(heads.join("text"), "../../x\n").unwrap();
    std::fs::write(heads.join("-dash"), &id).unwrap();
    std::fs::write(heads.join("esc\u{1b}[2J"), &id).unwrap();
    std::fs::write(heads.join("gone"), id.replace(&id[..4], "0000")).unwrap();
    std::fs::write(f.git().join("packed-refs"), format!("{} refs/heads/../../x\n", id.trim())).unwrap();
    let listing = f.list();
    assert_eq!(listing.branches.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["main"]);
    assert_eq!(listing.notes.len(), 9, "{:#?}", listing.notes);
    assert!(listing.notes.iter().all(|note| !note.contains('\u{1b}')));
    let lines = f.take();
    assert_eq!(lines.last().unwrap(), "main: took over 1 commit, now at ID");
    assert_eq!(f.host(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main\n");
    // A branch whose commit does not exist is left to the agent, and reported each time.
    f.prepare();
    assert_eq!(f.prepare().notes.len(), 1);
    assert_eq!(f.agent(&["for-each-ref", "--format=%(refname)"]), "refs/heads/gone\nrefs/heads/main\n");
}

#[test]
fn objects_are_copied_as_plain_files_and_checked() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    let objects = f.git().join("objects");
    // A store that the agent names is not read: what is only there counts as missing.
    let elsewhere = f.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let blob = f.agent(&["rev-parse", "HEAD:a"]);
    let (fan, rest) = blob.trim().split_at(2);
    std::fs::create_dir(elsewhere.join(fan)).unwrap();
    std::fs::rename(objects.join(fan).join(rest), elsewhere.join(fan).join(rest)).unwrap();
    std::fs::remove_dir_all(objects.join("info")).unwrap();
    std::fs::create_dir(objects.join("info")).unwrap();
    let borrowed = format!("{}\n{}\n", f.path("sandbox/objects").display(), elsewhere.display());
    std::fs::write(objects.join("info/alternates"), borrowed).unwrap();
    std::fs::remove_dir_all(objects.join("pack")).unwrap();
    symlink("/etc", objects.join("pack")).unwrap();
    let _ = std::fs::remove_dir_all(objects.join("00"));
    symlink("/etc", objects.join("00")).unwrap();
    let before = f.host(&["rev-parse", "main"]);
    let lines = f.take();
    assert!(lines.last().unwrap().starts_with("main: not taken over, "), "{lines:#?}");
    assert!(lines[0].contains("symlink"), "{lines:#?}");
    assert_eq!(f.host(&["rev-parse", "main"]), before);

    // An object that lies about its name.
    std::fs::create_dir_all(objects.join(fan)).unwrap();
    let other = f.host(&["rev-parse", "HEAD:a"]);
    let (a, b) = other.trim().split_at(2);
    std::fs::copy(f.workspace.join(".git/objects").join(a).join(b), objects.join(fan).join(rest)).unwrap();
    let lines = f.take();
    assert!(lines.last().unwrap().starts_with("main: not taken over, "), "{lines:#?}");
    assert_eq!(f.host(&["rev-parse", "main"]), before);
    f.host(&["fsck", "--connectivity-only"]);
    f.prepare();
}

#[test]
fn a_damaged_pack_is_left_out() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    std::fs::write(f.git().join("objects/pack/pack-\u{1b}x.pack"), "PACK nonsense").unwrap();
    fifo(&f.git().join("objects/pack/pack-y.pack"));
    let listing = f.list();
    assert_eq!(listing.branches.len(), 1);
    assert_eq!(listing.notes.len(), 2, "{:#?}", listing.notes);
}

#[test]
fn a_submodule_made_inside_waits_for_the_user() {
    let f = Fixture::new();
    f.prepare();
    let id = f.agent(&["rev-parse", "HEAD"]);
    f.agent(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", id.trim())]);
    f.agent(&["commit", "-q", "-m", "submodule"]);
    assert_eq!(
        f.take(),
        [
            "main: left at refs/sandbox/main, because it adds a submodule at `sub`: check that directory's `.git` first; \
          then `git reset refs/sandbox/main`"
        ]
    );
}

#[test]
fn a_repository_that_appears_is_told_and_cannot_borrow() {
    let f = Fixture::new();
    let plain = f.path("plain");
    std::fs::create_dir(&plain).unwrap();
    let seen = |dir: &Path| note_appearance(detect(dir).unwrap().as_ref(), &f.private());
    assert_eq!(seen(&plain).unwrap(), Vec::<String>::new());
    f.host(&["clone", "-q", "--shared", &f.workspace.display().to_string(), &f.path("new").display().to_string()]);
    std::fs::rename(f.path("new").join(".git"), plain.join(".git")).unwrap();
    let text = crate::error::render(&seen(&plain).unwrap_err());
    assert!(text.contains("borrows objects") && text.contains("hint: "), "{text}");
    std::fs::remove_file(plain.join(".git/objects/info/alternates")).unwrap();
    assert_eq!(seen(&plain).unwrap().len(), 1);
    assert_eq!(seen(&plain).unwrap(), Vec::<String>::new());
}
