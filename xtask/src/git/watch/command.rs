//! The words of a command in git's configuration, as far as a shell's expansion of them can be known without running it.
//! Quotes are not believed: what is quoted for one shell is read by the next.

use std::collections::BTreeMap;
use std::path::Path;

/// What is known of where a command runs.
pub(super) struct Known<'a> {
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) work_tree: &'a Path,
    pub(super) git_dir: &'a Path,
}

/// The words of a command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// Each that may be a path, once.
    pub(super) words: Vec<String>,
    /// What a variable or another command decides, as it is written there.
    pub(super) unknown: Vec<String>,
}

/// How often what is quoted is read again.
const DEEPEST: usize = 3;

/// The most bytes of a command that are divided into words, and the most that its variables add: `A=$A$A` doubles what it
/// stands for each time that it is written.
const LONGEST: usize = 16 << 10;

/// What ends or divides words, whatever is quoted.
const DIVIDERS: &[char] =
    &[' ', '\t', '\n', '"', '\'', '`', ';', '|', '&', '<', '>', '(', ')', '{', '}', '=', ',', ':'];

/// What ends a word unless it is quoted.
const OPERATORS: &[char] = &[';', '|', '&', '<', '>', '(', ')', '{', '}'];

/// What begins another command.
const BEGINNERS: &[char] = &[';', '|', '&', '\n', '(', '{', '`', '!'];

pub(super) fn words(text: &str, known: &Known<'_>) -> Words {
    let text = text.trim_start().trim_start_matches('!');
    if text.len() > LONGEST {
        let begin: String = text.chars().take(100).collect();
        return Words { words: Vec::new(), unknown: vec![format!("{begin} …")] };
    }
    let mut texts = vec![known_programs(text, known)];
    let mut found = Words::default();
    while let Some(text) = texts.pop() {
        let (text, inner) = without_substitutions(&text);
        texts.extend(inner);
        let text = expanded(&text, known);
        let mut all: Vec<String> = Vec::new();
        quoted(&text, DEEPEST, &mut all);
        all.extend(text.split(DIVIDERS).map(str::to_owned));
        for word in all.into_iter().filter(|word| !word.is_empty()) {
            let (word, sure) = match word.split_once('$') {
                None => (word, true),
                // Below the top of the working tree is likely where it is.
                Some((_, rest)) => {
                    let unknown = rest.contains('/');
                    let below = rest.split_once('/').map(|(_, below)| below.to_owned());
                    if unknown && !found.unknown.contains(&word) {
                        found.unknown.push(word);
                    }
                    (below.unwrap_or_default(), false)
                }
            };
            if !found.words.contains(&word) && (sure || !word.is_empty()) {
                found.words.push(word);
            }
        }
        for command in text.split(BEGINNERS) {
            let first = command.split_whitespace().next().unwrap_or("").trim_matches(['"', '\'']);
            let is_name =
                first.strip_prefix('$').is_some_and(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'));
            if is_name && !found.unknown.iter().any(|known| known == first) {
                found.unknown.push(first.to_owned());
            }
        }
    }
    found
}

fn quoted(text: &str, depth: usize, found: &mut Vec<String>) {
    let Ok(words) = shell_words::split(text) else { return };
    for word in words {
        if depth > 0 && word.contains(char::is_whitespace) {
            quoted(&word, depth - 1, found);
        }
        if let Some((_, value)) = word.split_once('=') {
            found.push(value.to_owned());
        }
        // What ends a command stands right behind a quoted word.
        found.extend(word.split(OPERATORS).map(str::to_owned));
        found.push(word);
    }
}

/// The programs of git that say where the repository is.
fn known_programs(text: &str, known: &Known<'_>) -> String {
    let mut text = text.to_owned();
    for (asked, answer) in [("--show-toplevel", known.work_tree), ("--git-dir", known.git_dir)] {
        for form in [format!("$(git rev-parse {asked})"), format!("`git rev-parse {asked}`")] {
            text = text.replace(&form, &answer.to_string_lossy());
        }
    }
    text
}

/// The text with a mark in the place of what other commands say, and these commands.
fn without_substitutions(text: &str) -> (String, Vec<String>) {
    let (mut outer, mut inner) = (text.to_owned(), Vec::new());
    while let Some(start) = outer.find("$(") {
        let mut depth = 0;
        let end = outer[start..].char_indices().find(|(_, c)| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            *c == ')' && depth == 0
        });
        let Some((length, _)) = end else { break };
        inner.push(outer[start + 2..start + length].to_owned());
        outer.replace_range(start..=start + length, "$_");
    }
    (outer, inner)
}

/// The text with the values of variables, as far as they are known and not too long: `$NAME` and `${NAME}`.
fn expanded(text: &str, known: &Known<'_>) -> String {
    let mut left = LONGEST;
    let work_tree = known.work_tree.to_string_lossy().into_owned();
    let mut own: BTreeMap<String, String> =
        ["PWD", "GIT_WORK_TREE"].map(|name| (name.to_owned(), work_tree.clone())).into();
    for word in text.split([' ', '\t', '\n', ';', '{']) {
        if let Some((name, value)) = word.split_once('=')
            && is_name(name)
        {
            let value = replaced(value.trim_matches(['"', '\'']), &own, known.variables, &mut left);
            own.insert(name.to_owned(), value);
        }
    }
    replaced(text, &own, known.variables, &mut left)
}

/// `left` is how many bytes values may still add. What has no room stays as it is written: it is not known.
fn replaced(
    text: &str,
    own: &BTreeMap<String, String>,
    variables: &BTreeMap<String, String>,
    left: &mut usize,
) -> String {
    let mut parts = text.split('$');
    let mut all = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let (name, rest) = match part.strip_prefix('{').and_then(|part| part.split_once('}')) {
            Some(braced) => braced,
            None => part.split_at(part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len())),
        };
        let value = own.get(name).or_else(|| variables.get(name)).filter(|_| is_name(name));
        match value.and_then(|value| Some((value, left.checked_sub(value.len())?))) {
            Some((value, rest)) => {
                *left = rest;
                all.push_str(value);
            }
            None => {
                all.push('$');
                all.push_str(name);
            }
        }
        all.push_str(rest);
    }
    all
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// For the fuzzer. The words of a command are not many times longer than the command and what its variables stand for.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let variables = [("HOME", "/home/me"), ("TOOLS", "/w/tools")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let found =
        words(text, &Known { variables: &variables, work_tree: Path::new("/w"), git_dir: Path::new("/w/.git") });
    let long: usize = found.words.iter().chain(&found.unknown).map(String::len).sum();
    assert!(long <= 16 * (text.len() + LONGEST), "{long} bytes of words");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Words {
        let variables = [("HOME", "/home/me"), ("TOOLS", "/w/tools")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        words(text, &Known { variables: &variables, work_tree: Path::new("/w"), git_dir: Path::new("/w/.git") })
    }

    #[test]
    fn a_path_is_found_wherever_it_stands_in_a_command() {
        for (text, word) in [
            ("!f() { sh -c './tools/x \"$@\"'; }; f", "./tools/x"),
            ("!git -c core.pager=./pager log", "./pager"),
            ("!cd /tmp && $HOME/w/x", "/home/me/w/x"),
            ("\"${TOOLS}/x\" %f", "/w/tools/x"),
            ("'my project/sub/x' a", "my project/sub/x"),
            ("!f() { exec \"my project/x\"; }; f", "my project/x"),
            ("sh -c \"'my tools/x' a\"", "my tools/x"),
            ("$(git rev-parse --show-toplevel)/tools/x", "/w/tools/x"),
            ("`git rev-parse --show-toplevel`/tools/x", "/w/tools/x"),
            ("!D=$(git rev-parse --show-toplevel); \"$D/tools/x\"", "/w/tools/x"),
            ("!echo $(cat \"$(./inner)\")", "./inner"),
            ("ssh -o ProxyCommand='tools/proxy %h'", "tools/proxy"),
            ("./proxy for kernel.org", "./proxy"),
            ("$PWD/x", "/w/x"),
            ("FOO=1 ./x", "./x"),
            ("a unclosed 'quote ./x", "./x"),
        ] {
            assert!(read(text).words.iter().any(|found| found == word), "{text}: {:?}", read(text));
            assert_eq!(read(text).unknown, Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_a_variable_stands_for_is_bounded_and_what_has_no_room_is_not_known() {
        let doubled = format!("!A={}; {} $A/x", "a".repeat(64), "A=$A$A; ".repeat(60));
        let found = read(&doubled);
        assert!(found.words.iter().map(String::len).sum::<usize>() < 8 * LONGEST);
        assert!(found.unknown.iter().any(|word| word.ends_with("$A/x")), "{:?}", found.unknown);
        // Of one that is too long nothing is said to be known.
        let found = read(&format!("!./x {}", "a ".repeat(LONGEST)));
        assert_eq!(found.words, Vec::<String>::new());
        assert!(found.unknown[0].starts_with("./x a"));
    }

    #[test]
    fn what_only_a_shell_knows_is_not_passed_over() {
        for (text, unknown) in [
            ("$NOWHERE/x", "$NOWHERE/x"),
            ("!\"${OTHER}/x\" a", "$OTHER/x"),
            ("!f() { $1/x; }; f", "$1/x"),
            ("!$(which_tool) a", "$_"),
            ("!true; $PROGRAM a", "$PROGRAM"),
        ] {
            assert!(read(text).unknown.iter().any(|found| found == unknown), "{text}: {:?}", read(text));
        }
        // Below the top of the working tree is looked at all the same.
        assert!(read("$NOWHERE/x").words.contains(&"x".to_owned()));
        for text in ["!f() { git log \"$@\"; }; f", "!git push origin $1", "git-lfs filter-process", "less -R"] {
            assert_eq!(read(text).unknown, Vec::<String>::new(), "{text}");
        }
    }
}
