//! Text laid out for people: columns, wrapped lines, colours. Pure.

use crate::text::printable;

/// The narrowest last column that is still wrapped beside the others.
const NARROWEST: usize = 24;

/// Marks at the start of a line, by their colour (an SGR code, which every terminal understands). The words that two
/// spaces follow are the verdicts of a proof, of the doctor and of the smoke test.
const MARKS: &[(&str, &[&str])] = &[
    ("1;31", &["error:", "broken  ", "missing  ", "FAILED  ", "MISSING  "]),
    ("1;33", &["warning:", "not provable  ", "warning  ", "noted  "]),
    ("1", &["caused by:"]),
    ("1;36", &["hint:", "tip:"]),
    ("2", &["$ ", "not checked  ", "not run  "]),
    ("32", &["held  ", "ok  ", "passed  "]),
];

/// Colours the mark at the start of each line, if `colour`. A line with a command is coloured whole.
pub(crate) fn paint(text: &str, colour: bool) -> String {
    if !colour {
        return text.to_owned();
    }
    let line = |line: &str| {
        let body = line.trim_start();
        let indent = &line[..line.len() - body.len()];
        let mut marks = MARKS.iter().flat_map(|(code, marks)| marks.iter().map(move |mark| (*code, *mark)));
        let Some((code, mark)) = marks.find(|(_, mark)| body.starts_with(mark)) else {
            return line.to_owned();
        };
        let (word, rest) = body.split_at(if mark == "$ " { body.len() } else { mark.trim_end().len() });
        format!("{indent}\x1b[{code}m{word}\x1b[0m{rest}")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Lays out rows in columns, two spaces apart, the last column unpadded.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    columns_within(rows, None)
}

/// The same for a terminal with this number of columns: the last column is wrapped. Its lines stand below each other, or
/// below the whole row where the other columns leave too little room.
pub(crate) fn columns_within(rows: &[Vec<String>], width: Option<usize>) -> String {
    // What stands in a cell comes from anywhere: it stays within its row.
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |i: usize| rows.iter().filter_map(|row| Some(row.get(i)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(widest).collect();
    let before: usize = widths.iter().rev().skip(1).map(|width| width + 2).sum();
    let line = |row: &Vec<String>| {
        let Some((last, others)) = row.split_last() else { return "\n".to_owned() };
        let mut line: String = others.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        match width.filter(|_| row.len() == count) {
            Some(width) => last_cell(&mut line, last, before, width),
            None => line.push_str(last),
        }
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

fn last_cell(line: &mut String, cell: &str, before: usize, width: usize) {
    let beside = before + NARROWEST <= width;
    if before + columns_of(cell) <= width {
        line.push_str(cell);
        return;
    }
    let indent = if beside { before } else { 4 };
    let room = width.saturating_sub(indent).max(8);
    let lines = wrapped(cell, room, room);
    let gap = format!("\n{}", " ".repeat(indent));
    if !beside {
        *line = format!("{}{gap}", line.trim_end());
    }
    line.push_str(&lines.join(&gap));
}

/// A line of a message for a terminal with this number of columns. Where it goes on it is indented: no part of it stands
/// where a line of this tool's own begins, wherever the terminal would have broken it.
pub(crate) fn folded(line: &str, width: Option<usize>) -> Vec<String> {
    let body = line.trim_start_matches(' ');
    let indent = line.len() - body.len();
    let Some(width) = width.filter(|width| *width >= NARROWEST && columns_of(line) > *width) else {
        return vec![line.to_owned()];
    };
    let (first, others) = (indent.min(width / 2), (indent + 4).min(width / 2));
    let lines = wrapped(body, width - first, width - others);
    let indented = |(n, line): (usize, String)| format!("{}{line}", " ".repeat(if n == 0 { first } else { others }));
    lines.into_iter().enumerate().map(indented).collect()
}

/// At most as many columns as a terminal takes for it: the fonts of terminals differ in what is wide, and nothing takes more
/// than two but a tab.
fn columns_of(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

fn width_of(c: char) -> usize {
    match c {
        '\t' => 8,
        c if c.is_ascii() => 1,
        _ => 2,
    }
}

/// Breaks a text at blanks into lines of at most `room` columns, the first of `first`. What stands between backticks is kept
/// together where a line has room for it.
fn wrapped(text: &str, first: usize, room: usize) -> Vec<String> {
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0);
    for word in words(text, room) {
        let left = if lines.is_empty() { first } else { room };
        if used > 0 && used + 1 + columns_of(word) > left {
            lines.push(std::mem::take(&mut line));
            used = 0;
        } else if used > 0 {
            line.push(' ');
            used += 1;
        }
        let left = if lines.is_empty() { first } else { room };
        for (n, piece) in pieces(word, left, room).into_iter().enumerate() {
            if n > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(piece);
            used += columns_of(piece);
        }
    }
    lines.push(line);
    lines
}

/// What is not broken: words, and quotations of several words that a line has room for.
fn words(text: &str, room: usize) -> Vec<&str> {
    let (mut words, mut from) = (Vec::new(), 0);
    let ends = text.match_indices(' ').map(|(at, _)| at).chain([text.len()]);
    for end in ends {
        let whole = &text[from..end];
        if whole.matches('`').count() % 2 == 1 && end < text.len() && columns_of(whole) <= room {
            continue;
        }
        match columns_of(whole) <= room {
            true => words.push(whole),
            false => words.extend(whole.split(' ')),
        }
        from = end + 1;
    }
    words
}

/// A word that is longer than a line stays whole, because people copy paths, unless what a terminal puts on the next line
/// could pass for a line of this tool's: all of those have a mark with a colon, or blanks.
fn pieces(word: &str, first: usize, room: usize) -> Vec<&str> {
    let body = word.strip_suffix("`:").unwrap_or(word);
    if columns_of(word) <= first || (body.is_ascii() && !body.contains([':', '\t'])) {
        return vec![word];
    }
    let (mut pieces, mut from, mut left) = (Vec::new(), 0, first);
    for (at, c) in word.char_indices() {
        if width_of(c) > left && at > from {
            pieces.push(&word[from..at]);
            (from, left) = (at, room);
        }
        left = left.saturating_sub(width_of(c));
    }
    pieces.push(&word[from..]);
    pieces
}

/// A path or another long word, shortened in the middle where there is not enough room, because its end says the most.
pub(crate) fn shortened(text: &str, room: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= room || room < 8 {
        return text.to_owned();
    }
    let tail = (room - 1) * 2 / 3;
    let head = room - 1 - tail;
    chars[..head].iter().chain(['…'].iter()).chain(&chars[chars.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![
            row(["broken", "dataset.ssv2.read-only", "inside it is writable, on the host it is not"]),
            row(["", "", "hint: run it again"]),
        ]
    }

    #[test]
    fn a_table_keeps_to_the_terminal() {
        assert_eq!(
            columns(&rows()),
            "broken  dataset.ssv2.read-only  inside it is writable, on the host it is not\n\
             \u{20}                               hint: run it again\n"
        );
        assert_eq!(columns_within(&rows(), Some(200)), columns(&rows()));
        assert_eq!(
            columns_within(&rows(), Some(60)),
            "broken  dataset.ssv2.read-only  inside it is writable, on\n\
             \u{20}                               the host it is not\n\
             \u{20}                               hint: run it again\n"
        );
        let narrow = columns_within(&rows(), Some(40));
        assert_eq!(
            narrow,
            "broken  dataset.ssv2.read-only\n    inside it is writable, on the host\n    it is not\n\n    hint: run it again\n"
        );
        for width in 31..100 {
            let text = columns_within(&rows(), Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        }
    }

    #[test]
    fn a_word_that_is_longer_than_the_line_stays_whole() {
        let path = "/a/very/long/path/that/is/copied/by/people/whole";
        assert_eq!(wrapped(&format!("see {path} for it"), 20, 20), ["see", path, "for it"]);
    }

    #[test]
    fn what_is_between_backticks_stays_together_where_there_is_room() {
        let lines = wrapped("end it by `cargo xtask down` and go on", 20, 20);
        assert_eq!(lines, ["end it by", "`cargo xtask down`", "and go on"]);
        assert_eq!(wrapped("`a b c d e f", 6, 6), ["`a b c", "d e f"]);
    }

    /// Whatever a name has in it, a terminal begins no line with a part of it that has a colon or a blank.
    #[test]
    fn no_part_of_a_line_stands_where_a_line_of_this_tool_begins() {
        let names = [
            format!("{}error: all is well", "x".repeat(60)),
            format!("{}warning:all-is-well", "x".repeat(70)),
            format!("{} held on", "ä".repeat(90)),
            format!("{}\terror: no", "漢".repeat(38)),
            "a b ".repeat(50),
        ];
        for (name, width) in names.iter().flat_map(|name| (24..130).map(move |width| (name, width))) {
            for line in [format!("`{name}` is new: check this"), format!("    + {name}"), name.clone()] {
                let lines = folded(&line, Some(width));
                let short = |line: &String| columns_of(line) <= width;
                assert!(lines.iter().all(short), "{width}: {lines:#?}");
                assert!(lines.iter().skip(1).all(|line| line.starts_with("    ")), "{width}: {lines:#?}");
                let said = |text: &str| text.replace(' ', "");
                assert_eq!(said(&lines.concat()), said(&line));
            }
        }
        let path = "/a/very/long/path/that/is/copied/by/people/whole";
        assert_eq!(folded(&format!("see `{path}`: it is"), Some(30)), ["see", &format!("    `{path}`:"), "    it is"]);
        assert_eq!(folded(path, None), [path]);
    }

    #[test]
    fn the_middle_of_a_long_path_is_left_out() {
        assert_eq!(shortened("/home/me/project", 40), "/home/me/project");
        let short = shortened("/home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d/codex-home", 40);
        assert_eq!(short, "/home/me/.loc…roject-0a1b2c3d/codex-home");
        assert_eq!(short.chars().count(), 40);
    }

    #[test]
    fn a_cell_stays_in_its_row() {
        let rows = [vec!["a\nheld  x".to_owned(), "\u{1b}[2J".to_owned()]];
        assert_eq!(columns(&rows), "a\\nheld  x  \\u{1b}[2J\n");
    }

    #[test]
    fn colours_mark_words_and_change_no_text() {
        let text = "error: x\n  caused by: y\nhint: z\nbroken  a  b\nheld on\n$ docker ps\nplain error: x";
        assert_eq!(paint(text, false), text);
        let painted = paint(text, true);
        let red = "\x1b[1;31m";
        assert!(painted.starts_with(&format!("{red}error:\x1b[0m x\n  \x1b[1mcaused by:\x1b[0m y")), "{painted:?}");
        assert!(painted.contains(&format!("\n{red}broken\x1b[0m  a  b\nheld on\n")), "{painted:?}");
        assert!(painted.ends_with("\n\x1b[2m$ docker ps\x1b[0m\nplain error: x"), "{painted:?}");
        let mut bare = painted;
        while let Some(start) = bare.find('\x1b') {
            let end = start + bare[start..].find('m').unwrap();
            bare.replace_range(start..=end, "");
        }
        assert_eq!(bare, text);
    }
}
