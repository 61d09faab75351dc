//! `cargo xtask ci`: what CI runs. `.ci/run` calls it on a bare machine that has nothing but cargo.

use super::test::{self, Demand};
use super::{shell, succeeds};
use crate::context::Context;
use crate::ui;
use anyhow::Result;
use std::time::Instant;
use xshell::{Shell, cmd};

/// Run what CI runs: format, lints, docs, every test without a GPU
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Install and start what is missing without asking (Debian, Ubuntu)
    #[arg(long)]
    install_engine: bool,
}

/// Stops at the first step that fails. An engine tier that cannot run here is a failure (exit code 3).
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let began = Instant::now();
    let sh = shell(cx)?;
    if args.install_engine {
        provide_components(&sh)?;
    }
    cmd!(sh, "cargo fmt --all --check").run()?;
    cmd!(sh, "cargo clippy --workspace --all-targets --locked -- --deny warnings").run()?;
    cmd!(sh, "cargo doc --workspace --no-deps --document-private-items --locked")
        .env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links")
        .run()?;
    if succeeds(cmd!(sh, "cargo deny --version")) {
        cmd!(sh, "cargo deny check").run()?;
    } else {
        ui::say("cargo-deny is not installed: licences and advisories were not checked");
    }
    let code = test::run(cx, &test::Args { tier: Some(Demand::Engine), install_engine: args.install_engine })?;
    ui::say(format_args!("ci: passed in {} s", began.elapsed().as_secs()));
    Ok(code)
}

/// Installs the components that rustup's minimal profile lacks.
fn provide_components(sh: &Shell) -> Result<()> {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !succeeds(cmd!(sh, "cargo {command} --version")) {
            cmd!(sh, "rustup component add {component}").run()?;
        }
    }
    Ok(())
}
