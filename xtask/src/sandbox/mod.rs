//! What a sandbox is: settings, mounts, Codex home, compose override, proof, audit.

pub mod airlock;
pub mod audit;
pub mod caches;
pub mod codex_home;
pub mod compose;
pub mod devcontainer;
pub mod entering;
pub mod login;
pub mod mountinfo;
pub mod nofollow;
pub mod places;
pub mod probe;
pub mod promise;
pub mod proof;
pub mod running;
pub mod settings;
pub mod sources;
