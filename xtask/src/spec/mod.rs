//! What sandbox is wanted: the settings, [`Spec`], where things lie inside, and where they are kept on the host.

pub(crate) mod arch;
pub mod codex_command;
pub(crate) mod denials;
pub mod inside;
pub(crate) mod insider;
pub mod mount;
pub mod places;
pub mod settings;
mod wanted;
pub mod words;

pub use inside::Role;
pub use mount::Mount;
pub use wanted::{SCHEMA, Schema, Spec};
