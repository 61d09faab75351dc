//! The parts of an engine and the programs that a machine lacks, and how apt installs them. Pure.
//!
//! The Compose of Debian 12 is too old. There the packages of the engine come from Debian's next release, by name and
//! with a pin priority of 100, so that no installed package is upgraded. The mirror is taken from the machine's own apt
//! sources: no address is written here.

use crate::distro::{Distro, Package};
use crate::error::{Failure, Remedy, host};
use crate::step::{Command, Step};
use std::fmt;

/// Debian's release after 12.
const NEXT: &str = "trixie";
const NEXT_LIST: &str = "/etc/apt/sources.list.d/codex-sandbox-next.list";
const NEXT_PIN: &str = "/etc/apt/preferences.d/codex-sandbox-next";
const DEBIAN_KEY: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The format of `apt-get indextargets` that `source` reads.
pub(crate) const SOURCES: &str = "$(SITE) $(RELEASE) $(CODENAME) $(COMPONENT) $(CREATED_BY) $(SIGNED_BY)";

impl Distro {
    fn takes_next(&self) -> bool {
        self.id == "debian" && self.codename == "bookworm"
    }

    /// Whether this tool knows how to install there. It does not on derivatives, which have releases of their own.
    fn is_known(&self) -> bool {
        const OLD: &[&str] = &["jessie", "stretch", "buster", "bullseye", "bionic", "focal"];
        matches!(self.id.as_str(), "debian" | "ubuntu") && !OLD.contains(&self.codename.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Engine,
    Client,
    Compose,
    Buildx,
}

impl Part {
    fn packages(self, distro: &Distro) -> &'static [&'static str] {
        match (self, distro.id == "ubuntu") {
            (Part::Engine, false) => &["docker.io", "containerd"],
            (Part::Engine | Part::Client, true) => &["docker.io"],
            (Part::Client, false) => &["docker-cli"],
            (Part::Compose, false) => &["docker-compose"],
            (Part::Compose, true) => &["docker-compose-v2"],
            (Part::Buildx, _) => &["docker-buildx"],
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Engine => "Docker Engine",
            Part::Client => "the Docker client",
            Part::Compose => "Compose v2",
            Part::Buildx => "BuildKit",
        })
    }
}

/// The Debian packages of a program.
fn packages(program: &str) -> Vec<&str> {
    match program {
        "ps" => vec!["procps"],
        "setpriv" | "setsid" => vec!["util-linux"],
        "newuidmap" => vec!["uidmap"],
        "cc" => vec!["gcc", "libc6-dev"],
        // With the server that the tests let it speak to through a pipe.
        "sshfs" => vec!["sshfs", "openssh-sftp-server"],
        same => vec![same],
    }
}

/// What a machine lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lacks {
    /// Parts of an engine that are not installed.
    pub(crate) parts: Vec<Part>,
    /// Programs that are not installed, by name.
    pub(crate) programs: Vec<String>,
    /// Why no engine answers; `None` where one does.
    pub(crate) silent: Option<String>,
}

impl Lacks {
    pub(crate) fn is_empty(&self) -> bool {
        self.silent.is_none() && !self.is_installable()
    }

    /// Whether packages are missing: an engine that is installed and does not answer needs none.
    pub(crate) fn is_installable(&self) -> bool {
        !self.parts.is_empty() || !self.programs.is_empty()
    }

    /// All of it, for a sentence.
    pub(crate) fn list(&self) -> String {
        let stopped = self.silent.is_some() && !self.parts.contains(&Part::Engine);
        let stopped = stopped.then(|| "an engine that answers".to_owned());
        let parts = self.parts.iter().map(Part::to_string);
        let programs = self.programs.iter().map(|name| format!("`{name}`"));
        stopped.into_iter().chain(parts).chain(programs).collect::<Vec<_>>().join(", ")
    }

    /// The commands for a person, where this tool does not install by itself.
    fn by_hand(&self, distro: &Distro) -> Vec<Remedy> {
        let package = |part: &Part| match part {
            Part::Engine | Part::Client => Package::Engine,
            Part::Compose => Package::Compose,
            Part::Buildx => Package::Buildx,
        };
        let parts = self.parts.iter().map(|part| distro.install(package(part), false));
        let programs = self.programs.iter().map(|program| distro.without(program).remedies);
        unique(parts.chain(programs).flatten())
    }
}

/// The Debian packages to install, and where they come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InstallPlan {
    /// Packages with the missing programs.
    pub(crate) tools: Vec<String>,
    /// Packages of the engine.
    pub(crate) engine: Vec<String>,
    /// Whether the packages of the engine come from Debian's next release.
    pub(crate) next: bool,
    /// Whether this user is root; otherwise every step goes through sudo.
    pub(crate) root: bool,
}

/// Chooses the packages.
///
/// # Errors
/// A distribution that this tool does not install on (exit code 3), with the commands for a person.
pub(crate) fn plan(lacks: &Lacks, distro: &Distro, root: bool) -> Result<InstallPlan, Failure> {
    if lacks.is_installable() && !distro.is_known() {
        return Err(host(format!(
            "this machine lacks {}, and this tool installs packages only on Debian 12, Ubuntu 22.04 and later; this \
             machine runs {}",
            lacks.list(),
            if distro.name.is_empty() { "another system" } else { &distro.name }
        ))
        .remedies(lacks.by_hand(distro)));
    }
    let engine = lacks.parts.iter().flat_map(|part| part.packages(distro));
    let tools = lacks.programs.iter().flat_map(|program| packages(program));
    Ok(InstallPlan {
        tools: unique(tools.map(str::to_owned)),
        engine: unique(engine.map(|name| (*name).to_owned())),
        next: distro.takes_next(),
        root,
    })
}

/// Each item once, where it comes first.
fn unique<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut list, item| {
        if !list.contains(&item) {
            list.push(item);
        }
        list
    })
}

impl InstallPlan {
    /// What it does, in lines for the question to the user.
    pub(crate) fn lines(&self) -> Vec<String> {
        let from = match self.next {
            true => format!("  (by name from Debian's next release, {NEXT}, pinned at 100: nothing is upgraded)"),
            false => String::new(),
        };
        let all = [(&self.tools, ""), (&self.engine, &from)].into_iter().filter(|(names, _)| !names.is_empty());
        all.map(|(names, from)| format!("apt-get install {}{from}", names.join(" "))).collect()
    }

    /// Updates the package lists, and installs the programs.
    pub(crate) fn first(&self) -> Vec<Step> {
        let tools = (!self.tools.is_empty()).then(|| Step::Run(self.install(&self.tools)));
        std::iter::once(self.update()).chain(tools).collect()
    }

    /// Adds Debian's next release to the sources of apt, given the output of `apt-get indextargets`; nothing where it is
    /// not needed.
    ///
    /// # Errors
    /// The machine's own sources name no mirror of this release (exit code 3).
    pub(crate) fn prepare(&self, targets: &str) -> Result<Vec<Step>, Failure> {
        if !self.next || self.engine.is_empty() {
            return Ok(Vec::new());
        }
        let (site, key) = source(targets, "bookworm").ok_or_else(|| {
            host("this machine's apt sources name no mirror of Debian 12").hint("correct /etc/apt/sources.list")
        })?;
        let write = |path: &str, text: &str| {
            Step::Run(privileged(self.root, "sh").args(["-c", r#"printf %s "$1" >"$0""#, path, text]))
        };
        Ok(vec![
            write(NEXT_LIST, &format!("deb [signed-by={key}] {site} {NEXT} main\n")),
            write(NEXT_PIN, &format!("Package: *\nPin: release n={NEXT}\nPin-Priority: 100\n")),
            self.update(),
        ])
    }

    /// Installs the engine. With `--simulate`, apt says what that would do; [`upgraded`] reads the answer.
    pub(crate) fn second(&self) -> Command {
        let suffix = if self.next { format!("/{NEXT}") } else { String::new() };
        self.install(&self.engine.iter().map(|name| format!("{name}{suffix}")).collect::<Vec<_>>())
    }

    fn install(&self, packages: &[String]) -> Command {
        // Another apt may be running and hold the lock.
        let wait = "DPkg::Lock::Timeout=300";
        let options = ["install", "-q", "-y", "--no-install-recommends", "--no-remove", "-o", wait];
        self.apt().args(options).args(packages)
    }

    fn update(&self) -> Step {
        Step::Run(self.apt().args(["update", "-q"]))
    }

    fn apt(&self) -> Command {
        privileged(self.root, "env").args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
    }
}

/// The packages that a simulated installation would upgrade, downgrade or remove: there must be none.
pub(crate) fn upgraded(simulated: &str) -> Vec<&str> {
    let touched = simulated.lines().filter_map(|line| {
        let (verb, rest) = line.split_once(' ')?;
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        (verb == "Remv" || verb == "Inst" && rest.starts_with('[')).then_some(name)
    });
    touched.collect()
}

/// The site and the key file of the first apt source of exactly this release of Debian: not of its updates, not of its
/// security updates. `targets` is the output of `apt-get indextargets --format` [`SOURCES`].
fn source<'a>(targets: &'a str, release: &str) -> Option<(&'a str, &'a str)> {
    targets.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [site, suite, codename, "main", "Packages", ..] = fields[..] else {
            return None;
        };
        let key = fields.get(5).filter(|key| key.starts_with('/'));
        // A suite that is named by its class (`stable`) is recognized by its codename; that of updates has a hyphen.
        let this = suite == release || codename == release && !suite.contains('-');
        this.then_some((site, key.copied().unwrap_or(DEBIAN_KEY)))
    })
}

/// Runs a program with root's rights.
pub(crate) fn privileged(root: bool, program: &str) -> Command {
    if root { Command::new(program) } else { Command::new("sudo").arg(program) }
}

/// The command by which a person removes what was installed.
pub(crate) fn removal(packages: &[String], next: bool) -> String {
    let files = if next { format!(" && sudo rm {NEXT_LIST} {NEXT_PIN}") } else { String::new() };
    format!("sudo apt-get purge --autoremove {}{files}", packages.join(" "))
}

/// For the fuzzer: what `apt-get` says.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    upgraded(text);
    assert!(source(text, "bookworm").is_none_or(|(_, key)| key.starts_with('/')));
}

#[cfg(test)]
mod tests;
