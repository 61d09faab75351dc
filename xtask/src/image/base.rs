//! Base images: what is known of NVIDIA's without pulling them, and the CPU base that is made from Debian packages.

use crate::distro::{Distro, Package};
use crate::engine::docker;
use crate::error::{Failure, host};
use crate::fingerprint;
use crate::gpu::GpuFacts;
use crate::gpu::arch::serves;
use crate::step::{Command, Step};
use std::path::Path;

/// The packages of the CPU base, one a line.
pub const CPU_PACKAGES: &str = include_str!("../../../docker/cpu-base.packages");

/// The Debian release of the CPU base: the first with torch 2.6.
pub const CPU_RELEASE: &str = "trixie";

/// The paths that are not unpacked into it, one dpkg pattern a line.
const CPU_EXCLUDES: &str = include_str!("../../../docker/cpu-base.excludes");

// `--variant=apt` is the smallest that `docker build` can install more into.
const CPU_OPTIONS: &[&str] = &["--variant=apt", "--aptopt=Apt::Install-Recommends \"false\""];

fn cpu_options() -> Vec<String> {
    let excludes = lines(CPU_EXCLUDES).into_iter().map(|pattern| format!("--dpkgopt=path-exclude={pattern}"));
    CPU_OPTIONS.iter().map(|option| (*option).to_owned()).chain(excludes).collect()
}

/// The entries of a list, one a line; `#` starts a comment.
pub fn lines(list: &str) -> Vec<&str> {
    list.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|name| !name.is_empty()).collect()
}

/// The reference of the CPU base: it changes with its packages and options.
pub fn cpu_reference() -> String {
    let parts = [CPU_RELEASE].into_iter().chain(CPU_OPTIONS.iter().copied()).chain(lines(CPU_PACKAGES));
    format!("codex-sandbox-cpu-base:{CPU_RELEASE}-{}", &fingerprint::of(parts)[..12])
}

/// The steps that make the CPU base: a tar by mmdebstrap, imported, then removed.
pub fn cpu_steps(reference: &str, mirror: Option<&str>, scratch: &Path) -> Vec<Step> {
    let tar = scratch.join("cpu-base.tar");
    let tar_text = tar.to_string_lossy().into_owned();
    let bootstrap = Command::new("mmdebstrap")
        .args(cpu_options())
        .arg(format!("--include={}", lines(CPU_PACKAGES).join(",")))
        .args([CPU_RELEASE, &tar_text])
        .args(mirror);
    vec![
        Step::Note("making the CPU base from Debian packages: a few minutes, with some hundred MB to download".into()),
        Step::CreateDir { path: scratch.to_path_buf(), mode: 0o755 },
        Step::Run(bootstrap),
        Step::Note("handing the CPU base to the engine: about 20 s".into()),
        Step::Run(docker::import(&tar_text, reference)),
        Step::Remove { path: tar },
    ]
}

/// The error where mmdebstrap is missing.
pub fn no_mmdebstrap(distro: &Distro) -> Failure {
    host("the CPU base image is made by `mmdebstrap`, and it is not on PATH")
        .mend(distro.install(Package::Mmdebstrap, false))
}

/// The error where the base cannot serve this host's GPUs, all reasons in one; `None` where nothing speaks against it.
pub fn misfit(reference: &str, arch_list: &str, facts: &GpuFacts) -> Option<Failure> {
    let misfits = misfits(reference, arch_list, facts);
    (!misfits.is_empty()).then(|| {
        host(format!("the image would not serve this host's GPU: {}", misfits.join("; ")))
            .hint("choose another base with `--base`, set `arch_list` in sandbox.local.yaml, or update the driver")
    })
}

/// The room that building an image takes. One with NVIDIA's base takes about 20 GB and as much again while it is
/// unpacked; a CPU image takes 3 GB.
pub fn room(base: Option<&str>) -> u64 {
    if base.is_some() { 40 << 30 } else { 8 << 30 }
}

/// The site of Debian's own packages in `apt-get indextargets --format '$(SITE) $(ORIGIN) $(CREATED_BY)'`.
pub fn mirror_of(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[..] {
            [site, "Debian", "Packages"] if site.ends_with("/debian") || site.ends_with("/debian/") => {
                Some(site.to_owned())
            }
            _ => None,
        }
    })
}

/// What is known of a base image without pulling it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// The CUDA version that it was built with.
    pub cuda: &'static str,
    /// The least driver of that CUDA's own branch.
    pub driver: (u32, u32),
    /// Compute capabilities that its torch has native kernels for.
    pub capabilities: &'static [&'static str],
}

/// NVIDIA's PyTorch images by tag. Sources: the container release notes and the CUDA toolkit's driver table; the arch
/// list of 25.01 is inferred from later tags of the same CUDA and from reports of RTX 5090 owners.
pub fn known(reference: &str) -> Option<Known> {
    const BLACKWELL: &[&str] = &["7.5", "8.0", "8.6", "9.0", "10.0", "12.0"];
    let tag = reference.strip_prefix("nvcr.io/nvidia/pytorch:")?.strip_suffix("-py3")?;
    let (cuda, driver) = match tag {
        "25.01" | "25.02" => ("12.8", (570, 26)),
        "25.03" | "25.04" => ("12.8", (570, 124)),
        "25.05" | "25.06" => ("12.9", (575, 51)),
        "25.08" => ("13.0", (580, 65)),
        "25.09" | "25.10" | "25.11" => ("13.0", (580, 95)),
        _ => return None,
    };
    Some(Known { cuda, driver, capabilities: BLACKWELL })
}

/// Whether the base can serve this host's GPUs and driver, as far as known. Empty means nothing speaks against it.
pub fn misfits(reference: &str, arch_list: &str, facts: &GpuFacts) -> Vec<String> {
    let mut lines = Vec::new();
    let arches: Vec<&str> = arch_list.split([' ', ';']).filter(|arch| !arch.is_empty()).collect();
    for gpu in &facts.gpus {
        if !arches.iter().any(|arch| serves(arch, &gpu.capability)) {
            lines.push(format!(
                "extensions built with arch_list `{arch_list}` have no kernels for {} (compute capability {})",
                gpu.name, gpu.capability
            ));
        }
    }
    let Some(known) = known(reference) else { return lines };
    for gpu in &facts.gpus {
        if !known.capabilities.iter().any(|arch| serves(arch, &gpu.capability)) {
            lines.push(format!(
                "torch in `{reference}` has no kernels for {} (compute capability {})",
                gpu.name, gpu.capability
            ));
        }
    }
    let driver = facts.driver.as_deref().and_then(crate::engine::major_minor);
    if driver.is_some_and(|driver| driver < known.driver) {
        lines.push(format!(
            "the driver {} is older than {}.{}, which CUDA {} in `{reference}` needs",
            facts.driver.as_deref().unwrap_or_default(),
            known.driver.0,
            known.driver.1,
            known.cuda
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::parse_smi;

    #[test]
    fn a_base_that_cannot_serve_the_gpu_is_named_before_the_build() {
        let facts = |line: &str, driver: &str| GpuFacts {
            gpus: parse_smi(line).0,
            driver: Some(driver.into()),
            ..GpuFacts::default()
        };
        let rtx = "0, GPU-a, RTX 5090, 12.0, 570.86.10\n";
        let base = crate::spec::settings::DEFAULT_BASE;
        assert_eq!(misfits(base, "12.0", &facts(rtx, "570.86.10")), [""; 0]);
        assert_eq!(misfits(base, "12.0", &facts(rtx, "565.57.01")).len(), 1);
        assert_eq!(misfits(base, "9.0", &facts(rtx, "570.86.10")).len(), 1);
        assert_eq!(misfits(base, "12.0", &facts("0, G, B200, 10.0, 580.1\n", "580.1")).len(), 1);
    }

    #[test]
    fn the_mirror_is_the_one_that_apt_uses() {
        let text = "http://a.example/debian-security Debian Packages\nhttp://a.example/debian Debian Packages\n";
        assert_eq!(mirror_of(text).as_deref(), Some("http://a.example/debian"));
        assert_eq!(mirror_of("http://a.example/ubuntu Ubuntu Packages\n"), None);
    }
}
