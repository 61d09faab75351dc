//! What is read from this process's surroundings: once, here, and nowhere else.

use crate::error::{host, usage};
use anyhow::Result;
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// The surroundings of one run of `cargo xtask`. Not to be printed: the environment holds secrets.
#[derive(Clone, Default)]
pub struct Context {
    /// The root of this repository.
    pub root: PathBuf,
    /// The directory in which the user typed the command: relative paths on the command line start here.
    pub cwd: PathBuf,
    /// The environment, without what is not UTF-8.
    pub env: BTreeMap<String, String>,
    /// Whether standard input is a terminal.
    pub stdin_tty: bool,
    /// Whether standard output is a terminal.
    pub stdout_tty: bool,
    /// Whether standard error is a terminal.
    pub stderr_tty: bool,
    /// The columns of the terminal, where there is one.
    pub columns: Option<usize>,
    /// `$XDG_STATE_HOME/codex-sandbox`: what must outlive a clean build. The container never reaches it.
    pub state: PathBuf,
    /// The user's home directory.
    pub home: PathBuf,
    /// This program's own file.
    pub exe: PathBuf,
}

impl Context {
    /// Reads the surroundings of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read() -> Result<Context> {
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        // `cargo run` sets it; the compiled-in path serves a binary that is started by hand.
        let manifest = env.get("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR"), String::as_str);
        let root = Path::new(manifest)
            .parent()
            .and_then(|root| root.canonicalize().ok())
            .ok_or_else(|| host(format!("the repository of `{manifest}` is gone")).hint("run it as `cargo xtask`"))?;
        let cwd = std::env::current_dir()?;
        let home = absolute_var(&env, "HOME")
            .ok_or_else(|| host("`HOME` is not set to an absolute path").hint("export HOME=/home/you"))?;
        let state = absolute_var(&env, "XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state"));
        Ok(Context {
            root,
            cwd,
            stdin_tty: std::io::stdin().is_terminal(),
            stdout_tty: std::io::stdout().is_terminal(),
            stderr_tty: std::io::stderr().is_terminal(),
            columns: columns(),
            state: state.join("codex-sandbox"),
            home,
            exe: std::env::current_exe()?,
            env,
        })
    }

    /// A variable of the environment; an empty one counts as not set.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `target/sandbox`: what can be made again.
    pub fn scratch(&self) -> PathBuf {
        self.root.join("target/sandbox")
    }

    /// `PATH` without what lies in a directory, and what was left out. Relative parts lie in the working directory.
    pub fn path_outside(&self, dir: &Path) -> (String, Vec<PathBuf>) {
        let dir = resolved(dir);
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for part in self.var("PATH").unwrap_or_default().split(':') {
            let path = self.absolute(Path::new(part));
            if path.starts_with(&dir) || resolved(&path).starts_with(&dir) {
                left_out.push(path);
            } else {
                kept.push(part);
            }
        }
        (kept.join(":"), left_out)
    }

    /// A path of the command line or the environment, made absolute; `~` is the shell's business.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.cwd.join(path)
    }
}

/// A directory that the user named, as its one absolute path without symlinks. It must be there.
pub(crate) fn canonical(what: &str, path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|err| {
        usage(format!("{what} `{}` cannot be used: {err}", path.display()))
            .hint("check the path; a directory must exist before it is mounted")
            .into()
    })
}

/// The same where it need not be there: without symlinks as far as it is, the rest as it was written.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    // Joined part by part: an empty rest would leave a slash at the end, and with it another text.
    let there = path.ancestors().find_map(|dir| Some((dir.canonicalize().ok()?, path.strip_prefix(dir).ok()?)));
    there.map_or_else(|| path.to_path_buf(), |(real, rest)| real.components().chain(rest.components()).collect())
}

fn columns() -> Option<usize> {
    let of = |stream: std::os::fd::BorrowedFd<'_>| rustix::termios::tcgetwinsize(stream).ok();
    let size = of(std::io::stdout().as_fd()).or_else(|| of(std::io::stderr().as_fd()))?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn absolute_var(env: &BTreeMap<String, String>, name: &str) -> Option<PathBuf> {
    env.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_path_that_lies_in_a_directory_is_kept_however_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("project/bin")).unwrap();
        std::fs::create_dir_all(at("projects")).unwrap();
        std::os::unix::fs::symlink(at("project"), at("link")).unwrap();
        let text = |name: &str| at(name).to_str().unwrap().to_owned();
        let bad = [
            text("project/bin"),
            text("project"),
            text("link/.venv/bin"),
            text("projects/../project/bin"),
            String::new(),
            "bin".into(),
        ];
        let cx = |parts: &[String]| Context {
            cwd: at("project"),
            env: [("PATH".to_owned(), parts.join(":"))].into(),
            ..Context::default()
        };
        for part in bad {
            let (kept, left_out) = cx(&["/usr/bin".into(), part.clone(), text("projects")]).path_outside(&at("link"));
            assert_eq!(kept, format!("/usr/bin:{}", text("projects")), "{part}");
            assert_eq!(left_out.len(), 1, "{part}");
        }
    }
}
