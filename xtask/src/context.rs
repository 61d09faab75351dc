//! The environment, the terminal and the directories of this process: they are read once, here, and nowhere else.

use crate::beneath::Way;
use crate::error::{Failure, host, usage};
use crate::text;
use anyhow::Result;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Everything that is read about one run of `cargo xtask`. It must not be printed: the environment holds secrets.
#[derive(Clone, Default)]
pub struct Context {
    /// The root of this repository.
    pub root: PathBuf,
    /// The directory in which the user typed the command: relative paths on the command line start here.
    pub cwd: PathBuf,
    /// The environment, without variables that are not UTF-8.
    pub env: BTreeMap<String, String>,
    /// The names of those that are not UTF-8: nothing that is started gets them.
    pub unreadable: Vec<String>,
    /// Whether standard input is a terminal.
    pub stdin_tty: bool,
    /// Whether standard output is a terminal.
    pub stdout_tty: bool,
    /// Whether standard error is a terminal.
    pub stderr_tty: bool,
    /// The columns of the terminal, where there is one.
    pub columns: Option<usize>,
    /// `$XDG_STATE_HOME/codex-sandbox`, for what must outlive a clean build. It is never mounted into a container.
    pub state: PathBuf,
    /// The user's home directory.
    pub home: PathBuf,
    /// This program's own file.
    pub exe: PathBuf,
    /// The memory of this machine, in bytes; `None` where the kernel does not say.
    pub memory: Option<u64>,
    /// Whether the task only says what it would do: then it writes nothing, not even what it remembers for later calls.
    pub dry_run: bool,
}

/// The paths that [`Context::read`] looks at, which may lie on a server that hangs.
pub(crate) fn read_first() -> Vec<(&'static str, PathBuf)> {
    let named = |name: &str| variables().find(|(known, _)| known.as_str() == name).map(|(_, value)| value);
    let manifest = named("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&manifest).parent().map(|root| ("this repository", root.to_owned()));
    let home = named("HOME").map(|home| ("the home directory", PathBuf::from(home)));
    root.into_iter().chain(home).filter(|(_, path)| path.is_absolute()).collect()
}

impl Context {
    /// Reads all of it.
    pub(crate) fn read() -> Result<Context> {
        let unreadable = variables().filter(|(_, value)| value.to_str().is_none()).map(|(name, _)| name).collect();
        let env = readable(variables())?;
        // `cargo run` sets the variable; a binary that is started by hand has the path that was compiled into it.
        let manifest = env.get("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR"), String::as_str);
        let root = Path::new(manifest).parent().and_then(|root| root.canonicalize().ok()).ok_or_else(|| {
            host(format!("there is no repository around `{manifest}`")).hint("run it as `cargo xtask`")
        })?;
        usable("this checkout", &root)?;
        let cwd = std::env::current_dir()?;
        let home = home(&env)?;
        not_of_who_called_sudo(users::get_effective_uid(), &env, &home)?;
        let state = absolute_var(&env, "XDG_STATE_HOME")?.unwrap_or_else(|| home.join(".local/state"));
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
            memory: std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory(&text)),
            dry_run: false,
            env,
            unreadable,
        })
    }

    /// A variable of the environment; an empty one counts as not set.
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The host's Codex home.
    pub(crate) fn codex_home(&self) -> PathBuf {
        self.var("CODEX_HOME").map_or_else(|| self.home.join(".codex"), |dir| self.absolute(Path::new(dir)))
    }

    /// `target/sandbox`, for files that can be regenerated.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join("target/sandbox")
    }

    /// `PATH` without the parts that lie in one of these directories, and the parts that were left out, each once. A relative part is
    /// relative to the working directory.
    pub(crate) fn path_outside(&self, dirs: &[PathBuf]) -> (String, Vec<PathBuf>) {
        let dirs: Vec<PathBuf> = dirs.iter().map(|dir| resolved(dir)).collect();
        let inside = |path: &Path| {
            let real = resolved(path);
            dirs.iter().any(|dir| path.starts_with(dir) || real.starts_with(dir))
        };
        let parts = self.var("PATH").unwrap_or_default().split(':');
        let (left_out, kept): (Vec<&str>, Vec<&str>) = parts.partition(|part| inside(&self.absolute(Path::new(part))));
        let mut dirs: Vec<PathBuf> = Vec::new();
        for dir in left_out.iter().map(|part| self.absolute(Path::new(part))) {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        (kept.join(":"), dirs)
    }

    /// A path of the command line, of the environment, or one that was typed as an answer, made absolute. No shell has
    /// replaced `~` in an answer, nor in `--dataset ssv2=~/data`. The kernel names the working directory without symlinks, so
    /// that the `..` at the start lead to its parents by name; any other one is left to whoever follows the path.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        if let Ok(rest) = path.strip_prefix("~") {
            return self.home.join(rest);
        }
        let (mut dir, mut rest) = (self.cwd.clone(), path);
        loop {
            if let Ok(next) = rest.strip_prefix(".") {
                rest = next;
            } else if let Ok(next) = rest.strip_prefix("..") {
                dir.pop();
                rest = next;
            } else {
                break;
            }
        }
        if rest.as_os_str().is_empty() && rest != path { dir } else { dir.join(rest) }
    }
}

/// The environment of this process.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn variables() -> impl Iterator<Item = (String, OsString)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
}

/// A directory that the user named, as an absolute path without symlinks. It must exist.
pub(crate) fn directory(what: &str, path: &Path) -> Result<PathBuf> {
    let refused = |why: String| {
        usage(format!("{what} `{}` cannot be used: {why}", text::path(path)))
            .hint("check the path; a directory must exist before it is mounted")
    };
    let real = path.canonicalize().map_err(|err| refused(err.to_string()))?;
    usable(what, &real)?;
    if real.is_dir() { Ok(real) } else { Err(refused("it is not a directory".into()).into()) }
}

/// The same for a directory that need not exist: the part that exists is without symlinks, the rest is as it was written.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    // Joined part by part, because joining an empty rest would add a slash at the end.
    let there = path.ancestors().find_map(|dir| Some((dir.canonicalize().ok()?, path.strip_prefix(dir).ok()?)));
    there.map_or_else(|| path.to_path_buf(), |(real, rest)| real.components().chain(rest.components()).collect())
}

/// Where a path, whose symlinks are followed one by one as the kernel does, first comes into one of these directories: that
/// directory, and the rest of the way as it is written there. What lies at the end need not exist. The directories are
/// without symlinks, and ways through `except` go on.
pub(crate) fn led_into<'a>(dirs: &'a [PathBuf], except: &[PathBuf], path: &Path) -> Option<(&'a Path, PathBuf)> {
    let (mut at, mut way) = (PathBuf::new(), Way::new(path));
    while let Some(part) = way.step() {
        if part == ".." {
            at.pop();
        } else {
            // A part that is `/` takes the place of all before it.
            at.push(part);
        }
        if let Ok(to) = at.read_link() {
            at.pop();
            way.link(&to).ok()?;
            continue;
        }
        let Some(dir) = dirs.iter().find(|dir| at.starts_with(dir)) else { continue };
        let whole = way.whole(&at);
        // From the directory, or from what is excepted, upwards: no name is followed.
        let is_above = at == *dir || except.iter().any(|except| except.starts_with(&at));
        let leaves = is_above && way.coming().is_some_and(|next| next == "..");
        if !leaves && !except.iter().any(|except| whole.starts_with(except)) {
            return Some((dir, whole));
        }
    }
    None
}

/// The last second of the year 9999, after which RFC 3339 has no form.
pub(crate) fn latest() -> std::time::SystemTime {
    std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_799)
}

/// The time of now, as RFC 3339.
pub(crate) fn now() -> String {
    // A clock that was set to before 1970 or after 9999 is none that could be written.
    let now = std::time::SystemTime::now().clamp(std::time::SystemTime::UNIX_EPOCH, latest());
    humantime::format_rfc3339_seconds(now).to_string()
}

/// The time in seconds since 1970.
pub(crate) fn seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A path that can be told to the engine, to git and to the user as it is.
///
/// # Errors
/// It cannot (exit code 2).
pub(crate) fn usable(what: &str, path: &Path) -> Result<(), Failure> {
    text::plain(path)
        .map(drop)
        .map_err(|why| usage(format!("{what} `{}` cannot be used: {why}", text::path(path))).hint(text::RENAME))
}

/// The environment as text. A variable that is none is left out, unless it names directories for this tool: another would
/// be taken instead.
fn readable(env: impl Iterator<Item = (String, OsString)>) -> Result<BTreeMap<String, String>, Failure> {
    const PATHS: [&str; 6] = ["HOME", "XDG_STATE_HOME", "CODEX_HOME", "SSV2_DIR", "PATH", "TMPDIR"];
    let mut known = BTreeMap::new();
    for (name, value) in env {
        if PATHS.contains(&name.as_str()) {
            usable(&format!("the variable `{name}` with"), Path::new(&value))?;
        }
        known.extend(value.into_string().ok().map(|value| (name, value)));
    }
    Ok(known)
}

fn columns() -> Option<usize> {
    let of = |stream: std::os::fd::BorrowedFd<'_>| rustix::termios::tcgetwinsize(stream).ok();
    let size = of(std::io::stdout().as_fd()).or_else(|| of(std::io::stderr().as_fd()))?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The number behind `MemTotal` of `/proc/meminfo`, whose unit is always `kB` (1024 bytes).
fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// For the fuzzer: `/proc/meminfo`.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    assert!(memory(text).is_none_or(|bytes| bytes % 1024 == 0 && text.contains("MemTotal:")));
}

/// The user's home directory. One that does not exist, as that of `nobody`, is not made: state would lie where nobody looks.
fn home(env: &BTreeMap<String, String>) -> Result<PathBuf, Failure> {
    let refused = |why: String| usage(why).hint("export HOME=/home/you, a directory that exists and is yours");
    let home = absolute_var(env, "HOME")?.ok_or_else(|| refused("`HOME` is not set".into()))?;
    let why = match home.metadata() {
        Ok(meta) if meta.is_dir() => return Ok(home),
        Ok(_) => "it is not a directory".to_owned(),
        Err(err) => err.to_string(),
    };
    Err(refused(format!("the home directory `{}` of the variable `HOME` cannot be used: {why}", text::path(&home))))
}

/// What root makes in the home directory of the user who called `sudo` that user can neither change nor remove.
fn not_of_who_called_sudo(uid: u32, env: &BTreeMap<String, String>, home: &Path) -> Result<(), Failure> {
    let caller =
        env.get("SUDO_UID").and_then(|caller| caller.parse::<u32>().ok()).filter(|caller| uid == 0 && *caller != 0);
    match (caller, home.metadata().map(|meta| meta.uid())) {
        (Some(caller), Ok(owner)) if owner == caller => Err(usage(format!(
            "root was to use the home directory `{}` of the user {caller}, who called `sudo`: what it makes there would not be \
             that user's",
            text::path(home)
        ))
        .hint("run it without `sudo`; `sudo -H` runs it with root's own home directory and sandboxes")),
        (Some(_) | None, _) => Ok(()),
    }
}

/// The path in a variable; an empty one counts as not set. The XDG specification has a program ignore a relative one: then
/// what was kept would lie elsewhere than the user said.
fn absolute_var(env: &BTreeMap<String, String>, name: &str) -> Result<Option<PathBuf>, Failure> {
    match env.get(name).filter(|path| !path.is_empty()).map(PathBuf::from) {
        Some(path) if !path.is_absolute() => {
            let why = format!("the variable `{name}` with `{}` is not an absolute path", text::path(&path));
            Err(usage(why).hint(format!("export {name} as a path that begins with `/`, or unset it")))
        }
        path => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn root_makes_nothing_in_the_home_of_who_called_sudo() {
        let dir = tempfile::tempdir().unwrap();
        let owner = dir.path().metadata().unwrap().uid();
        let caller = |name: &str, uid: u32| BTreeMap::from([(name.to_owned(), uid.to_string())]);
        let other = if owner == 0 {
            // Root may give it away.
            let given = dir.path().join("home");
            std::fs::create_dir(&given).unwrap();
            std::os::unix::fs::chown(&given, Some(4242), None).unwrap();
            given
        } else {
            dir.path().to_path_buf()
        };
        let of = other.metadata().unwrap().uid();
        let refused = |uid, env: &BTreeMap<String, String>| not_of_who_called_sudo(uid, env, &other).is_err();
        assert!(refused(0, &caller("SUDO_UID", of)));
        assert!(!refused(0, &caller("SUDO_UID", of + 1)), "root has another home");
        assert!(!refused(of, &caller("SUDO_UID", of)) && !refused(0, &caller("OTHER", of)));
    }
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn a_variable_that_names_a_directory_is_refused_where_it_cannot_be_used_and_no_default_takes_its_place() {
        let odd = || OsStr::from_bytes(b"/a\xff").to_owned();
        let read = |name: &str, value| readable([(name.to_owned(), value)].into_iter());
        for name in ["HOME", "XDG_STATE_HOME", "CODEX_HOME", "SSV2_DIR"] {
            let why = read(name, odd()).unwrap_err();
            assert_eq!(why.message, format!("the variable `{name}` with `/a\\xff` cannot be used: it is not UTF-8"));
            assert_eq!((why.kind.code(), why.remedies.len()), (2, 1));
            assert!(read(name, "/a\u{1b}".into()).is_err());
        }
        assert_eq!(read("OTHER", odd()), Ok(BTreeMap::new()));
        assert_eq!(read("HOME", "/ä b".into()), Ok([("HOME".to_owned(), "/ä b".to_owned())].into()));
    }

    #[test]
    fn a_home_that_is_no_directory_and_a_relative_place_for_state_are_refused() {
        let env = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let file = tempfile::NamedTempFile::new().unwrap();
        for (value, why) in [
            ("", "`HOME` is not set"),
            ("home/me", "with `home/me` is not an absolute path"),
            ("/nonexistent", "the home directory `/nonexistent` of the variable `HOME` cannot be used: No such file"),
            (file.path().to_str().unwrap(), "it is not a directory"),
        ] {
            let refused = home(&env("HOME", value)).unwrap_err();
            assert!(refused.message.contains(why), "{refused}");
            assert_eq!((refused.kind.code(), refused.remedies.len()), (2, 1));
        }
        assert_eq!(home(&BTreeMap::new()).unwrap_err().kind.code(), 2);
        assert_eq!(home(&env("HOME", "/")), Ok("/".into()));
        let state = |value: &str| absolute_var(&env("XDG_STATE_HOME", value), "XDG_STATE_HOME");
        assert_eq!((state(""), state("/a")), (Ok(None), Ok(Some("/a".into()))));
        assert_eq!(state("a").unwrap_err().kind.code(), 2);
    }

    #[test]
    fn the_parents_of_the_working_directory_have_their_own_names() {
        let cx = Context { cwd: "/a/b".into(), home: "/home/me".into(), ..Context::default() };
        for (path, absolute) in [
            ("../data", "/a/data"),
            ("../..", "/"),
            ("../../../x", "/x"),
            ("./../x", "/a/x"),
            ("link/../x", "/a/b/link/../x"),
            ("/p/../x", "/p/../x"),
            ("~/x", "/home/me/x"),
            ("", "/a/b/"),
        ] {
            assert_eq!(cx.absolute(Path::new(path)).as_os_str(), absolute, "{path}");
        }
    }

    #[test]
    fn the_memory_of_the_machine_is_read() {
        assert_eq!(memory("MemTotal:       24684092 kB\nMemFree: 1 kB\n"), Some(24_684_092 * 1024));
        assert_eq!(memory("MemFree: 1 kB\n"), None);
        assert_eq!(memory("MemTotal: many kB\n"), None);
    }

    #[test]
    fn a_directory_whose_real_name_cannot_be_passed_on_is_refused_also_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (odd, link) = (dir.path().join(OsStr::from_bytes(b"odd\xff")), dir.path().join("link"));
        std::fs::create_dir(&odd).unwrap();
        std::os::unix::fs::symlink(&odd, &link).unwrap();
        for path in [&odd, &link] {
            let why = directory("the workspace", path).unwrap_err();
            assert!(why.to_string().contains("odd\\xff` cannot be used: it is not UTF-8"), "{why}");
            assert_eq!(crate::error::exit_code(&why), 2);
        }
    }

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
            let (kept, left_out) = cx(&["/usr/bin".into(), part.clone(), text("projects")]).path_outside(&[at("link")]);
            assert_eq!(kept, format!("/usr/bin:{}", text("projects")), "{part}");
            assert_eq!(left_out.len(), 1, "{part}");
            let twice = cx(&[part.clone(), "/usr/bin".into(), part.clone()]).path_outside(&[at("link")]);
            assert_eq!(twice, ("/usr/bin".to_owned(), left_out), "{part} is named once");
        }
    }
}
