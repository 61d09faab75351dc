//! The Docker Engine: what it says of itself and of containers, what it is told, why one is refused, how it is installed.

pub mod caches;
pub mod compose;
pub mod devcontainer;
pub mod docker;
pub mod errors;
mod facts;
pub mod inspect;
pub mod install;
pub mod provide;
pub mod refuse;
pub mod running;
pub mod sockets;

pub use docker::Terminal;
pub use facts::{Component, Engine, Local, Silence, free_bytes, look, major_minor, read};
pub use inspect::Container;
pub use refuse::{
    low_room, newer_engine, no_buildx, no_engine, not_recursive, passes_recursive, refusals, refuse, silent,
};
