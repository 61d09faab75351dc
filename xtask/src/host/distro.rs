//! The distribution of this host, and the commands that install what is missing on it. Pure, but for `read`.
//!
//! Sources: the installation guides of Docker and of NVIDIA (driver, container toolkit), and the package lists of the
//! distributions. Debian's own driver is older than Blackwell, so there it comes from NVIDIA's repository.

use crate::error::{Failure, Mend, host};

/// Which package manager and which names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Family {
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
pub struct Distro {
    /// Which package manager and which names.
    pub family: Family,
    /// Its release, such as `12` or `24.04`; empty where it has none, or where it only derives from the family.
    pub version: String,
    /// Whether systemd runs the services.
    pub systemd: bool,
}

/// What may have to be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
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
    pub fn read() -> Distro {
        let text = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok());
        Distro {
            systemd: std::path::Path::new("/run/systemd/system").is_dir(),
            ..parse(&text.unwrap_or_default())
        }
    }

    /// The commands that install a package here. `upstream`: the engine comes from Docker's own packages, and its parts
    /// must too.
    pub fn install(&self, package: Package, upstream: bool) -> Vec<Mend> {
        let commands = match package {
            Package::Engine => self.engine(),
            Package::Compose if upstream => self.plain(["docker-compose-plugin"; 4]),
            Package::Buildx if upstream => self.plain(["docker-buildx-plugin"; 4]),
            Package::Compose => self.from_trixie(&["docker-compose"]).unwrap_or_else(|| {
                let rhel = "docker-compose-plugin";
                self.named([
                    "docker-compose",
                    "docker-compose-v2",
                    "docker-compose",
                    rhel,
                    "docker-compose",
                ])
            }),
            Package::Buildx => self.from_trixie(&["docker-buildx"]).unwrap_or_else(|| {
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
            return vec![Mend::Do(unknown(package).into())];
        }
        commands.into_iter().map(Mend::Run).collect()
    }

    /// The error where a program is missing.
    pub fn without(&self, program: &str) -> Failure {
        let failure = host(format!("`{program}` is not on PATH"));
        match program {
            "docker" => failure.mend(self.install(Package::Engine, false)),
            "mmdebstrap" => failure.mend(self.install(Package::Mmdebstrap, false)),
            "npm" => failure.mend(self.install(Package::Npm, false)),
            _ => failure.hint(format!("install `{program}`, or add its folder to PATH")),
        }
    }

    /// The commands that bring packages of the engine's own maker up to date.
    pub fn upgrade(&self, packages: &[&str]) -> Vec<Mend> {
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
    pub fn start(&self) -> &'static str {
        if self.systemd {
            "sudo systemctl start docker"
        } else {
            "sudo service docker start"
        }
    }

    /// The command that starts the engine anew.
    pub fn restart(&self) -> &'static str {
        if self.systemd {
            "sudo systemctl restart docker"
        } else {
            "sudo service docker restart"
        }
    }

    /// The command that makes the image with which the kernel starts anew, without nouveau.
    pub fn initramfs(&self) -> Option<&'static str> {
        match self.family {
            Family::Debian | Family::Ubuntu => Some("sudo update-initramfs -u"),
            Family::Fedora | Family::Rhel => Some("sudo dracut --force"),
            Family::Arch => Some("sudo mkinitcpio -P"),
            Family::Other => None,
        }
    }

    /// One package, by its name in Debian, Ubuntu, Fedora, RHEL and Arch.
    fn named(&self, names: [&str; 5]) -> Vec<String> {
        let [debian, ubuntu, fedora, rhel, arch] = names;
        Vec::from_iter(match self.family {
            Family::Debian => Some(format!("sudo apt-get install {debian}")),
            Family::Ubuntu => Some(format!("sudo apt-get install {ubuntu}")),
            Family::Fedora => Some(format!("sudo dnf install {fedora}")),
            Family::Rhel => Some(format!("sudo dnf install {rhel}")),
            Family::Arch => Some(format!("sudo pacman -S {arch}")),
            Family::Other => None,
        })
    }

    /// One package of Docker's own, which has none for Arch.
    fn plain(&self, [debian, ubuntu, fedora, rhel]: [&str; 4]) -> Vec<String> {
        match self.family {
            Family::Arch => Vec::new(),
            _ => self.named([debian, ubuntu, fedora, rhel, ""]),
        }
    }

    /// Debian 12 has an engine without Compose v2. These packages of Debian 13, taken by name, upgrade nothing else.
    fn from_trixie(&self, packages: &[&str]) -> Option<Vec<String>> {
        let major: u32 = self.version.split('.').next()?.parse().ok()?;
        if self.family != Family::Debian || major >= 13 {
            return None;
        }
        let names: Vec<String> = packages.iter().map(|name| format!("{name}/trixie")).collect();
        Some(vec![
            r"printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' | sudo tee /etc/apt/preferences.d/trixie"
                .into(),
            "echo 'deb http://deb.debian.org/debian trixie main' | sudo tee /etc/apt/sources.list.d/trixie.list".into(),
            "sudo apt-get update".into(),
            format!("sudo apt-get install --no-install-recommends {}", names.join(" ")),
        ])
    }

    fn engine(&self) -> Vec<String> {
        let trixie = [
            "docker.io",
            "docker-cli",
            "docker-compose",
            "docker-buildx",
            "containerd",
        ];
        self.from_trixie(&trixie).unwrap_or_else(|| {
            let mut commands = self.named([
                "docker.io docker-cli docker-compose docker-buildx",
                "docker.io docker-compose-v2 docker-buildx",
                "moby-engine docker-cli docker-compose docker-buildx",
                "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin",
                "docker docker-compose docker-buildx",
            ]);
            if self.family == Family::Rhel {
                let repo = "https://download.docker.com/linux/rhel/docker-ce.repo";
                commands.insert(0, format!("sudo dnf config-manager --add-repo {repo}"));
            }
            if !matches!(self.family, Family::Debian | Family::Ubuntu | Family::Other) {
                commands.push("sudo systemctl enable --now docker".into());
            }
            commands
        })
    }

    fn driver(&self) -> Vec<String> {
        let major = self.version.split('.').next().unwrap_or_default();
        let arch = if std::env::consts::ARCH == "aarch64" {
            "sbsa"
        } else {
            "x86_64"
        };
        let repos = "https://developer.download.nvidia.com/compute/cuda/repos";
        let mut commands: Vec<String> = match self.family {
            Family::Debian if !major.is_empty() => vec![
                format!("curl -fsSLO {repos}/debian{major}/{arch}/cuda-keyring_1.1-1_all.deb"),
                "sudo dpkg -i cuda-keyring_1.1-1_all.deb".into(),
                "sudo apt-get update".into(),
                "sudo apt-get install linux-headers-$(uname -r) nvidia-open".into(),
            ],
            Family::Ubuntu => vec!["sudo apt-get install nvidia-driver-580-open".into()],
            Family::Fedora if !major.is_empty() => vec![
                format!(
                    "sudo dnf config-manager addrepo --from-repofile={repos}/fedora{major}/{arch}/cuda-fedora{major}.repo"
                ),
                "sudo dnf install nvidia-open".into(),
            ],
            Family::Rhel if !major.is_empty() => vec![
                format!("sudo dnf config-manager --add-repo {repos}/rhel{major}/{arch}/cuda-rhel{major}.repo"),
                "sudo dnf install nvidia-open".into(),
            ],
            Family::Arch => vec!["sudo pacman -S nvidia-open nvidia-utils".into()],
            _ => return Vec::new(),
        };
        commands.push("sudo reboot".into());
        commands
    }

    fn toolkit(&self) -> Vec<String> {
        let site = "https://nvidia.github.io/libnvidia-container";
        let key = "/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg";
        match self.family {
            Family::Debian | Family::Ubuntu => vec![
                format!("curl -fsSL {site}/gpgkey | sudo gpg --dearmor -o {key}"),
                format!(
                    "curl -fsSL {site}/stable/deb/nvidia-container-toolkit.list | sed 's#deb https://#deb \
                     [signed-by={key}] https://#g' | sudo tee /etc/apt/sources.list.d/nvidia-container-toolkit.list"
                ),
                "sudo apt-get update && sudo apt-get install nvidia-container-toolkit".into(),
            ],
            Family::Fedora | Family::Rhel => vec![
                format!(
                    "curl -fsSL {site}/stable/rpm/nvidia-container-toolkit.repo | sudo tee \
                     /etc/yum.repos.d/nvidia-container-toolkit.repo"
                ),
                "sudo dnf install nvidia-container-toolkit".into(),
            ],
            Family::Arch => vec!["sudo pacman -S nvidia-container-toolkit".into()],
            Family::Other => Vec::new(),
        }
    }
}

/// What to do where no command is known.
fn unknown(package: Package) -> &'static str {
    match package {
        Package::Engine => {
            "install Docker Engine with Compose and buildx: https://docs.docker.com/engine/install/ says how"
        }
        Package::Compose => "install Docker's Compose v2 plugin: https://docs.docker.com/compose/install/ says how",
        Package::Buildx => "install Docker's buildx plugin: https://github.com/docker/buildx says how",
        Package::Driver => {
            "install NVIDIA's driver with open kernel modules: \
             https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/ says how"
        }
        Package::Toolkit => {
            "install `nvidia-container-toolkit`: \
             https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html says how"
        }
        Package::Mmdebstrap => {
            "install `mmdebstrap`, which Debian, Ubuntu and Fedora have, or give a base with `--base`"
        }
        Package::Npm => "install Node.js with npm: https://nodejs.org/ says how",
    }
}

/// Reads the text of `/etc/os-release`.
pub fn parse(text: &str) -> Distro {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIXIE: &str = "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\nID=debian\n";

    fn distro(text: &str) -> (Family, String) {
        let distro = parse(text);
        (distro.family, distro.version)
    }

    fn commands(text: &str, package: Package) -> Vec<String> {
        let mend = parse(text).install(package, false);
        mend.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn distributions_are_known_by_themselves_or_by_what_they_are_made_from() {
        assert_eq!(distro(TRIXIE), (Family::Debian, "13".into()));
        let mint = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"22\"\n";
        assert_eq!(distro(mint), (Family::Ubuntu, String::new()));
        let rocky = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n";
        assert_eq!(distro(rocky), (Family::Rhel, "9.4".into()));
        assert_eq!(distro("ID=fedora\nVERSION_ID=42\n"), (Family::Fedora, "42".into()));
        assert_eq!(distro("ID=manjaro\nID_LIKE=arch\n"), (Family::Arch, String::new()));
        assert_eq!(distro("ID=nixos\n"), (Family::Other, String::new()));
        assert_eq!(distro(""), (Family::Other, String::new()));
    }

    #[test]
    fn each_package_manager_has_its_commands_and_other_systems_a_sentence() {
        let engine = |text: &str| commands(text, Package::Engine);
        assert_eq!(
            engine(TRIXIE),
            ["sudo apt-get install docker.io docker-cli docker-compose docker-buildx"]
        );
        let bookworm = engine(&TRIXIE.replace("13", "12"));
        assert!(bookworm[3].contains("docker.io/trixie") && bookworm[0].contains("Pin-Priority: 100"));
        assert_eq!(
            engine("ID=ubuntu\nVERSION_ID=24.04\n"),
            ["sudo apt-get install docker.io docker-compose-v2 docker-buildx"]
        );
        assert!(engine("ID=fedora\nVERSION_ID=42\n")[0].starts_with("sudo dnf install moby-engine"));
        assert!(engine("ID=rhel\nVERSION_ID=9.4\n")[0].contains("--add-repo"));
        assert!(engine("ID=arch\n")[0].starts_with("sudo pacman -S docker "));
        assert_eq!(parse("ID=nixos").install(Package::Engine, false).len(), 1);
        assert!(matches!(
            parse("ID=nixos").install(Package::Driver, false)[0],
            Mend::Do(_)
        ));
        assert!(commands("ID=rhel\nVERSION_ID=9.4\n", Package::Driver)[0].ends_with("cuda-rhel9.repo"));
        assert!(matches!(
            parse("ID=arch").install(Package::Mmdebstrap, false)[0],
            Mend::Do(_)
        ));
    }

    #[test]
    fn parts_of_the_engine_come_from_where_the_engine_came_from() {
        let compose = |upstream| parse(TRIXIE).install(Package::Compose, upstream)[0].to_string();
        assert_eq!(compose(false), "sudo apt-get install docker-compose");
        assert_eq!(compose(true), "sudo apt-get install docker-compose-plugin");
    }

    #[test]
    fn the_commands_are_words_that_a_shell_can_read() {
        let systems = ["debian", "ubuntu", "fedora", "rhel", "arch"];
        let packages = [
            Package::Engine,
            Package::Compose,
            Package::Buildx,
            Package::Driver,
            Package::Toolkit,
            Package::Mmdebstrap,
            Package::Npm,
        ];
        for id in systems {
            for package in packages {
                for mend in parse(&format!("ID={id}\nVERSION_ID=12\n")).install(package, false) {
                    if let Mend::Run(command) = mend {
                        let words = shell_words::split(&command).unwrap_or_else(|err| panic!("{command}: {err}"));
                        assert!(words.len() > 1, "{command}");
                    }
                }
            }
        }
    }
}
