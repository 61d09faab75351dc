//! The Docker Engine: what it says of itself, what it is told, and how it gets onto a machine.

pub mod caches;
pub mod compose;
pub mod docker;
pub mod facts;
pub mod inspect;
pub mod install;
pub mod provide;
pub(crate) mod refuse;
pub mod running;
