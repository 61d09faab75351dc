//! Faults at the exit of a session, once Codex has ended: the exit code is the session's, and what the call could not do any
//! more, the next one does.

use super::waiting::Leaving;
use crate::support::proc;
use crate::support::relay::Answer::{self, Error, Gone, Held, Never};
use std::fs;

#[test]
fn a_signal_while_the_engine_is_asked_what_became_of_the_container() {
    let leaving = Leaving::new();
    for name in ["TERM", "INT", "HUP", "QUIT"] {
        let mut call = leaving.begin();
        leaving.relay.arm("/containers/", 0, Held);
        leaving.goes();
        call.until(|| leaving.relay.reached());
        proc::outcome("kill", [&format!("-{name}"), "--", &call.pid().to_string()]);
        let (code, stderr) = call.end();
        assert!(leaving.relay.reached(), "{name}: {stderr}");
        leaving.relay.heal();
        assert!(code == Some(7) && !stderr.contains("panicked"), "{name}: {code:?} {stderr}");
        leaving.after(name);
    }
}

/// The commits are listed last: a `git` that does not come to an end holds the call there.
#[test]
fn a_signal_while_git_lists_the_commits() {
    let leaving = Leaving::new();
    for name in ["TERM", "INT"] {
        let mut call = leaving.begin();
        let reached = leaving.sandbox.place.path("reached");
        let text = format!("#!/bin/sh\ntouch {}\nexec {}\n", reached.display(), proc::endless());
        let hanging = leaving.sandbox.place.program("git", text);
        leaving.goes();
        call.until(|| reached.exists());
        proc::outcome("kill", [&format!("-{name}"), "--", &call.pid().to_string()]);
        let (code, stderr) = call.end();
        fs::remove_file(hanging).expect("the program");
        assert!(reached.exists(), "{name}: {stderr}");
        fs::remove_file(reached).expect("the mark");
        assert!(code == Some(7) && !stderr.contains("panicked"), "{name}: {code:?} {stderr}");
        assert!(!proc::runs(&proc::endless()), "{name}: it runs on");
        leaving.after(name);
    }
}

#[test]
fn an_engine_that_fails_then() {
    let leaving = Leaving::new();
    for answer in [Gone, Never, Answer::Garbage, Error("no space left on device")] {
        let what = format!("{answer:?}");
        let call = leaving.begin();
        leaving.relay.arm("/containers/", 0, answer);
        leaving.goes();
        let (code, stderr) = call.end();
        assert!(leaving.relay.reached(), "{what}: {stderr}");
        leaving.relay.heal();
        let said = stderr.contains("is not known") && !stderr.contains("panicked");
        assert!(code == Some(7) && said, "{what}: {code:?} {stderr}");
        leaving.after(&what);
    }
}
