//! The integration tests of `cargo xtask`, in one binary. Three tiers, chosen by nextest profile (`.config/nextest.toml`):
//!
//! - `default`: no engine. The binary runs with a `docker` of the test's own on PATH.
//! - `engine`: the modules below `engine`. A real Docker Engine, the CPU image, the real Codex. Fails without an engine.
//! - `gpu`: the modules below `gpu`. A real NVIDIA GPU. Fails without one.
//!
//! Plain `cargo test` knows no tiers and runs them all.

#![expect(
    clippy::disallowed_methods,
    reason = "the rules on spawning and the environment are for the tool; tests start it from outside"
)]

mod cli;
mod completions;
mod demo;
mod dev;
mod docs;
mod doctor;
mod engine;
mod exposed;
mod fake_engine;
mod gpu;
mod gpu_smoke;
mod help;
mod layers;
mod look;
mod plan;
mod python;
mod reads;
mod settings;
mod support;
mod type_states;
mod undecided;
mod workflows;
