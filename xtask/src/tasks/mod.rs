//! The tasks: one file a subcommand, with its flags and what it does by calling the rooms below. No task calls another.

pub(crate) mod commits;
pub(crate) mod complete;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod devcontainer;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod gpu_smoke;
pub(crate) mod image;
pub(crate) mod mounts;
pub(crate) mod sandbox;
pub(crate) mod status;
