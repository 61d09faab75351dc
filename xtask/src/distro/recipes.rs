//! The commands that install something, by distribution.

use super::{Distro, Family, Package};

impl Distro {
    /// Installs packages, by their names in Debian, Ubuntu, Fedora, RHEL and Arch. Without a name there is no command.
    pub(super) fn named(&self, [debian, ubuntu, fedora, rhel, arch]: [&str; 5]) -> Vec<String> {
        let (command, names) = match self.family {
            Family::Debian => ("apt-get install", debian),
            Family::Ubuntu => ("apt-get install", ubuntu),
            Family::Fedora => ("dnf install", fedora),
            Family::Rhel => ("dnf install", rhel),
            Family::Arch => ("pacman -S", arch),
            Family::Other => return Vec::new(),
        };
        if names.is_empty() { Vec::new() } else { vec![format!("sudo {command} {names}")] }
    }

    /// The same for packages of the engine. Debian 12 has an engine without Compose v2, so there they come from Debian
    /// 13: packages that are installed by name with this priority upgrade nothing else.
    pub(super) fn of_engine(&self, names: [&str; 5]) -> Vec<String> {
        let [debian, ..] = names;
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if self.family != Family::Debian || major.is_none_or(|major| major >= 13) {
            return self.named(names);
        }
        // containerd, on which docker.io depends, comes from the same release.
        let containerd = debian.starts_with("docker.io").then_some("containerd");
        let names: String = debian.split(' ').chain(containerd).map(|name| format!(" {name}/trixie")).collect();
        vec![
            r"printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' | sudo tee /etc/apt/preferences.d/trixie"
                .into(),
            // The mirror is the one in this machine's own sources.
            "echo \"deb $(apt-get indextargets --format '$(SITE)' 'Label: Debian' 'Created-By: Packages' | head -n 1) trixie \
             main\" | sudo tee /etc/apt/sources.list.d/trixie.list"
                .into(),
            "sudo apt-get update".into(),
            format!("sudo apt-get install --no-install-recommends{names}"),
        ]
    }

    pub(super) fn engine(&self) -> Vec<String> {
        let mut commands = self.of_engine([
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
        if matches!(self.family, Family::Fedora | Family::Rhel | Family::Arch) {
            commands.push("sudo systemctl enable --now docker".into());
        }
        commands
    }

    pub(super) fn driver(&self) -> Vec<String> {
        let major = self.version.split('.').next().unwrap_or_default();
        let arch = if std::env::consts::ARCH == "aarch64" { "sbsa" } else { "x86_64" };
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

    pub(super) fn toolkit(&self) -> Vec<String> {
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

/// What to do on a distribution for which this tool knows no command.
pub(super) fn unknown(package: Package) -> &'static str {
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
