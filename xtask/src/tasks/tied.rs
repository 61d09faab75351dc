//! `cargo xtask tied`, by which this program starts others that end with it.

use crate::exec;
use anyhow::Result;
use std::ffi::OsString;

/// The process that must go on, and the program.
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
pub struct Args {
    parent: i32,
    #[arg(last = true, required = true)]
    words: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Result<u8> {
    exec::become_tied(args.parent, &args.words)
}
