//! The engine tier: a real engine, the CPU image, the real Codex. Every test here fails where no engine answers.

mod alive;
mod broken;
mod caches;
mod demo;
mod devcontainer;
mod doctor;
pub(crate) mod escape;
mod git_elsewhere;
mod gpu;
mod identity;
mod image;
mod inside;
mod launcher;
mod limits;
mod main_path;
mod nested_git;
mod network;
mod planted;
mod project;
mod refusals;
mod review;
mod smoke;
mod smoke_inside;
mod terminal;
mod unseen;
mod users;
mod witness;
