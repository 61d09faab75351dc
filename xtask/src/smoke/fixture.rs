//! Reports for tests: of a GPU that passes everything, and of a machine without one.

use super::checks::{self, Extent, planned};
use super::judge::{Judgement, judge};
use super::native::{self, ELEMENTS};
use super::report::{BEGIN, END, Report};
use super::request::SmokeRequest;
use super::show::RunFacts;
use crate::error::{Failure, host};
use crate::gpu::arch::Arch;
use serde_json::{Value, json};

pub(crate) const NONCE: &str = "0123456789abcdef01234567";
pub(crate) const UUID: &str = "GPU-aaaaaaaa-0000-4000-8000-000000000001";

/// A quick run on one GPU.
pub(crate) fn request() -> SmokeRequest {
    SmokeRequest {
        nonce: NONCE.into(),
        arch: Arch::parse("12.0").unwrap(),
        mode: Extent::Quick,
        gpus: Some(1),
        gpu: true,
        dataset: None,
        seconds: 285,
        torch: None,
    }
}

pub(crate) fn cpu_request() -> SmokeRequest {
    SmokeRequest { gpus: None, gpu: false, ..request() }
}

pub(crate) fn no_gpu() -> Failure {
    host("this host has no GPU that answers: `nvidia-smi` is not on PATH").hint("install NVIDIA's driver")
}

pub(crate) fn native_request() -> SmokeRequest {
    SmokeRequest { mode: Extent::Native, ..request() }
}

/// The digest that both witnesses have for this nonce; made once for all tests of a process.
pub(crate) fn digest() -> &'static str {
    static DIGEST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    DIGEST.get_or_init(|| native::digest(NONCE, request().arch))
}

pub(crate) fn native_values(digest: &str) -> Value {
    let ran = json!({"uuid": UUID, "elf_arch": 120, "binary_version": 120, "cuda_arch": 1200, "digest": digest});
    json!({"kernel": {"n": ELEMENTS}, "devices": [ran]})
}

fn report(mode: Extent, gpu: bool) -> Value {
    let entry = |check: &checks::Check| {
        let (status, evidence) = match check.id {
            _ if check.gpu && !gpu => ("not-run", "no GPU was asked for"),
            checks::NCCL => ("not-run", "one GPU"),
            checks::DATASET => ("not-run", "no data set is mounted"),
            _ => ("passed", "as it should be"),
        };
        let values = match check.id {
            checks::NATIVE_CODE if gpu => native_values(digest()),
            _ => json!({}),
        };
        json!({"id": check.id, "status": status, "seconds": 0.25, "evidence": evidence, "error": null, "values": values})
    };
    let device = json!({"index": 0, "name": "NVIDIA GeForce RTX 5090", "uuid": UUID, "capability": "12.0",
                        "memory_bytes": 34_190_917_632_u64});
    json!({
        "schema": 1,
        "nonce": NONCE,
        "arch": "12.0",
        "mode": mode.to_string(),
        "seed": 81_985_529_216_486_895_u64,
        "seconds": 7.5,
        "versions": {"python": "3.12.3", "torch": "2.6.0a0+ecf3bae40a.nv25.01", "cuda": gpu.then_some("12.8"),
                     "decord": "0.6.0"},
        "driver": {"version": gpu.then_some("570.86.10"), "cuda": gpu.then_some("12.8")},
        "devices": if gpu { json!([device]) } else { json!([]) },
        "checks": planned(mode).map(entry).collect::<Vec<_>>(),
    })
}

pub(crate) fn gpu_report() -> Value {
    report(Extent::Quick, true)
}

pub(crate) fn cpu_report() -> Value {
    report(Extent::Quick, false)
}

pub(crate) fn native_report() -> Value {
    report(Extent::Native, true)
}

/// A report as the script prints it.
pub(crate) fn printed(report: &Value) -> String {
    format!("{BEGIN} {NONCE}\n{report}\n{END} {NONCE}\n")
}

/// A report that was read and judged.
pub(crate) fn judged(request: &SmokeRequest, report: &Value, no_gpu: Option<Failure>) -> Judgement {
    let report = Report::read(&printed(report), request);
    judge(request, report.as_ref().map_err(String::as_str), digest(), no_gpu)
}

/// What is known of a run beside its report.
pub(crate) fn facts() -> RunFacts {
    RunFacts {
        image: "codex-sandbox:0123456789ab-u1000".into(),
        image_id: Some("sha256:aa".into()),
        image_digests: Vec::new(),
        engine: "26.1.5".into(),
        container: Some("codex-sandbox-smoke-01234567".into()),
        gpus: "all".into(),
        driver: Some("570.86.10".into()),
        time: "2026-01-02T03:04:05Z".into(),
        dataset: None,
    }
}
