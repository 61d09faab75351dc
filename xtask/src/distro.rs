//! The distribution of this host, and the commands that install what is missing on it. Pure, except `read`.
//!
//! Sources: the installation guides of Docker and of NVIDIA (driver, container toolkit), and the package lists of the
//! distributions. Debian's own driver is older than Blackwell, so there it comes from NVIDIA's repository.

mod recipes;

use crate::error::{Failure, Remedy, host};
use crate::outside;

/// Distributions with the same package manager and package names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Family {
    /// Debian and its derivatives.
    Debian,
    /// Ubuntu and its derivatives.
    Ubuntu,
    Fedora,
    /// RHEL, CentOS, Rocky, Alma.
    Rhel,
    /// Arch and its derivatives.
    Arch,
    /// Anything else: this tool knows no command there.
    #[default]
    Other,
}

/// The distribution of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Distro {
    pub(crate) family: Family,
    /// Its release, such as `12` or `24.04`; empty where it has none, or where it is a derivative of the family.
    pub(crate) version: String,
    /// Whether systemd runs the services.
    pub(crate) systemd: bool,
    /// Its full name, for people.
    pub(crate) name: String,
    /// Its own name, such as `debian` or `linuxmint`, whatever it derives from.
    pub(crate) id: String,
    /// The name of its release, such as `bookworm`.
    pub(crate) codename: String,
}

/// Something that may have to be installed.
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
    /// The package manager that installs Codex.
    Npm,
}

impl Distro {
    /// Reads `/etc/os-release`.
    pub(crate) fn read() -> Distro {
        Distro { systemd: std::path::Path::new("/run/systemd/system").is_dir(), ..parse(&os_release()) }
    }

    /// The commands that install a package here. With `upstream` the engine comes from Docker's own packages, and so must
    /// its plugins.
    pub(crate) fn install(&self, package: Package, upstream: bool) -> Vec<Remedy> {
        // Docker has no packages of its own for Arch.
        let plugin = |name| [name, name, name, name, ""];
        let commands = match package {
            Package::Engine => self.engine(),
            Package::Compose if upstream => self.named(plugin("docker-compose-plugin")),
            Package::Buildx if upstream => self.named(plugin("docker-buildx-plugin")),
            Package::Compose => {
                let name = "docker-compose";
                self.of_engine([name, "docker-compose-v2", name, "docker-compose-plugin", name])
            }
            Package::Buildx => {
                let name = "docker-buildx";
                self.of_engine([name, name, name, "docker-buildx-plugin", name])
            }
            Package::Driver => self.driver(),
            Package::Toolkit => self.toolkit(),
            Package::Mmdebstrap => self.named(["mmdebstrap", "mmdebstrap", "mmdebstrap", "", ""]),
            Package::Npm => self.named(["npm", "npm", "nodejs-npm", "npm", "npm"]),
        };
        if commands.is_empty() {
            return vec![Remedy::Do(recipes::unknown(package).into())];
        }
        commands.into_iter().map(Remedy::Run).collect()
    }

    /// The error where a program is missing.
    pub(crate) fn without(&self, program: &str) -> Failure {
        let failure = host(format!("`{program}` is not on PATH"));
        match program {
            "docker" => failure.remedies(self.install(Package::Engine, false)),
            "mmdebstrap" => failure.remedies(self.install(Package::Mmdebstrap, false)),
            "npm" => failure.remedies(self.install(Package::Npm, false)),
            _ => failure.hint(format!("install `{program}`, or add its folder to PATH")),
        }
    }

    /// The commands that upgrade packages which come from Docker or NVIDIA themselves.
    pub(crate) fn upgrade(&self, packages: &[&str]) -> Vec<Remedy> {
        let names = packages.join(" ");
        let command = match self.family {
            Family::Debian | Family::Ubuntu => {
                format!("sudo apt-get update && sudo apt-get install --only-upgrade {names}")
            }
            Family::Fedora | Family::Rhel => format!("sudo dnf upgrade {names}"),
            Family::Arch => "sudo pacman -Syu".into(),
            Family::Other => return vec![Remedy::Do(format!("bring {names} up to date"))],
        };
        vec![Remedy::Run(command)]
    }

    /// The command that does this with the engine: `start` or `restart`.
    pub(crate) fn service(&self, verb: &str) -> String {
        if self.systemd { format!("sudo systemctl {verb} docker") } else { format!("sudo service docker {verb}") }
    }

    /// The command that rebuilds the initramfs, so that the next boot starts without nouveau.
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
    paths.iter().find_map(|path| outside::text(path.as_ref(), outside::WRITTEN).ok()).unwrap_or_default()
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
    // ID_LIKE names the nearest relative first. RHEL's own ID_LIKE is `fedora`, which is why ID is asked first.
    let found = family(&id).map(|family| (family, true));
    let found = found.or_else(|| like.split(' ').find_map(family).map(|family| (family, false)));
    // Rocky 9.4 is compatible with RHEL 9.4; the derivatives of Debian, Ubuntu and Fedora count their releases otherwise.
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

/// For the fuzzer: an os-release file.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let distro = parse(text);
    _ = (distro.install(Package::Engine, false), distro.service("start"), distro.initramfs());
}

#[cfg(test)]
mod tests;
