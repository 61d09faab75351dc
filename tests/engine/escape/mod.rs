//! The escape suite: everything that an agent is known to have tried, made in a running sandbox, and judged on the host.
//!
//! One container, many attempts. Each is a few lines of Python (`dataset.py`, `mounts.py`, `kernel.py`, `reach.py`) that
//! run as the agent's commands do; after each of them the host looks at what the sandbox guards. An attempt that cannot
//! be made fails the test. `docs/threat-model.md` has a row for each.

mod guards;
mod host;
pub(crate) mod leave;
mod made;
pub(crate) mod table;

use self::host::{Host, Watched};
use self::made::{Made, Through};
use self::table::{THEMES, Theme};
use crate::support::place::User;
use crate::support::proc;
use crate::support::sandbox::Sandbox;

/// A sandbox with a repository as its project, a data set with things of every kind, and limits that can be run into.
fn prepared(sandbox: &Sandbox) -> Host {
    let place = &sandbox.place;
    let settings = place.read("repo/sandbox.local.yaml");
    place.write("repo/sandbox.local.yaml", settings + &host::settings());
    place.mkdir("ssv2/hollow");
    let loose = place.write("ssv2/open/loose", "abc\n");
    for (mode, path) in [("777", sandbox.dataset().join("open")), ("666", loose)] {
        proc::output("chmod", [mode, &path.display().to_string()]);
    }
    let host = Host::lay(sandbox);
    place.write("repo/workspace/old", "x\n");
    place.give();
    // Another owner takes the bit away, so it is set last.
    proc::output("chmod", ["4755", &host.outside.join("su").display().to_string()]);
    let git = |args: &[&str]| git(sandbox, args);
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "from the host"]);
    host
}

/// Git of the host in the project, as its owner.
fn git(sandbox: &Sandbox, args: &[&str]) -> String {
    let workspace = sandbox.workspace().display().to_string();
    let run = crate::support::run::Xtask::at(&sandbox.place).program(proc::find("git"));
    let run = run.args(["-C", &workspace]).args(args.iter().copied()).run().ok();
    format!("{}{}", run.stdout, run.stderr)
}

/// Enters by the real command, with a secret and an agent's socket in the environment.
fn entered(sandbox: &Sandbox, host: &Host) -> String {
    let task = sandbox.task("sandbox").env("HOST_TOKEN", host.secret());
    let task = task.env("SSH_AUTH_SOCK", sandbox.place.path("agent.sock"));
    task.args(["--yes", "--", "--version"]).run().ok();
    sandbox.containers().remove(0)
}

#[track_caller]
fn all_held(sandbox: &Sandbox, themes: &[Theme]) {
    let mut host = prepared(sandbox);
    let container = entered(sandbox, &host);
    let watched = Watched::of(sandbox, &host, &container);
    for theme in themes {
        let made = made::make(theme, &[], &container, Through::TheLauncher, &mut host, &watched);
        let ids: Vec<&str> = made.iter().map(|made| made.id.as_str()).collect();
        assert_eq!(ids, theme.ids(), "not every attempt of `{}` was made", theme.name);
        let lost: Vec<&Made> = made.iter().filter(|made| !made.against.is_empty()).collect();
        let lost: Vec<String> = lost.iter().map(|made| format!("{}: {}", made.id, made.against.join("; "))).collect();
        assert!(lost.is_empty(), "{}", lost.join("\n"));
    }
}

#[test]
fn the_attempts_of_root() {
    all_held(&Sandbox::of(User { uid: 0, gid: 0 }), &THEMES);
}

#[test]
fn the_attempts_of_an_ordinary_user() {
    all_held(&Sandbox::of(User { uid: 1234, gid: 1234 }), &THEMES);
}

/// The attempts that the filter of a session stops, where the settings deny tracing.
#[test]
fn the_attempts_of_an_ordinary_user_who_denies_tracing() {
    let sandbox = Sandbox::of(User { uid: 1234, gid: 1234 });
    let settings = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", settings + "ptrace: deny\n");
    let filter = THEMES.into_iter().filter(|theme| theme.name == "filter").collect::<Vec<_>>();
    all_held(&sandbox, &filter);
    assert!(sandbox.proof().with("held").contains(&"user.no-tracing".to_owned()));
}
