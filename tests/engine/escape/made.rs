//! Makes the attempts of one file in a running container, and looks at the host after each of them.

use super::host::{Guarded, Host, Watched};
use super::table::Theme;
use crate::support::{engine, proc};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

/// One attempt, as it went.
pub(super) struct Made {
    pub(super) id: String,
    /// Why it does not count as held; empty where it held.
    pub(super) against: Vec<String>,
}

/// How the program of the attempts comes to run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    /// As a session does, where its container has a launcher.
    TheLauncher,
    /// Without it.
    TheEngineAlone,
}

/// The program through which the sessions of a container are started, by its path inside.
fn launcher(container: &str) -> Option<String> {
    let list = "for path in /sandbox/launch/*; do [ -e \"$path\" ] && echo \"$path\"; done; true";
    let found = engine::docker(["exec", container, "/bin/bash", "-c", list]);
    found.lines().next().map(str::to_owned)
}

/// Makes the attempts of a theme, or those with the given ids, in the way in which the agent's commands run.
pub(super) fn make(
    theme: &Theme,
    only: &[&str],
    container: &str,
    through: Through,
    host: &mut Host,
    watched: &Watched,
) -> Vec<Made> {
    let launcher = launcher(container);
    let (program, facts) = (theme.program(), host.facts(launcher.as_deref()));
    let mut child = Command::new(proc::find("docker"))
        .args(["exec", "--interactive", "--workdir", "/workspace", container])
        .args(launcher.filter(|_| through == Through::TheLauncher))
        .args(["/bin/bash", "-lc"])
        .args(["exec python3 -I -c \"$0\" \"$@\"", &program, &facts])
        .args(only)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("docker exec");
    let mut answers = child.stdin.take().expect("its input");
    let mut all = Vec::new();
    let mut before = Guarded::look(watched);
    for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
        let line = line.expect("a line");
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|err| panic!("{err}: {line}"));
        let mut against = wrong(&said);
        let after = Guarded::look(watched);
        against.extend(before.changes(&after));
        against.extend(host.harmed().iter().map(|&why| why.to_owned()));
        if said.to_string().contains(&host.secret()) {
            against.push("it has a secret of the host".into());
        }
        all.push(Made { id: said["id"].as_str().expect("an id").to_owned(), against });
        before = after;
        // The program may have been ended by what it tried: then its output ends too.
        let _ = answers.write_all(b"next\n");
    }
    let _ = child.wait();
    all
}

/// What is wrong with what an attempt says of itself.
fn wrong(said: &Value) -> Vec<String> {
    let one_of = |expected: &Value, seen: &Value| match expected {
        Value::Array(all) => all.contains(seen),
        one => one == seen,
    };
    let mut all = Vec::new();
    if !one_of(&said["expected"], &said["seen"]) {
        all.push(format!("it came to {}, and not to {}", said["seen"], said["expected"]));
    }
    if !said["control"].is_null() && !one_of(&said["control"], &said["control_seen"]) {
        all.push(format!("on a copy it came to {}, and not to {}", said["control_seen"], said["control"]));
    }
    all
}

#[test]
fn what_is_expected_is_told_from_what_is_not() {
    let said = |text: &str| wrong(&serde_json::from_str(text).expect("JSON")).len();
    assert_eq!(said(r#"{"expected": ["EROFS"], "seen": "EROFS", "control": null, "control_seen": null}"#), 0);
    assert_eq!(said(r#"{"expected": ["EROFS"], "seen": "done", "control": null, "control_seen": null}"#), 1);
    assert_eq!(said(r#"{"expected": ["EROFS"], "seen": "EROFS", "control": "done", "control_seen": "EROFS"}"#), 1);
    assert_eq!(said(r#"{"expected": ["EROFS"], "seen": "could not be made", "control": null}"#), 1);
    assert_eq!(
        said(r#"{"expected": ["done"], "seen": "done", "control": ["done", "EPERM"], "control_seen": "EPERM"}"#),
        0
    );
}
