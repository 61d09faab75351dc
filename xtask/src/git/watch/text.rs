//! `.gitmodules` and `.gitattributes`: an agent may write both, and they matter by what the user's configuration makes of
//! them. What they gained is reported.

use super::super::layout::SMALL;
use super::super::{Repository, client, config_format};
use crate::beneath::Beneath;
use crate::ui::printable;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The drivers that each `.gitattributes` names, such as `filter=lfs`, by its path.
pub(super) type Attributes = BTreeMap<String, BTreeSet<String>>;

/// The settings of `.gitmodules`.
pub(super) type Submodules = BTreeMap<String, String>;

/// The most drivers of one file, and the most files, that are kept.
const MOST_DRIVERS: usize = 100;
const MOST_FILES: usize = 1000;

/// How a word begins that is no driver: it says what is not known of a file.
const UNKNOWN: &str = "unknown: ";

/// What git takes for space in a `.gitattributes`. A comment begins after that and nothing else.
const SPACE: [char; 3] = [' ', '\t', '\r'];

/// Adds what a `.gitattributes` names, or why that is not known.
pub(super) fn add(all: &mut Attributes, path: &Path, text: Result<String, String>) {
    let named = text.map_or_else(|why| BTreeSet::from([format!("{UNKNOWN}{why}")]), |text| drivers(&text));
    if named.is_empty() {
        return;
    }
    if all.len() < MOST_FILES {
        all.insert(path.to_string_lossy().into_owned(), named);
    } else {
        // Its name sorts before every path, and is none.
        all.insert(
            String::new(),
            BTreeSet::from([format!("{UNKNOWN}more than {MOST_FILES} of these files name drivers")]),
        );
    }
}

/// The drivers that a `.gitattributes` names: programs of the configuration that git runs on the files there.
pub(super) fn drivers(text: &str) -> BTreeSet<String> {
    let is_comment = |line: &&str| line.trim_start_matches(SPACE).starts_with('#');
    let words = text.lines().filter(|line| !is_comment(line)).flat_map(str::split_whitespace);
    let named = |word: &&str| ["filter=", "diff=", "merge="].iter().any(|kind| word.starts_with(kind));
    let mut all: BTreeSet<String> = words.filter(named).map(str::to_owned).collect();
    if all.len() > MOST_DRIVERS {
        all = all.into_iter().take(MOST_DRIVERS).collect();
        all.insert(format!("{UNKNOWN}it names more than {MOST_DRIVERS} drivers"));
    }
    all
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
    let matters =
        |driver: &String| driver.starts_with(UNKNOWN) || configured.as_ref().is_none_or(|names| names.contains(driver));
    let gained = gained.into_iter().filter(|(_, driver)| matters(driver));
    let line = |(path, driver): (String, String)| {
        if let Some(why) = driver.strip_prefix(UNKNOWN) {
            let path = if path.is_empty() { ".gitattributes" } else { &path };
            return format!(
                "`{}` was not looked at for programs of your configuration: {}; look at it before you run git there",
                printable(path),
                printable(why)
            );
        }
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
    fn only_what_git_takes_for_a_comment_is_one() {
        assert_eq!(drivers(" \t# filter=no\n\r#filter=no\n"), BTreeSet::new());
        for line in ["\u{a0}# filter=x\n", "\u{b}# filter=x\n", "\u{feff}# filter=x", "\u{fffd}# filter=x"] {
            assert_eq!(drivers(line), BTreeSet::from(["filter=x".to_owned()]), "{line:?}");
        }
    }

    #[test]
    fn what_is_past_a_limit_or_cannot_be_read_is_told_and_never_absent() {
        let many: String = (0..2 * MOST_DRIVERS).map(|n| format!("* filter=a{n:03}\n")).collect();
        let mut now = Attributes::new();
        add(&mut now, Path::new("many"), Ok(many + "* filter=mine\n"));
        add(&mut now, Path::new("large"), Err("it is large".to_owned()));
        for n in 0..MOST_FILES {
            add(&mut now, Path::new(&format!("n/{n}")), Ok("* filter=other".to_owned()));
        }
        // Whatever the configuration names.
        let lines = new_filters(&Attributes::new(), &now, None).unwrap();
        for (path, why) in [
            ("`.gitattributes`", "more than 1000 of these files"),
            ("`large`", "it is large"),
            ("`many`", "it names more than 100 drivers"),
        ] {
            let told = |line: &&String| line.starts_with(&format!("{path} was not looked at")) && line.contains(why);
            assert_eq!(lines.iter().filter(told).count(), 1, "{path}: {lines:?}");
        }
        assert_eq!(new_filters(&now, &now, None).unwrap(), Vec::<String>::new());
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
