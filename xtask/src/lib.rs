//! The tasks behind `cargo xtask`: a GPU sandbox for the Codex CLI that proves what it promises.
//!
//! `cli` parses, `tasks` plan and run, `sandbox` and `image` decide (pure), `host` reads this machine, `exec` is the
//! one place that spawns and `ui` the one place that prints. See ARCHITECTURE.md.

pub mod context;
pub mod error;
pub mod exec;
pub mod fingerprint;
pub mod host;
pub mod sandbox;
pub mod step;
pub mod ui;

use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
