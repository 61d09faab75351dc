//! `.gitmodules` and `.gitattributes`: an agent may write both, and they matter by what the user's configuration makes of
//! them. What they gained is reported.

use super::super::layout::SMALL;
use super::super::{Repository, client, config_format};
use crate::beneath::Beneath;
use crate::ui::printable;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// The drivers that each `.gitattributes` names, such as `filter=lfs`, by its path.
pub(super) type Attributes = BTreeMap<String, BTreeSet<String>>;

/// The settings of `.gitmodules`.
pub(super) type Submodules = BTreeMap<String, String>;

/// The most drivers of one file, and the most files, that are kept.
const MOST_DRIVERS: usize = 100;
pub(super) const MOST_FILES: usize = 1000;

/// The drivers that a `.gitattributes` names: programs of the configuration that git runs on the files there.
pub(super) fn drivers(text: &str) -> BTreeSet<String> {
    let words = text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    let named = |word: &&str| ["filter=", "diff=", "merge="].iter().any(|kind| word.starts_with(kind));
    words.filter(named).map(str::to_owned).take(MOST_DRIVERS).collect()
}

/// What names a driver of the user's configuration since the last look, a line each. Where the configuration cannot be
/// asked for, every new name is told.
pub(super) fn new_filters(before: &Attributes, now: &Attributes, repo: Option<&Repository>) -> Result<Vec<String>> {
    let none = BTreeSet::new();
    let gained = |(path, drivers): (&String, &BTreeSet<String>)| {
        let old = before.get(path).unwrap_or(&none);
        drivers.difference(old).map(|driver| (path.clone(), driver.clone())).collect::<Vec<_>>()
    };
    let gained: Vec<(String, String)> = now.iter().flat_map(gained).collect();
    let configured = match repo {
        Some(repo) if !gained.is_empty() => Some(configured(repo)?),
        Some(_) | None => None,
    };
    let matters = |driver: &String| configured.as_ref().is_none_or(|names| names.contains(driver));
    let gained = gained.into_iter().filter(|(_, driver)| matters(driver));
    let line = |(path, driver): (String, String)| {
        format!(
            "`{}` names `{}` now: git on this host runs that program of your configuration on files there",
            printable(&path),
            printable(&driver)
        )
    };
    Ok(gained.map(line).collect())
}

fn configured(repo: &Repository) -> Result<BTreeSet<String>> {
    let command = client::host(repo).args(["config", "--name-only", "--get-regexp", r"^(filter|diff|merge)\."]);
    let output = client::capture(&command)?;
    let driver = |key: &str| {
        let (kind, rest) = key.split_once('.')?;
        Some(format!("{kind}={}", rest.rsplit_once('.')?.0))
    };
    Ok(output.stdout.lines().filter_map(driver).collect())
}

/// The settings of the workspace's `.gitmodules`.
pub(super) fn modules(root: &Beneath) -> Submodules {
    match root.text(".gitmodules", SMALL) {
        Ok(text) => config_format::parse(&text.unwrap_or_default()).into_iter().collect(),
        Err(err) => BTreeMap::from([("unreadable".to_owned(), printable(&err.to_string()))]),
    }
}

/// What `.gitmodules` gained since the last look, a line each.
pub(super) fn new_modules(before: &Submodules, now: &Submodules) -> Vec<String> {
    let new = now.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let line = |(name, value): (&String, &String)| {
        format!(
            "`.gitmodules` has `{} = {}` now: check it before you run `git submodule` there",
            printable(name),
            printable(value)
        )
    };
    new.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_of_a_gitattributes_are_found_wherever_they_stand() {
        let text = "# *.c filter=no\n*.bin filter=lfs diff=lfs -text\n[attr]x merge=y\n\"a b\" filter=z\n*.c -filter\n";
        let expected = ["diff=lfs", "filter=lfs", "filter=z", "merge=y"].map(str::to_owned);
        assert_eq!(drivers(text), BTreeSet::from(expected));
    }

    #[test]
    fn what_gitmodules_gained_is_told() {
        let of = |text: &str| config_format::parse(text).into_iter().collect::<Submodules>();
        let before = of("[submodule \"a\"]\n\tpath = a\n\turl = x\n");
        assert_eq!(new_modules(&before, &before), Vec::<String>::new());
        let now = of("[submodule \"a\"]\n\tpath = a\n\turl = y\n[submodule \"b\"]\n\tpath = b\n");
        let lines = new_modules(&before, &now);
        assert!(lines[0].contains("`submodule.a.url = y`") && lines[1].contains("`submodule.b.path = b`"), "{lines:?}");
    }
}
