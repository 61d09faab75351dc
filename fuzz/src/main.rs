//! Runs one fuzz target of `xtask`, named by `FUZZ_TARGET`. All else is libFuzzer's own command line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// What the inputs are given to.
static TARGET: OnceLock<Box<dyn Fn(&[u8]) + Send + Sync>> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let target = xtask::fuzz(&name).unwrap_or_else(|| panic!("`{name}` is no fuzz target"));
        _ = TARGET.set(target);
    },
    |bytes: &[u8]| {
        if let Some(target) = TARGET.get() {
            target(bytes);
        }
    }
);
