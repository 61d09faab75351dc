//! The variables of the user's environment by which this tool, or a program that it starts, finds programs, settings, sockets
//! and certificates. A shell can take them from the project (direnv), and what they name can lie where an agent writes: then
//! the agent's program would run on the host, or its engine would answer.

mod table;

use crate::context::{Context, led_into, resolved};
use crate::error::{Failure, usage};
use crate::exposed::Exposed;
use crate::outside;
use crate::text;
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use table::{Names, QUIET, To, WANTED, is, row, rows};

/// The programs that are started by their name, and those that they start themselves by theirs: `docker` starts `ssh` and the
/// credential helpers of its settings, which start `gpg` and `pass`; Codex is often a script of `node`. A link of that name may
/// lead anywhere. What this tool itself starts is looked at once more when it does ([`refuse_program`]).
const PROGRAMS: &[&str] = &[
    "apt-get", "codex", "docker", "docker-buildx", "docker-compose", "env", "git", "gpg", "gpg-agent", "gpg2",
    "gpgconf", "mmdebstrap", "node", "npm", "nvidia-ctk", "nvidia-smi", "pass", "pinentry", "ps", "python3", "sh",
    "ssh", "sudo", "tar",
];

/// The most bytes of the first line of a script that are read.
const FIRST_LINE: u64 = 256;

/// The most files of one directory of plugins that are looked at.
const MOST_PLUGINS: usize = 1000;

/// The most bytes of the settings of Docker's client that are read.
const MOST_BYTES: u64 = 1 << 20;

/// The environment of everything that is started, but for `PATH` where its parts were left out: what the table hands on of
/// these variables.
pub(crate) fn handed_on(env: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    env.into_iter().filter(|(name, value)| is_handed_on(name) && !climbs(name, value)).collect()
}

/// Whether a time zone leads out of the directory of those: it would be read from there, and not from where the command was
/// typed.
fn climbs(name: &str, value: &str) -> bool {
    row(name).is_some_and(|(_, names, _)| names == Names::Zone) && value.split(['/', ':']).any(|part| part == "..")
}

pub(crate) fn is_handed_on(name: &str) -> bool {
    row(name).is_some_and(|(.., to)| match to {
        To::All | To::Outside => true,
        To::None => false,
    })
}

/// What is left out because it names what a sandbox can write, by its name, with what it names.
pub(crate) fn left_out(cx: &Context, grounds: &Grounds<'_>) -> Vec<(String, PathBuf)> {
    let inside = |(name, value): (&String, &String)| {
        let (_, names, _) = row(name).filter(|(.., to)| *to == To::Outside)?;
        let paths = paths(names, value).into_iter().filter(|path| !path.is_empty());
        let path = paths.map(|path| cx.absolute(Path::new(path))).find(|path| grounds.around(path).is_some())?;
        Some((name.clone(), path))
    };
    cx.env.iter().filter_map(inside).collect()
}

/// The line about it.
pub(crate) fn left_out_line((name, path): &(String, PathBuf)) -> String {
    let (name, path) = (text::printable(name), text::path(path));
    format!("`{name}` is not passed on: it names `{path}`, where a sandbox can write")
}

/// The line about what is not handed on, and by which the user may have wanted something of what is started.
pub(crate) fn said(cx: &Context) -> Option<String> {
    let listed = |name: &str, list: &[&str]| list.iter().any(|listed| is(name, listed));
    let is_left = |name: &str, value: &str| listed(name, WANTED) && (!is_handed_on(name) || climbs(name, value));
    let left = cx.env.iter().filter(|(name, value)| is_left(name, value)).map(|(name, _)| name);
    // What is not UTF-8 is never handed on.
    let odd = cx.unreadable.iter().filter(|name| listed(name, WANTED) || is_handed_on(name));
    let left = left.chain(odd).filter(|name| !listed(name, QUIET));
    let left: BTreeSet<String> = left.map(|name| text::printable(name)).collect();
    let verb = if left.len() == 1 { "is" } else { "are" };
    let names = left.into_iter().collect::<Vec<_>>().join("`, `");
    (!names.is_empty()).then(|| {
        format!(
            "`{names}` {verb} not passed on: docker, git, codex and whatever else this tool starts get only the variables in \
             docs/environment.md"
        )
    })
}

/// The directories that a sandbox can write.
#[derive(Debug)]
pub(crate) struct Grounds<'a> {
    /// Without symlinks.
    pub(crate) dirs: Vec<PathBuf>,
    /// For what shows the same part of a file system elsewhere.
    pub(crate) exposed: Option<&'a Exposed>,
    /// What the user hands out by its name all the same, or vouches for in this call.
    pub(crate) allowed: Vec<PathBuf>,
    /// The host's Codex home, where `CODEX_HOME` may name it although a sandbox can write it.
    pub(crate) home: Option<PathBuf>,
}

impl Grounds<'_> {
    /// The directory in which a path lies, or through which it leads. What lies at its end need not exist yet.
    fn around(&self, path: &Path) -> Option<PathBuf> {
        let allowed: Vec<PathBuf> = self.allowed.iter().map(|path| resolved(path)).collect();
        if allowed.contains(&resolved(path)) {
            return None;
        }
        let dirs: Vec<PathBuf> = self.dirs.iter().filter(|dir| !allowed.contains(dir)).cloned().collect();
        let led = led_into(&dirs, &[], path).map(|(dir, _)| dir.to_owned());
        let alias = || self.exposed?.ground_of(path).filter(|ground| !allowed.contains(ground));
        led.or_else(alias)
    }
}

/// Refuses to start anything while the environment names what an agent can write.
///
/// # Errors
/// It does.
pub(crate) fn refuse(cx: &Context, grounds: &Grounds<'_>) -> Result<(), Failure> {
    nothing_waits(cx)?;
    let odd = |name: &str, names| names != Names::Nothing && cx.unreadable.iter().any(|unreadable| unreadable == name);
    if let Some((name, ..)) = rows().find(|(name, names, to)| *to != To::Outside && odd(name, *names)) {
        return Err(usage(format!(
            "the variable `{name}` names something whose name is not UTF-8: nothing is started"
        ))
        .hint(text::RENAME)
        .hint(format!("or `unset {name}`")));
    }
    for (name, names, _) in rows().filter(|(.., to)| *to != To::Outside) {
        let Some(value) = cx.var(name) else { continue };
        for path in paths(names, value) {
            let path = cx.absolute(Path::new(path));
            if name == "CODEX_HOME" && grounds.home.as_ref() == Some(&path) {
                continue;
            }
            if let Some(ground) = grounds.around(&path) {
                if name == "HOME" {
                    return Err(holds_home(&path, &ground));
                }
                let what = format!("the variable `{name}` names `{}`, which", text::path(&path));
                let refused = match name {
                    "CODEX_HOME" => refused(&what, &ground).hint(format!(
                        "where an earlier sandbox shared it and you trust what Codex obeys there: `--confirm {}`",
                        text::word(&path.display().to_string())
                    )),
                    _other => refused(&what, &ground),
                };
                return Err(refused.hint(format!(
                    "`unset {name}`, or let it name what no sandbox can write; where direnv or the like sets it, look at what \
                     it says first"
                )));
            }
        }
    }
    let (docker, helpers) = (of_docker(cx), credential_helpers(cx));
    for path in docker {
        if let Some(ground) = grounds.around(&path) {
            let what = format!("`{}`, by which `docker` finds programs and its engine,", text::path(&path));
            return Err(refused(&what, &ground).hint("keep it where no sandbox can write"));
        }
    }
    let names = PROGRAMS.iter().map(|name| (*name).to_owned()).chain(helpers);
    for path in names.filter_map(|name| program(cx, &name)) {
        let interpreters = interpreters(cx, &path);
        for path in std::iter::once(path).chain(interpreters) {
            if let Some(ground) = grounds.around(&path) {
                let what = format!("the program `{}` of PATH", text::path(&path));
                return Err(refused(&what, &ground).hint("put the program itself in the place of the symlink"));
            }
        }
    }
    Ok(())
}

/// Refuses a program that is about to be started and lies where a sandbox can write, whoever named it.
///
/// # Errors
/// It does.
pub(crate) fn refuse_program(program: &Path, dirs: &[PathBuf]) -> Result<(), Failure> {
    match led_into(dirs, &[], program) {
        None => Ok(()),
        Some((ground, _)) => Err(refused(&format!("the program `{}`", text::path(program)), ground)
            .hint("give a program that lies where no sandbox can write")),
    }
}

/// What the first line of a script starts: its interpreter, and the program that `env` looks for there.
fn interpreters(cx: &Context, script: &Path) -> Vec<PathBuf> {
    let read = || {
        let bytes = outside::head(script, FIRST_LINE).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let Some(text) = read() else { return Vec::new() };
    let mut words = text.lines().next().and_then(|line| line.strip_prefix("#!")).unwrap_or_default().split_whitespace();
    let Some(first) = words.next().filter(|first| first.starts_with('/')) else { return Vec::new() };
    let by_env = || {
        let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
        if name.contains('/') { Some(cx.absolute(Path::new(name))) } else { program(cx, name) }
    };
    let second = Path::new(first).ends_with("env").then(by_env).flatten();
    std::iter::once(PathBuf::from(first)).chain(second).collect()
}

fn holds_home(home: &Path, ground: &Path) -> Failure {
    let (home, ground) = (text::path(home), text::path(ground));
    usage(format!("a sandbox with `{ground}` for writing shows your whole home directory `{home}`: nothing is started"))
        .hint("choose a directory that holds the project alone; where direnv or the like sets `HOME`, look at what it says first")
}

fn refused(what: &str, ground: &Path) -> Failure {
    usage(format!(
        "{what} lies in or leads through `{}`, where a sandbox can write: nothing is started",
        text::path(ground)
    ))
}

/// The paths in a value.
fn paths(names: Names, value: &str) -> Vec<&str> {
    let is_path = |part: &&str| part.contains('/');
    match names {
        Names::Path => vec![value],
        Names::Paths => value.split([':', ' ']).filter(|part| !part.is_empty()).collect(),
        Names::Programs => value.split([':', ' ']).filter(is_path).collect(),
        Names::Address => value.strip_prefix("unix://").into_iter().collect(),
        Names::Bus => {
            value.split([';', ',']).filter_map(|part| Some(part.split_once('=')?.1)).filter(is_path).collect()
        }
        Names::Zone => Some(value.trim_start_matches(':')).into_iter().filter(|path| path.starts_with('/')).collect(),
        Names::Any => {
            let parts = value.split([':', ' ', ',', ';', '=']);
            parts.filter(|part| is_path(part) && !part.starts_with("//")).collect()
        }
        Names::Nothing => Vec::new(),
    }
}

/// For the fuzzer: the values of variables. No path is made up.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    for names in [Names::Path, Names::Paths, Names::Programs, Names::Address, Names::Bus, Names::Nothing] {
        assert!(paths(names, text).iter().all(|path| text.contains(path)));
    }
}

/// The program that a name starts. Parts of `PATH` where a sandbox can write were left out before.
fn program(cx: &Context, name: &str) -> Option<PathBuf> {
    let parts = cx.var("PATH")?.split(':').filter(|part| part.starts_with('/'));
    parts.map(|part| Path::new(part).join(name)).find(|path| path.symlink_metadata().is_ok())
}

/// Docker's client and git would wait for whoever writes into a pipe at the place of their settings, until their bounds have
/// passed. What else is no file they refuse themselves.
fn nothing_waits(cx: &Context) -> Result<(), Failure> {
    let config = cx.var("XDG_CONFIG_HOME").map_or_else(|| cx.home.join(".config"), |dir| cx.absolute(Path::new(dir)));
    let files = [docker_dir(cx).join("config.json"), cx.home.join(".gitconfig"), config.join("git/config")];
    let pipe = files.iter().find(|file| file.metadata().is_ok_and(|meta| meta.file_type().is_fifo()));
    pipe.map_or(Ok(()), |file| {
        Err(usage(format!("`{}` is a pipe and not a file: who reads it would wait for ever", text::path(file)))
            .hint("remove it, or write a file in its place"))
    })
}

/// Where Docker's client has its settings.
fn docker_dir(cx: &Context) -> PathBuf {
    cx.var("DOCKER_CONFIG").map_or_else(|| cx.home.join(".docker"), |dir| cx.absolute(Path::new(dir)))
}

/// The settings of Docker's client. What cannot be read as such it refuses itself.
fn docker_settings(dir: &Path) -> Value {
    let read = outside::bytes(&dir.join("config.json"), MOST_BYTES);
    read.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// The programs that Docker's client asks for the login of a registry:
/// <https://docs.docker.com/reference/cli/docker/login/#credential-helpers>.
fn credential_helpers(cx: &Context) -> Vec<String> {
    let settings = docker_settings(&docker_dir(cx));
    let each = settings["credHelpers"].as_object().into_iter().flat_map(|helpers| helpers.values());
    let all = each.chain([&settings["credsStore"]]).filter_map(Value::as_str);
    all.filter(|name| !name.is_empty()).map(|name| format!("docker-credential-{name}")).collect()
}

/// What Docker's client obeys and starts, by its settings, whichever directory holds them.
fn of_docker(cx: &Context) -> Vec<PathBuf> {
    let dir = docker_dir(cx);
    let mut found: Vec<PathBuf> = ["", "config.json", "contexts", "buildx"].map(|name| dir.join(name)).into();
    let settings = docker_settings(&dir);
    let more = settings["cliPluginsExtraDirs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let plugins = more.map(|dir| cx.absolute(Path::new(dir))).chain([dir.join("cli-plugins")]);
    for dir in plugins {
        let entries = dir.read_dir().into_iter().flatten().flatten().take(MOST_PLUGINS);
        found.extend(entries.map(|entry| entry.path()));
        found.push(dir);
    }
    found
}

#[cfg(test)]
mod tests;
