//! One run of `cargo xtask`, as a value: strict unless a test says otherwise.
//!
//! The environment is empty but for what is named here. `success` and `failure` compare both streams whole; a stream
//! that should be empty is given as `""`.

use crate::support::place::{Place, User};
use crate::support::proc::{self, Said};
use snapbox::{Assert, IntoData, Redactions};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Where Debian keeps programs. The user's own PATH may hold another Codex.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A run of the tool in a place.
#[must_use]
pub(crate) struct Xtask<'a> {
    place: &'a Place,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    path: Vec<PathBuf>,
    system: bool,
    bound: Duration,
    stdin: &'static str,
    user: Option<User>,
    groups: Vec<u32>,
}

impl<'a> Xtask<'a> {
    /// The tool in this place: PATH holds the place's own programs and, behind them, the system's.
    pub(crate) fn at(place: &'a Place) -> Xtask<'a> {
        Xtask {
            place,
            program: place.binary(),
            args: Vec::new(),
            env: Vec::new(),
            path: vec![place.path("bin")],
            system: true,
            bound: Duration::from_secs(150),
            stdin: "",
            user: place.owner,
            groups: Vec::new(),
        }
    }

    /// Another program with the environment that the tool would have.
    pub(crate) fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// Adds arguments.
    pub(crate) fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the tool's environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a directory to PATH, behind the place's own.
    pub(crate) fn on_path(mut self, dir: impl Into<PathBuf>) -> Self {
        self.path.push(dir.into());
        self
    }

    /// Leaves the system's programs out of PATH, but for a few that every system has: what the test has not put into
    /// `bin` is not installed.
    pub(crate) fn bare_path(mut self) -> Self {
        for name in ["env", "sh", "cat", "git"] {
            let link = self.place.path("bin").join(name);
            if !link.exists() {
                std::os::unix::fs::symlink(proc::find(name), link).expect("a link to a program of the system");
            }
        }
        self.system = false;
        self
    }

    /// Where the network needs a proxy or a CA bundle of its own, the tool does too.
    pub(crate) fn with_network(mut self) -> Self {
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "DOCKER_HOST"] {
            if let Some(value) = std::env::var_os(name) {
                self = self.env(name, value);
            }
        }
        self
    }

    /// Supplementary groups of the place's owner.
    pub(crate) fn groups(mut self, groups: &[u32]) -> Self {
        self.groups.extend(groups);
        self
    }

    /// The bound on the run, in seconds; 150 by default.
    pub(crate) fn within(mut self, seconds: u64) -> Self {
        self.bound = Duration::from_secs(seconds);
        self
    }

    /// What is written to its standard input; nothing by default.
    pub(crate) fn stdin(mut self, text: &'static str) -> Self {
        self.stdin = text;
        self
    }

    /// The environment that the tool gets, whole.
    fn environment(&self) -> Vec<(String, OsString)> {
        let mut path = std::env::join_paths(&self.path).expect("no colon in a place");
        if self.system {
            path.push(":");
            path.push(SYSTEM_PATH);
        }
        let mut env: Vec<(String, OsString)> = vec![
            ("PATH".into(), path),
            ("HOME".into(), self.place.path("home").into()),
            ("XDG_STATE_HOME".into(), self.place.path("state").into()),
            ("CARGO_MANIFEST_DIR".into(), self.place.path("xtask").into()),
        ];
        env.extend(self.env.iter().cloned());
        env
    }

    /// The program with its arguments, as another user where the place has an owner.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(User { uid, gid }) = self.user {
            if users::get_effective_uid() != 0 {
                words.extend(["sudo", "-n"].map(Into::into));
            }
            words.extend(["setpriv", "--reuid"].map(Into::into));
            words.push(uid.to_string().into());
            words.extend(["--regid".into(), gid.to_string().into()]);
            let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
            words.push(match groups.is_empty() {
                true => "--clear-groups".into(),
                false => format!("--groups={}", groups.join(",")).into(),
            });
        }
        words.extend(["env".into(), "-i".into(), "-C".into(), self.place.root().into()]);
        for (name, value) in self.environment() {
            let mut word = OsString::from(format!("{name}="));
            word.push(value);
            words.push(word);
        }
        words.push(self.program.clone().into());
        words.extend(self.args.iter().cloned());
        words
    }

    /// Runs it, within its bound.
    #[track_caller]
    pub(crate) fn run(self) -> Run<'a> {
        let words = self.words();
        let Said { code, stdout, stderr } =
            proc::bounded(Command::new(&words[0]).args(&words[1..]), self.stdin, self.bound);
        Run { place: self.place, code, stdout, stderr, words }
    }
}

/// What a run said.
pub(crate) struct Run<'a> {
    place: &'a Place,
    words: Vec<OsString>,
    /// The exit code; `None` where a signal or the bound ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run<'_> {
    /// It must have ended with 0; the text of its streams is the test's own business.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ended(0)
    }

    /// It must have ended with this exit code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{:?}\n--- stdout\n{}--- stderr\n{}", self.words, self.stdout, self.stderr);
        self
    }

    /// Exit code 0, and both streams exactly these.
    #[track_caller]
    pub(crate) fn success(self, stdout: impl IntoData, stderr: impl IntoData) -> Self {
        self.exactly(0, stdout, stderr)
    }

    /// This exit code, and both streams exactly these.
    #[track_caller]
    pub(crate) fn exactly(self, code: i32, stdout: impl IntoData, stderr: impl IntoData) -> Self {
        let run = self.ended(code);
        let assert = Assert::new().redact_with(redactions(run.place)).action_env("SNAPSHOTS");
        assert.eq(&run.stdout, stdout);
        assert.eq(&run.stderr, stderr);
        run
    }

    /// The line of standard error that starts with `error:` and all after it.
    #[track_caller]
    pub(crate) fn error(&self) -> &str {
        let start = self.stderr.find("error: ");
        &self.stderr[start.unwrap_or_else(|| panic!("no error was reported:\n{}", self.stderr))..]
    }
}

/// What differs between two runs of one test: the place.
pub(crate) fn redactions(place: &Place) -> Redactions {
    let mut redactions = Redactions::new();
    let dir = place.dir().to_path_buf();
    redactions.insert("[PLACE]", dir).expect("a placeholder");
    redactions
}
