//! The GPU smoke test, seen from the host: what is asked for, the reading and the judging of the report, and the ways to
//! show it. Pure: `gpu_smoke` runs it. The other end is `docker/gpu_smoke.py`.

pub mod checks;
pub mod claim;
pub mod github;
pub mod json;
pub mod judge;
pub mod junit;
pub mod native;
pub mod remedy;
pub mod report;
pub mod request;
pub mod show;

pub use crate::gpu::arch::Arch;
pub use checks::{Check, Extent};
pub use judge::{Ending, Judgement, judge};
pub use report::Report;
pub use request::SmokeRequest;

#[cfg(test)]
pub(crate) mod fixture;
