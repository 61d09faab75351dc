//! A step of a plan, as a value. Nothing here runs anything: see `exec`.
//!
//! The text of a command (`Display`) is exactly what is run, and can be pasted into a POSIX shell. Secret values
//! travel by name only: they are in the child's environment, never in an argument and never in the text.

use crate::text;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Tells the user what comes next and how long that usually takes.
    Note(String),
    /// Runs a program; its standard output goes to our standard error, which is where progress belongs.
    Run(Command),
    /// Makes a directory and its parents, with these permission bits, such as 0o700.
    CreateDir { path: PathBuf, mode: u32 },
    /// Writes a whole file, or leaves the old one as it was.
    WriteFile { path: PathBuf, text: String },
    /// Removes a file, a link or a directory with all that is in it; missing is fine.
    Remove { path: PathBuf },
}

/// A program with its arguments, environment and bounds.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Command {
    /// The program: a name that is looked up on `PATH`, or an absolute path.
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    /// Added to the environment, and shown.
    pub(crate) env: Vec<(String, String)>,
    /// Added to the environment, and never shown: the pasted text takes them from the user's own environment.
    pub(crate) secret_env: Vec<(String, String)>,
    /// The working directory, where it matters.
    pub(crate) dir: Option<PathBuf>,
    /// Text for its standard input; without it the child's standard input is empty (`capture`) or ours (`attach`).
    pub(crate) stdin: Option<Vec<u8>>,
    /// The bound on its running time; past it the process is killed and the step fails.
    pub(crate) timeout: Option<Duration>,
    /// What gives it longer, for the user to do.
    pub(crate) longer: Option<&'static str>,
    /// Whether it ends with this process, also where that is killed.
    pub(crate) tied: bool,
    /// The most bytes that are kept of what it says; past it the process is killed and the query fails.
    pub(crate) most: Option<usize>,
    /// What tells, while it runs, that it waits in vain.
    pub(crate) lifeline: Option<Box<Lifeline>>,
}

/// The server that a command waits for: where that does not answer, the command is ended, whatever its bound is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Lifeline {
    /// A short command that ends with 0 where the server answers.
    pub(crate) question: Command,
    /// What is said where it does not.
    pub(crate) silent: &'static str,
    /// What there is to do then, a sentence.
    pub(crate) remedy: &'static str,
}

impl Command {
    pub(crate) fn new(program: impl Into<String>) -> Self {
        Command { program: program.into(), ..Command::default() }
    }

    /// Its name, such as `docker build`, where the whole of it was shown just before.
    pub(crate) fn name(&self) -> String {
        let subcommand = self.args.iter().take(2).take_while(|arg| arg.chars().all(|c| c.is_ascii_lowercase()));
        text::printable(
            &[&self.program].into_iter().chain(subcommand).map(String::as_str).collect::<Vec<_>>().join(" "),
        )
    }

    #[must_use]
    pub(crate) fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub(crate) fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable that is shown in the text.
    #[must_use]
    pub(crate) fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds a variable whose value is never shown.
    #[must_use]
    pub(crate) fn secret_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.secret_env.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_path_buf());
        self
    }

    #[must_use]
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Bounds what is kept of its output, in bytes.
    #[must_use]
    pub(crate) fn at_most(mut self, bytes: usize) -> Self {
        self.most = Some(bytes);
        self
    }

    /// Lets it end with this process, however that ends: for work that nobody would wait for then.
    #[must_use]
    pub(crate) fn tied(mut self) -> Self {
        self.tied = true;
        self
    }

    /// Says which server it waits for.
    #[must_use]
    pub(crate) fn lifeline(mut self, lifeline: Lifeline) -> Self {
        self.lifeline = Some(Box::new(lifeline));
        self
    }

    /// Bounds the running time, in seconds.
    #[must_use]
    pub(crate) fn timeout(mut self, seconds: u64) -> Self {
        self.timeout = Some(Duration::from_secs(seconds));
        self
    }
}

/// The text, which has no secret value in it.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    text::word(&path.display().to_string())
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(dir) = &self.dir {
            write!(f, "cd {} && ", quoted(dir))?;
        }
        for (name, value) in &self.env {
            write!(f, "{name}={} ", text::word(value))?;
        }
        f.write_str(&text::word(&self.program))?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", text::word(arg)))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Note(note) => write!(f, "# {}", text::printable(note)),
            Step::Run(command) => command.fmt(f),
            Step::CreateDir { path, mode } => write!(f, "mkdir -p -m {mode:o} {}", quoted(path)),
            Step::WriteFile { path, text } => {
                let dir = path.parent().unwrap_or(Path::new("."));
                let text = text.trim_end_matches('\n');
                write!(f, "mkdir -p {} && cat > {} <<'END'\n{text}\nEND", quoted(dir), quoted(path))
            }
            Step::Remove { path } => write!(f, "rm -rf {}", quoted(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_new_file_in_a_new_directory_can_be_pasted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's new/override.yaml");
        let text = "a: '$HOME'\nb: `id`\n".to_owned();
        let step = Step::WriteFile { path: path.clone(), text: text.clone() };
        let shell = Command::new("sh").args(["-ec", &step.to_string()]);
        assert!(crate::exec::capture(&shell).unwrap().ok());
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }

    #[test]
    fn a_note_is_a_comment_in_the_pasted_text() {
        let steps = [Step::Note("it's slow; `id`\nfalse\u{1b}[2J".into()), Step::Run(Command::new("true"))];
        let text = steps.map(|step| step.to_string()).join("\n");
        let said = crate::exec::capture(&Command::new("sh").args(["-ec", &text])).unwrap();
        assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    }

    #[test]
    fn the_text_of_a_command_can_be_pasted() {
        let command = Command::new("docker")
            .args(["run", "", "a b", "it's", "$HOME", "a,b"])
            .env("SSV2_DIR", "/data/my videos")
            .secret_env("HF_TOKEN", "hf_secret");
        let text = command.to_string();
        assert_eq!(text, r#"SSV2_DIR='/data/my videos' docker run '' 'a b' 'it'\''s' '$HOME' a,b"#);
        assert_eq!(format!("{command:?}"), text, "and no other form shows the value");
        assert_eq!(shell_words::split(&text).unwrap()[2..], ["run", "", "a b", "it's", "$HOME", "a,b"]);
    }
}
