//! What a machine lacks of an engine and of programs, and how its distribution's packages bring it. Pure.
//!
//! Debian 12's own Compose is too old. There the engine's packages come from Debian's next release, by name and at a
//! pin priority of 100, so that nothing that is installed is upgraded. The mirror is the one that the machine's own
//! apt sources name: no address is written down here.

use crate::distro::{Distro, Package};
use crate::error::{Failure, Mend, host};
use crate::step::{Command, Step};
use std::fmt;

/// Debian's release after 12.
const NEXT: &str = "trixie";
const NEXT_LIST: &str = "/etc/apt/sources.list.d/codex-sandbox-next.list";
const NEXT_PIN: &str = "/etc/apt/preferences.d/codex-sandbox-next";
const DEBIAN_KEY: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// `apt-get indextargets` in the form that `source` reads.
pub(crate) const SOURCES: &str = "$(SITE) $(RELEASE) $(CODENAME) $(COMPONENT) $(CREATED_BY) $(SIGNED_BY)";

impl Distro {
    fn takes_next(&self) -> bool {
        self.id == "debian" && self.codename == "bookworm"
    }

    /// Whether this tool knows how to install there. Derivatives name releases of their own: they are not.
    fn is_known(&self) -> bool {
        const OLD: &[&str] = &["jessie", "stretch", "buster", "bullseye", "bionic", "focal"];
        matches!(self.id.as_str(), "debian" | "ubuntu") && !OLD.contains(&self.codename.as_str())
    }
}

/// One part of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The engine itself.
    Engine,
    /// Its client.
    Client,
    /// Compose v2.
    Compose,
    /// BuildKit's client.
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
        same => vec![same],
    }
}

/// What a machine lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lacks {
    /// Parts of an engine.
    pub parts: Vec<Part>,
    /// Programs, by name.
    pub programs: Vec<String>,
}

impl Lacks {
    /// Whether nothing is missing.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.programs.is_empty()
    }

    /// All of it, for a sentence.
    pub(crate) fn list(&self) -> String {
        let parts = self.parts.iter().map(Part::to_string);
        let programs = self.programs.iter().map(|name| format!("`{name}`"));
        parts.chain(programs).collect::<Vec<_>>().join(", ")
    }
}

/// What is installed, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InstallPlan {
    /// Packages of the distribution itself.
    pub tools: Vec<String>,
    /// Packages of the engine.
    pub engine: Vec<String>,
    /// Whether the engine's come from Debian's next release.
    pub next: bool,
    /// Whether this user is root; else every step goes through sudo.
    pub root: bool,
}

/// The commands for a person, where this tool does not install by itself.
fn by_hand(lacks: &Lacks, distro: &Distro) -> Vec<Mend> {
    let parts = lacks.parts.iter().map(|part| match part {
        Part::Engine | Part::Client => distro.install(Package::Engine, false),
        Part::Compose => distro.install(Package::Compose, false),
        Part::Buildx => distro.install(Package::Buildx, false),
    });
    let programs = lacks.programs.iter().map(|program| distro.without(program).mend);
    let mut ways: Vec<Mend> = Vec::new();
    for way in parts.chain(programs).flatten() {
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}

/// Chooses the packages.
///
/// # Errors
/// A distribution that this tool does not install on (exit code 3), with the commands for a person.
pub(crate) fn plan(lacks: &Lacks, distro: &Distro, root: bool) -> Result<InstallPlan, Failure> {
    if !distro.is_known() {
        return Err(host(format!(
            "this machine lacks {}, and this tool installs only on Debian 12, Ubuntu 22.04 and later; here is {}",
            lacks.list(),
            if distro.name.is_empty() { "something else" } else { &distro.name }
        ))
        .mend(by_hand(lacks, distro)));
    }
    let mut plan = InstallPlan { next: distro.takes_next(), root, ..InstallPlan::default() };
    let engine = lacks.parts.iter().flat_map(|part| part.packages(distro));
    plan.engine = unique(engine.copied());
    plan.tools = unique(lacks.programs.iter().flat_map(|program| packages(program)));
    Ok(plan)
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for name in names {
        if !list.iter().any(|have| have == name) {
            list.push(name.to_owned());
        }
    }
    list
}

impl InstallPlan {
    /// What it does, in lines for the question.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.tools.is_empty() {
            lines.push(format!("apt-get install {}", self.tools.join(" ")));
        }
        if !self.engine.is_empty() {
            let from = match self.next {
                true => format!("  (by name from Debian's next release, {NEXT}, pinned at 100: nothing is upgraded)"),
                false => String::new(),
            };
            lines.push(format!("apt-get install {}{from}", self.engine.join(" ")));
        }
        lines
    }

    /// Reads the package lists anew, and installs the programs.
    pub(crate) fn first(&self) -> Vec<Step> {
        let mut steps = vec![Step::Run(apt(self.root, &["update", "-q"]))];
        if !self.tools.is_empty() {
            steps.push(Step::Run(self.install(&[], &self.tools)));
        }
        steps
    }

    /// Makes Debian's next release known to apt, from `apt-get indextargets`; nothing where it is not needed.
    ///
    /// # Errors
    /// No source of this release among the machine's own (exit code 3).
    pub(crate) fn prepare(&self, targets: &str) -> Result<Vec<Step>, Failure> {
        if !self.next || self.engine.is_empty() {
            return Ok(Vec::new());
        }
        let (site, key) = source(targets, "bookworm").ok_or_else(|| {
            host("this machine's apt sources name no mirror of Debian 12").hint("mend /etc/apt/sources.list")
        })?;
        let list = format!("deb [signed-by={key}] {site} {NEXT} main\n");
        let pin = format!("Package: *\nPin: release n={NEXT}\nPin-Priority: 100\n");
        Ok(vec![
            Step::Run(write(self.root, NEXT_LIST, &list)),
            Step::Run(write(self.root, NEXT_PIN, &pin)),
            Step::Run(apt(self.root, &["update", "-q"])),
        ])
    }

    fn engine_packages(&self) -> Vec<String> {
        let suffix = if self.next { format!("/{NEXT}") } else { String::new() };
        self.engine.iter().map(|name| format!("{name}{suffix}")).collect()
    }

    /// What installing the engine would do; [`upgraded`] reads the answer.
    pub(crate) fn simulation(&self) -> Command {
        self.install(&["--simulate"], &self.engine_packages()).timeout(120)
    }

    /// Installs the engine.
    pub(crate) fn second(&self) -> Step {
        Step::Run(self.install(&[], &self.engine_packages()))
    }

    fn install(&self, more: &[&str], packages: &[String]) -> Command {
        // Somebody else's apt may be at work.
        let wait = "DPkg::Lock::Timeout=300";
        apt(self.root, &["install", "-q", "-y", "--no-install-recommends", "--no-remove", "-o", wait])
            .args(more.iter().copied())
            .args(packages)
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

/// The site and the key file of the first apt source that carries this very release of Debian: not its updates, not
/// security. `targets` is what `apt-get indextargets --format` [`SOURCES`] says.
fn source<'a>(targets: &'a str, release: &str) -> Option<(&'a str, &'a str)> {
    targets.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [site, suite, codename, "main", "Packages", ..] = fields[..] else {
            return None;
        };
        let key = fields.get(5).filter(|key| key.starts_with('/'));
        // A suite that is named by its class (`stable`) has the codename; `bookworm-updates` has neither.
        let this = suite == release || codename == release && !suite.contains('-');
        this.then_some((site, key.copied().unwrap_or(DEBIAN_KEY)))
    })
}

/// A command with root's rights.
pub(crate) fn privileged(root: bool, words: &[&str]) -> Command {
    let mut words = words.iter().copied();
    match root {
        true => Command::new(words.next().unwrap_or_default()).args(words),
        false => Command::new("sudo").args(words),
    }
}

fn apt(root: bool, words: &[&str]) -> Command {
    privileged(root, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(words.iter().copied())
}

fn write(root: bool, path: &str, text: &str) -> Command {
    privileged(root, &["sh", "-c", r#"printf %s "$1" >"$0""#, path, text])
}

/// The command that takes away what was installed, for a person.
pub(crate) fn removal(packages: &[String], next: bool) -> String {
    let files = if next { format!(" && sudo rm {NEXT_LIST} {NEXT_PIN}") } else { String::new() };
    format!("sudo apt-get purge --autoremove {}{files}", packages.join(" "))
}

#[cfg(test)]
mod tests;
