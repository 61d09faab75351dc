//! A `docker` of the test's own: it answers from a list, and records how it was called.
//!
//! It stands for engines in situations that a real one cannot be put in: a GPU, an old API, Desktop, a remote host.

use crate::support::place::Place;
use crate::support::proc;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// One answer: for calls whose arguments, joined by spaces, match a shell pattern.
struct Answer {
    pattern: String,
    code: u8,
    stdout: String,
    stderr: String,
}

/// Where the client's default context leads: it asks for no endpoint then.
const DEFAULT_ENDPOINT: &str = "unix:///var/run/docker.sock";

/// A program in the place of `docker`. A call that no answer is for ends with 97 and says so.
#[must_use]
pub(crate) struct FakeDocker {
    answers: Vec<Answer>,
    programs: Vec<(String, PathBuf)>,
    watched: Vec<&'static str>,
    /// What it says of itself to `docker version`; changed by a test before `install`.
    pub(crate) version: Value,
    /// What it says to `docker info`.
    pub(crate) info: Value,
    /// What it says to `docker context inspect`; another one than the default's means a context of the user's own.
    pub(crate) endpoint: String,
}

impl FakeDocker {
    /// A plain rootful Docker Engine with Compose v2, no GPU, nothing running and no image.
    pub(crate) fn new() -> FakeDocker {
        FakeDocker {
            answers: Vec::new(),
            programs: Vec::new(),
            watched: Vec::new(),
            version: json!({
                "Client": {"Platform": {"Name": ""}, "Version": "26.1.5", "ApiVersion": "1.45"},
                "Server": {
                    "Platform": {"Name": ""},
                    "Components": [{"Name": "Engine", "Version": "26.1.5"}],
                    "Version": "26.1.5", "ApiVersion": "1.45", "MinAPIVersion": "1.24",
                },
            }),
            info: json!({
                "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
                "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
                "Runtimes": {"runc": {"path": "runc"}},
                "CDISpecDirs": [],
                "CgroupDriver": "systemd",
                "DockerRootDir": "/var/lib/docker",
                "ClientInfo": {"Context": "default", "Plugins": [
                    {"Name": "buildx", "Version": "v0.13.1"},
                    {"Name": "compose", "Version": "v2.26.1"},
                ]},
            }),
            endpoint: DEFAULT_ENDPOINT.into(),
        }
    }

    /// Answers calls that match the shell pattern; earlier answers win.
    pub(crate) fn answer(mut self, pattern: &str, code: u8, stdout: &str, stderr: &str) -> Self {
        self.answers.push(Answer { pattern: pattern.into(), code, stdout: stdout.into(), stderr: stderr.into() });
        self
    }

    /// Lets a program answer calls that match the shell pattern, before any other answer.
    pub(crate) fn runs(mut self, pattern: &str, program: impl Into<PathBuf>) -> Self {
        self.programs.push((pattern.into(), program.into()));
        self
    }

    /// Records the value of this variable with each call.
    pub(crate) fn watch(mut self, variable: &'static str) -> Self {
        self.watched.push(variable);
        self
    }

    /// Puts it on the place's PATH.
    pub(crate) fn install(mut self, place: &Place) -> Calls {
        if self.endpoint != DEFAULT_ENDPOINT {
            self.info["ClientInfo"]["Context"] = json!("far");
        }
        let log = place.write("docker.log", "");
        let own = [
            ("version *", self.version.to_string()),
            ("info *", self.info.to_string()),
            ("context inspect *", self.endpoint.clone()),
        ];
        let own =
            own.map(|(pattern, stdout)| Answer { pattern: pattern.into(), code: 0, stdout, stderr: String::new() });
        let mut script = String::from("#!/bin/sh\nline=\n");
        // One bracketed argument at a time: `$*` would hide where one ends. One write for a call: calls overlap.
        script.push_str("for arg in \"$@\"; do line=\"$line[$arg]\"; done\n");
        for name in &self.watched {
            script.push_str(&format!("line=\"$line {name}=${{{name}-(not set)}}\"\n"));
        }
        script.push_str(&format!("printf '%s\\n' \"$line\" >>'{}'\ncase \"$*\" in\n", log.display()));
        for (pattern, program) in &self.programs {
            let (pattern, program) = (shell_pattern(pattern), program.display());
            script.push_str(&format!("{pattern}) exec '{program}' \"$@\";;\n"));
        }
        for (i, answer) in self.answers.iter().chain(&own).enumerate() {
            let stdout = place.write(&format!("docker.answers/{i}.out"), &answer.stdout);
            let stderr = place.write(&format!("docker.answers/{i}.err"), &answer.stderr);
            let pattern = shell_pattern(&answer.pattern);
            let (stdout, stderr, code) = (stdout.display(), stderr.display(), answer.code);
            script.push_str(&format!("{pattern}) cat '{stdout}'; cat '{stderr}' >&2; exit {code};;\n"));
        }
        script.push_str("esac\necho \"this docker has no answer for: $*\" >&2\nexit 97\n");
        place.program("docker", script);
        Calls { log }
    }
}

// All but `*` and `?` is quoted: the pattern is one word of the `case`.
fn shell_pattern(pattern: &str) -> String {
    let quoted = |c| match c {
        '*' | '?' => String::from(c),
        '\'' => "\"'\"".into(),
        c => format!("'{c}'"),
    };
    pattern.chars().map(quoted).collect()
}

/// How a fake `docker` was called.
pub(crate) struct Calls {
    log: PathBuf,
}

impl Calls {
    /// The calls in the order in which they were made, one line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).expect("the calls of the fake docker");
        text.lines().map(str::to_owned).collect()
    }

    /// The calls that start with these arguments.
    pub(crate) fn of(&self, words: &[&str]) -> Vec<String> {
        let start: String = words.iter().map(|word| format!("[{word}]")).collect();
        self.lines().into_iter().filter(|line| line.starts_with(&start)).collect()
    }
}

#[test]
fn a_call_is_recorded_one_argument_at_a_time() {
    let place = Place::new();
    let calls = FakeDocker::new().answer("run * it's", 3, "out", "err").watch("HF_TOKEN").install(&place);
    let docker = place.path("bin/docker");
    let outcome = proc::outcome(&docker, ["run", "", "a b", "$HOME", "it's"]);
    assert_eq!(outcome, (3, "out".into(), "err".into()));
    assert_eq!(proc::outcome(&docker, ["unheard-of"]).0, 97);
    let expected = ["[run][][a b][$HOME][it's] HF_TOKEN=(not set)", "[unheard-of] HF_TOKEN=(not set)"];
    assert_eq!(calls.lines(), expected);
    assert_eq!(calls.of(&["unheard-of"]).len(), 1);
}
