//! `cargo xtask demo`: the whole main path on whatever machine there is, with a stand-in for each thing that it lacks.

use crate::context::Context;
use crate::demo;
use crate::error::usage;
use crate::spec::settings::{Flags, ProjectFlags};
use anyhow::Result;

/// The main path on any machine: what it lacks has a stand-in, named first
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Enter without asking
    #[arg(long)]
    yes: bool,
    /// Install and start what is missing without asking (Debian, Ubuntu)
    #[arg(long)]
    install_engine: bool,
    /// Use the CPU base image; implies --gpus none
    #[arg(long)]
    cpu: bool,
    /// Remove all that the demo made
    #[arg(long, conflicts_with_all = ["install_engine", "cpu"])]
    clean: bool,
}

impl Args {
    pub(crate) fn flags(&self) -> Flags {
        ProjectFlags { cpu: self.cpu, ..ProjectFlags::default() }.into()
    }
}

/// Returns Codex's own exit code.
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    if args.clean {
        return demo::clean(cx);
    }
    if !args.yes && !cx.stdin_tty {
        return Err(usage("`demo` enters a sandbox, and standard input is no terminal").hint("add `--yes`").into());
    }
    demo::demo(cx, &args.flags(), args.yes, args.install_engine)
}
