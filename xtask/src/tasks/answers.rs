//! `cargo xtask answers`, by which this program asks file systems that may hang.

use crate::answers;
/// The paths that are going to be used.
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
pub struct Args {
    paths: Vec<String>,
}

pub(crate) fn run(args: &Args) {
    answers::answer(&args.paths);
}
