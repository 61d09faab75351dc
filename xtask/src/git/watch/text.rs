//! `.gitmodules` and `.gitattributes`: an agent may write both, and they matter by what the user's configuration makes of
//! them. What they gained is reported.

use super::super::layout::SMALL;
use super::super::{Environment, Repository, client, config_format};
use super::places::shown;
use crate::beneath::Beneath;
use crate::context::resolved;
use crate::kept_path::KeptPath;
use crate::text;
use crate::ui::printable;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The drivers that each `.gitattributes` names, such as `filter=lfs`, and the attributes that it sets and that can be macros
/// of the user's, by its path.
pub(super) type Attributes = BTreeMap<KeptPath, BTreeSet<String>>;

/// The settings of `.gitmodules`.
pub(super) type Submodules = BTreeMap<String, String>;

/// The most bytes of the words of one file, of all files, and the most files, that are kept.
const MOST_BYTES: usize = 64 << 10;
const MOST_OF_ALL: usize = 1 << 20;
const MOST_FILES: usize = 1000;

/// The most files that are named as gaining something.
const MOST_TOLD: usize = 20;

/// The most bytes of a file of attributes of the user's own.
const LARGEST: u64 = 8 << 20;

/// How a word begins that is no driver: it says what is not known of a file.
const UNKNOWN: &str = "unknown: ";

/// How it goes on where an agent can hide what comes later: that is told at each look.
const BEYOND: &str = "there is more: ";

/// What git passes over where a file begins with it.
const MARK: char = '\u{feff}';

/// What git takes for space in a `.gitattributes`. A comment begins after that and nothing else.
const SPACE: [char; 3] = [' ', '\t', '\r'];

/// Adds what a `.gitattributes` names, or why that is not known. `kept` counts the bytes of all of them.
pub(super) fn add(all: &mut Attributes, kept: &mut usize, path: &Path, text: Result<String, String>) {
    if all.len() >= MOST_FILES || *kept >= MOST_OF_ALL {
        // Its name sorts before every path, and is none.
        all.insert(
            KeptPath::default(),
            BTreeSet::from([format!("{UNKNOWN}{BEYOND}too many of these files, or of names in them, name drivers")]),
        );
        return;
    }
    let named = text.map_or_else(|why| BTreeSet::from([format!("{UNKNOWN}{why}")]), |text| drivers(&text));
    if !named.is_empty() {
        *kept += named.iter().map(String::len).sum::<usize>();
        all.insert(path.into(), named);
    }
}

/// Why a file that is larger than what is read of it is not known.
pub(super) fn too_large(limit: u64) -> String {
    format!("{BEYOND}it has more than {limit} bytes")
}

/// The drivers that a `.gitattributes` names, which are programs of the configuration that git runs on the files there, and
/// the other attributes that it sets.
pub(super) fn drivers(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut bytes = 0;
    for word in lines(text).flat_map(|(_, states)| words(states)) {
        if !matters(word) || all.contains(word) {
            continue;
        }
        bytes += word.len();
        if bytes > MOST_BYTES {
            all.insert(format!("{UNKNOWN}{BEYOND}the names in it have more than {MOST_BYTES} bytes"));
            break;
        }
        all.insert(word.to_owned());
    }
    all
}

/// A driver, or an attribute that is set, as a macro is used.
fn matters(word: &str) -> bool {
    let is_driver = ["filter=", "diff=", "merge="].iter().any(|kind| word.starts_with(kind));
    is_driver || !(word.contains('=') || word.starts_with(['-', '!']))
}

/// The patterns of a file of attributes, each with what it sets, as git divides them (`parse_attr_line`).
fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('\n').filter_map(|line| {
        // For git a line ends there.
        let line = line.split('\0').next().unwrap_or_default().trim_start_matches(SPACE);
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        // What is set can follow the closing quote at once.
        let mark = if line.starts_with(MARK) { MARK.len_utf8() } else { 0 };
        let quoted = end_of_quoted(&line[mark..]).map(|end| end + mark);
        Some(line.split_at(quoted.or_else(|| line.find(SPACE)).unwrap_or(line.len())))
    })
}

fn words(states: &str) -> impl Iterator<Item = &str> {
    states.split(SPACE).filter(|word| !word.is_empty())
}

/// Where a quoted pattern ends; `None` where git takes the quote for a part of the name (`unquote_c_style`).
fn end_of_quoted(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let octal = |at: usize, last: u8| bytes.get(at).is_some_and(|byte| (b'0'..=last).contains(byte));
    let mut at = 1;
    if bytes.first() != Some(&b'"') {
        return None;
    }
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match bytes.get(at + 1)? {
                b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'\\' | b'"' => at += 2,
                b'0'..=b'3' if octal(at + 2, b'7') && octal(at + 3, b'7') => at += 4,
                _ => return None,
            },
            _ => at += 1,
        }
    }
}

/// The macros that the user's own files of attributes define, with what each sets.
#[derive(Debug, Default)]
struct Macros(BTreeMap<String, BTreeSet<String>>);

impl Macros {
    fn add(&mut self, text: &str) {
        for (pattern, states) in lines(text) {
            let pattern = pattern.trim_matches('"');
            if let Some(name) = pattern.strip_prefix("[attr]").map(|name| name.trim_matches(SPACE)) {
                let set = words(states).filter(|word| matters(word)).map(str::to_owned);
                self.0.entry(name.to_owned()).or_default().extend(set);
            }
        }
    }

    /// All that a word sets, itself too.
    fn expanded(&self, word: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut todo = vec![word.to_owned()];
        while let Some(word) = todo.pop() {
            if all.insert(word.clone()) {
                todo.extend(self.0.get(&word).into_iter().flatten().cloned());
            }
        }
        all
    }
}

/// What of the user's own configuration decides which names in a `.gitattributes` are programs.
#[derive(Debug, Default)]
struct Configured {
    drivers: BTreeSet<String>,
    macros: Macros,
    /// Files of attributes that could not be read, a line each.
    unread: Vec<String>,
}

/// What names a driver of the user's configuration since the last look, a line each. Where the configuration cannot be
/// asked for, every new driver is told.
pub(super) fn new_filters(
    before: &Attributes,
    now: &Attributes,
    repo: Option<&Repository>,
    env: &Environment,
) -> Result<Vec<String>> {
    let beyond = format!("{UNKNOWN}{BEYOND}");
    let gained = |(path, drivers): (&KeptPath, &BTreeSet<String>)| {
        let is_new =
            |word: &&String| before.get(path).is_none_or(|old| !old.contains(*word)) || word.starts_with(&beyond);
        drivers.iter().filter(is_new).map(|driver| (path.clone(), driver.clone())).collect::<Vec<_>>()
    };
    let gained: Vec<(KeptPath, String)> = now.iter().flat_map(gained).collect();
    let configured = match repo {
        Some(repo) if !gained.is_empty() => Some(configured(repo, env)?),
        Some(_) | None => None,
    };
    let unread = configured.iter().flat_map(|configured| configured.unread.clone()).collect::<Vec<_>>();
    let line = |(path, word): (KeptPath, String)| {
        let path = if path.as_os_str().is_empty() { ".gitattributes".to_owned() } else { shown(&path) };
        if let Some(why) = word.strip_prefix(UNKNOWN) {
            let why = printable(why.strip_prefix(BEYOND).unwrap_or(why));
            return Some(format!(
                "`{path}` was not looked at for programs of your configuration: {why}; look at it before you run git there"
            ));
        }
        let program = match &configured {
            Some(own) => own.macros.expanded(&word).into_iter().find(|word| own.drivers.contains(word))?,
            None if word.contains('=') => word.clone(),
            None => return None,
        };
        let by = if program == word {
            String::new()
        } else {
            format!(" (by your own attributes that is `{}`)", text::name(&program))
        };
        let word = text::name(&word);
        Some(format!(
            "`{path}` names `{word}` now{}: git on this host runs that program of your configuration on files there",
            by
        ))
    };
    let (unknown, known): (Vec<_>, Vec<_>) = gained.into_iter().partition(|(_, word)| word.starts_with(UNKNOWN));
    // What is known comes first, and neither can push the other off the screen.
    let lines = [known, unknown].map(|gained| {
        let mut lines: Vec<String> = gained.into_iter().filter_map(&line).collect();
        if let Some(more) = lines.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
            lines.truncate(MOST_TOLD);
            lines.push(format!(
                "the same is so {more} times more: look at every `.gitattributes` before you run git there"
            ));
        }
        lines
    });
    Ok(unread.into_iter().chain(lines.into_iter().flatten()).collect())
}

fn configured(repo: &Repository, env: &Environment) -> Result<Configured> {
    let command = client::host(repo).args(["config", "--name-only", "--get-regexp", r"^(filter|diff|merge)\."]);
    let output = client::capture(&command)?;
    let driver = |key: &str| {
        let (kind, rest) = key.split_once('.')?;
        Some(format!("{kind}={}", rest.rsplit_once('.')?.0))
    };
    let mut own = Configured { drivers: output.stdout.lines().filter_map(driver).collect(), ..Configured::default() };
    let named = client::capture(&client::host(repo).args(["config", "--type=path", "--get", "core.attributesFile"]))?;
    let named = named.ok().then(|| repo.workspace.join(named.stdout.trim_end_matches('\n')));
    let files = env.files().into_iter().filter(|file| file.ends_with("attributes") || file.ends_with("gitattributes"));
    for file in files.chain(named).chain([repo.common_dir.join("info/attributes")]) {
        match text_of(&file) {
            Ok(text) => own.macros.add(&text),
            Err(err) => own.unread.push(format!(
                "`{}` was not looked at for macros of your attributes, so that what they name in the workspace is not known: \
                 {}",
                shown(&file),
                printable(&err.to_string())
            )),
        }
    }
    Ok(own)
}

/// A file of the user's, through whatever links it is reached.
fn text_of(file: &Path) -> Result<String> {
    let file = resolved(file);
    let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else { return Ok(String::new()) };
    let found = Beneath::root_if_there(dir)?.map_or(Ok(None), |dir| dir.read(name, LARGEST))?;
    Ok(found.map_or_else(String::new, |(bytes, _)| String::from_utf8_lossy(&bytes).into_owned()))
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
            text::name(name),
            text::name(value)
        )
    };
    new.map(line).collect()
}

/// For the fuzzer: a `.gitattributes`. What is kept of it is bounded, and a macro ends.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let found = drivers(text);
    assert!(found.iter().map(String::len).sum::<usize>() <= MOST_BYTES + text.len().min(MOST_BYTES) + 200);
    let mut macros = Macros::default();
    macros.add(text);
    assert!(found.iter().all(|word| macros.expanded(word).contains(word)));
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
    fn a_line_is_divided_as_git_does() {
        for (line, names) in [
            ("\\#* filter=x", &["filter=x"][..]),
            ("\"a b\"filter=x", &["filter=x"]),
            ("\u{feff}\"a\\\"b\\001\"filter=x", &["filter=x"]),
            ("\"a\\y b\" filter=x", &["b\"", "filter=x"]),
            ("\"a filter=x", &["filter=x"]),
            ("* filter=x\0y", &["filter=x"]),
            ("* filter=a\u{a0}b\u{b}c\td", &["d", "filter=a\u{a0}b\u{b}c"]),
            ("* -filter !diff image text=auto", &["image"]),
            ("filter=x", &[]),
        ] {
            assert_eq!(drivers(line).iter().collect::<Vec<_>>(), names, "{line:?}");
        }
    }

    #[test]
    fn no_number_of_other_drivers_hides_one() {
        let junk: String = (0..2000).map(|n| format!("x filter=junk{n}\n")).collect();
        assert!(drivers(&(junk + "* filter=lfs\n")).contains("filter=lfs"));
    }

    #[test]
    fn a_macro_is_what_it_sets_also_by_others() {
        let mut macros = Macros::default();
        macros.add("[attr]image big -text\n\"[attr]big\" filter=lfs image\n*.c diff=cpp\n");
        assert!(macros.expanded("image").contains("filter=lfs"));
        assert_eq!(macros.expanded("text"), BTreeSet::from(["text".to_owned()]));
    }

    #[test]
    fn what_is_past_a_limit_is_told_each_time_and_what_cannot_be_read_is_never_absent() {
        let many: String = (0..MOST_BYTES).map(|n| format!("* filter=a{n:06}\n")).collect();
        let (mut now, mut kept) = (Attributes::new(), 0);
        add(&mut now, &mut kept, Path::new("many"), Ok(many + "* filter=mine\n"));
        add(&mut now, &mut kept, Path::new("large"), Err(too_large(9)));
        add(&mut now, &mut kept, Path::new("odd"), Err("it is odd".to_owned()));
        for n in 0..MOST_FILES {
            add(&mut now, &mut kept, Path::new(&format!("n/{n}")), Ok("* filter=text".to_owned()));
        }
        let env = Environment::default();
        let told = |before: &Attributes, count: usize| {
            // Whatever the configuration names.
            let lines = new_filters(before, &now, None, &env).unwrap();
            for (path, why) in [
                ("`.gitattributes`", "too many of these files"),
                ("`large`", "it has more than 9 bytes"),
                ("`many`", "the names in it have more than 65536 bytes"),
            ] {
                let told =
                    |line: &&String| line.starts_with(&format!("{path} was not looked at")) && line.contains(why);
                assert_eq!(lines.iter().filter(told).count(), 1, "{path}: {lines:?}");
            }
            assert_eq!(lines.iter().filter(|line| line.contains("it is odd")).count(), count);
            lines.iter().filter(|line| line.contains("was not looked at")).count()
        };
        told(&Attributes::new(), 1);
        assert_eq!(told(&now, 0), 3);
    }

    #[test]
    fn no_number_of_files_takes_more_than_a_bound_or_fills_the_screen() {
        let one: String = (0..9000).map(|n| format!("* filter=a{n:06}\n")).collect();
        let (mut now, mut kept) = (Attributes::new(), 0);
        for n in 0..100 {
            add(&mut now, &mut kept, Path::new(&format!("d{n}/.gitattributes")), Ok(one.clone()));
        }
        let bytes: usize = now.values().flatten().map(String::len).sum();
        assert!(bytes <= MOST_OF_ALL + 2 * MOST_BYTES, "{bytes}");
        let lines = new_filters(&Attributes::new(), &now, None, &Environment::default()).unwrap();
        assert!(lines.len() <= 2 * (MOST_TOLD + 1), "{}", lines.len());
        assert!(lines.iter().any(|line| line.contains("too many of these files")), "{lines:?}");
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
