//! `cargo xtask test` and `cargo xtask ci`: the tiers of this repository's tests, and everything that CI runs.

use crate::context::Context;
use crate::error::{failed, host};
use crate::exec;
use crate::step::{Command, Step};
use crate::ui;
use anyhow::Result;

/// A tier of tests, by nextest profile.
const TIERS: &[&str] = &["default", "engine", "gpu"];

/// Runs the demanded tier, and the default tier always. A tier that was asked for fails where its engine or GPU is
/// missing: its tests say so, none skips.
///
/// # Errors
/// nextest is missing (exit code 3), or a test fails.
pub fn run(cx: &Context, tier: &str) -> Result<u8> {
    if exec::capture(&cargo(cx, &["nextest", "--version"])).map_or(true, |said| !said.ok()) {
        return Err(host("`cargo-nextest` is missing")
            .hint("cargo install --locked cargo-nextest")
            .into());
    }
    let steps: Vec<Step> = profiles(tier).iter().map(|profile| nextest(cx, profile)).collect();
    exec::all(&steps)?;
    let ran = profiles(tier);
    let left: Vec<&str> = TIERS.iter().copied().filter(|name| !ran.contains(name)).collect();
    ui::say(format_args!(
        "tiers that passed: {}; not asked for: {}",
        ran.join(", "),
        left.join(", ")
    ));
    Ok(0)
}

/// The profiles that a demanded tier stands for, in the order in which they run.
pub fn profiles(tier: &str) -> Vec<&str> {
    match tier {
        "all" => TIERS.to_vec(),
        "default" => vec!["default"],
        other => vec!["default", other],
    }
}

/// Runs what CI runs: format, lints, docs, the default and the engine tier.
///
/// # Errors
/// The first step that fails.
pub fn ci(cx: &Context) -> Result<u8> {
    exec::all(&[
        Step::Run(cargo(cx, &["fmt", "--all", "--check"])),
        Step::Run(cargo(
            cx,
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "--deny",
                "warnings",
            ],
        )),
        Step::Run(cargo(cx, &["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "--deny warnings")),
    ])?;
    if exec::capture(&cargo(cx, &["deny", "--version"])).is_ok_and(|said| said.ok()) {
        exec::all(&[Step::Run(cargo(cx, &["deny", "check"]))])?;
    } else {
        ui::say("cargo-deny is not installed: licences and advisories were not checked");
    }
    run(cx, "engine").map_err(|err| err.context(failed("the tests failed")))
}

fn nextest(cx: &Context, profile: &str) -> Step {
    Step::Run(cargo(
        cx,
        &["nextest", "run", "--workspace", "--locked", "--profile", profile],
    ))
}

fn cargo(cx: &Context, args: &[&str]) -> Command {
    Command::new("cargo").args(args.iter().copied()).dir(&cx.root)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_demanded_tier_brings_the_default_one_along() {
        assert_eq!(super::profiles("engine"), ["default", "engine"]);
        assert_eq!(super::profiles("all"), ["default", "engine", "gpu"]);
    }
}
