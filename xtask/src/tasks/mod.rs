//! The tasks: one file a subcommand. Each plans, then runs; deciding is the business of `sandbox` and `image`.

pub mod commits;
pub mod devcontainer;
pub mod mounts;
