//! The GPU architecture for which native code is needed: `12.0` is sm_120. Pure.

use crate::error::usage;
pub use crate::spec::arch::Arch;
use anyhow::Result;

/// Chooses the architecture: the flag's; or the only one that the image is built for; or, of several, the newest one that
/// runs on every GPU of this host.
///
/// # Errors
/// The flag is no architecture, or the list has several and none of them runs on every GPU (exit code 2).
pub(crate) fn choose(flag: Option<&str>, arch_list: &str, capabilities: &[&str]) -> Result<Arch> {
    let ways = "write it as `--arch 12.0`; `nvidia-smi --query-gpu=compute_cap --format=csv` shows what a GPU has";
    if let Some(text) = flag {
        let none = || usage(format!("`--arch {text}` is not a compute capability")).hint(ways).into();
        return Arch::parse(text).ok_or_else(none);
    }
    let mut listed: Vec<Arch> = arch_list.split([' ', ';']).filter_map(Arch::parse).collect();
    listed.sort_unstable();
    listed.dedup();
    if let [only] = listed[..] {
        return Ok(only);
    }
    let fits = |arch: &&Arch| !capabilities.is_empty() && capabilities.iter().all(|cap| serves(&arch.to_string(), cap));
    listed.iter().rev().find(fits).copied().ok_or_else(|| {
        usage(format!("`arch_list: {arch_list}` does not say which architecture is meant here")).hint(ways).into()
    })
}

/// Whether native code for `arch` (such as `12.0`, `9.0a`, `12.0+PTX`) runs on a GPU of this compute capability: the
/// same major version, and a minor version that is not above the GPU's; with `a`, exactly the GPU's. CUDA C programming
/// guide, binary compatibility.
pub(crate) fn serves(arch: &str, capability: &str) -> bool {
    let exact = arch.trim_end_matches("+PTX").ends_with('a');
    match (Arch::parse(arch), Arch::parse(capability)) {
        (Some(arch), Some(gpu)) if exact => arch == gpu,
        (Some(arch), Some(gpu)) => arch.runs_on(gpu),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_code_runs_on_later_gpus_of_its_major_version_only() {
        assert!(serves("12.0", "12.1") && serves("12.0+PTX", "12.0"));
        assert!(!serves("12.0a", "12.1") && !serves("12.0", "10.0"));
    }

    #[test]
    fn the_only_architecture_of_the_list_is_meant_and_of_several_the_one_that_serves() {
        let chosen = |flag, list, gpus: &[&str]| choose(flag, list, gpus).map(|arch| arch.to_string());
        assert_eq!(chosen(None, "12.0+PTX", &[]).unwrap(), "12.0");
        assert_eq!(chosen(Some("9.0"), "12.0", &[]).unwrap(), "9.0");
        assert_eq!(chosen(None, "9.0 10.0 12.0+PTX", &["12.1"]).unwrap(), "12.0");
        assert_eq!(chosen(None, "8.0;8.6", &["8.6", "8.9"]).unwrap(), "8.6");
        for (flag, list, gpus) in [
            (Some("blackwell"), "12.0", &[][..]),
            (None, "9.0 12.0", &[]),
            (None, "9.0 12.0", &["9.0", "12.0"]),
            (None, "native", &[]),
        ] {
            let err = choose(flag, list, gpus).unwrap_err();
            assert_eq!(crate::error::exit_code(&err), 2, "{err}");
            assert!(crate::error::render(&err).contains("`--arch 12.0`"));
        }
    }
}
