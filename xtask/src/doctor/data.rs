//! The data sets: whether the settings give a directory for each, and whether it can be mounted.

use crate::doctor::AboutHost;
use crate::error::usage;
use crate::file_systems::SAMPLED;
use crate::finding::{Finding, subject};
use crate::spec::settings;
use std::path::PathBuf;

/// What was seen of the directories that are to be mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) sets: Vec<DataSet>,
    /// Why the workspace, or a shared Codex home, cannot be mounted.
    pub(super) workspace: Vec<Finding>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DataSet {
    pub(super) name: String,
    /// Where it is, by the settings.
    pub(super) source: Option<PathBuf>,
    /// Why it cannot be mounted.
    pub(super) problems: Vec<Finding>,
    /// Whether there is nothing in it.
    pub(super) empty: bool,
    /// The types of the file systems on which it lies that can change without this kernel's doing, such as `nfs4`.
    pub(super) served: Vec<String>,
    /// Whether file systems are mounted below it.
    pub(super) submounts: bool,
}

pub(super) fn findings(facts: &AboutHost) -> Vec<Finding> {
    match &facts.files {
        Ok(files) => files.sets.iter().flat_map(data_set).collect(),
        Err(failure) => vec![subject("data.sources", "the data sets", NEEDED).broken(failure.clone())],
    }
}

const NEEDED: &str = "a directory that you may read, apart from what the sandbox may write";

fn data_set(set: &DataSet) -> Vec<Finding> {
    let id = format!("data.{}", set.name);
    let subject = subject(&id, &set.name, NEEDED);
    let Some(source) = &set.source else {
        return vec![subject.missing(settings::no_source(&set.name))];
    };
    let source = source.display();
    if !set.problems.is_empty() {
        return set.problems.iter().map(|problem| subject.broken(problem.failure())).collect();
    }
    if set.empty {
        let hint = format!("give the directory with `--dataset {}=DIR`, or mount it first", set.name);
        return vec![subject.broken(usage(format!("`{source}` is empty")).hint(hint))];
    }
    if !set.served.is_empty() {
        return vec![subject.warning(format!("`{source}` is on {}: {SAMPLED}", set.served.join(", ")), [])];
    }
    let below = if set.submounts { ", with mounts below it" } else { "" };
    vec![subject.ok(format!("`{source}`{below}"))]
}

#[cfg(test)]
mod tests {
    use super::super::exit_code;
    use super::super::tests::{facts, remedies_of, verdict};
    use super::*;
    use crate::finding::Verdict;

    fn with(change: impl FnOnce(&mut DataSet)) -> Vec<Finding> {
        let mut facts = facts();
        change(&mut facts.files.as_mut().unwrap().sets[0]);
        findings(&facts)
    }

    #[test]
    fn a_data_set_is_well_or_has_no_directory() {
        assert_eq!(verdict(&with(|_| {}), "data.ssv2"), Verdict::Held);
        let none = with(|set| set.source = None);
        assert_eq!(verdict(&none, "data.ssv2"), Verdict::Missing);
        assert!(remedies_of(&none, "data.ssv2").contains("--dataset ssv2=DIR"));
        assert_eq!(exit_code(&none), 2);
    }

    #[test]
    fn every_problem_of_a_source_is_shown() {
        let problem = |what: &str| Finding::new("dataset.ssv2", "p").with(Verdict::Broken, usage(what).hint("fix it"));
        let two = with(|set| set.problems = vec![problem("`/x` does not exist"), problem("`/x` shows your home")]);
        assert_eq!(two.len(), 2);
        assert!(two.iter().all(|f| f.verdict == Verdict::Broken));
    }

    #[test]
    fn an_empty_one_is_broken_and_one_on_a_network_a_warning() {
        assert_eq!(verdict(&with(|set| set.empty = true), "data.ssv2"), Verdict::Broken);
        let found = with(|set| set.served = vec!["nfs4".into(), "fuse.sshfs".into()]);
        assert_eq!(verdict(&found, "data.ssv2"), Verdict::Noted);
        assert!(found[0].seen().ends_with("is on nfs4, fuse.sshfs: sampled: the server can change it"), "{found:?}");
        let stuck = findings(&AboutHost { files: Err(usage("no answer within 5 s")), ..facts() });
        assert_eq!(verdict(&stuck, "data.sources"), Verdict::Broken);
    }
}
