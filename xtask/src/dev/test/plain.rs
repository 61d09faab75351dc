//! The same tiers by `cargo test`, where cargo-nextest is missing. `cargo test` has no profiles, and its filters match parts
//! of names. Therefore the tests are listed first, and then named one by one.

use super::tiers::Tier;
use crate::error::failed;
use crate::ui;
use anyhow::Result;
use xshell::{Cmd, Shell, cmd};

/// How a test binary is chosen, and whether it is the one of the integration tests.
const BINARIES: [(&[&str], bool); 2] = [(&["--lib"], false), (&["--test", "it"], true)];

/// Runs a tier and returns the number of its tests.
pub(super) fn run(sh: &Shell, tier: Tier) -> Result<usize> {
    let mut count = 0;
    for (binary, integration) in BINARIES {
        let test = || cmd!(sh, "cargo test --quiet --package xtask --locked {binary...} --");
        let names = of_tier(&test().args(["--list", "--format", "terse"]).read()?, integration, tier);
        if !names.is_empty() {
            count += names.len();
            // The whole command is too long to be shown, because it names every test.
            ui::say(format_args!("$ {} … ({} tests of the {tier} tier)", test(), names.len()));
            named(test(), tier, &names)
                .quiet()
                .run()
                .map_err(|_| failed(format!("`cargo test` of the {tier} tier failed")))?;
        }
    }
    Ok(count)
}

/// The names of the tests of a tier, from the list of all tests.
fn of_tier(list: &str, integration: bool, tier: Tier) -> Vec<String> {
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    names.filter(|name| Tier::of(integration, name) == tier).map(str::to_owned).collect()
}

/// Tests that use the engine run one by one: they share it, and `cargo test` does not end a test that hangs.
fn named<'a>(command: Cmd<'a>, tier: Tier, names: &[String]) -> Cmd<'a> {
    let threads: &[&str] = if tier == Tier::Default { &[] } else { &["--test-threads", "1"] };
    command.arg("--exact").args(threads).args(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "engine::users::a: test\nfake_engine::b: test\ngpu::c: test\nhost::d: benchmark\n";

    #[test]
    fn the_tests_of_a_tier_are_named_whole() {
        assert_eq!(of_tier(LIST, true, Tier::Default), ["fake_engine::b"]);
        assert_eq!(of_tier(LIST, true, Tier::Engine), ["engine::users::a"]);
        assert_eq!(of_tier(LIST, true, Tier::Gpu), ["gpu::c"]);
        let names = of_tier(LIST, true, Tier::Engine);
        let sh = Shell::new().unwrap();
        let text = named(cmd!(sh, "cargo test --"), Tier::Engine, &names).to_string();
        assert_eq!(text, "cargo test -- --exact --test-threads 1 engine::users::a");
    }
}
