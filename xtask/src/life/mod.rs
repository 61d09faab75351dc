//! The life of a sandbox: gathered, planned, started, proven, entered, left.
//!
//! `Gathered → Plan → Running → Proven | Unproven → Left`: each state is a type, and what is not proven has no way in
//! but a shell.

pub mod audit;
pub mod call;
pub mod down;
mod dry_run;
mod early;
mod enter;
mod entry;
mod gather;
mod guest;
mod leave;
mod native;
mod plan;
mod ready;
mod record;
pub mod running;
mod sandbox;
mod signals;
mod sources;
mod start;
pub mod status;
mod wanted;

pub use call::{Call, lock, nonce};
pub use dry_run::dry_run;
pub use enter::reap;
pub use entry::Program;
pub use gather::{Gathered, Ground, Purpose, find, gather, refuse_own_codex};
pub use guest::fill as fill_guest;
pub use plan::plan;
pub use record::{programs_claim, programs_now, trusted};
pub use running::{Outcome, copy_of_proof};
pub use sandbox::{Asked, sandbox};
pub use signals::Signals;
pub use sources::{problems, rules};
