//! The Docker Engine: its answers about itself and about containers, the commands for it, the reasons to refuse one, and
//! its installation.

pub(crate) mod alive;
pub(crate) mod asked;
pub(crate) mod caches;
pub(crate) mod cgroup;
pub(crate) mod compose;
pub(crate) mod devcontainer;
pub(crate) mod docker;
pub(crate) mod errors;
mod facts;
pub(crate) mod inspect;
pub(crate) mod install;
pub(crate) mod launcher;
pub(crate) mod provide;
pub(crate) mod refuse;
pub(crate) mod running;
pub(crate) mod sockets;

pub(crate) use facts::{Component, Engine, Local, Silence, free_bytes, look, major_minor, numbers, read};
pub(crate) use refuse::{
    low_room, newer_engine, no_buildx, no_engine, not_recursive, passes_recursive, refusals, refuse, silent,
};
