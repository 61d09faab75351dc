//! Which tiers run, which do not and why. Pure.

use crate::error::{Failure, host};
use crate::spec::words::display;
use clap::ValueEnum;

/// A tier of tests, in the order in which they run; its text is the name of its nextest profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Tier {
    Default,
    Engine,
    Gpu,
}

display!(Tier);

/// What must run, or the run fails. The default tier always runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Demand {
    Default,
    Engine,
    Gpu,
    All,
}

impl Demand {
    fn wants(self, tier: Tier) -> bool {
        match self {
            Demand::Default => tier == Tier::Default,
            Demand::Engine => matches!(tier, Tier::Default | Tier::Engine),
            Demand::Gpu => matches!(tier, Tier::Default | Tier::Gpu),
            Demand::All => true,
        }
    }
}

impl Tier {
    /// The tier of a test by the name that its binary gives it: the same rules as in `.config/nextest.toml`.
    pub(super) fn of(integration: bool, test: &str) -> Tier {
        let last = test.rsplit("::").next().unwrap_or(test);
        if integration && test.starts_with("gpu::") {
            Tier::Gpu
        } else if integration && test.starts_with("engine::") || last.starts_with("engine_") {
            Tier::Engine
        } else {
            Tier::Default
        }
    }
}

/// What runs, and what does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TierPlan {
    /// The tiers that run.
    pub(super) tiers: Vec<Tier>,
    /// Those that do not, and why.
    pub(super) left: Vec<(Tier, String)>,
}

/// Without a demand every tier that the machine can run; with one exactly that and the default tier. `cannot` names the
/// tiers that cannot run here, with the reason.
///
/// # Errors
/// A demanded tier cannot run here (exit code 3).
pub(super) fn plan(asked: Option<Demand>, cannot: &[(Tier, String)]) -> Result<TierPlan, Failure> {
    let mut plan = TierPlan { tiers: Vec::new(), left: Vec::new() };
    for &tier in Tier::value_variants() {
        let why = cannot.iter().find(|(other, _)| *other == tier).map(|(_, why)| why.clone());
        match (asked.is_none_or(|demand| demand.wants(tier)), why) {
            (false, _) => plan.left.push((tier, "not asked for".to_owned())),
            (true, None) => plan.tiers.push(tier),
            (true, Some(why)) if asked.is_some() => {
                return Err(host(format!("the {tier} tier was asked for and cannot run here: {why}"))
                    .hint("`cargo xtask test` runs the tiers that this machine can"));
            }
            (true, Some(why)) => plan.left.push((tier, why)),
        }
    }
    Ok(plan)
}

/// The last lines of a run have one for each tier.
pub(super) fn passed(tier: Tier, count: usize) -> String {
    format!("tier {tier}: {count} tests passed")
}

pub(super) fn failed(tier: Tier) -> String {
    format!("tier {tier}: FAILED")
}

pub(super) fn left(tier: Tier, why: &str) -> String {
    format!("tier {tier}: not run: {why}")
}

/// The number of tests in a report of nextest (JUnit); 0 where it is none.
pub(super) fn count(report: &str) -> usize {
    quick_junit::Report::deserialize_from_str(report).map_or(0, |report| report.tests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(engine: bool, gpu: bool) -> Vec<(Tier, String)> {
        let all = [(engine, Tier::Engine, "no engine"), (gpu, Tier::Gpu, "no GPU")];
        all.into_iter().filter(|(can, ..)| !can).map(|(_, tier, why)| (tier, why.to_owned())).collect()
    }

    #[test]
    fn without_a_demand_the_machine_decides_and_the_rest_is_said() {
        let bare = plan(None, &machine(false, false)).unwrap();
        assert_eq!(bare.tiers, [Tier::Default]);
        let left = [(Tier::Engine, "no engine".to_owned()), (Tier::Gpu, "no GPU".to_owned())];
        assert_eq!(bare.left, left);
        assert_eq!(plan(None, &machine(true, true)).unwrap().tiers, Tier::value_variants());
    }

    #[test]
    fn a_demand_brings_the_default_tier_along_and_fails_where_it_cannot_be_met() {
        assert_eq!(plan(Some(Demand::Engine), &machine(true, true)).unwrap().tiers, [Tier::Default, Tier::Engine]);
        assert_eq!(plan(Some(Demand::Default), &machine(true, true)).unwrap().tiers, [Tier::Default]);
        assert_eq!(plan(Some(Demand::All), &machine(true, true)).unwrap().tiers, Tier::value_variants());
        for (asked, machine) in [
            (Demand::Engine, machine(false, true)),
            (Demand::Gpu, machine(true, false)),
            (Demand::All, machine(true, false)),
        ] {
            assert_eq!(plan(Some(asked), &machine).unwrap_err().kind.code(), 3, "{asked:?}");
        }
    }

    #[test]
    fn every_outcome_has_its_line() {
        let lines = [passed(Tier::Default, 7), failed(Tier::Engine), left(Tier::Gpu, "no GPU")];
        let expected = ["tier default: 7 tests passed", "tier engine: FAILED", "tier gpu: not run: no GPU"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn tests_are_counted_from_the_report() {
        let report = "<?xml version=\"1.0\"?>\n<testsuites name=\"nextest-run\" tests=\"290\" failures=\"0\" errors=\"0\">\n\
                      <testsuite name=\"xtask\" tests=\"240\" disabled=\"0\" failures=\"0\" errors=\"0\">\n\
                      </testsuite>\n</testsuites>\n";
        assert_eq!(count(report), 290);
        assert_eq!(count(""), 0);
    }

    #[test]
    fn a_test_s_tier_is_the_one_that_nextest_gives_it() {
        assert_eq!(Tier::of(true, "engine::main_path::x"), Tier::Engine);
        assert_eq!(Tier::of(true, "fake_engine::x"), Tier::Default);
        assert_eq!(Tier::of(true, "gpu::x"), Tier::Gpu);
        assert_eq!(Tier::of(false, "host::engine::tests::x"), Tier::Default);
        assert_eq!(Tier::of(false, "host::gpu::tests::gpu_x"), Tier::Default);
        assert_eq!(Tier::of(false, "image::tests::engine_x"), Tier::Engine);
        // The rules are written twice; whoever changes one sees this.
        let config: toml_edit::DocumentMut = include_str!("../../../../.config/nextest.toml").parse().unwrap();
        let filter = |tier: Tier| config["profile"][&tier.to_string()]["default-filter"].as_str().unwrap().to_owned();
        assert_eq!(filter(Tier::Default), "not ((binary(it) & test(/^(engine|gpu)::/)) | test(/(^|::)engine_[^:]*$/))");
        assert_eq!(filter(Tier::Engine), "(binary(it) & test(/^engine::/)) | test(/(^|::)engine_[^:]*$/)");
        assert_eq!(filter(Tier::Gpu), "binary(it) & test(/^gpu::/)");
    }
}
