//! The tasks: one file a subcommand, with its flags and what it does by calling the modules below. No task calls another.

pub(crate) mod answers;
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
pub(crate) mod tied;

use crate::spec::settings::Flags;

// The flags of the tasks that only show something. A comment for rustdoc would be taken for the help of a task.
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct ShowArgs {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
