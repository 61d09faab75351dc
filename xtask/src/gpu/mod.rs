//! The GPUs of this host and the ways by which a container can get them.

pub(crate) mod arch;
mod devices;
pub(crate) mod smi;

#[cfg(any(test, fuzzing))]
pub(crate) use devices::fuzz;
pub(crate) use devices::{CdiSpec, Pci, driver_version};

use crate::distro::{Distro, Package};
use crate::engine::Engine;
use crate::error::{Failure, Remedy, host};
use crate::exec;
use crate::spec::words::{GpuRoute, Gpus};
use crate::step::Command;
use std::path::Path;

/// One GPU as `nvidia-smi` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gpu {
    /// Counted from 0.
    pub(crate) index: String,
    /// `GPU-<uuid>`
    pub(crate) uuid: String,
    /// Of the product, such as `NVIDIA GeForce RTX 5090`.
    pub(crate) name: String,
    /// Compute capability, such as `12.0`.
    pub(crate) capability: String,
}

/// The GPUs of this host, and what can pass them to a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GpuFacts {
    /// The kernel driver's version, such as `570.86.10`; `None` where no NVIDIA driver is loaded.
    pub(crate) driver: Option<String>,
    /// Whether its kernel modules are the open ones; `None` where none is loaded.
    pub(crate) open_module: Option<bool>,
    /// NVIDIA's devices on the PCI bus.
    pub(crate) pci: Vec<Pci>,
    pub(crate) gpus: Vec<Gpu>,
    /// Why `nvidia-smi` named no GPU.
    pub(crate) silent: Option<String>,
    /// Whether NVIDIA's container hook is on PATH.
    pub(crate) hook: bool,
    /// Whether `nvidia-ctk` is on PATH.
    pub(crate) ctk: bool,
    /// The CDI specification of NVIDIA, where one lies in a directory that the engine reads.
    pub(crate) spec: Option<CdiSpec>,
}

/// Reads the driver and asks `nvidia-smi` once, bounded. A host without a GPU is an answer, not an error.
pub(crate) fn read(engine: &Engine, path: Option<&str>) -> GpuFacts {
    seen_by(engine, read_devices(path))
}

/// Adds what depends on the engine: the CDI specification that it reads.
pub(crate) fn seen_by(engine: &Engine, facts: GpuFacts) -> GpuFacts {
    GpuFacts { spec: devices::spec(&engine.cdi_dirs), ..facts }
}

/// What can be read without an engine.
pub(crate) fn read_devices(path: Option<&str>) -> GpuFacts {
    let version = std::fs::read_to_string("/proc/driver/nvidia/version").ok();
    let found = |program: &str| which::which_in(program, path, "/").is_ok();
    let smi = match found("nvidia-smi") {
        true => ask_smi(),
        false => Err("`nvidia-smi` is not on PATH".to_owned()),
    };
    let ((gpus, smi_driver), silent) = match smi {
        Ok(answer) => (answer, None),
        Err(why) => (Default::default(), Some(why)),
    };
    GpuFacts {
        driver: version.as_deref().and_then(driver_version).or(smi_driver),
        open_module: version.as_deref().map(devices::is_open),
        pci: devices::pci(Path::new("/sys/bus/pci/devices")),
        gpus,
        silent,
        hook: found("nvidia-container-runtime-hook") || found("nvidia-container-runtime"),
        ctk: found("nvidia-ctk"),
        spec: None,
    }
}

/// The GPUs and the version of the driver, or why `nvidia-smi` named none.
fn ask_smi() -> Result<(Vec<Gpu>, Option<String>), String> {
    let query = Command::new("nvidia-smi")
        .args(["--query-gpu=index,uuid,name,compute_cap,driver_version", "--format=csv,noheader"])
        .timeout(20);
    let said = exec::capture(&query).map_err(|err| format!("{err:#}"))?;
    if said.ok() {
        return Ok(parse_smi(&said.stdout));
    }
    Err(said.stdout.lines().chain(said.stderr.lines()).next().unwrap_or("nvidia-smi failed").to_owned())
}

/// The version of `nvidia-ctk`; `None` where it is missing or answers in another form.
pub(crate) fn toolkit_version(path: Option<&str>) -> Option<String> {
    which::which_in("nvidia-ctk", path, "/").ok()?;
    let said = exec::capture(&Command::new("nvidia-ctk").arg("--version").timeout(10)).ok()?;
    let word = said.stdout.split_whitespace().find(|word| word.contains('.'))?;
    word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.to_owned())
}

/// Reads the answer of `nvidia-smi --query-gpu=index,uuid,name,compute_cap,driver_version --format=csv,noheader`.
pub(crate) fn parse_smi(text: &str) -> (Vec<Gpu>, Option<String>) {
    let rows = smi::rows::<5>(text);
    let driver = rows.last().map(|[.., driver]| (*driver).to_owned());
    let gpu = |row: [&str; 5]| {
        let [index, uuid, name, capability, _] = row.map(str::to_owned);
        Gpu { index, uuid, name, capability }
    };
    (rows.into_iter().map(gpu).collect(), driver)
}

/// How the GPUs that were asked for reach a container of this engine, or why they cannot.
///
/// # Errors
/// No GPU, no toolkit, an unknown id (exit code 3), each with the remedy.
pub(crate) fn route(gpus: &Gpus, engine: &Engine, facts: &GpuFacts) -> Result<Option<GpuRoute>, Failure> {
    if *gpus == Gpus::None {
        return Ok(None);
    }
    if !facts.may_have_gpus() {
        return Err(no_gpu(gpus, &engine.distro, facts));
    }
    if let Gpus::Ids(ids) = gpus
        && let Some(bad) = ids.iter().find(|id| !facts.may_have(id))
    {
        return Err(host(format!("there is no GPU `{bad}` on this host")).hint("`nvidia-smi -L` lists them"));
    }
    facts.offered(engine).ok_or_else(|| no_toolkit(engine, facts)).map(Some)
}

impl GpuFacts {
    /// Whether this host may have a GPU: a CDI specification names GPUs also where `nvidia-smi` does not answer.
    pub(crate) fn may_have_gpus(&self) -> bool {
        !self.gpus.is_empty() || self.spec.is_some()
    }

    fn may_have(&self, id: &str) -> bool {
        self.gpus.is_empty() || self.gpus.iter().any(|gpu| gpu.index == id || gpu.uuid == id) || id.starts_with("MIG-")
    }

    /// The way by which the engine can pass GPUs to a container, whether or not one answers.
    pub(crate) fn offered(&self, engine: &Engine) -> Option<GpuRoute> {
        let hook = self.hook || engine.runtimes.iter().any(|name| name.contains("nvidia"));
        self.spec.as_ref().map(|_| GpuRoute::Cdi).or(hook.then_some(GpuRoute::Nvidia))
    }
}

/// The error where no GPU answers. Where a device has no driver, it says how to install one.
fn no_gpu(gpus: &Gpus, distro: &Distro, facts: &GpuFacts) -> Failure {
    let mut failure = silent(gpus, facts);
    if facts.driver.is_none() && !facts.pci.is_empty() {
        let driver = Remedy::Do("install NVIDIA's driver, with open kernel modules for Blackwell:".into());
        failure.remedies.splice(0..0, [driver].into_iter().chain(distro.install(Package::Driver, false)));
    }
    failure
}

/// The same without the commands that install a driver.
pub(crate) fn silent(gpus: &Gpus, facts: &GpuFacts) -> Failure {
    host(format!("`--gpus {gpus}` was asked for and {}", silence(facts)))
        .hint("pass `--gpus none`, or `--cpu`, to work without a GPU")
}

/// Why no GPU of this host answers.
pub(crate) fn silence(facts: &GpuFacts) -> String {
    let why = facts.silent.clone().unwrap_or_else(|| "`nvidia-smi` lists none".into());
    let why = match &facts.driver {
        Some(driver) => format!("the driver {driver} is loaded, but {why}"),
        None if facts.pci.is_empty() => format!("{why}, and no device of NVIDIA is on its PCI bus"),
        None => why,
    };
    format!("this host has no GPU that answers: {why}")
}

/// The error where the engine has no way to pass GPUs to a container.
pub(crate) fn no_toolkit(engine: &Engine, facts: &GpuFacts) -> Failure {
    let failure = host("the NVIDIA Container Toolkit is missing: no CDI specification, no runtime hook");
    let failure = if facts.ctk { failure } else { failure.remedies(engine.distro.install(Package::Toolkit, false)) };
    // An engine without CDI looks for NVIDIA's hook only when it starts.
    failure.run([match engine.cdi_dirs.is_empty() {
        true => engine.distro.service("restart"),
        false => generate(Path::new("/etc/cdi/nvidia.yaml")),
    }])
}

/// The command that writes the CDI specification, which describes the GPUs to the engine.
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
        let cdi = GpuFacts {
            spec: Some(CdiSpec { file: "/etc/cdi/nvidia.yaml".into(), driver: None }),
            hook: true,
            ..facts()
        };
        assert_eq!(route(&Gpus::Ids(vec!["0".into()]), &engine, &cdi).unwrap(), Some(GpuRoute::Cdi));
    }
}
