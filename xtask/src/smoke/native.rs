//! The second witness of native code: what the kernel must have written, computed here from the nonce of this run. Pure.

use super::request::SmokeRequest;
use crate::gpu::arch::Arch;
use serde_json::Value;

/// The number of elements that the kernel writes. It is odd, so that the last block is not full.
pub(crate) const ELEMENTS: u32 = 1_048_576 + 3;

/// The SHA-256 of what the kernel must write, as hex: every element depends on its index, on `__CUDA_ARCH__` as the
/// kernel was compiled, and on the nonce.
pub(crate) fn digest(nonce: &str, arch: Arch) -> String {
    let seed = nonce.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default();
    let key = seed.wrapping_add(arch.cuda_arch());
    let mut bytes = Vec::with_capacity(ELEMENTS as usize * 4);
    for i in 0..ELEMENTS {
        let mut v = i.wrapping_mul(2_654_435_761) ^ key;
        v ^= v >> 15;
        v = v.wrapping_mul(2_246_822_519).wrapping_add(i);
        bytes.extend_from_slice(&v.to_le_bytes());
    }
    let hash = hmac_sha256::Hash::hash(&bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with the values that a report gives for the check of native code; empty where the two witnesses agree.
/// `devices` are the UUIDs that the report names.
pub(crate) fn faults(values: &Value, request: &SmokeRequest, devices: &[&str], digest: &str) -> Vec<String> {
    let arch = request.arch;
    let mut faults = Vec::new();
    if values["kernel"]["n"] != ELEMENTS {
        faults.push(format!("the kernel wrote {} elements, not {ELEMENTS}", values["kernel"]["n"]));
    }
    let ran: Vec<&Value> = values["devices"].as_array().into_iter().flatten().collect();
    if devices.is_empty() || ran.len() != devices.len() {
        faults.push(format!("it ran on {} GPUs, and {} are there", ran.len(), devices.len()));
    }
    if let Some(n) = request.gpus.filter(|n| *n != devices.len()) {
        faults.push(format!("{n} GPUs were asked for, and {} are there", devices.len()));
    }
    for uuid in devices {
        let Some(device) = ran.iter().find(|device| device["uuid"] == *uuid) else {
            faults.push(format!("it did not run on {uuid}"));
            continue;
        };
        for (key, expected) in [("elf_arch", arch.sm()), ("binary_version", arch.sm()), ("cuda_arch", arch.cuda_arch())]
        {
            if device[key] != expected {
                faults.push(format!("{key} is {} on {uuid}, not {expected}", device[key]));
            }
        }
        if device["digest"] != digest {
            faults.push(format!("what {uuid} computed is not what this host computes"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::fixture;
    use serde_json::json;

    // By hand, in another language: python3 -c with the formula of the contract.
    #[test]
    fn the_digest_is_the_one_that_another_implementation_computes() {
        assert_eq!(
            digest("0123456789abcdef01234567", Arch::parse("12.0").unwrap()),
            "8433c3f77afd2660fec915a632d57ea93aa311b5b34986d418e207e2ab3e7f62"
        );
    }

    #[test]
    fn the_digest_depends_on_the_nonce_and_on_the_architecture() {
        let arch = |text| Arch::parse(text).unwrap();
        let right = digest("0123456789abcdef01234567", arch("12.0"));
        assert_ne!(digest("1123456789abcdef01234567", arch("12.0")), right);
        assert_ne!(digest("0123456789abcdef01234567", arch("12.1")), right);
    }

    #[test]
    fn each_thing_that_the_witnesses_differ_in_is_a_fault() {
        let request = fixture::request();
        let uuids = [fixture::UUID];
        let good = fixture::native_values("d");
        assert_eq!(faults(&good, &request, &uuids, "d"), Vec::<String>::new());
        for (pointer, value, said) in [
            ("/kernel/n", json!(4096), "elements"),
            ("/devices", json!([]), "did not run on"),
            ("/devices/0/uuid", json!("GPU-other"), "did not run on"),
            ("/devices/0/elf_arch", json!(90), "elf_arch is 90"),
            ("/devices/0/binary_version", json!(null), "binary_version is null"),
            ("/devices/0/cuda_arch", json!(900), "cuda_arch is 900"),
            ("/devices/0/digest", json!("e"), "not what this host computes"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            let found = faults(&bad, &request, &uuids, "d").join("; ");
            assert!(found.contains(said), "{pointer}: {found}");
        }
        assert!(!faults(&good, &request, &[], "d").is_empty(), "no GPU is no proof");
        assert!(!faults(&good, &request, &[fixture::UUID, "GPU-b"], "d").is_empty());
        assert!(!faults(&Value::Null, &request, &uuids, "d").is_empty());
        let (mut none, mut more) = (good.clone(), good.clone());
        none["devices"] = json!([]);
        more["devices"].as_array_mut().unwrap().push(json!({"uuid": "GPU-b"}));
        assert!(faults(&none, &request, &[], "d").iter().any(|said| said.contains("ran on 0 GPUs")), "nor is none");
        assert_eq!(faults(&more, &request, &uuids, "d"), ["it ran on 2 GPUs, and 1 are there"]);
    }
}
