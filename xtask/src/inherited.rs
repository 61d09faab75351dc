//! The variables of the user's environment by which this tool, or a program that it starts, finds programs, settings, sockets
//! and certificates. A shell can take them from the project (direnv), and what they name can lie where an agent writes: then
//! the agent's program would run on the host, or its engine would answer.

mod table;

use crate::context::{Context, led_into, resolved};
use crate::error::{Failure, usage};
use crate::exposed::Exposed;
use crate::text;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use table::{Names, SET, To, WANTED, is, rows};

/// The programs that are started by their name; a link of that name may lead anywhere.
const PROGRAMS: &[&str] = &["docker", "env", "git", "mmdebstrap", "npm", "nvidia-smi", "ps", "sh", "tar"];

/// The most files of one directory of plugins that are looked at.
const MOST_PLUGINS: usize = 1000;

/// The most bytes of the settings of Docker's client that are read.
const MOST_BYTES: u64 = 1 << 20;

/// The environment of everything that is started, but for `PATH` where its parts were left out: what the table hands on of
/// these variables.
pub(crate) fn handed_on(env: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    env.into_iter().filter(|(name, _)| is_handed_on(name)).collect()
}

fn is_handed_on(name: &str) -> bool {
    rows().any(|(listed, _, to)| to == To::All && is(name, listed))
}

/// The line about what is not handed on, and by which the user may have wanted something of Docker, Compose or git.
pub(crate) fn said(cx: &Context) -> Option<String> {
    let is_wanted = |name: &&String| WANTED.iter().any(|wanted| is(name, wanted));
    let all = cx.env.keys().chain(&cx.unreadable).filter(is_wanted);
    let left = all.filter(|name| !is_handed_on(name) && !SET.contains(&name.as_str()));
    let left: BTreeSet<String> = left.map(|name| text::printable(name)).collect();
    let verb = if left.len() == 1 { "is" } else { "are" };
    let names = left.into_iter().collect::<Vec<_>>().join("`, `");
    (!names.is_empty()).then(|| format!("`{names}` {verb} not passed on: what is started gets only what it needs"))
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
    let odd = |name: &str, names| names != Names::Nothing && cx.unreadable.iter().any(|unreadable| unreadable == name);
    if let Some((name, ..)) = rows().find(|(name, names, _)| odd(name, *names)) {
        return Err(usage(format!(
            "the variable `{name}` names something whose name is not UTF-8: nothing is started"
        ))
        .hint(text::RENAME)
        .hint(format!("or `unset {name}`")));
    }
    for (name, names, _) in rows() {
        let Some(value) = cx.var(name) else { continue };
        for path in paths(names, value) {
            let path = cx.absolute(Path::new(path));
            if let Some(ground) = grounds.around(&path) {
                if name == "HOME" {
                    return Err(holds_home(&path, &ground));
                }
                let what = format!("the variable `{name}` names `{}`, which", text::path(&path));
                return Err(refused(&what, &ground).hint(format!(
                    "`unset {name}`, or let it name what no sandbox can write; where direnv or the like sets it, look at what \
                     it says first"
                )));
            }
        }
    }
    for path in of_docker(cx) {
        if let Some(ground) = grounds.around(&path) {
            let what = format!("`{}`, by which `docker` finds programs and its engine,", text::path(&path));
            return Err(refused(&what, &ground).hint("keep it where no sandbox can write"));
        }
    }
    for path in PROGRAMS.iter().filter_map(|name| program(cx, name)) {
        if let Some(ground) = grounds.around(&path) {
            let what = format!("the program `{}` of PATH", text::path(&path));
            return Err(refused(&what, &ground).hint("put the program itself in the place of the symlink"));
        }
    }
    Ok(())
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

/// What Docker's client obeys and starts, by its settings, whichever directory holds them.
fn of_docker(cx: &Context) -> Vec<PathBuf> {
    let dir = cx.var("DOCKER_CONFIG").map_or_else(|| cx.home.join(".docker"), |dir| cx.absolute(Path::new(dir)));
    let mut found: Vec<PathBuf> = ["", "config.json", "contexts", "buildx"].map(|name| dir.join(name)).into();
    let read = std::fs::File::open(dir.join("config.json")).and_then(|file| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, MOST_BYTES), &mut bytes).map(|_| bytes)
    });
    // What cannot be read as settings Docker's client refuses itself.
    let settings: Value = read.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
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
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    struct World {
        dir: tempfile::TempDir,
        cx: Context,
    }

    impl World {
        fn new() -> World {
            let dir = tempfile::tempdir().unwrap();
            for name in ["project/docker", "home/.docker/cli-plugins", "bin"] {
                fs::create_dir_all(dir.path().join(name)).unwrap();
            }
            let root = dir.path().canonicalize().unwrap();
            let path = root.join("bin").display().to_string();
            let env = [("PATH".to_owned(), path)].into();
            World { dir, cx: Context { home: root.join("home"), cwd: root, env, ..Context::default() } }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().canonicalize().unwrap().join(name)
        }

        fn refused(&self, env: &[(&str, &str)], allowed: &[&str]) -> Option<String> {
            let mut cx = self.cx.clone();
            cx.env.extend(
                env.iter().map(|(name, value)| (name.to_string(), value.replace('@', self.at("").to_str().unwrap()))),
            );
            let allowed = allowed.iter().map(|name| self.at(name)).collect();
            let grounds = Grounds { dirs: vec![self.at("project")], exposed: None, allowed };
            refuse(&cx, &grounds).err().map(|err| err.message)
        }
    }

    #[test]
    fn every_variable_that_names_what_a_sandbox_can_write_is_refused() {
        let w = World::new();
        symlink(w.at("project"), w.at("link")).unwrap();
        for (name, names, _) in rows().filter(|(_, names, _)| *names != Names::Nothing) {
            let start = match names {
                Names::Address => "unix://",
                Names::Bus => "unix:guid=0,path=",
                Names::Nothing | Names::Path | Names::Paths | Names::Programs => "",
            };
            // Also what an agent has not made yet, what is reached by a link, and what is relative.
            for path in [
                "@project", "@project/docker", "@project/not/yet", "@link/docker", "project/docker",
                "@bin/../project/x",
            ] {
                let why = w.refused(&[(name, &format!("{start}{path}"))], &[]).unwrap_or_default();
                let words = ["a sandbox with `".to_owned(), format!("the variable `{name}` names `")];
                let said = why.starts_with(&words[usize::from(name != "HOME")]);
                assert!(said && why.contains(&format!("`{}`", w.at("project").display())), "{name}={path}: {why}");
            }
            for path in ["@bin", "@projects", "/nowhere", ""] {
                assert_eq!(w.refused(&[(name, &format!("{start}{path}"))], &[]), None, "{name}={path}");
            }
            if names == Names::Paths {
                assert!(w.refused(&[(name, "@bin:@project/x")], &[]).is_some(), "{name}");
            }
        }
        let inside = |value: &str| {
            let env = [("RUSTC_WRAPPER".to_owned(), value.to_owned())].into();
            let cx = Context { cwd: w.at("project"), env, ..w.cx.clone() };
            refuse(&cx, &Grounds { dirs: vec![w.at("project")], exposed: None, allowed: Vec::new() }).is_err()
        };
        assert!(!inside("sccache") && inside("./sccache"));
        assert_eq!(w.refused(&[("DOCKER_HOST", "tcp://192.0.2.1:2376")], &[]), None);
        // What the user hands out by its name, or vouches for.
        assert_eq!(w.refused(&[("DOCKER_CONFIG", "@project/docker")], &["project"]), None);
        assert_eq!(w.refused(&[("TMPDIR", "@project/docker")], &["project/docker"]), None);
        assert!(w.refused(&[("TMPDIR", "@project/x")], &["project/docker"]).is_some());
    }

    #[test]
    fn no_plugin_and_no_settings_of_docker_s_client_lead_into_what_a_sandbox_can_write() {
        let w = World::new();
        let own = ["home/.docker/config.json", "home/.docker/contexts", "home/.docker/cli-plugins/docker-compose"];
        assert_eq!(w.refused(&[], &[]), None);
        for link in own {
            symlink(w.at("project/x"), w.at(link)).unwrap();
            assert!(w.refused(&[], &[]).is_some_and(|why| why.contains("by which `docker`")), "{link}");
            fs::remove_file(w.at(link)).unwrap();
        }
        fs::create_dir(w.at("more")).unwrap();
        let settings = |dir: &str| serde_json::json!({"cliPluginsExtraDirs": [w.at(dir)]}).to_string();
        fs::write(w.at("home/.docker/config.json"), settings("more")).unwrap();
        assert_eq!(w.refused(&[], &[]), None);
        symlink(w.at("project/x"), w.at("more/docker-compose")).unwrap();
        assert!(w.refused(&[], &[]).is_some());
        fs::write(w.at("home/.docker/config.json"), settings("project/plugins")).unwrap();
        assert!(w.refused(&[], &[]).is_some());
        // Wherever the settings lie.
        let other = w.at("other");
        fs::create_dir(&other).unwrap();
        symlink(w.at("project"), other.join("cli-plugins")).unwrap();
        fs::remove_file(w.at("home/.docker/config.json")).unwrap();
        assert!(w.refused(&[("DOCKER_CONFIG", "@other")], &[]).is_some());
    }

    #[test]
    fn no_program_is_a_link_into_what_a_sandbox_can_write() {
        let w = World::new();
        symlink(w.at("project/docker"), w.at("bin/docker")).unwrap();
        assert!(w.refused(&[], &[]).is_some_and(|why| why.starts_with("the program `")));
    }

    #[test]
    fn an_environment_has_what_the_table_hands_on_and_nothing_else() {
        let names = [
            "BASH_ENV",
            "BASH_FUNC_x%%",
            "BUILDX_BAKE_FILE",
            "CARGO_HOME",
            "COMPOSE_ENV_FILES",
            "COMPOSE_FILE",
            "DOCKER_BUILDKIT",
            "DOCKER_DEFAULT_PLATFORM",
            "DOCKER_HOST",
            "ENV",
            "GIT_CONFIG_COUNT",
            "GIT_DIR",
            "HOME",
            "HTTPS_PROXY",
            "LC_ALL",
            "LD_AUDIT",
            "LD_LIBRARY_PATH",
            "LD_PRELOAD",
            "NODE_OPTIONS",
            "PATH",
            "PYTHONPATH",
            "https_proxy",
        ];
        let env: std::collections::BTreeMap<String, String> =
            names.map(|name| (name.to_owned(), "x".to_owned())).into();
        let handed_on: Vec<String> = handed_on(env.clone()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(handed_on, ["DOCKER_HOST", "HOME", "HTTPS_PROXY", "LC_ALL", "PATH", "https_proxy"]);
        let said = said(&Context { env, unreadable: vec!["COMPOSE_PROFILES".to_owned()], ..Context::default() });
        let names = ["BUILDX_BAKE_FILE", "COMPOSE_ENV_FILES", "COMPOSE_FILE", "COMPOSE_PROFILES"].join("`, `");
        let names = format!("`{names}`, `DOCKER_DEFAULT_PLATFORM`, `GIT_CONFIG_COUNT` are not passed on");
        assert!(said.as_ref().is_some_and(|said| said.starts_with(&names)), "{said:?}");
        let quiet = ["PYTHONPATH", "DOCKER_BUILDKIT", "DOCKER_HOST"].map(|name| (name.to_owned(), "x".to_owned()));
        assert_eq!(super::said(&Context { env: quiet.into(), ..Context::default() }), None);
    }

    #[test]
    fn no_name_is_listed_twice_and_nothing_that_loads_code_is_handed_on() {
        let mut names: Vec<&str> = rows().map(|(name, ..)| name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        for start in ["LD_", "PYTHON", "GIT_", "COMPOSE_", "BASH", "NODE_OPTIONS", "PERL", "RUBY", "CARGO", "GLIBC_"] {
            assert!(!rows().any(|(name, _, to)| to == To::All && name.starts_with(start)), "{start}");
        }
    }

    #[test]
    fn the_page_about_the_environment_names_every_variable_that_is_handed_on() {
        let page = include_str!("../../docs/environment.md");
        let table = page.split("\n## ").find(|part| part.starts_with("What programs of the host get")).unwrap();
        let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let named: BTreeSet<&str> =
            cells.flat_map(|cell| cell.split(['`', ' '])).filter(|name| !name.is_empty()).collect();
        let handed_on = rows().filter(|(.., to)| *to == To::All).map(|(name, ..)| name);
        assert_eq!(named, handed_on.collect());
    }

    #[test]
    fn a_name_that_is_not_utf8_is_refused_where_it_would_name_something() {
        let grounds = Grounds { dirs: Vec::new(), exposed: None, allowed: Vec::new() };
        let refused = |name: &str| {
            let odd = Context { unreadable: vec![name.to_owned()], ..Context::default() };
            refuse(&odd, &grounds).err().map(|err| err.message)
        };
        let why = refused("DOCKER_CONFIG").unwrap();
        assert!(why.starts_with("the variable `DOCKER_CONFIG` names something whose name is not UTF-8"), "{why}");
        assert_eq!((refused("COMPOSE_FILE"), refused("LC_ALL")), (None, None));
    }
}
