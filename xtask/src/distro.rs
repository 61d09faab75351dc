//! The distribution of this host, and the commands that install what is missing on it. Pure, but for `read`.
//!
//! Sources: the installation guides of Docker and of NVIDIA (driver, container toolkit), and the package lists of the
//! distributions. Debian's own driver is older than Blackwell, so there it comes from NVIDIA's repository.

mod recipes;

use crate::error::{Failure, Mend, host};

/// Which package manager and which names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Family {
    /// Debian and what is made from it.
    Debian,
    /// Ubuntu and what is made from it.
    Ubuntu,
    /// Fedora.
    Fedora,
    /// RHEL, CentOS, Rocky, Alma.
    Rhel,
    /// Arch and what is made from it.
    Arch,
    /// Anything else: what to do is said without a command.
    #[default]
    Other,
}

/// The distribution of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Distro {
    /// Which package manager and which names.
    pub family: Family,
    /// Its release, such as `12` or `24.04`; empty where it has none, or where it only derives from the family.
    pub version: String,
    /// Whether systemd runs the services.
    pub systemd: bool,
    /// Its full name, for people.
    pub name: String,
    /// Its own name, such as `debian` or `linuxmint`, whatever it derives from.
    pub id: String,
    /// The name of its release, such as `bookworm`.
    pub codename: String,
}

/// What may have to be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    /// Docker Engine with its client, Compose and buildx.
    Engine,
    /// The Compose plugin of the client.
    Compose,
    /// The buildx plugin of the client.
    Buildx,
    /// NVIDIA's driver with the open kernel modules.
    Driver,
    /// The NVIDIA Container Toolkit.
    Toolkit,
    /// The program that makes the CPU base.
    Mmdebstrap,
    /// The package manager that Codex comes by.
    Npm,
}

impl Distro {
    /// Reads `/etc/os-release`.
    pub(crate) fn read() -> Distro {
        Distro { systemd: std::path::Path::new("/run/systemd/system").is_dir(), ..parse(&os_release()) }
    }

    /// The commands that install a package here. `upstream`: the engine comes from Docker's own packages, and its parts
    /// must too.
    pub(crate) fn install(&self, package: Package, upstream: bool) -> Vec<Mend> {
        let commands = match package {
            Package::Engine => self.engine(),
            Package::Compose if upstream => self.plain(["docker-compose-plugin"; 4]),
            Package::Buildx if upstream => self.plain(["docker-buildx-plugin"; 4]),
            Package::Compose => self.of_trixie(&["docker-compose"]).unwrap_or_else(|| {
                let rhel = "docker-compose-plugin";
                self.named(["docker-compose", "docker-compose-v2", "docker-compose", rhel, "docker-compose"])
            }),
            Package::Buildx => self.of_trixie(&["docker-buildx"]).unwrap_or_else(|| {
                let rhel = "docker-buildx-plugin";
                self.named(["docker-buildx", "docker-buildx", "docker-buildx", rhel, "docker-buildx"])
            }),
            Package::Driver => self.driver(),
            Package::Toolkit => self.toolkit(),
            Package::Mmdebstrap if matches!(self.family, Family::Arch | Family::Rhel) => Vec::new(),
            Package::Mmdebstrap => self.named(["mmdebstrap"; 5]),
            Package::Npm => self.named(["npm", "npm", "nodejs-npm", "npm", "npm"]),
        };
        if commands.is_empty() {
            return vec![Mend::Do(recipes::unknown(package).into())];
        }
        commands.into_iter().map(Mend::Run).collect()
    }

    /// The error where a program is missing.
    pub(crate) fn without(&self, program: &str) -> Failure {
        let failure = host(format!("`{program}` is not on PATH"));
        match program {
            "docker" => failure.mend(self.install(Package::Engine, false)),
            "mmdebstrap" => failure.mend(self.install(Package::Mmdebstrap, false)),
            "npm" => failure.mend(self.install(Package::Npm, false)),
            _ => failure.hint(format!("install `{program}`, or add its folder to PATH")),
        }
    }

    /// The commands that bring packages of the engine's own maker up to date.
    pub(crate) fn upgrade(&self, packages: &[&str]) -> Vec<Mend> {
        let names = packages.join(" ");
        let command = match self.family {
            Family::Debian | Family::Ubuntu => {
                format!("sudo apt-get update && sudo apt-get install --only-upgrade {names}")
            }
            Family::Fedora | Family::Rhel => format!("sudo dnf upgrade {names}"),
            Family::Arch => "sudo pacman -Syu".into(),
            Family::Other => return vec![Mend::Do(format!("bring {names} up to date"))],
        };
        vec![Mend::Run(command)]
    }

    /// The command that starts the engine.
    pub(crate) fn start(&self) -> &'static str {
        if self.systemd { "sudo systemctl start docker" } else { "sudo service docker start" }
    }

    /// The command that starts the engine anew.
    pub(crate) fn restart(&self) -> &'static str {
        if self.systemd { "sudo systemctl restart docker" } else { "sudo service docker restart" }
    }

    /// The command that makes the image with which the kernel starts anew, without nouveau.
    pub(crate) fn initramfs(&self) -> Option<&'static str> {
        match self.family {
            Family::Debian | Family::Ubuntu => Some("sudo update-initramfs -u"),
            Family::Fedora | Family::Rhel => Some("sudo dracut --force"),
            Family::Arch => Some("sudo mkinitcpio -P"),
            Family::Other => None,
        }
    }
}

/// The text of this host's os-release file; empty where it has none.
fn os_release() -> String {
    let paths = ["/etc/os-release", "/usr/lib/os-release"];
    paths.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
}

/// A value of an os-release file, which quotes as a shell does; empty where it is not there.
fn field(text: &str, key: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    shell_words::split(value).unwrap_or_default().join(" ")
}

/// Reads the text of an os-release file.
pub(crate) fn parse(text: &str) -> Distro {
    let value = |key: &str| field(text, key);
    let (id, like) = (value("ID"), value("ID_LIKE"));
    let family = |name: &str| match name {
        "debian" => Some(Family::Debian),
        "ubuntu" => Some(Family::Ubuntu),
        "fedora" => Some(Family::Fedora),
        "rhel" | "centos" | "rocky" | "almalinux" | "ol" => Some(Family::Rhel),
        "arch" => Some(Family::Arch),
        _ => None,
    };
    // The nearest relative comes first in ID_LIKE. RHEL's own says `fedora`, which is why the id is asked first.
    let found = family(&id).map(|family| (family, true));
    let found = found.or_else(|| like.split(' ').find_map(family).map(|family| (family, false)));
    // Rocky's 9.4 is RHEL's; the number of a derivative of Debian, Ubuntu or Fedora is not theirs.
    let version = match found {
        Some((Family::Rhel, _) | (_, true)) => value("VERSION_ID"),
        _ => String::new(),
    };
    Distro {
        family: found.map(|(family, _)| family).unwrap_or_default(),
        version,
        systemd: false,
        name: value("PRETTY_NAME"),
        codename: value("VERSION_CODENAME"),
        id,
    }
}

#[cfg(test)]
mod tests;
