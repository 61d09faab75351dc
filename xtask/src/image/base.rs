//! Base images: facts about NVIDIA's that are known without pulling them, and the CPU base, which is made from Debian
//! packages.

use crate::distro::{Distro, Package};
use crate::engine::{docker, major_minor};
use crate::error::{Failure, host};
use crate::fingerprint;
use crate::gpu::arch::serves;
use crate::gpu::{Gpu, GpuFacts};
use crate::step::{Command, Step};
use std::path::Path;

/// The packages of the CPU base, one a line.
const CPU_PACKAGES: &str = include_str!("../../../docker/cpu-base.packages");

/// The Debian release of the CPU base: the first with torch 2.6.
const CPU_RELEASE: &str = "trixie";

/// The paths that are not unpacked into the CPU base, one dpkg pattern a line.
const CPU_EXCLUDES: &str = include_str!("../../../docker/cpu-base.excludes");

// `--variant=apt` is the smallest variant into which `docker build` can install more packages.
const CPU_OPTIONS: &[&str] = &["--variant=apt", "--aptopt=Apt::Install-Recommends \"false\""];

/// The entries of a list, one a line; `#` starts a comment.
fn lines(list: &str) -> Vec<&str> {
    list.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|name| !name.is_empty()).collect()
}

/// The reference of the CPU base. It changes with the packages and options.
pub(crate) fn cpu_reference() -> String {
    let parts = [CPU_RELEASE].into_iter().chain(CPU_OPTIONS.iter().copied()).chain(lines(CPU_PACKAGES));
    format!("codex-sandbox-cpu-base:{CPU_RELEASE}-{}", &fingerprint::of(parts)[..12])
}

/// The steps that make the CPU base: mmdebstrap makes a tar archive, which is imported and then removed.
pub(super) fn cpu_steps(reference: &str, mirror: Option<&str>, scratch: &Path) -> Vec<Step> {
    let tar = scratch.join("cpu-base.tar");
    let tar_text = tar.to_string_lossy().into_owned();
    let bootstrap = Command::new("mmdebstrap")
        .args(CPU_OPTIONS.iter().copied())
        .args(lines(CPU_EXCLUDES).iter().map(|pattern| format!("--dpkgopt=path-exclude={pattern}")))
        .arg(format!("--include={}", lines(CPU_PACKAGES).join(",")))
        .args([CPU_RELEASE, &tar_text])
        .args(mirror);
    vec![
        Step::Note("making the CPU base from Debian packages: a few minutes, some hundred MB are downloaded".into()),
        Step::CreateDir { path: scratch.to_path_buf(), mode: 0o755 },
        Step::Run(bootstrap),
        Step::Note("importing the CPU base into the engine: about 20 s".into()),
        Step::Run(docker::import(&tar_text, reference)),
        Step::Remove { path: tar },
    ]
}

/// The error where mmdebstrap is missing.
pub(crate) fn no_mmdebstrap(distro: &Distro) -> Failure {
    host("the CPU base image is made by `mmdebstrap`, and it is not on PATH")
        .remedies(distro.install(Package::Mmdebstrap, false))
}

/// The error with all reasons why the base cannot serve this host's GPUs; `None` where no reason is known.
pub(crate) fn misfit(reference: &str, arch_list: &str, facts: &GpuFacts) -> Option<Failure> {
    let misfits = misfits(reference, arch_list, facts);
    (!misfits.is_empty()).then(|| {
        host(format!("the image would not serve this host's GPU: {}", misfits.join("; ")))
            .hint("choose another base with `--base`, set `arch_list` in sandbox.local.yaml, or update the driver")
    })
}

/// The bytes that must be free to build an image. One with NVIDIA's base takes about 20 GB, and as much again while it is
/// unpacked; a CPU image takes 3 GB.
pub(crate) fn room(base: Option<&str>) -> u64 {
    if base.is_some() { 40 << 30 } else { 8 << 30 }
}

/// The site of Debian's own packages in `apt-get indextargets --format '$(SITE) $(ORIGIN) $(CREATED_BY)'`.
pub(super) fn mirror_of(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [site, "Debian", "Packages"] if site.trim_end_matches('/').ends_with("/debian") => Some(site.to_owned()),
        _ => None,
    })
}

/// Facts about a base image that are known without pulling it.
pub(crate) struct Known {
    /// The CUDA version that it was built with.
    pub(crate) cuda: &'static str,
    /// The oldest driver of that CUDA's own branch: major and minor version.
    driver: (u32, u32),
}

/// The compute capabilities for which torch has native kernels in all known images. That of 25.01 is inferred from later
/// tags with the same CUDA and from reports of RTX 5090 owners.
const CAPABILITIES: &[&str] = &["7.5", "8.0", "8.6", "9.0", "10.0", "12.0"];

/// NVIDIA's PyTorch images by tag. Sources: the container release notes and the driver table of the CUDA toolkit.
pub(crate) fn known(reference: &str) -> Option<Known> {
    let tag = reference.strip_prefix("nvcr.io/nvidia/pytorch:")?.strip_suffix("-py3")?;
    let (cuda, driver) = match tag {
        "25.01" | "25.02" => ("12.8", (570, 26)),
        "25.03" | "25.04" => ("12.8", (570, 124)),
        "25.05" | "25.06" => ("12.9", (575, 51)),
        "25.08" => ("13.0", (580, 65)),
        "25.09" | "25.10" | "25.11" => ("13.0", (580, 95)),
        _ => return None,
    };
    Some(Known { cuda, driver })
}

/// The known reasons why the base cannot serve this host's GPUs and driver.
pub(crate) fn misfits(reference: &str, arch_list: &str, facts: &GpuFacts) -> Vec<String> {
    let without_kernels = |arches: &[&str], what: String| -> Vec<String> {
        let lacks = |gpu: &&Gpu| !arches.iter().any(|arch| serves(arch, &gpu.capability));
        let line = |gpu: &Gpu| format!("{what} no kernels for {} (compute capability {})", gpu.name, gpu.capability);
        facts.gpus.iter().filter(lacks).map(line).collect()
    };
    let arches: Vec<&str> = arch_list.split([' ', ';']).filter(|arch| !arch.is_empty()).collect();
    let mut lines = without_kernels(&arches, format!("extensions built with arch_list `{arch_list}` have"));
    let Some(known) = known(reference) else { return lines };
    lines.extend(without_kernels(CAPABILITIES, format!("torch in `{reference}` has")));
    if let Some(driver) = facts.driver.as_deref()
        && major_minor(driver).is_some_and(|version| version < known.driver)
    {
        let (cuda, (major, minor)) = (known.cuda, known.driver);
        lines.push(format!(
            "the driver {driver} is older than {major}.{minor}, which CUDA {cuda} in `{reference}` needs"
        ));
    }
    lines
}

/// For the fuzzer: what `apt-get indextargets` says, and a list of packages.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    assert!(mirror_of(text).is_none_or(|site| site.trim_end_matches('/').ends_with("/debian")));
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
        let base = crate::spec::settings::keys::DEFAULT_BASE;
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
