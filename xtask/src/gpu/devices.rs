//! What files of the kernel and of the container toolkit say about the GPUs: devices on the bus, the kind of kernel
//! module, CDI. No program is started.

use std::fs;
use std::path::{Path, PathBuf};

/// An NVIDIA display or compute device on the PCI bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pci {
    /// Its address, such as `0000:01:00.0`.
    pub(crate) address: String,
    /// Its device id, such as 0x2b85.
    pub(crate) device: u32,
    /// The kernel driver that has it: `nvidia`, `nouveau`, `vfio-pci`, or none.
    pub(crate) driver: Option<String>,
}

impl Pci {
    /// Whether it is a Blackwell GPU or a later one. NVIDIA's ids rise: Ada ends below 0x2900, GB100 begins there.
    pub(crate) fn needs_open_module(&self) -> bool {
        self.device >= 0x2900
    }
}

/// The NVIDIA devices below `/sys/bus/pci/devices`, by vendor (0x10de) and class (0x03, display and 3D).
pub(super) fn pci(sys: &Path) -> Vec<Pci> {
    let entries = fs::read_dir(sys).into_iter().flatten().flatten();
    let mut devices: Vec<Pci> = entries.filter_map(|entry| device(&entry.path())).collect();
    devices.sort_by(|a, b| a.address.cmp(&b.address));
    devices
}

fn device(dir: &Path) -> Option<Pci> {
    let number = |name: &str| {
        let text = fs::read_to_string(dir.join(name)).ok()?;
        u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
    };
    let nvidia = number("vendor")? == 0x10de && number("class")? >> 16 == 0x03;
    nvidia.then_some(())?;
    let driver = fs::read_link(dir.join("driver")).ok();
    Some(Pci {
        address: dir.file_name()?.to_string_lossy().into_owned(),
        device: number("device")?,
        driver: driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned())),
    })
}

/// The version in `/proc/driver/nvidia/version`: the first word of digits and dots on the `NVRM` line.
pub(crate) fn driver_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    line.split_whitespace()
        .find(|word| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.'))
        .map(str::to_owned)
}

/// Whether this text of `/proc/driver/nvidia/version` is that of the open kernel modules.
pub(super) fn is_open(text: &str) -> bool {
    text.contains("Open Kernel Module")
}

/// A CDI specification of NVIDIA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CdiSpec {
    pub(crate) file: PathBuf,
    /// The version of the driver that it was made for, by the names of its libraries; `None` where it names none.
    pub(crate) driver: Option<String>,
}

/// The first CDI specification of NVIDIA in these directories.
pub(super) fn spec(dirs: &[PathBuf]) -> Option<CdiSpec> {
    dirs.iter().find_map(|dir| {
        let mut files: Vec<PathBuf> = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).collect();
        files.sort();
        files.into_iter().find_map(|file| {
            let known = ["yaml", "yml", "json"].map(std::ffi::OsStr::new);
            file.extension().filter(|ext| known.contains(ext))?;
            let text = fs::read_to_string(&file).ok()?;
            text.contains("nvidia.com/gpu").then(|| CdiSpec { driver: spec_driver(&text), file })
        })
    })
}

/// The version in `libcuda.so.570.86.10`.
fn spec_driver(text: &str) -> Option<String> {
    text.split("libcuda.so.").skip(1).find_map(|rest| {
        let version: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let version = version.trim_end_matches('.');
        version.contains('.').then(|| version.to_owned())
    })
}

/// For the fuzzer: a CDI specification, and `/proc/driver/nvidia/version`.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let version = |text: &String| text.contains('.') && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    assert!(spec_driver(text).as_ref().is_none_or(version));
    assert!(driver_version(text).as_ref().is_none_or(version));
    is_open(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn put(dir: &Path, address: &str, [vendor, class, device]: [&str; 3], driver: Option<&str>) {
        let dir = dir.join(address);
        fs::create_dir_all(&dir).unwrap();
        for (name, text) in [("vendor", vendor), ("class", class), ("device", device)] {
            fs::write(dir.join(name), format!("{text}\n")).unwrap();
        }
        if let Some(driver) = driver {
            symlink(format!("../../bus/pci/drivers/{driver}"), dir.join("driver")).unwrap();
        }
    }

    #[test]
    fn nvidias_devices_are_found_with_the_driver_that_has_them() {
        let sys = tempfile::tempdir().unwrap();
        put(sys.path(), "0000:02:00.0", ["0x10de", "0x030000", "0x2684"], None);
        put(sys.path(), "0000:01:00.0", ["0x10de", "0x030200", "0x2b85"], Some("nouveau"));
        // Its sound, and a card of another maker.
        put(sys.path(), "0000:01:00.1", ["0x10de", "0x040300", "0x22e8"], Some("snd_hda_intel"));
        put(sys.path(), "0000:00:02.0", ["0x8086", "0x030000", "0x4680"], Some("i915"));
        let found = pci(sys.path());
        let seen: Vec<_> =
            found.iter().map(|pci| (pci.address.as_str(), pci.driver.as_deref(), pci.needs_open_module())).collect();
        assert_eq!(seen, [("0000:01:00.0", Some("nouveau"), true), ("0000:02:00.0", None, false)]);
        assert_eq!(pci(Path::new("/there/is/none")), []);
    }

    #[test]
    fn the_driver_and_its_kind_are_read() {
        let open =
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build\nGCC version: 12\n";
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.10  Thu Jan 23\nGCC version: 12\n";
        assert_eq!(driver_version(open).as_deref(), Some("570.86.10"));
        assert_eq!(driver_version(closed).as_deref(), Some("570.86.10"));
        assert!(is_open(open) && !is_open(closed));
    }

    #[test]
    fn a_cdi_specification_tells_the_driver_it_was_made_for() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().to_path_buf()];
        fs::write(dir.path().join("a.yaml"), "kind: other.com/gpu\n").unwrap();
        fs::write(dir.path().join("b.txt"), "kind: nvidia.com/gpu\n").unwrap();
        assert_eq!(spec(&dirs), None);
        let text =
            "kind: nvidia.com/gpu\n- hostPath: /usr/lib/libcuda.so.1\n- hostPath: /usr/lib/libcuda.so.570.86.10\n";
        let file = dir.path().join("nvidia.yaml");
        fs::write(&file, text).unwrap();
        assert_eq!(spec(&dirs).unwrap().driver.as_deref(), Some("570.86.10"));
        fs::write(&file, "kind: nvidia.com/gpu\n").unwrap();
        assert_eq!(spec(&dirs), Some(CdiSpec { file, driver: None }));
    }
}
