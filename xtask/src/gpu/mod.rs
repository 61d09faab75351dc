//! The GPUs of this host and the way a container can get them. Pure functions over what was read.

pub(crate) mod arch;
mod devices;
pub(crate) mod smi;

pub(crate) use devices::{Pci, Spec, driver_version};

use crate::distro::{Distro, Package};
use crate::engine::Engine;
use crate::error::{Failure, Mend, host};
use crate::exec;
use crate::spec::words::{GpuRoute, Gpus};
use crate::step::Command;
use std::path::Path;

/// One GPU as `nvidia-smi` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gpu {
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
pub(crate) struct GpuFacts {
    /// The kernel driver's version, such as `570.86.10`; `None` where no NVIDIA driver is loaded.
    pub driver: Option<String>,
    /// Whether its kernel modules are the open ones; `None` where none is loaded.
    pub open_module: Option<bool>,
    /// NVIDIA's devices on the PCI bus.
    pub pci: Vec<Pci>,
    /// The GPUs.
    pub gpus: Vec<Gpu>,
    /// Why `nvidia-smi` named no GPU.
    pub silent: Option<String>,
    /// Whether NVIDIA's container hook is on PATH.
    pub hook: bool,
    /// Whether `nvidia-ctk` is on PATH.
    pub ctk: bool,
    /// Whether a CDI specification of NVIDIA lies where the engine looks.
    pub cdi_spec: bool,
    /// That specification.
    pub spec: Option<Spec>,
}

/// Reads the driver and asks `nvidia-smi` once, bounded. No GPU is an answer, not an error.
pub(crate) fn read(engine: &Engine, path: Option<&str>) -> GpuFacts {
    seen_by(engine, read_devices(path))
}

/// The same facts with what this engine can hand out.
pub(crate) fn seen_by(engine: &Engine, facts: GpuFacts) -> GpuFacts {
    let spec = devices::spec(&engine.cdi_dirs);
    GpuFacts { cdi_spec: spec.is_some(), spec, ..facts }
}

/// What is known without the engine.
pub(crate) fn read_devices(path: Option<&str>) -> GpuFacts {
    let version = std::fs::read_to_string("/proc/driver/nvidia/version").ok();
    let query = Command::new("nvidia-smi")
        .args(["--query-gpu=index,uuid,name,compute_cap,driver_version", "--format=csv,noheader"])
        .timeout(20);
    let found = |program: &str| which::which_in(program, path, "/").is_ok();
    let said = found("nvidia-smi").then(|| exec::capture(&query));
    let (gpus, smi_driver) = match &said {
        Some(Ok(said)) if said.ok() => parse_smi(&said.stdout),
        _ => Default::default(),
    };
    let silent = match &said {
        None => Some("`nvidia-smi` is not on PATH".to_owned()),
        Some(Err(err)) => Some(format!("{err:#}")),
        Some(Ok(said)) if !said.ok() => {
            Some(said.stdout.lines().chain(said.stderr.lines()).next().unwrap_or("nvidia-smi failed").to_owned())
        }
        Some(Ok(_)) => None,
    };
    GpuFacts {
        driver: version.as_deref().and_then(driver_version).or(smi_driver),
        open_module: version.as_deref().map(devices::is_open),
        pci: devices::pci(Path::new("/sys/bus/pci/devices")),
        gpus,
        silent,
        hook: found("nvidia-container-runtime-hook") || found("nvidia-container-runtime"),
        ctk: found("nvidia-ctk"),
        ..GpuFacts::default()
    }
}

/// Asks `nvidia-ctk` for its version; `None` where it is missing or says something else.
pub(crate) fn toolkit_version(path: Option<&str>) -> Option<String> {
    which::which_in("nvidia-ctk", path, "/").ok()?;
    let said = exec::capture(&Command::new("nvidia-ctk").arg("--version").timeout(10)).ok()?;
    let word = said.stdout.split_whitespace().find(|word| word.contains('.'))?;
    word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.to_owned())
}

/// Reads `nvidia-smi --query-gpu=index,uuid,name,compute_cap,driver_version --format=csv,noheader`.
pub(crate) fn parse_smi(text: &str) -> (Vec<Gpu>, Option<String>) {
    let rows = smi::rows::<5>(text);
    let gpu = |&[index, uuid, name, capability, _]: &[&str; 5]| Gpu {
        index: index.into(),
        uuid: uuid.into(),
        name: name.into(),
        capability: capability.into(),
    };
    let driver = rows.last().map(|[.., driver]| (*driver).to_owned());
    (rows.iter().map(gpu).collect(), driver)
}

/// How the asked GPUs reach a container of this engine, or why they cannot.
///
/// # Errors
/// No GPU, no toolkit, an unknown id (exit code 3), each with the remedy.
pub(crate) fn route(gpus: &Gpus, engine: &Engine, facts: &GpuFacts) -> Result<Option<GpuRoute>, Failure> {
    if *gpus == Gpus::None {
        return Ok(None);
    }
    if facts.gpus.is_empty() && !facts.cdi_spec {
        return Err(no_gpu(gpus, &engine.distro, facts));
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
    Err(no_toolkit(engine, facts))
}

/// The error where no GPU answers, with the way to a driver where a device has none.
fn no_gpu(gpus: &Gpus, distro: &Distro, facts: &GpuFacts) -> Failure {
    let failure = silent(gpus, facts);
    if facts.driver.is_some() || facts.pci.is_empty() {
        return failure;
    }
    let mut mend = vec![Mend::Do("install NVIDIA's driver, with open kernel modules for Blackwell:".into())];
    mend.extend(distro.install(Package::Driver, false));
    mend.extend(failure.mend);
    Failure { mend, ..failure }
}

/// The same without the way to a driver.
pub(crate) fn silent(gpus: &Gpus, facts: &GpuFacts) -> Failure {
    host(format!("`--gpus {gpus}` was asked for and {}", silence(facts)))
        .hint("pass `--gpus none`, or `--cpu`, to work without a GPU")
}

/// Why no GPU of this host answers, where none does.
pub(crate) fn silence(facts: &GpuFacts) -> String {
    let why = facts.silent.clone().unwrap_or_else(|| "`nvidia-smi` lists none".into());
    let why = match &facts.driver {
        Some(driver) => format!("the driver {driver} is loaded, but {why}"),
        None if facts.pci.is_empty() => format!("{why}, and no device of NVIDIA is on its PCI bus"),
        None => why,
    };
    format!("this host has no GPU that answers: {why}")
}

/// The error where the engine cannot hand out GPUs.
pub(crate) fn no_toolkit(engine: &Engine, facts: &GpuFacts) -> Failure {
    let failure = host("the NVIDIA Container Toolkit is missing: no CDI specification, no runtime hook");
    let failure = if facts.ctk { failure } else { failure.mend(engine.distro.install(Package::Toolkit, false)) };
    // An engine without CDI looks for the hook when it starts.
    failure.run([match engine.cdi_dirs.is_empty() {
        true => engine.distro.restart().to_owned(),
        false => generate(Path::new("/etc/cdi/nvidia.yaml")),
    }])
}

/// The command that describes the GPUs to the engine.
pub(crate) fn generate(file: &Path) -> String {
    format!("sudo nvidia-ctk cdi generate --output={}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMI: &str = "0, GPU-aaaa, NVIDIA GeForce RTX 5090, 12.0, 570.86.10\n";

    fn facts() -> GpuFacts {
        GpuFacts { driver: Some("570.86.10".into()), gpus: parse_smi(SMI).0, ..GpuFacts::default() }
    }

    #[test]
    fn the_gpus_are_read() {
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
        let cdi = GpuFacts { cdi_spec: true, hook: true, ..facts() };
        assert_eq!(route(&Gpus::Ids(vec!["0".into()]), &engine, &cdi).unwrap(), Some(GpuRoute::Cdi));
    }
}
