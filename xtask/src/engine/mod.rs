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
pub(crate) mod own;
pub(crate) mod provide;
pub(crate) mod pulse;
pub(crate) mod refuse;
pub(crate) mod removal;
pub(crate) mod running;
pub(crate) mod sockets;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub(crate) use super::alive::fuzz as top;
    pub(crate) use super::cgroup::fuzz as process;
    pub(crate) use super::facts::fuzz as facts;
    pub(crate) use super::inspect::fuzz as inspect;
    pub(crate) use super::install::fuzz as apt;
}

pub(crate) use facts::{Component, Engine, Local, Silence, free_bytes, look, major_minor, numbers, read};
pub(crate) use refuse::{
    low_room, newer_engine, no_buildx, no_engine, not_recursive, passes_recursive, refusals, refuse, silent,
};
