//! Git's configuration format, as far as it is needed to recognize a repository without running git and to write a
//! configuration of our own. Includes are never followed. Source: git-config(1), "Syntax".

/// The settings of one configuration file, as (`section.key` or `section.sub.key`, value) in order; section and key are
/// in lower case. Lines that git would refuse are ignored.
pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut section = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(head) = line.strip_prefix('[') {
            let Some((head, _)) = head.rsplit_once(']') else { continue };
            section = match head.split_once(char::is_whitespace) {
                Some((name, sub)) => format!("{}.{}", name.to_lowercase(), sub.trim().trim_matches('"')),
                None => head.to_lowercase(),
            };
            continue;
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let mut whole = line.to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            whole.push_str(lines.next().unwrap_or(""));
        }
        // A key without a value is true.
        let (key, value) = whole.split_once('=').unwrap_or((&whole, "true"));
        settings.push((format!("{section}.{}", key.trim().to_lowercase()), unquoted(value)));
    }
    settings
}

/// The last value of a setting, as git would take it.
pub(super) fn last<'a>(settings: &'a [(String, String)], name: &str) -> Option<&'a str> {
    settings.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn unquoted(value: &str) -> String {
    let mut text = String::new();
    let mut quoted = false;
    let mut chars = value.trim().chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => {}
            },
            '#' | ';' if !quoted => break,
            c => text.push(c),
        }
    }
    if quoted || !value.contains('"') { text.trim_end().to_owned() } else { text }
}

/// A value as it is written into a configuration file. Control characters are left out.
pub(super) fn quoted(value: &str) -> String {
    let value: String = value.chars().filter(|c| !c.is_control()).collect();
    format!("\"{}\"", value.replace('\\', r"\\").replace('"', r#"\""#))
}

/// For the fuzzer. A value that is written is read as it was.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    for (_, value) in parse(text).into_iter().chain([(String::new(), text.to_owned())]) {
        let plain: String = value.chars().filter(|c| !c.is_control()).collect();
        let written = format!("[a \"b\"]\n\tc = {}\n", quoted(&value));
        assert_eq!(parse(&written), [("a.b.c".to_owned(), plain)], "{written}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_a_repository_are_read_as_git_reads_them() {
        let text = "[core]\n\tRepositoryFormatVersion = 1 ; new\n\tbare\n[remote \"O.x\"]\n url = \"a # b\"\n\
                    [extensions] \nobjectFormat=sha2\\\n56\n# [core]\n[core]\n\tbare = false\n";
        assert_eq!(
            parse(text),
            [
                ("core.repositoryformatversion", "1"),
                ("core.bare", "true"),
                ("remote.O.x.url", "a # b"),
                ("extensions.objectformat", "sha256"),
                ("core.bare", "false"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        assert_eq!(last(&parse(text), "core.bare"), Some("false"));
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted("a\"\n[core]\\"), r#""a\"[core]\\""#);
    }
}
