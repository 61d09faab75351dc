//! What this machine is: user, engine, GPU, Codex. Reads only; changes nothing.

pub mod codex;
pub mod distro;
pub mod engine;
pub mod gpu;
pub mod install;
pub mod network;
pub mod user;
