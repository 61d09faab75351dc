use super::super::tests::{facts, remedies_of, verdict};
use super::*;
use crate::engine::Silence;
use crate::finding::Verdict;

fn with(change: impl FnOnce(&mut AboutHost)) -> Vec<Finding> {
    let mut facts = facts();
    change(&mut facts);
    findings(&facts)
}

/// No driver, and with it nothing that `nvidia-smi` would say.
fn bare(facts: &mut AboutHost) {
    facts.devices = GpuFacts {
        pci: facts.devices.pci.clone(),
        silent: Some("`nvidia-smi` is not on PATH".into()),
        ..GpuFacts::default()
    };
    facts.toolkit = None;
}

#[test]
fn a_good_host_has_nothing_to_mend_and_one_without_gpus_is_asked_nothing() {
    let found = with(|_| {});
    assert_eq!(found.len(), 8, "{found:#?}");
    assert!(found.iter().all(|f| f.verdict == Verdict::Held), "{found:#?}");
    let none = with(|f| {
        bare(f);
        f.settings.shape.gpus = Gpus::None;
    });
    assert_eq!((none.len(), none[0].verdict), (1, Verdict::Held));
}

#[test]
fn a_host_without_a_device_is_told_so_and_one_without_a_driver_how_to_get_it() {
    let none = with(|f| {
        bare(f);
        f.devices.pci.clear();
    });
    assert_eq!(verdict(&none, "gpu.devices"), Verdict::Missing);
    assert!(none[0].seen().contains("no device of NVIDIA"), "{none:?}");
    assert_eq!(verdict(&none, "gpu.driver"), Verdict::NotProvable);
    assert_eq!(verdict(&none, "gpu.toolkit"), Verdict::NotProvable);
    let found = with(|f| {
        bare(f);
        f.devices.pci[0].driver = None;
    });
    assert_eq!(verdict(&found, "gpu.devices"), Verdict::Broken);
    assert_eq!(verdict(&found, "gpu.driver"), Verdict::Missing);
    assert!(remedies_of(&found, "gpu.driver").contains("nvidia-open"));
    assert_eq!(verdict(&found, "gpu.image"), Verdict::NotProvable);
    assert_eq!(verdict(&found, "gpu.toolkit"), Verdict::Missing);
}

#[test]
fn devices_that_another_driver_has_are_named() {
    let bound = |name: &'static str| {
        with(|f| {
            bare(f);
            f.devices.pci[0].driver = Some(name.into());
        })
    };
    let nouveau = bound("nouveau");
    assert_eq!(verdict(&nouveau, "gpu.bus"), Verdict::Broken);
    assert!(remedies_of(&nouveau, "gpu.bus").contains("sudo update-initramfs -u"));
    assert_eq!(verdict(&bound("vfio-pci"), "gpu.bus"), Verdict::Broken);
    assert_eq!(verdict(&with(|_| {}), "gpu.bus"), Verdict::Held);
}

#[test]
fn closed_modules_are_broken_on_blackwell_alone() {
    let closed = with(|f| f.devices.open_module = Some(false));
    assert_eq!(verdict(&closed, "gpu.module"), Verdict::Broken);
    // `nvidia-smi` names none then; the bus still tells what it is.
    let silent = with(|f| {
        f.devices.open_module = Some(false);
        f.devices.gpus.clear();
    });
    assert_eq!(verdict(&silent, "gpu.module"), Verdict::Broken);
    let ada = with(|f| {
        f.devices.open_module = Some(false);
        f.devices.pci[0].device = 0x2684;
        f.devices.gpus[0].capability = "8.9".into();
    });
    assert_eq!(verdict(&ada, "gpu.module"), Verdict::Held);
    // 8.9 is not served by an image whose extensions are built for 12.0.
    assert_eq!(verdict(&ada, "gpu.image"), Verdict::Broken);
}

#[test]
fn a_driver_that_is_too_old_for_the_image_or_has_holes_is_named() {
    let old = with(|f| f.devices.driver = Some("565.57.01".into()));
    assert_eq!(verdict(&old, "gpu.image"), Verdict::Broken);
    let holes = with(|f| f.devices.driver = Some("580.65.06".into()));
    assert_eq!(verdict(&holes, "gpu.image"), Verdict::Held);
    assert_eq!(verdict(&holes, "gpu.driver"), Verdict::Noted);
}

#[test]
fn the_toolkit_is_missing_or_old_or_its_specification_stale() {
    let missing = with(|f| {
        f.devices.hook = false;
        f.devices.ctk = false;
        f.devices.spec = None;
    });
    assert_eq!(verdict(&missing, "gpu.toolkit"), Verdict::Missing);
    let remedies = remedies_of(&missing, "gpu.toolkit");
    assert!(
        remedies.contains("apt-get install nvidia-container-toolkit") && remedies.ends_with("/etc/cdi/nvidia.yaml")
    );
    let no_spec = with(|f| {
        f.devices.hook = false;
        f.devices.spec = None;
    });
    assert_eq!(remedies_of(&no_spec, "gpu.toolkit"), "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml");
    let old = with(|f| f.toolkit = Some("1.17.8".into()));
    assert_eq!(verdict(&old, "gpu.toolkit"), Verdict::Noted);
    let stale = with(|f| f.devices.driver = Some("600.10.01".into()));
    assert_eq!(verdict(&stale, "gpu.cdi"), Verdict::Broken);
    let silent = with(|f| f.engine = Err(Silence::NoClient));
    assert_eq!(verdict(&silent, "gpu.toolkit"), Verdict::NotProvable);
}

#[test]
fn a_gpu_that_is_not_there_is_named() {
    let found = with(|f| f.settings.shape.gpus = Gpus::Ids(vec!["7".into()]));
    assert_eq!(verdict(&found, "gpu.devices"), Verdict::Broken);
    assert!(found[0].seen().contains("no GPU `7`"), "{found:?}");
}

#[test]
fn the_hook_under_systemd_loses_gpus_and_cdi_does_not() {
    let hook = |f: &mut AboutHost| {
        f.devices.spec = None;
    };
    let lost = with(hook);
    assert_eq!(verdict(&lost, "gpu.cgroup"), Verdict::Noted);
    assert!(remedies_of(&lost, "gpu.cgroup").contains("nvidia-ctk cdi generate"));
    let cgroupfs = with(|f| {
        hook(f);
        f.engine.as_mut().unwrap().cgroup_driver = "cgroupfs".into();
    });
    assert_eq!(verdict(&cgroupfs, "gpu.cgroup"), Verdict::Held);
    let no_cdi = with(|f| {
        hook(f);
        f.engine.as_mut().unwrap().cdi_dirs.clear();
    });
    assert!(remedies_of(&no_cdi, "gpu.cgroup").contains("28.2"));
}
