//! A short difference of two texts of others, safe to be shown. Pure. Written here and not taken from a crate: only a few
//! lines are shown, and its cost has a bound whatever the texts are.

use crate::text::printable;

/// The most lines of each text that are compared one by one, once what is the same at both ends is left out.
const COMPARED: usize = 400;

/// The most lines that are shown on a terminal, and the most characters of one.
pub(super) const SHOWN: usize = 12;
const WIDTH: usize = 160;

/// At most so many lines that differ, in order, each with `-` or `+` before it. Empty where both are the same.
pub(super) fn lines(before: &[u8], now: &[u8], most: usize) -> Vec<String> {
    let (before, now) = (String::from_utf8_lossy(before), String::from_utf8_lossy(now));
    let (old, new) = (split(&before), split(&now));
    let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let all = match old.len() <= COMPARED && new.len() <= COMPARED {
        true => compared(old, new),
        false => old.iter().map(|line| ('-', *line)).chain(new.iter().map(|line| ('+', *line))).collect(),
    };
    // What is new is what a tool would obey: it is never hidden behind what was taken away.
    let count = |sign| all.iter().filter(|(is, _)| *is == sign).count();
    let (gone, come) = (count('-'), count('+'));
    let most_come = most - gone.min(most / 3);
    let most_gone = most - come.min(most_come);
    let (mut shown, mut left) = (Vec::new(), (most_gone, most_come));
    for (sign, line) in &all {
        let left = if *sign == '-' { &mut left.0 } else { &mut left.1 };
        if *left > 0 {
            *left -= 1;
            shown.push(format!("{sign} {}", cut(line)));
        }
    }
    let more = all.len() - shown.len();
    shown.extend((more > 0).then(|| format!("… and {more} more lines")));
    shown
}

fn split(text: &str) -> Vec<&str> {
    text.split_terminator('\n').collect()
}

/// By the longest common part.
fn compared<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(char, &'t str)> {
    let width = new.len() + 1;
    let mut longest = vec![0u16; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = match old[i] == new[j] {
                true => longest[(i + 1) * width + j + 1] + 1,
                false => longest[(i + 1) * width + j].max(longest[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
            lines.push(('-', old[i]));
            i += 1;
        } else {
            lines.push(('+', new[j]));
            j += 1;
        }
    }
    lines
}

fn cut(line: &str) -> String {
    let more = line.chars().count().saturating_sub(WIDTH);
    let shown = printable(&line.chars().take(WIDTH).collect::<String>());
    if more == 0 { shown } else { format!("{shown}… ({more} more characters)") }
}

/// For the fuzzer. Two texts, with a zero byte between them: what is shown has a bound, and is one line each.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let (before, now) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    let shown = lines(before, now, SHOWN);
    assert!(shown.len() <= SHOWN + 1 && shown.iter().all(|line| !line.chars().any(char::is_control)));
    assert!(lines(now, now, SHOWN).is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(before: &[u8], now: &[u8]) -> Vec<String> {
        super::lines(before, now, SHOWN)
    }

    #[test]
    fn only_what_differs_is_shown_and_of_that_a_bounded_part() {
        let text = |lines: &[&str]| lines.join("\n").into_bytes();
        assert_eq!(lines(b"a\nb\nc\n", b"a\nx\nc\n"), ["- b", "+ x"]);
        assert_eq!(lines(b"a", b"a"), Vec::<String>::new());
        assert_eq!(lines(b"", b"export A=1\n"), ["+ export A=1"]);
        assert_eq!(lines(&text(&["1", "2", "3", "4"]), &text(&["0", "2", "4", "5"])), ["- 1", "+ 0", "- 3", "+ 5"]);
        assert_eq!(super::lines(b"", b"1\n2\n3\n", 2), ["+ 1", "+ 2", "… and 1 more lines"]);
        // Thousands of lines that were taken away do not hide one that is new.
        let many: String = (0..5000).map(|n| format!("{n}\n")).collect();
        let shown = lines(many.as_bytes(), b"evil");
        assert!(shown.contains(&"+ evil".to_owned()) && shown.len() == SHOWN + 1, "{shown:?}");
        assert_eq!(shown[SHOWN], "… and 4989 more lines");
    }

    #[test]
    fn a_line_of_others_is_safe_and_short() {
        let shown = lines(b"", b"\x1b[2J\xff\xe2\x80\xae");
        assert_eq!(shown[0], "+ \\u{1b}[2J\u{fffd}\\u{202e}");
        let long = lines(b"", "x".repeat(1 << 20).as_bytes());
        assert!(long[0].len() < 250 && long[0].ends_with(" more characters)"), "{}", long[0].len());
        // The cost has a bound.
        let (a, b) = ("a\n".repeat(100_000), "b\n".repeat(100_000));
        assert_eq!(lines(a.as_bytes(), b.as_bytes()).len(), SHOWN + 1);
    }
}
