//! The names themselves, by the tool that obeys them, with where its makers document that and when the row was noted: one
//! file for each kind of tool.

mod agents;
mod build;
mod ci;
mod containers;
mod editors;
mod javascript;
mod languages;
mod python;
mod repl;
mod servers;
mod shells;
mod vcs;

use super::{Class, Name, Noted, Obeyed};

/// One tool with its names.
struct Tool {
    class: Class,
    by: &'static str,
    source: &'static str,
    noted: Noted,
    names: &'static [Name],
}

const fn tool(class: Class, by: &'static str, source: &'static str, noted: Noted, names: &'static [Name]) -> Tool {
    Tool { class, by, source, noted, names }
}

/// Every row.
pub(super) fn rows() -> impl Iterator<Item = Obeyed> {
    KINDS.iter().copied().flatten().flat_map(|tool| {
        let &Tool { class, by, source, noted, names } = tool;
        names.iter().map(move |&name| Obeyed { name, class, by, source, noted })
    })
}

/// Left out are: pre-commit from what acts by itself, because it refuses to run a configuration that is not staged; the git
/// directories themselves, with their hooks and configuration, which are read-only inside, and new ones are set aside
/// (`git/watch.rs`); what an editor evaluates of a project besides running it (`tsconfig.json`, `eslint.config.js`,
/// `build.rs`, `build.gradle`) from what acts by itself, because to change that is the agent's job.
const KINDS: &[&[Tool]] = &[
    agents::TOOLS,
    editors::TOOLS,
    servers::TOOLS,
    shells::TOOLS,
    vcs::TOOLS,
    repl::TOOLS,
    build::TOOLS,
    languages::TOOLS,
    python::TOOLS,
    javascript::TOOLS,
    containers::TOOLS,
    ci::TOOLS,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obeyed::Name::{Below, Ending, File, Like, Path};
    use std::collections::BTreeSet;

    #[test]
    fn every_row_has_a_source_and_a_date_and_names_something_once() {
        let mut seen = BTreeSet::new();
        for row in rows() {
            assert!(row.source.starts_with("https://") && !row.by.is_empty(), "{row:?}");
            let (Noted::Read(date) | Noted::Remembered(date)) = row.noted;
            assert!(humantime::parse_rfc3339(&format!("{date}T00:00:00Z")).is_ok(), "{row:?}");
            assert!(seen.insert(format!("{:?}", row.name)), "{row:?}");
            let (name, parts) = match row.name {
                File(name) => (name, 1..=1),
                Ending(name) => (name, 1..=1),
                Path(name) => (name, 2..=9),
                Below(name) | Like(name) => (name, 1..=9),
            };
            assert!(parts.contains(&name.split('/').count()) && !name.contains("set-aside"), "{row:?}");
            assert!(!matches!(row.name, Ending(name) if !name.starts_with('.') || name.matches('.').count() > 2));
            let stars = name.matches('*').count();
            assert_eq!(stars, usize::from(matches!(row.name, Like(_))), "{row:?}");
            // A file that was set aside ends otherwise than before, and must not be obeyed by the same row.
            let open = name.ends_with(".*") && row.class == Class::ByItself;
            assert!(!open, "{row:?}");
        }
        assert!(seen.len() > 900, "{}", seen.len());
    }
}
