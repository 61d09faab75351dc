//! The GPUs of this host and the way a container can get them. Pure functions over what was read.

use crate::error::{Failure, host};
use crate::exec;
use crate::host::engine::Engine;
use crate::sandbox::promise::{GpuRoute, Gpus};
use crate::step::Command;
use std::path::Path;

/// One GPU as `nvidia-smi` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Index, from 0.
    pub index: String,
    /// `GPU-<uuid>`.
    pub uuid: String,
    /// Product name.
    pub name: String,
    /// Compute capability, such as `12.0`.
    pub capability: String,
}

/// What is known of this host's GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuFacts {
    /// The kernel driver's version, such as `570.86.10`; `None` where no NVIDIA driver is loaded.
    pub driver: Option<String>,
    /// The GPUs.
    pub gpus: Vec<Gpu>,
    /// Why `nvidia-smi` named no GPU.
    pub silent: Option<String>,
    /// Whether NVIDIA's container hook is on PATH.
    pub hook: bool,
    /// Whether a CDI specification of NVIDIA lies where the engine looks.
    pub cdi_spec: bool,
}

/// Reads the driver and asks `nvidia-smi` once, bounded. No GPU is an answer, not an error.
pub fn read(engine: &Engine, path: Option<&str>) -> GpuFacts {
    let driver = std::fs::read_to_string("/proc/driver/nvidia/version")
        .ok()
        .and_then(|text| driver_version(&text));
    let query = Command::new("nvidia-smi")
        .args([
            "--query-gpu=index,uuid,name,compute_cap,driver_version",
            "--format=csv,noheader",
        ])
        .timeout(20);
    let found = |program: &str| which::which_in(program, path, "/").is_ok();
    let said = if found("nvidia-smi") {
        exec::capture(&query).ok()
    } else {
        None
    };
    let (gpus, smi_driver) = said
        .as_ref()
        .filter(|s| s.ok())
        .map(|s| parse_smi(&s.stdout))
        .unwrap_or_default();
    let silent = match &said {
        None => Some("`nvidia-smi` is not on PATH".to_owned()),
        Some(said) if !said.ok() => Some(
            said.stdout
                .lines()
                .chain(said.stderr.lines())
                .next()
                .unwrap_or("nvidia-smi failed")
                .to_owned(),
        ),
        Some(_) => None,
    };
    GpuFacts {
        driver: driver.or(smi_driver),
        gpus,
        silent,
        hook: found("nvidia-container-runtime-hook") || found("nvidia-container-runtime"),
        cdi_spec: engine.cdi_dirs.iter().any(|dir| has_nvidia_spec(dir)),
    }
}

fn has_nvidia_spec(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return false;
    };
    entries
        .flatten()
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|ext| ext == "yaml" || ext == "yml" || ext == "json")
        })
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .any(|text| text.contains("nvidia.com/gpu"))
}

/// The version in `/proc/driver/nvidia/version`: the first word of digits and dots on the `NVRM` line.
pub fn driver_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    line.split_whitespace()
        .find(|word| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.'))
        .map(str::to_owned)
}

/// Reads `nvidia-smi --query-gpu=index,uuid,name,compute_cap,driver_version --format=csv,noheader`.
pub fn parse_smi(text: &str) -> (Vec<Gpu>, Option<String>) {
    let mut driver = None;
    let gpus = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [index, uuid, name, capability, version] = fields[..] else {
            return None;
        };
        driver = Some(version.to_owned());
        Some(Gpu {
            index: index.into(),
            uuid: uuid.into(),
            name: name.into(),
            capability: capability.into(),
        })
    });
    (gpus.collect(), driver)
}

/// Why no GPU of this host can be used; `None` where one answers, or where the engine knows of one.
pub fn silence(facts: &GpuFacts) -> Option<String> {
    if !facts.gpus.is_empty() || facts.cdi_spec {
        return None;
    }
    let why = facts.silent.clone().unwrap_or_else(|| "`nvidia-smi` lists none".into());
    let why = match &facts.driver {
        Some(driver) => format!("the driver {driver} is loaded, but {why}"),
        None => why,
    };
    Some(format!("this host has no GPU that answers: {why}"))
}

/// How the asked GPUs reach a container of this engine, or why they cannot.
///
/// # Errors
/// No GPU, no toolkit, an unknown id (exit code 3), each with the remedy.
pub fn route(gpus: &Gpus, engine: &Engine, facts: &GpuFacts) -> Result<Option<GpuRoute>, Failure> {
    if *gpus == Gpus::None {
        return Ok(None);
    }
    if let Some(why) = silence(facts) {
        return Err(host(format!("`--gpus {gpus}` was asked for and {why}"))
            .hint("install NVIDIA's driver (open kernel modules for Blackwell), or pass `--gpus none`, or `--cpu`"));
    }
    if let Gpus::Ids(ids) = gpus {
        let known = |id: &&String| {
            facts.gpus.is_empty()
                || facts.gpus.iter().any(|g| g.index == **id || g.uuid == **id)
                || id.starts_with("MIG-")
        };
        if let Some(bad) = ids.iter().find(|id| !known(id)) {
            return Err(host(format!("there is no GPU `{bad}` on this host")).hint("`nvidia-smi -L` lists them"));
        }
    }
    if facts.cdi_spec {
        return Ok(Some(GpuRoute::Cdi));
    }
    if facts.hook || engine.runtimes.iter().any(|name| name.contains("nvidia")) {
        return Ok(Some(GpuRoute::Nvidia));
    }
    Err(
        host("the NVIDIA Container Toolkit is missing: no CDI specification, no runtime hook").hint(
            "install `nvidia-container-toolkit`, then `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMI: &str = "0, GPU-aaaa, NVIDIA GeForce RTX 5090, 12.0, 570.86.10\n";

    fn facts() -> GpuFacts {
        GpuFacts {
            driver: Some("570.86.10".into()),
            gpus: parse_smi(SMI).0,
            ..GpuFacts::default()
        }
    }

    #[test]
    fn the_driver_and_the_gpus_are_read() {
        let text =
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build\nGCC version: 12\n";
        assert_eq!(driver_version(text).as_deref(), Some("570.86.10"));
        assert_eq!(parse_smi(SMI).0[0].capability, "12.0");
        assert_eq!(parse_smi("No devices were found\n").0, []);
    }

    #[test]
    fn gpus_are_routed_or_refused_and_never_dropped() {
        let engine = Engine::default();
        let message = |gpus: &Gpus, facts: &GpuFacts| route(gpus, &engine, facts).unwrap_err().message;
        assert_eq!(route(&Gpus::None, &engine, &GpuFacts::default()).unwrap(), None);
        assert!(message(&Gpus::All, &GpuFacts::default()).contains("no GPU that answers"));
        assert!(message(&Gpus::All, &facts()).contains("Toolkit is missing"));
        assert!(message(&Gpus::Ids(vec!["7".into()]), &facts()).contains("no GPU `7`"));
        let hook = GpuFacts { hook: true, ..facts() };
        assert_eq!(route(&Gpus::All, &engine, &hook).unwrap(), Some(GpuRoute::Nvidia));
        let cdi = GpuFacts {
            cdi_spec: true,
            hook: true,
            ..facts()
        };
        assert_eq!(
            route(&Gpus::Ids(vec!["0".into()]), &engine, &cdi).unwrap(),
            Some(GpuRoute::Cdi)
        );
    }
}
