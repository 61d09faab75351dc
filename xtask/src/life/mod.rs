//! The life of a sandbox: gathered, planned, started, proven, entered, left.
//!
//! `Gathered → Plan → Running → Proven | Unproven → Left`: each state is a type, and what is not proven has no way in
//! but a shell.

pub(crate) mod call;
mod certificates;
pub(crate) mod changes;
pub(crate) mod down;
mod dry_run;
mod early;
mod elsewhere;
mod enter;
mod exec_command;
mod gather;
mod git_watch;
mod ground;
mod guest;
mod lease;
mod leave;
mod leftovers;
mod locks;
mod native;
mod neighbours;
mod networks;
mod plan;
mod ready;
mod record;
mod reopen;
mod rules;
pub(crate) mod running;
mod sandbox;
mod session;
mod silent;
mod sources;
mod stall;
mod standing;
mod start;
pub(crate) mod status;
mod used;
mod volumes;
mod wanted;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub(crate) use super::record::fuzz as record;
    pub(crate) use super::session::fuzz as session;
    pub(crate) use super::status::fuzz as status;
    pub(crate) use super::used::fuzz as used;
}

pub(crate) use call::Call;
pub(crate) use dry_run::{dry_run, show_settings};
pub(crate) use enter::reap;
pub(crate) use exec_command::{Entry, Program};
pub(crate) use gather::{Gathered, Purpose, find, refuse_own_codex};
pub(crate) use ground::{Ground, confirmed};
pub(crate) use guest::fill as fill_guest;
pub(crate) use leftovers::Policy;
pub(crate) use locks::lock;
pub(crate) use plan::plan;
pub(crate) use record::{exposed, exposed_but, programs_claim, programs_now, trusted};
pub(crate) use reopen::reopen;
pub(crate) use running::{Outcome, copy_of_proof};
// `tests/compile/` names these two: only the first has `enter`.
pub(crate) use rules::rules;
pub use running::{Proven, Unproven};
pub(crate) use sandbox::{Asked, sandbox};
pub(crate) use session::Session;
pub(crate) use sources::problems;
