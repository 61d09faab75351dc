//! Calls that are really killed, and what the next call makes of what they left; set-ups that are odd from the start.

use crate::support::model::KEY;
use crate::support::run::Xtask;
use crate::support::sandbox::Sandbox;
use crate::support::{engine, proc};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

fn git(sandbox: &Sandbox, args: &[&str]) -> String {
    let workspace = sandbox.workspace().display().to_string();
    let home = format!("HOME={}", sandbox.place.path("home").display());
    proc::output("env", [&[home.as_str(), "git", "-C", &workspace], args].concat())
}

/// The directories in which a take checks what the sandbox has, below the state folder.
fn quarantines(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten().filter(|entry| entry.path().is_dir()) {
        match entry.file_name().to_string_lossy().starts_with("quarantine-") {
            true => found.push(entry.path()),
            false => found.extend(quarantines(&entry.path())),
        }
    }
    found
}

/// A `git` that kills its caller at each of its calls in turn, before or after its work is done.
#[test]
fn a_take_that_is_killed_at_any_step_loses_nothing_and_the_next_one_finishes_it() {
    let sandbox = Sandbox::new();
    sandbox
        .place
        .write("home/.gitconfig", "[user]\nname = Ada\nemail = ada@example.com\n[init]\ndefaultBranch = main\n");
    git(&sandbox, &["init", "-q"]);
    fs::write(sandbox.workspace().join("file"), "of the host\n").expect("a file");
    git(&sandbox, &["add", "."]);
    git(&sandbox, &["commit", "-qm", "from the host"]);
    let said = sandbox.codex_runs("cd /workspace && echo inside > file && git commit -qam inside && echo ok");
    assert!(said.contains("ok"), "{said}");
    let old = git(&sandbox, &["rev-parse", "main"]).trim().to_owned();
    let count = sandbox.place.path("home/count");
    let mut steps = 0;
    for after in [false, true] {
        for step in 1.. {
            assert!(step < 100, "it never ends");
            fs::write(&count, "").expect("the count");
            let first = if after { "/usr/bin/git \"$@\"" } else { ":" };
            let text = format!(
                "#!/bin/sh\necho x >> {0}\n[ $(wc -l < {0}) -eq {step} ] && {{ {first}; kill -9 $PPID; exit 1; }}\n\
                 exec /usr/bin/git \"$@\"\n",
                count.display()
            );
            let killer = sandbox.place.program("git", text);
            let run = sandbox.task("commits").args(["--take"]).run();
            fs::remove_file(killer).expect("the killer");
            let is_last = run.code.is_some();
            steps += 1;
            let what = format!("step {step}, after: {after}");
            assert_eq!(fs::read_to_string(sandbox.workspace().join("file")).expect("the file"), "inside\n", "{what}");
            assert_eq!(git(&sandbox, &["fsck", "--strict", "--no-dangling"]), "", "{what}");
            let left = quarantines(&sandbox.place.path("state"));
            for dir in &left {
                // As if the killed call had ended a while ago.
                let then = SystemTime::now() - Duration::from_secs(60);
                fs::File::open(dir).expect("the quarantine").set_modified(then).expect("its time");
            }
            sandbox.task("commits").args(["--take"]).run().ok();
            assert_eq!(quarantines(&sandbox.place.path("state")), Vec::<std::path::PathBuf>::new(), "{what}");
            assert_eq!(git(&sandbox, &["log", "--format=%s"]), "inside\nfrom the host\n", "{what}");
            assert_eq!(git(&sandbox, &["status", "--porcelain", "--untracked-files=no"]), "", "{what}");
            assert_eq!(git(&sandbox, &["for-each-ref", "--format=%(refname)"]), "refs/heads/main\n", "{what}");
            git(&sandbox, &["reset", "-q", "--soft", &old]);
            git(&sandbox, &["reset", "-q"]);
            if is_last {
                break;
            }
        }
    }
    assert!(steps > 10, "only {steps} steps were tried");
}

#[test]
fn a_workspace_that_was_removed_and_made_again_is_told_and_what_works_in_the_old_one_is_not_ended() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let first = sandbox.containers();
    let again = || {
        fs::remove_dir_all(sandbox.workspace()).expect("the old one");
        fs::create_dir(sandbox.workspace()).expect("the new one");
    };
    again();
    let status = sandbox.task("status").run().ok();
    assert!(status.stderr.contains("was removed and made again"), "{}", status.stderr);
    let run = sandbox.enter(["--version"]).ok();
    assert!(run.stderr.contains("was removed and made again"), "{}", run.stderr);
    assert_ne!(sandbox.containers(), first);
    fs::write(sandbox.workspace().join("seen"), "").expect("a file");
    assert!(sandbox.codex_runs("ls /workspace").contains("seen"));
}

#[test]
fn the_umask_of_the_caller_changes_nothing() {
    for mask in ["000", "077"] {
        let sandbox = Sandbox::new();
        let dataset = format!("ssv2={}", sandbox.dataset().display());
        let run = Xtask::at(&sandbox.place).on_path(sandbox.codex_dir()).env(KEY, "x").within(240);
        let binary = sandbox.place.binary().display().to_string();
        let run = run.program("/bin/sh").args(["-c", "umask \"$0\"; exec \"$@\"", mask, &binary, "sandbox", "--cpu"]);
        run.args(["--dataset", &dataset, "--yes", "--", "--version"]).run().ok();
        assert_eq!(sandbox.proof().with("broken"), Vec::<String>::new(), "{mask}");
        let open = proc::output(
            "find",
            [&sandbox.place.path("state").display().to_string(), "-perm", "/022", "!", "-type", "l"],
        );
        assert_eq!(open, "", "{mask}: others can write there");
    }
}

/// Every way in which another directory can come to be at the path of a workspace, while the container has the first one.
#[test]
fn another_directory_at_the_path_of_a_workspace_is_told_and_the_first_one_is_not_entered_as_it() {
    type Change = fn(&Sandbox) -> Option<engine::Mounted>;
    let ways: [(&str, Change); 3] = [
        ("another was moved there", |sandbox| {
            let (old, new) = (sandbox.place.path("old"), sandbox.place.mkdir("new"));
            fs::rename(sandbox.workspace(), old).expect("moved away");
            fs::rename(new, sandbox.workspace()).expect("moved there");
            None
        }),
        ("another was mounted over it", |sandbox| {
            Some(engine::Mounted::bind(&sandbox.place.mkdir("new"), &sandbox.workspace()))
        }),
        ("it was removed, and many were made until one is there", |sandbox| {
            // The kernel gives inode numbers again; the mount keeps this one from it.
            for _ in 0..50 {
                let _ = fs::remove_dir_all(sandbox.workspace());
                fs::create_dir(sandbox.workspace()).expect("made again");
            }
            None
        }),
    ];
    for (what, change) in ways {
        let sandbox = Sandbox::new();
        fs::write(sandbox.workspace().join("first"), "").expect("a file");
        sandbox.enter(["--version"]).ok();
        let _mounted = change(&sandbox);
        fs::write(sandbox.workspace().join("second"), "").expect("a file");
        let run = sandbox.task("sandbox").args(["--yes", "--shell"]).stdin("ls /workspace\n").run().ok();
        assert!(run.stderr.contains("was removed and made again, or another"), "{what}: {}", run.stderr);
        assert!(run.stdout.contains("second") && !run.stdout.contains("first"), "{what}: {}", run.stdout);
        sandbox.task("down").args(["--yes"]).run().ok();
    }
}

#[test]
fn a_link_in_the_place_of_a_workspace_is_refused_until_the_first_container_is_ended() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let first = sandbox.task("status").run().ok().stdout;
    let name = first.split_whitespace().nth(1).expect("the container's name").to_owned();
    let is_there = || proc::outcome(proc::find("docker"), ["container", "inspect", &name]).0 == 0;
    fs::rename(sandbox.workspace(), sandbox.place.path("old")).expect("moved away");
    let new = sandbox.place.mkdir("new");
    fs::write(new.join("second"), "").expect("a file");
    std::os::unix::fs::symlink(&new, sandbox.workspace()).expect("a link");
    let run = sandbox.enter(["--version"]).ended(1);
    assert!(run.error().contains("was a directory when its sandbox was started, and leads to"), "{}", run.stderr);
    assert!(run.error().contains("`cargo xtask down --workspace "), "{}", run.stderr);
    assert!(sandbox.task("status").run().ok().stderr.contains("still has what was there"));
    // What is there now has a sandbox of its own, by its own path.
    let by_path = new.display().to_string();
    let own = ["--workspace", &by_path, "--yes", "--", "--version"];
    sandbox.task("sandbox").args(own).run().ok();
    assert!(is_there());
    sandbox.task("down").args(["--workspace", &by_path, "--yes"]).run().ok();
    assert!(is_there());
    sandbox.task("down").args(["--yes"]).run().ok();
    assert!(!is_there());
    assert!(sandbox.codex_runs("ls /workspace").contains("second"));
    sandbox.task("down").args(["--yes"]).run().ok();
}
