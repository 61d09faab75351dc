//! SHA-256 fingerprints of texts, in lower-case hexadecimal.

/// The SHA-256 of the parts, each preceded by its length so that no two lists of parts run together.
pub fn of<B: AsRef<[u8]>>(parts: impl IntoIterator<Item = B>) -> String {
    let mut hash = hmac_sha256::Hash::new();
    for part in parts {
        let part = part.as_ref();
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(super::of(["ab", "c"]), super::of(["a", "bc"]));
        assert_eq!(super::of(["a"]).len(), 64);
    }
}
