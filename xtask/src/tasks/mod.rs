//! The tasks: one file a subcommand. Each plans, then runs; deciding is the business of `sandbox` and `image`.

pub mod bench;
pub mod commits;
pub mod completions;
pub mod demo;
pub mod devcontainer;
pub mod doctor;
pub mod down;
pub mod gpu_smoke;
pub mod image;
pub mod mounts;
pub mod provide;
pub mod sandbox;
pub mod status;
pub mod test;
