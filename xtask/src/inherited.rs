//! The variables of the user's environment by which this tool, or a program that it starts, finds programs, settings, sockets
//! and certificates. A shell can take them from the project (direnv), and what they name can lie where an agent writes: then
//! the agent's program would run on the host, or its engine would answer.

use crate::context::{Context, led_into, resolved};
use crate::error::{Failure, usage};
use crate::exposed::Exposed;
use crate::text;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What the value of a variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// A file or a directory.
    Path,
    /// Several, with a colon or a space between two.
    Paths,
    /// One or several, of which those without a slash are looked for by their name elsewhere.
    Programs,
    /// A socket, where it begins with `unix://`.
    Address,
}

/// The variables that name something. Those by which git finds settings in a workspace are the business of `git::watch`,
/// which has those files read-only inside; `PATH` is that of `Context::path_outside`.
const NAMED: &[(&str, Names)] = &[
    ("HOME", Names::Path),
    ("XDG_CONFIG_HOME", Names::Path),
    ("XDG_STATE_HOME", Names::Path),
    ("XDG_CACHE_HOME", Names::Path),
    ("XDG_DATA_HOME", Names::Path),
    ("XDG_RUNTIME_DIR", Names::Path),
    ("XDG_CONFIG_DIRS", Names::Paths),
    ("XDG_DATA_DIRS", Names::Paths),
    ("TMPDIR", Names::Path),
    ("CODEX_HOME", Names::Path),
    // Docker's client, its plugins, and the way to the engine.
    ("DOCKER_CONFIG", Names::Path),
    ("DOCKER_CERT_PATH", Names::Path),
    ("DOCKER_HOST", Names::Address),
    ("BUILDKIT_HOST", Names::Address),
    ("BUILDX_CONFIG", Names::Path),
    ("BUILDX_METADATA_FILE", Names::Path),
    ("CONTAINERD_ADDRESS", Names::Path),
    ("SSH_AUTH_SOCK", Names::Path),
    // Cargo, which started this tool and starts the tests.
    ("CARGO_HOME", Names::Path),
    ("RUSTUP_HOME", Names::Path),
    ("CARGO_BUILD_RUSTC", Names::Programs),
    ("CARGO_BUILD_RUSTC_WRAPPER", Names::Programs),
    ("RUSTC", Names::Programs),
    ("RUSTC_WRAPPER", Names::Programs),
    ("RUSTC_WORKSPACE_WRAPPER", Names::Programs),
    // Certificates and the settings of those who read them.
    ("SSL_CERT_FILE", Names::Path),
    ("SSL_CERT_DIR", Names::Paths),
    ("REQUESTS_CA_BUNDLE", Names::Path),
    ("CURL_CA_BUNDLE", Names::Path),
    ("CURL_HOME", Names::Path),
    ("NODE_EXTRA_CA_CERTS", Names::Path),
    ("GIT_SSL_CAINFO", Names::Path),
    ("GIT_SSL_CAPATH", Names::Path),
    ("OPENSSL_CONF", Names::Path),
    ("OPENSSL_MODULES", Names::Path),
    ("OPENSSL_ENGINES", Names::Path),
    // Programs that git starts in every repository, also in this tool's own.
    ("GIT_EXEC_PATH", Names::Path),
    // What the loader and the C library load into every program, this one too.
    ("LD_PRELOAD", Names::Programs),
    ("LD_LIBRARY_PATH", Names::Paths),
    ("LD_AUDIT", Names::Programs),
    ("GCONV_PATH", Names::Paths),
    ("LOCPATH", Names::Paths),
    ("NLSPATH", Names::Paths),
    // The settings of apt, which a build of the image reads.
    ("APT_CONFIG", Names::Path),
];

/// The programs that are started by their name; a link of that name may lead anywhere.
const PROGRAMS: &[&str] = &["docker", "env", "git", "mmdebstrap", "npm", "nvidia-smi", "ps", "sh", "tar"];

/// Variables that load code into what is started or change what it does, and that nothing which this tool starts needs.
/// One that ends in `*` is the start of a name.
const UNWANTED: &[&str] = &[
    "BASH_ENV", "BASH_FUNC_*", "COMPOSE_*", "ENV", "NODE_OPTIONS", "NODE_PATH", "PERL5*", "PERLLIB", "PYTHON*",
    "RUBYLIB", "RUBYOPT",
];

/// The most files of one directory of plugins that are looked at.
const MOST_PLUGINS: usize = 1000;

/// The most bytes of the settings of Docker's client that are read.
const MOST_BYTES: u64 = 1 << 20;

/// The variables that are not passed on to what is started.
pub(crate) fn unwanted(cx: &Context) -> Vec<String> {
    let is = |name: &str, unwanted: &str| match unwanted.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == unwanted,
    };
    cx.env
        .keys()
        .chain(&cx.unreadable)
        .filter(|name| UNWANTED.iter().any(|unwanted| is(name, unwanted)))
        .cloned()
        .collect()
}

/// The line about those of them by which the user may have wanted something of Compose.
pub(crate) fn said(unwanted: &[String]) -> Option<String> {
    let ours: Vec<&str> = unwanted.iter().map(String::as_str).filter(|name| name.starts_with("COMPOSE_")).collect();
    (!ours.is_empty()).then(|| format!("`{}` is not passed on: Compose is given only what it needs", ours.join("`, `")))
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
    if let Some((name, _)) = NAMED.iter().find(|(name, _)| cx.unreadable.iter().any(|unreadable| unreadable == name)) {
        return Err(usage(format!(
            "the variable `{name}` names something whose name is not UTF-8: nothing is started"
        ))
        .hint(text::RENAME)
        .hint(format!("or `unset {name}`")));
    }
    for (name, names) in NAMED {
        let Some(value) = cx.var(name) else { continue };
        for path in paths(*names, value) {
            let path = cx.absolute(Path::new(path));
            if let Some(ground) = grounds.around(&path) {
                if *name == "HOME" {
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
    match names {
        Names::Path => vec![value],
        Names::Paths => value.split([':', ' ']).filter(|part| !part.is_empty()).collect(),
        Names::Programs => value.split([':', ' ']).filter(|part| part.contains('/')).collect(),
        Names::Address => value.strip_prefix("unix://").into_iter().collect(),
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
        for (name, names) in NAMED {
            let start = if *names == Names::Address { "unix://" } else { "" };
            // Also what an agent has not made yet, what is reached by a link, and what is relative.
            for path in [
                "@project", "@project/docker", "@project/not/yet", "@link/docker", "project/docker",
                "@bin/../project/x",
            ] {
                let why = w.refused(&[(name, &format!("{start}{path}"))], &[]).unwrap_or_default();
                let words = ["a sandbox with `".to_owned(), format!("the variable `{name}` names `")];
                let said = why.starts_with(&words[usize::from(*name != "HOME")]);
                assert!(said && why.contains(&format!("`{}`", w.at("project").display())), "{name}={path}: {why}");
            }
            for path in ["@bin", "@projects", "/nowhere", ""] {
                assert_eq!(w.refused(&[(name, &format!("{start}{path}"))], &[]), None, "{name}={path}");
            }
            if *names == Names::Paths {
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
    fn what_loads_code_into_what_is_started_is_not_passed_on() {
        let env =
            ["COMPOSE_FILE", "COMPOSE_ENV_FILES", "PYTHONPATH", "NODE_OPTIONS", "BASH_FUNC_x%%", "PATH", "ENVIRONMENT"];
        let env = env.map(|name| (name.to_owned(), "x".to_owned())).into();
        let unwanted = unwanted(&Context { env, ..Context::default() });
        let odd =
            Context { unreadable: vec!["COMPOSE_FILE".to_owned(), "DOCKER_CONFIG".to_owned()], ..Context::default() };
        assert_eq!(super::unwanted(&odd), ["COMPOSE_FILE"]);
        let grounds = Grounds { dirs: Vec::new(), exposed: None, allowed: Vec::new() };
        let why = refuse(&odd, &grounds).unwrap_err().message;
        assert!(why.starts_with("the variable `DOCKER_CONFIG` names something whose name is not UTF-8"), "{why}");
        assert_eq!(unwanted, ["BASH_FUNC_x%%", "COMPOSE_ENV_FILES", "COMPOSE_FILE", "NODE_OPTIONS", "PYTHONPATH"]);
        let said = said(&unwanted).unwrap();
        assert!(said.starts_with("`COMPOSE_ENV_FILES`, `COMPOSE_FILE` is not passed on"), "{said}");
        assert_eq!(super::said(&["PYTHONPATH".to_owned()]), None);
    }
}
