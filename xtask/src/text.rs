//! Text and paths that others give (an agent, a file system, a settings file), made safe to be shown. Pure.

use serde::Serialize;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// How tokens of known services begin, as
/// <https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns> lists them.
pub(crate) const TOKENS: &[&str] = &[
    "sk-", "sk_", "rk_live_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xoxb-", "xoxp-",
    "xoxa-", "xapp-", "AKIA", "ASIA", "AIza", "hf_", "npm_", "pypi-", "dop_v1_", "eyJ", "gsk_", "xai-", "sntrys_",
    "sntryu_", "tvly-", "lin_api_", "SG.", "figd_", "r8_", "shpat_", "shpss_", "dckr_pat_", "nvapi-", "pplx-", "ntn_",
    "whsec_", "ya29.",
];

/// Text of several lines, made safe for a terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c.to_string() } else { shown(c) }).collect()
}

/// A value as JSON in several lines: its text is exactly what was said, and none of it is more than meets the eye. What a
/// terminal must not get stands in a string as `\uXXXX`, which every parser reads as the character itself.
///
/// # Errors
/// The value is none that JSON has.
pub(crate) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_odd(c) && c != '\n' {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    Ok(safe)
}

/// A message that quotes what others say: none of its lines but the first begins where this tool's own lines do.
pub(crate) fn message(text: &str) -> String {
    let (first, rest) = text.split_once('\n').map_or((text, None), |(first, rest)| (first, Some(rest)));
    let rest = rest.into_iter().flat_map(|rest| rest.split('\n'));
    let rest =
        rest.map(|line| format!("\n{}{line}", if line.starts_with(' ') || line.is_empty() { "" } else { "    " }));
    [first.to_owned()].into_iter().chain(rest).collect()
}

/// Text of one line, made safe for a terminal: control characters are shown as escapes.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// A name that others gave, as it stands between backticks: nothing in it ends the quotation, and no blanks push what
/// follows to the next line of a terminal. Two names that differ are shown differently.
pub(crate) fn name(name: &str) -> String {
    name_of(name.as_bytes())
}

/// The same for a path, of which bytes that are not UTF-8 are shown as escapes too.
pub(crate) fn path(path: &Path) -> String {
    name_of(path.as_os_str().as_bytes())
}

fn name_of(bytes: &[u8]) -> String {
    let is_blank = |at: usize| bytes.get(at).is_none_or(|byte| *byte == b' ');
    let (mut text, mut at) = (String::new(), 0);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                ' ' if at == 0 || is_blank(at - 1) || is_blank(at + 1) => text.push_str("\\u{20}"),
                '`' => text.push_str("\\u{60}"),
                '\\' => text.push_str("\\\\"),
                c => text.push_str(&shown(c)),
            }
            at += c.len_utf8();
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        at += chunk.invalid().len();
    }
    text
}

/// One word of a shell. What a terminal would not show as it is stands in it as an escape (`$'…'`, POSIX 2024), so that a
/// command that is shown is the one that runs. Lines and tabs are shown: commands of this tool's own have them.
pub(crate) fn word(text: &str) -> String {
    let hidden = |c: char| is_odd(c) && !matches!(c, '\n' | '\t');
    if !text.chars().any(hidden) {
        return shell_words::quote(text).into_owned();
    }
    let mut word = "$'".to_owned();
    for c in text.chars() {
        match c {
            '\\' | '\'' => word.extend(['\\', c]),
            c if hidden(c) => c.to_string().bytes().for_each(|byte| word.push_str(&format!("\\{byte:03o}"))),
            c => word.push(c),
        }
    }
    word + "'"
}

/// A number of bytes in the unit in which it is easiest to read.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        // Computed in tenths, because a float would round.
        Some((unit, name)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

/// A path that can be passed on whole: to the engine, in a settings file, on a line.
///
/// # Errors
/// Why it cannot.
pub(crate) fn plain(path: &Path) -> Result<&str, &'static str> {
    match path.to_str() {
        None => Err("it is not UTF-8"),
        Some(text) if text.chars().any(char::is_control) => Err("it has a control character"),
        Some(text) => Ok(text),
    }
}

/// What to do about a path that is not plain.
pub(crate) const RENAME: &str = "rename it, or reach it by a bind mount with another name";

fn shown(c: char) -> String {
    if is_odd(c) { c.escape_default().to_string() } else { c.to_string() }
}

fn is_odd(c: char) -> bool {
    c.is_control() || is_unseen(c)
}

/// Characters that have no width or no ink, or that turn the direction of the text: with them a line can read as another
/// one. Among them are all of Unicode's categories Cf, Zl, Zp and, but for the blank itself, Zs.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'
            | '\u{891}' | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{1680}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}'
            | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{13455}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// For the fuzzer. Nothing that is shown of others' text moves the cursor, hides a word or begins another line.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let shown = [printable(text), path(Path::new(std::ffi::OsStr::from_bytes(bytes)))];
    assert!(shown.iter().all(|text| !text.chars().any(is_odd)), "{shown:?}");
    let [_, name] = &shown;
    assert!(!name.starts_with(' ') && !name.ends_with(' ') && !name.contains("  ") && !name.contains('`'), "{name:?}");
    assert_eq!(said(name).as_deref(), Some(bytes), "{name:?}");
    assert!(!harmless(text).chars().any(|c| is_odd(c) && !matches!(c, '\n' | '\t')));
    assert!(message(text).split('\n').skip(1).all(|line| line.is_empty() || line.starts_with(' ')));
    let word = word(text);
    assert!(!word.chars().any(|c| is_odd(c) && !matches!(c, '\n' | '\t')), "{word:?}");
    assert!(word.starts_with("$'") || shell_words::split(&word).is_ok_and(|words| words == [text]), "{word:?}");
    assert!(plain(Path::new(text)).is_err() || printable(text) == text || !text.chars().any(char::is_control));
}

/// The name of which this is what is shown.
#[cfg(any(test, fuzzing))]
fn said(shown: &str) -> Option<Vec<u8>> {
    let (mut name, mut rest) = (Vec::new(), shown);
    while let Some(at) = rest.find('\\') {
        name.extend(rest[..at].bytes());
        let (kind, tail) = rest[at + 1..].split_at_checked(1)?;
        rest = match kind {
            "x" => {
                let (byte, tail) = tail.split_at_checked(2)?;
                name.push(u8::from_str_radix(byte, 16).ok()?);
                tail
            }
            "u" => {
                let (code, tail) = tail.strip_prefix('{')?.split_once('}')?;
                let c = char::from_u32(u32::from_str_radix(code, 16).ok()?)?;
                name.extend(c.encode_utf8(&mut [0; 4]).bytes());
                tail
            }
            "n" | "r" | "t" | "\\" => {
                name.push(match kind {
                    "n" => b'\n',
                    "r" => b'\r',
                    "t" => b'\t',
                    _ => b'\\',
                });
                tail
            }
            _ => return None,
        };
    }
    name.extend(rest.bytes());
    Some(name)
}

/// The user of an address, of which what stands before `://` is cut off, and his password. Programs cut an address at different
/// places where the password has a slash: what may be one counts as one.
pub(crate) fn login_of(rest: &str) -> Option<(&str, Option<&str>)> {
    let host = rest.split('/').next().unwrap_or_default();
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    let cut = host.split_once(':').is_some_and(|(_, port)| !is_port(port));
    let (login, _) = host.rsplit_once('@').or_else(|| rest.rsplit_once('@').filter(|_| cut))?;
    let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
    Some((user, password.filter(|password| !password.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn a_name_cannot_end_its_quotation_or_push_what_follows_to_another_line() {
        let padded = format!("a{}all 53 promises hold", " ".repeat(60));
        assert_eq!(name(&padded), format!("a{}all 53 promises hold", "\\u{20}".repeat(60)));
        assert_eq!(name(" a b "), "\\u{20}a b\\u{20}");
        assert_eq!(name("x` is safe: `y"), "x\\u{60} is safe: \\u{60}y");
        assert_eq!(name(r"\u{60}"), r"\\u{60}", "what looks like an escape is none");
        assert_eq!(name("a\u{a0}b\u{2003}c\u{3000}d"), "a\\u{a0}b\\u{2003}c\\u{3000}d");
        for text in [&b"\xff \xfe"[..], b" ", b"  ", b"\\`\n\t ", "\u{202e}\u{2028}\u{0}\\x41".as_bytes(), b""] {
            fuzz(text);
        }
        // The same of every character and of every byte beside a blank.
        for c in (0..=0x11_ffff).filter_map(char::from_u32) {
            let mut text = *b" \0\0\0\0";
            let length = 1 + c.encode_utf8(&mut text[1..]).len();
            let shown = name_of(&text[..length]);
            assert_eq!(said(&shown).as_deref(), Some(&text[..length]), "{shown:?}");
        }
        (0..=255).for_each(|byte| fuzz(&[byte, b' ', byte]));
    }

    #[test]
    fn only_lines_and_tabs_get_to_the_terminal() {
        assert_eq!(harmless("a\tb\u{1b}[2J\r\n\nc\u{9b}\n"), "a\tb\\u{1b}[2J\\r\n\nc\\u{9b}\n");
    }

    #[test]
    fn no_later_line_of_a_message_begins_as_one_of_this_tool_does() {
        assert_eq!(message("one"), "one");
        assert_eq!(
            message("`a\nall 53 promises hold\n  own\n\nhint: x`"),
            "`a\n    all 53 promises hold\n  own\n\n    hint: x`"
        );
    }

    #[test]
    fn what_cannot_be_seen_is_shown_as_an_escape() {
        assert_eq!(printable("a\u{202e}b\u{200b}ä…"), "a\\u{202e}b\\u{200b}ä…");
        let ranges = [(0x80, 0x9f), (0x202a, 0x202e), (0x2066, 0x2069), (0x200b, 0x200f), (0xe0001, 0xe007f)];
        let single = [0x61c, 0xad, 0x2060, 0xfeff, 0x180e, 0x3164];
        for code in ranges.into_iter().flat_map(|(from, to)| from..=to).chain(single) {
            let c = char::from_u32(code).unwrap();
            let escape = format!("\\u{{{code:x}}}");
            assert_eq!((printable(&c.to_string()), harmless(&c.to_string())), (escape.clone(), escape), "{code:x}");
        }
    }

    #[test]
    fn json_is_what_was_said_and_shows_what_cannot_be_seen() {
        let said = "a\u{202e}b\u{9b}\u{7f}\u{2067}\u{200f}\u{61c}\u{e0041}\u{1b}[2J\n\t\"\\ä😀";
        let text = json(&serde_json::json!({ said: [said] })).unwrap();
        assert_eq!(harmless(&text), text, "nothing is left for the printer");
        assert!(text.contains(r"a\u202eb\u009b\u007f\u2067\u200f\u061c\udb40\udc41\u001b[2J\n\t"), "{text}");
        assert!(text.contains("ä😀"), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, serde_json::json!({ said: [said] }));
    }

    #[test]
    fn a_path_is_shown_whole_and_says_what_it_cannot_be_used_for() {
        let odd = Path::new(OsStr::from_bytes(b"/a\xff\xfe/\x1b[2J\nb"));
        assert_eq!(path(odd), "/a\\xff\\xfe/\\u{1b}[2J\\nb");
        assert_eq!(plain(odd), Err("it is not UTF-8"));
        assert_eq!(plain(Path::new("/a\nb")), Err("it has a control character"));
        assert_eq!(plain(Path::new("/ä b")), Ok("/ä b"));
    }

    #[test]
    fn a_word_that_is_shown_is_the_one_that_a_shell_reads() {
        assert_eq!(word("it's"), r"'it'\''s'");
        for odd in ["a\nb", "\u{1b}[2J it's \\n", "\u{202e}1", "\t'\u{9b}7"] {
            let shown = word(odd);
            assert_eq!(harmless(&shown), shown);
            let said = duct::cmd!("bash", "-c", format!("printf %s {shown}")).read().unwrap();
            assert_eq!(said, odd, "{shown}");
        }
    }
}
