//! The GPU smoke test, seen from the host: what is asked for, the reading and the judging of the report, and the ways to
//! show it. Pure: `gpu_smoke` runs it. The other end is `docker/gpu_smoke.py`.

pub mod checks;
pub(crate) mod claim;
pub(crate) mod github;
pub mod json;
mod judge;
pub(crate) mod junit;
pub(crate) mod native;
mod remedy;
mod report;
pub(crate) mod request;
pub(crate) mod show;

pub use crate::gpu::arch::Arch;
pub use checks::Extent;
pub use judge::Judgement;
pub use report::Report;
pub use request::SmokeRequest;
pub use show::{RunFacts, SmokeResult};

pub(crate) use judge::judge;
#[cfg(any(test, fuzzing))]
pub(crate) use report::fuzz;

#[cfg(test)]
pub(crate) mod fixture;
