//! The answer of a good engine, for the tests and the fuzzer.

use super::{LOG_DRIVER, cpu_shares, log_options};
use crate::spec::settings::Shape;
use serde_json::{Value, json};

/// The answer of a real engine about a running sandbox, with the paths and the id of `proof::fixture`.
pub(crate) const REAL: &str = include_str!("engine-26.1.json");

/// The same from an engine that did what this shape asks for. A field that the real engine does not send is no field.
pub(crate) fn answer(shape: &Shape) -> Value {
    // Each field is named: a new one does not compile until the engine says that it was asked for it.
    let Shape {
        gpus: _,
        network: _,
        codex_home: _,
        shm_size,
        memory,
        cpu_weight,
        pids_limit,
        log_size,
        log_files,
        memlock: _,
        ptrace: _,
        cache_sharing: _,
    } = shape;
    let mut answer: Value = serde_json::from_str(REAL).unwrap();
    let mut says = |field: &str, value: Value| {
        *answer[0]["HostConfig"].get_mut(field).unwrap_or_else(|| panic!("the real engine sends no `{field}`")) = value;
    };
    says("ShmSize", json!(shm_size));
    says("PidsLimit", json!(pids_limit));
    says("Memory", json!(memory.unwrap_or_default()));
    says("MemorySwap", json!(memory.unwrap_or_default()));
    says("CpuShares", json!(cpu_shares(*cpu_weight)));
    says("LogConfig", json!({"Type": LOG_DRIVER, "Config": log_options(*log_size, *log_files)}));
    answer
}
