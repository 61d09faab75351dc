//! The GPUs: the devices, their driver, whether the image fits them, and how the engine passes them to a container.

use super::advisories;
use crate::distro::Package;
use crate::doctor::AboutHost;
use crate::engine::Engine;
use crate::error::{Remedy, host};
use crate::finding::{Finding, Subject, subject};
use crate::gpu::{self, GpuFacts, Pci};
use crate::image::base;
use crate::spec::words::{GpuRoute, Gpus};

const DEVICES: Subject = subject("gpu.devices", "GPUs", "GPUs that `nvidia-smi` names, or `--gpus none`");
const BUS: Subject = subject("gpu.bus", "kernel driver", "`nvidia` is bound to the devices");
const DRIVER: Subject = subject("gpu.driver", "NVIDIA driver", "570.26 or later for Blackwell and CUDA 12.8");
const MODULE: Subject = subject("gpu.module", "kernel modules", "the open ones, for Blackwell and later");
const IMAGE: Subject =
    subject("gpu.image", "the image for these GPUs", "a base and an `arch_list` with native code for them");
const TOOLKIT: Subject = subject("gpu.toolkit", "NVIDIA Container Toolkit", "1.19.1 or later, and a CDI specification");
const CDI: Subject = subject("gpu.cdi", "CDI specification", "one of the driver that is loaded");
const CGROUP: Subject = subject(
    "gpu.cgroup",
    "GPUs that stay",
    "CDI, or an engine with cgroupfs: `systemctl daemon-reload` takes away GPUs that came by the hook",
);

pub(super) fn findings(facts: &AboutHost) -> Vec<Finding> {
    if facts.settings.shape.gpus == Gpus::None {
        return vec![DEVICES.ok("none are asked for")];
    }
    let mut found = vec![devices(facts)];
    found.extend(bus(facts));
    found.push(driver(facts));
    found.extend(module(facts));
    found.push(image(facts));
    match &facts.engine {
        Ok(engine) => {
            found.push(toolkit(facts, engine));
            found.extend(stale(&facts.devices));
            found.extend(lost_on_reload(facts, engine));
        }
        Err(_) => found.push(TOOLKIT.unchecked(match facts.devices.ctk {
            true => "`nvidia-ctk` is installed; no engine answers that could use it",
            false => "no engine answers",
        })),
    }
    found
}

fn devices(facts: &AboutHost) -> Finding {
    let devices = &facts.devices;
    if devices.gpus.is_empty() {
        // The commands that install a driver are in a finding of their own.
        let failure = gpu::silent(&facts.settings.shape.gpus, devices);
        return match (devices.spec.is_some(), devices.pci.is_empty()) {
            // A CDI specification may name GPUs although `nvidia-smi` does not; the start of a container shows it.
            (true, _) => DEVICES.warning(failure.message, failure.remedies),
            (false, true) => DEVICES.missing(failure),
            (false, false) => DEVICES.broken(failure),
        };
    }
    if let Ok(engine) = &facts.engine
        && let Err(failure) = gpu::route(&facts.settings.shape.gpus, engine, devices)
        && failure.message.starts_with("there is no GPU")
    {
        return DEVICES.broken(failure);
    }
    let names: Vec<String> =
        devices.gpus.iter().map(|gpu| format!("{} {} ({})", gpu.index, gpu.name, gpu.capability)).collect();
    DEVICES.ok(names.join(", "))
}

fn bus(facts: &AboutHost) -> Option<Finding> {
    let bound = |driver: &str| {
        let devices = facts.devices.pci.iter().filter(|pci| pci.driver.as_deref() == Some(driver));
        let names: Vec<&str> = devices.map(|pci| pci.address.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = bound("nouveau") {
        let what = format!("nouveau is bound to {names}: it cannot run CUDA");
        let line = "printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' | sudo tee /etc/modprobe.d/nouveau.conf";
        let again = facts.distro.initramfs().into_iter().chain(["sudo reboot"]);
        return Some(BUS.broken(host(what).run([line]).run(again)));
    }
    if let Some(names) = bound("nvidia") {
        return Some(BUS.ok(format!("nvidia is bound to {names}")));
    }
    // That no driver is loaded is a finding of its own.
    let what = format!("vfio-pci is bound to {}: it keeps them for a virtual machine", bound("vfio-pci")?);
    let hint = "take them out of the options of vfio-pci in /etc/modprobe.d and on the kernel's command line";
    Some(BUS.broken(host(what).hint(hint)))
}

fn driver(facts: &AboutHost) -> Finding {
    let Some(version) = &facts.devices.driver else {
        if facts.devices.pci.is_empty() {
            return DRIVER.unchecked("none is loaded, and there is no device for it");
        }
        let failure = host("none is loaded").remedies(facts.distro.install(Package::Driver, false));
        return DRIVER.missing(failure);
    };
    let update = Remedy::Do("bring the driver up to date, then `sudo reboot`".into());
    advisories::DRIVER.judge(DRIVER, version, version, [update])
}

fn module(facts: &AboutHost) -> Option<Finding> {
    let devices = &facts.devices;
    let newest = |capability: &str| capability.split('.').next()?.parse::<u32>().ok();
    let blackwell = devices.pci.iter().any(Pci::needs_open_module)
        || devices.gpus.iter().filter_map(|gpu| newest(&gpu.capability)).any(|major| major >= 10);
    Some(match (devices.open_module?, blackwell) {
        (true, _) => MODULE.ok("open"),
        (false, false) => MODULE.ok("closed, which is enough for these GPUs"),
        (false, true) => {
            let what = "the closed ones are loaded, and GPUs of Blackwell or later work only with the open ones";
            MODULE.broken(host(what).remedies(facts.distro.install(Package::Driver, false)))
        }
    })
}

fn image(facts: &AboutHost) -> Finding {
    if facts.devices.gpus.is_empty() {
        return IMAGE.unchecked("no GPU answers");
    }
    let (base, arch_list) = (&facts.settings.base, &facts.settings.arch_list);
    let base = base.clone().unwrap_or_else(base::cpu_reference);
    match base::misfit(&base, arch_list, &facts.devices) {
        Some(failure) => IMAGE.broken(failure),
        None => IMAGE.ok(match base::known(&base) {
            Some(known) => format!("CUDA {}, arch_list `{arch_list}`", known.cuda),
            None => format!("arch_list `{arch_list}`; what this base contains is not known before it is built"),
        }),
    }
}

fn toolkit(facts: &AboutHost, engine: &Engine) -> Finding {
    let Some(route) = facts.devices.offered(engine) else {
        let devices = &facts.devices;
        if devices.gpus.is_empty() && devices.pci.is_empty() && devices.driver.is_none() {
            return TOOLKIT.unchecked("not installed, and there is no device for it");
        }
        return TOOLKIT.missing(gpu::no_toolkit(engine, &facts.devices));
    };
    let by = match route {
        GpuRoute::Cdi => "by CDI",
        GpuRoute::Nvidia => "by NVIDIA's runtime hook",
    };
    let Some(version) = &facts.toolkit else {
        return TOOLKIT.ok(format!("{by}; `nvidia-ctk` does not report its version"));
    };
    match advisories::TOOLKIT.above(version) {
        Some(_) => TOOLKIT.warning(
            format!("{version}, {by}: it has known security holes"),
            facts.distro.upgrade(&["nvidia-container-toolkit"]),
        ),
        None => TOOLKIT.ok(format!("{version}, {by}")),
    }
}

fn stale(devices: &GpuFacts) -> Option<Finding> {
    let spec = devices.spec.as_ref()?;
    let file = spec.file.display();
    Some(match (&spec.driver, &devices.driver) {
        (Some(made_for), Some(loaded)) if made_for != loaded => {
            let what = format!("`{file}` was made for the driver {made_for}, and {loaded} is loaded");
            CDI.broken(host(what).run([gpu::generate(&spec.file)]))
        }
        (Some(made_for), _) => CDI.ok(format!("`{file}`, of the driver {made_for}")),
        (None, _) => CDI.ok(format!("`{file}`")),
    })
}

/// With NVIDIA's hook, systemd does not know which devices the container got, and takes them away when it reloads.
fn lost_on_reload(facts: &AboutHost, engine: &Engine) -> Option<Finding> {
    let route = facts.devices.offered(engine)?;
    if route == GpuRoute::Cdi || engine.cgroup_driver != "systemd" {
        return Some(CGROUP.ok("stay"));
    }
    let remedy = if engine.cdi_dirs.is_empty() {
        Remedy::Do("use an engine with CDI: 28.2 or later has it on".into())
    } else {
        Remedy::Run(gpu::generate(std::path::Path::new("/etc/cdi/nvidia.yaml")))
    };
    let found = "a running sandbox loses its GPUs (`Failed to initialize NVML: Unknown Error`) until it is recreated";
    Some(CGROUP.warning(found, [remedy]))
}

#[cfg(test)]
mod tests;
